//! The image configuration (OCI config.md; Docker image spec v1.2) and the ids computed from it.
//!
//! Fields that we do not know are kept, so that a configuration made from another one (commit, build) loses nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::serde_go::{is_default, null_default};
use crate::{Digest, DocumentError, Platform};

/// The configuration of an image. Its digest is the image's id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// RFC 3339; kept as text because the world writes it with many precisions. See [`ImageConfig::created_at`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub author: String,
    #[serde(default, deserialize_with = "null_default")]
    pub architecture: String,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub variant: String,
    #[serde(default, deserialize_with = "null_default")]
    pub os: String,
    #[serde(
        rename = "os.version",
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub os_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ContainerConfig>,
    #[serde(default)]
    pub rootfs: RootFs,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// Everything else (`docker_version`, `container_config`, `parent`, …).
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// `rootfs` of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    #[serde(rename = "type", default = "layers")]
    pub kind: String,
    /// Digests of the uncompressed layer tars, lowest first.
    #[serde(default, deserialize_with = "null_default")]
    pub diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> RootFs {
        RootFs { kind: layers(), diff_ids: Vec::new() }
    }
}

fn layers() -> String {
    "layers".to_owned()
}

/// One step of an image's history, oldest first in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub author: String,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// The step made no layer.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub empty_layer: bool,
}

/// The execution parameters that containers of the image start from. `None` is Go's `null`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub user: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposed_ports: Option<BTreeMap<String, Empty>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "words")]
    pub entrypoint: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "words")]
    pub cmd: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volumes: Option<BTreeMap<String, Empty>>,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "words")]
    pub shell: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_build: Option<Vec<String>>,
    /// Windows: `cmd` is one already escaped command line.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub args_escaped: bool,
    /// Everything else (`Hostname`, `Memory`, `Image`, …).
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// `HEALTHCHECK`. Durations in nanoseconds; zero means "inherit / default".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `[]` inherit, `["NONE"]` disable, `["CMD", args…]`, `["CMD-SHELL", command]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Vec<String>>,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub interval: i64,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub timeout: i64,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub start_period: i64,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub start_interval: i64,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub retries: i64,
}

/// Go's `struct{}`: `{}` on the wire, anything accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Empty;

impl Serialize for Empty {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        serializer.serialize_map(Some(0))?.end()
    }
}

impl<'de> Deserialize<'de> for Empty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Empty, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer)?;
        Ok(Empty)
    }
}

/// Docker's `strslice`: an array, or one string that becomes an array of one.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        Many(Vec<String>),
        One(String),
    }
    Ok(Option::<Words>::deserialize(deserializer)?.map(|words| match words {
        Words::Many(words) => words,
        Words::One(word) => vec![word],
    }))
}

impl ImageConfig {
    pub fn parse(bytes: &[u8]) -> Result<ImageConfig, DocumentError> {
        let what = "image configuration";
        serde_json::from_slice(bytes).map_err(|source| DocumentError::Json { what, source })
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// When the image was made, if it says so in RFC 3339.
    pub fn created_at(&self) -> Option<jiff::Timestamp> {
        self.created.as_deref()?.parse().ok()
    }

    pub fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone(),
            os_version: self.os_version.clone(),
            os_features: Vec::new(),
        }
        .normalized()
    }

    /// Chain ids of the layers, lowest first.
    pub fn chain_ids(&self) -> Vec<Digest> {
        chain_ids(&self.rootfs.diff_ids)
    }

    /// Labels, empty when there are none.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.config.as_ref()?.labels.as_ref()?.get(key).map(String::as_str)
    }
}

/// The chain id of a layer on its parent (config.md, "Layer ChainID").
pub fn chain_id(parent: Option<&Digest>, diff_id: &Digest) -> Digest {
    match parent {
        None => diff_id.clone(),
        Some(parent) => Digest::sha256(format!("{parent} {diff_id}")),
    }
}

/// Chain ids of a stack of layers, lowest first.
pub fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        chain.push(chain_id(chain.last(), diff_id));
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_id_is_the_hash_of_parent_and_diff() {
        let (a, b) = (Digest::sha256("a"), Digest::sha256("b"));
        assert_eq!(chain_ids(&[a.clone(), b.clone()]), vec![a.clone(), Digest::sha256(format!("{a} {b}"))]);
        assert_eq!(chain_id(None, &a), a);
    }

    #[test]
    fn dockers_own_configuration_reads_and_keeps_what_is_unknown() {
        let text = r#"{"architecture":"amd64","os":"linux","created":"2024-05-01T10:00:00.123456789Z","docker_version":"20.10.23",
          "config":{"Hostname":"","Env":null,"Cmd":"sh","Entrypoint":["/e"],"ExposedPorts":{"80/tcp":{}},"Volumes":{"/v":null},
                    "Labels":null,"OnBuild":null,"WorkingDir":null},
          "rootfs":{"type":"layers","diff_ids":null},"history":[{"created_by":"x","empty_layer":true}]}"#;
        let config = ImageConfig::parse(text.as_bytes()).unwrap();
        let inner = config.config.as_ref().unwrap();
        assert_eq!(inner.cmd.as_deref(), Some(&["sh".to_owned()][..]));
        assert!(inner.volumes.as_ref().unwrap().contains_key("/v"));
        assert_eq!(config.extra["docker_version"], "20.10.23");
        assert_eq!(config.created_at().unwrap().as_second(), 1714557600);
        let again = ImageConfig::parse(&config.to_bytes()).unwrap();
        assert_eq!(again, config);
    }
}

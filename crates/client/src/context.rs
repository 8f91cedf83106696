//! Which engine a command is for: `-H`, `--context`, `NARU_HOST`, `DOCKER_HOST`, `DOCKER_CONTEXT`, the current context of
//! config.json, or this machine's own engine, in this order. Contexts are read from where the docker client keeps them.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::config_file::ConfigFile;
use crate::endpoint::{Endpoint, TlsFiles};
use crate::error::{Error, Result};

/// The context that stands for flags, environment and the default socket.
const DEFAULT: &str = "default";

/// What flags and environment say; the caller reads them.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `-H`.
    pub host: Option<String>,
    /// `--context`.
    pub context: Option<String>,
    /// `NARU_HOST`, or else `DOCKER_HOST`.
    pub host_variable: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub context_variable: Option<String>,
    /// `--tls`, or `DOCKER_TLS`.
    pub tls: bool,
    /// `--tlsverify`, or `DOCKER_TLS_VERIFY`.
    pub tls_verify: bool,
    /// `--tlscacert`, `--tlscert`, `--tlskey`.
    pub tls_files: [Option<PathBuf>; 3],
    /// `DOCKER_CERT_PATH`.
    pub cert_path: Option<PathBuf>,
    /// The folder of config.json and contexts.
    pub config_dir: PathBuf,
    /// The socket of this machine's own engine.
    pub default_socket: PathBuf,
}

/// A named engine: `contexts/meta/<sha256 of the name>/meta.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Its name.
    pub name: String,
    /// What its author wrote about it.
    pub description: String,
    /// Its engine.
    pub endpoint: Endpoint,
}

impl Settings {
    /// The name of the context that is in effect.
    pub fn context_name(&self, config: &ConfigFile) -> String {
        let flags = self.host.is_none().then(|| self.context.clone()).flatten();
        let variable = || match self.host.is_some() || self.host_variable.is_some() {
            true => Some(DEFAULT.to_owned()),
            false => self.context_variable.clone(),
        };
        let current = || Some(config.current_context.clone()).filter(|name| !name.is_empty());
        flags.or_else(variable).or_else(current).unwrap_or_else(|| DEFAULT.to_owned())
    }

    /// The engine that is meant.
    pub fn endpoint(&self, config: &ConfigFile) -> Result<Endpoint> {
        if self.host.is_some() && self.context.is_some() {
            return Err(Error::Settings(
                "conflicting options: cannot specify both --host and --context".to_owned(),
            ));
        }
        let name = self.context_name(config);
        if name != DEFAULT {
            return Ok(Context::read(&self.config_dir, &name)?.endpoint);
        }
        match self.host.as_deref().or(self.host_variable.as_deref()) {
            Some(host) => Endpoint::parse(host, self.tls()),
            None => Ok(Endpoint::Unix(self.default_socket.clone())),
        }
    }

    fn tls(&self) -> Option<TlsFiles> {
        if !self.tls && !self.tls_verify {
            return None;
        }
        let folder = self.cert_path.as_deref().unwrap_or(&self.config_dir);
        let mut files = TlsFiles::in_folder(folder, self.tls_verify);
        let [ca, cert, key] = &self.tls_files;
        files.ca = ca.clone().or(files.ca);
        files.cert = cert.clone().or(files.cert);
        files.key = key.clone().or(files.key);
        Some(files)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    name: String,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    endpoints: Endpoints,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Metadata {
    description: String,
}

#[derive(Deserialize, Default)]
struct Endpoints {
    docker: Option<EndpointMeta>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct EndpointMeta {
    host: String,
    #[serde(rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

impl Context {
    /// Reads one context by name.
    pub fn read(config_dir: &Path, name: &str) -> Result<Self> {
        let id = folder_name(name);
        let path = config_dir.join("contexts/meta").join(&id).join("meta.json");
        let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::Settings(format!(
                "context \"{name}\": context not found: open {}: no such file or directory",
                path.display()
            )),
            _ => Error::protocol(format!("read {}", path.display()), error),
        })?;
        Self::parse(config_dir, &bytes)
            .map_err(|reason| Error::protocol(format!("read {}", path.display()), reason))
    }

    /// All contexts of a folder, by name; what cannot be read is left out.
    pub fn list(config_dir: &Path) -> Vec<Self> {
        let folders = std::fs::read_dir(config_dir.join("contexts/meta")).into_iter().flatten().flatten();
        let read = |folder: std::fs::DirEntry| {
            Self::parse(config_dir, &std::fs::read(folder.path().join("meta.json")).ok()?).ok()
        };
        let mut contexts: Vec<Self> = folders.filter_map(read).collect();
        contexts.sort_by(|a, b| a.name.cmp(&b.name));
        contexts
    }

    fn parse(config_dir: &Path, bytes: &[u8]) -> std::result::Result<Self, String> {
        let meta: Meta = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let docker = meta.endpoints.docker.ok_or("it has no docker endpoint")?;
        let tls_folder = config_dir.join("contexts/tls").join(folder_name(&meta.name)).join("docker");
        let tls = (docker.skip_tls_verify || tls_folder.is_dir())
            .then(|| TlsFiles::in_folder(&tls_folder, !docker.skip_tls_verify));
        let endpoint = Endpoint::parse(&docker.host, tls).map_err(|error| error.to_string())?;
        Ok(Self { name: meta.name, description: meta.metadata.description, endpoint })
    }
}

/// The docker client names a context's folder by the digest of the context's name.
fn folder_name(name: &str) -> String {
    Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &Path) -> Settings {
        Settings {
            config_dir: folder.to_owned(),
            default_socket: "/run/naru/naru.sock".into(),
            ..Settings::default()
        }
    }

    fn write_context(folder: &Path, name: &str, host: &str) {
        let path = folder.join("contexts/meta").join(folder_name(name));
        std::fs::create_dir_all(&path).unwrap();
        let meta = format!(
            r#"{{"Name":"{name}","Metadata":{{"Description":"d"}},"Endpoints":{{"docker":{{"Host":"{host}","SkipTLSVerify":false}}}}}}"#
        );
        std::fs::write(path.join("meta.json"), meta).unwrap();
    }

    #[test]
    fn the_nearest_word_wins() {
        let folder = tempfile::tempdir().unwrap();
        write_context(folder.path(), "far", "ssh://me@far");
        let none = ConfigFile::default();
        let current = ConfigFile { current_context: "far".to_owned(), ..ConfigFile::default() };
        let base = settings(folder.path());
        let where_is = |settings: &Settings, config| settings.endpoint(config).unwrap().to_string();
        assert_eq!(where_is(&base, &none), "unix:///run/naru/naru.sock");
        assert_eq!(where_is(&base, &current), "ssh://me@far");
        let variable = Settings { host_variable: Some("tcp://1.2.3.4".into()), ..base.clone() };
        assert_eq!(where_is(&variable, &current), "tcp://1.2.3.4:2375");
        let context = Settings { context: Some("far".into()), ..variable.clone() };
        assert_eq!(where_is(&context, &none), "ssh://me@far");
        let host = Settings { host: Some("unix:///x".into()), ..variable };
        assert_eq!(where_is(&host, &current), "unix:///x");
        let default = Settings { context: Some("default".into()), ..base.clone() };
        assert_eq!(where_is(&default, &current), "unix:///run/naru/naru.sock");
        let both = Settings { host: Some("unix:///x".into()), context: Some("far".into()), ..base.clone() };
        assert!(both.endpoint(&none).unwrap_err().to_string().starts_with("conflicting options"));
        let missing = Settings { context_variable: Some("gone".into()), ..base };
        assert!(missing.endpoint(&none).unwrap_err().to_string().contains("context not found"));
        assert_eq!(Context::list(folder.path())[0].name, "far");
    }

    #[test]
    fn tls_comes_with_its_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), "").unwrap();
        let settings = Settings {
            host: Some("tcp://box".into()),
            tls_verify: true,
            cert_path: Some(folder.path().to_owned()),
            ..settings(Path::new("/nonexistent"))
        };
        let Endpoint::Tcp { port, tls: Some(tls), .. } = settings.endpoint(&ConfigFile::default()).unwrap()
        else {
            panic!("TLS expected")
        };
        assert_eq!(
            (port, tls.ca, tls.cert, tls.skip_verify),
            (2376, Some(folder.path().join("ca.pem")), None, false)
        );
    }
}

//! The files of contexts, and the field of config.json that names the current one.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use image::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::{Context, Failure, file, output};

/// The context that stands for flags, environment and the default socket; it has no files.
pub const DEFAULT: &str = "default";
/// The certificates of a context.
pub const TLS_FILES: [&str; 3] = ["ca.pem", "cert.pem", "key.pem"];

/// Certificates by file name.
pub type Tls = Vec<(&'static str, Vec<u8>)>;

/// `meta.json`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Meta {
    pub name: String,
    #[serde(default)]
    pub metadata: Map<String, Value>,
    #[serde(default)]
    pub endpoints: BTreeMap<String, Endpoint>,
}

/// How to reach an engine.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Endpoint {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
    #[serde(rename = "SkipTLSVerify", default)]
    pub skip_tls_verify: bool,
}

impl Meta {
    /// What the user wrote about it.
    pub fn description(&self) -> &str {
        self.metadata.get("Description").and_then(Value::as_str).unwrap_or_default()
    }

    /// Sets it; nothing removes it.
    pub fn describe(&mut self, text: &str) {
        match text {
            "" => self.metadata.remove("Description"),
            text => self.metadata.insert("Description".to_owned(), Value::from(text)),
        };
    }

    /// Where its engine is.
    pub fn host(&self) -> &str {
        self.endpoints.get("docker").map_or("", |endpoint| endpoint.host.as_str())
    }
}

/// The folder of contexts.
pub struct Store {
    root: PathBuf,
}

impl Store {
    pub fn of(context: &Context) -> Self {
        Self { root: context.config_dir().join("contexts") }
    }

    #[cfg(test)]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The folder with a context's `meta.json`.
    pub fn meta_folder(&self, name: &str) -> PathBuf {
        self.root.join("meta").join(folder_name(name))
    }

    /// The folder with a context's certificates.
    pub fn tls_folder(&self, name: &str) -> PathBuf {
        self.root.join("tls").join(folder_name(name))
    }

    /// Reads one.
    pub fn read(&self, name: &str) -> anyhow::Result<Meta> {
        let path = self.meta_folder(name).join("meta.json");
        let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::new(
                1,
                format!(
                    "context \"{name}\": context not found: open {}: no such file or directory",
                    path.display()
                ),
            ),
            _ => file::failed("open", path.display(), &error),
        })?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Failure::new(1, format!("parsing {}: {error}", path.display())).into())
    }

    /// Whether there is one of this name.
    pub fn has(&self, name: &str) -> bool {
        self.meta_folder(name).join("meta.json").exists()
    }

    /// Fails unless a context may be made under this name.
    pub fn check_new(&self, name: &str) -> Result<(), Failure> {
        check_name(name)?;
        match self.has(name) {
            true => Err(Failure::new(1, format!("context \"{name}\" already exists"))),
            false => Ok(()),
        }
    }

    /// Writes a new one, with its certificates if it has any.
    pub fn add(&self, meta: &Meta, tls: &Tls) -> anyhow::Result<()> {
        self.write(meta)?;
        if tls.is_empty() { Ok(()) } else { self.write_tls(&meta.name, tls) }
    }

    /// All of them by name; one that cannot be read is told and left out.
    pub fn list(&self) -> Vec<Meta> {
        let folders = std::fs::read_dir(self.root.join("meta")).into_iter().flatten().flatten();
        let mut all: Vec<Meta> = Vec::new();
        for path in folders.map(|folder| folder.path().join("meta.json")).filter(|path| path.exists()) {
            let parsed = std::fs::read(&path).map_err(|error| error.to_string());
            match parsed.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string())) {
                Ok(meta) => all.push(meta),
                Err(error) => output::warn(&format!("WARNING: parsing {}: {error}", path.display())),
            }
        }
        all.sort_by(|a, b| crate::format::natural(&a.name, &b.name));
        all
    }

    /// Writes one.
    pub fn write(&self, meta: &Meta) -> anyhow::Result<()> {
        write(&self.meta_folder(&meta.name), "meta.json", &serde_json::to_vec(meta)?)
    }

    /// Writes a context's certificates, in place of those it had.
    pub fn write_tls(&self, name: &str, files: &[(&str, Vec<u8>)]) -> anyhow::Result<()> {
        let folder = self.tls_folder(name).join("docker");
        if folder.exists() {
            std::fs::remove_dir_all(&folder)
                .map_err(|error| file::failed("remove", folder.display(), &error))?;
        }
        files.iter().try_for_each(|(file, bytes)| write(&folder, file, bytes))
    }

    /// A context's certificates.
    pub fn read_tls(&self, name: &str) -> Tls {
        let folder = self.tls_folder(name).join("docker");
        let read = |file: &'static str| Some((file, std::fs::read(folder.join(file)).ok()?));
        TLS_FILES.into_iter().filter_map(read).collect()
    }

    /// Removes one and what belongs to it.
    pub fn remove(&self, name: &str) -> anyhow::Result<()> {
        for folder in [self.meta_folder(name), self.tls_folder(name)] {
            match std::fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(file::failed("remove", folder.display(), &error).into());
                }
                _ => (),
            }
        }
        Ok(())
    }
}

fn folder_name(name: &str) -> String {
    Digest::sha256(name.as_bytes()).hex().to_owned()
}

/// Writes a file in one step; only its owner may read it.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let failed = |error: io::Error| file::failed("write", folder.join(name).display(), &error);
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(failed)?;
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    let mut out =
        options.write(true).create(true).truncate(true).mode(0o600).open(&temporary).map_err(failed)?;
    let written = out.write_all(bytes).and_then(|()| std::fs::rename(&temporary, folder.join(name)));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    Ok(written.map_err(failed)?)
}

/// Names a context in config.json; `default` removes the field. Everything else in the file stays as it is.
pub fn set_current(context: &Context, name: &str) -> anyhow::Result<()> {
    let path = context.config_dir().join("config.json");
    let mut document: Map<String, Value> = match std::fs::read(&path) {
        Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Map::new(),
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| Failure::new(1, format!("parsing {}: {error}", path.display())))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Map::new(),
        Err(error) => return Err(file::failed("open", path.display(), &error).into()),
    };
    if document.get("currentContext").and_then(Value::as_str).unwrap_or(DEFAULT) == name {
        return Ok(());
    }
    match name {
        DEFAULT => document.remove("currentContext"),
        name => document.insert("currentContext".to_owned(), Value::from(name)),
    };
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    document.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))?;
    // A link to a file elsewhere stays one.
    let target = std::fs::canonicalize(&path).unwrap_or(path);
    write(target.parent().unwrap_or(Path::new("/")), "config.json", &bytes)
}

/// Fails on a name that would not do as one.
pub fn check_name(name: &str) -> Result<(), Failure> {
    if name == DEFAULT {
        return Err(Failure::new(1, "\"default\" is a reserved context name"));
    }
    if name.is_empty() {
        return Err(Failure::new(1, "context name cannot be empty"));
    }
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = name.bytes().skip(1).all(|byte| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte));
    if !first || !rest || name.len() < 2 {
        return Err(Failure::new(
            1,
            format!(
                "context name \"{name}\" is invalid, names are validated against regexp \"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\""
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_kept_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store { root: folder.path().join("contexts") };
        let mut meta = Meta { name: "far".to_owned(), ..Meta::default() };
        meta.describe("d d");
        meta.endpoints.insert(
            "docker".to_owned(),
            Endpoint { host: "ssh://me@far".to_owned(), skip_tls_verify: false },
        );
        store.write(&meta).unwrap();
        store.write_tls("far", &[("ca.pem", b"x".to_vec())]).unwrap();
        let text = std::fs::read_to_string(store.meta_folder("far").join("meta.json")).unwrap();
        assert_eq!(
            text,
            r#"{"Name":"far","Metadata":{"Description":"d d"},"Endpoints":{"docker":{"Host":"ssh://me@far","SkipTLSVerify":false}}}"#
        );
        assert!(
            store
                .meta_folder("far")
                .ends_with("meta/512eea46ceb3921dff4363c7069d89d4964d1d9fccaa0f411851a7aa60a5c868")
        );
        assert_eq!(store.list()[0].description(), "d d");
        assert_eq!(store.read_tls("far"), [("ca.pem", b"x".to_vec())]);
        store.remove("far").unwrap();
        assert!(!store.has("far") && store.list().is_empty());
        assert!(
            store
                .read("far")
                .unwrap_err()
                .to_string()
                .starts_with("context \"far\": context not found: open ")
        );
    }

    #[test]
    fn names() {
        assert!(check_name("my-host.1").is_ok());
        for name in ["", "default", "bad/name", ".x", "x"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}

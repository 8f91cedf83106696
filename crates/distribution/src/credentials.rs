//! The client's side of credentials: `config.json` of the docker CLI, and credential helpers.
//!
//! Synchronous; runs `docker-credential-*` programs. The caller says where the folder is (`~/.docker`) and what
//! `DOCKER_AUTH_CONFIG` holds: this module reads no environment. Everything in the file that is not about credentials is
//! kept as it is. Sources: docker/cli `cli/config/configfile`, docker-credential-helpers' protocol.

mod containers;
mod helper;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::auth::Auth;
pub use containers::lookup_in;
use helper::Helper;

/// The key under which Docker Hub's credentials are kept.
pub const HUB_KEY: &str = "https://index.docker.io/v1/";

/// Why credentials can't be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file can't be read, or not be replaced.
    #[error("{what} {}", path.display())]
    File {
        /// `read` or `write`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file (or `DOCKER_AUTH_CONFIG`) is not what it should be.
    #[error("parse {what}")]
    Format {
        /// Where it came from.
        what: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// An entry is not `base64(user:password)`.
    #[error("invalid auth configuration file: entry for {0}")]
    Entry(String),
    /// A helper could not be run, or failed.
    #[error("error {doing} credentials - err: {error}, out: `{output}`")]
    Helper {
        /// `getting`, `storing` or `erasing`.
        doing: &'static str,
        /// How it ended.
        error: String,
        /// What it said.
        output: String,
    },
}

/// The credentials a user has.
#[derive(Debug, Clone)]
pub struct Credentials {
    path: PathBuf,
    /// The whole file.
    document: Map<String, Value>,
    /// `DOCKER_AUTH_CONFIG`, which goes before everything else.
    given: BTreeMap<String, Entry>,
}

/// One entry of `auths`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Entry {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    auth: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    password: String,
    #[serde(default, rename = "identitytoken", skip_serializing_if = "String::is_empty")]
    identity_token: String,
    #[serde(default, rename = "registrytoken", skip_serializing_if = "String::is_empty")]
    registry_token: String,
}

impl Credentials {
    /// Reads `config.json` in `folder`; a missing file is an empty one. `given` is the text of `DOCKER_AUTH_CONFIG`.
    pub fn load(folder: &Path, given: Option<&str>) -> Result<Self, CredentialsError> {
        let file = Credentials::read(folder.join("config.json"))?;
        #[derive(Deserialize)]
        struct Given {
            #[serde(default)]
            auths: BTreeMap<String, Entry>,
        }
        let given = match given.filter(|text| !text.trim().is_empty()) {
            Some(text) => {
                let what = "DOCKER_AUTH_CONFIG".to_owned();
                serde_json::from_str::<Given>(text)
                    .map_err(|source| CredentialsError::Format { what, source })?
                    .auths
            }
            None => BTreeMap::new(),
        };
        Ok(Credentials { given, ..file })
    }

    fn read(path: PathBuf) -> Result<Self, CredentialsError> {
        let document = match std::fs::read(&path) {
            Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Map::new(),
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| CredentialsError::Format { what: path.display().to_string(), source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Map::new(),
            Err(source) => return Err(CredentialsError::File { what: "read", path, source }),
        };
        Ok(Credentials { path, document, given: BTreeMap::new() })
    }

    /// Credentials for a registry (`docker.io`, `localhost:5000`, or a server address); empty when there are none.
    pub fn lookup(&self, registry: &str) -> Result<Auth, CredentialsError> {
        let key = server_key(registry);
        if let Some((key, entry)) = find(&self.given, &key) {
            return entry.auth(key);
        }
        if let Some(helper) = self.helper(&key) {
            return helper::get(&helper, &key);
        }
        let entries = self.entries();
        match find(&entries, &key) {
            Some((key, entry)) => entry.auth(key),
            None => Ok(Auth { server_address: key, ..Auth::default() }),
        }
    }

    /// Credentials of every registry that is known, by server address: for builds (`X-Registry-Config`).
    pub fn all(&self) -> Result<BTreeMap<String, Auth>, CredentialsError> {
        let mut all = BTreeMap::new();
        for (key, entry) in self.entries() {
            all.insert(key.clone(), entry.auth(&key)?);
        }
        if let Some(store) = self.text("credsStore") {
            let store = Helper::named(store);
            for key in helper::list(&store)?.into_keys() {
                all.insert(key.clone(), helper::get(&store, &key)?);
            }
        }
        for (key, helper) in self.helpers() {
            all.insert(key.to_owned(), helper::get(&Helper::named(helper), key)?);
        }
        for (key, entry) in &self.given {
            all.insert(key.clone(), entry.auth(key)?);
        }
        Ok(all)
    }

    /// Keeps credentials under `auth.server_address`: in the helper for it, else in the file.
    pub fn store(&mut self, auth: &Auth) -> Result<(), CredentialsError> {
        let key = server_key(&auth.server_address);
        let entry = match self.helper(&key) {
            Some(helper) => {
                helper::store(&helper, &key, auth)?;
                Entry::default()
            }
            None if auth.identity_token.is_empty() => {
                let auth = STANDARD.encode(format!("{}:{}", auth.username, auth.password));
                Entry { auth, ..Entry::default() }
            }
            None => {
                let user = STANDARD.encode(format!("{}:", auth.username));
                Entry { auth: user, identity_token: auth.identity_token.clone(), ..Entry::default() }
            }
        };
        let auths = self.document.entry("auths").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(auths) = auths {
            auths.insert(key, serde_json::to_value(entry).unwrap_or_default());
        }
        self.save()
    }

    /// Forgets a registry. Returns whether anything was known.
    pub fn erase(&mut self, registry: &str) -> Result<bool, CredentialsError> {
        let key = server_key(registry);
        let host = hostname(&key).to_owned();
        let mut known = false;
        if let Some(helper) = self.helper(&key) {
            known = !helper::get(&helper, &key)?.is_empty();
            helper::erase(&helper, &key)?;
        }
        if let Some(Value::Object(auths)) = self.document.get_mut("auths") {
            let before = auths.len();
            auths.retain(|entry, _| *entry != key && hostname(entry) != host);
            known |= auths.len() < before;
        }
        self.save()?;
        Ok(known)
    }

    /// Whether passwords of this registry would end up in the file, readable by whoever reads the file.
    pub fn is_plain_text(&self, registry: &str) -> bool {
        self.helper(&server_key(registry)).is_none()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn helper(&self, key: &str) -> Option<Helper> {
        let host = hostname(key);
        let own = self.helpers().find(|(name, _)| *name == key || *name == host).map(|(_, helper)| helper);
        own.or_else(|| self.text("credsStore"))
            .filter(|helper| !helper.is_empty() && !helper.contains('/'))
            .map(Helper::named)
    }

    fn helpers(&self) -> impl Iterator<Item = (&str, &str)> {
        let helpers = self.document.get("credHelpers").and_then(Value::as_object);
        helpers.into_iter().flatten().filter_map(|(name, helper)| Some((name.as_str(), helper.as_str()?)))
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.document.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    fn entries(&self) -> BTreeMap<String, Entry> {
        let auths = self.document.get("auths").and_then(Value::as_object);
        let entries = auths.into_iter().flatten();
        entries
            .map(|(key, entry)| (key.clone(), serde_json::from_value(entry.clone()).unwrap_or_default()))
            .collect()
    }

    /// Replaces the file in one step; only its owner may read it. A symbolic link stays one.
    fn save(&self) -> Result<(), CredentialsError> {
        let path = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let failed = |source| CredentialsError::File { what: "write", path: path.clone(), source };
        let mut bytes = Vec::new();
        let mut writer = serde_json::Serializer::with_formatter(
            &mut bytes,
            serde_json::ser::PrettyFormatter::with_indent(b"\t"),
        );
        self.document.serialize(&mut writer).map_err(|error| failed(error.into()))?;
        write_private(&path, &bytes).map_err(failed)
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let unique = getrandom::u64().map_err(io::Error::other)?;
    let temporary = folder.join(format!(".config.json.{unique:016x}"));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let renamed = written.and_then(|()| std::fs::rename(&temporary, path));
    if renamed.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    renamed
}

impl Entry {
    fn auth(&self, key: &str) -> Result<Auth, CredentialsError> {
        let (mut username, mut password) = (self.username.clone(), self.password.clone());
        if !self.auth.is_empty() {
            (username, password) =
                decode_pair(&self.auth).ok_or_else(|| CredentialsError::Entry(key.to_owned()))?;
        }
        Ok(Auth {
            username,
            password,
            identity_token: self.identity_token.clone(),
            registry_token: self.registry_token.clone(),
            server_address: key.to_owned(),
        })
    }
}

/// User name and password of `base64(user:password)`.
pub fn decode_pair(text: &str) -> Option<(String, String)> {
    let decoded = String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()?;
    let (user, secret) = decoded.split_once(':')?;
    // Old clients padded the password with NULs.
    Some((user.to_owned(), secret.trim_matches('\0').to_owned()))
}

/// The entry for a server: by its exact key, else by its host name (old files have URLs as keys).
fn find<'a>(entries: &'a BTreeMap<String, Entry>, key: &str) -> Option<(&'a str, &'a Entry)> {
    let exact = entries.get_key_value(key);
    let host = hostname(key);
    // Podman's name for Docker Hub is `docker.io`.
    let is_same = |entry: &str| entry == host || server_key(entry) == key;
    let found = exact.or_else(|| entries.iter().find(|(entry, _)| is_same(hostname(entry))));
    found.map(|(key, entry)| (key.as_str(), entry))
}

/// The key under which a registry's credentials are kept: its host, except for Docker Hub.
pub fn server_key(registry: &str) -> String {
    match registry {
        "" | "docker.io" | "index.docker.io" | "registry-1.docker.io" => HUB_KEY.to_owned(),
        other if hostname(other) == "index.docker.io" => HUB_KEY.to_owned(),
        other => other.to_owned(),
    }
}

/// `host[:port]` of a server address that may be a URL.
pub fn hostname(address: &str) -> &str {
    let rest =
        address.strip_prefix("https://").or_else(|| address.strip_prefix("http://")).unwrap_or(address);
    rest.split('/').next().unwrap_or_default()
}

#[derive(Serialize, Deserialize)]
struct HeaderForm {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    password: String,
    #[serde(default, rename = "serveraddress", skip_serializing_if = "String::is_empty")]
    server_address: String,
    #[serde(default, rename = "identitytoken", skip_serializing_if = "String::is_empty")]
    identity_token: String,
    #[serde(default, rename = "registrytoken", skip_serializing_if = "String::is_empty")]
    registry_token: String,
}

impl Auth {
    /// Whether there is nothing to authenticate with.
    pub fn is_empty(&self) -> bool {
        self.username.is_empty() && self.identity_token.is_empty() && self.registry_token.is_empty()
    }

    /// The value of an `X-Registry-Auth` header (base64url of JSON).
    pub fn to_header(&self) -> String {
        let form = HeaderForm {
            username: self.username.clone(),
            password: self.password.clone(),
            server_address: self.server_address.clone(),
            identity_token: self.identity_token.clone(),
            registry_token: self.registry_token.clone(),
        };
        URL_SAFE.encode(serde_json::to_vec(&form).unwrap_or_default())
    }

    /// Reads an `X-Registry-Auth` header; padding and alphabet as clients send them. `None` for what makes no sense.
    pub fn from_header(value: &str) -> Option<Auth> {
        let standard: String = value
            .trim()
            .trim_end_matches('=')
            .chars()
            .map(|c| match c {
                '-' => '+',
                '_' => '/',
                c => c,
            })
            .collect();
        let bytes = base64::engine::general_purpose::STANDARD_NO_PAD.decode(standard).ok()?;
        if bytes.is_empty() {
            return Some(Auth::default());
        }
        let form: HeaderForm = serde_json::from_slice(&bytes).ok()?;
        Some(Auth {
            username: form.username,
            password: form.password,
            identity_token: form.identity_token,
            registry_token: form.registry_token,
            server_address: form.server_address,
        })
    }
}

#[cfg(test)]
mod tests;

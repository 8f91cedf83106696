//! `~/.docker/config.json` as far as a client needs it: the current context, headers, keys, proxies, formats. Credentials are
//! `distribution`'s.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};

/// The client's part of config.json.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigFile {
    /// The context that `context use` chose.
    pub current_context: String,
    /// Headers of every request.
    #[serde(rename = "HttpHeaders")]
    pub http_headers: BTreeMap<String, String>,
    /// Keys that detach from a container.
    pub detach_keys: String,
    /// Proxies for containers and builds, by engine address or `default`.
    pub proxies: BTreeMap<String, Proxy>,
    /// Every other setting, such as `psFormat`.
    #[serde(flatten)]
    pub rest: BTreeMap<String, serde_json::Value>,
}

/// Proxy settings that containers get as environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Proxy {
    pub http_proxy: String,
    pub https_proxy: String,
    pub no_proxy: String,
    pub ftp_proxy: String,
    pub all_proxy: String,
}

impl ConfigFile {
    /// Reads `config.json` of a folder; a missing file is an empty one.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        let doing = || format!("read {}", path.display());
        match std::fs::read(&path) {
            Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Ok(Self::default()),
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| Error::protocol(doing(), error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::protocol(doing(), error)),
        }
    }

    /// A format such as `psFormat`; empty when it is not set.
    pub fn format(&self, name: &str) -> &str {
        self.rest.get(name).and_then(serde_json::Value::as_str).unwrap_or_default()
    }

    /// The variables a container gets for the engine at `host`: each in capitals and small letters, as Docker sets them.
    pub fn proxy_environment(&self, host: &str) -> Vec<(String, String)> {
        let Some(proxy) = self.proxies.get(host).or_else(|| self.proxies.get("default")) else {
            return Vec::new();
        };
        [
            ("HTTP_PROXY", &proxy.http_proxy),
            ("HTTPS_PROXY", &proxy.https_proxy),
            ("NO_PROXY", &proxy.no_proxy),
            ("FTP_PROXY", &proxy.ftp_proxy),
            ("ALL_PROXY", &proxy.all_proxy),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .flat_map(|(name, value)| [(name.to_owned(), value.clone()), (name.to_lowercase(), value.clone())])
        .collect()
    }
}

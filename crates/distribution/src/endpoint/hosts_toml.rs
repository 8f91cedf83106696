//! containerd's `hosts.toml`: which hosts stand for a registry, what each may be asked, and how it is reached.
//!
//! ```text
//! certs.d/docker.io/hosts.toml      server = "https://registry-1.docker.io"
//!                                   [host."https://mirror.example"]  capabilities, ca, client, skip_verify, header, …
//! ```
//! Format: containerd `docs/hosts.md`. Hosts are tried in the order of the file, the server last. Paths in the file are relative
//! to its folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::http::header::{HeaderMap, HeaderName, HeaderValue};
use indexmap::IndexMap;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::tls::CertFiles;

/// The file's name.
pub(crate) const NAME: &str = "hosts.toml";
/// The folder that stands for every registry without one of its own.
pub(crate) const ANY: &str = "_default";

/// A file's content, ready to use.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    /// Mirrors, in order.
    pub hosts: Vec<Host>,
    /// The registry itself, as far as the file says something about it.
    pub server: Host,
}

/// One host.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// As written; empty for a server that the file does not name.
    pub url: String,
    pub capabilities: Capabilities,
    pub certs: CertFiles,
    pub skip_verify: bool,
    /// Sent with every request to this host, and to no other.
    pub headers: HeaderMap,
    /// The URL's path is the root of the API, without `/v2`.
    pub override_path: bool,
    pub connect: Option<Duration>,
}

/// What a host may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// Content by digest.
    pub pull: bool,
    /// What a tag stands for.
    pub resolve: bool,
    pub push: bool,
}

impl Capabilities {
    pub const ALL: Capabilities = Capabilities { pull: true, resolve: true, push: true };
}

#[derive(Deserialize)]
struct File {
    server: Option<String>,
    #[serde(flatten)]
    settings: Settings,
    #[serde(default)]
    host: IndexMap<String, Settings>,
}

#[derive(Default, Deserialize)]
struct Settings {
    capabilities: Option<Vec<String>>,
    ca: Option<OneOrMany>,
    client: Option<Client>,
    #[serde(default)]
    skip_verify: bool,
    #[serde(default)]
    header: BTreeMap<String, OneOrMany>,
    #[serde(default)]
    override_path: bool,
    dial_timeout: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn all(&self) -> &[String] {
        match self {
            OneOrMany::One(one) => std::slice::from_ref(one),
            OneOrMany::Many(many) => many,
        }
    }
}

/// Files with certificate and key, or pairs of files.
#[derive(Deserialize)]
#[serde(untagged)]
enum Client {
    One(String),
    Many(Vec<OneOrMany>),
}

/// The file for `host[:port]` in the first folder that has one. Like containerd, also in `host_port_`, for file systems that
/// take no colon.
pub(crate) fn find(folders: &[PathBuf], host: &str) -> Result<Option<Hosts>> {
    let mut names = vec![host.to_owned()];
    if let Some((name, port)) = host.rsplit_once(':') {
        names.push(format!("{name}_{port}_"));
    }
    read_first(folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name))))
}

/// The file for registries that have none of their own.
pub(crate) fn find_default(folders: &[PathBuf]) -> Result<Option<Hosts>> {
    read_first(folders.iter().map(|folder| folder.join(ANY)))
}

fn read_first(folders: impl Iterator<Item = PathBuf>) -> Result<Option<Hosts>> {
    for folder in folders {
        let path = folder.join(NAME);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let wrong = |reason: String| Error::Configuration(format!("{}: {reason}", path.display()));
                return parse(&text, &folder).map(Some).map_err(wrong);
            }
            Err(error) if super::is_absent(&error) => {}
            Err(error) => return Err(Error::Configuration(format!("read {}: {error}", path.display()))),
        }
    }
    Ok(None)
}

/// `folder` is where relative paths start.
pub(crate) fn parse(text: &str, folder: &Path) -> Result<Hosts, String> {
    let file: File = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let server = host(file.server.unwrap_or_default(), &file.settings, folder)?;
    let hosts = file.host.into_iter().map(|(url, settings)| host(url, &settings, folder));
    Ok(Hosts { hosts: hosts.collect::<Result<_, _>>()?, server })
}

fn host(url: String, settings: &Settings, folder: &Path) -> Result<Host, String> {
    let path = |text: &String| folder.join(text);
    let capabilities = match &settings.capabilities {
        None => Capabilities::ALL,
        Some(names) => {
            for name in names {
                if !["pull", "resolve", "push", "referrers"].contains(&name.as_str()) {
                    return Err(format!("unknown capability {name:?}"));
                }
            }
            let has = |name: &str| names.iter().any(|one| one == name);
            Capabilities { pull: has("pull"), resolve: has("resolve"), push: has("push") }
        }
    };
    let client = match &settings.client {
        None => Vec::new(),
        Some(Client::One(file)) => vec![(path(file), path(file))],
        Some(Client::Many(entries)) => {
            entries.iter().map(|entry| pair(entry, folder)).collect::<Result<_, _>>()?
        }
    };
    let authorities = settings.ca.iter().flat_map(|ca| ca.all()).map(path).collect();
    let mut headers = HeaderMap::new();
    for (name, values) in &settings.header {
        let wrong = || format!("{name:?} is no header");
        let key = HeaderName::try_from(name).map_err(|_| wrong())?;
        for value in values.all() {
            let mut value = HeaderValue::try_from(value).map_err(|_| wrong())?;
            value.set_sensitive(true);
            headers.append(key.clone(), value);
        }
    }
    let connect = settings.dial_timeout.as_deref().map(duration).transpose()?;
    Ok(Host {
        url,
        capabilities,
        certs: CertFiles { authorities, client },
        skip_verify: settings.skip_verify,
        headers,
        override_path: settings.override_path,
        connect,
    })
}

fn pair(entry: &OneOrMany, folder: &Path) -> Result<(PathBuf, PathBuf), String> {
    match entry.all() {
        [file] => Ok((folder.join(file), folder.join(file))),
        // An empty key: it is in the same file.
        [certificate, key] if key.is_empty() => Ok((folder.join(certificate), folder.join(certificate))),
        [certificate, key] => Ok((folder.join(certificate), folder.join(key))),
        _ => Err("client: expected a file, or a certificate and a key".to_owned()),
    }
}

/// Go's notation, as far as time-outs go: `500ms`, `3s`, `1m`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("invalid duration {text:?}");
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "s" => number,
        "m" => number * 60.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_keep_their_order_and_every_setting() {
        let text = r#"
            server = "https://registry-1.docker.io"
            ca = "server.pem"
            [host."https://zeta.example"]
            capabilities = ["pull"]
            ca = ["a.pem", "/etc/b.pem"]
            client = [["c.cert", "c.key"], "both.pem"]
            [host."http://alpha.example:5000/v2/hub"]
            override_path = true
            skip_verify = true
            dial_timeout = "1.5s"
            [host."http://alpha.example:5000/v2/hub".header]
            authorization = "Bearer x"
            x-two = ["1", "2"]
        "#;
        let parsed = parse(text, Path::new("/certs/docker.io")).unwrap();
        let [zeta, alpha] = &parsed.hosts[..] else { panic!("{parsed:?}") };
        assert_eq!(zeta.url, "https://zeta.example");
        assert_eq!(zeta.capabilities, Capabilities { pull: true, resolve: false, push: false });
        let path = |text: &str| PathBuf::from(text);
        assert_eq!(zeta.certs.authorities, [path("/certs/docker.io/a.pem"), path("/etc/b.pem")]);
        let pair = |cert: &str, key: &str| {
            (Path::new("/certs/docker.io").join(cert), Path::new("/certs/docker.io").join(key))
        };
        assert_eq!(zeta.certs.client, [pair("c.cert", "c.key"), pair("both.pem", "both.pem")]);
        assert!(alpha.override_path && alpha.skip_verify && alpha.capabilities == Capabilities::ALL);
        assert_eq!(alpha.connect, Some(Duration::from_millis(1500)));
        assert!(alpha.headers["authorization"].is_sensitive());
        assert_eq!(alpha.headers.get_all("x-two").iter().count(), 2);
        assert_eq!(parsed.server.url, "https://registry-1.docker.io");
        assert_eq!(parsed.server.certs.authorities, [path("/certs/docker.io/server.pem")]);
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        let error = |text: &str| parse(text, Path::new("/")).unwrap_err();
        assert_eq!(error("capabilities = [\"fly\"]"), "unknown capability \"fly\"");
        assert_eq!(error("dial_timeout = \"soon\""), "invalid duration \"soon\"");
        assert!(error("[header]\n\"a b\" = \"x\"").contains("is no header"));
        assert!(error("client = [[\"a\", \"b\", \"c\"]]").starts_with("client: expected"));
        assert!(!error("server = ").is_empty());
    }
}

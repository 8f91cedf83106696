//! Where an engine is: `unix://`, `tcp://` with or without TLS, `ssh://`. Parsed once, from the words Docker's users write.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The port of an engine that speaks TLS, and of one that does not.
const TLS_PORT: u16 = 2376;
const PLAIN_PORT: u16 = 2375;

/// An engine's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket.
    Unix(PathBuf),
    /// TCP, with TLS when there are files for it.
    Tcp {
        /// Name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
        /// How to do TLS; `None` = not at all.
        tls: Option<TlsFiles>,
    },
    /// `naru system dial-stdio` (or docker's) on another machine.
    Ssh {
        /// `user@`, if given.
        user: Option<String>,
        /// Name or address.
        host: String,
        /// Port, if given.
        port: Option<u16>,
        /// The engine's socket on that machine, if not the default one.
        path: Option<String>,
    },
}

/// Certificates for TLS. A file that is not named is not used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Who may have signed the engine's certificate; `None` = the public authorities.
    pub ca: Option<PathBuf>,
    /// This client's certificate.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// Take whatever certificate the engine shows (`--tls` without `--tlsverify`).
    pub skip_verify: bool,
}

impl TlsFiles {
    /// `ca.pem`, `cert.pem` and `key.pem` of a folder, as far as they are there.
    pub fn in_folder(folder: &Path, verify: bool) -> Self {
        let file = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
        Self { ca: file("ca.pem"), cert: file("cert.pem"), key: file("key.pem"), skip_verify: !verify }
    }
}

impl Endpoint {
    /// Reads `-H`'s argument. `tls` is used by `tcp://` alone.
    pub fn parse(text: &str, tls: Option<TlsFiles>) -> Result<Self> {
        let wrong = |why: &str| {
            Error::Settings(format!("invalid argument \"{text}\" for \"-H, --host\" flag: {why}"))
        };
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme, rest),
            // Docker reads a bare `host:port` as TCP.
            None if text.starts_with('/') => ("unix", text),
            None => ("tcp", text),
        };
        match scheme {
            "unix" if rest.is_empty() => Err(wrong("no path in a unix address")),
            "unix" => Ok(Self::Unix(PathBuf::from(rest))),
            "tcp" | "http" | "https" => {
                let default = if tls.is_some() { TLS_PORT } else { PLAIN_PORT };
                let (host, port) =
                    host_and_port(rest.trim_end_matches('/')).ok_or_else(|| wrong("invalid bind address"))?;
                let host = if host.is_empty() { "127.0.0.1".to_owned() } else { host };
                let tls = if scheme == "https" { Some(tls.unwrap_or_default()) } else { tls };
                Ok(Self::Tcp { host, port: port.unwrap_or(default), tls })
            }
            "ssh" => {
                let (authority, path) = match rest.split_once('/') {
                    Some((authority, path)) if !path.is_empty() => (authority, Some(format!("/{path}"))),
                    Some((authority, _)) => (authority, None),
                    None => (rest, None),
                };
                let (user, address) = match authority.rsplit_once('@') {
                    Some((user, address)) => (Some(user.to_owned()), address),
                    None => (None, authority),
                };
                if user.as_deref().is_some_and(|user| user.contains(':')) {
                    return Err(wrong("plain-text password is not supported"));
                }
                let (host, port) = host_and_port(address).ok_or_else(|| wrong("invalid host"))?;
                // ssh would take it for an option.
                if host.is_empty()
                    || host.starts_with('-')
                    || user.as_deref().is_some_and(|user| user.starts_with('-'))
                {
                    return Err(wrong("no host specified"));
                }
                Ok(Self::Ssh { user, host, port, path })
            }
            "npipe" => Err(wrong("named pipes exist on Windows only")),
            _ => Err(wrong("invalid bind address format")),
        }
    }
}

/// Takes `host:port`, `[v6]:port`, `host`, `[v6]` apart.
fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let port = |text: &str| text.parse::<u16>().ok().map(Some);
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(number) => Some((host.to_owned(), port(number)?)),
            None => rest.is_empty().then(|| (host.to_owned(), None)),
        };
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => None,
        Some((host, number)) => Some((host.to_owned(), port(number)?)),
        None => Some((text.to_owned(), None)),
    }
}

/// As users write it.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(f, "tcp://{host}:{port}"),
            Self::Ssh { user, host, port, path } => {
                f.write_str("ssh://")?;
                user.iter().try_for_each(|user| write!(f, "{user}@"))?;
                f.write_str(host)?;
                port.iter().try_for_each(|port| write!(f, ":{port}"))?;
                path.iter().try_for_each(|path| f.write_str(path))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_users_write_them() {
        for (text, written) in [
            ("unix:///run/x.sock", "unix:///run/x.sock"),
            ("/run/x.sock", "unix:///run/x.sock"),
            ("tcp://10.0.0.1", "tcp://10.0.0.1:2375"),
            ("tcp://10.0.0.1:80/", "tcp://10.0.0.1:80"),
            ("tcp://[::1]:2375", "tcp://[::1]:2375"),
            ("tcp://", "tcp://127.0.0.1:2375"),
            ("box:2375", "tcp://box:2375"),
            ("ssh://me@box:22", "ssh://me@box:22"),
            ("ssh://box", "ssh://box"),
            ("ssh://box/run/other.sock", "ssh://box/run/other.sock"),
        ] {
            assert_eq!(Endpoint::parse(text, None).unwrap().to_string(), written, "{text}");
        }
        let tls = Endpoint::parse("tcp://box", Some(TlsFiles::default())).unwrap();
        assert_eq!(tls.to_string(), "tcp://box:2376");
        for wrong in [
            "unix://",
            "tcp://x:y",
            "ftp://x",
            "npipe:////./pipe/x",
            "ssh://",
            "ssh://a:b@c",
            "ssh://-oProxyCommand=x",
            "tcp://a:1:2",
        ] {
            assert!(Endpoint::parse(wrong, None).is_err(), "{wrong}");
        }
    }
}

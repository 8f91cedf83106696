//! The engine's listening sockets: made by ourselves, inherited from the command that started us, or from systemd
//! (`sd_listen_fds(3)`); and their end.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rustix::net::AddressFamily;
use server::Listener;

use super::settings::Settings;
use super::tls;
use crate::cli::variable;

/// The first descriptor that systemd passes.
const FIRST_FD: i32 = 3;

/// What the engine listens on.
pub struct Listening {
    pub listeners: Vec<Listener>,
    /// For the log.
    pub names: Vec<String>,
    /// Sockets whose names are ours to remove at the end.
    pub paths: Vec<PathBuf>,
}

/// Opens everything that the settings name.
pub fn open(settings: &Settings, run_dir: &Path) -> anyhow::Result<Listening> {
    let mut listening = Listening { listeners: Vec::new(), names: Vec::new(), paths: Vec::new() };
    if let Some(path) = &settings.listening_stdin {
        let socket = io::stdin().as_fd().try_clone_to_owned().context("take over the listening socket")?;
        listening.add(format!("unix://{}", path.display()), socket, None)?;
        listening.paths.push(path.clone());
        return Ok(listening);
    }
    let default = || match variable("LISTEN_FDS") {
        Some(_) => vec!["fd://".to_owned()],
        None => vec![format!("unix://{}", run_dir.join("naru.sock").display())],
    };
    for host in settings.hosts.clone().unwrap_or_else(default) {
        listening.open(&host, settings).with_context(|| format!("listen on {host}"))?;
    }
    Ok(listening)
}

impl Listening {
    fn open(&mut self, host: &str, settings: &Settings) -> anyhow::Result<()> {
        let (scheme, rest) = host.split_once("://").unwrap_or(("unix", host));
        match scheme {
            "unix" => {
                let path = Path::new(rest);
                self.add(host.to_owned(), client::prepare_listener(path)?, None)?;
                self.paths.push(path.to_owned());
            }
            "tcp" => {
                let config = tls::config(settings)?;
                let default = if config.is_some() { 2376 } else { 2375 };
                let address = match rest.parse() {
                    Ok(address) => address,
                    Err(_) => {
                        std::net::SocketAddr::new(rest.parse().context("an IP address is needed")?, default)
                    }
                };
                if config.is_none() && !address.ip().is_loopback() {
                    tracing::warn!(%address, "whoever reaches this address is root on this machine; use --tlsverify");
                }
                let listener = std::net::TcpListener::bind(address)?;
                self.add(host.to_owned(), listener.into(), config)?;
            }
            "fd" => {
                for number in 0..inherited()? {
                    let socket = sys::process::inherited_fd(FIRST_FD + number).context("systemd's socket")?;
                    self.add(format!("fd://{}", FIRST_FD + number), socket, tls::config(settings)?)?;
                }
            }
            _ => bail!("an engine listens on unix://, tcp:// or fd://"),
        }
        Ok(())
    }

    fn add(
        &mut self,
        name: String,
        socket: OwnedFd,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> anyhow::Result<()> {
        rustix::io::ioctl_fionbio(&socket, true).context("make the socket non-blocking")?;
        let family = rustix::net::getsockname(&socket).context("it is not a socket")?.address_family();
        let listener = match (family, tls) {
            (AddressFamily::UNIX, _) => Listener::Unix(tokio::net::UnixListener::from_std(socket.into())?),
            (_, None) => Listener::Tcp(tokio::net::TcpListener::from_std(socket.into())?),
            (_, Some(config)) => Listener::Tls(tokio::net::TcpListener::from_std(socket.into())?, config),
        };
        self.listeners.push(listener);
        self.names.push(name);
        Ok(())
    }
}

/// How many sockets systemd passed to this process.
fn inherited() -> anyhow::Result<i32> {
    let ours = variable("LISTEN_PID").and_then(|pid| pid.parse().ok()) == Some(std::process::id());
    let count = variable("LISTEN_FDS").filter(|_| ours).and_then(|count| count.parse().ok());
    count.context("fd:// needs socket activation (LISTEN_FDS for this process)")
}

/// Takes the sockets' names away while holding their locks, which it returns: from then on clients wait for this engine's end.
pub fn retire(paths: &[PathBuf]) -> io::Result<Vec<File>> {
    paths.iter().map(|path| client::retire_listener(path)).collect()
}

/// Reports that the engine serves, where the service manager asked for it (`sd_notify(3)`). Nobody listening is no error.
pub fn tell_systemd() {
    let Some(path) = variable("NOTIFY_SOCKET") else { return };
    let send = || -> io::Result<()> {
        let socket = std::os::unix::net::UnixDatagram::unbound()?;
        match path.strip_prefix('@') {
            Some(name) => {
                use std::os::linux::net::SocketAddrExt;
                socket.send_to_addr(b"READY=1", &std::os::unix::net::SocketAddr::from_abstract_name(name)?)
            }
            None => socket.send_to(b"READY=1", &path),
        }
        .map(drop)
    };
    if let Err(error) = send() {
        tracing::warn!(%error, path, "tell the service manager");
    }
}

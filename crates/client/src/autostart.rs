//! Starting the engine when nobody listens on its socket, once, however many clients come at the same time:
//!
//! ```text
//! client: connect ── nobody ──▶ lock ─▶ connect again ── nobody ──▶ bind + listen ─▶ spawn engine (socket = its stdin) ─▶ unlock
//!                                                                                    connect: the kernel queues the request
//! engine, idle: lock ─▶ remove the socket's name ─▶ serve what is queued ─▶ exit (the lock goes with it)
//! ```
//! The lock is a file beside the socket. While an engine leaves it holds the lock, so that a new one starts after it is gone.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::FlockOperation;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::error::{Error, Result};
use crate::transport::{self, Stream};

/// How many clients may wait for an engine that boots. The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// How much of the log an error shows.
const LOG_TAIL: u64 = 2048;

/// How to start this machine's engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoStart {
    /// The engine's socket.
    pub socket: PathBuf,
    /// The program, and what it is called with; its standard input is the listening socket.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where its standard error goes.
    pub log: PathBuf,
}

/// The lock beside a socket.
pub fn lock_path(socket: &Path) -> PathBuf {
    let mut path = socket.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

/// Starts the engine, unless somebody else has just done so, and connects.
pub(crate) async fn start_and_dial(autostart: &AutoStart) -> Result<Stream> {
    let own = autostart.clone();
    let started = tokio::task::spawn_blocking(move || start(&own)).await;
    started.map_err(|error| Error::Start { reason: error.to_string() })??;
    transport::dial_unix(&autostart.socket).await.map_err(|error| failed(autostart, error))
}

/// The engine did not come up: why, with the end of its log.
pub(crate) fn failed(autostart: &AutoStart, error: impl std::fmt::Display) -> Error {
    let log = tail(&autostart.log).unwrap_or_default();
    Error::Start { reason: format!("{error}\n{log}").trim_end().to_owned() }
}

fn start(autostart: &AutoStart) -> Result<()> {
    let socket = &autostart.socket;
    let _lock =
        lock(socket).map_err(|error| Error::connect(&format!("unix://{}", socket.display()), error))?;
    if std::os::unix::net::UnixStream::connect(socket).is_ok() {
        return Ok(());
    }
    let listener = listen(socket)
        .map_err(|error| failed(autostart, format!("listen on {}: {error}", socket.display())))?;
    spawn(autostart, listener)
        .map_err(|error| failed(autostart, format!("start {}: {error}", autostart.program.display())))
}

/// Makes the socket's folder and waits for the lock.
fn lock(socket: &Path) -> io::Result<File> {
    if let Some(folder) = socket.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    }
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(lock_path(socket))?;
    loop {
        match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// For an engine that was started by hand: waits for the lock, makes sure that nobody listens yet, and listens. The lock is
/// released before this returns; [`lock_path`] names it for the end of the engine's life.
pub fn prepare_listener(socket: &Path) -> io::Result<OwnedFd> {
    let _lock = lock(socket)?;
    if std::os::unix::net::UnixStream::connect(socket).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "an engine is running already"));
    }
    listen(socket)
}

/// For an engine that leaves: waits for the lock and takes the socket's name away. As long as the lock is held, nobody
/// starts a new one.
pub fn retire_listener(socket: &Path) -> io::Result<File> {
    let lock = lock(socket)?;
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(lock),
    }
}

/// Binds and listens. Between bind and listen nobody can connect, so the permissions are right from the first client on.
fn listen(socket: &Path) -> io::Result<OwnedFd> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&fd, &SocketAddrUnix::new(socket)?)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o660))?;
    if let Some(gid) = access_group() {
        // Only root may; without it the socket is its owner's.
        let _ = std::os::unix::fs::chown(socket, None, Some(gid));
    }
    rustix::net::listen(&fd, BACKLOG)?;
    Ok(fd)
}

/// The group whose members may use the engine: `naru`, or else `docker`.
fn access_group() -> Option<u32> {
    let groups = std::fs::read_to_string("/etc/group").ok()?;
    let gid = |name: &str| {
        let line = groups.lines().find(|line| line.split(':').next() == Some(name))?;
        line.split(':').nth(2)?.parse().ok()
    };
    gid("naru").or_else(|| gid("docker"))
}

fn spawn(autostart: &AutoStart, listener: OwnedFd) -> io::Result<()> {
    if let Some(folder) = autostart.log.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    }
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&autostart.log)?;
    // Nobody waits for it: it outlives this client, and leaves its session by itself.
    Command::new(&autostart.program)
        .args(&autostart.arguments)
        .current_dir("/")
        .stdin(Stdio::from(listener))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map(drop)
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

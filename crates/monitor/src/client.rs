//! The engine's side of starting and finding monitors. What is said over the sockets is the caller's business (`protocol`).

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The name of the socket in a container's run-time folder.
pub const SOCKET: &str = "monitor.sock";

/// What stands for the id in the arguments of a monitor that is not told yet whose it is to be. As long as an id: it becomes one.
pub const SPARE: &str = "spare                                                           ";

/// Spawns a monitor: `<exe> monitor <id>` with `control` as its standard input. The caller keeps the other end of the pair, sends
/// [`Body::Prepare`](crate::protocol::Body::Prepare) over it, and waits for the child when that end reports the end of the stream (the
/// monitor is leaving then).
///
/// Sets nothing on the command that would turn std's vfork-style spawn into a fork of the whole engine: not even a current folder,
/// which a statically linked glibc cannot set for it. The monitor goes to `/` itself.
pub fn spawn(exe: &Path, id: &str, control: OwnedFd) -> io::Result<Child> {
    Command::new(exe)
        .args(["monitor", id])
        .env_clear()
        .stdin(Stdio::from(control))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

/// Connects to the monitor of a container by its run-time folder (`<run_dir>/<id>`). "Not found" and "connection refused" mean
/// that there is none.
pub fn connect(run_dir: &Path) -> io::Result<UnixStream> {
    let path = run_dir.join(SOCKET);
    if path.as_os_str().len() <= MAX_SOCKET_PATH {
        return UnixStream::connect(path);
    }
    let folder = open_folder(run_dir)?;
    UnixStream::connect(short_path(&folder))
}

/// `sockaddr_un` takes 107 bytes and a NUL.
pub(crate) const MAX_SOCKET_PATH: usize = 107;

pub(crate) fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let directory = rustix::fs::OFlags::DIRECTORY.bits() as i32;
    Ok(std::fs::OpenOptions::new().read(true).custom_flags(directory).open(path)?.into())
}

/// A name for the socket in a folder whose own name is too long.
pub(crate) fn short_path(folder: &OwnedFd) -> PathBuf {
    use std::os::fd::AsRawFd;
    PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()))
}

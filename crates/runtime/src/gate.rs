//! The gate between `create` and `start`: a socket in the container's state folder. The container's first process, with everything
//! done but the startContainer hooks and `execve`, is the one who listens; whoever starts the container connects, says go, and
//! hears over that line what a launcher hears: nothing but its end, or what went wrong. Once the program runs nobody listens any
//! more, so that whether a container has been started is the kernel's knowledge, not a file's.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::channel::{Channel, above_stdio};
use crate::error::{During, Result};

/// The socket's name in the state folder.
const NAME: &str = "start.sock";

/// A socket's path may have 107 bytes, which the paths of other engines' state folders exceed.
fn address(folder: &OwnedFd) -> Result<SocketAddrUnix, Errno> {
    SocketAddrUnix::new(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()))
}

fn open(folder: &Path) -> Result<OwnedFd, Errno> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::open(folder, flags, rustix::fs::Mode::empty())
}

fn socket() -> Result<OwnedFd, Errno> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// Makes the gate of a container, closed.
pub fn make(folder: &Path) -> Result<OwnedFd> {
    let what = || format!("make {}", folder.join(NAME).display());
    let gate = socket().map_err(Into::into).and_then(above_stdio).during("create", what)?;
    let folder_fd = open(folder).during("create", what)?;
    let address = address(&folder_fd).during("create", what)?;
    rustix::net::bind(&gate, &address).during("create", what)?;
    rustix::net::listen(&gate, 8).during("create", what)?;
    Ok(gate)
}

/// Child: waits for the one who starts the container. `creator` is the line to the launcher, which ends here.
pub fn wait(gate: OwnedFd) -> Result<Channel> {
    let what = || "wait for the container to be started".to_owned();
    loop {
        let line = match rustix::net::accept_with(&gate, SocketFlags::CLOEXEC) {
            Err(Errno::INTR | Errno::CONNABORTED) => continue,
            result => result.during("start", what)?,
        };
        let line = Channel::new(line);
        // Somebody who only looks whether the gate is closed says nothing.
        if line.wait().is_ok() {
            return Ok(line);
        }
    }
}

/// Whether the container's process still waits at the gate.
pub fn is_closed(folder: &Path) -> bool {
    connect(folder).is_ok()
}

fn connect(folder: &Path) -> Result<Channel, Errno> {
    let line = socket()?;
    rustix::net::connect(&line, &address(&open(folder)?)?)?;
    Ok(Channel::new(line))
}

/// Opens the gate; returns when the program runs. `None`: nobody waits there.
pub fn open_up(folder: &Path) -> Result<Option<()>> {
    let line = match connect(folder) {
        Err(Errno::NOENT | Errno::CONNREFUSED) => return Ok(None),
        result => result.during("start", || format!("connect to {}", folder.join(NAME).display()))?,
    };
    line.go().during("start", || "tell the container's process to go on".to_owned())?;
    crate::launch::listen(&line, &mut None, || Ok(()))?;
    Ok(Some(()))
}

/// Removes the socket of a container that was started.
pub fn remove(folder: &Path) {
    // What it says would be true with it too, only slower.
    let _ = std::fs::remove_file(folder.join(NAME));
}

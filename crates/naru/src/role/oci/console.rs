//! What the caller gets of a new process besides its exit code: its pid in a file, its terminal over a socket.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::failure::{Failure, Result};

/// Sends a terminal's master to whoever listens at `path`, with its name as the message.
pub fn send(path: &str, master: &OwnedFd) -> Result<()> {
    let doing = || format!("send the terminal to console socket {path}");
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(Failure::io(doing()))?;
    let address = SocketAddrUnix::new(path).map_err(Failure::io(doing()))?;
    rustix::net::connect(&socket, &address).map_err(Failure::io(doing()))?;
    sys::fdpass::send(&socket, b"/dev/ptmx", &[master.as_fd()]).map_err(Failure::io(doing()))
}

/// Refuses combinations in which nobody would get the terminal, or somebody wait for one that does not come.
pub fn check(socket: Option<&str>, terminal: bool, detach: bool) -> Result<()> {
    match (socket, terminal, detach) {
        (None, true, true) => {
            Err(Failure::usage("cannot allocate tty if runc will detach without setting console socket"))
        }
        (Some(_), false, _) | (Some(_), _, false) => {
            Err(Failure::usage("cannot use console socket if runc will not detach or allocate tty"))
        }
        _ => Ok(()),
    }
}

/// Writes a pid, for every reader at once.
pub fn write_pid(path: &str, pid: i32) -> Result<()> {
    sys::fsutil::write_atomic(Path::new(path), pid.to_string().as_bytes())
        .map_err(Failure::io(format!("write pid file {path}")))
}

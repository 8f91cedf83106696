//! Handing a filter's notification descriptor to whoever decides about its system calls (config-linux.md, "The container process
//! state"). The launcher connects, since the socket's path is the host's; the child sends, since only it has the descriptor: one
//! `sendmsg` under the filter, which the filter therefore has to let pass, or to notify of.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde_json::{Value, json};

use crate::channel::above_stdio;
use crate::error::{During, Result};
use crate::plan::Process;

/// The connection, and what will be said.
pub struct Listener {
    socket: OwnedFd,
    state: Value,
}

/// Connects, if the plan has a listener. `status`: the container's.
pub fn connect(process: &Process, status: &str) -> Result<Option<Listener>> {
    let Some(listener) = &process.seccomp_listener else { return Ok(None) };
    let what = || format!("connect to seccomp listener {}", listener.path.display());
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(Into::into)
            .and_then(above_stdio)
            .during("seccomp", what)?;
    let address = SocketAddrUnix::new(&listener.path).during("seccomp", what)?;
    rustix::net::connect(&socket, &address).during("seccomp", what)?;
    let mut state = json!({
        "ociVersion": "1.2.0",
        "fds": ["seccompFd"],
        "metadata": listener.metadata,
        "state": {
            "ociVersion": "1.2.0",
            "id": listener.id,
            "status": status,
            "bundle": listener.bundle,
        },
    });
    if !listener.annotations.is_empty() {
        state["state"]["annotations"] = json!(listener.annotations);
    }
    Ok(Some(Listener { socket, state }))
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Listener {
    /// Child: the state as bytes, made before the filter is there. `proc` is the host's, so that the pid is the one the host knows.
    pub fn message(&self, proc: &OwnedFd) -> Result<Vec<u8>> {
        let what = || "read the process's pid".to_owned();
        let pid = rustix::fs::readlinkat(proc, "self", Vec::new()).during("seccomp", what)?;
        let pid: i32 = pid.to_string_lossy().parse().unwrap_or_default();
        let mut state = self.state.clone();
        state["pid"] = pid.into();
        state["state"]["pid"] = pid.into();
        Ok(state.to_string().into_bytes())
    }

    /// Child: hands over the descriptor.
    pub fn send(&self, message: &[u8], notifications: &OwnedFd) -> Result<()> {
        sys::fdpass::send(&self.socket, message, &[notifications.as_fd()])
            .during("seccomp", || "send the notification descriptor to the seccomp listener".to_owned())
    }
}

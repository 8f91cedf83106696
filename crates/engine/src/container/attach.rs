//! Clients on a container's streams: kept until the start, or handed over to the monitor.

use std::os::fd::OwnedFd;

use monitor::protocol::AttachSpec;

use crate::Engine;
use crate::error::Result;

/// What to attach to.
#[derive(Debug, Clone, Default)]
pub struct AttachOptions {
    /// Replay what was written before.
    pub logs: bool,
    /// Stay attached.
    pub stream: bool,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// `ctrl-p,ctrl-q` style; empty = the default.
    pub detach_keys: String,
    /// Frame stdout and stderr (8-byte headers) where there is no terminal.
    pub mux: bool,
}

/// A client's connection that has stopped being HTTP.
#[derive(Debug)]
pub enum ClientStream {
    /// The raw socket, with what was read from it past the request.
    Socket { fd: OwnedFd, leftover: Vec<u8> },
}

/// A registered attach: [`Attachment::run`] goes on with the client's connection.
pub struct Attachment {
    /// The container has a terminal: its output is raw.
    pub tty: bool,
}

impl Attachment {
    /// Ends when the connection has been handed over, or with it.
    pub async fn run(self, _client: ClientStream) {
        unreachable!("in progress")
    }
}

/// A client that attached before the start.
#[derive(Debug)]
pub(crate) struct Pending {
    pub socket: OwnedFd,
    pub spec: AttachSpec,
}

impl Engine {
    pub async fn container_attach(&self, _id: &str, _options: AttachOptions) -> Result<Attachment> {
        unreachable!("in progress")
    }
}

//! The last moments of a client's connection: the rest of the output, then the end of the stream, in an order that loses nothing.
//!
//! A socket that is closed while input from the client lies unread in it is reset, and the client may see an error in place of the
//! end (or, over TCP, lose output that it had not read yet). So the end of the stream is sent first and the input is thrown
//! away; a TCP connection is closed when the client has closed its side, or after a while.

use std::io;
use std::time::Duration;

use rustix::net::{AddressFamily, Shutdown};

use super::attached::{receive, send};
use crate::backlog::Backlog;
use crate::poller::{EventFlags, Token, Watched};

/// How long a TCP client may take to close its side.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) struct Lingering {
    socket: Watched,
    backlog: Backlog,
    ended: bool,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// The client has to read first, however long it takes.
    Sending,
    /// The client has seen the end and has [`PATIENCE`] to close its side.
    Ended,
    /// Nothing is left to do.
    Over,
}

impl Lingering {
    pub(super) fn new(mut socket: Watched, backlog: Backlog, key: u32) -> io::Result<Self> {
        socket.hand_over(Token::Lingering(key))?;
        Ok(Self { socket, backlog, ended: false })
    }

    /// Goes on as far as possible.
    pub fn advance(&mut self, buffer: &mut [u8]) -> Farewell {
        if self.backlog.flush(|bytes| send(&self.socket, bytes)).is_err() {
            return Farewell::Over;
        }
        if !self.backlog.is_empty() {
            return self.watch(EventFlags::OUT, Farewell::Sending);
        }
        if !self.ended {
            self.ended = true;
            let _ = rustix::net::shutdown(&self.socket, Shutdown::Write);
            if rustix::net::sockopt::socket_domain(&self.socket) == Ok(AddressFamily::UNIX) {
                // Nothing can come after this, so once it is drained it stays drained.
                let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
            }
        }
        loop {
            match receive(&self.socket, buffer) {
                Ok(0) => return Farewell::Over,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return self.watch(EventFlags::IN, Farewell::Ended),
                Err(_) => return Farewell::Over,
            }
        }
    }

    fn watch(&mut self, flags: EventFlags, farewell: Farewell) -> Farewell {
        if self.socket.watch(Some(flags)).is_ok() { farewell } else { Farewell::Over }
    }
}

//! Questions that are passed on over UDP: a socket of its own for each, so that an answer can come from nobody but the server
//! that was asked, with a number that nobody can guess. A server that is silent, or cannot help, is followed by the next.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketType};

use super::names::Upstream;
use super::packet::{self, Query, REFUSED, SERVER_FAILURE};
use super::sockets;
use crate::poller::{EventFlags, Poller, Token, Watched};

/// How long a server may think. Two of them fit into the five seconds that resolvers commonly wait.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// A question on its way.
pub(super) struct Forward {
    pub client: SocketAddr,
    pub deadline: Instant,
    query: Query,
    message: Vec<u8>,
    /// Whom to ask after this one.
    servers: std::vec::IntoIter<Upstream>,
    socket: Option<Watched>,
    id: u16,
    /// What a server said that could not help: better than nothing.
    excuse: Option<Vec<u8>>,
}

/// What came of a packet.
pub(super) enum Outcome {
    Waiting,
    NextServer,
    Answer(Vec<u8>),
}

impl Forward {
    pub fn new(query: Query, message: Vec<u8>, client: SocketAddr, servers: Vec<Upstream>) -> Self {
        Self {
            client,
            deadline: Instant::now(),
            query,
            message,
            servers: servers.into_iter(),
            socket: None,
            id: 0,
            excuse: None,
        }
    }

    /// Asks the next server that a question can be sent to. When there is none: what the client is told.
    pub fn ask_next(&mut self, poller: &Poller, key: u32, netns: &OwnedFd) -> Option<Vec<u8>> {
        self.socket = None;
        for server in self.servers.by_ref() {
            self.id = random_id();
            packet::set_id(&mut self.message, self.id);
            let Ok(socket) = sockets::connect(server, SocketType::DGRAM, netns) else { continue };
            if rustix::net::send(&socket, &self.message, SendFlags::NOSIGNAL).is_err() {
                continue;
            }
            let mut socket = Watched::new(poller, socket, Token::Names(key));
            if socket.watch(Some(EventFlags::IN)).is_ok() {
                self.socket = Some(socket);
                self.deadline = Instant::now() + PATIENCE;
                return None;
            }
        }
        let limit = self.query.limit();
        Some(self.excuse.take().unwrap_or_else(|| self.query.answer(SERVER_FAILURE, &[], limit)))
    }

    /// Takes what arrived.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Outcome {
        let Some(socket) = &self.socket else { return Outcome::Waiting };
        let count = match rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()) {
            Ok((count, _)) => count,
            Err(Errno::AGAIN | Errno::INTR) => return Outcome::Waiting,
            // Nobody listens there, or it cannot be reached.
            Err(_) => return Outcome::NextServer,
        };
        let message = &mut buffer[..count];
        match packet::response(message) {
            Some((id, code)) if id == self.id && packet::is_about(message, &self.query) => {
                packet::set_id(message, self.query.id);
                if matches!(code, SERVER_FAILURE | REFUSED) {
                    self.excuse = Some(message.to_vec());
                    return Outcome::NextServer;
                }
                Outcome::Answer(message.to_vec())
            }
            // Not to our question; the right one may still come.
            _ => Outcome::Waiting,
        }
    }
}

/// A number for a question.
pub(super) fn random_id() -> u16 {
    let mut bytes = [0; 2];
    // Cannot fail for so few bytes once the system has booted; the port is random too.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u16::from_ne_bytes(bytes)
}

//! The name server of a container on networks with names, at 127.0.0.11 in the container's network namespace. Names of containers
//! are answered from the networks' zone files ([`names`]); everything else goes untouched to the servers that the host or the user
//! names, and their answers come back untouched ([`forward`] over UDP, [`stream`] over TCP).
//!
//! ```text
//!   container ── 127.0.0.11:53 ──(ports rewritten)──▶ our sockets ─▶ packet ─▶ names ─▶ answer
//!                                                                               └▶ forward, stream ─▶ upstream servers
//! ```
//! Part of the event loop: every descriptor is a [`Token::Names`] with a key, and one timer looks after what takes too long.

mod forward;
mod names;
mod packet;
mod sockets;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags};

use crate::poller::{EventFlags, Poller, Token, Watched};
use crate::protocol::NamesSpec;
use crate::timers::{Timer, Timers};
use forward::{Forward, Outcome};
use names::Names;
use packet::{NO_ERROR, Parsed, SERVER_FAILURE};
use stream::Stream;

/// How often is looked for what takes too long.
const TICK: Duration = Duration::from_millis(250);
/// How many datagrams before others get their turn.
const TURN: usize = 32;
/// Questions that are with other servers at one time; Docker's number.
const MAX_FORWARDS: usize = 1024;
/// Clients that are connected at one time; more wait in the listening queue.
const MAX_STREAMS: usize = 64;

const DATAGRAMS: u32 = 0;
const LISTENER: u32 = 1;

/// A running name server.
pub(crate) struct NameServer {
    poller: Poller,
    datagrams: Watched,
    listener: Watched,
    names: Names,
    netns: OwnedFd,
    forwards: BTreeMap<u32, Forward>,
    streams: BTreeMap<u32, Stream>,
    /// Even; a stream's connection to an upstream server has the odd number after it.
    next_key: u32,
}

impl NameServer {
    /// Begins to answer in a network namespace.
    pub fn start(poller: &Poller, spec: NamesSpec, netns: OwnedFd) -> io::Result<Self> {
        Self::start_below(poller, spec, netns, PathBuf::from("/"))
    }

    /// The same with the host's files below `root`.
    fn start_below(poller: &Poller, spec: NamesSpec, netns: OwnedFd, root: PathBuf) -> io::Result<Self> {
        let (datagrams, listener) = sockets::open(&netns)?;
        let mut datagrams = Watched::new(poller, datagrams, Token::Names(DATAGRAMS));
        datagrams.watch(Some(EventFlags::IN))?;
        let mut listener = Watched::new(poller, listener, Token::Names(LISTENER));
        listener.watch(Some(EventFlags::IN))?;
        Ok(Self {
            poller: poller.clone(),
            datagrams,
            listener,
            names: Names::new(spec, root),
            netns,
            forwards: BTreeMap::new(),
            streams: BTreeMap::new(),
            next_key: 2,
        })
    }

    /// A descriptor is ready.
    pub fn ready(&mut self, key: u32, flags: EventFlags, buffer: &mut [u8], timers: &mut Timers) {
        match key {
            DATAGRAMS => self.receive(buffer),
            LISTENER => self.accept(),
            key if self.forwards.contains_key(&key) => self.forward_ready(key, buffer),
            key => self.stream_ready(key, flags, buffer),
        }
        if timers.at(Timer::Names).is_none() && !(self.forwards.is_empty() && self.streams.is_empty()) {
            timers.set(Timer::Names, TICK);
        }
    }

    /// Gives up on servers that do not answer, and on clients that do not ask.
    pub fn tick(&mut self, timers: &mut Timers) {
        let now = Instant::now();
        let late: Vec<u32> = self
            .forwards
            .iter()
            .filter(|(_, forward)| forward.deadline <= now)
            .map(|(key, _)| *key)
            .collect();
        for key in late {
            self.advance(key);
        }
        let late: Vec<u32> =
            self.streams.iter().filter(|(_, stream)| stream.deadline <= now).map(|(key, _)| *key).collect();
        for key in late {
            let Some(stream) = self.streams.get_mut(&key) else { continue };
            if !stream.timed_out(&mut self.names, &self.netns) {
                self.remove_stream(key);
            }
        }
        if !(self.forwards.is_empty() && self.streams.is_empty()) {
            timers.set(Timer::Names, TICK);
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) {
        for _ in 0..TURN {
            let (count, client) =
                match rustix::net::recvfrom(&self.datagrams, &mut *buffer, RecvFlags::empty()) {
                    Ok((count, _, Some(client))) => (count, client),
                    // A client that did not wait for its answer is reported here.
                    Ok((_, _, None)) | Err(Errno::INTR | Errno::CONNREFUSED) => continue,
                    Err(_) => return,
                };
            let Ok(client) = SocketAddr::try_from(client) else { continue };
            let message = &buffer[..count];
            match packet::parse(message) {
                Parsed::Nothing => {}
                Parsed::Answer(answer) => self.send(client, &answer),
                Parsed::Query(query) => match self.names.look_up(&query) {
                    Some(records) => self.send(client, &query.answer(NO_ERROR, &records, query.limit())),
                    None if self.forwards.len() >= MAX_FORWARDS => {
                        self.send(client, &query.answer(SERVER_FAILURE, &[], query.limit()));
                    }
                    None => {
                        let servers = self.names.upstreams().to_vec();
                        let key = self.key();
                        self.forwards.insert(key, Forward::new(query, message.to_vec(), client, servers));
                        self.advance(key);
                    }
                },
            }
        }
    }

    /// A datagram that does not go is a datagram lost, as on any network: the client asks again.
    fn send(&self, client: SocketAddr, message: &[u8]) {
        let _ = rustix::net::sendto(&self.datagrams, message, SendFlags::NOSIGNAL, &client);
    }

    /// Asks the next server; after the last one the client gets the best that is known.
    fn advance(&mut self, key: u32) {
        let Some(forward) = self.forwards.get_mut(&key) else { return };
        if let Some(answer) = forward.ask_next(&self.poller, key, &self.netns) {
            let client = forward.client;
            self.forwards.remove(&key);
            self.send(client, &answer);
        }
    }

    fn forward_ready(&mut self, key: u32, buffer: &mut [u8]) {
        let Some(forward) = self.forwards.get_mut(&key) else { return };
        match forward.receive(buffer) {
            Outcome::Waiting => {}
            Outcome::NextServer => self.advance(key),
            Outcome::Answer(answer) => {
                let client = forward.client;
                self.forwards.remove(&key);
                self.send(client, &answer);
            }
        }
    }

    fn accept(&mut self) {
        while self.streams.len() < MAX_STREAMS {
            match rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(client) => {
                    let key = self.key();
                    if let Ok(stream) = Stream::new(&self.poller, key, client) {
                        self.streams.insert(key, stream);
                    }
                }
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(_) => return,
            }
        }
        // Those that wait would be reported over and over.
        let _ = self.listener.watch(None);
    }

    fn stream_ready(&mut self, key: u32, flags: EventFlags, buffer: &mut [u8]) {
        let own = key & !1;
        let Some(stream) = self.streams.get_mut(&own) else { return };
        let alive = if key == own {
            stream.client_ready(flags, buffer, &mut self.names, &self.netns)
        } else {
            stream.upstream_ready(buffer, &mut self.names, &self.netns)
        };
        if !alive {
            self.remove_stream(own);
        }
    }

    /// Makes room for the next client.
    fn remove_stream(&mut self, key: u32) {
        self.streams.remove(&key);
        let _ = self.listener.watch(Some(EventFlags::IN));
    }

    fn key(&mut self) -> u32 {
        let key = self.next_key;
        // Back at the beginning after two thousand million questions; those of then are long over.
        self.next_key = key.checked_add(2).unwrap_or(2);
        key
    }
}

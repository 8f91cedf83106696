//! Clients that ask over TCP (RFC 7766: each message with its length in front). One question at a time is read, answered, and
//! followed by the next; what is not ours is asked over TCP too, since that is why the client came this way.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketType};

use super::forward::{PATIENCE, random_id};
use super::names::{Names, Upstream};
use super::packet::{self, NO_ERROR, Parsed, Query, REFUSED, SERVER_FAILURE};
use super::sockets;
use crate::backlog::Backlog;
use crate::poller::{EventFlags, Poller, Token, Watched};

/// How long a client may keep a connection without asking.
const IDLE: Duration = Duration::from_secs(10);

/// A connected client.
pub(super) struct Stream {
    pub deadline: Instant,
    poller: Poller,
    key: u32,
    client: Watched,
    received: Vec<u8>,
    /// It asks no more.
    finished: bool,
    answers: Backlog,
    asking: Option<Asking>,
}

/// A question that another server is asked.
struct Asking {
    query: Query,
    message: Vec<u8>,
    servers: std::vec::IntoIter<Upstream>,
    id: u16,
    socket: Option<Watched>,
    unsent: Backlog,
    received: Vec<u8>,
    excuse: Option<Vec<u8>>,
}

/// The first message in what was received so far, taken out of it.
fn take_message(received: &mut Vec<u8>) -> Option<Vec<u8>> {
    let [high, low] = *received.first_chunk()?;
    let end = 2 + usize::from(u16::from_be_bytes([high, low]));
    let message = received.get(2..end)?.to_vec();
    received.drain(..end);
    Some(message)
}

/// Reads what there is; whether the other side has ended.
fn read(socket: &Watched, received: &mut Vec<u8>, buffer: &mut [u8]) -> Result<bool, Errno> {
    // One message at most is kept waiting behind the one that is being answered.
    const ENOUGH: usize = 128 << 10;
    while received.len() < ENOUGH {
        match rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => return Ok(true),
            Ok((count, _)) => received.extend_from_slice(&buffer[..count]),
            Err(Errno::AGAIN) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Puts a message behind what is to be sent.
fn push(backlog: &mut Backlog, message: &[u8]) {
    // Longer ones cannot come: each was read with such a length in front, or was made from records that fit.
    backlog.push(&(message.len() as u16).to_be_bytes());
    backlog.push(message);
}

fn flush(socket: &Watched, backlog: &mut Backlog) -> Result<(), Errno> {
    backlog.flush(|bytes| rustix::net::send(socket, bytes, SendFlags::NOSIGNAL))
}

impl Stream {
    pub fn new(poller: &Poller, key: u32, client: OwnedFd) -> std::io::Result<Self> {
        let mut client = Watched::new(poller, client, Token::Names(key));
        client.watch(Some(EventFlags::IN))?;
        Ok(Self {
            deadline: Instant::now() + IDLE,
            poller: poller.clone(),
            key,
            client,
            received: Vec::new(),
            finished: false,
            answers: Backlog::default(),
            asking: None,
        })
    }

    /// The client sent something, takes something, or left; false when it is done with.
    pub fn client_ready(
        &mut self,
        flags: EventFlags,
        buffer: &mut [u8],
        names: &mut Names,
        netns: &OwnedFd,
    ) -> bool {
        if flags.intersects(EventFlags::ERR) {
            return false;
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP) && !self.finished {
            match read(&self.client, &mut self.received, buffer) {
                Ok(finished) => self.finished = finished,
                Err(_) => return false,
            }
        }
        self.go_on(names, netns)
    }

    /// The server that was asked sent something, or takes something.
    pub fn upstream_ready(&mut self, buffer: &mut [u8], names: &mut Names, netns: &OwnedFd) -> bool {
        let Some(asking) = &mut self.asking else { return true };
        match asking.exchange(buffer) {
            Ok(None) => {}
            Ok(Some(answer)) => {
                push(&mut self.answers, &answer);
                self.asking = None;
            }
            Err(_) => self.ask_next(netns),
        }
        self.go_on(names, netns)
    }

    /// Nothing happened for too long; false when the client is done with.
    pub fn timed_out(&mut self, names: &mut Names, netns: &OwnedFd) -> bool {
        if self.asking.is_none() {
            return false;
        }
        self.ask_next(netns);
        self.go_on(names, netns)
    }

    /// Answers what is asked, as far as that goes without waiting.
    fn go_on(&mut self, names: &mut Names, netns: &OwnedFd) -> bool {
        loop {
            if flush(&self.client, &mut self.answers).is_err() {
                return false;
            }
            if !self.answers.is_empty() || self.asking.is_some() {
                break;
            }
            let Some(message) = take_message(&mut self.received) else { break };
            self.deadline = Instant::now() + IDLE;
            match packet::parse(&message) {
                Parsed::Nothing => return false,
                Parsed::Answer(answer) => push(&mut self.answers, &answer),
                Parsed::Query(query) => match names.look_up(&query) {
                    Some(records) => {
                        push(&mut self.answers, &query.answer(NO_ERROR, &records, usize::from(u16::MAX)));
                    }
                    None => {
                        self.asking = Some(Asking {
                            query,
                            message,
                            servers: names.upstreams().to_vec().into_iter(),
                            id: 0,
                            socket: None,
                            unsent: Backlog::default(),
                            received: Vec::new(),
                            excuse: None,
                        });
                        self.ask_next(netns);
                    }
                },
            }
        }
        let busy = !self.answers.is_empty() || self.asking.is_some();
        if self.finished && !busy {
            return false;
        }
        let mut flags = EventFlags::empty();
        if !self.answers.is_empty() {
            flags |= EventFlags::OUT;
        }
        if !self.finished && !busy {
            flags |= EventFlags::IN;
        }
        // A client that hangs up while another server is asked is noticed when the answer comes.
        self.client.watch((!flags.is_empty()).then_some(flags)).is_ok()
    }

    /// Asks the next server; after the last one the client gets the best that is known.
    fn ask_next(&mut self, netns: &OwnedFd) {
        let Some(asking) = &mut self.asking else { return };
        if asking.connect_next(&self.poller, self.key | 1, netns) {
            self.deadline = Instant::now() + PATIENCE;
            return;
        }
        let failure = || asking.query.answer(SERVER_FAILURE, &[], usize::from(u16::MAX));
        let answer = asking.excuse.take().unwrap_or_else(failure);
        push(&mut self.answers, &answer);
        self.asking = None;
        self.deadline = Instant::now() + IDLE;
    }
}

impl Asking {
    fn connect_next(&mut self, poller: &Poller, key: u32, netns: &OwnedFd) -> bool {
        self.socket = None;
        for server in self.servers.by_ref() {
            self.id = random_id();
            packet::set_id(&mut self.message, self.id);
            self.received.clear();
            self.unsent = Backlog::default();
            push(&mut self.unsent, &self.message);
            let Ok(socket) = sockets::connect(server, SocketType::STREAM, netns) else { continue };
            let mut socket = Watched::new(poller, socket, Token::Names(key));
            if socket.watch(Some(EventFlags::OUT)).is_ok() {
                self.socket = Some(socket);
                return true;
            }
        }
        false
    }

    /// Sends what is unsent, then reads. An answer, if it is complete; an error if this server gives none.
    fn exchange(&mut self, buffer: &mut [u8]) -> Result<Option<Vec<u8>>, Errno> {
        let Some(socket) = &mut self.socket else { return Ok(None) };
        flush(socket, &mut self.unsent)?;
        if !self.unsent.is_empty() {
            return Ok(None);
        }
        socket.watch(Some(EventFlags::IN)).map_err(|_| Errno::IO)?;
        let ended = read(socket, &mut self.received, buffer)?;
        while let Some(mut message) = take_message(&mut self.received) {
            let Some((id, code)) = packet::response(&message) else { continue };
            if id != self.id || !packet::is_about(&message, &self.query) {
                continue;
            }
            packet::set_id(&mut message, self.query.id);
            if matches!(code, SERVER_FAILURE | REFUSED) {
                self.excuse = Some(message);
                return Err(Errno::IO);
            }
            return Ok(Some(message));
        }
        if ended { Err(Errno::CONNRESET) } else { Ok(None) }
    }
}

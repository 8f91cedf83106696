//! A client attached to a session: a socket that a user's program reads output from and writes input to, as raw bytes or in
//! Docker's frames (`[stream, 0, 0, 0, length: u32 big-endian]` before each piece).
//!
//! Sockets are used with `MSG_DONTWAIT` and not made non-blocking: the flag would be shared with whoever gave us the socket.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};

use super::keys::DetachKeys;
use super::linger::Lingering;
use crate::backlog::Backlog;
use crate::log::Stream;
use crate::poller::{EventFlags, Poller, Token, Watched};
use crate::protocol::AttachSpec;

const SEND: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// Why a client is going to be disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// It is not there any more.
    Gone,
    /// It gets what is on its way, then the end of the stream.
    Done,
    /// The same, because it typed the detach keys.
    Detached,
}

pub(super) struct Client {
    pub key: u32,
    socket: Watched,
    spec: AttachSpec,
    framed: bool,
    pub keys: DetachKeys,
    backlog: Backlog,
    /// No more input comes from it.
    pub input_over: bool,
    /// It takes no more output; its input still counts, above all its end.
    output_over: bool,
    /// The other side is closed; input may still be there to be read.
    pub hung_up: bool,
    pub leave: Option<Leave>,
}

/// What reading from a client brought.
pub(super) enum Received {
    Bytes(usize),
    NothingNow,
    End,
}

impl Client {
    pub fn new(
        poller: &Poller,
        session: u32,
        key: u32,
        fd: std::os::fd::OwnedFd,
        mut spec: AttachSpec,
        tty: bool,
    ) -> Self {
        let keys = std::mem::take(&mut spec.detach_keys);
        Self {
            key,
            socket: Watched::new(poller, fd, Token::Client(session, key)),
            framed: spec.mux && !tty,
            keys: DetachKeys::new(if tty { keys } else { Vec::new() }),
            backlog: Backlog::default(),
            input_over: !spec.stdin,
            output_over: false,
            hung_up: false,
            leave: None,
            spec,
        }
    }

    /// How much output it has not taken yet.
    pub fn behind(&self) -> usize {
        self.backlog.len()
    }

    /// Gives it a piece of output.
    pub fn send(&mut self, stream: Stream, data: &[u8]) {
        let wanted = match stream {
            Stream::Stdout => self.spec.stdout,
            Stream::Stderr => self.spec.stderr,
        };
        if !wanted || self.output_over || self.leave.is_some() {
            return;
        }
        let mut header = [0; 8];
        header[0] = match stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
        };
        header[4..].copy_from_slice(&(data.len() as u32).to_be_bytes());
        let parts = [if self.framed { &header[..] } else { &[] }, data];
        let mut sent = 0;
        if self.backlog.is_empty() {
            // In one call: a header alone in a TCP segment would wait for the acknowledgement before the data follows.
            match send_parts(&self.socket, parts) {
                Ok(count) => sent = count,
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => return self.output_fails(),
            }
        }
        for part in parts {
            let skip = sent.min(part.len());
            self.backlog.push(&part[skip..]);
            sent -= skip;
        }
    }

    /// Sends what is left.
    pub fn flush(&mut self) {
        if self.backlog.flush(|bytes| send(&self.socket, bytes)).is_err() {
            self.output_fails();
        }
    }

    fn output_fails(&mut self) {
        self.output_over = true;
        self.backlog = Backlog::default();
    }

    /// Nothing goes either way any more.
    pub fn is_useless(&self) -> bool {
        self.output_over && self.input_over
    }

    pub fn receive(&mut self, buffer: &mut [u8]) -> Received {
        match receive(&self.socket, buffer) {
            Ok(0) => Received::End,
            Ok(count) => Received::Bytes(count),
            Err(Errno::AGAIN | Errno::INTR) => Received::NothingNow,
            Err(_) => Received::End,
        }
    }

    /// Watches for what can be used now.
    pub fn watch(&mut self, input_has_room: bool) -> io::Result<()> {
        let mut flags = EventFlags::empty();
        if !self.backlog.is_empty() {
            flags |= EventFlags::OUT;
        }
        if !self.input_over && input_has_room {
            flags |= EventFlags::IN;
        }
        // A hang-up that is known, with input that has to wait, would be reported over and over.
        let wait = self.hung_up && !flags.contains(EventFlags::IN);
        self.socket.watch((!wait).then_some(flags))
    }

    /// Disconnects it, after what is left is sent. It gets a new key for that.
    pub fn dismiss(self, next_key: &mut u32) -> Option<(u32, Lingering)> {
        *next_key += 1;
        Some((*next_key, Lingering::new(self.socket, self.backlog, *next_key).ok()?))
    }
}

pub(super) fn send(socket: impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
    rustix::net::send(socket, bytes, SEND)
}

pub(super) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    rustix::net::recv(socket, buffer, RecvFlags::DONTWAIT).map(|(count, _)| count)
}

fn send_parts(socket: impl AsFd, parts: [&[u8]; 2]) -> Result<usize, Errno> {
    rustix::net::sendmsg(socket, &parts.map(IoSlice::new), &mut SendAncillaryBuffer::default(), SEND)
}

//! A session: the standard streams of one process (the container's first one, an exec session's, a health probe's) and who is
//! connected to them.
//!
//! ```text
//!   process ── pipes or terminal ──▶ log, probe's output
//!                               └──▶ clients (each with what it has not taken yet)
//!   process ◀── pipe or terminal ◀── clients that send input
//! ```
//! Nothing is lost and nothing grows: when a client is [`LIMIT`] bytes behind, the process's output is not read until that client
//! has caught up, so the process waits in its `write`, as it does with Docker. Input is read from clients only as fast as
//! the process takes it. Once the process has ended, what is still in its pipes is read whatever the clients do.

mod attached;
mod ends;
mod input;
mod keys;
mod linger;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::termios::Winsize;

use crate::log::{Log, Stream};
use crate::poller::{EventFlags, Part, Poller, Token, Watched, set_nonblocking};
use crate::protocol::AttachSpec;
use attached::{Client, Leave, Received};
pub(crate) use ends::{Ends, Kind};
use input::Input;
pub(crate) use linger::{Farewell, Lingering, PATIENCE};

/// A client that is so many bytes behind holds the process up.
const LIMIT: usize = 256 << 10;
/// How many reads of one descriptor before others get their turn.
const TURN: usize = 4;

/// Where output goes besides the clients.
pub(crate) enum Sink {
    Nowhere,
    Log(Box<Log>),
    /// The first bytes, up to a limit, are kept; true when there were more.
    Capture {
        bytes: Vec<u8>,
        limit: usize,
        more: bool,
    },
}

pub(crate) struct Session {
    key: u32,
    poller: Poller,
    tty: bool,
    /// Standard input ends with the first client's input; otherwise a client whose input ends is disconnected.
    ends_with_client: bool,
    input: Option<Input>,
    outputs: [Option<Watched>; 2],
    sink: Sink,
    clients: Vec<Client>,
    next_client: u32,
    /// The process has ended.
    ended: bool,
}

/// What a look at a session found.
#[derive(Default)]
pub(crate) struct Settled {
    /// So many clients typed the detach keys.
    pub detached: usize,
    /// These clients are on their way out, under their new keys.
    pub leaving: Vec<(u32, Lingering)>,
    /// The process has ended, and so has its output, and the clients have all of it.
    pub finished: bool,
}

impl Session {
    /// Takes the monitor's ends of a process's streams.
    pub fn new(
        poller: &Poller,
        key: u32,
        ends: Ends,
        sink: Sink,
        ends_with_client: bool,
    ) -> io::Result<Self> {
        let watched = |fd: OwnedFd, part| {
            set_nonblocking(&fd)?;
            Ok::<_, io::Error>(Watched::new(poller, fd, Token::Stream(key, part)))
        };
        let output = |fd: Option<OwnedFd>, part| fd.map(|fd| watched(fd, part)).transpose();
        let mut session = Self {
            key,
            poller: poller.clone(),
            tty: ends.tty,
            ends_with_client,
            input: output(ends.stdin, Part::Input)?.map(Input::new),
            outputs: [output(ends.stdout, Part::Output)?, output(ends.stderr, Part::Error)?],
            sink,
            clients: Vec::new(),
            next_client: 0,
            ended: false,
        };
        session.watch()?;
        Ok(session)
    }

    /// Connects a client. Output that came before is not for it.
    pub fn attach(&mut self, socket: OwnedFd, mut spec: AttachSpec, buffer: &mut [u8]) {
        let leftover = std::mem::take(&mut spec.leftover);
        let key = self.next_client;
        self.next_client += 1;
        self.clients.push(Client::new(&self.poller, self.key, key, socket, spec, self.tty));
        let index = self.clients.len() - 1;
        if self.reads_from(index) && !leftover.is_empty() {
            self.typed(index, &leftover);
        }
        self.client_ready(key, EventFlags::IN, buffer);
    }

    /// One of the process's descriptors is ready.
    pub fn stream_ready(&mut self, part: Part, buffer: &mut [u8]) {
        match part {
            Part::Input => {
                if let Some(input) = &mut self.input {
                    input.flush();
                }
            }
            Part::Output => self.read(Stream::Stdout, buffer),
            Part::Error => self.read(Stream::Stderr, buffer),
        }
    }

    fn read(&mut self, stream: Stream, buffer: &mut [u8]) {
        for _ in 0..TURN {
            let Some(source) = &self.outputs[stream as usize] else { return };
            match rustix::io::read(source, &mut *buffer) {
                // A terminal says EIO when nobody has it open any more.
                Ok(0) | Err(Errno::IO) => return self.output_over(stream),
                Ok(count) => self.deliver(stream, &buffer[..count]),
                Err(Errno::AGAIN | Errno::INTR) => return,
                Err(_) => return self.output_over(stream),
            }
            if self.is_held_up() {
                return;
            }
        }
    }

    fn output_over(&mut self, stream: Stream) {
        self.outputs[stream as usize] = None;
        if let Sink::Log(log) = &mut self.sink {
            log.end(stream);
        }
    }

    fn deliver(&mut self, stream: Stream, data: &[u8]) {
        match &mut self.sink {
            Sink::Nowhere => {}
            Sink::Log(log) => log.write(stream, data),
            Sink::Capture { bytes, limit, more } => {
                let room = limit.saturating_sub(bytes.len()).min(data.len());
                bytes.extend_from_slice(&data[..room]);
                *more |= room < data.len();
            }
        }
        for client in &mut self.clients {
            client.send(stream, data);
        }
    }

    fn is_held_up(&self) -> bool {
        !self.ended && self.clients.iter().any(|client| client.leave.is_none() && client.behind() > LIMIT)
    }

    /// A client's socket is ready.
    pub fn client_ready(&mut self, key: u32, flags: EventFlags, buffer: &mut [u8]) {
        let Some(index) = self.clients.iter().position(|client| client.key == key) else { return };
        if flags.contains(EventFlags::OUT) {
            self.clients[index].flush();
        }
        if flags.intersects(EventFlags::HUP | EventFlags::ERR) {
            self.clients[index].hung_up = true;
        }
        self.read_from(index, buffer);
    }

    fn reads_from(&self, index: usize) -> bool {
        let client = &self.clients[index];
        !client.input_over && client.leave.is_none() && self.input.is_some()
    }

    fn read_from(&mut self, index: usize, buffer: &mut [u8]) {
        for _ in 0..TURN {
            if !self.reads_from(index) || !self.input.as_ref().is_some_and(Input::has_room) {
                return;
            }
            match self.clients[index].receive(buffer) {
                Received::Bytes(count) => self.typed(index, &buffer[..count]),
                Received::NothingNow => return,
                Received::End => self.client_input_over(index),
            }
        }
    }

    fn typed(&mut self, index: usize, bytes: &[u8]) {
        let (Some(input), client) = (&mut self.input, &mut self.clients[index]) else { return };
        if client.keys.is_empty() {
            return input.write(bytes);
        }
        let mut passed = Vec::new();
        if client.keys.filter(bytes, &mut passed) {
            client.leave = Some(Leave::Detached);
        }
        input.write(&passed);
    }

    /// Docker's rule (moby `container/stream/attach.go`): either the process reads the end of file and the client goes on getting
    /// output, or the client is disconnected. A terminal has no end of file.
    fn client_input_over(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.input_over = true;
        if !self.ends_with_client || self.tty {
            client.leave = Some(Leave::Done);
        } else if let Some(input) = &mut self.input {
            input.end();
        }
    }

    /// The process has ended: nobody reads its input, and its output is what is in the pipes.
    pub fn process_ended(&mut self) {
        self.ended = true;
        self.input = None;
    }

    /// What has no end by now is cut off: somebody else than the process holds the streams open.
    pub fn cut_off(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if self.outputs[stream as usize].is_some() {
                self.output_over(stream);
            }
        }
    }

    /// Whether all output is read.
    pub fn is_drained(&self) -> bool {
        self.outputs.iter().all(Option::is_none)
    }

    /// To be called after every change: disconnects who has to go, and watches for what can happen next.
    pub fn settle(&mut self, next_key: &mut u32) -> Settled {
        let mut settled = Settled::default();
        if self.input.as_ref().is_some_and(Input::is_over) {
            self.input = None;
        }
        for index in 0..self.clients.len() {
            let client = &self.clients[index];
            let gone = client.is_useless() || (client.hung_up && !self.reads_from(index));
            if gone && client.leave.is_none() {
                self.clients[index].leave = Some(Leave::Gone);
            }
        }
        for client in self.clients.extract_if(.., |client| client.leave.is_some()) {
            settled.detached += usize::from(client.leave == Some(Leave::Detached));
            if client.leave != Some(Leave::Gone) {
                settled.leaving.extend(client.dismiss(next_key));
            }
        }
        if self.watch().is_err() {
            // The kernel is out of memory for watches: better an early end than a silent hang.
            self.cut_off();
        }
        settled.finished =
            self.ended && self.is_drained() && self.clients.iter().all(|client| client.behind() == 0);
        settled
    }

    fn watch(&mut self) -> io::Result<()> {
        let held_up = self.is_held_up();
        for output in self.outputs.iter_mut().flatten() {
            output.watch((!held_up).then_some(EventFlags::IN))?;
        }
        let has_room = self.input.as_ref().is_some_and(Input::has_room);
        if let Some(input) = &mut self.input {
            input.watch()?;
        }
        for client in &mut self.clients {
            client.watch(has_room)?;
        }
        Ok(())
    }

    /// Disconnects the clients that are left.
    pub fn dismiss(&mut self, next_key: &mut u32) -> Vec<(u32, Lingering)> {
        self.clients.drain(..).filter_map(|client| client.dismiss(next_key)).collect()
    }

    /// What a probe wrote.
    pub fn captured(&mut self) -> (Vec<u8>, bool) {
        match &mut self.sink {
            Sink::Capture { bytes, more, .. } => (std::mem::take(bytes), *more),
            _ => (Vec::new(), false),
        }
    }

    /// Sets the terminal's size; false when there is none.
    pub fn resize(&self, width: u16, height: u16) -> io::Result<bool> {
        match &self.outputs[0] {
            Some(terminal) if self.tty => {
                let size = Winsize { ws_col: width, ws_row: height, ws_xpixel: 0, ws_ypixel: 0 };
                rustix::termios::tcsetwinsize(terminal.as_fd(), size)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

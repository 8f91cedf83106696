//! The event loop: one thread that waits for descriptors and points in time, and gives each to the part it belongs to.
//!
//! To add something to wait for: a variant of [`Token`] (and its number in `pack` and `unpack`), an arm in [`Monitor::handle`];
//! for a time a variant of [`Timer`] and an arm in [`Monitor::due`]. A descriptor is in the loop while its `Watched` lives.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use runtime::Launcher;

use crate::connections::Connections;
use crate::container::{Coming, Container, Phase};
use crate::dns::NameServer;
use crate::exec::Expected;
use crate::poller::{EventFlags, Poller, Token, Watched};
use crate::protocol::{Event, Message, Reply};
use crate::relay::Relays;
use crate::streams::Lingering;
use crate::tasks::Task;
use crate::timers::{Timer, Timers};

/// The largest piece that is read at once. The one buffer of the monitor.
const BUFFER: usize = 16 << 10;

/// When a request, or coming up, counts as done: containers and sessions that live as briefly as that are not worth a system call.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// Everything a monitor is. Its parts are in the files that are named after them.
pub(crate) struct Monitor {
    pub poller: Poller,
    pub timers: Timers,
    pub buffer: Box<[u8]>,
    pub connections: Connections,
    /// Processes that the monitor started, with their streams.
    pub tasks: BTreeMap<u32, Task>,
    /// Processes that are likely to be started soon, the latest first.
    pub expected: VecDeque<Expected>,
    /// Tasks whose process had ended, with this code, before they were tasks.
    pub early: Vec<(u32, i32)>,
    /// Clients of sessions that are over.
    pub lingering: BTreeMap<u32, Lingering>,
    /// For tasks and lingering clients; never used twice.
    pub next_key: u32,
    /// Looked up while the monitor waits for its start request; without one, the request finds out what is wrong.
    pub launcher: Option<Launcher>,
    /// Before the start request.
    pub coming: Option<Coming>,
    /// After the start request.
    pub container: Option<Container>,
    pub relays: Relays,
    /// While the container is on networks with names.
    pub names: Option<NameServer>,
    /// The exit code to leave with, as soon as nothing is left to do.
    pub leaving: Option<i32>,
    signals: Watched,
}

impl Monitor {
    pub fn new(control: OwnedFd) -> io::Result<Self> {
        let signals = prepare_process()?;
        let poller = Poller::new()?;
        let mut signals = Watched::new(&poller, signals, Token::Signals);
        signals.watch(Some(EventFlags::IN))?;
        let mut timers = Timers::default();
        // One that waits for its container for long must not be larger than one that has it.
        timers.set(Timer::Settled, SETTLED_AFTER);
        Ok(Self {
            timers,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            connections: Connections::new(&poller, control)?,
            tasks: BTreeMap::new(),
            expected: VecDeque::new(),
            early: Vec::new(),
            lingering: BTreeMap::new(),
            next_key: 0,
            launcher: Launcher::detect().ok(),
            coming: None,
            container: None,
            relays: Relays::new(&poller),
            names: None,
            leaving: None,
            signals,
            poller,
        })
    }

    /// Runs until the monitor has nothing left to do; returns the process's exit code.
    pub fn run(mut self) -> io::Result<i32> {
        let poller = self.poller.clone();
        loop {
            poller.wait(self.timers.next(), |token, flags| self.handle(token, flags))?;
            while let Some(timer) = self.timers.due() {
                self.due(timer);
            }
            if let Some(code) = self.leave() {
                return Ok(code);
            }
        }
    }

    fn handle(&mut self, token: Token, flags: EventFlags) {
        match token {
            Token::Signals => {
                while let Ok(Some(_)) = sys::signal::read_fd(&self.signals) {}
                self.reap();
            }
            Token::Listener => self.connections.accept(),
            Token::Connection(key) => {
                for (request, fds) in self.connections.ready(key, flags, &mut self.buffer) {
                    self.timers.set(Timer::Settled, SETTLED_AFTER);
                    self.request(key, request, fds);
                }
            }
            Token::Stream(key, part) => self.stream_ready(key, part),
            Token::Client(key, client) => self.client_ready(key, client, flags),
            Token::Lingering(key) => self.advance_lingering(key),
            Token::Oom => self.memory_ran_out(),
            Token::Relay(key) => self.relays.ready(key, &mut self.timers),
            Token::RelayEnd(key, side) => self.relays.end_ready(key, side, flags),
            Token::Names(key) => {
                if let Some(names) = &mut self.names {
                    names.ready(key, flags, &mut self.buffer, &mut self.timers);
                }
            }
        }
    }

    fn due(&mut self, timer: Timer) {
        match timer {
            Timer::Kill => self.kill(),
            Timer::Restart => self.restart(),
            Timer::Drain(key) => self.cut_off(key),
            Timer::Probe => self.probe(),
            Timer::ProbeTimeout => self.probe_timed_out(),
            Timer::Linger(key) => {
                self.lingering.remove(&key);
            }
            Timer::Relays => self.relays.tick(&mut self.timers),
            Timer::Names => {
                if let Some(names) = &mut self.names {
                    names.tick(&mut self.timers);
                }
            }
            Timer::Settled => {
                self.expect_processes();
                self.forget_expected();
                // Costs nothing but memory when it fails.
                let _ = sys::memory::forget_program();
            }
        }
    }

    /// Whether, and with which code, it is time to leave: after the final exit, when the engine has taken note or is not there (a
    /// later one reads the record), and everything is said to everybody.
    fn leave(&mut self) -> Option<i32> {
        if self.leaving.is_none() && self.connections.is_empty() {
            match &self.container {
                None => self.leaving = Some(1),
                Some(container) if matches!(container.phase, Phase::Ended) => self.leaving = Some(0),
                Some(_) => {}
            }
        }
        let code = self.leaving?;
        self.connections.stop_listening();
        let idle = self.tasks.is_empty() && self.lingering.is_empty() && self.connections.is_flushed();
        idle.then_some(code)
    }

    pub fn tell(&mut self, event: Event) {
        self.connections.broadcast(&Message::Event(event));
    }

    pub fn reply(&mut self, asker: crate::connections::Asker, reply: Reply) {
        self.connections.send(asker.connection, &Message::Reply { seq: asker.seq, reply });
    }
}

/// Makes the process independent of whoever started it, and returns the descriptor that tells of children's deaths.
fn prepare_process() -> io::Result<OwnedFd> {
    // The engine's current folder may be on a file system that somebody wants to unmount one day.
    rustix::process::chdir("/")?;
    // Out of the engine's session and process group: what a user types at the engine's terminal is not for us. Fails when the
    // process leads a group already, which serves as well.
    let _ = rustix::process::setsid();
    // Orphans of a container that has no pid namespace of its own are ours to reap.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    // A monitor outlives a shutdown of everything else for as long as its container does. The runtime gives the container the
    // default actions back.
    for signal in ["HUP", "INT", "QUIT", "PIPE", "TERM", "USR1", "USR2", "TSTP"] {
        if let Some(number) = sys::signal::parse(signal) {
            sys::signal::ignore(number)?;
        }
    }
    let children = sys::signal::parse("CHLD").map_or(0, sys::signal::bit);
    sys::signal::block(children, true)?;
    sys::signal::fd(children)
}

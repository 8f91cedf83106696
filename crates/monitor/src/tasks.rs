//! Processes that the monitor started: the container's first one, exec sessions, health probes. Each has a session for its streams;
//! it is finished when the process has ended, its output is read to the end and its clients have all of it.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::WaitOptions;

use crate::event_loop::Monitor;
use crate::poller::{EventFlags, Part};
use crate::protocol::Event;
use crate::streams::{Farewell, Lingering, PATIENCE, Session};
use crate::timers::Timer;

/// How long streams may stay open after their process has ended, as with Docker: another process may have inherited them.
const DRAIN: Duration = Duration::from_secs(2);

/// What a process is to the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    Container,
    /// An exec session, by its name.
    Exec(String),
    Probe,
}

pub(crate) struct Task {
    pub owner: Owner,
    pub pid: i32,
    pub pidfd: OwnedFd,
    /// The process has ended, with this code.
    pub exit: Option<i32>,
    pub session: Session,
}

impl Monitor {
    /// Takes note of every child that has ended.
    pub fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let code = match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => code,
                (None, Some(signal)) => 128 + signal,
                (None, None) => continue,
            };
            let pid = pid.as_raw_nonzero().get();
            let found = self.tasks.iter().find(|(_, task)| task.pid == pid && task.exit.is_none());
            match found.map(|(key, _)| *key) {
                Some(key) => self.ended(key, code),
                // Others are orphans that were handed to us.
                None => self.held_ended(pid, code),
            }
        }
    }

    /// A process has ended.
    pub fn ended(&mut self, key: u32, code: i32) {
        let Some(task) = self.tasks.get_mut(&key) else { return };
        task.exit = Some(code);
        task.session.process_ended();
        if task.owner == Owner::Container {
            self.container_ended();
        }
        self.timers.set(Timer::Drain(key), DRAIN);
        // Mostly all output is there already, and this is the end of it.
        self.stream_ready(key, Part::Output);
        self.stream_ready(key, Part::Error);
        self.settle(key);
    }

    /// One of a process's streams is ready.
    pub fn stream_ready(&mut self, key: u32, part: Part) {
        if let Some(task) = self.tasks.get_mut(&key) {
            task.session.stream_ready(part, &mut self.buffer);
            self.settle(key);
        }
    }

    /// One of its clients is ready.
    pub fn client_ready(&mut self, key: u32, client: u32, flags: EventFlags) {
        if let Some(task) = self.tasks.get_mut(&key) {
            task.session.client_ready(client, flags, &mut self.buffer);
            self.settle(key);
        }
    }

    /// Draws the conclusions of a change in a session.
    pub fn settle(&mut self, key: u32) {
        let Some(task) = self.tasks.get_mut(&key) else { return };
        let settled = task.session.settle(&mut self.next_key);
        let exec = match &task.owner {
            Owner::Exec(id) => Some(id.clone()),
            _ => None,
        };
        self.see_off(settled.leaving);
        for _ in 0..settled.detached {
            self.tell(Event::Detached { exec: exec.clone() });
        }
        if settled.finished {
            self.finish(key);
        }
    }

    /// A process has ended, but its streams, or clients, have not come to an end for [`DRAIN`].
    pub fn cut_off(&mut self, key: u32) {
        let Some(task) = self.tasks.get_mut(&key) else { return };
        task.session.cut_off();
        self.finish(key);
    }

    fn finish(&mut self, key: u32) {
        self.timers.cancel(Timer::Drain(key));
        let Some(mut task) = self.tasks.remove(&key) else { return };
        match task.owner.clone() {
            Owner::Container => {
                let leaving = task.session.dismiss(&mut self.next_key);
                self.see_off(leaving);
                self.container_finished(task);
            }
            Owner::Exec(id) => {
                // The event first: who sees the end of the stream asks for the exit code next.
                self.tell(Event::ExecExited { id, code: task.exit.unwrap_or_default() });
                let leaving = task.session.dismiss(&mut self.next_key);
                self.see_off(leaving);
            }
            Owner::Probe => self.probe_finished(key, task),
        }
    }

    fn see_off(&mut self, leaving: Vec<(u32, Lingering)>) {
        for (key, lingering) in leaving {
            self.lingering.insert(key, lingering);
            self.advance_lingering(key);
        }
    }

    /// A client that is on its way out can be written to, or has closed its side.
    pub fn advance_lingering(&mut self, key: u32) {
        let Some(lingering) = self.lingering.get_mut(&key) else { return };
        match lingering.advance(&mut self.buffer) {
            Farewell::Sending => {}
            Farewell::Ended => {
                if self.timers.at(Timer::Linger(key)).is_none() {
                    self.timers.set(Timer::Linger(key), PATIENCE);
                }
            }
            Farewell::Over => {
                self.lingering.remove(&key);
                self.timers.cancel(Timer::Linger(key));
            }
        }
    }
}

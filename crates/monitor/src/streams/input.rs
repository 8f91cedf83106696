//! A process's standard input: the writing end of its pipe, or its terminal. Takes the next bytes only when it got rid of the
//! last ones, so that a client that sends faster than the process reads waits in its own socket.

use std::io;

use rustix::io::Errno;

use crate::backlog::Backlog;
use crate::poller::{EventFlags, Watched};

pub(super) struct Input {
    fd: Watched,
    backlog: Backlog,
    /// Nothing comes after the backlog.
    ending: bool,
    /// Nobody reads any more, or everything is written that ever will be.
    over: bool,
}

impl Input {
    pub fn new(fd: Watched) -> Self {
        Self { fd, backlog: Backlog::default(), ending: false, over: false }
    }

    pub fn has_room(&self) -> bool {
        self.backlog.is_empty() && !self.ending && !self.over
    }

    pub fn is_over(&self) -> bool {
        self.over
    }

    pub fn write(&mut self, bytes: &[u8]) {
        if !self.ending {
            let result = self.backlog.send(bytes, |bytes| rustix::io::write(&self.fd, bytes));
            self.after(result);
        }
    }

    /// Writes what is left.
    pub fn flush(&mut self) {
        let result = self.backlog.flush(|bytes| rustix::io::write(&self.fd, bytes));
        self.after(result);
    }

    /// The process reads the end of file after what is left.
    pub fn end(&mut self) {
        self.ending = true;
        self.after(Ok(()));
    }

    fn after(&mut self, result: Result<(), Errno>) {
        self.over |= result.is_err() || (self.ending && self.backlog.is_empty());
    }

    /// A pipe without readers reports it over and over: it is watched only while there is something to write.
    pub fn watch(&mut self) -> io::Result<()> {
        self.fd.watch((!self.backlog.is_empty()).then_some(EventFlags::OUT))
    }
}

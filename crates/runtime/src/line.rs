//! How somebody else than its launcher lets a waiting process go, without the way over the launcher.

use std::io;
use std::os::fd::OwnedFd;

use crate::channel::{self, Channel};

/// One end. Dropped without a word, the process ends.
#[derive(Debug)]
pub struct Line(Channel);

impl Line {
    /// A line, and its other end, for [`Gate::Line`](crate::Gate::Line).
    pub fn new() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = channel::pair()?;
        Ok((Self(ours), theirs.into_socket()))
    }

    /// Lets the process go; false if there is surely none any more.
    pub fn go(self) -> bool {
        self.0.go().is_ok()
    }
}

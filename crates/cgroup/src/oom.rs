//! Memory shortage as a descriptor to poll: an eventfd on v1, inotify on `memory.events` on v2.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::EventfdFlags;
use rustix::fs::{Mode, OFlags, inotify};

use crate::{Error, Result, files};

/// Memory shortage as events: poll it for reading, then call [`OomWatch::take`].
#[derive(Debug)]
pub struct OomWatch {
    fd: OwnedFd,
    /// The file with the line `oom_kill <count>`.
    counter: PathBuf,
    seen: u64,
}

impl OomWatch {
    /// On v1, with the cgroup's folder in the memory hierarchy.
    pub(crate) fn v1(folder: &Path) -> Result<Self> {
        let counter = folder.join("memory.oom_control");
        let fd = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| Error::io("watch", &counter, error))?;
        let control = rustix::fs::open(&counter, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| Error::io("open", &counter, error))?;
        files::write(
            &folder.join("cgroup.event_control"),
            format!("{} {}", fd.as_raw_fd(), control.as_raw_fd()),
        )?;
        Self { fd, counter, seen: 0 }.started()
    }

    /// On v2, with the cgroup's folder.
    pub(crate) fn v2(folder: &Path) -> Result<Self> {
        let counter = folder.join("memory.events");
        let watch = || {
            let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
            inotify::add_watch(&fd, &counter, inotify::WatchFlags::MODIFY)?;
            Ok::<_, rustix::io::Errno>(fd)
        };
        let fd = watch().map_err(|error| Error::io("watch", &counter, error))?;
        Self { fd, counter, seen: 0 }.started()
    }

    fn started(mut self) -> Result<Self> {
        self.seen = kills(&self.counter)?;
        Ok(self)
    }

    /// Takes the event off the descriptor and returns how many more processes were killed since the last call (0: the shortage
    /// passed, or the cgroup went away).
    pub fn take(&mut self) -> Result<u64> {
        let mut buffer = [0_u8; 512];
        while rustix::io::read(&self.fd, &mut buffer).is_ok_and(|count| count == buffer.len()) {}
        let now = kills(&self.counter)?;
        let new = now.saturating_sub(self.seen);
        self.seen = self.seen.max(now);
        Ok(new)
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The line `oom_kill <count>`: in `memory.oom_control` on v1 (Linux 4.13), in `memory.events` on v2.
pub fn kills(counter: &Path) -> Result<u64> {
    Ok(files::flat_keyed(counter)?.get("oom_kill").copied().unwrap_or(0))
}

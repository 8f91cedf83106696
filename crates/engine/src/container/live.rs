//! Files of a container's live process in `/proc`: opened in such a way that a pid which was used again is noticed.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};

use super::status::Run;

/// Opens `/proc/<pid>/<name>` of exactly this process.
pub(crate) fn open(run: Run, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let file = rustix::fs::open(format!("/proc/{}/{name}", run.pid), flags | OFlags::CLOEXEC, Mode::empty())?;
    // Asked after opening: what was open before the process ended was its.
    match sys::process::start_ticks(run.pid)? == run.start_ticks {
        true => Ok(file),
        false => Err(rustix::io::Errno::SRCH.into()),
    }
}

/// Its network namespace.
pub(crate) fn netns(run: Run) -> io::Result<OwnedFd> {
    open(run, "ns/net", OFlags::RDONLY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_under_the_same_pid_is_not_taken_for_it() {
        let pid = std::process::id() as i32;
        let run = Run { pid, start_ticks: sys::process::start_ticks(pid).unwrap() };
        netns(run).unwrap();
        assert!(netns(Run { start_ticks: run.start_ticks + 1, ..run }).is_err());
    }
}

//! Staying with a process that was started in the foreground: signals go to it, the terminal's bytes go both ways, its exit code
//! becomes ours.

use std::os::fd::{AsFd, OwnedFd};

use runtime::Launched;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions};
use rustix::termios::{OptionalActions, Termios};

use super::failure::{Failure, Result};

/// All signals, as a descriptor. The launched program begins with none blocked all the same.
pub struct Signals(OwnedFd);

/// Those that are about this process alone.
const OURS: [i32; 2] = [sys::signal::CHLD, sys::signal::PIPE];

impl Signals {
    /// Blocks them, and opens the descriptor.
    pub fn take() -> Result<Self> {
        let doing = "listen for signals";
        let set = u64::MAX;
        sys::signal::block(set, true).map_err(Failure::io(doing))?;
        sys::signal::fd(set).map(Self).map_err(Failure::io(doing))
    }
}

/// Passes things on until the process ends; its exit code, or 128 and the signal's number.
pub fn wait(launched: &Launched, signals: &Signals) -> Result<i32> {
    let doing = "wait for the container";
    let terminal = launched.terminal.as_ref();
    let raw = terminal.and_then(|_| Raw::set());
    if let Some(master) = terminal {
        copy_size(master);
    }
    let mut input = terminal.is_some();
    loop {
        let mut watched =
            vec![PollFd::new(&launched.pidfd, PollFlags::IN), PollFd::new(&signals.0, PollFlags::IN)];
        if let Some(master) = terminal {
            watched.push(PollFd::new(master, PollFlags::IN));
        }
        let stdin = rustix::stdio::stdin();
        if input {
            watched.push(PollFd::new(&stdin, PollFlags::IN));
        }
        match poll(&mut watched, None) {
            Err(Errno::INTR) => continue,
            result => result.map_err(Failure::io(doing))?,
        };
        let ready: Vec<bool> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
        if let Some(master) = terminal.filter(|_| ready[2]) {
            copy(master, rustix::stdio::stdout());
        }
        if let Some(master) = terminal.filter(|_| ready.get(3) == Some(&true)) {
            input = copy(stdin, master);
        }
        if ready[1] {
            pass_on(signals, launched);
        }
        if ready[0] {
            break;
        }
    }
    if let Some(master) = terminal {
        // What it wrote last.
        while is_readable(master) && copy(master, rustix::stdio::stdout()) {}
    }
    drop(raw);
    exit_code(&launched.pidfd)
}

fn pass_on(signals: &Signals, launched: &Launched) {
    while let Ok(Some(signal)) = sys::signal::read_fd(&signals.0) {
        match (signal, &launched.terminal) {
            (sys::signal::WINCH, Some(master)) => copy_size(master),
            (signal, _) if OURS.contains(&signal) => {}
            // It may have ended meanwhile.
            (signal, _) => drop(sys::signal::send(&launched.pidfd, signal)),
        }
    }
}

/// What the process left, which also lets the kernel forget it.
fn exit_code(pidfd: &OwnedFd) -> Result<i32> {
    loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            Ok(Some(status)) => {
                let signalled = status.terminating_signal().map(|signal| 128 + signal);
                return Ok(status.exit_status().or(signalled).unwrap_or(0));
            }
            Ok(None) => {}
            Err(error) => return Err(Failure::io("wait for the container")(error)),
        }
    }
}

fn is_readable(fd: &OwnedFd) -> bool {
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&now)), Ok(1))
}

/// Copies what is there; `false` at the end of it.
fn copy(from: impl AsFd, to: impl AsFd) -> bool {
    let mut buffer = [0; 8192];
    let count = match rustix::io::read(from, &mut buffer) {
        Ok(0) => return false,
        Ok(count) => count,
        Err(Errno::INTR | Errno::AGAIN) => return true,
        // EIO: nobody has the other side open any more.
        Err(_) => return false,
    };
    let mut rest = &buffer[..count];
    while !rest.is_empty() {
        match rustix::io::write(&to, rest) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}

fn copy_size(master: &OwnedFd) {
    if let Ok(size) = rustix::termios::tcgetwinsize(rustix::stdio::stdin()) {
        // A terminal without a size works too.
        let _ = rustix::termios::tcsetwinsize(master, size);
    }
}

/// Our own terminal in raw mode, as long as this lives.
struct Raw(Termios);

impl Raw {
    fn set() -> Option<Self> {
        let before = rustix::termios::tcgetattr(rustix::stdio::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing more can be done for a terminal that is gone.
        let _ = rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.0);
    }
}

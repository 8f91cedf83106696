//! A small first process for containers that ask for one (`--init`): one child, signals passed on, orphans reaped.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

use rustix::process::{Pid, WaitOptions};

/// Exit codes of shells: not executable, not found.
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

/// Signals that concern ourselves: the child's end, and what the terminal does to a background reader.
const OURS: [i32; 3] = [17, 21, 22];
/// Errors of our own program: blocking them would make an endless loop of a crash.
const CRASHES: [i32; 6] = [4, 5, 7, 8, 11, 31];

/// Runs `args` as its child, passes signals on, reaps orphans and returns the child's exit code (128 + n for a signal). Must be
/// pid 1 or a subreaper, and have no other threads.
pub fn init(args: &[String]) -> i32 {
    let Some((program, arguments)) = args.split_first() else { return NOT_FOUND };
    let all = CRASHES.iter().fold(u64::MAX, |set, signal| set & !sys::signal::bit(*signal));
    let Ok(signals) = sys::signal::block(all, true).and_then(|_| sys::signal::fd(all)) else {
        return NOT_EXECUTABLE;
    };
    let child = sys::clone3(0, None, || {
        // A group of its own, so that the terminal's signals reach it and not us. There may be no terminal.
        let _ = rustix::process::setpgid(None, None);
        let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), rustix::process::getpid());
        let _ = sys::signal::set_mask(0);
        let error = Command::new(program).args(arguments).exec();
        let text = format!("exec {program}: {}\n", crate::error::reason(&error));
        let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
        if error.kind() == std::io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE }
    });
    let Some(pid) = child.ok().and_then(|child| Pid::from_raw(child.pid)) else { return NOT_EXECUTABLE };
    loop {
        let mut poll = [rustix::event::PollFd::new(&signals, rustix::event::PollFlags::IN)];
        let _ = rustix::event::poll(&mut poll, None);
        while let Ok(Some(signal)) = sys::signal::read_fd(&signals) {
            if !OURS.contains(&signal) {
                // It may have ended in this moment.
                let _ = sys::signal::kill(pid.as_raw_pid(), signal);
            }
        }
        while let Ok(Some((reaped, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if reaped == pid {
                let status = std::process::ExitStatus::from_raw(status.as_raw());
                return status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
            }
        }
    }
}

//! The monitor: one single-threaded process for each running container. It launches the container, carries its output to the log
//! and to attached clients, runs exec sessions and health probes, restarts by the policy, and records the exit. It needs no
//! engine once it has its [`protocol::MonitorSpec`]. Never a thread, never an async runtime.
#![forbid(unsafe_code)]

pub mod protocol;
pub mod state;

use std::os::fd::OwnedFd;

/// The monitor's role: takes its orders from `control` until its container is gone. Returns the process's exit code.
pub fn run(control: OwnedFd) -> i32 {
    drop(control);
    unreachable!("in progress")
}

//! The monitor: one small single-threaded process for each running container. It starts the container, is its parent, carries its
//! streams to the log and to attached clients, runs exec sessions and health checks, restarts it, and writes down how it ended.
//! It outlives the engine and knows nothing about images, networks or HTTP.

#![forbid(unsafe_code)]

pub mod client;
pub mod log;
mod poller;
pub mod protocol;
mod restart;
mod time;
pub mod wire;

use std::os::fd::OwnedFd;

/// The monitor's life, from the control socket that the engine spawned it with to the exit code of its process. Must be called
/// in a process with one thread.
pub fn run(_control: OwnedFd) -> i32 {
    unreachable!("in progress")
}

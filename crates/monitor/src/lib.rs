//! The monitor: one small single-threaded process for each running container. It starts the container, is its parent, carries its
//! streams to the log and to attached clients, runs exec sessions and health checks, restarts it, and writes down how it ended.
//! It outlives the engine and knows nothing about images, networks or HTTP.
//!
//! ```text
//!   engine ── connections ──▶ requests ──▶ container (life)   control (signals, stop, pause, limits)
//!      ▲                                   exec, health ──▶ tasks (processes) ──▶ streams (sessions, clients) ──▶ log
//!      └── events ◀──────────────────────────────────────────┘                    relay (published ports)
//!                                                                                       dns (names at 127.0.0.11)
//! ```
//! The container's states are told in `container`, how a process's streams come to their end in `tasks` and `streams`, and how
//! all of it is driven (and how to add something to wait for) in `event_loop`.

#![forbid(unsafe_code)]

mod backlog;
pub mod client;
mod connections;
mod container;
mod control;
mod dns;
mod event_loop;
mod exec;
mod health;
pub mod log;
mod poller;
pub mod protocol;
mod relay;
mod requests;
mod restart;
pub mod state;
mod streams;
mod tasks;
mod time;
mod timers;
pub mod wire;

use std::os::fd::OwnedFd;

/// The monitor's life, from the control socket that the engine spawned it with to the exit code of its process: 0 after the
/// container's final exit, 1 when there was nothing to monitor. Must be called in a process with one thread.
pub fn run(control: OwnedFd) -> i32 {
    event_loop::Monitor::new(control).and_then(event_loop::Monitor::run).unwrap_or(1)
}

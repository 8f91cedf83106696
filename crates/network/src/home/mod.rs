//! Where the networks of an engine without root are. The host's network namespace is not an ordinary user's to change, so his
//! bridges, veths and rules live in another, which belongs to his user namespace: their home. Inside it everything is as
//! root has it on the host. Only two things are different: published ports are taken on the host by sockets that the
//! containers' monitors relay from, and the way out is a program of the distribution's, pasta or slirp4netns, that passes on
//! what leaves by a tap device.
//!
//! ```text
//!   engine ── lease, and the namespace ──▶ holder ── starts, watches ──▶ pasta | slirp4netns ── tap ──▶ home
//!   monitors ── lease (of containers in it) ──▲         first process of a pid namespace: its end is the program's
//! ```
//! The holder ([`holder`]) outlives the engine, tells the next one where the home is ([`tenant`]) and goes with the last lease.

pub mod holder;
mod outlet;
mod program;
mod tenant;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use program::{Kind, Program};
pub(crate) use tenant::Home;
pub use tenant::Lease;

/// What a home needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeConfig {
    /// The executable that the holder is started from, as `<exe> network-home …`.
    pub exe: PathBuf,
    /// What can make the way out, the best first. Without any, containers reach each other and are reached by their published
    /// ports, and that is all.
    pub programs: Vec<Program>,
}

/// How the way out is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlet {
    /// The program that serves it; None when none does.
    pub program: Option<Kind>,
    /// What went wrong last.
    pub problem: String,
}

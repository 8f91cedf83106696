//! Control groups, version 1, version 2 and hybrid: create with limits, update, list, freeze, kill, remove, count. A [`Cgroup`] is
//! a name; what is true about it is in the kernel. Never decides limits, never leaves a half-made group behind.
#![forbid(unsafe_code)]

mod error;
mod resources;
mod stats;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

pub use error::{Error, Result};
pub use resources::*;
use serde::{Deserialize, Serialize};
pub use stats::*;

/// The cgroup file systems of this host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// v1 hierarchies; empty on a v2-only host.
    pub hierarchies: Vec<Hierarchy>,
    /// The mount point of cgroup2: the only one on a v2 host, or beside v1 hierarchies (hybrid).
    pub unified: Option<PathBuf>,
}

/// A v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hierarchy {
    /// Its controllers ("cpu", "cpuacct"), or "name=systemd".
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mount: PathBuf,
}

impl Host {
    /// Reads the layout from `/proc/self/mountinfo`.
    pub fn detect() -> Result<Self> {
        unreachable!("in progress")
    }

    /// Whether limits are set through cgroup v2 (no v1 hierarchy has a controller).
    pub fn is_v2(&self) -> bool {
        self.hierarchies.is_empty()
    }
}

/// On hosts with cgroup v1 the kernel waits up to 15 ms for a grace period whenever a process changes its cgroup, unless one
/// hierarchy is mounted with `favordynmods`. This makes such a hierarchy, detached and without controllers; the effect lasts as
/// long as the descriptor is open. `None` where it is not needed (pure v2) or not possible.
pub fn hold_dynmods() -> Option<OwnedFd> {
    unreachable!("in progress")
}

/// A cgroup: one folder on v2, one in each hierarchy on v1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cgroup {
    host: Host,
    path: String,
}

impl Cgroup {
    /// Creates the cgroup `path` ("/naru/<id>", absolute inside the cgroup file systems) with its missing parents, and sets the
    /// limits. On an error nothing new stays behind.
    pub fn create(_host: &Host, _path: &str, _resources: &Resources) -> Result<Self> {
        unreachable!("in progress")
    }

    /// Names a cgroup that exists (not checked: what is missing will say so when used).
    pub fn open(host: &Host, path: &str) -> Self {
        Self { host: host.clone(), path: path.to_owned() }
    }

    /// The path inside the cgroup file systems.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Changes the limits that are given.
    pub fn apply(&self, _resources: &Resources) -> Result<()> {
        unreachable!("in progress")
    }

    /// Moves a process into the cgroup.
    pub fn add(&self, _pid: i32) -> Result<()> {
        unreachable!("in progress")
    }

    /// The processes of the cgroup itself, in the caller's pid namespace.
    pub fn procs(&self) -> Result<Vec<i32>> {
        unreachable!("in progress")
    }

    /// The processes of the cgroup and of all below it.
    pub fn pids(&self) -> Result<Vec<i32>> {
        unreachable!("in progress")
    }

    /// Stops all processes and returns when they are stopped.
    pub fn freeze(&self) -> Result<()> {
        unreachable!("in progress")
    }

    /// Lets frozen processes run.
    pub fn thaw(&self) -> Result<()> {
        unreachable!("in progress")
    }

    /// Whether the cgroup is (being) frozen.
    pub fn frozen(&self) -> Result<bool> {
        unreachable!("in progress")
    }

    /// Kills every process in the cgroup and below, also frozen ones and those being forked meanwhile. Does not wait for them.
    pub fn kill_all(&self) -> Result<()> {
        unreachable!("in progress")
    }

    /// Kills what is left, removes the cgroup and everything below it; it is fine when there is none.
    pub fn remove(&self) -> Result<()> {
        unreachable!("in progress")
    }

    /// A snapshot of what was used. Files that this kernel does not have count as zero.
    pub fn stats(&self) -> Result<Stats> {
        unreachable!("in progress")
    }

    /// How many processes were killed for want of memory since the cgroup was made.
    pub fn oom_kills(&self) -> Result<u64> {
        unreachable!("in progress")
    }

    /// A descriptor that becomes readable when memory ran out.
    pub fn oom_watch(&self) -> Result<OomWatch> {
        unreachable!("in progress")
    }
}

/// Memory shortage as events: poll it for reading, then call [`OomWatch::take`].
#[derive(Debug)]
pub struct OomWatch {
    fd: OwnedFd,
}

impl OomWatch {
    /// Takes the event off the descriptor and returns how many more processes were killed since the last call (0: the shortage
    /// passed, or the cgroup went away).
    pub fn take(&mut self) -> Result<u64> {
        unreachable!("in progress")
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

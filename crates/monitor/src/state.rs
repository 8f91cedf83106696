//! `state.json`: what the monitor alone writes about its container, and what it tells when asked.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The file's name in the container's folder.
pub const FILE: &str = "state.json";

/// Where a container stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    #[default]
    Created,
    Running,
    Paused,
    /// Ended, and about to be started again.
    Restarting,
    Exited,
    Dead,
}

/// A container's run state. Times are RFC 3339 with nanoseconds, empty if there is none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    pub status: Status,
    /// The first process, in the host's pid namespace; 0 when it does not run.
    pub pid: i32,
    /// Its start in clock ticks since boot: with the pid its name for good.
    pub start_ticks: u64,
    /// `/proc/sys/kernel/random/boot_id` of the boot it was started in.
    pub boot_id: String,
    pub started_at: String,
    pub finished_at: String,
    pub exit_code: i32,
    pub oom_killed: bool,
    /// Why it could not start.
    pub error: String,
    pub restart_count: u64,
    /// Somebody stopped it: `unless-stopped` leaves it alone.
    pub user_stopped: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

/// What the health probes found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    pub status: HealthStatus,
    pub failing_streak: u32,
    /// The last five.
    pub log: Vec<HealthEntry>,
}

/// Docker's words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    #[default]
    Starting,
    Healthy,
    Unhealthy,
}

/// One probe.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HealthEntry {
    pub start: String,
    pub end: String,
    pub exit_code: i32,
    /// At most 4096 bytes.
    pub output: String,
}

impl State {
    /// Reads a container's `state.json`; `None` if it never had one.
    pub fn read(container_dir: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(container_dir.join(FILE)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces `state.json`; `durable`: it survives a power failure from the moment this returns.
    pub fn write(&self, container_dir: &Path, durable: bool) -> io::Result<()> {
        let bytes = serde_json::to_vec(self)?;
        let path = container_dir.join(FILE);
        if durable {
            sys::fsutil::write_durable(path, &bytes)
        } else {
            sys::fsutil::write_atomic(path, &bytes)
        }
    }
}

//! What a cgroup has used, as one snapshot: the source of `docker stats` and of the runtime's `events`. Numbers are the kernel's,
//! since the cgroup was made; differences and percentages are made by the reader.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A snapshot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// 1 or 2: the meaning of `memory.stats` differs.
    pub version: u8,
    /// Processor time.
    pub cpu: CpuStats,
    /// Memory.
    pub memory: MemoryStats,
    /// Tasks.
    pub pids: PidsStats,
    /// Block devices.
    pub io: IoStats,
}

/// Processor time, nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CpuStats {
    /// Total.
    pub usage: u64,
    /// In user mode.
    pub user: u64,
    /// In the kernel.
    pub system: u64,
    /// Total by processor (v1 only, else empty).
    pub per_cpu: Vec<u64>,
    /// Periods that have passed under a quota.
    pub periods: u64,
    /// Periods in which the quota ran out.
    pub throttled_periods: u64,
    /// Nanoseconds spent waiting for the next period.
    pub throttled_time: u64,
}

/// Memory, bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryStats {
    /// Present usage, page cache included.
    pub usage: u64,
    /// Greatest usage so far (0 where the kernel does not say).
    pub max_usage: u64,
    /// The limit; `None` without one.
    pub limit: Option<u64>,
    /// How often the limit was hit.
    pub failures: u64,
    /// Processes killed for want of memory.
    pub oom_kills: u64,
    /// Swap in use (v1: memory and swap together).
    pub swap: u64,
    /// All of `memory.stat`.
    pub stats: BTreeMap<String, u64>,
}

/// Tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PidsStats {
    /// Present number.
    pub current: u64,
    /// The limit; `None` without one.
    pub limit: Option<u64>,
}

/// Block devices. Operations are named "Read", "Write", "Sync", "Async", "Discard", "Total" on v1, "read", "write", "discard"
/// (and "rios", …) on v2, as Docker passes them on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IoStats {
    /// Bytes.
    pub bytes: Vec<IoEntry>,
    /// Operations.
    pub operations: Vec<IoEntry>,
}

/// One counter of one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoEntry {
    /// Device number.
    pub major: u64,
    /// Device number.
    pub minor: u64,
    /// What was counted.
    pub operation: String,
    /// How much.
    pub value: u64,
}

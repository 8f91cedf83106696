//! Limits of a cgroup as plain data, in the units of the OCI runtime specification (config-linux.md, "Control groups"); absent
//! means "leave alone". How a limit is written to cgroup v1 or v2 is the other modules' business.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// All limits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Memory and swap.
    #[serde(skip_serializing_if = "is_default")]
    pub memory: Memory,
    /// Processor time and placement.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu: Cpu,
    /// Greatest number of tasks; -1 for no limit.
    #[serde(skip_serializing_if = "is_default")]
    pub pids: Option<i64>,
    /// Block devices.
    #[serde(skip_serializing_if = "is_default")]
    pub io: Io,
    /// Device access, later rules win. Empty: devices are not restricted.
    #[serde(skip_serializing_if = "is_default")]
    pub devices: Vec<DeviceRule>,
    /// Huge pages: page size as in the file names ("2MB") to bytes.
    #[serde(skip_serializing_if = "is_default")]
    pub hugetlb: BTreeMap<String, i64>,
    /// RDMA: device to (handles, objects).
    #[serde(skip_serializing_if = "is_default")]
    pub rdma: BTreeMap<String, Rdma>,
    /// `net_cls.classid` (v1 only).
    #[serde(skip_serializing_if = "is_default")]
    pub net_class: Option<u32>,
    /// `net_prio.ifpriomap` (v1 only): interface to priority.
    #[serde(skip_serializing_if = "is_default")]
    pub net_priorities: BTreeMap<String, u32>,
    /// cgroup v2 files by name, written last and as they are.
    #[serde(skip_serializing_if = "is_default")]
    pub unified: BTreeMap<String, String>,
}

/// Memory limits, bytes; -1 for no limit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Hard limit.
    #[serde(skip_serializing_if = "is_default")]
    pub limit: Option<i64>,
    /// Memory *and* swap together (v1's meaning, converted for v2).
    #[serde(skip_serializing_if = "is_default")]
    pub swap: Option<i64>,
    /// Soft limit.
    #[serde(skip_serializing_if = "is_default")]
    pub reservation: Option<i64>,
    /// Kernel TCP buffers (v1 only).
    #[serde(skip_serializing_if = "is_default")]
    pub kernel_tcp: Option<i64>,
    /// 0 to 100 (v1 only).
    #[serde(skip_serializing_if = "is_default")]
    pub swappiness: Option<u64>,
    /// Tasks wait instead of being killed (v1 only).
    #[serde(skip_serializing_if = "is_default")]
    pub disable_oom_killer: Option<bool>,
    /// Refuse a new limit that is below the present usage.
    #[serde(skip_serializing_if = "is_default")]
    pub check_before_update: Option<bool>,
}

/// Processor limits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// Relative weight, 2 to 262144, 1024 is the default (v1's scale, converted for v2). 0: leave alone.
    #[serde(skip_serializing_if = "is_default")]
    pub shares: Option<u64>,
    /// Microseconds of processor time per period; -1 for no limit. 0: leave alone.
    #[serde(skip_serializing_if = "is_default")]
    pub quota: Option<i64>,
    /// Microseconds. 0: leave alone.
    #[serde(skip_serializing_if = "is_default")]
    pub period: Option<u64>,
    /// Microseconds that may be saved up.
    #[serde(skip_serializing_if = "is_default")]
    pub burst: Option<u64>,
    /// 1: SCHED_IDLE for the whole group.
    #[serde(skip_serializing_if = "is_default")]
    pub idle: Option<i64>,
    /// Microseconds of real-time scheduling per period (v1 only). 0: leave alone.
    #[serde(skip_serializing_if = "is_default")]
    pub realtime_runtime: Option<i64>,
    /// Microseconds (v1 only). 0: leave alone.
    #[serde(skip_serializing_if = "is_default")]
    pub realtime_period: Option<u64>,
    /// Processors ("0-2,7").
    #[serde(skip_serializing_if = "is_default")]
    pub cpus: Option<String>,
    /// Memory nodes ("0,1").
    #[serde(skip_serializing_if = "is_default")]
    pub mems: Option<String>,
}

/// Block device limits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Io {
    /// Relative weight, 10 to 1000. 0: leave alone.
    #[serde(skip_serializing_if = "is_default")]
    pub weight: Option<u16>,
    /// Weight against the group's children (v1 only).
    #[serde(skip_serializing_if = "is_default")]
    pub leaf_weight: Option<u16>,
    /// Weights for single devices.
    #[serde(skip_serializing_if = "is_default")]
    pub weight_devices: Vec<WeightDevice>,
    /// Bytes read per second.
    #[serde(skip_serializing_if = "is_default")]
    pub read_bps: Vec<ThrottleDevice>,
    /// Bytes written per second.
    #[serde(skip_serializing_if = "is_default")]
    pub write_bps: Vec<ThrottleDevice>,
    /// Read operations per second.
    #[serde(skip_serializing_if = "is_default")]
    pub read_iops: Vec<ThrottleDevice>,
    /// Write operations per second.
    #[serde(skip_serializing_if = "is_default")]
    pub write_iops: Vec<ThrottleDevice>,
}

/// A weight for one device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WeightDevice {
    /// Device number.
    pub major: i64,
    /// Device number.
    pub minor: i64,
    /// 10 to 1000.
    pub weight: Option<u16>,
    /// 10 to 1000 (v1 only).
    pub leaf_weight: Option<u16>,
}

/// A rate for one device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ThrottleDevice {
    /// Device number.
    pub major: i64,
    /// Device number.
    pub minor: i64,
    /// Per second; 0 lifts the limit.
    pub rate: u64,
}

/// RDMA limits of one device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rdma {
    /// Greatest number of HCA handles.
    pub handles: Option<u32>,
    /// Greatest number of HCA objects.
    pub objects: Option<u32>,
}

/// Which devices a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceKind {
    /// Character and block.
    #[serde(rename = "a")]
    All,
    /// Block.
    #[serde(rename = "b")]
    Block,
    /// Character.
    #[serde(rename = "c")]
    Character,
}

/// One entry of the device list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    /// Allow or deny.
    pub allow: bool,
    /// Character, block or both.
    pub kind: DeviceKind,
    /// `None` is every number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub major: Option<u32>,
    /// `None` is every number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minor: Option<u32>,
    /// A set of `r` (read), `w` (write) and `m` (mknod).
    pub access: String,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

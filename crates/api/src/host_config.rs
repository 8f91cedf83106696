//! The host's part of a container's configuration: limits, mounts, ports, security, restart policy.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::go::model;

/// Port bindings by container port (`"80/tcp"`). A `null` value means "exposed, not bound".
pub type PortMap = BTreeMap<String, Option<Vec<PortBinding>>>;

/// Words of a command; on input a single string stands for a list of one (Go's `strslice.StrSlice`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct StrSlice(pub Vec<String>);

impl<'de> Deserialize<'de> for StrSlice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Many(Vec<String>),
            One(String),
        }
        Ok(match Wire::deserialize(deserializer)? {
            Wire::Many(words) => Self(words),
            Wire::One(word) => Self(vec![word]),
        })
    }
}

impl std::ops::Deref for StrSlice {
    type Target = Vec<String>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl std::ops::DerefMut for StrSlice {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl From<Vec<String>> for StrSlice {
    fn from(words: Vec<String>) -> Self {
        Self(words)
    }
}

impl From<StrSlice> for Vec<String> {
    fn from(words: StrSlice) -> Self {
        words.0
    }
}

impl crate::go::Empty for StrSlice {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    fn is_empty_inside(&self) -> bool {
        self.0.is_empty()
    }
}

model! {
    /// How a container meets this host. Go's `container.HostConfig`.
    pub struct HostConfig {
        /// `source:destination[:options]`.
        "Binds" => binds: Option<Vec<String>>,
        "ContainerIDFile" => container_id_file: String,
        "LogConfig" => log_config: LogConfig,
        /// `default`, `bridge`, `host`, `none`, `container:<id>` or a network's name or id.
        "NetworkMode" => network_mode: String,
        "PortBindings" => port_bindings: Option<PortMap>,
        "RestartPolicy" => restart_policy: RestartPolicy,
        "AutoRemove" => auto_remove: bool,
        "VolumeDriver" => volume_driver: String,
        /// `container[:ro|rw]`.
        "VolumesFrom" => volumes_from: Option<Vec<String>>,
        /// Height, width of the first terminal.
        "ConsoleSize" => console_size: ConsoleSize,
        "Annotations" omitempty => annotations: Option<BTreeMap<String, String>>,
        "CapAdd" => cap_add: Option<StrSlice>,
        "CapDrop" => cap_drop: Option<StrSlice>,
        /// `private`, `host` or empty.
        "CgroupnsMode" => cgroupns_mode: String,
        "Dns" => dns: Option<Vec<String>>,
        "DnsOptions" => dns_options: Option<Vec<String>>,
        "DnsSearch" => dns_search: Option<Vec<String>>,
        /// `name:address`.
        "ExtraHosts" => extra_hosts: Option<Vec<String>>,
        "GroupAdd" => group_add: Option<Vec<String>>,
        /// `none`, `private`, `shareable`, `container:<id>`, `host` or empty.
        "IpcMode" => ipc_mode: String,
        "Cgroup" => cgroup: String,
        "Links" => links: Option<Vec<String>>,
        "OomScoreAdj" => oom_score_adj: i64,
        "PidMode" => pid_mode: String,
        "Privileged" => privileged: bool,
        "PublishAllPorts" => publish_all_ports: bool,
        "ReadonlyRootfs" => readonly_rootfs: bool,
        "SecurityOpt" => security_opt: Option<Vec<String>>,
        "StorageOpt" omitempty => storage_opt: Option<BTreeMap<String, String>>,
        "Tmpfs" omitempty => tmpfs: Option<BTreeMap<String, String>>,
        "UTSMode" => uts_mode: String,
        "UsernsMode" => userns_mode: String,
        /// Bytes; 0 = the engine's default.
        "ShmSize" => shm_size: i64,
        "Sysctls" omitempty => sysctls: Option<BTreeMap<String, String>>,
        "Runtime" omitempty => runtime: String,
        "Isolation" => isolation: String,
        .. resources: Resources,
        "Mounts" omitempty => mounts: Option<Vec<Mount>>,
        /// `None` = the defaults, `Some([])` = none (as `--security-opt systempaths=unconfined` asks).
        "MaskedPaths" => masked_paths: Option<Vec<String>>,
        "ReadonlyPaths" => readonly_paths: Option<Vec<String>>,
        "Init" omitempty => init: Option<bool>,
        ..
        /// Fields this version does not know, kept for the tools that read them back.
        extra: BTreeMap<String, Value>,
    }

    /// Limits of a container's cgroup and devices. Go's `container.Resources`, embedded in [`HostConfig`] and updates.
    pub struct Resources {
        "CpuShares" => cpu_shares: i64,
        /// Bytes.
        "Memory" => memory: i64,
        /// 10⁻⁹ CPUs.
        "NanoCpus" => nano_cpus: i64,
        "CgroupParent" => cgroup_parent: String,
        "BlkioWeight" => blkio_weight: u16,
        "BlkioWeightDevice" => blkio_weight_device: Option<Vec<WeightDevice>>,
        "BlkioDeviceReadBps" => blkio_device_read_bps: Option<Vec<ThrottleDevice>>,
        "BlkioDeviceWriteBps" => blkio_device_write_bps: Option<Vec<ThrottleDevice>>,
        "BlkioDeviceReadIOps" => blkio_device_read_iops: Option<Vec<ThrottleDevice>>,
        "BlkioDeviceWriteIOps" => blkio_device_write_iops: Option<Vec<ThrottleDevice>>,
        /// Microseconds.
        "CpuPeriod" => cpu_period: i64,
        /// Microseconds.
        "CpuQuota" => cpu_quota: i64,
        "CpuRealtimePeriod" => cpu_realtime_period: i64,
        "CpuRealtimeRuntime" => cpu_realtime_runtime: i64,
        "CpusetCpus" => cpuset_cpus: String,
        "CpusetMems" => cpuset_mems: String,
        "Devices" => devices: Option<Vec<DeviceMapping>>,
        "DeviceCgroupRules" => device_cgroup_rules: Option<Vec<String>>,
        "DeviceRequests" => device_requests: Option<Vec<DeviceRequest>>,
        "KernelMemory" omitempty => kernel_memory: i64,
        "KernelMemoryTCP" omitempty => kernel_memory_tcp: i64,
        "MemoryReservation" => memory_reservation: i64,
        /// Memory + swap in bytes, -1 = unlimited swap.
        "MemorySwap" => memory_swap: i64,
        "MemorySwappiness" => memory_swappiness: Option<i64>,
        "OomKillDisable" => oom_kill_disable: Option<bool>,
        /// 0 or -1 = unlimited, `None` = unchanged.
        "PidsLimit" => pids_limit: Option<i64>,
        "Ulimits" => ulimits: Option<Vec<Ulimit>>,
        "CpuCount" => cpu_count: i64,
        "CpuPercent" => cpu_percent: i64,
        "IOMaximumIOps" => io_maximum_iops: u64,
        "IOMaximumBandwidth" => io_maximum_bandwidth: u64,
    }

    /// Log driver and its options.
    pub struct LogConfig {
        "Type" => typ: String,
        "Config" => config: Option<BTreeMap<String, String>>,
    }

    /// When a container comes back by itself.
    pub struct RestartPolicy {
        /// ``, `no`, `always`, `unless-stopped` or `on-failure`.
        "Name" => name: String,
        /// Only for `on-failure`; 0 = no limit.
        "MaximumRetryCount" => maximum_retry_count: i64,
    }

    /// One host address and port.
    pub struct PortBinding {
        "HostIp" => host_ip: String,
        /// A port, a range `8000-8010`, or empty for a free one.
        "HostPort" => host_port: String,
    }

    /// A device of the host in the container.
    pub struct DeviceMapping {
        "PathOnHost" => path_on_host: String,
        "PathInContainer" => path_in_container: String,
        /// Letters of `rwm`.
        "CgroupPermissions" => cgroup_permissions: String,
    }

    /// A request to a device driver (GPUs, CDI).
    pub struct DeviceRequest {
        "Driver" => driver: String,
        /// -1 = all.
        "Count" => count: i64,
        "DeviceIDs" => device_ids: Option<Vec<String>>,
        /// OR of ANDs.
        "Capabilities" => capabilities: Option<Vec<Vec<String>>>,
        "Options" => options: Option<BTreeMap<String, String>>,
    }

    /// Block I/O weight of a device.
    pub struct WeightDevice {
        "Path" => path: String,
        "Weight" => weight: u16,
    }

    /// Block I/O limit of a device, per second.
    pub struct ThrottleDevice {
        "Path" => path: String,
        "Rate" => rate: u64,
    }

    /// A resource limit; -1 = unlimited.
    pub struct Ulimit {
        "Name" => name: String,
        "Hard" => hard: i64,
        "Soft" => soft: i64,
    }

    /// A mount asked for in `--mount` form.
    pub struct Mount {
        /// bind, volume, tmpfs, image, npipe or cluster.
        "Type" omitempty => typ: String,
        "Source" omitempty => source: String,
        "Target" omitempty => target: String,
        "ReadOnly" omitempty => read_only: bool,
        "Consistency" omitempty => consistency: String,
        "BindOptions" omitempty => bind_options: Option<BindOptions>,
        "VolumeOptions" omitempty => volume_options: Option<VolumeOptions>,
        "ImageOptions" omitempty => image_options: Option<ImageOptions>,
        "TmpfsOptions" omitempty => tmpfs_options: Option<TmpfsOptions>,
        "ClusterOptions" omitempty => cluster_options: Option<Value>,
    }

    /// Options of a bind mount.
    pub struct BindOptions {
        "Propagation" omitempty => propagation: String,
        "NonRecursive" omitempty => non_recursive: bool,
        "CreateMountpoint" omitempty => create_mountpoint: bool,
        "ReadOnlyNonRecursive" omitempty => read_only_non_recursive: bool,
        "ReadOnlyForceRecursive" omitempty => read_only_force_recursive: bool,
    }

    /// Options of a volume mount.
    pub struct VolumeOptions {
        "NoCopy" omitempty => no_copy: bool,
        "Labels" omitempty => labels: Option<BTreeMap<String, String>>,
        "Subpath" omitempty => subpath: String,
        "DriverConfig" omitempty => driver_config: Option<Driver>,
    }

    /// Options of an image mount.
    pub struct ImageOptions {
        "Subpath" omitempty => subpath: String,
    }

    /// Options of a tmpfs mount.
    pub struct TmpfsOptions {
        "SizeBytes" omitempty => size_bytes: i64,
        /// Go's `os.FileMode`: octal permissions as a plain number.
        "Mode" omitempty => mode: u32,
        "Options" omitempty => options: Option<Vec<Vec<String>>>,
    }

    /// A driver by name, with options.
    pub struct Driver {
        "Name" omitempty => name: String,
        "Options" omitempty => options: Option<BTreeMap<String, String>>,
    }
}

/// `[height, width]`; Go's `[2]uint`, so a shorter list is filled with zeros and a longer one cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ConsoleSize(pub [u32; 2]);

impl<'de> Deserialize<'de> for ConsoleSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut size = [0; 2];
        for (slot, value) in size.iter_mut().zip(Vec::<u32>::deserialize(deserializer)?) {
            *slot = value;
        }
        Ok(Self(size))
    }
}

impl ConsoleSize {
    /// Rows.
    pub fn height(self) -> u32 {
        self.0[0]
    }

    /// Columns.
    pub fn width(self) -> u32 {
        self.0[1]
    }
}

impl crate::go::Empty for ConsoleSize {
    fn is_empty(&self) -> bool {
        false
    }
}

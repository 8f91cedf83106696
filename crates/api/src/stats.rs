//! `GET /containers/{id}/stats`: one sample of a container's cgroup, with the sample before it.

use std::collections::BTreeMap;

use crate::go::model;

model! {
    /// One sample. Times RFC 3339 with nanoseconds; Go's zero time when there was no sample before.
    pub struct ContainerStatsResponse {
        "name" omitempty => name: String,
        "id" omitempty => id: String,
        "read" => read: String,
        "preread" => preread: String,
        "pids_stats" => pids_stats: ContainerPidsStats,
        "blkio_stats" => blkio_stats: ContainerBlkioStats,
        "num_procs" => num_procs: u32,
        "storage_stats" => storage_stats: ContainerStorageStats,
        "cpu_stats" => cpu_stats: ContainerCpuStats,
        "precpu_stats" => precpu_stats: ContainerCpuStats,
        "memory_stats" => memory_stats: ContainerMemoryStats,
        "networks" omitempty => networks: Option<BTreeMap<String, ContainerNetworkStats>>,
    }

    /// Tasks; limit `u64::MAX` = unlimited.
    pub struct ContainerPidsStats {
        "current" omitempty => current: u64,
        "limit" omitempty => limit: u64,
    }

    /// Block I/O since the container's start.
    pub struct ContainerBlkioStats {
        "io_service_bytes_recursive" => io_service_bytes_recursive: Option<Vec<ContainerBlkioStatEntry>>,
        "io_serviced_recursive" => io_serviced_recursive: Option<Vec<ContainerBlkioStatEntry>>,
        "io_queue_recursive" => io_queue_recursive: Option<Vec<ContainerBlkioStatEntry>>,
        "io_service_time_recursive" => io_service_time_recursive: Option<Vec<ContainerBlkioStatEntry>>,
        "io_wait_time_recursive" => io_wait_time_recursive: Option<Vec<ContainerBlkioStatEntry>>,
        "io_merged_recursive" => io_merged_recursive: Option<Vec<ContainerBlkioStatEntry>>,
        "io_time_recursive" => io_time_recursive: Option<Vec<ContainerBlkioStatEntry>>,
        "sectors_recursive" => sectors_recursive: Option<Vec<ContainerBlkioStatEntry>>,
    }

    /// A counter of one device and operation (`read`, `write`, …).
    pub struct ContainerBlkioStatEntry {
        "major" => major: u64,
        "minor" => minor: u64,
        "op" => op: String,
        "value" => value: u64,
    }

    /// Windows only; `{}` here.
    pub struct ContainerStorageStats {
        "read_count_normalized" omitempty => read_count_normalized: u64,
        "read_size_bytes" omitempty => read_size_bytes: u64,
        "write_count_normalized" omitempty => write_count_normalized: u64,
        "write_size_bytes" omitempty => write_size_bytes: u64,
    }

    /// CPU time of the container and of the host.
    pub struct ContainerCpuStats {
        "cpu_usage" => cpu_usage: ContainerCpuUsage,
        /// Nanoseconds of all CPUs of the host, idle included.
        "system_cpu_usage" omitempty => system_cpu_usage: u64,
        "online_cpus" omitempty => online_cpus: u32,
        "throttling_data" => throttling_data: ContainerThrottlingData,
    }

    /// Nanoseconds.
    pub struct ContainerCpuUsage {
        "total_usage" => total_usage: u64,
        "percpu_usage" omitempty => percpu_usage: Option<Vec<u64>>,
        "usage_in_kernelmode" => usage_in_kernelmode: u64,
        "usage_in_usermode" => usage_in_usermode: u64,
    }

    /// How often the CPU quota held the container back.
    pub struct ContainerThrottlingData {
        "periods" => periods: u64,
        "throttled_periods" => throttled_periods: u64,
        /// Nanoseconds.
        "throttled_time" => throttled_time: u64,
    }

    /// Bytes; `stats` is the cgroup's memory.stat.
    pub struct ContainerMemoryStats {
        "usage" omitempty => usage: u64,
        "max_usage" omitempty => max_usage: u64,
        "stats" omitempty => stats: Option<BTreeMap<String, u64>>,
        "failcnt" omitempty => failcnt: u64,
        "limit" omitempty => limit: u64,
    }

    /// Counters of one interface of the container.
    pub struct ContainerNetworkStats {
        "rx_bytes" => rx_bytes: u64,
        "rx_packets" => rx_packets: u64,
        "rx_errors" => rx_errors: u64,
        "rx_dropped" => rx_dropped: u64,
        "tx_bytes" => tx_bytes: u64,
        "tx_packets" => tx_packets: u64,
        "tx_errors" => tx_errors: u64,
        "tx_dropped" => tx_dropped: u64,
    }
}

//! One look at what a container uses, and its form on the wire (moby `daemon/stats_unix.go`).

use std::collections::BTreeMap;

use api::*;
use cgroup::{IoEntry, Stats};
use jiff::Timestamp;

/// Nanoseconds of a tick of `/proc/stat`: `USER_HZ` is 100 on every architecture that Linux has ABIs for here.
const TICK: u64 = 10_000_000;

pub(super) struct Sample {
    pub time: Timestamp,
    pub used: Stats,
    pub host: Host,
    /// None in the host's network.
    pub networks: Option<BTreeMap<String, ContainerNetworkStats>>,
}

/// What the container's numbers are compared with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Host {
    /// Nanoseconds of all processors, idle ones included.
    cpu: u64,
    cpus: u32,
    /// Bytes.
    memory: u64,
}

impl Host {
    pub(super) fn read() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let (cpu, cpus) = cpu_time(&read("/proc/stat"));
        Self { cpu, cpus, memory: memory_total(&read("/proc/meminfo")) }
    }
}

fn cpu_time(stat: &str) -> (u64, u32) {
    let mut lines = stat.lines().take_while(|line| line.starts_with("cpu"));
    let total = lines.next().map_or(0, |line| {
        // User to soft interrupts: what moby and therefore every client counts.
        line.split_ascii_whitespace().skip(1).take(7).filter_map(|field| field.parse::<u64>().ok()).sum()
    });
    (total.saturating_mul(TICK), lines.count() as u32)
}

fn memory_total(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// The counters of a process's interfaces, loopback left out.
pub(super) fn networks(pid: i32) -> BTreeMap<String, ContainerNetworkStats> {
    parse_networks(&std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default())
}

/// Lines `eth0: bytes packets errs drop fifo frame compressed multicast bytes packets errs drop …` (proc_pid_net(5)).
fn parse_networks(text: &str) -> BTreeMap<String, ContainerNetworkStats> {
    let interface = |line: &str| {
        let (name, counters) = line.split_once(':')?;
        let n: Vec<u64> = counters.split_ascii_whitespace().filter_map(|field| field.parse().ok()).collect();
        let name = name.trim();
        (n.len() >= 12 && name != "lo").then(|| {
            let stats = ContainerNetworkStats {
                rx_bytes: n[0],
                rx_packets: n[1],
                rx_errors: n[2],
                rx_dropped: n[3],
                tx_bytes: n[8],
                tx_packets: n[9],
                tx_errors: n[10],
                tx_dropped: n[11],
            };
            (name.to_owned(), stats)
        })
    };
    text.lines().filter_map(interface).collect()
}

impl Sample {
    pub(super) fn cpu(&self) -> ContainerCpuStats {
        let cpu = &self.used.cpu;
        ContainerCpuStats {
            cpu_usage: ContainerCpuUsage {
                total_usage: cpu.usage,
                percpu_usage: Some(cpu.per_cpu.clone()),
                usage_in_kernelmode: cpu.system,
                usage_in_usermode: cpu.user,
            },
            system_cpu_usage: self.host.cpu,
            online_cpus: self.host.cpus,
            throttling_data: ContainerThrottlingData {
                periods: cpu.periods,
                throttled_periods: cpu.throttled_periods,
                throttled_time: cpu.throttled_time,
            },
        }
    }

    /// Without a name and without the sample before.
    pub(super) fn wire(&self) -> ContainerStatsResponse {
        let v1 = self.used.version == 1;
        let memory = &self.used.memory;
        let nothing = || v1.then(Vec::new);
        ContainerStatsResponse {
            read: self.time.to_string(),
            pids_stats: ContainerPidsStats {
                current: self.used.pids.current,
                limit: self.used.pids.limit.unwrap_or(if v1 { 0 } else { u64::MAX }),
            },
            blkio_stats: ContainerBlkioStats {
                io_service_bytes_recursive: Some(entries(&self.used.io.bytes)),
                io_serviced_recursive: v1.then(|| entries(&self.used.io.operations)),
                io_queue_recursive: nothing(),
                io_service_time_recursive: nothing(),
                io_wait_time_recursive: nothing(),
                io_merged_recursive: nothing(),
                io_time_recursive: nothing(),
                sectors_recursive: nothing(),
            },
            cpu_stats: self.cpu(),
            memory_stats: ContainerMemoryStats {
                usage: memory.usage,
                max_usage: if v1 { memory.max_usage } else { 0 },
                stats: Some(memory.stats.clone()),
                failcnt: if v1 { memory.failures } else { memory.oom_kills },
                // What no limit leaves is the host's.
                limit: memory.limit.unwrap_or(u64::MAX).min(self.host.memory),
            },
            networks: self.networks.clone(),
            ..ContainerStatsResponse::default()
        }
    }
}

fn entries(list: &[IoEntry]) -> Vec<ContainerBlkioStatEntry> {
    let entry = |entry: &IoEntry| ContainerBlkioStatEntry {
        major: entry.major,
        minor: entry.minor,
        op: entry.operation.clone(),
        value: entry.value,
    };
    list.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(version: u8) -> serde_json::Value {
        let mut used = Stats { version, ..Stats::default() };
        used.cpu.usage = 7;
        used.memory.usage = 100;
        used.memory.max_usage = 200;
        used.memory.stats.insert("inactive_file".into(), 30);
        used.io.bytes.push(IoEntry { major: 8, minor: 0, operation: "read".into(), value: 5 });
        let host = Host { cpu: 900, cpus: 2, memory: 4096 };
        let sample = Sample { time: Timestamp::UNIX_EPOCH, used, host, networks: None };
        serde_json::to_value(sample.wire()).unwrap()
    }

    #[test]
    fn both_cgroup_versions_have_dockers_shape() {
        let v2 = sample(2);
        assert_eq!(v2["pids_stats"], serde_json::json!({"limit": u64::MAX}));
        assert_eq!(
            v2["memory_stats"],
            serde_json::json!({"usage": 100, "stats": {"inactive_file": 30}, "limit": 4096})
        );
        assert_eq!(v2["blkio_stats"]["io_service_bytes_recursive"][0]["op"], "read");
        assert!(v2["blkio_stats"]["io_serviced_recursive"].is_null());
        assert_eq!(v2["cpu_stats"]["system_cpu_usage"], 900);
        assert!(v2.get("networks").is_none());
        let v1 = sample(1);
        assert_eq!(
            (&v1["memory_stats"]["max_usage"], &v1["pids_stats"]),
            (&200.into(), &serde_json::json!({}))
        );
        assert_eq!(v1["blkio_stats"]["io_serviced_recursive"], serde_json::json!([]));
    }

    #[test]
    fn kernel_files_are_read() {
        let stat = "cpu  1 2 3 4 5 6 7 100 0 0\ncpu0 1 2 3\ncpu1 0 0 0\nintr 5\n";
        assert_eq!(cpu_time(stat), (28 * TICK, 2));
        assert_eq!(memory_total("MemFree: 1 kB\nMemTotal:       2 kB\n"), 2048);
        let text = "Inter-|   Receive\n face |bytes\n    lo: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n  eth0: 10 11 12 13 0 0 0 0 20 21 22 23 0 0 0 0\n";
        let networks = parse_networks(text);
        assert_eq!(networks.keys().collect::<Vec<_>>(), ["eth0"]);
        let eth0 = &networks["eth0"];
        assert_eq!((eth0.rx_bytes, eth0.rx_dropped, eth0.tx_bytes, eth0.tx_dropped), (10, 13, 20, 23));
    }
}

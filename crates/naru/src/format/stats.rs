//! `stats`: what containers use right now.

use api::ContainerStatsResponse;
use term::size::{binary, human_with_precision};

use super::{Kind, Row, short_id};

/// Columns of `stats`.
pub const KIND: Kind = Kind {
    type_name: "*container.statsContext",
    columns: &[
        ("Container", "CONTAINER"),
        ("Name", "NAME"),
        ("ID", "CONTAINER ID"),
        ("CPUPerc", "CPU %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("MemPerc", "MEM %"),
        ("NetIO", "NET I/O"),
        ("BlockIO", "BLOCK I/O"),
        ("PIDs", "PIDS"),
    ],
};

/// The template behind `--format`.
pub fn format(text: &str) -> &str {
    match text {
        "table" | "" => {
            "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}"
        }
        other => other,
    }
}

/// A container in the list, as the user named it; `None` before its first sample, or when there is none to be had.
pub fn row(asked: &str, sample: Option<&ContainerStatsResponse>, truncate: bool) -> Row {
    let Some(sample) = sample else {
        let none = || "--".to_owned();
        return Row::texts([
            ("Container", asked.to_owned()),
            ("Name", none()),
            ("ID", none()),
            ("CPUPerc", none()),
            ("MemUsage", "-- / --".to_owned()),
            ("MemPerc", none()),
            ("NetIO", none()),
            ("BlockIO", none()),
            ("PIDs", none()),
        ]);
    };
    let pair = |(a, b): (u64, u64)| {
        format!("{} / {}", human_with_precision(a as f64, 3), human_with_precision(b as f64, 3))
    };
    let (used, limit) = memory(sample);
    let percent = if limit == 0 { 0.0 } else { used as f64 / limit as f64 * 100.0 };
    Row::texts([
        ("Container", asked.to_owned()),
        ("Name", sample.name.strip_prefix('/').unwrap_or(&sample.name).to_owned()),
        ("ID", if truncate { short_id(&sample.id) } else { &sample.id }.to_owned()),
        ("CPUPerc", format!("{:.2}%", cpu_percent(sample))),
        ("MemUsage", format!("{} / {}", binary(used as f64), binary(limit as f64))),
        ("MemPerc", format!("{percent:.2}%")),
        ("NetIO", pair(network(sample))),
        ("BlockIO", pair(block(sample))),
        ("PIDs", sample.pids_stats.current.to_string()),
    ])
}

/// Of one CPU: a container that keeps two busy has 200.
fn cpu_percent(sample: &ContainerStatsResponse) -> f64 {
    let (now, before) = (&sample.cpu_stats, &sample.precpu_stats);
    let used = now.cpu_usage.total_usage as f64 - before.cpu_usage.total_usage as f64;
    let passed = now.system_cpu_usage as f64 - before.system_cpu_usage as f64;
    let cpus = match now.online_cpus {
        0 => now.cpu_usage.percpu_usage.as_ref().map_or(0, Vec::len) as f64,
        cpus => f64::from(cpus),
    };
    if used > 0.0 && passed > 0.0 { used / passed * cpus * 100.0 } else { 0.0 }
}

/// Used bytes without the page cache that can be dropped at once, and the limit.
fn memory(sample: &ContainerStatsResponse) -> (u64, u64) {
    let memory = &sample.memory_stats;
    let stat = |name: &str| memory.stats.as_ref().and_then(|stats| stats.get(name)).copied();
    // cgroup v1 counts the whole tree under one name, v2 under another.
    let cache = stat("total_inactive_file").filter(|cache| *cache < memory.usage);
    let cache = cache.or_else(|| stat("inactive_file").filter(|cache| *cache < memory.usage));
    (memory.usage - cache.unwrap_or(0), memory.limit)
}

/// Received and sent.
fn network(sample: &ContainerStatsResponse) -> (u64, u64) {
    let interfaces = sample.networks.iter().flatten();
    interfaces.fold((0, 0), |(rx, tx), (_, one)| (rx + one.rx_bytes, tx + one.tx_bytes))
}

/// Read and written.
fn block(sample: &ContainerStatsResponse) -> (u64, u64) {
    let entries = sample.blkio_stats.io_service_bytes_recursive.iter().flatten();
    entries.fold((0, 0), |(read, written), entry| match entry.op.as_bytes().first() {
        Some(b'r' | b'R') => (read + entry.value, written),
        Some(b'w' | b'W') => (read, written + entry.value),
        _ => (read, written),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Format, render};
    use super::*;

    const SAMPLE: &str = r#"{"name":"/web","id":"78b67f6f2ee3110915b2e83dc273cd14c87bb5129373ff8aca64e2df1bf23d9b","pids_stats":{"current":3},
        "blkio_stats":{"io_service_bytes_recursive":[{"major":8,"minor":0,"op":"read","value":1234567},{"major":8,"minor":0,"op":"Write","value":777}]},
        "cpu_stats":{"cpu_usage":{"total_usage":2000000000},"system_cpu_usage":20000000000,"online_cpus":2},
        "precpu_stats":{"cpu_usage":{"total_usage":1000000000},"system_cpu_usage":18000000000},
        "memory_stats":{"usage":10000000,"stats":{"inactive_file":1000000},"limit":100000000},
        "networks":{"eth0":{"rx_bytes":1500,"tx_bytes":700},"eth1":{"rx_bytes":1000000,"tx_bytes":7}}}"#;

    #[test]
    fn samples_are_listed() {
        let sample: ContainerStatsResponse = serde_json::from_str(SAMPLE).unwrap();
        let rows = [row("web", Some(&sample), true), row("db", None, true)];
        assert_eq!(
            render(&KIND, &Format::parse(format("")), rows).unwrap(),
            "\
CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT     MEM %     NET I/O      BLOCK I/O       PIDS
78b67f6f2ee3   web       100.00%   8.583MiB / 95.37MiB   9.00%     1MB / 707B   1.23MB / 777B   3
--             --        --        -- / --               --        --           --              --
"
        );
    }

    #[test]
    fn a_first_sample_has_no_past() {
        let idle = ContainerStatsResponse::default();
        assert_eq!(cpu_percent(&idle), 0.0);
        assert_eq!(memory(&idle), (0, 0));
    }
}

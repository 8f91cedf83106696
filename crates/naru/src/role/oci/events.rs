//! `events`: what a container uses, as JSON lines, once or again and again until it ends, and a line when memory runs out.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};

use super::arguments::{Flag, Order, parse};
use super::failure::{Failure, Result};
use super::{Globals, print};

const FLAGS: &[Flag] = &[Flag::value("interval", None), Flag::switch("stats", None)];

/// The verb.
pub fn run(globals: &Globals, words: &[String]) -> Result<i32> {
    let flags = parse(words, FLAGS, Order::Any)?;
    let id = flags.id("events")?;
    let interval = flags.value("interval").unwrap_or("5s");
    let interval = duration(interval)
        .ok_or_else(|| Failure::usage(format!("duration interval must be greater than 0: {interval:?}")))?;
    let container = globals.store.open(id)?;
    let Some(pidfd) = container.process()? else {
        return Err(Failure::usage(format!("container with id {id} is not running")));
    };
    let group = container.group()?;
    let stats = || -> Result<()> {
        let stats = group.stats().map_err(runtime::bundle::Error::from)?;
        let details = group.details().map_err(runtime::bundle::Error::from)?;
        say("stats", id, Some(describe(&stats, &details)))
    };
    if flags.switch("stats") {
        stats()?;
        return Ok(0);
    }
    let mut shortage = group.oom_watch().map_err(runtime::bundle::Error::from)?;
    let mut next = Instant::now() + interval;
    loop {
        let left = next.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let mut watched = [PollFd::new(&pidfd, PollFlags::IN), PollFd::new(&shortage, PollFlags::IN)];
        match poll(&mut watched, Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(Failure::io("wait for events")(error)),
            Ok(_) => {}
        }
        let (ended, short) = (!watched[0].revents().is_empty(), !watched[1].revents().is_empty());
        if short && shortage.take().map_err(runtime::bundle::Error::from)? > 0 {
            say("oom", id, None)?;
        }
        if ended {
            return Ok(0);
        }
        if Instant::now() >= next {
            stats()?;
            next += interval;
        }
    }
}

fn say(kind: &str, id: &str, data: Option<Value>) -> Result<()> {
    let mut event = json!({ "type": kind, "id": id });
    if let Some(data) = data {
        event["data"] = data;
    }
    print(&event.to_string())
}

/// "5s", "100ms", "1m30s", as Go writes it.
fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += Duration::try_from_secs_f64(number * unit).ok()?;
        rest = &rest[end..];
    }
    (total > Duration::ZERO).then_some(total)
}

/// runc's shape (its `types/events.go`), which containerd and cAdvisor read.
fn describe(stats: &cgroup::Stats, details: &cgroup::Details) -> Value {
    let counter = |usage: u64, max: u64, limit: Option<u64>, failures: u64| json!({ "limit": limit.unwrap_or(u64::MAX), "usage": usage, "max": max, "failcnt": failures });
    let detail = |entry: &cgroup::Counter| counter(entry.usage, entry.max, entry.limit, entry.failures);
    let (cpu, memory) = (&stats.cpu, &stats.memory);
    let mut data = json!({
        "cpu": {
            "usage": { "total": cpu.usage, "kernel": cpu.system, "user": cpu.user },
            "throttling": {
                "periods": cpu.periods,
                "throttledPeriods": cpu.throttled_periods,
                "throttledTime": cpu.throttled_time,
            },
        },
        "cpuset": { "cpus": details.cpuset.cpus, "mems": details.cpuset.mems },
        "memory": {
            "usage": counter(memory.usage, memory.max_usage, memory.limit, memory.failures),
            "swap": detail(&details.swap),
            "kernel": detail(&details.kernel),
            "kernelTCP": detail(&details.kernel_tcp),
            "raw": memory.stats,
        },
        "pids": { "current": stats.pids.current },
        "blkio": {
            "ioServiceBytesRecursive": entries(&stats.io.bytes),
            "ioServicedRecursive": entries(&stats.io.operations),
        },
        "hugetlb": {},
        "intel_rdt": {},
        "network_interfaces": null,
    });
    let by_processor = [
        ("percpu", &cpu.per_cpu),
        ("percpu_kernel", &details.per_cpu_system),
        ("percpu_user", &details.per_cpu_user),
    ];
    for (name, times) in by_processor.into_iter().filter(|(_, times)| !times.is_empty()) {
        data["cpu"]["usage"][name] = json!(times);
    }
    for (name, value) in &details.cpuset.settings {
        data["cpuset"][name] = json!(value);
    }
    for (size, pages) in &details.hugetlb {
        data["hugetlb"][size] = json!({ "usage": pages.usage, "max": pages.max, "failcnt": pages.failures });
    }
    if let Some(limit) = stats.pids.limit {
        data["pids"]["limit"] = json!(limit);
    }
    if let Some(cache) = memory.stats.get("cache").or(memory.stats.get("file")) {
        data["memory"]["cache"] = json!(cache);
    }
    data
}

fn entries(entries: &[cgroup::IoEntry]) -> Vec<Value> {
    let entry = |entry: &cgroup::IoEntry| json!({ "major": entry.major, "minor": entry.minor, "op": entry.operation, "value": entry.value });
    entries.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_go() {
        assert_eq!(duration("5s"), Some(Duration::from_secs(5)));
        assert_eq!(duration("100ms"), Some(Duration::from_millis(100)));
        assert_eq!(duration("1m30s"), Some(Duration::from_secs(90)));
        for bad in ["", "5", "s", "0s", "-1s", "1x"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}

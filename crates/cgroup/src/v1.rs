//! Limits and counters in cgroup v1's files, each in the folder of its controller's hierarchy.

use std::path::{Path, PathBuf};

use crate::devices::Policy;
use crate::{
    Cpu, CpuStats, Error, Io, IoEntry, IoStats, Memory, MemoryStats, PidsStats, Resources, Result, Stats,
    files,
};

/// Nanoseconds in a tick of `cpuacct.stat` (USER_HZ is 100 on every architecture that we run on).
const TICK: u64 = 10_000_000;

/// Controllers in whose hierarchies a container gets a cgroup only when it has such a limit: making one costs time, and without
/// limits it changes nothing. (A hierarchy is left out when all its controllers are of this kind.)
const OPTIONAL: [&str; 6] = ["cpuset", "net_cls", "net_prio", "perf_event", "hugetlb", "rdma"];

/// Whether a hierarchy with these controllers is needed for these limits.
pub fn is_needed(controllers: &[String], resources: &Resources) -> bool {
    controllers.iter().any(|controller| match controller.as_str() {
        "cpuset" => resources.cpu.cpus.is_some() || resources.cpu.mems.is_some(),
        "hugetlb" => !resources.hugetlb.is_empty(),
        "rdma" => !resources.rdma.is_empty(),
        "net_cls" => resources.net_class.is_some(),
        "net_prio" => !resources.net_priorities.is_empty(),
        name => !OPTIONAL.contains(&name),
    })
}

/// Sets the limits that are given. `folder` finds a controller's cgroup folder.
pub fn apply(folder: &dyn Fn(&str) -> Result<PathBuf>, resources: &Resources) -> Result<()> {
    if resources.cpu.cpus.is_some() || resources.cpu.mems.is_some() {
        let folder = folder("cpuset")?;
        for (file, value) in [("cpuset.cpus", &resources.cpu.cpus), ("cpuset.mems", &resources.cpu.mems)] {
            if let Some(value) = value {
                files::write(&folder.join(file), value)?;
            }
        }
    }
    if resources.memory != Memory::default() {
        memory(&folder("memory")?, &resources.memory)?;
    }
    if resources.cpu != Cpu::default() {
        cpu(folder, &resources.cpu)?;
    }
    if let Some(limit) = resources.pids.filter(|limit| *limit != 0) {
        files::write(&folder("pids")?.join("pids.max"), limit_text(limit, "max"))?;
    }
    if resources.io != Io::default() {
        io(&folder("blkio")?, &resources.io)?;
    }
    if !resources.devices.is_empty() {
        devices(&folder("devices")?, &Policy::new(&resources.devices))?;
    }
    for (size, limit) in &resources.hugetlb {
        let folder = folder("hugetlb")?;
        files::write(&folder.join(format!("hugetlb.{size}.limit_in_bytes")), limit.to_string())?;
        // Reservations too, where the kernel counts them (5.7): else a container could reserve past its limit and die of SIGBUS.
        let reserved = folder.join(format!("hugetlb.{size}.rsvd.limit_in_bytes"));
        if reserved.exists() {
            files::write(&reserved, limit.to_string())?;
        }
    }
    for (device, limit) in &resources.rdma {
        files::write(&folder("rdma")?.join("rdma.max"), rdma_text(device, limit))?;
    }
    if let Some(class) = resources.net_class {
        files::write(&folder("net_cls")?.join("net_cls.classid"), class.to_string())?;
    }
    for (interface, priority) in &resources.net_priorities {
        files::write(&folder("net_prio")?.join("net_prio.ifpriomap"), format!("{interface} {priority}"))?;
    }
    Ok(())
}

/// `device hca_handle=… hca_object=…`.
pub fn rdma_text(device: &str, limit: &crate::Rdma) -> String {
    let text = |limit: Option<u32>| limit.map_or_else(|| "max".to_owned(), |limit| limit.to_string());
    format!("{device} hca_handle={} hca_object={}", text(limit.handles), text(limit.objects))
}

fn limit_text(limit: i64, unlimited: &str) -> String {
    if limit < 0 { unlimited.to_owned() } else { limit.to_string() }
}

fn memory(folder: &Path, memory: &Memory) -> Result<()> {
    let limit_file = folder.join("memory.limit_in_bytes");
    let swap_file = folder.join("memory.memsw.limit_in_bytes");
    let limit = memory.limit.filter(|limit| *limit != 0);
    // Lifting the limit lifts the swap limit, which may not be below it.
    let swap = memory.swap.filter(|swap| *swap != 0).or(limit.filter(|limit| *limit == -1));
    let swap = swap.filter(|_| swap_file.exists());
    if memory.check_before_update == Some(true)
        && let (Some(limit), Some(usage)) = (limit, files::number(&folder.join("memory.usage_in_bytes"))?)
        && u64::try_from(limit).is_ok_and(|limit| limit < usage)
    {
        return Err(below_usage(limit, usage));
    }
    let set_limit = || match limit {
        Some(limit) => files::write(&limit_file, limit.to_string()),
        None => Ok(()),
    };
    let set_swap = || match swap {
        Some(swap) => files::write(&swap_file, swap.to_string()),
        None => Ok(()),
    };
    // The limit may never be above memory+swap, so the order depends on whether they rise (EINVAL: swap first) or fall.
    match set_limit() {
        Ok(()) => set_swap()?,
        Err(error) if error.errno() == Some(EINVAL) && swap.is_some() => {
            set_swap()?;
            set_limit()?;
        }
        Err(error) if error.errno() == Some(EBUSY) => {
            let usage = files::number(&folder.join("memory.usage_in_bytes"))?.unwrap_or(0);
            return Err(below_usage(limit.unwrap_or(0), usage));
        }
        Err(error) => return Err(error),
    }
    for (file, value) in [
        ("memory.soft_limit_in_bytes", memory.reservation),
        ("memory.kmem.tcp.limit_in_bytes", memory.kernel_tcp),
    ] {
        if let Some(value) = value.filter(|value| *value != 0) {
            files::write(&folder.join(file), value.to_string())?;
        }
    }
    if memory.disable_oom_killer == Some(true) {
        files::write(&folder.join("memory.oom_control"), "1")?;
    }
    if let Some(swappiness) = memory.swappiness {
        files::write(&folder.join("memory.swappiness"), swappiness.to_string())?;
    }
    Ok(())
}

const EINVAL: i32 = 22;
const EBUSY: i32 = 16;

/// The error for a limit that the cgroup already exceeds, in runc's words.
pub fn below_usage(limit: i64, usage: u64) -> Error {
    Error::Unsupported {
        limit: "memory limit".into(),
        reason: format!("unable to set memory limit to {limit} (current usage: {usage})"),
    }
}

fn cpu(folder: &dyn Fn(&str) -> Result<PathBuf>, cpu: &Cpu) -> Result<()> {
    let given = |value: Option<u64>| value.filter(|value| *value != 0);
    let plain = [
        ("cpu.shares", given(cpu.shares).map(|value| value.to_string())),
        ("cpu.cfs_burst_us", cpu.burst.map(|value| value.to_string())),
        ("cpu.rt_period_us", given(cpu.realtime_period).map(|value| value.to_string())),
        (
            "cpu.rt_runtime_us",
            cpu.realtime_runtime.filter(|value| *value != 0).map(|value| value.to_string()),
        ),
        ("cpu.idle", cpu.idle.map(|value| value.to_string())),
    ];
    let (period, quota) = (given(cpu.period), cpu.quota.filter(|quota| *quota != 0));
    if plain.iter().all(|(_, value)| value.is_none()) && period.is_none() && quota.is_none() {
        return Ok(());
    }
    let folder = folder("cpu")?;
    let set_period = || match period {
        Some(period) => files::write(&folder.join("cpu.cfs_period_us"), period.to_string()),
        None => Ok(()),
    };
    let set_quota = || match quota {
        Some(quota) => files::write(&folder.join("cpu.cfs_quota_us"), quota.to_string()),
        None => Ok(()),
    };
    // A period may be refused because of the present quota (quota / period may not exceed the parent's): then the new quota
    // goes first.
    match set_period() {
        Err(error) if error.errno() == Some(EINVAL) && quota.is_some() => {
            set_quota()?;
            set_period()?;
        }
        result => {
            result?;
            set_quota()?;
        }
    }
    for (file, value) in plain {
        if let Some(value) = value {
            files::write(&folder.join(file), value)?;
        }
    }
    Ok(())
}

fn io(folder: &Path, io: &Io) -> Result<()> {
    // The weight files are named after the scheduler that has them: cfq's until 4.20, bfq's since.
    let weight_file = |cfq: &str, bfq: &str| match folder.join(cfq) {
        path if path.exists() => path,
        _ => folder.join(bfq),
    };
    if let Some(weight) = io.weight.filter(|weight| *weight != 0) {
        files::write(&weight_file("blkio.weight", "blkio.bfq.weight"), weight.to_string())?;
    }
    if let Some(weight) = io.leaf_weight.filter(|weight| *weight != 0) {
        files::write(&folder.join("blkio.leaf_weight"), weight.to_string())?;
    }
    for device in &io.weight_devices {
        let line = |weight: u16| format!("{}:{} {weight}", device.major, device.minor);
        if let Some(weight) = device.weight {
            files::write(&weight_file("blkio.weight_device", "blkio.bfq.weight_device"), line(weight))?;
        }
        if let Some(weight) = device.leaf_weight {
            files::write(&folder.join("blkio.leaf_weight_device"), line(weight))?;
        }
    }
    for (file, devices) in [
        ("blkio.throttle.read_bps_device", &io.read_bps),
        ("blkio.throttle.write_bps_device", &io.write_bps),
        ("blkio.throttle.read_iops_device", &io.read_iops),
        ("blkio.throttle.write_iops_device", &io.write_iops),
    ] {
        for device in devices {
            files::write(&folder.join(file), format!("{}:{} {}", device.major, device.minor, device.rate))?;
        }
    }
    Ok(())
}

fn devices(folder: &Path, policy: &Policy) -> Result<()> {
    let mut open: Option<(&str, files::Writer)> = None;
    for (file, line) in policy.v1_commands() {
        let writer = match open.take() {
            Some((name, writer)) if name == file => writer,
            _ => files::Writer::open(&folder.join(file))?,
        };
        writer.write(&line)?;
        open = Some((file, writer));
    }
    Ok(())
}

/// A new cpuset has neither processors nor memory nodes, and no process may enter it: takes them from the parent where the
/// folder has none. `mount` ends the walk upwards.
pub fn fill_cpuset(mount: &Path, folder: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let own = folder.join(file);
        if !files::read(&own)?.trim().is_empty() || folder == mount {
            continue;
        }
        let Some(parent) = folder.parent() else { continue };
        fill_cpuset(mount, parent)?;
        files::write(&own, files::read(&parent.join(file))?.trim())?;
    }
    Ok(())
}

/// Reads the counters. `folder` finds a controller's cgroup folder.
pub fn stats(folder: &dyn Fn(&str) -> Option<PathBuf>) -> Result<Stats> {
    let mut stats = Stats { version: 1, ..Stats::default() };
    if let Some(folder) = folder("cpuacct") {
        stats.cpu.usage = files::number(&folder.join("cpuacct.usage"))?.unwrap_or(0);
        let ticks = files::flat_keyed(&folder.join("cpuacct.stat"))?;
        let time = |key| ticks.get(key).copied().unwrap_or(0).saturating_mul(TICK);
        (stats.cpu.user, stats.cpu.system) = (time("user"), time("system"));
        let per_cpu = files::read_if_there(&folder.join("cpuacct.usage_percpu"))?.unwrap_or_default();
        stats.cpu.per_cpu = per_cpu.split_ascii_whitespace().filter_map(|value| value.parse().ok()).collect();
    }
    if let Some(folder) = folder("cpu") {
        let counters = files::flat_keyed(&folder.join("cpu.stat"))?;
        let count = |key| counters.get(key).copied().unwrap_or(0);
        stats.cpu = CpuStats {
            periods: count("nr_periods"),
            throttled_periods: count("nr_throttled"),
            throttled_time: count("throttled_time"),
            ..stats.cpu
        };
    }
    if let Some(folder) = folder("memory") {
        let number = |file| Ok::<_, Error>(files::number(&folder.join(file))?.unwrap_or(0));
        stats.memory = MemoryStats {
            usage: number("memory.usage_in_bytes")?,
            max_usage: number("memory.max_usage_in_bytes")?,
            limit: Some(number("memory.limit_in_bytes")?).filter(|limit| *limit < UNLIMITED),
            failures: number("memory.failcnt")?,
            oom_kills: crate::oom::kills(&folder.join("memory.oom_control"))?,
            swap: number("memory.memsw.usage_in_bytes")?,
            stats: files::flat_keyed(&folder.join("memory.stat"))?,
        };
    }
    if let Some(folder) = folder("pids") {
        stats.pids = PidsStats {
            current: files::number(&folder.join("pids.current"))?.unwrap_or(0),
            limit: files::number(&folder.join("pids.max"))?,
        };
    }
    if let Some(folder) = folder("blkio") {
        let entries = |file: &str| {
            Ok::<_, Error>(io_entries(&files::read_if_there(&folder.join(file))?.unwrap_or_default()))
        };
        stats.io = IoStats {
            bytes: entries("blkio.throttle.io_service_bytes_recursive")?,
            operations: entries("blkio.throttle.io_serviced_recursive")?,
        };
    }
    Ok(stats)
}

/// v1 writes "no limit" as the greatest multiple of the page size; nobody has a petabyte.
const UNLIMITED: u64 = 1 << 50;

/// Lines `8:0 Read 4096`; the grand total at the end has no device.
fn io_entries(text: &str) -> Vec<IoEntry> {
    let entry = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (major, minor) = fields.next()?.split_once(':')?;
        let operation = fields.next()?.to_owned();
        let value = fields.next()?.parse().ok()?;
        Some(IoEntry { major: major.parse().ok()?, minor: minor.parse().ok()?, operation, value })
    };
    text.lines().filter_map(entry).collect()
}

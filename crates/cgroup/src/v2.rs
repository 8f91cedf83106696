//! Limits and counters in cgroup v2's files, all in one folder; v1's scales and meanings are converted.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::devices::Policy;
use crate::{
    Cpu, CpuStats, Error, Io, IoEntry, IoStats, Memory, MemoryStats, PidsStats, Resources, Result, Stats,
    files,
};

/// Controllers that a container's cgroup should have wherever the host gives them: limits may come later, and statistics need them.
const WANTED: [&str; 7] = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"];

/// Sets the limits that are given.
pub fn apply(folder: &Path, resources: &Resources) -> Result<()> {
    memory(folder, &resources.memory)?;
    cpu(folder, &resources.cpu)?;
    if let Some(limit) = resources.pids.filter(|limit| *limit != 0) {
        files::write(&folder.join("pids.max"), limit_text(limit))?;
    }
    io(folder, &resources.io)?;
    for (size, limit) in &resources.hugetlb {
        files::write(&folder.join(format!("hugetlb.{size}.max")), limit_text(*limit))?;
        let reserved = folder.join(format!("hugetlb.{size}.rsvd.max"));
        if reserved.exists() {
            files::write(&reserved, limit_text(*limit))?;
        }
    }
    for (device, limit) in &resources.rdma {
        files::write(&folder.join("rdma.max"), crate::v1::rdma_text(device, limit))?;
    }
    if !resources.devices.is_empty() {
        devices(folder, &Policy::new(&resources.devices))?;
    }
    for (file, value) in &resources.unified {
        if file.contains('/') || file.starts_with("cgroup.") {
            return Err(Error::Unsupported {
                limit: file.clone(),
                reason: "not a limit of a controller".into(),
            });
        }
        for line in value.lines() {
            files::write(&folder.join(file), line)?;
        }
    }
    Ok(())
}

fn limit_text(limit: i64) -> String {
    if limit < 0 { "max".to_owned() } else { limit.to_string() }
}

fn memory(folder: &Path, memory: &Memory) -> Result<()> {
    let limit = memory.limit.filter(|limit| *limit != 0);
    let both = memory.swap.filter(|swap| *swap != 0);
    let present = match (limit, both) {
        (None, Some(_)) => files::number(&folder.join("memory.max"))?.and_then(|limit| limit.try_into().ok()),
        _ => None,
    };
    let swap = swap_alone(limit.or(present), both)?;
    if memory.check_before_update == Some(true)
        && let (Some(limit), Some(usage)) = (limit, files::number(&folder.join("memory.current"))?)
        && u64::try_from(limit).is_ok_and(|limit| limit < usage)
    {
        return Err(crate::v1::below_usage(limit, usage));
    }
    if let Some(swap) = swap {
        let file = folder.join("memory.swap.max");
        // Without swap accounting there is no file; then no swap limit is the only one that could be kept.
        if file.exists() || swap > 0 {
            files::write(&file, limit_text(swap))?;
        }
    }
    if let Some(limit) = limit {
        files::write(&folder.join("memory.max"), limit_text(limit))?;
    }
    if let Some(reservation) = memory.reservation.filter(|value| *value != 0) {
        files::write(&folder.join("memory.low"), limit_text(reservation))?;
    }
    Ok(())
}

/// v1 limits memory and swap together, v2 swap alone.
pub fn swap_alone(limit: Option<i64>, both: Option<i64>) -> Result<Option<i64>> {
    match (limit, both) {
        // Lifting the memory limit lifts the swap limit.
        (Some(-1), None) | (_, Some(-1)) => Ok(Some(-1)),
        (_, None) => Ok(None),
        (Some(limit), Some(both)) if limit > 0 && both >= limit => Ok(Some(both - limit)),
        (_, Some(both)) => Err(Error::Unsupported {
            limit: "memory+swap limit".into(),
            reason: format!("{both} needs a memory limit that is not greater"),
        }),
    }
}

fn cpu(folder: &Path, cpu: &Cpu) -> Result<()> {
    if let Some(idle) = cpu.idle {
        files::write(&folder.join("cpu.idle"), idle.to_string())?;
    }
    // An idle group has no weight (EINVAL).
    if let Some(weight) = cpu.shares.and_then(weight_of_shares).filter(|_| cpu.idle != Some(1)) {
        files::write(&folder.join("cpu.weight"), weight.to_string())?;
    }
    let quota = cpu.quota.filter(|quota| *quota != 0);
    let period = cpu.period.filter(|period| *period != 0);
    let burst = cpu.burst.map(|burst| burst.to_string());
    let burst_file = folder.join("cpu.max.burst");
    // The burst may not exceed the quota: when both change one order works when they rise, the other when they fall.
    let burst_first = match &burst {
        Some(burst) => files::raw_write(&burst_file, burst).is_ok(),
        None => true,
    };
    if quota.is_some() || period.is_some() {
        let file = folder.join("cpu.max");
        let quota = match quota {
            Some(quota) => limit_text(quota),
            None => files::read(&file)?.split(' ').next().unwrap_or("max").to_owned(),
        };
        let text = match period {
            Some(period) => format!("{quota} {period}"),
            None => quota,
        };
        files::write(&file, text)?;
    }
    if let (Some(burst), false) = (burst, burst_first) {
        files::write(&burst_file, burst)?;
    }
    for (file, value) in [("cpuset.cpus", &cpu.cpus), ("cpuset.mems", &cpu.mems)] {
        if let Some(value) = value {
            files::write(&folder.join(file), value)?;
        }
    }
    Ok(())
}

/// v1's 2…262144 (default 1024) to v2's 1…10000 (default 100): the curve through the three points that runc and crun agreed on.
pub fn weight_of_shares(shares: u64) -> Option<u64> {
    match shares {
        0 => None,
        1..=2 => Some(1),
        262_144.. => Some(10_000),
        _ => {
            let log = (shares as f64).log2();
            Some(10_f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0).ceil() as u64)
        }
    }
}

fn io(folder: &Path, io: &Io) -> Result<()> {
    let bfq = folder.join("io.bfq.weight");
    let weight = |device: &str, weight: u16| match bfq.exists() {
        // bfq takes v1's scale as it is.
        true => files::write(&bfq, format!("{device} {weight}")),
        false => files::write(&folder.join("io.weight"), format!("{device} {}", io_weight(weight))),
    };
    if let Some(value) = io.weight.filter(|value| *value != 0) {
        weight("default", value)?;
    }
    for device in &io.weight_devices {
        if let Some(value) = device.weight.filter(|value| *value != 0) {
            weight(&format!("{}:{}", device.major, device.minor), value)?;
        }
    }
    for (key, devices) in
        [("rbps", &io.read_bps), ("wbps", &io.write_bps), ("riops", &io.read_iops), ("wiops", &io.write_iops)]
    {
        for device in devices {
            let rate = if device.rate == 0 { "max".to_owned() } else { device.rate.to_string() };
            files::write(&folder.join("io.max"), format!("{}:{} {key}={rate}", device.major, device.minor))?;
        }
    }
    Ok(())
}

/// blkio's 10…1000 to io.weight's 1…10000.
pub fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight).saturating_sub(10)) * 9999 / 990
}

/// The new program first, then the old ones off: at no time are there none. A device must pass all of them, so in between access is
/// only narrower.
fn devices(folder: &Path, policy: &Policy) -> Result<()> {
    let story = |error| Error::io("attach the device program to", folder, error);
    let group: OwnedFd = rustix::fs::open(folder, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| story(error.into()))?;
    let old = sys::bpf::device_programs(&group).map_err(story)?;
    let new = sys::bpf::load_device_program(&policy.v2_program()).map_err(story)?;
    sys::bpf::attach_device_program(&group, &new).map_err(story)?;
    for program in old {
        sys::bpf::detach_device_program(&group, program).map_err(story)?;
    }
    Ok(())
}

/// The files that go with a delegated cgroup, where the kernel does not list them itself.
const DELEGATED: &str = "cgroup.procs\ncgroup.threads\ncgroup.subtree_control";

/// The folder and what the kernel lists in `/sys/kernel/cgroup/delegate` (cgroups(7), "Cgroups v2 delegation").
pub fn give_to(folder: &Path, uid: u32, gid: u32) -> Result<()> {
    let listed = files::read_if_there(Path::new("/sys/kernel/cgroup/delegate"))?;
    let listed = listed.unwrap_or_else(|| DELEGATED.to_owned());
    let files = listed.lines().map(|name| folder.join(name)).filter(|file| file.exists());
    for path in files.chain([folder.to_owned()]) {
        std::os::unix::fs::chown(&path, Some(uid), Some(gid))
            .map_err(|error| Error::io(format!("give to {uid}:{gid}"), &path, error))?;
    }
    Ok(())
}

/// Makes the wanted controllers available in the children of `mount`/…/`parent`, from the top down. Controllers that an ancestor
/// does not have are passed over.
pub fn delegate(mount: &Path, parent: &Path) -> Result<()> {
    let mut ancestors: Vec<&Path> =
        parent.ancestors().take_while(|folder| folder.starts_with(mount)).collect();
    ancestors.reverse();
    for folder in ancestors {
        let available = files::read(&folder.join("cgroup.controllers"))?;
        let file = folder.join("cgroup.subtree_control");
        let enabled = files::read(&file)?;
        let missing: Vec<String> = WANTED
            .iter()
            .filter(|name| has(&available, name) && !has(&enabled, name))
            .map(|name| format!("+{name}"))
            .collect();
        if missing.is_empty() {
            continue;
        }
        match files::raw_write(&file, &missing.join(" ")) {
            Ok(()) => {}
            // A cgroup with processes of its own cannot hand out controllers. That is so at the top of a container's own cgroup
            // namespace (an engine inside a container): the processes there move to a child.
            Err(error) if error.raw_os_error() == Some(16) && folder == mount => {
                empty_into(folder, "init")?;
                enable_each(&file, &missing)?;
            }
            // What is not handed down to this user he does not have.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
            // One controller may be refused (cpu with real-time tasks, threaded groups): the others should not suffer.
            Err(_) => enable_each(&file, &missing)?,
        }
    }
    Ok(())
}

fn enable_each(file: &Path, missing: &[String]) -> Result<()> {
    let mut last = Ok(());
    let mut some = false;
    for name in missing {
        match files::write(file, name) {
            Ok(()) => some = true,
            Err(error) => last = Err(error),
        }
    }
    if some { Ok(()) } else { last }
}

fn empty_into(folder: &Path, child: &str) -> Result<()> {
    let target = folder.join(child);
    match rustix::fs::mkdir(&target, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(Error::io("create", &target, error)),
    }
    // New ones may be forked while we move: until the list is empty.
    for _ in 0..100 {
        let pids = files::pids(&folder.join("cgroup.procs"))?;
        if pids.is_empty() {
            break;
        }
        for pid in pids {
            // A process may be gone by now, and kernel threads cannot be moved.
            let _ = files::raw_write(&target.join("cgroup.procs"), &pid.to_string());
        }
    }
    Ok(())
}

fn has(list: &str, name: &str) -> bool {
    list.split_ascii_whitespace().any(|candidate| candidate == name)
}

/// Whether the new cgroup lacks a wanted controller that its parent has.
pub fn lacks_controllers(folder: &Path) -> Result<bool> {
    let Some(parent) = folder.parent() else { return Ok(false) };
    let own = files::read(&folder.join("cgroup.controllers"))?;
    if WANTED.iter().all(|name| has(&own, name)) {
        return Ok(false);
    }
    let above = files::read(&parent.join("cgroup.controllers"))?;
    Ok(above.is_empty() || WANTED.iter().any(|name| has(&above, name) && !has(&own, name)))
}

/// Reads the counters.
pub fn stats(folder: &Path) -> Result<Stats> {
    let number = |file: &str| files::number(&folder.join(file));
    let cpu = files::flat_keyed(&folder.join("cpu.stat"))?;
    let microseconds = |key: &str| cpu.get(key).copied().unwrap_or(0).saturating_mul(1000);
    let count = |key: &str| cpu.get(key).copied().unwrap_or(0);
    let events = files::flat_keyed(&folder.join("memory.events"))?;
    let io = files::read_if_there(&folder.join("io.stat"))?.unwrap_or_default();
    Ok(Stats {
        version: 2,
        cpu: CpuStats {
            usage: microseconds("usage_usec"),
            user: microseconds("user_usec"),
            system: microseconds("system_usec"),
            per_cpu: Vec::new(),
            periods: count("nr_periods"),
            throttled_periods: count("nr_throttled"),
            throttled_time: microseconds("throttled_usec"),
        },
        memory: MemoryStats {
            usage: number("memory.current")?.unwrap_or(0),
            max_usage: number("memory.peak")?.unwrap_or(0),
            limit: number("memory.max")?,
            failures: events.get("max").copied().unwrap_or(0),
            oom_kills: events.get("oom_kill").copied().unwrap_or(0),
            swap: number("memory.swap.current")?.unwrap_or(0),
            stats: files::flat_keyed(&folder.join("memory.stat"))?,
        },
        pids: PidsStats { current: number("pids.current")?.unwrap_or(0), limit: number("pids.max")? },
        io: io_stats(&io),
    })
}

/// Lines `8:0 rbytes=… wbytes=… rios=… wios=… dbytes=… dios=…`.
fn io_stats(text: &str) -> IoStats {
    let mut stats = IoStats::default();
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let Some((major, minor)) = fields.next().and_then(|device| device.split_once(':')) else { continue };
        let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else { continue };
        for (key, value) in fields.filter_map(|field| field.split_once('=')) {
            let (list, operation) = match key {
                "rbytes" => (&mut stats.bytes, "read"),
                "wbytes" => (&mut stats.bytes, "write"),
                "rios" => (&mut stats.operations, "read"),
                "wios" => (&mut stats.operations, "write"),
                _ => continue,
            };
            let Ok(value) = value.parse() else { continue };
            list.push(IoEntry { major, minor, operation: operation.to_owned(), value });
        }
    }
    stats
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales() {
        assert_eq!(
            [0, 1, 2, 1024, 262_144, 300_000].map(weight_of_shares),
            [None, Some(1), Some(1), Some(100), Some(10_000), Some(10_000)]
        );
        assert_eq!([10, 500, 1000].map(io_weight), [1, 4950, 10_000]);
        assert_eq!(swap_alone(Some(100), Some(300)).unwrap(), Some(200));
        assert_eq!(swap_alone(Some(100), Some(100)).unwrap(), Some(0));
        assert_eq!(swap_alone(Some(-1), None).unwrap(), Some(-1));
        assert_eq!(swap_alone(Some(100), None).unwrap(), None);
        assert!(swap_alone(None, Some(100)).is_err());
        assert!(swap_alone(Some(300), Some(100)).is_err());
    }

    #[test]
    fn io_lines() {
        let stats = io_stats("8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n7:1 \nnonsense\n");
        assert_eq!(stats.bytes.len(), 2);
        assert_eq!(stats.operations[1], IoEntry { major: 8, minor: 0, operation: "write".into(), value: 2 });
    }
}

//! Limits and devices: from the host configuration's `Resources` to the OCI spec's. The only host state it looks at are the
//! device nodes that are named.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use api::{DeviceMapping, HostConfig, Resources, ThrottleDevice, Ulimit, WeightDevice};
use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType, LinuxMemory, LinuxPids,
    LinuxResources, LinuxThrottleDeviceBuilder, LinuxWeightDeviceBuilder, PosixRlimit, PosixRlimitBuilder,
    PosixRlimitType,
};
use rustix::fs::{major, minor};

use crate::error::{Error, Result};

/// `nofile=1024:2048` as the OCI spec has it; None for a name that is no limit. -1 is no limit.
pub(crate) fn rlimit(ulimit: &Ulimit) -> Option<PosixRlimit> {
    let name = format!("RLIMIT_{}", ulimit.name.to_ascii_uppercase());
    let typ: PosixRlimitType = name.parse().ok()?;
    let value = |limit: i64| u64::try_from(limit).unwrap_or(u64::MAX);
    PosixRlimitBuilder::default().typ(typ).hard(value(ulimit.hard)).soft(value(ulimit.soft)).build().ok()
}

/// Limits of the container over those of the engine, by name.
pub(crate) fn rlimits(resources: &Resources, defaults: &[Ulimit]) -> Vec<PosixRlimit> {
    let own = || resources.ulimits.iter().flatten();
    let inherited = defaults.iter().filter(|default| !own().any(|ulimit| ulimit.name == default.name));
    own().chain(inherited).filter_map(rlimit).collect()
}

/// A device cgroup rule as `--device-cgroup-rule` takes it: `c 42:* rmw`.
pub(crate) fn device_rule(rule: &str) -> Option<LinuxDeviceCgroup> {
    let words: Vec<&str> = rule.split_whitespace().collect();
    let &[kind, numbers, access] = words.as_slice() else { return None };
    let (major, minor) = numbers.split_once(':')?;
    let number = |text: &str| match text {
        "*" => Some(None),
        text => text.parse::<u32>().ok().map(|number| Some(i64::from(number))),
    };
    let access_is_known =
        (1..=3).contains(&access.len()) && access.bytes().all(|byte| b"rwm".contains(&byte));
    if !access_is_known {
        return None;
    }
    let kind = match kind {
        "a" => LinuxDeviceType::A,
        "b" => LinuxDeviceType::B,
        "c" => LinuxDeviceType::C,
        _ => return None,
    };
    Some(allow(kind, number(major)?, number(minor)?, access))
}

fn allow(kind: LinuxDeviceType, major: Option<i64>, minor: Option<i64>, access: &str) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(true)
        .set_typ(Some(kind))
        .set_major(major)
        .set_minor(minor)
        .set_access(Some(access.to_owned()));
    rule
}

/// Limits of memory, CPU, pids and block I/O.
pub(crate) fn limits(resources: &Resources, v2: bool) -> Result<LinuxResources> {
    let positive = |value: i64| (value > 0).then_some(value);
    let mut memory = LinuxMemory::default();
    memory.set_limit(positive(resources.memory));
    memory.set_reservation(positive(resources.memory_reservation));
    memory.set_swap(Some(resources.memory_swap).filter(|swap| *swap != 0 && resources.memory > 0));
    if !v2 {
        let swappiness = resources.memory_swappiness.filter(|value| *value >= 0);
        memory.set_swappiness(swappiness.and_then(|value| u64::try_from(value).ok()));
        memory.set_disable_oom_killer(resources.oom_kill_disable.filter(|disable| *disable));
    }
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(positive(resources.cpu_shares).and_then(|shares| u64::try_from(shares).ok()));
    cpu.set_quota(Some(resources.cpu_quota).filter(|quota| *quota != 0));
    cpu.set_period(positive(resources.cpu_period).and_then(|period| u64::try_from(period).ok()));
    if resources.nano_cpus > 0 {
        // Docker's own conversion, at a period of 100 ms.
        cpu.set_period(Some(100_000));
        cpu.set_quota(Some(resources.nano_cpus / 10_000));
    }
    cpu.set_realtime_runtime(positive(resources.cpu_realtime_runtime));
    cpu.set_realtime_period(
        positive(resources.cpu_realtime_period).and_then(|value| u64::try_from(value).ok()),
    );
    let text = |text: &String| (!text.is_empty()).then(|| text.clone());
    cpu.set_cpus(text(&resources.cpuset_cpus));
    cpu.set_mems(text(&resources.cpuset_mems));
    let mut limits = LinuxResources::default();
    limits.set_devices(None);
    limits.set_memory((memory != LinuxMemory::default()).then_some(memory));
    limits.set_cpu((cpu != LinuxCpu::default()).then_some(cpu));
    limits.set_block_io(block_io(resources)?);
    if let Some(limit) = resources.pids_limit.filter(|limit| *limit != 0) {
        let mut pids = LinuxPids::default();
        pids.set_limit(if limit < 0 { -1 } else { limit });
        limits.set_pids(Some(pids));
    }
    Ok(limits)
}

fn block_io(resources: &Resources) -> Result<Option<LinuxBlockIo>> {
    let mut io = LinuxBlockIo::default();
    if resources.blkio_weight > 0 {
        io.set_weight(Some(resources.blkio_weight));
    }
    io.set_weight_device(devices(&resources.blkio_weight_device, |device: &WeightDevice| {
        let (major, minor) = block_device(&device.path)?;
        let wire =
            LinuxWeightDeviceBuilder::default().major(major).minor(minor).weight(device.weight).build();
        wire.map_err(|error| Error::host("describe a block device", error))
    })?);
    let throttle = |list: &Option<Vec<ThrottleDevice>>| {
        devices(list, |device| {
            let (major, minor) = block_device(&device.path)?;
            let wire =
                LinuxThrottleDeviceBuilder::default().major(major).minor(minor).rate(device.rate).build();
            wire.map_err(|error| Error::host("describe a block device", error))
        })
    };
    io.set_throttle_read_bps_device(throttle(&resources.blkio_device_read_bps)?);
    io.set_throttle_write_bps_device(throttle(&resources.blkio_device_write_bps)?);
    io.set_throttle_read_iops_device(throttle(&resources.blkio_device_read_iops)?);
    io.set_throttle_write_iops_device(throttle(&resources.blkio_device_write_iops)?);
    Ok((io != LinuxBlockIo::default()).then_some(io))
}

fn devices<T, D>(list: &Option<Vec<T>>, convert: impl Fn(&T) -> Result<D>) -> Result<Option<Vec<D>>> {
    let devices: Vec<D> = list.iter().flatten().map(convert).collect::<Result<_>>()?;
    Ok((!devices.is_empty()).then_some(devices))
}

fn block_device(path: &str) -> Result<(i64, i64)> {
    let meta = fs::metadata(path).map_err(|error| Error::invalid(format!("stat {path}: {error}")))?;
    Ok((i64::from(major(meta.rdev())), i64::from(minor(meta.rdev()))))
}

/// Device nodes that the container gets, with their cgroup rules.
pub(crate) fn device_nodes(host: &HostConfig) -> Result<(Vec<LinuxDevice>, Vec<LinuxDeviceCgroup>)> {
    let (mut nodes, mut rules) = (Vec::new(), Vec::new());
    if host.privileged {
        let mut every = LinuxDeviceCgroup::default();
        every.set_allow(true).set_typ(Some(LinuxDeviceType::A)).set_access(Some("rwm".to_owned()));
        host_devices(Path::new("/dev"), &mut nodes);
        return Ok((nodes, vec![every]));
    }
    for mapping in host.resources.devices.iter().flatten() {
        mapped_devices(mapping, &mut nodes, &mut rules)?;
    }
    for rule in host.resources.device_cgroup_rules.iter().flatten() {
        rules.extend(device_rule(rule));
    }
    Ok((nodes, rules))
}

/// One `--device`: a node, or every node below a folder.
fn mapped_devices(
    mapping: &DeviceMapping,
    nodes: &mut Vec<LinuxDevice>,
    rules: &mut Vec<LinuxDeviceCgroup>,
) -> Result<()> {
    let source = Path::new(&mapping.path_on_host);
    let target = match mapping.path_in_container.as_str() {
        "" => mapping.path_on_host.as_str(),
        path => path,
    };
    let access = match mapping.cgroup_permissions.as_str() {
        "" => "rwm",
        access => access,
    };
    let gathering = |what: String| {
        Error::internal(format!(
            "error gathering device information while adding custom device {:?}: {what}",
            mapping.path_on_host
        ))
    };
    // Links such as /dev/cdrom are followed; the node gets the name that was asked for.
    let meta = fs::metadata(source).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => gathering("no such file or directory".to_owned()),
        _ => gathering(error.to_string()),
    })?;
    let mut found = Vec::new();
    if meta.is_dir() {
        host_devices(source, &mut found);
        for node in &mut found {
            if let Ok(below) = node.path().strip_prefix(source) {
                let path = Path::new(target).join(below);
                node.set_path(path);
            }
        }
        if found.is_empty() {
            return Err(gathering("not a device node".to_owned()));
        }
    } else {
        let node = node(Path::new(target), &meta).ok_or_else(|| gathering("not a device node".to_owned()))?;
        found.push(node);
    }
    for node in &found {
        rules.push(allow(node.typ(), Some(node.major()), Some(node.minor()), access));
    }
    nodes.append(&mut found);
    Ok(())
}

/// Every device node below a folder of the host, but for terminals and shared memory, which are the container's own.
fn host_devices(folder: &Path, nodes: &mut Vec<LinuxDevice>) {
    const OWN: &[&str] = &["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"];
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(meta) = entry.metadata() else { continue };
        if entry.file_name().to_str().is_some_and(|name| OWN.contains(&name)) {
            continue;
        }
        if meta.is_dir() {
            host_devices(&path, nodes);
        } else {
            nodes.extend(node(&path, &meta));
        }
    }
}

fn node(path: &Path, meta: &fs::Metadata) -> Option<LinuxDevice> {
    let kind = match meta.file_type() {
        kind if kind.is_char_device() => LinuxDeviceType::C,
        kind if kind.is_block_device() => LinuxDeviceType::B,
        _ => return None,
    };
    let mut device = LinuxDevice::default();
    device
        .set_path(PathBuf::from(path))
        .set_typ(kind)
        .set_major(i64::from(major(meta.rdev())))
        .set_minor(i64::from(minor(meta.rdev())))
        .set_file_mode(Some(meta.mode() & 0o7777))
        .set_uid(Some(meta.uid()))
        .set_gid(Some(meta.gid()));
    Some(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(resources: &str, v2: bool) -> String {
        let resources: Resources = serde_json::from_str(resources).unwrap();
        serde_json::to_string(&limits(&resources, v2).unwrap()).unwrap()
    }

    #[test]
    fn limits_become_the_specs() {
        for (resources, expected) in [
            ("{}", "{}"),
            (
                r#"{"Memory":8388608,"MemorySwap":16777216}"#,
                r#"{"memory":{"limit":8388608,"swap":16777216}}"#,
            ),
            (r#"{"Memory":8388608,"MemorySwap":-1}"#, r#"{"memory":{"limit":8388608,"swap":-1}}"#),
            (r#"{"NanoCpus":1500000000}"#, r#"{"cpu":{"quota":150000,"period":100000}}"#),
            (r#"{"CpuShares":512,"CpusetCpus":"0-1"}"#, r#"{"cpu":{"shares":512,"cpus":"0-1"}}"#),
            (r#"{"PidsLimit":100}"#, r#"{"pids":{"limit":100}}"#),
            (r#"{"PidsLimit":-1}"#, r#"{"pids":{"limit":-1}}"#),
            (r#"{"BlkioWeight":300}"#, r#"{"blockIO":{"weight":300}}"#),
        ] {
            assert_eq!(json(resources, true), expected, "{resources}");
        }
        assert!(json(r#"{"MemorySwappiness":0,"OomKillDisable":true}"#, false).contains("disableOOMKiller"));
        assert_eq!(json(r#"{"MemorySwappiness":0,"OomKillDisable":true}"#, true), "{}");
    }

    #[test]
    fn ulimits_and_device_rules() {
        let ulimit = |name: &str| Ulimit { name: name.into(), hard: -1, soft: 7 };
        let limit = rlimit(&ulimit("nofile")).unwrap();
        assert_eq!((limit.typ(), limit.hard(), limit.soft()), (PosixRlimitType::RlimitNofile, u64::MAX, 7));
        assert!(rlimit(&ulimit("fish")).is_none());
        let defaults = [ulimit("core"), ulimit("nofile")];
        let resources = Resources { ulimits: Some(vec![ulimit("nofile")]), ..Default::default() };
        assert_eq!(rlimits(&resources, &defaults).len(), 2);
        let rule = device_rule("c 42:* rmw").unwrap();
        assert_eq!((rule.major(), rule.minor(), rule.access().as_deref()), (Some(42), None, Some("rmw")));
        for bad in ["", "c 42 rwm", "x 1:1 r", "c 1:1 x", "c 1:1", "c a:1 r"] {
            assert!(device_rule(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn devices_are_found_on_the_host() {
        let host: HostConfig = serde_json::from_str(
            r#"{"Devices":[{"PathOnHost":"/dev/null","PathInContainer":"/dev/nix","CgroupPermissions":"r"}]}"#,
        )
        .unwrap();
        let (nodes, rules) = device_nodes(&host).unwrap();
        assert_eq!((nodes[0].path().to_str(), nodes[0].major(), nodes[0].minor()), (Some("/dev/nix"), 1, 3));
        assert_eq!(rules[0].access().as_deref(), Some("r"));
        let host: HostConfig = serde_json::from_str(r#"{"Devices":[{"PathOnHost":"/dev/nosuch"}]}"#).unwrap();
        assert_eq!(
            device_nodes(&host).unwrap_err().message,
            "error gathering device information while adding custom device \"/dev/nosuch\": no such file or directory"
        );
    }
}

//! Devices and limits.

use oci_spec::runtime as oci;

use super::{Result, fail, text};
use crate::error::PlanError;
use crate::plan::*;

/// Nodes that every container has (config-linux.md, "Default Devices"), and those of the configuration; a later one with the same
/// path takes the place of an earlier one.
pub fn devices(linux: &oci::Linux) -> Result<Vec<Device>> {
    let node = |name: &str, major, minor| Device {
        path: format!("/dev/{name}"),
        kind: DeviceNode::Character(major, minor),
        mode: 0o666,
        uid: 0,
        gid: 0,
    };
    let mut all = vec![
        node("null", 1, 3),
        node("zero", 1, 5),
        node("full", 1, 7),
        node("random", 1, 8),
        node("urandom", 1, 9),
        node("tty", 5, 0),
    ];
    for device in linux.devices().iter().flatten() {
        let path = text(device.path())?.to_owned();
        if !path.starts_with('/') {
            return fail(format!("device {path:?}: the path must be absolute"));
        }
        let number = |number: i64| {
            u32::try_from(number)
                .map_err(|_| PlanError::new(format!("device {path}: invalid number {number}")))
        };
        let (major, minor) = (device.major(), device.minor());
        let kind = match device.typ() {
            oci::LinuxDeviceType::B => DeviceNode::Block(number(major)?, number(minor)?),
            oci::LinuxDeviceType::C | oci::LinuxDeviceType::U => {
                DeviceNode::Character(number(major)?, number(minor)?)
            }
            oci::LinuxDeviceType::P => DeviceNode::Fifo,
            oci::LinuxDeviceType::A => return fail(format!("device {path}: \"a\" is not a device type")),
        };
        let device = Device {
            kind,
            mode: device.file_mode().unwrap_or(0o666) & 0o7777,
            uid: device.uid().unwrap_or(0),
            gid: device.gid().unwrap_or(0),
            path,
        };
        all.retain(|other: &Device| other.path != device.path);
        all.push(device);
    }
    Ok(all)
}

/// Device rules that runc adds at the end, so that the nodes above always work.
fn default_device_rules() -> impl Iterator<Item = cgroup::DeviceRule> {
    let rule = |kind, major, minor, access: &str| cgroup::DeviceRule {
        allow: true,
        kind,
        major,
        minor,
        access: access.to_owned(),
    };
    use cgroup::DeviceKind::{Block, Character};
    [(Character, None, None), (Block, None, None)]
        .into_iter()
        .map(move |(kind, major, minor)| rule(kind, major, minor, "m"))
        .chain(
            [
                (1, Some(3)),
                (1, Some(5)),
                (1, Some(7)),
                (1, Some(8)),
                (1, Some(9)),
                (5, Some(0)),
                (5, Some(2)),
                (136, None),
            ]
            .into_iter()
            .map(move |(major, minor)| rule(Character, Some(major), minor, "rwm")),
        )
}

pub fn resources(linux: &oci::Linux, has_cgroup: bool) -> Result<cgroup::Resources> {
    let mut all = match linux.resources() {
        Some(resources) => plan_resources(resources)?,
        None => cgroup::Resources::default(),
    };
    if has_cgroup {
        // Nothing is allowed but what is listed.
        let deny_all = cgroup::DeviceRule {
            allow: false,
            kind: cgroup::DeviceKind::All,
            major: None,
            minor: None,
            access: "rwm".into(),
        };
        all.devices = std::iter::once(deny_all).chain(all.devices).chain(default_device_rules()).collect();
        // Rules that the last "everything" rule takes back need not be kept.
        let everything = |rule: &cgroup::DeviceRule| {
            rule.kind == cgroup::DeviceKind::All && rule.major.is_none() && rule.minor.is_none()
        };
        if let Some(at) = all.devices.iter().rposition(everything) {
            all.devices.drain(..at);
            if all.devices[0].allow {
                all.devices.retain(|rule| !rule.allow || everything(rule));
            }
        }
    }
    Ok(all)
}

/// Limits of an OCI configuration as the cgroup crate takes them; also for updates of a running container.
pub fn plan_resources(resources: &oci::LinuxResources) -> Result<cgroup::Resources> {
    let device_rule = |rule: &oci::LinuxDeviceCgroup| {
        let number = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
        cgroup::DeviceRule {
            allow: rule.allow(),
            kind: match rule.typ() {
                Some(oci::LinuxDeviceType::B) => cgroup::DeviceKind::Block,
                Some(oci::LinuxDeviceType::C | oci::LinuxDeviceType::U) => cgroup::DeviceKind::Character,
                _ => cgroup::DeviceKind::All,
            },
            major: number(rule.major()),
            minor: number(rule.minor()),
            access: rule.access().clone().unwrap_or_default(),
        }
    };
    let memory = resources.memory().as_ref().map(|memory| cgroup::Memory {
        limit: memory.limit(),
        swap: memory.swap(),
        reservation: memory.reservation(),
        kernel_tcp: memory.kernel_tcp(),
        swappiness: memory.swappiness(),
        disable_oom_killer: memory.disable_oom_killer(),
        check_before_update: memory.check_before_update(),
    });
    let cpu = resources.cpu().as_ref().map(|cpu| cgroup::Cpu {
        shares: cpu.shares(),
        quota: cpu.quota(),
        period: cpu.period(),
        burst: cpu.burst(),
        idle: cpu.idle(),
        realtime_runtime: cpu.realtime_runtime(),
        realtime_period: cpu.realtime_period(),
        cpus: cpu.cpus().clone().filter(|list| !list.is_empty()),
        mems: cpu.mems().clone().filter(|list| !list.is_empty()),
    });
    let network = resources.network().as_ref();
    Ok(cgroup::Resources {
        memory: memory.unwrap_or_default(),
        cpu: cpu.unwrap_or_default(),
        pids: resources.pids().as_ref().map(|pids| pids.limit()),
        io: resources.block_io().as_ref().map(io).unwrap_or_default(),
        devices: resources.devices().iter().flatten().map(device_rule).collect(),
        hugetlb: resources
            .hugepage_limits()
            .iter()
            .flatten()
            .map(|limit| (limit.page_size().clone(), limit.limit()))
            .collect(),
        rdma: resources
            .rdma()
            .iter()
            .flatten()
            .map(|(device, limit)| {
                (device.clone(), cgroup::Rdma { handles: limit.hca_handles(), objects: limit.hca_objects() })
            })
            .collect(),
        net_class: network.and_then(|network| network.class_id()),
        net_priorities: network
            .and_then(|network| network.priorities().as_ref())
            .into_iter()
            .flatten()
            .map(|one| (one.name().clone(), one.priority()))
            .collect(),
        unified: resources
            .unified()
            .iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    })
}

fn io(io: &oci::LinuxBlockIo) -> cgroup::Io {
    let throttle = |devices: &Option<Vec<oci::LinuxThrottleDevice>>| {
        let device = |device: &oci::LinuxThrottleDevice| cgroup::ThrottleDevice {
            major: device.major(),
            minor: device.minor(),
            rate: device.rate(),
        };
        devices.iter().flatten().map(device).collect()
    };
    let weight = |device: &oci::LinuxWeightDevice| cgroup::WeightDevice {
        major: device.major(),
        minor: device.minor(),
        weight: device.weight(),
        leaf_weight: device.leaf_weight(),
    };
    cgroup::Io {
        weight: io.weight(),
        leaf_weight: io.leaf_weight(),
        weight_devices: io.weight_device().iter().flatten().map(weight).collect(),
        read_bps: throttle(io.throttle_read_bps_device()),
        write_bps: throttle(io.throttle_write_bps_device()),
        read_iops: throttle(io.throttle_read_iops_device()),
        write_iops: throttle(io.throttle_write_iops_device()),
    }
}

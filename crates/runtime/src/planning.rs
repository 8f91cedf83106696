//! From an OCI configuration to a [`LaunchPlan`]: names become numbers, options become flags, contradictions become errors. Pure:
//! looks at nothing but its arguments, so what it makes can be stored and compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci_spec::runtime as oci;
use oci_spec::runtime::Spec;

use crate::defaults::HostFacts;
use crate::error::PlanError;
use crate::mount_options::Options;
use crate::plan::*;

/// What a plan takes from elsewhere than the OCI configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanOptions {
    /// The root file system (the configuration's `root.path` is not looked at, `root.readonly` is).
    pub rootfs: RootFs,
    /// The cgroup's path, "/naru/<id>"; `None` takes `linux.cgroupsPath`, and without that there is no cgroup.
    pub cgroup_path: Option<String>,
    /// Takes the place of `process.user`.
    pub user: Option<UserSpec>,
    /// Takes the place of `linux.seccomp`.
    pub seccomp: Option<seccomp::Program>,
    /// Where relative paths of bind mounts start, and what hooks are told.
    pub bundle: PathBuf,
    /// The container's id, for hooks.
    pub id: String,
    /// The machine.
    pub host: HostFacts,
}

type Result<T, E = PlanError> = std::result::Result<T, E>;

fn fail<T>(message: impl Into<String>) -> Result<T> {
    Err(PlanError::new(message))
}

/// Turns an OCI configuration into a plan. Looks at nothing but its arguments.
pub fn plan(spec: &Spec, options: &PlanOptions) -> Result<LaunchPlan> {
    let empty = oci::Linux::default();
    let linux = spec.linux().as_ref().unwrap_or(&empty);
    let Some(process) = spec.process() else { return fail("process: missing") };
    let namespaces = namespaces(linux)?;
    let cgroup = match (&options.cgroup_path, linux.cgroups_path()) {
        (Some(path), _) => Some(path.clone()),
        (None, Some(path)) => Some(format!("/{}", text(path)?.trim_start_matches('/'))),
        (None, None) => None,
    };
    let mounts: Vec<Mount> = spec
        .mounts()
        .iter()
        .flatten()
        .map(|mount| plan_mount(mount, &options.bundle))
        .collect::<Result<_>>()?;
    let populate_dev = !mounts.iter().any(|mount| {
        matches!(mount.source, MountSource::Bind { .. }) && mount.target.trim_end_matches('/') == "/dev"
    });
    let seccomp = match (&options.seccomp, linux.seccomp()) {
        (Some(program), _) => Some(program.clone()),
        (None, Some(rules)) => Some(compile(rules)?),
        (None, None) => None,
    };
    let mut first = process_plan(process, options.user.clone(), seccomp, options.host.last_capability)?;
    first.create_cwd = true;
    if let Some(personality) = linux.personality() {
        first.scheduling.personality = Some(match personality.domain() {
            oci::LinuxPersonalityDomain::PerLinux => 0,
            oci::LinuxPersonalityDomain::PerLinux32 => 8,
        });
    }
    first.scheduling.memory_policy = linux.memory_policy().as_ref().map(memory_policy).transpose()?;
    Ok(LaunchPlan {
        process: first,
        rootfs: options.rootfs.clone(),
        rootfs_readonly: spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false),
        rootfs_propagation: linux
            .rootfs_propagation()
            .as_deref()
            .map(root_propagation)
            .transpose()?
            .flatten(),
        hostname: spec.hostname().clone().filter(|name| !name.is_empty()),
        domainname: spec.domainname().clone().filter(|name| !name.is_empty()),
        sysctls: sysctls(linux, &namespaces)?,
        devices: if populate_dev { devices(linux)? } else { Vec::new() },
        populate_dev,
        mounts,
        masked_paths: linux.masked_paths().clone().unwrap_or_default(),
        readonly_paths: linux.readonly_paths().clone().unwrap_or_default(),
        resources: resources(linux, cgroup.is_some())?,
        cgroup,
        hooks: hooks(spec, options)?,
        namespaces,
    })
}

/// A process's own part of a configuration, for [`crate::exec`]: `process.user` is replaced by `user` if given, the filter is
/// `seccomp`.
pub fn plan_process(
    process: &oci::Process,
    user: Option<UserSpec>,
    seccomp: Option<seccomp::Program>,
) -> Result<ExecPlan> {
    process_plan(process, user, seccomp, sys::caps::NAMES.len() as u32 - 1)
}

/// The filter of an OCI configuration.
pub fn compile(rules: &oci::LinuxSeccomp) -> Result<seccomp::Program> {
    // Both sides are the specification's JSON.
    serde_json::to_value(rules)
        .and_then(serde_json::from_value::<seccomp::Rules>)
        .map_err(seccomp::Error::from)
        .and_then(|rules| seccomp::compile_rules(&rules))
        .map_err(|error| PlanError::new(format!("linux.seccomp: {error}")))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| PlanError::new(format!("path {} is not UTF-8", path.display())))
}

fn process_plan(
    process: &oci::Process,
    user: Option<UserSpec>,
    seccomp: Option<seccomp::Program>,
    last_capability: u32,
) -> Result<Process> {
    let args = process.args().clone().unwrap_or_default();
    if args.is_empty() {
        return fail("args must not be empty");
    }
    let cwd = text(process.cwd())?.to_owned();
    if !cwd.starts_with('/') {
        return fail("Cwd must be an absolute path");
    }
    let env = process.env().clone().unwrap_or_default();
    if let Some(bad) = args.iter().chain(&env).find(|text| text.contains('\0')) {
        return fail(format!("argument or environment variable {bad:?} contains a NUL byte"));
    }
    let user = user.unwrap_or_else(|| UserSpec::Ids {
        uid: process.user().uid(),
        gid: process.user().gid(),
        additional: process.user().additional_gids().clone().unwrap_or_default(),
    });
    Ok(Process {
        args,
        env,
        cwd,
        create_cwd: false,
        user,
        umask: process.user().umask(),
        capabilities: process
            .capabilities()
            .as_ref()
            .map_or_else(Capabilities::default, |sets| capabilities(sets, last_capability)),
        rlimits: process.rlimits().iter().flatten().map(rlimit).collect(),
        no_new_privs: process.no_new_privileges().unwrap_or(false),
        oom_score_adj: process.oom_score_adj(),
        seccomp,
        apparmor: process.apparmor_profile().clone().filter(|profile| !profile.is_empty()),
        selinux: process.selinux_label().clone().filter(|label| !label.is_empty()),
        terminal: process.terminal().unwrap_or(false),
        scheduling: scheduling(process)?,
    })
}

/// Capabilities that the kernel does not have are passed over.
fn capabilities(sets: &oci::LinuxCapabilities, last: u32) -> Capabilities {
    let known = if last >= 63 { u64::MAX } else { (1 << (last + 1)) - 1 };
    let mask = |set: &Option<oci::Capabilities>| {
        let bits = set.iter().flatten().filter_map(|capability| sys::caps::parse(&capability.to_string()));
        bits.fold(0, |mask, bit| mask | 1 << bit) & known
    };
    Capabilities {
        bounding: mask(sets.bounding()),
        effective: mask(sets.effective()),
        permitted: mask(sets.permitted()),
        inheritable: mask(sets.inheritable()),
        ambient: mask(sets.ambient()),
    }
}

fn rlimit(limit: &oci::PosixRlimit) -> Rlimit {
    use oci::PosixRlimitType as Kind;
    let resource = match limit.typ() {
        Kind::RlimitCpu => 0,
        Kind::RlimitFsize => 1,
        Kind::RlimitData => 2,
        Kind::RlimitStack => 3,
        Kind::RlimitCore => 4,
        Kind::RlimitRss => 5,
        Kind::RlimitNproc => 6,
        Kind::RlimitNofile => 7,
        Kind::RlimitMemlock => 8,
        Kind::RlimitAs => 9,
        Kind::RlimitLocks => 10,
        Kind::RlimitSigpending => 11,
        Kind::RlimitMsgqueue => 12,
        Kind::RlimitNice => 13,
        Kind::RlimitRtprio => 14,
        Kind::RlimitRttime => 15,
    };
    Rlimit { resource, soft: limit.soft(), hard: limit.hard() }
}

fn scheduling(process: &oci::Process) -> Result<Scheduling> {
    use oci::IOPriorityClass as Class;
    let io = process.io_priority().as_ref().map(|priority| {
        let class = match priority.class() {
            Class::IoprioClassRt => 1,
            Class::IoprioClassBe => 2,
            Class::IoprioClassIdle => 3,
        };
        (class, priority.priority().clamp(0, 7) as u32)
    });
    let affinity =
        match process.exec_cpu_affinity().as_ref().and_then(|affinity| affinity.cpu_affinity_final().clone())
        {
            Some(list) => number_list(&list)?,
            None => Vec::new(),
        };
    Ok(Scheduling { io, cpu: process.scheduler().as_ref().map(scheduler), affinity, ..Scheduling::default() })
}

fn scheduler(scheduler: &oci::Scheduler) -> SchedulerPlan {
    use oci::{LinuxSchedulerFlag as Flag, LinuxSchedulerPolicy as Policy};
    let policy = match scheduler.policy() {
        Policy::SchedOther => 0,
        Policy::SchedFifo => 1,
        Policy::SchedRr => 2,
        Policy::SchedBatch => 3,
        Policy::SchedIso => 4,
        Policy::SchedIdle => 5,
        Policy::SchedDeadline => 6,
    };
    let flag = |flag: &Flag| match flag {
        Flag::SchedResetOnFork => 0x01,
        Flag::SchedFlagReclaim => 0x02,
        Flag::SchedFlagDLOverrun => 0x04,
        Flag::SchedFlagKeepPolicy => 0x08,
        Flag::SchedFlagKeepParams => 0x10,
        Flag::SchedFlagUtilClampMin => 0x20,
        Flag::SchedFlagUtilClampMax => 0x40,
    };
    SchedulerPlan {
        policy,
        flags: scheduler.flags().iter().flatten().map(flag).fold(0, |all, one| all | one),
        nice: scheduler.nice().unwrap_or(0),
        priority: scheduler.priority().unwrap_or(0).try_into().unwrap_or(0),
        runtime: scheduler.runtime().unwrap_or(0),
        deadline: scheduler.deadline().unwrap_or(0),
        period: scheduler.period().unwrap_or(0),
    }
}

fn memory_policy(policy: &oci::LinuxMemoryPolicy) -> Result<(i32, Vec<u32>)> {
    use oci::{MemoryPolicyFlagType as Flag, MemoryPolicyModeType as Mode};
    let mode = match policy.mode() {
        Mode::MpolDefault => 0,
        Mode::MpolPreferred => 1,
        Mode::MpolBind => 2,
        Mode::MpolInterleave => 3,
        Mode::MpolLocal => 4,
        Mode::MpolPreferredMany => 5,
        Mode::MpolWeightedInterleave => 6,
    };
    let flag = |flag: &Flag| match flag {
        Flag::MpolFStaticNodes => 1 << 15,
        Flag::MpolFRelativeNodes => 1 << 14,
        Flag::MpolFNumaBalancing => 1 << 13,
    };
    let flags = policy.flags().iter().flatten().map(flag).fold(0, |all, one| all | one);
    let nodes = policy.nodes().as_deref().filter(|list| !list.is_empty()).map(number_list).transpose()?;
    Ok((mode | flags, nodes.unwrap_or_default()))
}

/// "0-2,7".
fn number_list(list: &str) -> Result<Vec<u32>> {
    let bad = || PlanError::new(format!("invalid list of numbers {list:?}"));
    let mut numbers = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().map_err(|_| bad())?, last.parse().map_err(|_| bad())?);
        if first > last || last > 8191 {
            return Err(bad());
        }
        numbers.extend(first..=last);
    }
    Ok(numbers)
}

fn namespaces(linux: &oci::Linux) -> Result<Namespaces> {
    use oci::LinuxNamespaceType as Kind;
    let mut all = Namespaces::default();
    let mut seen = Vec::new();
    for namespace in linux.namespaces().iter().flatten() {
        if seen.contains(&namespace.typ()) {
            return fail(format!("malformed spec file: duplicated namespace {}", namespace.typ()));
        }
        seen.push(namespace.typ());
        let place = match namespace.typ() {
            Kind::Mount => &mut all.mount,
            Kind::Cgroup => &mut all.cgroup,
            Kind::Uts => &mut all.uts,
            Kind::Ipc => &mut all.ipc,
            Kind::User => &mut all.user,
            Kind::Pid => &mut all.pid,
            Kind::Network => &mut all.network,
            Kind::Time => &mut all.time,
        };
        *place = match namespace.path().as_ref().filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => Namespace::Path(path.clone()),
            None => Namespace::New,
        };
    }
    if all.mount != Namespace::New {
        return fail("a container needs a new mount namespace");
    }
    if all.user == Namespace::New {
        all.uid_mappings = mappings(linux.uid_mappings());
        all.gid_mappings = mappings(linux.gid_mappings());
        if all.uid_mappings.is_empty() || all.gid_mappings.is_empty() {
            return fail("User namespaces enabled, but no uid or gid mappings found");
        }
    }
    if let Some(offsets) = linux.time_offsets().as_ref().filter(|_| all.time == Namespace::New) {
        let sorted: BTreeMap<_, _> = offsets.iter().collect();
        for (clock, offset) in sorted {
            if !["monotonic", "boottime"].contains(&clock.as_str()) {
                return fail(format!("timeOffsets: unknown clock {clock:?}"));
            }
            all.time_offsets.push((
                clock.clone(),
                offset.secs().unwrap_or(0),
                offset.nanosecs().unwrap_or(0),
            ));
        }
    }
    Ok(all)
}

fn mappings(mappings: &Option<Vec<oci::LinuxIdMapping>>) -> Vec<IdMapping> {
    let mapping = |mapping: &oci::LinuxIdMapping| IdMapping {
        container: mapping.container_id(),
        host: mapping.host_id(),
        size: mapping.size(),
    };
    mappings.iter().flatten().map(mapping).collect()
}

/// `None` for "": leave it.
fn root_propagation(name: &str) -> Result<Option<Propagation>> {
    if name.is_empty() {
        return Ok(None);
    }
    match Options::parse([name]).propagation.as_slice() {
        [propagation] => Ok(Some(*propagation)),
        _ => fail(format!("rootfsPropagation={name} is not supported")),
    }
}

fn plan_mount(mount: &oci::Mount, bundle: &Path) -> Result<Mount> {
    let target = text(mount.destination())?;
    // Old configurations say "proc" for "/proc".
    let target = format!("/{}", target.trim_start_matches('/'));
    let options = Options::parse(mount.options().iter().flatten().map(String::as_str));
    let kind = mount.typ().as_deref().unwrap_or_default();
    let source = match (kind, options.bind) {
        ("cgroup", _) => MountSource::Cgroup,
        (_, Some(_)) | ("bind" | "rbind", None) => {
            let Some(path) = mount.source() else {
                return fail(format!("mount {target}: a bind mount needs a source"));
            };
            let recursive = options.bind.unwrap_or(kind == "rbind");
            MountSource::Bind { path: bundle.join(path), recursive, nofollow: options.nofollow }
        }
        ("", None) => return fail(format!("mount {target}: no type and not a bind mount")),
        (kind, None) => {
            let mut data = options.data;
            data.extend(options.superblock.into_iter().map(|flag| (flag, None)));
            // On a disk, read-only also means that nothing is replayed or repaired.
            let virtual_one = ["proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup2", "overlay", "ramfs"];
            if options.set & sys::mount::attr::RDONLY != 0 && !virtual_one.contains(&kind) {
                data.push(("ro".to_owned(), None));
            }
            let source = mount.source().as_deref().map(text).transpose()?.map(str::to_owned);
            MountSource::New { fstype: kind.to_owned(), source, options: data }
        }
    };
    let mut propagation = options.propagation;
    if matches!(source, MountSource::Bind { .. }) && propagation.is_empty() {
        // Never shared with the host unless asked for.
        propagation.push(Propagation { kind: PropagationKind::Slave, recursive: true });
    }
    let (uid, gid) = (mappings(mount.uid_mappings()), mappings(mount.gid_mappings()));
    let idmap = match options.idmap {
        None if uid.is_empty() && gid.is_empty() => None,
        recursive => Some(IdMap { uid, gid, recursive: recursive.unwrap_or(false) }),
    };
    let is_bind = matches!(source, MountSource::Bind { .. });
    Ok(Mount {
        target,
        attributes: options.set,
        // A new mount has nothing that could be cleared.
        clear: if is_bind { options.clear } else { 0 },
        recursive_attributes: options.recursive_set,
        recursive_clear: options.recursive_clear,
        propagation,
        idmap,
        copy_up: options.copy_up && matches!(&source, MountSource::New { fstype, .. } if fstype == "tmpfs"),
        source,
    })
}

fn sysctls(linux: &oci::Linux, namespaces: &Namespaces) -> Result<Vec<(String, String)>> {
    const IPC: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let sorted: BTreeMap<_, _> = linux.sysctl().iter().flatten().collect();
    let mut all = Vec::new();
    for (name, value) in sorted {
        // sysctl(8): whichever separator comes first is the separator, and the other stands for itself.
        let slashes = name.find(['.', '/']).is_some_and(|at| name.as_bytes()[at] == b'/');
        let swap = |letter| match letter {
            '.' => '/',
            '/' => '.',
            letter => letter,
        };
        let path: String = if slashes { name.clone() } else { name.chars().map(swap).collect() };
        if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            return fail(format!("sysctl {name:?}: not a name"));
        }
        let dotted = path.replace('/', ".");
        let own = |namespace: &Namespace| *namespace != Namespace::Host;
        let allowed = if path.starts_with("net/") {
            own(&namespaces.network)
        } else if IPC.contains(&dotted.as_str()) || path.starts_with("fs/mqueue/") {
            own(&namespaces.ipc)
        } else if dotted == "kernel.domainname" || dotted == "kernel.hostname" {
            own(&namespaces.uts)
        } else {
            path.starts_with("user/") && own(&namespaces.user)
        };
        if !allowed {
            return fail(format!("sysctl {dotted:?} is not in a separate kernel namespace"));
        }
        all.push((path, value.clone()));
    }
    Ok(all)
}

/// Nodes that every container has (config-linux.md, "Default Devices"), and those of the configuration; a later one with the same
/// path takes the place of an earlier one.
fn devices(linux: &oci::Linux) -> Result<Vec<Device>> {
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

fn resources(linux: &oci::Linux, has_cgroup: bool) -> Result<cgroup::Resources> {
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

fn hooks(spec: &Spec, options: &PlanOptions) -> Result<Option<Hooks>> {
    let Some(hooks) = spec.hooks() else { return Ok(None) };
    let list = |hooks: &Option<Vec<oci::Hook>>| {
        let hook = |hook: &oci::Hook| {
            if !hook.path().is_absolute() {
                return fail(format!("hook {}: the path must be absolute", hook.path().display()));
            }
            Ok(Hook {
                path: hook.path().clone(),
                args: hook.args().clone().unwrap_or_default(),
                env: hook.env().clone().unwrap_or_default(),
                timeout: hook.timeout().and_then(|seconds| u64::try_from(seconds).ok()),
            })
        };
        hooks.iter().flatten().map(hook).collect::<Result<Vec<_>>>()
    };
    #[allow(deprecated, reason = "the prestart hooks are deprecated, and much used")]
    let prestart = list(hooks.prestart())?;
    let planned = Hooks {
        prestart,
        create_runtime: list(hooks.create_runtime())?,
        create_container: list(hooks.create_container())?,
        start_container: list(hooks.start_container())?,
        poststart: list(hooks.poststart())?,
        poststop: list(hooks.poststop())?,
        ..Hooks::default()
    };
    if planned == Hooks::default() {
        return Ok(None);
    }
    let annotations =
        spec.annotations().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
    Ok(Some(Hooks { id: options.id.clone(), bundle: options.bundle.clone(), annotations, ..planned }))
}

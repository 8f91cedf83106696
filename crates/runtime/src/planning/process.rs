//! A process's part of the configuration: names of capabilities, limits and schedulers become numbers.

use oci_spec::runtime as oci;

use super::{Result, fail, text};
use crate::error::PlanError;
use crate::plan::*;

pub fn process_plan(
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
        seccomp_listener: None,
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

pub fn memory_policy(policy: &oci::LinuxMemoryPolicy) -> Result<(i32, Vec<u32>)> {
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

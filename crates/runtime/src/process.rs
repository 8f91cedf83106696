//! The last steps before a program runs, for a container's first process and for later ones: user, limits, privileges, filter,
//! `execve`. Runs in the child, inside the container's namespaces and root. Irrevocable: every failure ends the child.

use std::convert::Infallible;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::thread::{Gid, Uid};

use crate::birth::{self, Birth};
use crate::channel::Channel;
use crate::error::{During, LaunchError, Result};
use crate::identity::{self, Identity};
use crate::listener::Listener;
use crate::plan::{Hooks, Process, UserSpec};
use crate::root::Root;
use crate::{Gate, gate, hooks, program, streams};

/// What the steps need besides the plan; gathered by the launcher.
pub struct Surroundings {
    /// The child's end of the line.
    pub channel: Channel,
    /// The host's /proc.
    pub proc: OwnedFd,
    /// Signals that the launcher ignores.
    pub ignored: u64,
    /// The kernel's highest capability.
    pub last_capability: u32,
    /// The process is in another user namespace than the launcher.
    pub own_user: bool,
    /// The launcher is root by each of its ids, and so is whoever it clones into its own user namespace.
    pub is_root: bool,
    /// Capabilities that can be given at all.
    pub available: u64,
    /// What the program's start waits for, see [`crate::Extras::gate`].
    pub gate: Option<Gate>,
    /// Who is given the filter's notifications.
    pub listener: Option<Listener>,
    /// Descriptors from 3 on that the program keeps.
    pub preserve_fds: u32,
    /// The process that this one is going to be is yet to be born.
    pub birth: Option<Birth>,
}

/// What can be known before the new process is there.
pub struct Prepared {
    identity: Identity,
    groups: Vec<Gid>,
    program: program::Program,
    /// The current folder is the right one.
    is_there: bool,
}

impl Prepared {
    /// Gathers it, in the container's root or before.
    pub fn new(process: &Process, identity: Identity) -> Result<Self> {
        let groups = identity.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        let program = program::Program::prepare(process, &identity)?;
        Ok(Self { program, groups, identity, is_there: false })
    }

    /// As [`Self::new`], by a process whose current folder the new one inherits.
    pub fn in_place(process: &Process, identity: Identity) -> Result<Self> {
        let is_there = process.cwd == "/";
        if is_there {
            check_cwd()?;
        }
        Ok(Self { is_there, ..Self::new(process, identity)? })
    }
}

/// Turns this process into the program. `hooks`: a first process's; the startContainer ones run as the container's user.
pub fn run(
    process: &Process,
    root: &Root,
    around: &mut Surroundings,
    hooks: Option<&Hooks>,
) -> Result<Infallible> {
    let prepared = Prepared::new(process, identity::resolve(&process.user, root)?)?;
    run_prepared(process, &prepared, root, around, hooks)
}

/// As [`run`].
pub fn run_prepared(
    process: &Process,
    prepared: &Prepared,
    root: &Root,
    around: &mut Surroundings,
    hooks: Option<&Hooks>,
) -> Result<Infallible> {
    if let Some(birth) = &around.birth {
        birth.prepare()?;
    }
    let Prepared { identity, program, .. } = prepared;
    if identity.uid != 0 || around.own_user {
        streams::give_to(identity.uid)?;
    }
    security_labels(process, &around.proc)?;
    scheduling(process)?;
    for limit in &process.rlimits {
        sys::process::set_rlimit(limit.resource, limit.soft, limit.hard).during("rlimits", || {
            format!("error setting rlimits for ready process: error setting rlimit type {}", limit.resource)
        })?;
    }
    rustix::process::umask(Mode::from_raw_mode(process.umask.unwrap_or(0o022)));

    let entered = enter_cwd(process, root)?;
    become_user(process, prepared, around)?;
    if !entered {
        rustix::process::chdir(process.cwd.as_str()).during("cwd", || chdir_failed(process))?;
    }
    if !prepared.is_there {
        check_cwd()?;
    }

    if let Some(birth) = around.birth.take() {
        return in_sight(process, program, around, &birth, hooks);
    }
    if matches!(around.gate, Some(Gate::Launcher | Gate::Line(_))) {
        return held(process, program, around, hooks);
    }
    wait_for_start(program, around, hooks)?;
    around.channel.executing()?;
    leave_nothing(around)?;
    confine(process, around)?;
    Err(program.execute())
}

/// The same steps with the wait as late as can be: mostly nothing but `execve` is left to do after it.
fn held(
    process: &Process,
    program: &program::Program,
    around: &mut Surroundings,
    hooks: Option<&Hooks>,
) -> Result<Infallible> {
    leave_nothing(around)?;
    let is_confined = hooks.is_none()
        && around.listener.is_none()
        && process.seccomp.as_ref().is_none_or(Channel::is_allowed);
    if is_confined {
        confine(process, around)?;
    }
    wait_for_start(program, around, hooks)?;
    // Whoever hears this knows that it was let go.
    around.channel.executing()?;
    if !is_confined {
        confine(process, around)?;
    }
    Err(program.execute())
}

/// At the gate, if there is one, and the last hooks.
fn wait_for_start(
    program: &program::Program,
    around: &mut Surroundings,
    hooks: Option<&Hooks>,
) -> Result<()> {
    match around.gate.take() {
        Some(Gate::Socket(gate)) => {
            // Whoever creates the container is to hear of it, not whoever starts it.
            program.check()?;
            around.channel.executing()?;
            around.channel.end();
            around.channel = gate::wait(gate)?;
        }
        Some(Gate::Launcher) => around.channel.wait()?,
        Some(Gate::Line(line)) => Channel::new(line).wait()?,
        None => {}
    }
    if let Some(planned) = hooks {
        let pid = rustix::process::getpid().as_raw_pid();
        hooks::run(&planned.start_container, "startContainer", planned, "created", pid)?;
    }
    Ok(())
}

/// What the launcher ignores, blocks and has open.
fn leave_nothing(around: &Surroundings) -> Result<()> {
    sys::signal::restore_default(around.ignored).during("signals", || "reset signals".to_owned())?;
    sys::signal::set_mask(0).during("signals", || "reset the signal mask".to_owned())?;
    sys::exec::close_on_exec_from(3 + around.preserve_fds)
        .during("descriptors", || "close descriptors".to_owned())
}

/// The same steps for a process that is to be born with nothing to take: all that can be done before comes before.
fn in_sight(
    process: &Process,
    program: &program::Program,
    around: &mut Surroundings,
    birth: &Birth,
    hooks: Option<&Hooks>,
) -> Result<Infallible> {
    leave_nothing(around)?;
    let waits = around.gate.is_some() || hooks.is_some();
    if !waits {
        around.channel.executing()?;
    }
    let is_confined = birth::is_allowed(process);
    if is_confined {
        confine(process, around)?;
    }
    birth.happen(&mut birth::kept(around, is_confined))?;
    streams::begin_session(process.terminal)?;
    if waits {
        wait_for_start(program, around, hooks)?;
        around.channel.executing()?;
    }
    if !is_confined {
        confine(process, around)?;
    }
    Err(program.execute())
}

fn chdir_failed(process: &Process) -> String {
    format!("chdir to cwd ({:?}) set in config.json failed", process.cwd)
}

/// Goes to the folder as root, since the user may not be allowed to look at the folders above. `false`: only the user may go there
/// (a network file system that does not trust root).
fn enter_cwd(process: &Process, root: &Root) -> Result<bool> {
    if process.cwd == "/" {
        // Where pivot_root and setns have left us.
        return Ok(true);
    }
    let mut result = rustix::process::chdir(process.cwd.as_str());
    if result == Err(Errno::NOENT) && process.create_cwd {
        root.folder(&process.cwd).during("cwd", || format!("mkdir {}", process.cwd))?;
        result = rustix::process::chdir(process.cwd.as_str());
    }
    match result {
        Ok(()) => Ok(true),
        Err(Errno::ACCESS | Errno::PERM) => Ok(false),
        Err(error) => Err(error).during("cwd", || chdir_failed(process)),
    }
}

/// A current folder outside of the root could only come from a descriptor of the host that was left open (CVE-2024-21626).
fn check_cwd() -> Result<()> {
    match rustix::process::getcwd(Vec::new()) {
        Ok(path) if path.to_bytes().starts_with(b"/") => Ok(()),
        Ok(_) | Err(Errno::NOENT) => Err(LaunchError::other(
            "cwd",
            "current working directory is outside of container mount namespace root -- possible container breakout detected",
        )),
        Err(error) => {
            Err(error).during("cwd", || "failed to verify if current working directory is safe".to_owned())
        }
    }
}

/// Bounding set, groups, group, user. Keeps the permitted capabilities.
fn become_user(process: &Process, prepared: &Prepared, around: &Surroundings) -> Result<()> {
    let Prepared { identity, groups, .. } = prepared;
    for capability in 0..=around.last_capability {
        if process.capabilities.bounding & 1 << capability == 0 {
            sys::caps::drop_from_bounding_set(capability)
                .during("capabilities", || format!("drop capability {capability} from the bounding set"))?;
        }
    }
    if process.no_new_privs {
        rustix::thread::set_no_new_privs(true).during("no_new_privs", || "set no_new_privs".to_owned())?;
    }
    match rustix::thread::set_thread_groups(groups) {
        // A user namespace that an unprivileged user made alone has no say over groups: the process keeps those of that user.
        Err(Errno::PERM) if !asks_for_groups(process) => {}
        result => result.during("user", || "setgroups".to_owned())?,
    }
    if identity.uid != 0 {
        rustix::thread::set_keep_capabilities(true).during("user", || "keep capabilities".to_owned())?;
    }
    if (identity.uid, identity.gid) != (0, 0) || !around.is_root {
        let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
        rustix::thread::set_thread_res_gid(gid, gid, gid)
            .during("user", || format!("setgid {}", identity.gid))?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)
            .during("user", || format!("setuid {}", identity.uid))?;
    }
    let wanted = &process.capabilities;
    if identity.uid != 0 && process.seccomp.is_some() && !process.no_new_privs {
        // The filter needs CAP_SYS_ADMIN, and the change of user has emptied the effective set.
        let admin = 1 << sys::caps::SYS_ADMIN;
        let held = (wanted.permitted | wanted.effective | admin) & around.available;
        sys::caps::set(held, held, wanted.inheritable & around.available)
            .during("capabilities", || "keep CAP_SYS_ADMIN for the filter".to_owned())?;
    }
    Ok(())
}

/// Whether somebody named supplementary groups; those that come with a user's name are as they may be.
fn asks_for_groups(process: &Process) -> bool {
    match &process.user {
        UserSpec::Ids { additional, .. } => !additional.is_empty(),
        UserSpec::Name { groups, .. } => !groups.is_empty(),
    }
}

/// Capabilities and filter, as near to `execve` as possible: a filter installed earlier would have to allow what we do.
fn confine(process: &Process, around: &Surroundings) -> Result<()> {
    let message = around.listener.as_ref().map(|listener| listener.message(&around.proc)).transpose()?;
    let filter = || -> Result<()> {
        let Some(program) = &process.seccomp else { return Ok(()) };
        let notifications = sys::seccomp::install(&program.instructions, program.flags)
            .during("seccomp", || "install the seccomp filter".to_owned())?;
        match (&around.listener, &message, &notifications) {
            (Some(listener), Some(message), Some(fd)) => listener.send(message, fd),
            _ => Ok(()),
        }
    };
    // Without no_new_privs only CAP_SYS_ADMIN may install one.
    if !process.no_new_privs {
        filter()?;
    }
    let wanted = &process.capabilities;
    let available = |set: u64| set & around.available;
    sys::caps::set(available(wanted.effective), available(wanted.permitted), available(wanted.inheritable))
        .during("capabilities", || "unable to apply caps".to_owned())?;
    if wanted.inheritable != 0 {
        sys::caps::clear_ambient().during("capabilities", || "clear ambient capabilities".to_owned())?;
    }
    // The kernel's rule; runc's default configuration asks for more, and lives with getting less.
    let ambient = available(wanted.ambient & wanted.permitted & wanted.inheritable);
    for capability in (0..=around.last_capability).filter(|bit| ambient & 1 << bit != 0) {
        sys::caps::raise_ambient(capability)
            .during("capabilities", || format!("raise ambient capability {capability}"))?;
    }
    if process.no_new_privs {
        filter()?;
    }
    Ok(())
}

/// Labels that take effect at `execve`.
fn security_labels(process: &Process, proc: &OwnedFd) -> Result<()> {
    if let Some(profile) = &process.apparmor {
        let text = format!("exec {profile}");
        let files = ["thread-self/attr/apparmor/exec", "thread-self/attr/exec"];
        write_first(proc, &files, &text).during("apparmor", || {
            format!("unable to apply apparmor profile: apparmor failed to apply profile {profile}")
        })?;
    }
    if let Some(label) = &process.selinux {
        write_first(proc, &["thread-self/attr/exec"], label)
            .during("selinux", || format!("error setting exec label {label}"))?;
    }
    Ok(())
}

fn write_first(proc: &OwnedFd, files: &[&str], text: &str) -> Result<(), Errno> {
    let mut result = Err(Errno::NOENT);
    for file in files {
        result = write_proc(proc, file, text);
        if result != Err(Errno::NOENT) {
            break;
        }
    }
    result
}

/// Writes a file of procfs, and of nothing that is mounted inside it.
pub fn write_proc(proc: &OwnedFd, file: &str, text: &str) -> Result<(), Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat2(proc, file, flags, Mode::empty(), resolve)?;
    rustix::io::write(&file, text.as_bytes()).map(drop)
}

fn scheduling(process: &Process) -> Result<()> {
    let plan = &process.scheduling;
    if let Some((class, level)) = plan.io {
        sys::process::set_io_priority(class, level)
            .during("scheduling", || "set the I/O priority".to_owned())?;
    }
    if !plan.affinity.is_empty() {
        let mut set = rustix::thread::CpuSet::new();
        for processor in plan.affinity.iter().map(|processor| *processor as usize) {
            if processor < rustix::thread::CpuSet::MAX_CPU {
                set.set(processor);
            }
        }
        rustix::thread::sched_setaffinity(None, &set)
            .during("scheduling", || "set the CPU affinity".to_owned())?;
    }
    if let Some(scheduler) = plan.cpu {
        let attributes = sys::process::SchedulerAttributes {
            size: 0,
            policy: scheduler.policy,
            flags: scheduler.flags,
            nice: scheduler.nice,
            priority: scheduler.priority,
            runtime: scheduler.runtime,
            deadline: scheduler.deadline,
            period: scheduler.period,
        };
        sys::process::set_scheduler(attributes)
            .during("scheduling", || "error setting scheduler".to_owned())?;
    }
    if let Some(persona) = plan.personality {
        sys::process::set_personality(persona).during("scheduling", || "set the personality".to_owned())?;
    }
    if let Some((mode, nodes)) = &plan.memory_policy {
        let words = nodes.iter().max().map_or(0, |last| *last as usize / 64 + 1);
        let mut mask = vec![0_u64; words];
        for node in nodes {
            mask[*node as usize / 64] |= 1 << (node % 64);
        }
        sys::process::set_memory_policy(*mode, &mask)
            .during("scheduling", || "set the memory policy".to_owned())?;
    }
    Ok(())
}

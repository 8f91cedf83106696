//! Starting a container, the launcher's side: cgroup, detached mounts, one clone, then whatever only the parent can do (mappings,
//! v1 cgroups, hooks), until the program runs. On an error nothing stays: no process, no cgroup, no mount.

use std::os::fd::{AsFd, OwnedFd};

use cgroup::Cgroup;
use rustix::process::{WaitId, WaitIdOptions};

use crate::channel::{self, Channel, Message};
use crate::child::{self, Setup, Wait};
use crate::error::{During, LaunchError, Result, reason};
use crate::join;
use crate::plan::{LaunchPlan, Mount, MountSource, Namespace};
use crate::prepare::{self, Prepared, Ready};
use crate::process::Surroundings;
use crate::{Launch, Launched, Stdio, hooks, id_maps, listener, streams, user_namespace};

/// Starts a container. Returns when its program runs (`execve` succeeded). On an error nothing is left: the cgroup is removed,
/// the child is reaped.
pub fn launch(plan: &LaunchPlan, options: Launch) -> Result<Launched> {
    launch_on(&cgroup::Host::detect().map_err(cgroup_error)?, plan, options)
}

/// As [`launch`], for one who knows the host's cgroups already.
pub(crate) fn launch_on(host: &cgroup::Host, plan: &LaunchPlan, options: Launch) -> Result<Launched> {
    let Some(path) = &plan.cgroup else {
        return start(plan, options, Cgroup::open(host, ""));
    };
    let group = Cgroup::create(host, path, &plan.resources).map_err(cgroup_error)?;
    start(plan, options, group.clone()).inspect_err(|_| {
        // The first error is the one to tell.
        let _ = group.remove();
    })
}

pub(crate) fn cgroup_error(error: cgroup::Error) -> LaunchError {
    let cause = match error.errno() {
        Some(errno) => format!(": {}", reason(&std::io::Error::from_raw_os_error(errno))),
        None => String::new(),
    };
    LaunchError::other("cgroup", format!("unable to apply cgroup configuration: {error}{cause}"))
}

/// The modes of what launcher and child make are the modes it gets.
struct NoUmask(rustix::fs::Mode);

impl NoUmask {
    fn set() -> Self {
        Self(rustix::process::umask(rustix::fs::Mode::empty()))
    }
}

impl Drop for NoUmask {
    fn drop(&mut self) {
        rustix::process::umask(self.0);
    }
}

fn start(plan: &LaunchPlan, options: Launch, group: Cgroup) -> Result<Launched> {
    let umask = NoUmask::set();
    let is_grouped = plan.cgroup.is_some();
    let prepared = prepare::prepare(plan, &group)?;
    let is_inside = prepared.is_inside;
    let entry = if is_grouped { Some(group.entry().map_err(cgroup_error)?) } else { None };
    let procs = entry.as_ref().map_or(&[][..], |entry| &entry.procs);
    let unified = entry.as_ref().and_then(|entry| entry.unified.as_ref());

    let own_user = plan.namespaces.user != Namespace::Host;
    let wait = match () {
        () if own_user => Wait::First,
        () if !procs.is_empty() && plan.namespaces.cgroup == Namespace::New => Wait::First,
        () if !procs.is_empty() || plan.process.oom_score_adj.is_some() => Wait::Later,
        () => Wait::No,
    };
    let what = || "start the container's process".to_owned();
    let (ours, theirs) = channel::pair().during("launch", what)?;
    let proc = rustix::io::fcntl_dupfd_cloexec(&prepared.proc, 3).during("launch", what)?;
    let Launch { stdio, netns, console_size, extras } = options;
    let is_held = extras.gate.is_some();
    let terminal = matches!(stdio, Stdio::Terminal) || plan.process.terminal;
    let stdio = if terminal { Stdio::Terminal } else { stdio };
    let mut setup = Setup {
        plan,
        streams: streams::prepare(stdio)?,
        console_size,
        around: Surroundings {
            gate: extras.gate,
            preserve_fds: extras.preserve_fds,
            listener: listener::connect(&plan.process, "creating")?,
            ..Surroundings::gather(theirs, proc, plan.namespaces.user != Namespace::Host)?
        },
        no_pivot: extras.no_pivot,
        keep_keyring: extras.keep_keyring,
        become_root: own_user || extras.entered,
        wait,
        observed: join::is_observed(&plan.namespaces),
        prepared,
    };

    let mut parents_end = Some(ours);
    let body = || {
        drop(parents_end.take());
        let Err(error) = child::run(&mut setup);
        setup.around.channel.failed(&error);
        1
    };
    let unified = unified.map(AsFd::as_fd);
    let namespaces = &plan.namespaces;
    let is_one_way = matches!(namespaces.user, Namespace::Path(_))
        || is_inside && join::is_needed(namespaces, netns.as_ref());
    let (child, left) = if is_one_way {
        let go = || {
            let (flags, entered) = join::enter(namespaces, netns)?;
            entered.stay();
            match &namespaces.user {
                Namespace::Path(path) => user_namespace::join(path).map(|()| flags),
                _ => Ok(flags),
            }
        };
        (user_namespace::clone_from(go, unified, body), Ok(()))
    } else {
        let (flags, entered) = join::enter(namespaces, netns)?;
        let child = sys::clone3(flags, unified, body).during("launch", what);
        (child, entered.leave())
    };
    drop(umask);
    let child = child?;
    let Setup { prepared, around, .. } = setup;
    // Or the end of the line would never come.
    drop(around);
    let Some(channel) = parents_end else {
        return Err(LaunchError::other("launch", what()));
    };
    let mut terminal = None;
    let started = left.and_then(|()| {
        supervise(plan, &prepared, (&group, procs), wait, child.pid, &channel, &mut terminal)?;
        sys::process::start_ticks(child.pid).during("launch", what)
    });
    match started {
        Ok(start_ticks) => {
            if let (Some(planned), false) = (&plan.hooks, is_held) {
                // The specification: a failure of these changes nothing.
                let _ = hooks::run(&planned.poststart, "poststart", planned, "running", child.pid);
            }
            Ok(Launched { pid: child.pid, pidfd: child.pidfd, terminal, cgroup: group, start_ticks })
        }
        Err(error) => {
            end(&child.pidfd);
            Err(error)
        }
    }
}

/// Kills and reaps a child that did not become what it should.
pub(crate) fn end(pidfd: &OwnedFd) {
    // It may have gone by itself.
    let _ = sys::signal::send(pidfd, sys::signal::KILL);
    while let Err(rustix::io::Errno::INTR) =
        rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)
    {}
}

/// What only the parent can do, then listening until the program runs.
fn supervise(
    plan: &LaunchPlan,
    prepared: &Prepared,
    (group, procs): (&Cgroup, &[OwnedFd]),
    wait: Wait,
    pid: i32,
    channel: &Channel,
    terminal: &mut Option<OwnedFd>,
) -> Result<()> {
    let help = || -> Result<()> {
        let namespaces = &plan.namespaces;
        if namespaces.user == Namespace::New {
            id_maps::write(pid, &namespaces.uid_mappings, &namespaces.gid_mappings)?;
        }
        if namespaces.user != Namespace::Host {
            map_mounts(plan, prepared, pid)?;
        }
        if owns_cgroup(plan) {
            let (uid, gid) = user_namespace::user_outside(pid, &plan.process.user)?;
            match group.give_to(uid, gid) {
                // A launcher without privileges can't give away what is its own.
                Err(error) if error.errno() == Some(rustix::io::Errno::PERM.raw_os_error()) => {}
                result => result.map_err(cgroup_error)?,
            }
        }
        join_cgroups(procs, pid)?;
        if let Some(score) = plan.process.oom_score_adj {
            set_oom_score(pid, score)?;
        }
        if wait != Wait::No {
            channel.go().during("launch", || "tell the container's process to go on".to_owned())?;
        }
        Ok(())
    };
    let helped = help();
    if let Err(error) = helped {
        return Err(first_cause(channel, error));
    }
    listen(channel, terminal, || match &plan.hooks {
        Some(planned) => {
            hooks::run(&planned.prestart, "prestart", planned, "creating", pid)?;
            hooks::run(&planned.create_runtime, "createRuntime", planned, "creating", pid)
        }
        None => Ok(()),
    })
}

/// The runtime specification, "Cgroup ownership": in a user namespace, a container that can write to the root of its own cgroup
/// namespace may divide its cgroup.
fn owns_cgroup(plan: &LaunchPlan) -> bool {
    let namespaces = &plan.namespaces;
    let writable = |mount: &Mount| {
        matches!(mount.source, MountSource::Cgroup) && mount.attributes & sys::mount::attr::RDONLY == 0
    };
    plan.cgroup.is_some()
        && namespaces.user != Namespace::Host
        && namespaces.cgroup == Namespace::New
        && plan.mounts.iter().any(writable)
}

/// When the child has failed already, its error is the cause and ours ("no such process") the consequence.
fn first_cause(channel: &Channel, error: LaunchError) -> LaunchError {
    match channel.try_receive() {
        Some(Message::Failed(cause)) => cause,
        _ => error,
    }
}

/// Mounts that take the mapping of the container's own user namespace, which exists only now. The child waits.
fn map_mounts(plan: &LaunchPlan, prepared: &Prepared, pid: i32) -> Result<()> {
    for (mount, ready) in plan.mounts.iter().zip(&prepared.mounts) {
        let own = mount.idmap.as_ref().is_some_and(|idmap| idmap.uid.is_empty());
        if let (true, MountSource::Bind { .. }, Ready::Detached { mount: fd, .. }) =
            (own, &mount.source, ready)
        {
            prepare::map_ids(fd, mount, &user_namespace::of(pid)?)?;
        }
    }
    Ok(())
}

/// v1: there is no cloning into a cgroup.
pub(crate) fn join_cgroups(procs: &[OwnedFd], pid: i32) -> Result<()> {
    let text = pid.to_string();
    for file in procs {
        rustix::io::write(file, text.as_bytes())
            .during("cgroup", || "unable to apply cgroup configuration: join the cgroup".to_owned())?;
    }
    Ok(())
}

pub(crate) fn set_oom_score(pid: i32, score: i32) -> Result<()> {
    let file = format!("/proc/{pid}/oom_score_adj");
    match std::fs::write(file, score.to_string()) {
        // Without privileges it can only go up; runc and Docker live with that.
        Err(error) if matches!(error.kind(), std::io::ErrorKind::PermissionDenied) => Ok(()),
        result => result.during("oom score", || format!("set oom_score_adj to {score}")),
    }
}

/// Listens until the program runs. `ready` is done when the child asks for hooks.
pub(crate) fn listen(
    channel: &Channel,
    terminal: &mut Option<OwnedFd>,
    ready: impl Fn() -> Result<()>,
) -> Result<()> {
    let mut executing = false;
    loop {
        match channel.receive().during("launch", || "listen to the container's process".to_owned())? {
            Some(Message::Ready) => {
                ready()?;
                channel.go().during("launch", || "tell the container's process to go on".to_owned())?;
            }
            Some(Message::Terminal(master)) => *terminal = Some(master),
            Some(Message::Executing) => executing = true,
            Some(Message::Failed(error)) => return Err(error),
            Some(Message::Born(_)) => {
                return Err(LaunchError::other("launch", "the container's process speaks out of turn"));
            }
            None if executing => return Ok(()),
            None => {
                let message = "container init was killed before its program ran (memory limit too low?)";
                return Err(LaunchError::other("launch", message));
            }
        }
    }
}

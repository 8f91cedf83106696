//! Starting a container, the launcher's side: cgroup, detached mounts, one clone, then whatever only the parent can do (mappings,
//! v1 cgroups, hooks), until the program runs. On an error nothing stays: no process, no cgroup, no mount.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use cgroup::Cgroup;
use rustix::process::{WaitId, WaitIdOptions};
use sys::clone::Child;

use crate::birth::Birth;
use crate::channel::{self, Channel, Message};
use crate::child::{self, Setup};
use crate::error::{During, LaunchError, Result, reason};
use crate::filesystem::Overlay;
use crate::hidden::Hidden;
use crate::hooks::Kind;
use crate::join;
use crate::launcher::Launcher;
use crate::outside::Outside;
use crate::plan::{LaunchPlan, Mount, MountSource, Namespace};
use crate::prepare::{self, Ready};
use crate::process::Surroundings;
use crate::{Gate, Launch, Launched, Stdio, hooks, id_maps, listener, refusal, streams, user_namespace};

/// Starts a container. Returns when its program runs (`execve` succeeded). On an error nothing is left: the cgroup is removed,
/// the child is reaped.
pub fn launch(plan: &LaunchPlan, options: Launch) -> Result<Launched> {
    Launcher::detect()?.launch(plan, options)
}

/// What is ready before a container's cgroup and network are: its mounts, attached nowhere.
#[derive(Debug)]
pub struct Prepared(prepare::Prepared);

/// See [`Launcher::prepare`].
pub(crate) fn prepare(launcher: &Launcher, plan: &LaunchPlan) -> Result<Prepared> {
    let _umask = NoUmask::set();
    prepare::prepare(plan, launcher.is_inside).map(Prepared).map_err(refusal::explained)
}

/// See [`Launcher::begin`].
pub(crate) fn begin(
    launcher: &Launcher,
    plan: &LaunchPlan,
    prepared: Option<Prepared>,
    options: Launch,
) -> Result<Begun> {
    let Prepared(prepared) = match prepared {
        Some(prepared) => prepared,
        None => prepare(launcher, plan)?,
    };
    let group = Group::make(launcher, plan)?;
    clone(launcher, plan, prepared, options, group)
}

/// A container's cgroup, removed with its value unless it is kept.
#[derive(Debug)]
struct Group {
    cgroup: Cgroup,
    /// Of a scope, until somebody else is in it.
    _stand_in: Option<cgroup::StandIn>,
    /// Made for the container.
    is_made: bool,
}

impl Group {
    fn make(launcher: &Launcher, plan: &LaunchPlan) -> Result<Self> {
        let host = &launcher.cgroups;
        let Some(path) = &plan.cgroup else {
            return Ok(Self { cgroup: Cgroup::open(host, ""), _stand_in: None, is_made: false });
        };
        let (cgroup, stand_in) = match &plan.scope {
            Some(scope) => Cgroup::create_in_scope(host, scope, &plan.resources)
                .map(|(group, stand_in)| (group, Some(stand_in)))
                .map_err(cgroup_error)?,
            None => (Cgroup::create(host, path, &plan.resources).map_err(cgroup_error)?, None),
        };
        Ok(Self { cgroup, _stand_in: stand_in, is_made: true })
    }

    fn keep(mut self) -> Cgroup {
        self.is_made = false;
        self.cgroup.clone()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.is_made {
            // Only after an error, which is the one to tell.
            let _ = self.cgroup.remove();
        }
    }
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

/// A process on its way to its program, which it reaches by itself unless its launch has a [`Gate`]. Dropped, it ends, and its cgroup
/// with it.
#[derive(Debug)]
pub struct Begun {
    process: Process,
    group: Option<Group>,
    /// Let go of when there is time.
    prepared: Option<prepare::Prepared>,
    /// Whoever creates the container does not start it.
    is_created: bool,
    /// It waits for [`Begun::finish`].
    waits: bool,
    outside: Option<std::sync::Arc<Outside>>,
}

/// A child on its way, or the forerunner of one, ended and reaped with its value unless it is kept.
#[derive(Debug)]
pub(crate) struct Process {
    child: Option<Child>,
    birth: Option<Birth>,
    pub channel: Channel,
    /// When the child started.
    start_ticks: u64,
}

impl Process {
    pub fn new(child: Child, birth: Option<Birth>, channel: Channel) -> Result<Self> {
        let pid = child.pid;
        let mut process = Self { child: Some(child), birth, channel, start_ticks: 0 };
        // At once: it may have ended and be reaped before anybody asks.
        process.start_ticks = start_ticks(pid)?;
        Ok(process)
    }

    /// The child; none once it is kept.
    pub fn child(&self) -> Result<&Child> {
        self.child.as_ref().ok_or_else(|| LaunchError::other("launch", "the process is not ours any more"))
    }

    /// The process whose program runs, for the caller to look after, and when it started.
    pub fn keep(&mut self) -> Result<(Child, u64)> {
        let kept = match &self.birth {
            None => None,
            Some(birth) => {
                let (pid, pidfd) = birth.child(&self.child()?.pidfd)?;
                Some((Child { pid, pidfd }, start_ticks(pid)?))
            }
        };
        let child = self.child.take().map(|child| (child, self.start_ticks));
        kept.or(child).ok_or_else(|| LaunchError::other("launch", "the process is not ours any more"))
    }

    /// Kills it without waiting for its end.
    pub fn abandon(&mut self) {
        let born = self.birth.as_ref().and_then(Birth::remains);
        for pidfd in self.child.take().map(|child| child.pidfd).into_iter().chain(born) {
            let _ = sys::signal::send(&pidfd, sys::signal::KILL);
        }
    }
}

fn start_ticks(pid: i32) -> Result<u64> {
    sys::process::start_ticks(pid).during("launch", || "look at the process's start".to_owned())
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(child) = &self.child else { return };
        end(&child.pidfd);
        if let Some(born) = self.birth.as_ref().and_then(Birth::remains) {
            end(&born);
        }
    }
}

impl Begun {
    /// Whether it has failed, or was killed, while it should wait.
    pub fn is_over(&self) -> bool {
        self.process.channel.is_over(Duration::ZERO)
    }

    /// Lets the process go, if it waits for that, and returns when its program runs. `meanwhile` is done while it is on its way.
    pub fn finish<T>(
        mut self,
        plan: &LaunchPlan,
        meanwhile: impl FnOnce(&Cgroup) -> Result<T>,
    ) -> Result<(Launched, T)> {
        let lost = || LaunchError::other("launch", "the container's cgroup is not ours any more");
        let group = self.group.as_ref().ok_or_else(lost)?;
        let channel = &self.process.channel;
        if self.waits {
            channel.go().during("launch", || "tell the container's process to go on".to_owned())?;
        }
        let done = meanwhile(&group.cgroup)?;
        self.prepared = None;
        let mut terminal = None;
        supervise(plan, self.outside.as_deref(), self.process.child()?.pid, channel, &mut terminal)?;
        let group = self.group.take().ok_or_else(lost)?;
        let (Child { pid, pidfd }, start_ticks) = self.process.keep()?;
        if let (Some(planned), false) = (&plan.hooks, self.is_created) {
            // The specification: a failure of these changes nothing.
            let _ = hooks::run_outer(self.outside.as_deref(), Kind::Poststart, planned, "running", pid);
        }
        Ok((Launched { pid, pidfd, terminal, cgroup: group.keep(), start_ticks }, done))
    }
}

fn clone(
    launcher: &Launcher,
    plan: &LaunchPlan,
    mut prepared: prepare::Prepared,
    options: Launch,
    group: Group,
) -> Result<Begun> {
    let umask = NoUmask::set();
    let is_grouped = plan.cgroup.is_some();
    let is_inside = launcher.is_inside;
    let cgroup = &group.cgroup;
    prepared.show_cgroups(plan, cgroup).map_err(refusal::explained)?;
    let entry = if is_grouped { Some(cgroup.entry().map_err(cgroup_error)?) } else { None };
    let own_user = plan.namespaces.user != Namespace::Host;
    let mut namespaces = plan.namespaces.clone();
    let is_observed = join::is_observed(&namespaces);
    let birth = Birth::of_first(&mut namespaces)?;
    let what = || "start the container's process".to_owned();
    let (ours, theirs) = channel::pair().during("launch", what)?;
    let Launch { stdio, netns, bare_mounts, console_size, extras } = options;
    let bare_mounts = bare_mounts.filter(|_| !needs_own_mounts(launcher, plan, &prepared, &extras));
    let (is_created, waits) =
        (matches!(extras.gate, Some(Gate::Socket(_))), matches!(extras.gate, Some(Gate::Launcher)));
    let outside = extras.outside;
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
            birth,
            ..launcher.surroundings(theirs, own_user)?
        },
        no_pivot: extras.no_pivot,
        keep_keyring: extras.keep_keyring,
        become_root: own_user || extras.entered,
        entry,
        oom_score: launcher.new_oom_score(plan.process.oom_score_adj),
        prepared,
    };

    let mut parents_end = Some(ours);
    let unified = setup.entry.as_mut().and_then(|entry| entry.unified.take());
    let unified = unified.as_ref().map(AsFd::as_fd);
    let body = || {
        drop(parents_end.take());
        let Err(error) = child::run(&mut setup);
        setup.around.channel.failed(&error);
        1
    };
    let hidden = is_observed.then(Hidden::hide).transpose()?;
    let is_attached = cgroup.is_users();
    let is_one_way = matches!(namespaces.user, Namespace::Path(_))
        || is_attached
        || is_inside && join::is_needed(&namespaces, netns.as_ref());
    let (child, left) = if is_one_way {
        let go = || {
            if is_attached {
                cgroup.attach().map_err(cgroup_error)?;
            }
            let (flags, entered) = join::enter(&namespaces, netns, None)?;
            entered.stay();
            match &namespaces.user {
                Namespace::Path(path) => user_namespace::join(path).map(|()| flags),
                _ => Ok(flags),
            }
        };
        let born_into = unified.filter(|_| !is_attached);
        (user_namespace::clone_from(go, born_into, body), Ok(()))
    } else {
        let (flags, entered) = join::enter(&namespaces, netns, bare_mounts)?;
        let child = sys::clone3(flags, unified, body).during("launch", what);
        (child, entered.leave())
    };
    drop(hidden);
    drop(umask);
    let child = child?;
    let Setup { prepared, mut around, .. } = setup;
    let birth = around.birth.take();
    // Or the end of the line would never come.
    drop(around);
    let Some(channel) = parents_end else {
        return Err(LaunchError::other("launch", what()));
    };
    let process = Process::new(child, birth, channel)?;
    left?;
    help(plan, &prepared, &group.cgroup, process.child()?.pid, &process.channel)?;
    let prepared = Some(prepared).filter(|_| !waits);
    Ok(Begun { process, group: Some(group), prepared, is_created, waits, outside })
}

/// Whether the child must begin with the launcher's own mounts: to reach files of the host by their paths, to mount its root in the
/// old way, or because a user namespace gets new views of /proc and /sys only where there are such already.
fn needs_own_mounts(
    launcher: &Launcher,
    plan: &LaunchPlan,
    prepared: &prepare::Prepared,
    extras: &crate::Extras,
) -> bool {
    launcher.is_inside
        || plan.namespaces.user != Namespace::Host
        || plan.hooks.is_some()
        || extras.no_pivot
        || !matches!(prepared.rootfs, Some(Overlay::Mount(_)))
}

/// Kills and reaps a child that did not become what it should.
pub(crate) fn end(pidfd: &OwnedFd) {
    // It may have gone by itself.
    let _ = sys::signal::send(pidfd, sys::signal::KILL);
    while let Err(rustix::io::Errno::INTR) =
        rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)
    {}
}

/// What only the parent can do; then the child may go on.
fn help(
    plan: &LaunchPlan,
    prepared: &prepare::Prepared,
    group: &Cgroup,
    pid: i32,
    channel: &Channel,
) -> Result<()> {
    let help = || -> Result<()> {
        let namespaces = &plan.namespaces;
        if namespaces.user == Namespace::Host {
            return Ok(());
        }
        if namespaces.user == Namespace::New {
            id_maps::write(pid, &namespaces.uid_mappings, &namespaces.gid_mappings)?;
        }
        map_mounts(plan, prepared, pid)?;
        if owns_cgroup(plan) {
            let (uid, gid) = user_namespace::user_outside(pid, &plan.process.user)?;
            match group.give_to(uid, gid) {
                // A launcher without privileges can't give away what is its own.
                Err(error) if error.errno() == Some(rustix::io::Errno::PERM.raw_os_error()) => {}
                result => result.map_err(cgroup_error)?,
            }
        }
        if let Some(score) = plan.process.oom_score_adj {
            // The child has no say over it in a user namespace of its own.
            allow_refusal(std::fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string()), score)?;
        }
        channel.go().during("launch", || "tell the container's process to go on".to_owned())
    };
    help().map_err(|error| first_cause(channel, error))
}

/// Listening until the program runs.
fn supervise(
    plan: &LaunchPlan,
    outside: Option<&Outside>,
    pid: i32,
    channel: &Channel,
    terminal: &mut Option<OwnedFd>,
) -> Result<()> {
    let Some(planned) = &plan.hooks else { return listen(channel, terminal, || Ok(())) };
    let run_hooks = || {
        hooks::run_outer(outside, Kind::Prestart, planned, "creating", pid)?;
        hooks::run_outer(outside, Kind::CreateRuntime, planned, "creating", pid)
    };
    listen_with(channel, terminal, Some(&run_hooks), &|| Ok(()))
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
fn map_mounts(plan: &LaunchPlan, prepared: &prepare::Prepared, pid: i32) -> Result<()> {
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

/// Without privileges the score can only go up; runc and Docker live with that.
pub(crate) fn allow_refusal(result: std::io::Result<()>, score: i32) -> Result<()> {
    match result {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::PermissionDenied) => Ok(()),
        result => result.during("oom score", || format!("set oom_score_adj to {score}")),
    }
}

/// Child: sets its own score.
pub(crate) fn set_oom_score(proc: &OwnedFd, score: i32) -> Result<()> {
    let written = crate::process::write_proc(proc, "self/oom_score_adj", &score.to_string());
    allow_refusal(written.map_err(Into::into), score)
}

/// How long the child may be silent before somebody looks what holds it up.
const SILENCE: Duration = Duration::from_millis(200);

/// Listens until the program runs; `silent` is done again and again meanwhile.
pub(crate) fn listen(
    channel: &Channel,
    terminal: &mut Option<OwnedFd>,
    silent: impl Fn() -> Result<()>,
) -> Result<()> {
    listen_with(channel, terminal, None, &silent)
}

/// Waits until a child that waited has ended or runs its program; whether it was let go. `silent` as in [`listen`].
pub(crate) fn was_let_go(channel: &Channel, silent: impl Fn() -> Result<()>) -> Result<bool> {
    while !channel.is_over(SILENCE) {
        silent()?;
    }
    Ok(channel.says_executing())
}

/// As [`listen`], for a child that waits for an answer: `ready` is done when it asks for hooks. A child that waits for nothing is not
/// listened to before it has hung up, or it would be held up by who reads its last words.
fn listen_with(
    channel: &Channel,
    terminal: &mut Option<OwnedFd>,
    ready: Option<&dyn Fn() -> Result<()>>,
    silent: &dyn Fn() -> Result<()>,
) -> Result<()> {
    let mut executing = false;
    let has_spoken = || match ready {
        Some(_) => channel.is_ready(SILENCE),
        None => channel.is_over(SILENCE),
    };
    loop {
        while !has_spoken() {
            silent()?;
        }
        match (channel.receive().during("launch", || "listen to the container's process".to_owned())?, ready)
        {
            (Some(Message::Ready), Some(ready)) => {
                ready()?;
                channel.go().during("launch", || "tell the container's process to go on".to_owned())?;
            }
            (Some(Message::Terminal(master)), _) => *terminal = Some(master),
            (Some(Message::Executing), _) => executing = true,
            (Some(Message::Failed(error)), _) => return Err(error),
            (Some(Message::Ready | Message::Born(_)), _) => {
                return Err(LaunchError::other("launch", "the container's process speaks out of turn"));
            }
            (None, _) if executing => return Ok(()),
            (None, _) => {
                let message = "container init was killed before its program ran (memory limit too low?)";
                return Err(LaunchError::other("launch", message));
            }
        }
    }
}

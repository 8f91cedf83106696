//! Starting a process in a running container: born in all of the container's namespaces and (v2) in its cgroup, it becomes the
//! program by the same steps as a first process.
//!
//! ```text
//!   launcher ── vfork ──▶ in between: closes what is not the new process's, enters the container,
//!                         looks up the user, gathers what the program gets ── clone ──▶ new process
//!            ◀── pid, the end ── in between
//!                                           somebody with the other end of its line ── go, to one that waits ──▶ new process
//!            ◀── executing, then end ─────────────────────────────────────────────────────────────────────────── new process
//! ```
//! Processes of the container can look at the new one as soon as it is in their pid namespace: by then it has left the host's file
//! systems, and no descriptor leads back there. (It is undumpable as well, which keeps all but those with `CAP_SYS_PTRACE` away.)
//! What can be done in between is: there the launcher's memory is at hand, while the new process faults in, page by page, every
//! piece of code that it runs and every page that it writes.

use std::convert::Infallible;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags};
use rustix::process::{WaitId, WaitIdOptions};
use sys::clone::Child;

use crate::birth::Birth;
use crate::channel;
use crate::error::{During, LaunchError, Result};
use crate::hidden::Hidden;
use crate::launch::{self, Process, cgroup_error, listen, set_oom_score};
use crate::launcher::Launcher;
use crate::plan::ExecPlan;
use crate::process::{self, Surroundings};
use crate::root::Root;
use crate::streams::{self, Streams};
use crate::{ExecTarget, Gate, Launched, Stdio, child, filesystem, identity, listener, terminal};

/// Starts a process in a running container.
pub fn exec(
    target: &ExecTarget,
    plan: &ExecPlan,
    stdio: Stdio,
    console_size: Option<(u16, u16)>,
) -> Result<Launched> {
    exec_preserving(target, plan, stdio, console_size, 0)
}

/// As [`exec`]; the caller's descriptors from 3 on, so many, are the program's too.
pub fn exec_preserving(
    target: &ExecTarget,
    plan: &ExecPlan,
    stdio: Stdio,
    console_size: Option<(u16, u16)>,
    preserve_fds: u32,
) -> Result<Launched> {
    let launcher = Launcher::detect()?;
    let target = Target::open(&launcher, target)?;
    // Sooner than the silence would tell.
    target.group.refuse_frozen()?;
    exec_by(&launcher, &target, plan, stdio, console_size, preserve_fds)
}

/// A running container, opened for processes to come.
#[derive(Debug)]
pub struct Target {
    /// Its `/proc/<pid>/ns`.
    ns: OwnedFd,
    pidfd: OwnedFd,
    group: Group,
    entry: cgroup::Entry,
    /// Has a time namespace to enter.
    has_time: bool,
    /// Its processes may do what they like to one of ours that they see.
    is_armed: bool,
}

/// Where a container's processes are.
#[derive(Debug, Clone)]
struct Group {
    cgroup: cgroup::Cgroup,
    /// It is the container's own.
    is_own: bool,
}

impl Group {
    /// A process that comes into a frozen cgroup stops at once, and so would the launcher, for as long as it stays frozen.
    fn refuse_frozen(&self) -> Result<()> {
        match self.is_frozen() {
            true => Err(LaunchError::other("exec", "cannot exec in a paused container")),
            false => Ok(()),
        }
    }

    fn is_frozen(&self) -> bool {
        // A host without a freezer freezes nobody.
        self.is_own && self.cgroup.frozen().unwrap_or(false)
    }
}

impl Target {
    pub(crate) fn open(launcher: &Launcher, target: &ExecTarget) -> Result<Self> {
        let pid =
            rustix::process::Pid::from_raw(target.pid).ok_or_else(|| LaunchError::other("exec", gone()))?;
        let pidfd =
            rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).during("exec", gone)?;
        let cgroup = target.cgroup.clone().unwrap_or_else(|| cgroup::Cgroup::open(&launcher.cgroups, ""));
        let mut entry = match &target.cgroup {
            Some(cgroup) => cgroup.entry().map_err(cgroup_error)?,
            None => cgroup::Entry::default(),
        };
        if let Some(folder) = entry.unified.take() {
            entry.unified = Some(cut_off(folder, launcher.is_inside)?);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let ns = rustix::fs::open(format!("/proc/{}/ns", target.pid), flags, Mode::empty())
            .during("exec", gone)?;
        let has_time = sys::namespace::number_in(&ns, "time").is_ok();
        let is_armed = is_armed(launcher, target.pid, &ns)?;
        let group = Group { cgroup, is_own: target.cgroup.is_some() };
        Ok(Self { ns, pidfd, group, entry, has_time, is_armed })
    }

    /// The namespaces to enter. The user namespace only if it is not ours, since nobody may enter his own; inside one so with all
    /// others, some of which are the host's.
    fn namespaces(&self, launcher: &Launcher) -> Result<u64> {
        use sys::clone::{NEWCGROUP, NEWIPC, NEWNET, NEWNS, NEWPID, NEWTIME, NEWUSER, NEWUTS};
        let what = || "look at the container's namespaces".to_owned();
        let number = |kind: &str| sys::namespace::number_in(&self.ns, kind).during("exec", what);
        let mut flags = 0;
        if number("user")? != launcher.user_namespace {
            flags |= NEWUSER;
        }
        let all = [
            ("pid", NEWPID),
            ("mnt", NEWNS),
            ("net", NEWNET),
            ("uts", NEWUTS),
            ("ipc", NEWIPC),
            ("cgroup", NEWCGROUP),
            ("time", NEWTIME),
        ];
        for (kind, flag) in all.into_iter().filter(|(_, flag)| *flag != NEWTIME || self.has_time) {
            let own = || sys::namespace::number("self", kind).during("exec", what);
            if !launcher.is_inside || own()? != number(kind)? {
                flags |= flag;
            }
        }
        Ok(flags)
    }
}

/// Whether the container's processes may have `CAP_SYS_PTRACE` in the launcher's own user namespace.
fn is_armed(launcher: &Launcher, pid: i32, ns: &OwnedFd) -> Result<bool> {
    let what = || "look at the container's capabilities".to_owned();
    let ptrace = sys::caps::parse("CAP_SYS_PTRACE").map_or(0, |number| 1 << number);
    Ok(sys::caps::bounding_of(pid).during("exec", what)? & ptrace != 0
        && sys::namespace::number_in(ns, "user").during("exec", what)? == launcher.user_namespace)
}

fn gone() -> String {
    "the container is not running".to_owned()
}

/// The same folder, from which no `..` leads out.
fn cut_off(folder: OwnedFd, is_inside: bool) -> Result<OwnedFd> {
    let what = || "open the container's cgroup".to_owned();
    match filesystem::clone_tree(&folder, std::path::Path::new(""), false, false) {
        Ok(mount) => {
            let read_only = sys::mount::Attributes { set: sys::mount::attr::RDONLY, ..Default::default() };
            sys::mount::setattr(&mount, c"", read_only).during("cgroup", what)?;
            Ok(mount)
        }
        // What belongs to the host's mount namespace cannot be copied there, and its owner has no power over the host.
        Err(_) if is_inside => Ok(folder),
        Err(error) => Err(error).during("cgroup", what),
    }
}

pub(crate) fn exec_by(
    launcher: &Launcher,
    target: &Target,
    plan: &ExecPlan,
    stdio: Stdio,
    console_size: Option<(u16, u16)>,
    preserve_fds: u32,
) -> Result<Launched> {
    let begin = Begin { plan, stdio, console_size, preserve_fds, gate: None };
    begin.by(launcher, target)?.finish()
}

/// See [`Launcher::hold`].
pub(crate) fn hold_by(
    launcher: &Launcher,
    target: &Target,
    plan: &ExecPlan,
    stdio: Stdio,
    line: OwnedFd,
) -> Result<Option<Entering>> {
    if target.is_armed || target.group.cgroup.is_users() {
        return Ok(None);
    }
    target.group.refuse_frozen()?;
    let begin = Begin { plan, stdio, console_size: None, preserve_fds: 0, gate: Some(Gate::Line(line)) };
    begin.by(launcher, target).map(Some)
}

/// A process on its way into a container. Dropped, it ends.
#[derive(Debug)]
pub struct Entering {
    process: Process,
    group: Group,
}

impl Entering {
    /// Its pid; a forerunner's, if it has one.
    pub fn pid(&self) -> i32 {
        self.process.child().map_or(0, |child| child.pid)
    }

    /// Whether one that waits has been let go, which is certain only after its end.
    pub fn has_left(&self) -> bool {
        self.process.channel.says_executing()
    }

    /// As [`Self::finish`], for one that waits and that somebody has let go. `None`: it has ended before he did.
    pub fn finish_held(self) -> Result<Option<Launched>> {
        match launch::was_let_go(&self.process.channel, || self.refuse_stopped())? {
            true => self.finish().map(Some),
            false => Ok(None),
        }
    }

    /// Returns when its program runs.
    pub fn finish(mut self) -> Result<Launched> {
        let mut terminal = None;
        listen(&self.process.channel, &mut terminal, || self.refuse_stopped())?;
        let (Child { pid, pidfd }, start_ticks) = self.process.keep()?;
        Ok(Launched { pid, pidfd, terminal, cgroup: self.group.cgroup.clone(), start_ticks })
    }

    /// A process that somebody has stopped would keep the launcher waiting: with its cgroup, or one that the container's others may
    /// send signals to.
    fn refuse_stopped(&self) -> Result<()> {
        self.group.refuse_frozen()?;
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match rustix::process::waitid(WaitId::PidFd(self.process.child()?.pidfd.as_fd()), options) {
            Ok(Some(_)) => Err(LaunchError::other("exec", "the process was stopped before its program ran")),
            _ => Ok(()),
        }
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        if self.process.child().is_ok() && self.group.is_frozen() {
            // It dies when it thaws, which must not be waited for.
            self.process.abandon();
        }
    }
}

/// What a process begins with.
struct Begin<'a> {
    plan: &'a ExecPlan,
    stdio: Stdio,
    console_size: Option<(u16, u16)>,
    preserve_fds: u32,
    gate: Option<Gate>,
}

impl Begin<'_> {
    fn by(self, launcher: &Launcher, target: &Target) -> Result<Entering> {
        let Self { plan, stdio, console_size, preserve_fds, gate } = self;
        let what = || "start the process".to_owned();
        let namespaces = target.namespaces(launcher)?;
        let (ours, theirs) = channel::pair().during("exec", what)?;
        let stdio = if plan.terminal { Stdio::Terminal } else { stdio };
        let streams = streams::prepare(stdio)?;
        let own_user = namespaces & sys::clone::NEWUSER != 0;
        let listener = listener::connect(plan, "running")?;
        let gathered = launcher.surroundings(theirs, own_user)?;
        let is_attached = target.group.cgroup.is_users();
        let birth = (target.is_armed || is_attached).then(Birth::new).transpose()?;
        let mut around = Surroundings { preserve_fds, listener, birth, gate, ..gathered };
        let oom_score = launcher.new_oom_score(plan.oom_score_adj);
        let mut keep = kept(target, plan, &streams, &around, oom_score);
        let what_to_be = |late| What { plan, target, late, oom_score, streams: &streams, console_size };
        let entering = |child, birth| -> Result<Entering> {
            Ok(Entering { process: Process::new(child, birth, ours)?, group: target.group.clone() })
        };

        let hidden = Hidden::hide()?;
        if around.birth.is_some() {
            let unified = target.entry.unified.as_ref().filter(|_| !is_attached).map(AsFd::as_fd);
            let forerunner = sys::clone3(0, unified, || {
                let attached =
                    if is_attached { target.group.cgroup.attach().map_err(cgroup_error) } else { Ok(()) };
                let Err(error) =
                    attached.and_then(|()| inside(&what_to_be(namespaces), &Place::default(), &mut around));
                around.channel.failed(&error);
                1
            })
            .during("exec", gone)?;
            drop(hidden);
            return entering(forerunner, around.birth.take());
        }
        let born = sys::clone::errand(|| {
            sys::exec::close_all_but(&mut keep).during("descriptors", || "close descriptors".to_owned())?;
            // A cgroup namespace bounds where a process may be put, a time namespace wants one that shares no memory, and in a user
            // namespace there is no power over the rest.
            let late = sys::clone::NEWCGROUP | sys::clone::NEWTIME | sys::clone::NEWUSER;
            let (first, late) = if own_user || launcher.is_inside {
                (namespaces & sys::clone::NEWPID, namespaces & !sys::clone::NEWPID)
            } else {
                (namespaces & !late, namespaces & late)
            };
            enter(target, first)?;
            let place = if first & sys::clone::NEWNS == 0 { Place::default() } else { Place::look(plan)? };
            let unified = target.entry.unified.as_ref().map(AsFd::as_fd);
            let child = sys::clone3(sys::clone::PARENT, unified, || {
                let Err(error) = inside(&what_to_be(late), &place, &mut around);
                around.channel.failed(&error);
                1
            })
            .during("exec", gone)?;
            let pid = child.pid;
            std::mem::forget(child);
            Ok((pid, place.into_memory()))
        });
        drop(hidden);
        drop(around);
        // What was gathered is given back when the new process is on its way: its pages are the new one's too now, and have to be
        // copied.
        let (pid, _gathered) =
            born.during("exec", what)?.unwrap_or_else(|| Err(LaunchError::other("exec", what())))?;
        entering(Child { pid, pidfd: adopt(pid).during("exec", what)? }, None)
    }
}

/// The descriptors that the new process has.
fn kept(
    target: &Target,
    plan: &ExecPlan,
    streams: &Streams,
    around: &Surroundings,
    oom_score: Option<i32>,
) -> Vec<RawFd> {
    let mut keep: Vec<RawFd> = vec![target.pidfd.as_raw_fd(), around.channel.as_fd().as_raw_fd()];
    keep.extend(target.entry.descriptors().map(|fd| fd.as_raw_fd()));
    if let Streams::Three(three) = streams {
        keep.extend(three.iter().map(AsRawFd::as_raw_fd));
    }
    keep.extend((3..).take(around.preserve_fds as usize));
    keep.extend(around.listener.as_ref().map(|listener| listener.as_fd().as_raw_fd()));
    if let Some(Gate::Line(line)) = &around.gate {
        keep.push(line.as_raw_fd());
    }
    let labels = plan.apparmor.is_some() || plan.selinux.is_some();
    if labels || oom_score.is_some() || around.listener.is_some() {
        // The host's /proc shows the whole host: only for those who have something to write there.
        keep.push(around.proc.as_raw_fd());
    }
    keep
}

fn enter(target: &Target, namespaces: u64) -> Result<()> {
    if namespaces == 0 {
        return Ok(());
    }
    sys::namespace::setns(&target.pidfd, namespaces)
        .during("namespaces", || "join the namespaces of the container".to_owned())
}

/// A descriptor for a child that is not reaped yet.
fn adopt(pid: i32) -> std::io::Result<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid).ok_or(std::io::ErrorKind::NotFound)?;
    Ok(rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?)
}

/// Where the program is going to run, as far as that was looked at in between.
#[derive(Default)]
struct Place {
    root: Option<Root>,
    prepared: Option<process::Prepared>,
}

impl Place {
    /// In between, in the container's mounts.
    fn look(plan: &ExecPlan) -> Result<Self> {
        child::new_keyring()?;
        let root = open_root()?;
        let identity = identity::resolve_small(&plan.user, &root)?;
        let prepared = identity.map(|identity| process::Prepared::in_place(plan, identity)).transpose()?;
        Ok(Self { root: Some(root), prepared })
    }

    /// What of it is in memory; descriptors end with the process in between.
    fn into_memory(self) -> Option<process::Prepared> {
        std::mem::forget(self.root);
        self.prepared
    }
}

fn open_root() -> Result<Root> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty());
    Ok(Root::new(root.during("rootfs", || "open the root of the container".to_owned())?))
}

/// What the new process is to become.
struct What<'a> {
    plan: &'a ExecPlan,
    target: &'a Target,
    late: u64,
    oom_score: Option<i32>,
    streams: &'a Streams,
    console_size: Option<(u16, u16)>,
}

/// The new process.
fn inside(what: &What<'_>, place: &Place, around: &mut Surroundings) -> Result<Infallible> {
    let What { plan, target, late, oom_score, streams, console_size } = *what;
    // The launcher's own cgroup must not pay for what follows.
    target.entry.join().map_err(cgroup_error)?;
    if let Some(score) = oom_score {
        // While we have a say over it.
        set_oom_score(&around.proc, score)?;
    }
    if place.root.is_none() {
        child::new_keyring()?;
    }
    enter(target, late)?;
    if late & sys::clone::NEWUSER != 0 {
        child::become_root()?;
    }
    let opened;
    let root = match &place.root {
        Some(root) => root,
        None => {
            opened = open_root()?;
            &opened
        }
    };
    let terminal = match streams {
        Streams::Terminal => Some(terminal::open(root, console_size)?),
        _ => None,
    };
    if let Some(terminal) = &terminal {
        around
            .channel
            .terminal(&terminal.master)
            .during("terminal", || "hand over the terminal".to_owned())?;
    }
    streams::install(streams, terminal.as_ref())?;
    if around.birth.is_none() {
        streams::begin_session(terminal.is_some())?;
    }
    drop(terminal);
    match &place.prepared {
        Some(prepared) => process::run_prepared(plan, prepared, root, around, None),
        None => process::run(plan, root, around, None),
    }
}

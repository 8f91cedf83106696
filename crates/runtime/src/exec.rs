//! Starting a process in a running container: born in the container's pid namespace and (v2) cgroup, it enters the other
//! namespaces by one `setns` on the container's pidfd, and becomes the program by the same steps as a first process.

use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use rustix::fs::{Mode, OFlags};

use crate::channel;
use crate::error::{During, LaunchError, Result};
use crate::hidden::Hidden;
use crate::launch::{cgroup_error, end, listen, new_oom_score, set_oom_score};
use crate::plan::ExecPlan;
use crate::process::{self, Surroundings};
use crate::root::Root;
use crate::streams::{self, Streams};
use crate::{
    ExecTarget, Launched, Stdio, child, join, listener, prepare, rootless, terminal, user_namespace,
};

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
    let what = || "start the process".to_owned();
    let gone = || "the container is not running".to_owned();
    let pid = rustix::process::Pid::from_raw(target.pid).ok_or_else(|| LaunchError::other("exec", gone()))?;
    let pidfd =
        rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).during("exec", gone)?;
    refuse_frozen(target)?;
    let is_inside = rootless::is_inside();
    let (namespaces, own_pids) = namespaces(target.pid, is_inside)?;
    let entry = target.cgroup.as_ref().map(cgroup::Cgroup::entry).transpose().map_err(cgroup_error)?;
    let (ours, theirs) = channel::pair().during("exec", what)?;
    let stdio = if plan.terminal { Stdio::Terminal } else { stdio };
    let streams = streams::prepare(stdio)?;
    let own_user = namespaces & sys::clone::NEWUSER != 0;
    let gathered = Surroundings::gather(theirs, prepare::host_proc()?, own_user)?;
    let listener = listener::connect(plan, "running")?;
    let mut around = Surroundings { preserve_fds, listener, ..gathered };

    let unified = entry.as_ref().and_then(|entry| entry.unified.as_ref()).map(AsFd::as_fd);
    let hidden = Hidden::hide()?;
    let oom_score = new_oom_score(plan.oom_score_adj);
    let mut parents_end = Some(ours);
    let body = || {
        drop(parents_end.take());
        let joining = Joining { pidfd: &pidfd, namespaces, entry: entry.as_ref(), oom_score };
        let Err(error) = inside(plan, &joining, &streams, console_size, &mut around);
        around.channel.failed(&error);
        1
    };
    let (child, left) = if !own_pids {
        (sys::clone3(0, unified, body).during("exec", gone)?, Ok(()))
    } else if is_inside {
        let go = || join::enter_pid(&pidfd).map(|entered| entered.stay()).map(|()| 0);
        (user_namespace::clone_from(go, unified, body)?, Ok(()))
    } else {
        let entered = join::enter_pid(&pidfd)?;
        let child = sys::clone3(0, unified, body).during("exec", gone);
        let left = entered.leave();
        (child?, left)
    };
    drop(hidden);
    drop(around);
    let Some(channel) = parents_end else { return Err(LaunchError::other("exec", what())) };
    let mut terminal = None;
    let started = left.and_then(|()| {
        listen(&channel, &mut terminal, || Ok(()), || refuse_frozen(target))?;
        sys::process::start_ticks(child.pid).during("exec", what)
    });
    match started {
        Ok(start_ticks) => {
            let cgroup = match &target.cgroup {
                Some(cgroup) => cgroup.clone(),
                None => cgroup::Cgroup::open(&cgroup::Host::detect().map_err(cgroup_error)?, ""),
            };
            Ok(Launched { pid: child.pid, pidfd: child.pidfd, terminal, cgroup, start_ticks })
        }
        Err(error) => {
            if is_frozen(target) {
                // It dies when it thaws, which must not be waited for.
                let _ = sys::signal::send(&child.pidfd, sys::signal::KILL);
            } else {
                end(&child.pidfd);
            }
            Err(error)
        }
    }
}

/// A process that comes into a frozen cgroup stops at once, and so would the launcher, for as long as it stays frozen.
fn refuse_frozen(target: &ExecTarget) -> Result<()> {
    match is_frozen(target) {
        true => Err(LaunchError::other("exec", "cannot exec in a paused container")),
        false => Ok(()),
    }
}

fn is_frozen(target: &ExecTarget) -> bool {
    // A host without a freezer freezes nobody.
    target.cgroup.as_ref().is_some_and(|cgroup| cgroup.frozen().unwrap_or(false))
}

/// The namespaces of a process, as flags of `setns`, and whether it has a pid namespace of its own. The user namespace only if it is
/// not ours, since nobody may enter his own; inside one (`is_inside`) so with all others, some of which are the host's.
fn namespaces(pid: i32, is_inside: bool) -> Result<(u64, bool)> {
    use sys::clone::{NEWCGROUP, NEWIPC, NEWNET, NEWNS, NEWTIME, NEWUSER, NEWUTS};
    let inode =
        |pid: &str, name: &str| std::fs::metadata(format!("/proc/{pid}/ns/{name}")).map(|file| file.ino());
    let what = || "look at the container's namespaces".to_owned();
    let pid = pid.to_string();
    let differs = |name: &str| -> Result<bool> {
        Ok(inode("self", name).during("exec", what)? != inode(&pid, name).during("exec", what)?)
    };
    let mut flags = 0;
    if differs("user")? {
        flags |= NEWUSER;
    }
    let all = [("mnt", NEWNS), ("net", NEWNET), ("uts", NEWUTS), ("ipc", NEWIPC), ("cgroup", NEWCGROUP)];
    for (name, flag) in all {
        if !is_inside || differs(name)? {
            flags |= flag;
        }
    }
    if inode(&pid, "time").is_ok() && (!is_inside || differs("time")?) {
        flags |= NEWTIME;
    }
    Ok((flags, !is_inside || differs("pid")?))
}

/// What the child enters.
struct Joining<'a> {
    pidfd: &'a OwnedFd,
    namespaces: u64,
    entry: Option<&'a cgroup::Entry>,
    oom_score: Option<i32>,
}

fn inside(
    plan: &ExecPlan,
    joining: &Joining<'_>,
    streams: &Streams,
    console_size: Option<(u16, u16)>,
    around: &mut Surroundings,
) -> Result<Infallible> {
    if let Some(entry) = joining.entry {
        // The launcher's own cgroup must not pay for what follows.
        entry.join().map_err(cgroup_error)?;
    }
    if let Some(score) = joining.oom_score {
        // While we have a say over it.
        set_oom_score(&around.proc, score)?;
    }
    child::new_keyring()?;
    sys::namespace::setns(joining.pidfd, joining.namespaces)
        .during("namespaces", || "join the namespaces of the container".to_owned())?;
    if joining.namespaces & sys::clone::NEWUSER != 0 {
        child::become_root()?;
    }
    let what = || "open the root of the container".to_owned();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = Root::new(rustix::fs::open("/", flags, Mode::empty()).during("rootfs", what)?);
    let terminal = match streams {
        Streams::Terminal => Some(terminal::open(&root, console_size)?),
        _ => None,
    };
    if let Some(terminal) = &terminal {
        around
            .channel
            .terminal(&terminal.master)
            .during("terminal", || "hand over the terminal".to_owned())?;
    }
    streams::install(streams, terminal.as_ref())?;
    drop(terminal);
    process::run(plan, &root, around, None)
}

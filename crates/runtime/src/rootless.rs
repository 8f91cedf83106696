//! Launching without privileges. An ordinary user has no power over mounts, not even over detached ones, outside of a user
//! namespace of his own: so the launcher itself, a single-threaded process, goes into the container's, with a mount namespace
//! that belongs to it, and from then on launches as root would.
//!
//! ```text
//!   launcher ─ clone ─▶ writer            stays outside, with the user's own rights there
//!   launcher: unshare ── go ──▶ writer: uid_map, gid_map (newuidmap, newgidmap)
//!   launcher ◀─ failed, or the end ─ writer
//! ```

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::mount::MountPropagationFlags;

use crate::channel::{self, Message};
use crate::error::{During, LaunchError, Result};
use crate::plan::{IdMapping, Namespace, Namespaces};
use crate::{id_maps, user_namespace};

const STEP: &str = "user namespace";

pub use sys::namespace::in_user_namespace as is_inside;

/// Whether the system has what maps more ids than one's own.
pub fn has_helpers() -> bool {
    ["newuidmap", "newgidmap"].iter().all(|name| id_maps::helper(name).is_some())
}

/// The cgroup below which an unprivileged launcher may make others: the one that holds its own, where that was delegated to the user
/// (cgroup v2 alone).
pub fn delegated_cgroup(host: &cgroup::Host) -> Option<String> {
    let mount = host.unified.as_ref().filter(|_| host.is_v2())?;
    let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    let (above, _) = own.rsplit_once('/')?;
    let folder = mount.join(above.trim_start_matches('/'));
    let files = [folder.clone(), folder.join("cgroup.procs"), folder.join("cgroup.subtree_control")];
    let is_ours = |path: &std::path::PathBuf| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    files.iter().all(is_ours).then(|| above.to_owned())
}

/// Goes where a configuration's container is to be.
pub fn enter(namespaces: &Namespaces) -> Result<()> {
    match &namespaces.user {
        Namespace::Host => Err(LaunchError::other(STEP, "rootless container requires user namespaces")),
        Namespace::New => enter_new(&namespaces.uid_mappings, &namespaces.gid_mappings),
        Namespace::Path(path) => enter_path(path),
    }
}

/// Goes into a new user namespace with these mappings, with all capabilities there, which stay over an `execve`.
pub fn enter_new(uid: &[IdMapping], gid: &[IdMapping]) -> Result<()> {
    let what = || "make a user namespace".to_owned();
    let us = rustix::process::getpid().as_raw_pid();
    let (ours, theirs) = channel::pair().during(STEP, what)?;
    let mut parents_end = Some(ours);
    let writer = sys::clone3(0, None, || {
        drop(parents_end.take());
        let written = theirs.wait().and_then(|()| id_maps::write(us, uid, gid));
        if let Err(error) = &written {
            theirs.failed(error);
        }
        i32::from(written.is_err())
    })
    .during(STEP, what)?;
    drop(theirs);
    let Some(ours) = parents_end else { return Err(LaunchError::other(STEP, what())) };
    let written = sys::namespace::unshare(sys::clone::NEWUSER | sys::clone::NEWNS)
        .and_then(|()| ours.go())
        .and_then(|()| ours.receive())
        .during(STEP, what);
    drop(ours);
    user_namespace::reap(&writer.pidfd);
    match written? {
        Some(Message::Failed(error)) => Err(error),
        _ => settle(),
    }
}

/// Goes into the user namespace at `path`.
pub fn enter_path(path: &Path) -> Result<()> {
    user_namespace::join(path)?;
    own_mounts()
}

/// Goes into the user namespace of the process `pid`; `false` if that is where this one is already.
pub fn enter_process(pid: i32) -> Result<bool> {
    let theirs = user_namespace::of(pid)?;
    if same(&theirs, &user_namespace::of(rustix::process::getpid().as_raw_pid())?) {
        return Ok(false);
    }
    sys::namespace::setns(theirs, sys::clone::NEWUSER)
        .during(STEP, || "join the user namespace of the container".to_owned())?;
    own_mounts().map(|()| true)
}

fn same(one: &OwnedFd, other: &OwnedFd) -> bool {
    let number = |fd: &OwnedFd| rustix::fs::fstat(fd.as_fd()).ok().map(|stat| (stat.st_dev, stat.st_ino));
    number(one).is_some() && number(one) == number(other)
}

fn own_mounts() -> Result<()> {
    sys::namespace::unshare(sys::clone::NEWNS).during(STEP, || "make a mount namespace".to_owned())?;
    settle()
}

/// Keeps the capabilities over an `execve` by somebody who is not root in there.
fn settle() -> Result<()> {
    let what = || "keep the capabilities of the user namespace".to_owned();
    rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .during(STEP, || "let the host's mounts come, and none go".to_owned())?;
    let all = sys::caps::permitted().during(STEP, what)?;
    sys::caps::set(all, all, all).during(STEP, what)?;
    for capability in (0..64).filter(|bit| all & 1 << bit != 0) {
        sys::caps::raise_ambient(capability).during(STEP, what)?;
    }
    Ok(())
}

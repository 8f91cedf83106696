//! User namespaces from outside: joining one with a clone, and namespaces that only carry a mapping (for id-mapped mounts).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::channel::{self, Message};
use crate::error::{During, LaunchError, Result};
use crate::plan::{IdMapping, UserSpec};

/// The user namespace of a process.
pub fn of(pid: i32) -> Result<OwnedFd> {
    rustix::fs::open(format!("/proc/{pid}/ns/user"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .during("user namespace", || "open the user namespace of the container".to_owned())
}

/// Who the container's user is outside, by the mappings of `pid`. A user by name is looked up later, inside: then it is root.
pub fn user_outside(pid: i32, user: &UserSpec) -> Result<(u32, u32)> {
    let (uid, gid) = match user {
        UserSpec::Ids { uid, gid, .. } => (*uid, *gid),
        UserSpec::Name { .. } => (0, 0),
    };
    let outside = |file: &str, id: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/{file}"))
            .during("user namespace", || format!("read {file} of the container"))?;
        map(&text, id).ok_or_else(|| {
            LaunchError::other("user namespace", format!("{id} is not in {file} of the container"))
        })
    };
    Ok((outside("uid_map", uid)?, outside("gid_map", gid)?))
}

/// Lines of `first inside, first outside, how many` (user_namespaces(7)).
fn map(text: &str, id: u32) -> Option<u32> {
    text.lines().find_map(|line| {
        let numbers: Vec<u32> = line.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [inside, outside, count] = numbers[..] else { return None };
        let offset = id.checked_sub(inside).filter(|offset| *offset < count)?;
        outside.checked_add(offset)
    })
}

/// Clones `body` from where `go` leads, which returns the flags of the clone. Nobody comes back from another user namespace, nor,
/// inside one, to what belongs to the host's: so a process in between goes there and makes the child as its own sibling. New
/// namespaces then belong to that user namespace, and the child is the launcher's all the same.
pub fn clone_from(
    go: impl FnOnce() -> Result<u64>,
    cgroup: Option<BorrowedFd<'_>>,
    body: impl FnOnce() -> i32,
) -> Result<sys::clone::Child> {
    const STEP: &str = "namespaces";
    let what = || "start the container's process".to_owned();
    let (ours, theirs) = channel::pair().during(STEP, what)?;
    let mut ends = Some((ours, theirs));
    let between = sys::clone3(0, None, || {
        let Some((ours, theirs)) = ends.take() else { return 1 };
        drop(ours);
        let mut line = Some(theirs);
        let child = go().and_then(|flags| {
            sys::clone3(flags | sys::clone::PARENT, cgroup, || {
                drop(line.take());
                body()
            })
            .during(STEP, what)
        });
        let Some(line) = line else { return 1 };
        match child {
            // Nobody hears of what cannot be sent: then the line's end is the answer.
            Ok(child) => drop(line.born(&child.pidfd)),
            Err(error) => line.failed(&error),
        }
        0
    })
    .during(STEP, what)?;
    let Some((ours, theirs)) = ends else { return Err(LaunchError::other(STEP, what())) };
    drop(theirs);
    let received = ours.receive();
    reap(&between.pidfd);
    match received.during(STEP, what)? {
        Some(Message::Born(pidfd)) => {
            let pid = pid_behind(&pidfd).during(STEP, what)?;
            Ok(sys::clone::Child { pid, pidfd })
        }
        Some(Message::Failed(error)) => Err(error),
        _ => Err(LaunchError::other(STEP, format!("{}: the process in between was killed", what()))),
    }
}

/// Goes into the user namespace at `path`.
pub fn join(path: &Path) -> Result<()> {
    let what = || format!("join the user namespace {}", path.display());
    let namespace = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .during("user namespace", what)?;
    sys::namespace::setns(namespace, sys::clone::NEWUSER).during("user namespace", what)
}

/// A number sent from another pid namespace would mean nothing here; the descriptor does.
fn pid_behind(pidfd: &OwnedFd) -> std::io::Result<i32> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    pid.filter(|pid| *pid > 0).ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))
}

/// Waits for a child's end.
pub fn reap(pidfd: &OwnedFd) {
    let id = rustix::process::WaitId::PidFd(pidfd.as_fd());
    while let Err(rustix::io::Errno::INTR) =
        rustix::process::waitid(id.clone(), rustix::process::WaitIdOptions::EXITED)
    {}
}

/// A user namespace with these mappings and nobody in it.
pub fn with_mappings(uid: &[IdMapping], gid: &[IdMapping]) -> Result<OwnedFd> {
    let what = || "make a user namespace for an idmapped mount".to_owned();
    let (reader, writer) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).during("user namespace", what)?;
    let mut writer = Some(writer);
    let child = sys::clone3(sys::clone::NEWUSER, None, || {
        drop(writer.take());
        // Lives until the launcher has what it needs, or is gone.
        let _ = rustix::io::read(&reader, &mut [0; 1]);
        0
    })
    .during("user namespace", what)?;
    let namespace = crate::id_maps::write(child.pid, uid, gid).and_then(|()| of(child.pid));
    drop(writer);
    reap(&child.pidfd);
    namespace
}

#[cfg(test)]
mod tests {
    #[test]
    fn mappings() {
        let text = "         0       1000          1\n         1     100000      65536\n";
        assert_eq!(
            [0, 1, 65536, 65537].map(|id| super::map(text, id)),
            [Some(1000), Some(100_000), Some(165_535), None]
        );
        assert_eq!(super::map("0 0 4294967295\n", 7), Some(7));
    }
}

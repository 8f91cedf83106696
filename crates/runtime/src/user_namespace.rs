//! User namespaces from outside: writing the mappings of a process, and namespaces that only carry a mapping (for id-mapped
//! mounts).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::error::{During, LaunchError, Result};
use crate::plan::IdMapping;

/// Writes the mappings of `pid`, which has just been cloned into a new user namespace. The launcher is privileged in the parent
/// namespace, so the kernel takes any mapping and groups may be set inside.
pub fn write_mappings(pid: i32, uid: &[IdMapping], gid: &[IdMapping]) -> Result<()> {
    for (file, mappings) in [("uid_map", uid), ("gid_map", gid)] {
        let lines: String = mappings
            .iter()
            .map(|mapping| format!("{} {} {}\n", mapping.container, mapping.host, mapping.size))
            .collect();
        let path = format!("/proc/{pid}/{file}");
        std::fs::write(&path, lines).during("user namespace", || format!("write {file} of the container"))?;
    }
    Ok(())
}

/// The user namespace of a process.
pub fn of(pid: i32) -> Result<OwnedFd> {
    rustix::fs::open(format!("/proc/{pid}/ns/user"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .during("user namespace", || "open the user namespace of the container".to_owned())
}

/// Clones `body` into the user namespace at `path`. Nobody comes back from there, so a process in between goes there and makes the
/// child as its own sibling: new namespaces then belong to that user namespace, and the child is the launcher's all the same.
pub fn clone_into(
    path: &Path,
    flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
    body: impl FnOnce() -> i32,
) -> Result<sys::clone::Child> {
    let what = || format!("join the user namespace {}", path.display());
    let namespace = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .during("user namespace", what)?;
    let (ours, theirs) = rustix::net::socketpair(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::SEQPACKET,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )
    .during("user namespace", what)?;
    let mut ends = Some((ours, theirs));
    let between = sys::clone3(0, None, || {
        let Some((ours, theirs)) = ends.take() else { return 1 };
        drop(ours);
        let joined = sys::namespace::setns(&namespace, sys::clone::NEWUSER);
        let mut line = Some(theirs);
        let child = joined.and_then(|()| {
            sys::clone3(flags | sys::clone::PARENT, cgroup, || {
                drop(line.take());
                body()
            })
        });
        let Some(line) = line else { return 1 };
        // Nobody hears of what cannot be sent: then the line's end is the answer.
        let _ = match child {
            Ok(child) => sys::fdpass::send(&line, b"c", &[child.pidfd.as_fd()]),
            Err(error) => {
                let code = error.raw_os_error().unwrap_or(0).to_ne_bytes();
                sys::fdpass::send(&line, &[&b"e"[..], &code].concat(), &[])
            }
        };
        0
    })
    .during("user namespace", what)?;
    let Some((ours, theirs)) = ends else { return Err(LaunchError::other("user namespace", what())) };
    drop(theirs);
    let mut answer = [0; 5];
    let received = sys::fdpass::recv(&ours, &mut answer);
    reap(&between.pidfd);
    let (_, mut fds) = received.during("user namespace", what)?;
    let Some(pidfd) = fds.pop() else {
        let code = i32::from_ne_bytes([answer[1], answer[2], answer[3], answer[4]]);
        return Err(std::io::Error::from_raw_os_error(code)).during("user namespace", what);
    };
    let pid = pid_behind(&pidfd).during("user namespace", what)?;
    Ok(sys::clone::Child { pid, pidfd })
}

/// A number sent from another pid namespace would mean nothing here; the descriptor does.
fn pid_behind(pidfd: &OwnedFd) -> std::io::Result<i32> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    pid.filter(|pid| *pid > 0).ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))
}

fn reap(pidfd: &OwnedFd) {
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
    let namespace = write_mappings(child.pid, uid, gid).and_then(|()| of(child.pid));
    drop(writer);
    reap(&child.pidfd);
    namespace
}

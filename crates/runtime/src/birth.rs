//! Processes that are born where others can do to them what they like: in a pid namespace with processes that have `CAP_SYS_PTRACE`
//! in the launcher's own user namespace, from whom being undumpable is no shelter ([`hidden`](crate::hidden)). Such a process must
//! be nobody worth catching from its first moment on. So all of its way is gone by another one, outside of that pid namespace:
//!
//! ```text
//!   launcher ── clone ─▶ forerunner: mounts, root, user, limits, capabilities, filter, descriptors ── clone ─▶ process ─▶ execve
//!            ◀───────────────────────── pid, in shared memory ──────────────────────────────────────┘
//! ```
//! The process is the launcher's child as well, and has what its program will have. Of the host it knows what the launcher keeps in
//! its memory.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rustix::process::{Pid, PidfdFlags};
use sys::clone::PidCell;

use crate::error::{During, LaunchError, Result};
use crate::filesystem::{self, New};
use crate::plan::{Namespace, Namespaces, Process};
use crate::process::Surroundings;
use crate::root::Root;
use crate::user_namespace::reap;
use crate::{Gate, bare, channel, child};

const STEP: &str = "launch";

/// Of a process that is going to be born so.
#[derive(Debug)]
pub struct Birth {
    cell: PidCell,
    /// Where, if the forerunner is not there already for its children.
    namespace: Option<OwnedFd>,
}

impl Birth {
    /// In the pid namespace for which the forerunner has been prepared.
    pub fn new() -> Result<Self> {
        let cell = PidCell::new().during(STEP, || "share memory with the new process".to_owned())?;
        Ok(Self { cell, namespace: None })
    }

    /// The birth of a container's first process, if others are there to see it and nothing else keeps them off. The namespaces then
    /// are those of the forerunner.
    pub fn of_first(namespaces: &mut Namespaces) -> Result<Option<Self>> {
        let Namespace::Path(path) = &namespaces.pid else { return Ok(None) };
        // From another user namespace nobody has a hold on what is undumpable.
        if namespaces.user != Namespace::Host {
            return Ok(None);
        }
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
        let namespace = rustix::fs::open(path, flags, rustix::fs::Mode::empty())
            .during("namespaces", || format!("lstat {}", path.display()))?;
        namespaces.pid = Namespace::Host;
        Ok(Some(Self { namespace: Some(namespace), ..Self::new()? }))
    }

    /// The pid namespace, where it is not the forerunner's.
    pub fn namespace(&self) -> Option<&OwnedFd> {
        self.namespace.as_ref()
    }

    /// Forerunner: sets where its next child will be. From then on nothing may be cloned but that one.
    pub fn prepare(&self) -> Result<()> {
        match &self.namespace {
            Some(namespace) => enter(namespace),
            None => Ok(()),
        }
    }

    /// Forerunner: ends, and goes on as the process, with these descriptors and the standard streams.
    pub fn happen(&self, keep: &mut [RawFd]) -> Result<()> {
        sys::exec::close_all_but(keep).during("descriptors", || "close descriptors".to_owned())?;
        sys::clone::reborn(&self.cell).during(STEP, || "start the container's process".to_owned())
    }

    /// Launcher: the process and its pidfd, when the line to it has said that it runs.
    pub fn child(&self, forerunner: &OwnedFd) -> Result<(i32, OwnedFd)> {
        reap(forerunner);
        let what = "container init was killed before its program ran (memory limit too low?)";
        let raw = self.cell.get().ok_or_else(|| LaunchError::other(STEP, what))?;
        let pid = Pid::from_raw(raw).ok_or_else(|| LaunchError::other(STEP, what))?;
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).during(STEP, || what.to_owned())?;
        Ok((raw, pidfd))
    }

    /// Launcher: the process after an error, if it came to be.
    pub fn remains(&self) -> Option<OwnedFd> {
        let pid = Pid::from_raw(self.cell.get()?)?;
        rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()
    }
}

fn enter(namespace: impl AsFd) -> Result<()> {
    sys::namespace::setns(namespace, sys::clone::NEWPID)
        .during("namespaces", || "join the pid namespace".to_owned())
}

/// Whether the filter can be there before the birth: it has to let that one pass. A filter that does not comes after it, and until
/// then the process has what installing a filter takes.
pub fn is_allowed(process: &Process) -> bool {
    let allows =
        |program: &seccomp::Program| program.allows(sys::clone::NUMBER, [sys::clone::REBORN, 0, 0, 0, 0, 0]);
    process.seccomp.as_ref().is_none_or(allows)
}

/// The descriptors that the process needs.
pub fn kept(around: &Surroundings, has_filter: bool) -> Vec<RawFd> {
    let mut keep: Vec<RawFd> = vec![around.channel.as_fd().as_raw_fd()];
    if let Some(Gate::Socket(gate) | Gate::Line(gate)) = &around.gate {
        keep.push(gate.as_raw_fd());
    }
    keep.extend((3..).take(around.preserve_fds as usize));
    if let (false, Some(listener)) = (has_filter, &around.listener) {
        // It has to say which of the host's processes it is.
        keep.extend([listener.as_fd().as_raw_fd(), around.proc.as_raw_fd()]);
    }
    keep
}

/// A procfs of a pid namespace that we are not in. `root` lies on top of our own root.
pub fn procfs(new: &New<'_>, namespace: &OwnedFd, root: &Root) -> Result<OwnedFd> {
    match new.create_for(namespace) {
        // Before Linux 6.17 it is that of whoever opens it.
        Err(_) => {
            // A copy of our mounts knows its own copy of this folder.
            rustix::process::fchdir(root.fd()).during("mount", || "open procfs".to_owned())?;
            new.create_from(opened_inside(namespace, true)?)
        }
        result => result,
    }
}

/// The beginnings of a procfs, made by somebody in there who has neither anything of the host's nor any power over it: of a user
/// namespace of his own, and in an empty root. `is_covered`: the current folder lies on top of our root.
fn opened_inside(namespace: &OwnedFd, is_covered: bool) -> Result<OwnedFd> {
    let what = || "open procfs in the pid namespace".to_owned();
    let (ours, theirs) = channel::pair().during("mount", what)?;
    let mut keep = [theirs.as_fd().as_raw_fd()];
    let between = sys::clone3(sys::clone::NEWNS, None, || {
        // A root that lies on the old one would be all that is unmounted, and the old one would lie on the new.
        let uncovered = if is_covered { child::pivot_here() } else { Ok(()) };
        let opener =
            uncovered.and_then(|()| bare::empty_root()).and_then(|()| enter(namespace)).and_then(|()| {
                sys::exec::close_all_but(&mut keep).during("mount", what)?;
                let apart = sys::clone::NEWUSER | sys::clone::NEWNS;
                sys::clone3(apart, None, || {
                    let opened = filesystem::open("proc", &what())
                        .and_then(|context| theirs.born(&context).during("mount", what));
                    opened.map_err(|error| theirs.failed(&error)).is_err().into()
                })
                .during("mount", || "clone into a user namespace, to open procfs".to_owned())
            });
        match opener {
            Ok(opener) => reap(&opener.pidfd),
            Err(error) => theirs.failed(&error),
        }
        0
    })
    .during("mount", what)?;
    drop(theirs);
    let received = ours.receive();
    reap(&between.pidfd);
    match received.during("mount", what)? {
        Some(channel::Message::Born(context)) => Ok(context),
        Some(channel::Message::Failed(error)) => Err(error),
        _ => Err(LaunchError::other("mount", what())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_procfs_of_another_pid_namespace() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("skipped: needs root");
        }
        // A process with a pid namespace of its own, which ends when we close the pipe.
        let mut sleeper = std::process::Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child", "sh", "-c", "echo ready; read line"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = std::io::BufReader::new(sleeper.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        let namespace: OwnedFd =
            std::fs::File::open(format!("/proc/{}/ns/pid_for_children", sleeper.id())).unwrap().into();
        let new = New { fstype: "proc", source: Some("proc"), options: &[], attributes: 0, what: "proc" };
        let of_a_helper = |is_covered: bool| {
            let opened = sys::namespace::in_own_mounts(|| {
                if is_covered {
                    let cover =
                        New { fstype: "tmpfs", source: None, options: &[], attributes: 0, what: "cover" };
                    let cover = cover.create().unwrap();
                    filesystem::attach_at(&cover, rustix::fs::CWD, "/").unwrap();
                    rustix::process::fchdir(&cover).unwrap();
                }
                opened_inside(&namespace, is_covered)
            });
            opened.unwrap().and_then(|fd| new.create_from(fd))
        };
        let of_the_kernel = new.create_for(&namespace).or_else(|_| of_a_helper(false));
        for mount in [of_the_kernel, of_a_helper(false), of_a_helper(true)] {
            let mount = mount.unwrap();
            let read = |name: &str| {
                let flags = rustix::fs::OFlags::RDONLY;
                let file = rustix::fs::openat(&mount, name, flags, rustix::fs::Mode::empty()).unwrap();
                std::io::read_to_string(std::fs::File::from(file)).unwrap()
            };
            assert_eq!(read("1/cmdline").split('\0').next(), Some("sh"));
        }
        drop(sleeper.stdin.take());
        sleeper.wait().unwrap();
    }
}

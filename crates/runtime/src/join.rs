//! Namespaces that a new process is to be born into. The launcher, single-threaded, enters them for the moment of the clone and
//! goes back home: then the child is in all of them from the start, also in a pid namespace, which nobody can enter for himself,
//! and in those that a new user namespace has no power over.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};

use crate::error::{During, Result};
use crate::plan::{Namespace, Namespaces};

/// Namespaces to go back to, the last entered first.
#[derive(Default)]
pub struct Entered {
    /// Of which each has a home.
    homes: Vec<(OwnedFd, u64)>,
    /// Entered after all others: the home, and the root there.
    mounts: Option<(OwnedFd, OwnedFd)>,
}

impl Entered {
    /// Goes home.
    pub fn leave(mut self) -> Result<()> {
        self.back()
    }

    /// Stays: for a process that has nothing else to do.
    pub fn stay(mut self) {
        self.homes.clear();
        self.mounts = None;
    }

    fn back(&mut self) -> Result<()> {
        let mut result = Ok(());
        if let Some((home, root)) = self.mounts.take() {
            result = back_to(&home, &root);
        }
        while let Some((home, kind)) = self.homes.pop() {
            let left = sys::namespace::setns(home, kind)
                .during("namespaces", || "return to the launcher's own namespaces".to_owned());
            result = result.and(left);
        }
        result
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // Only on the way out of an error, which is the one to tell.
        let _ = self.back();
    }
}

/// Comes back to a mount namespace, and there to a root that may not be the namespace's own.
fn back_to(home: &OwnedFd, root: &OwnedFd) -> Result<()> {
    let what = || "return to the launcher's own mounts".to_owned();
    sys::namespace::setns(home, sys::clone::NEWNS).during("namespaces", what)?;
    rustix::process::fchdir(root).during("namespaces", what)?;
    rustix::process::chroot(".").during("namespaces", what)
}

fn kinds(namespaces: &Namespaces) -> [(&Namespace, &'static str, u64); 6] {
    use sys::clone::{NEWCGROUP, NEWIPC, NEWNET, NEWPID, NEWTIME, NEWUTS};
    [
        (&namespaces.network, "net", NEWNET),
        (&namespaces.uts, "uts", NEWUTS),
        (&namespaces.ipc, "ipc", NEWIPC),
        (&namespaces.pid, "pid", NEWPID),
        (&namespaces.cgroup, "cgroup", NEWCGROUP),
        (&namespaces.time, "time", NEWTIME),
    ]
}

/// Enters what exists; returns the flags for the clone, which makes the rest, and the way home.
/// `bare_mounts` is where the child's mounts begin, if not with the launcher's.
pub fn enter(
    namespaces: &Namespaces,
    netns: Option<OwnedFd>,
    bare_mounts: Option<OwnedFd>,
) -> Result<(u64, Entered)> {
    let mut flags = sys::clone::NEWNS;
    if namespaces.user == Namespace::New {
        flags |= sys::clone::NEWUSER;
    }
    let mut entered = Entered::default();
    let mut netns = netns;
    for (namespace, name, kind) in kinds(namespaces) {
        let given = if kind == sys::clone::NEWNET { netns.take() } else { None };
        match (namespace, given) {
            (_, Some(fd)) => enter_one(&mut entered, fd, name, kind)?,
            (Namespace::Path(path), None) => {
                let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                    .during("namespaces", || format!("lstat {}", path.display()))?;
                enter_one(&mut entered, fd, name, kind)?;
            }
            (Namespace::Host, None) => {}
            // Made by the child, in its cgroup.
            (Namespace::New, None) if kind == sys::clone::NEWCGROUP => {}
            // Not by the clone: its offsets can only be set while nobody is inside, and before Linux 6.3 clone3 refuses it.
            (Namespace::New, None) if kind == sys::clone::NEWTIME => {
                let home = home(name)?;
                sys::namespace::unshare(kind).during("namespaces", || "make a time namespace".to_owned())?;
                entered.homes.push((home, kind));
                set_time_offsets(&namespaces.time_offsets)?;
            }
            (Namespace::New, None) => flags |= kind,
        }
    }
    if let Some(bare) = bare_mounts {
        // Last: from there no path leads to /proc.
        let root = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .during("namespaces", || "open the root".to_owned())?;
        let home = home("mnt")?;
        sys::namespace::setns(bare, sys::clone::NEWNS)
            .during("namespaces", || "enter an empty mount namespace".to_owned())?;
        entered.mounts = Some((home, root));
    }
    Ok((flags, entered))
}

fn set_time_offsets(offsets: &[(String, i64, u32)]) -> Result<()> {
    if offsets.is_empty() {
        return Ok(());
    }
    let line =
        |(clock, seconds, nanoseconds): &(String, i64, u32)| format!("{clock} {seconds} {nanoseconds}\n");
    std::fs::write("/proc/self/timens_offsets", offsets.iter().map(line).collect::<String>())
        .during("namespaces", || "set the offsets of the time namespace".to_owned())
}

fn home(name: &str) -> Result<OwnedFd> {
    rustix::fs::open(format!("/proc/self/ns/{name}"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .during("namespaces", || format!("open the launcher's {name} namespace"))
}

fn enter_one(entered: &mut Entered, fd: OwnedFd, name: &str, kind: u64) -> Result<()> {
    let home = home(name)?;
    sys::namespace::setns(fd, kind).during("namespaces", || format!("join the {name} namespace"))?;
    entered.homes.push((home, kind));
    Ok(())
}

/// Whether [`enter`] would go anywhere.
pub fn is_needed(namespaces: &Namespaces, netns: Option<&OwnedFd>) -> bool {
    let goes = |(namespace, _, kind): &(&Namespace, &str, u64)| match namespace {
        Namespace::Path(_) => true,
        Namespace::New => *kind == sys::clone::NEWTIME,
        Namespace::Host => false,
    };
    netns.is_some() || kinds(namespaces).iter().any(goes)
}

/// Whether others are already where the process is going to be.
pub fn is_observed(namespaces: &Namespaces) -> bool {
    matches!(namespaces.pid, Namespace::Path(_))
}

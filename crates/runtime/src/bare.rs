//! A mount namespace with next to nothing in it. A container's begins as a copy of the launcher's, whose mounts are all thrown away
//! again: what that costs grows with their number. What the container is to have comes as detached mounts, from wherever it was.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::mount::UnmountFlags;

use crate::error::{During, Result};
use crate::filesystem::{self, New};
use crate::prepare;

/// Makes one, for [`Launch::bare_mounts`](crate::Launch::bare_mounts). It lives as long as its descriptor, and serves any number of
/// launches.
pub fn bare_mounts() -> Result<OwnedFd> {
    sys::namespace::in_own_mounts(empty).during("mounts", || "make a mount namespace".to_owned())?
}

/// Leaves nothing but a read-only folder in the thread's own mount namespace.
fn empty() -> Result<OwnedFd> {
    use sys::mount::attr;
    let what = || "make an empty mount namespace".to_owned();
    let proc = prepare::host_proc()?;
    let root = New {
        fstype: "tmpfs",
        source: Some("tmpfs"),
        options: &[("nr_inodes".to_owned(), Some("1".to_owned()))],
        attributes: attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC,
        what: "make an empty mount namespace",
    }
    .create()?;
    // On top of the old root, which pivot_root demands; then the old one is what lies on top of the new.
    filesystem::attach_at(&root, rustix::fs::CWD, "/").during("mounts", what)?;
    rustix::process::fchdir(&root).during("mounts", what)?;
    rustix::process::pivot_root(".", ".").during("mounts", what)?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).during("mounts", what)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(&proc, "thread-self/ns/mnt", flags, Mode::empty()).during("mounts", what)
}

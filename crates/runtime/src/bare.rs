//! A mount namespace with next to nothing in it. A container's begins as a copy of the launcher's, whose mounts are all thrown away
//! again: what that costs grows with their number. What the container is to have comes as detached mounts, from wherever it was.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};

use crate::error::{During, Result};
use crate::root::Root;
use crate::{child, filesystem, prepare};

/// Makes one, for [`Launch::bare_mounts`](crate::Launch::bare_mounts). It lives as long as its descriptor, and serves any number of
/// launches.
pub fn bare_mounts() -> Result<OwnedFd> {
    let what = || "make a mount namespace".to_owned();
    let make = || {
        let proc = prepare::host_proc()?;
        empty_root()?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::openat(&proc, "thread-self/ns/mnt", flags, Mode::empty()).during("mounts", what)
    };
    sys::namespace::in_own_mounts(make).during("mounts", what)?
}

/// Leaves all mounts of the caller's own mount namespace for one with nothing in it.
pub fn empty_root() -> Result<()> {
    let what = "make an empty root";
    let root = prepare::empty_folder("0", what)?;
    // On top of the old root, which pivot_root demands.
    filesystem::attach_at(&root, rustix::fs::CWD, "/").during("mounts", || what.to_owned())?;
    child::pivot(&Root::new(root))
}

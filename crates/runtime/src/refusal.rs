//! Hosts that refuse the calls containers are made with: the inside of another engine's container, mostly.

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

use crate::error::LaunchError;

/// Why mounts cannot be made here at all; `None` if they can, or for a reason of which nothing is known.
pub fn refusal() -> Option<&'static str> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    match (open_tree(CWD, "/", flags), sys::caps::permitted()) {
        (Err(Errno::PERM), Ok(held)) if held & 1 << sys::caps::SYS_ADMIN == 0 => Some(
            "this process may not mount: it lacks CAP_SYS_ADMIN. Inside a container that takes a privileged one",
        ),
        (Err(Errno::PERM | Errno::NOSYS), _) => Some(
            "the system call open_tree is refused here: by the seccomp profile of a container around us, or a kernel before 5.14",
        ),
        _ => None,
    }
}

/// The error, with what the user can do about it.
pub fn explained(mut error: LaunchError) -> LaunchError {
    if let Some(why) = refusal() {
        error.message = format!("{} ({why})", error.message);
    }
    error
}

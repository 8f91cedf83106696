//! Entering and leaving namespaces. What concerns one thread only is safe to call anywhere and says so; what concerns children
//! is for the single-threaded launcher.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// `unshare(2)` with `CLONE_NEW*` flags. They concern the calling thread (and, for pid and time, its next children) only.
pub fn unshare(namespaces: u64) -> io::Result<()> {
    let mask = crate::clone::NEWTIME
        | crate::clone::NEWNS
        | crate::clone::NEWCGROUP
        | crate::clone::NEWUTS
        | crate::clone::NEWIPC
        | crate::clone::NEWUSER
        | crate::clone::NEWPID
        | crate::clone::NEWNET;
    if namespaces & !mask != 0 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: only namespace flags pass the mask: no memory, descriptor table or other thread is affected.
    if unsafe { libc::unshare(namespaces as libc::c_int) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// `setns(2)`: `fd` is a namespace file with at most one flag of `CLONE_NEW*` (0 takes any kind), or a pidfd with one or more.
pub fn setns(fd: impl AsFd, namespaces: u64) -> io::Result<()> {
    // SAFETY: the calling thread's namespaces change, and no memory or descriptor.
    let result = unsafe { libc::setns(fd.as_fd().as_raw_fd(), namespaces as libc::c_int) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The number of a process's namespace (`kind` as in `/proc/<pid>/ns`): equal numbers are the same namespace.
pub fn number(pid: impl std::fmt::Display, kind: &str) -> io::Result<u64> {
    Ok(rustix::fs::stat(format!("/proc/{pid}/ns/{kind}"))?.st_ino)
}

/// As [`number`], of the process whose folder of namespaces (`/proc/<pid>/ns`) `ns` is.
pub fn number_in(ns: impl AsFd, kind: &str) -> io::Result<u64> {
    Ok(rustix::fs::statat(ns, kind, rustix::fs::AtFlags::empty())?.st_ino)
}

/// Whether this process is in another user namespace than the host's own, which maps every id to itself.
pub fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.is_empty() && map.split_ascii_whitespace().ne(["0", "0", "4294967295"])
}

/// Runs `body` inside the network namespace `namespace` and returns what it returns: on a thread of its own, so the caller's
/// threads never leave theirs. Sockets that `body` opens stay in that namespace for good.
pub fn in_netns<T: Send>(namespace: impl AsFd, body: impl FnOnce() -> T + Send) -> io::Result<T> {
    let namespace = namespace.as_fd();
    apart("netns", || setns(namespace, crate::clone::NEWNET), body)
}

/// Runs `body` in a mount namespace of its own, on a thread of its own: nobody sees what it mounts, and all of it is gone
/// afterwards but what it has detached (`open_tree` with `OPEN_TREE_CLONE`) and returns.
pub fn in_own_mounts<T: Send>(body: impl FnOnce() -> T + Send) -> io::Result<T> {
    use rustix::mount::MountPropagationFlags as Flags;
    let enter = || {
        unshare(crate::clone::NEWNS)?;
        // Copies of shared mounts are shared too: without this, what is mounted here appears outside.
        rustix::mount::mount_change("/", Flags::PRIVATE | Flags::REC)?;
        Ok(())
    };
    apart("mounts", enter, body)
}

/// A thread that enters some namespace, does `body` and ends.
fn apart<T: Send>(
    name: &str,
    enter: impl FnOnce() -> io::Result<()> + Send,
    body: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(name.into()).stack_size(256 << 10);
        let thread = thread.spawn_scoped(scope, || {
            enter()?;
            Ok(body())
        })?;
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn current() -> std::path::PathBuf {
        std::fs::read_link("/proc/thread-self/ns/net").unwrap()
    }

    #[test]
    fn only_the_helper_thread_changes_its_network() {
        let other = std::thread::spawn(|| {
            unshare(crate::clone::NEWNET).unwrap();
            (std::fs::File::open("/proc/thread-self/ns/net").unwrap(), current())
        })
        .join()
        .unwrap();
        let home = current();
        assert_eq!(in_netns(&other.0, current).unwrap(), other.1);
        assert_eq!(current(), home);
        assert_ne!(home, other.1);
        let file = std::fs::File::open("/proc/self/status").unwrap();
        assert!(in_netns(&file, || ()).is_err());
    }
}

//! `clone3(2)` as a function that runs a closure in the new process: fork-like (own copy of memory), with a pidfd, new
//! namespaces and a cgroup in the same call. The child leaves by `_exit` and never returns into the parent's frames.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `CLONE_NEWTIME`: only clone3 and unshare take it (its bit lies in clone(2)'s signal number).
pub const NEWTIME: u64 = libc::CLONE_NEWTIME as u64;
/// `CLONE_NEWNS`.
pub const NEWNS: u64 = libc::CLONE_NEWNS as u64;
/// `CLONE_NEWCGROUP`.
pub const NEWCGROUP: u64 = libc::CLONE_NEWCGROUP as u64;
/// `CLONE_NEWUTS`.
pub const NEWUTS: u64 = libc::CLONE_NEWUTS as u64;
/// `CLONE_NEWIPC`.
pub const NEWIPC: u64 = libc::CLONE_NEWIPC as u64;
/// `CLONE_NEWUSER`.
pub const NEWUSER: u64 = libc::CLONE_NEWUSER as u64;
/// `CLONE_NEWPID`.
pub const NEWPID: u64 = libc::CLONE_NEWPID as u64;
/// `CLONE_NEWNET`.
pub const NEWNET: u64 = libc::CLONE_NEWNET as u64;

/// `CLONE_PARENT`: the child is the caller's sibling, and its parent's to reap. The caller must be a child that SIGCHLD tells of.
pub const PARENT: u64 = libc::CLONE_PARENT as u64;

/// `CLONE_INTO_CGROUP` (libc's constant has lost its only bit).
const INTO_CGROUP: u64 = 1 << 33;

/// A process made by [`clone3`].
#[derive(Debug)]
pub struct Child {
    /// Its pid in the caller's pid namespace.
    pub pid: i32,
    /// Its pidfd, close-on-exec.
    pub pidfd: OwnedFd,
}

/// Makes a child that runs `body` and exits with its result (SIGCHLD tells the parent). `namespaces` is a set of `CLONE_NEW*`;
/// with `cgroup` (a folder of the cgroup2 file system, `O_PATH` will do) the child is born in that cgroup.
///
/// The child has a copy of the caller's thread only. In a process with other threads `body` must not touch anything that they
/// may have locked, which includes the allocator; a single-threaded caller has no such worry. A panic in `body` ends the child
/// with code 70.
pub fn clone3(
    namespaces: u64,
    cgroup: Option<BorrowedFd<'_>>,
    body: impl FnOnce() -> i32,
) -> io::Result<Child> {
    let mut pidfd: libc::c_int = -1;
    let arguments = Arguments {
        flags: namespaces | libc::CLONE_PIDFD as u64 | if cgroup.is_some() { INTO_CGROUP } else { 0 },
        pidfd: (&raw mut pidfd) as u64,
        // A sibling takes over its creator's.
        exit_signal: if namespaces & PARENT == 0 { libc::SIGCHLD as u64 } else { 0 },
        cgroup: cgroup.map_or(0, |fd| fd.as_raw_fd() as u64),
        ..Arguments::default()
    };
    // SAFETY: without CLONE_VM and with no stack given this is fork(2): parent and child return here on their own copies of the
    // stack. The structure and `pidfd` live across the call, and the size passed is the structure's.
    let mut result = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<Arguments>()) };
    // Docker's seccomp profile hides clone3 inside containers, because a filter cannot look into its structure.
    if result < 0
        && io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS)
        && cgroup.is_none()
        && namespaces & NEWTIME == 0
    {
        let flags = arguments.flags | arguments.exit_signal;
        // SAFETY: as above; clone(2) stores the pidfd where it would store the parent's tid, its third argument everywhere.
        result = unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, &raw mut pidfd, 0_usize, 0_usize) };
    }
    match result {
        0 => {
            let guard = NeverReturn;
            let code = body();
            std::mem::forget(guard);
            exit_now(code)
        }
        pid if pid > 0 => {
            // SAFETY: the kernel stored a new descriptor there, nobody else owns it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Child { pid: pid as i32, pidfd })
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Runs `body` in a process in between, and returns what it returns. That process shares this one's memory, while this one waits for
/// its end (as with vfork: nothing is copied), but descriptors, namespaces and credentials are its own: what it changes of those
/// ends with it. A process that `body` makes with [`PARENT`] is this one's child; everything that it needs must be in memory or
/// among the descriptors that `body` leaves open.
///
/// `body` must not return descriptors: they would name others here. `None`: it was killed, or has panicked.
pub fn errand<T>(body: impl FnOnce() -> T) -> io::Result<Option<T>> {
    struct Errand<F, T> {
        body: Option<F>,
        result: Option<T>,
    }
    extern "C" fn run<F: FnOnce() -> T, T>(errand: *mut libc::c_void) -> libc::c_int {
        let guard = NeverReturn;
        // SAFETY: the structure below, which nobody else looks at until this process has ended.
        let errand = unsafe { &mut *errand.cast::<Errand<F, T>>() };
        errand.result = errand.body.take().map(|body| body());
        std::mem::forget(guard);
        exit_now(0)
    }
    fn entry<F: FnOnce() -> T, T>(_: &Errand<F, T>) -> extern "C" fn(*mut libc::c_void) -> libc::c_int {
        run::<F, T>
    }

    let mut errand = Errand { body: Some(body), result: None };
    let run = entry(&errand);
    let stack = Stack::new()?;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the new process runs `run` on a stack of its own, which like the structure outlives it: the kernel keeps this thread
    // from running until then (CLONE_VFORK). It never returns from `run`.
    let pid = unsafe { libc::clone(run, stack.top(), flags, (&raw mut errand).cast()) };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: our child, of whose status we want nothing.
    while unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) } < 0
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
    Ok(errand.result)
}

/// A pid in memory that a process shares with those it clones: who somebody else made can be read here. Other than a message it needs
/// no system call of whoever makes the process.
#[derive(Debug)]
pub struct PidCell(*mut i32);

impl PidCell {
    /// An empty one.
    pub fn new() -> io::Result<Self> {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: new memory, at an address that the kernel chooses.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<i32>(),
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                -1,
                0,
            )
        };
        if memory == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Self(memory.cast())) }
    }

    /// The pid; `None` as long as there is none.
    pub fn get(&self) -> Option<i32> {
        // SAFETY: our own memory, as long as we live; only the kernel writes there, a whole number at once.
        let pid = unsafe { self.0.read_volatile() };
        (pid > 0).then_some(pid)
    }
}

impl Drop for PidCell {
    fn drop(&mut self) {
        // SAFETY: our own memory, which nobody in this process uses any more.
        unsafe { libc::munmap(self.0.cast(), size_of::<i32>()) };
    }
}

/// The number of `clone(2)`, for those who ask a filter about it.
pub const NUMBER: u32 = libc::SYS_clone as u32;

/// The flags of [`reborn`]'s clone, all in its first argument, where a filter can see them.
pub const REBORN: u64 = (libc::CLONE_PARENT | libc::CLONE_PARENT_SETTID | libc::SIGCHLD) as u64;

/// Ends the calling process, which must be single-threaded and a child that SIGCHLD tells of, and goes on in a sibling of it: a copy
/// with another pid, which `cell` has from then on, and in the pid namespace that children are born into. By `clone(2)`, since
/// filters refuse clone3. Returns in the new process, or with an error in the old one.
pub fn reborn(cell: &PidCell) -> io::Result<()> {
    // SAFETY: without CLONE_VM and with no stack given this is fork(2), as in `clone3`; the cell's memory takes the pid.
    match unsafe { libc::syscall(libc::SYS_clone, REBORN, 0_usize, cell.0, 0_usize, 0_usize) } {
        0 => Ok(()),
        pid if pid > 0 => exit_now(0),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Memory for another process's stack, with a page below that nobody may touch.
struct Stack(*mut libc::c_void);

impl Stack {
    const SIZE: usize = 1 << 20;
    const GUARD: usize = 64 << 10;

    fn new() -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE;
        // SAFETY: new memory, at an address that the kernel chooses.
        let memory = unsafe {
            libc::mmap(std::ptr::null_mut(), Self::SIZE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Self(memory);
        // SAFETY: the lower end of the memory above, which nobody uses yet.
        match unsafe { libc::mprotect(memory, Self::GUARD, libc::PROT_NONE) } {
            0 => Ok(stack),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Stacks grow downwards on every architecture that we run on.
    fn top(&self) -> *mut libc::c_void {
        self.0.wrapping_byte_add(Self::SIZE)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: our own memory, on which nobody runs any more.
        unsafe { libc::munmap(self.0, Self::SIZE) };
    }
}

/// Ends the process even when it unwinds: the frames below belong to another one.
struct NeverReturn;

impl Drop for NeverReturn {
    fn drop(&mut self) {
        exit_now(70);
    }
}

/// `_exit(2)`: ends the process without running destructors or flushing anything.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` does not return and touches no memory of ours.
    unsafe { libc::_exit(code) }
}

/// `struct clone_args` of linux/sched.h, version 2 (with `cgroup`, Linux 5.7).
#[repr(C, align(8))]
#[derive(Default)]
struct Arguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn an_errand_brings_back_what_it_found_and_leaves_descriptors_alone() {
        let (kept, closed) =
            (std::fs::File::open("/dev/null").unwrap(), std::fs::File::open("/dev/null").unwrap());
        let is_open = |file: &std::fs::File| rustix::fs::fstat(file.as_fd()).is_ok();
        let found = errand(|| {
            let left = crate::exec::close_all_but(&mut [kept.as_raw_fd()]);
            (left.is_ok(), is_open(&kept), is_open(&closed), rustix::process::getpid())
        });
        let (closed_rest, kept_it, closed_it, pid) = found.unwrap().unwrap();
        assert_eq!((closed_rest, kept_it, closed_it), (true, true, false));
        assert_ne!(pid, rustix::process::getpid());
        assert!(is_open(&kept) && is_open(&closed));
    }

    #[test]
    fn a_child_made_on_an_errand_is_ours() {
        let pid = errand(|| clone3(PARENT, None, || 7).map(|child| child.pid)).unwrap().unwrap().unwrap();
        let status = rustix::process::waitpid(
            rustix::process::Pid::from_raw(pid),
            rustix::process::WaitOptions::empty(),
        );
        assert_eq!(status.unwrap().unwrap().1.exit_status(), Some(7));
    }

    #[test]
    fn a_process_goes_on_as_its_own_sibling() {
        let cell = PidCell::new().unwrap();
        assert_eq!(cell.get(), None);
        let first = clone3(0, None, || match reborn(&cell) {
            Ok(()) => i32::from(cell.get() == Some(rustix::process::getpid().as_raw_pid())),
            Err(_) => 2,
        });
        let end = |pid: i32| {
            let pid = rustix::process::Pid::from_raw(pid);
            rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap().unwrap().1
        };
        assert_eq!(end(first.unwrap().pid).exit_status(), Some(0));
        assert_eq!(end(cell.get().unwrap()).exit_status(), Some(1));
    }

    #[test]
    fn an_errand_that_fails_is_told() {
        assert!(errand(|| -> i32 { exit_now(1) }).unwrap().is_none());
    }
}

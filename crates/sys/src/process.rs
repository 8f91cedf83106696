//! Small per-process settings that rustix has no call for: I/O priority, scheduler, personality, session keyring, start time;
//! and the kernel's version.

use std::io;

fn check(result: libc::c_long) -> io::Result<()> {
    if result >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `ioprio_set(2)` of the calling thread: class (1 real-time, 2 best effort, 3 idle) and level 0 (first) to 7.
pub fn set_io_priority(class: u32, level: u32) -> io::Result<()> {
    const WHO_PROCESS: libc::c_int = 1;
    // SAFETY: integers only.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, (class << 13) | level) })
}

/// The arguments of `sched_setattr(2)` (`struct sched_attr`, first 48 bytes).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchedulerAttributes {
    /// Filled in by [`set_scheduler`].
    pub size: u32,
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// For other and batch.
    pub nice: i32,
    /// For fifo and round robin.
    pub priority: u32,
    /// For deadline, nanoseconds.
    pub runtime: u64,
    /// For deadline, nanoseconds.
    pub deadline: u64,
    /// For deadline, nanoseconds.
    pub period: u64,
}

/// `sched_setattr(2)` of the calling thread.
pub fn set_scheduler(mut attributes: SchedulerAttributes) -> io::Result<()> {
    attributes.size = size_of::<SchedulerAttributes>() as u32;
    // SAFETY: the kernel reads `size` bytes of a live structure.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) })
}

/// `personality(2)` of the calling thread.
pub fn set_personality(persona: u64) -> io::Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::personality(persona as libc::c_ulong) }.into())
}

/// Gives the calling process a new session keyring: without it a container would share, and could read, the keys of whoever
/// started it. Anonymous, because a name would join whatever keyring already has it.
pub fn new_session_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    let anonymous = std::ptr::null::<libc::c_char>();
    // SAFETY: a null name asks for an anonymous keyring; nothing else is passed.
    check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, anonymous, 0, 0, 0) })
}

/// `setrlimit(2)` of the calling process by the resource's number; `u64::MAX` is no limit.
pub fn set_rlimit(resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    let none = std::ptr::null_mut::<libc::rlimit64>();
    // SAFETY: the kernel reads one live structure and, given a null pointer, returns no old value.
    check(unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, &raw const limit, none) })
}

/// `set_mempolicy(2)` of the calling thread: mode with flags, and the nodes as a bit mask.
pub fn set_memory_policy(mode: i32, nodes: &[u64]) -> io::Result<()> {
    // The kernel reads `maxnode - 1` bits.
    let bits = if nodes.is_empty() { 0 } else { nodes.len() * 64 + 1 };
    // SAFETY: the mask has as many bits as the kernel is told.
    check(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, nodes.as_ptr(), bits) })
}

/// Whether the real, effective and saved ids of user and group are all 0.
pub fn is_root() -> bool {
    let (mut user, mut group) = ([1; 3], [1; 3]);
    let ([real, effective, saved], [real_group, effective_group, saved_group]) = (&mut user, &mut group);
    // SAFETY: each call writes three integers that live across it.
    let read = unsafe {
        libc::getresuid(real, effective, saved) == 0
            && libc::getresgid(real_group, effective_group, saved_group) == 0
    };
    read && user == [0; 3] && group == [0; 3]
}

/// A copy of a descriptor that this process was started with, by its number (`LISTEN_FDS`); close-on-exec.
pub fn inherited_fd(number: i32) -> io::Result<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: the kernel checks the number and makes a new descriptor; nothing is taken from whoever owns the old one.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    check(copy.into())?;
    // SAFETY: the kernel just gave us this descriptor, nobody else owns it.
    Ok(unsafe { std::os::fd::OwnedFd::from_raw_fd(copy) })
}

/// What `/proc/<pid>/stat` says about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `D`, …; `Z` and `X` are dead.
    pub state: u8,
    /// The pid of who started it, or of who has taken it over.
    pub parent: i32,
    /// When it started, see [`start_ticks`].
    pub start_ticks: u64,
}

/// When a process started, in clock ticks since boot (field 22 of `/proc/<pid>/stat`): with the pid it names a process for
/// good, since pids are used again.
pub fn start_ticks(pid: i32) -> io::Result<u64> {
    stat(pid).map(|stat| stat.start_ticks)
}

/// Changes an argument of this process as others see it (`/proc/<pid>/cmdline`, `ps`); the new one must be as long as the old one.
/// Goes through the process's own memory file, so that no pointer is needed.
///
/// # Errors
/// `NotFound` when there is no such argument, `InvalidInput` when the lengths differ, otherwise procfs's.
pub fn replace_argument(old: &str, new: &str) -> io::Result<()> {
    if old.len() != new.len() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let line = std::fs::read("/proc/self/cmdline")?;
    let mut start = 0;
    for argument in line.split(|byte| *byte == 0) {
        if argument == old.as_bytes() {
            let stat = std::fs::read("/proc/self/stat")?;
            let base = arguments_start(&stat).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
            let memory = std::fs::OpenOptions::new().write(true).open("/proc/self/mem")?;
            return std::os::unix::fs::FileExt::write_all_at(&memory, new.as_bytes(), base + start);
        }
        start += argument.len() as u64 + 1;
    }
    Err(io::Error::from(io::ErrorKind::NotFound))
}

/// Where the arguments are in memory (field 48).
fn arguments_start(stat: &[u8]) -> Option<u64> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let text = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    text.split_ascii_whitespace().nth(45)?.parse().ok()
}

/// Reads `/proc/<pid>/stat`.
pub fn stat(pid: i32) -> io::Result<Stat> {
    let file = rustix::fs::open(
        format!("/proc/{pid}/stat"),
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    let mut buffer = [0_u8; 1024];
    let count = rustix::io::read(file, &mut buffer)?;
    parse_stat(&buffer[..count]).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// The name (field 2) may hold spaces and parentheses: count from the last one.
fn parse_stat(stat: &[u8]) -> Option<Stat> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(&stat[end + 1..]).ok()?.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    Some(Stat { state, parent, start_ticks: fields.nth(17)?.parse().ok()? })
}

/// Major and minor version of the running kernel.
pub fn kernel_version() -> (u32, u32) {
    parse_kernel_version(&rustix::system::uname().release().to_string_lossy())
}

/// "6.18.44-fc" is (6, 18).
fn parse_kernel_version(release: &str) -> (u32, u32) {
    let mut numbers =
        release.split(|letter: char| !letter.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_versions() {
        assert_eq!(parse_kernel_version("6.18.44-fc-v669"), (6, 18));
        assert_eq!(parse_kernel_version("5.14.0-427.el9"), (5, 14));
        assert_eq!(parse_kernel_version("6.1-rc1"), (6, 1));
    }

    #[test]
    fn start_ticks_of_a_process_with_a_nasty_name() {
        let stat = b"7 (a) 1 2) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 99 100";
        assert_eq!(parse_stat(stat), Some(Stat { state: b'S', parent: 1, start_ticks: 123_456 }));
        assert!(start_ticks(std::process::id() as i32).unwrap() > 0);
        assert!(start_ticks(i32::MAX).is_err());
    }
}

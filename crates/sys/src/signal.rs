//! Signal numbers and names as Docker reads and prints them: "SIGTERM", "TERM", "term" and "15" are the same signal. Linux
//! numbers of x86-64 and arm64 (they agree); the real-time signals are those that glibc leaves to programs, 34 to 64.

use std::io;

/// `SIGKILL`.
pub const KILL: i32 = 9;
/// `SIGPIPE`.
pub const PIPE: i32 = 13;
/// `SIGTERM`.
pub const TERM: i32 = 15;
/// `SIGCHLD`.
pub const CHLD: i32 = 17;
/// `SIGWINCH`.
pub const WINCH: i32 = 28;
/// The first real-time signal that programs may use (glibc keeps 32 and 33).
pub const RTMIN: i32 = 34;
/// The last signal.
pub const RTMAX: i32 = 64;

const NAMES: [(&str, i32); 68] = [
    ("SIGHUP", 1),
    ("SIGINT", 2),
    ("SIGQUIT", 3),
    ("SIGILL", 4),
    ("SIGTRAP", 5),
    ("SIGABRT", 6),
    ("SIGBUS", 7),
    ("SIGFPE", 8),
    ("SIGKILL", 9),
    ("SIGUSR1", 10),
    ("SIGSEGV", 11),
    ("SIGUSR2", 12),
    ("SIGPIPE", 13),
    ("SIGALRM", 14),
    ("SIGTERM", 15),
    ("SIGSTKFLT", 16),
    ("SIGCHLD", 17),
    ("SIGCONT", 18),
    ("SIGSTOP", 19),
    ("SIGTSTP", 20),
    ("SIGTTIN", 21),
    ("SIGTTOU", 22),
    ("SIGURG", 23),
    ("SIGXCPU", 24),
    ("SIGXFSZ", 25),
    ("SIGVTALRM", 26),
    ("SIGPROF", 27),
    ("SIGWINCH", 28),
    ("SIGIO", 29),
    ("SIGPWR", 30),
    ("SIGSYS", 31),
    ("SIGRTMIN", 34),
    ("SIGRTMIN+1", 35),
    ("SIGRTMIN+2", 36),
    ("SIGRTMIN+3", 37),
    ("SIGRTMIN+4", 38),
    ("SIGRTMIN+5", 39),
    ("SIGRTMIN+6", 40),
    ("SIGRTMIN+7", 41),
    ("SIGRTMIN+8", 42),
    ("SIGRTMIN+9", 43),
    ("SIGRTMIN+10", 44),
    ("SIGRTMIN+11", 45),
    ("SIGRTMIN+12", 46),
    ("SIGRTMIN+13", 47),
    ("SIGRTMIN+14", 48),
    ("SIGRTMIN+15", 49),
    ("SIGRTMAX-14", 50),
    ("SIGRTMAX-13", 51),
    ("SIGRTMAX-12", 52),
    ("SIGRTMAX-11", 53),
    ("SIGRTMAX-10", 54),
    ("SIGRTMAX-9", 55),
    ("SIGRTMAX-8", 56),
    ("SIGRTMAX-7", 57),
    ("SIGRTMAX-6", 58),
    ("SIGRTMAX-5", 59),
    ("SIGRTMAX-4", 60),
    ("SIGRTMAX-3", 61),
    ("SIGRTMAX-2", 62),
    ("SIGRTMAX-1", 63),
    ("SIGRTMAX", 64),
    // Other names of the same numbers: found by `parse`, never printed by `name`.
    ("SIGIOT", 6),
    ("SIGCLD", 17),
    ("SIGPOLL", 29),
    ("SIGUNUSED", 31),
    ("SIGRTMIN+16", 50),
    ("SIGRTMAX-15", 49),
];

/// The number of a signal given by name (any case, with or without `SIG`) or by number, 1 to 64. `None` is what Docker answers
/// with "invalid signal: …".
pub fn parse(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=RTMAX).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES.iter().find(|(name, _)| &name[3..] == bare).map(|(_, number)| *number)
}

/// The name of a signal, with `SIG`; `None` for numbers that have none (0, 32, 33, above 64).
pub fn name(number: i32) -> Option<&'static str> {
    NAMES.iter().find(|(_, candidate)| *candidate == number).map(|(name, _)| *name)
}

/// Sends any signal, real-time ones and 0 (a probe) included, to the process behind a pidfd.
pub fn send(pidfd: impl std::os::fd::AsFd, number: i32) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is borrowed for the call; a null siginfo asks the kernel to fill in kill(2)'s values.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_fd().as_raw_fd(),
            number,
            std::ptr::null::<libc::siginfo_t>(),
            0_u32,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `kill(2)` with any signal number; `pid` must be positive (never a group, never "all").
pub fn kill(pid: i32, number: i32) -> io::Result<()> {
    if pid <= 0 {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    // SAFETY: no memory is involved, and the pid is a single process.
    if unsafe { libc::kill(pid, number) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The set with only `number`'s bit: as in `/proc/<pid>/status` and the kernel's 64-bit sigset.
pub const fn bit(number: i32) -> u64 {
    1 << (number - 1)
}

/// Blocks (or with `false` unblocks) the signals of `set` for the calling thread; returns the set blocked before.
pub fn block(set: u64, block: bool) -> io::Result<u64> {
    change_mask(if block { libc::SIG_BLOCK } else { libc::SIG_UNBLOCK }, set)
}

/// Blocks exactly the signals of `set` for the calling thread; returns the set blocked before.
pub fn set_mask(set: u64) -> io::Result<u64> {
    change_mask(libc::SIG_SETMASK, set)
}

fn change_mask(how: libc::c_int, set: u64) -> io::Result<u64> {
    let mut old = 0_u64;
    // SAFETY: both sets are 8 bytes long, which is what the kernel is told; they live until the call returns.
    let result =
        unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, &raw const set, &raw mut old, 8_usize) };
    if result == 0 { Ok(old) } else { Err(io::Error::last_os_error()) }
}

/// A descriptor that becomes readable when one of the signals of `set` is pending (block them first). Close-on-exec,
/// non-blocking; `read_fd` takes the signals off it.
pub fn fd(set: u64) -> io::Result<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: the set is 8 bytes long and lives until the call returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_signalfd4,
            -1,
            &raw const set,
            8_usize,
            libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor, nobody else owns it.
    Ok(unsafe { std::os::fd::OwnedFd::from_raw_fd(result as i32) })
}

/// The next signal of a signal descriptor; `None` when there is none at the moment.
pub fn read_fd(fd: impl std::os::fd::AsFd) -> io::Result<Option<i32>> {
    let mut info = [0_u8; 128];
    match rustix::io::read(fd, &mut info) {
        Ok(count) if count >= 4 => Ok(Some(i32::from_ne_bytes([info[0], info[1], info[2], info[3]]))),
        Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The signals that the calling process ignores. They stay ignored across clone and `execve`, unlike handlers.
pub fn ignored() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let set =
        status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    set.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// The action of every signal of `set` back to the default.
pub fn restore_default(set: u64) -> io::Result<()> {
    // The kernel's sigaction: handler, flags, restorer, mask. All zero is SIG_DFL.
    let default = [0_u64; 4];
    for number in (1..=RTMAX).filter(|number| set & bit(*number) != 0) {
        // SAFETY: the action is SIG_DFL, so no code of ours can be called by it, and the structure is at least as long as the
        // kernel's on every 64-bit architecture.
        let result = unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                number,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                8_usize,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Ignores a signal (`SIG_IGN`). Remember that this survives `execve`.
pub fn ignore(number: i32) -> io::Result<()> {
    // SAFETY: SIG_IGN runs no code of ours.
    let previous = unsafe { libc::signal(number, libc::SIG_IGN) };
    if previous == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, number) in [
            ("SIGTERM", Some(15)),
            ("term", Some(15)),
            ("15", Some(15)),
            ("RTMIN+3", Some(37)),
            ("SIGRTMAX", Some(64)),
            ("poll", Some(29)),
            ("64", Some(64)),
            ("0", None),
            ("65", None),
            ("-9", None),
            ("SIG", None),
            ("", None),
            ("NOPE", None),
        ] {
            assert_eq!(parse(text), number, "{text}");
        }
        for number in (1..=RTMAX).filter(|number| ![32, 33].contains(number)) {
            assert_eq!(parse(name(number).unwrap()), Some(number));
        }
        assert_eq!((name(6), name(29), name(0), name(32)), (Some("SIGABRT"), Some("SIGIO"), None, None));
    }

    #[test]
    fn a_blocked_signal_arrives_on_the_descriptor() {
        std::thread::spawn(|| {
            block(bit(libc::SIGUSR2), true).unwrap();
            let signals = fd(bit(libc::SIGUSR2)).unwrap();
            assert_eq!(read_fd(&signals).unwrap(), None);
            // SAFETY: the signal goes to this thread, which has it blocked.
            unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGUSR2) };
            assert_eq!(read_fd(&signals).unwrap(), Some(libc::SIGUSR2));
            assert_eq!(read_fd(&signals).unwrap(), None);
        })
        .join()
        .unwrap();
    }
}

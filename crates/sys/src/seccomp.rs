//! Installing a seccomp filter on the calling thread (and, by inheritance, on what it executes). Knows nothing about how the
//! program was made; the kernel checks it.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// `SECCOMP_FILTER_FLAG_TSYNC`.
pub const TSYNC: u64 = 1;
/// `SECCOMP_FILTER_FLAG_LOG`.
pub const LOG: u64 = 2;
/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`.
pub const SPEC_ALLOW: u64 = 4;
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
pub const NEW_LISTENER: u64 = 8;
/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` (Linux 5.19).
pub const WAIT_KILLABLE_RECV: u64 = 32;

/// The longest program the kernel takes (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// Installs `program`: one `struct sock_filter` per word, as [`instruction`] packs it. Needs `no_new_privs` or CAP_SYS_ADMIN.
/// Returns the notification descriptor with [`NEW_LISTENER`].
pub fn install(program: &[u64], flags: u64) -> io::Result<Option<OwnedFd>> {
    if program.is_empty() || program.len() > MAX_INSTRUCTIONS {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let header = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: a word has the size of `struct sock_filter` and at least its alignment; the kernel copies the program and does not
    // write to it.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const header) };
    match result {
        0 => Ok(None),
        // SAFETY: with NEW_LISTENER a positive result is a new descriptor that nobody else owns.
        fd if fd > 0 && flags & NEW_LISTENER != 0 => Ok(Some(unsafe { OwnedFd::from_raw_fd(fd as i32) })),
        // A positive result otherwise is the thread that TSYNC could not change.
        fd if fd > 0 => Err(io::Error::from_raw_os_error(libc::EBUSY)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether the kernel knows a return action (`SECCOMP_RET_*`): a profile with an unknown one must not be installed, since the
/// kernel would treat it as a kill.
pub fn knows_action(action: u32) -> bool {
    // SAFETY: the kernel reads four bytes of a live integer.
    unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) == 0 }
}

/// Packs one classic BPF instruction the way `struct sock_filter` lies in memory.
pub const fn instruction(code: u16, jump_true: u8, jump_false: u8, k: u32) -> u64 {
    let c = code.to_ne_bytes();
    let k = k.to_ne_bytes();
    u64::from_ne_bytes([c[0], c[1], jump_true, jump_false, k[0], k[1], k[2], k[3]])
}

/// The parts of a packed instruction: code, jump if true, jump if false, k.
pub const fn unpack(word: u64) -> (u16, u8, u8, u32) {
    let b = word.to_ne_bytes();
    (u16::from_ne_bytes([b[0], b[1]]), b[2], b[3], u32::from_ne_bytes([b[4], b[5], b[6], b[7]]))
}

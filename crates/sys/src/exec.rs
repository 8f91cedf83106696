//! `execve(2)` and what must be right just before it. Never searches `PATH` and never reads the environment: the caller has
//! both as data.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// Argument or environment strings in the form that the kernel takes, made before the clone so that the child does not allocate.
#[derive(Debug)]
pub struct Strings {
    /// Keeps the memory that `pointers` points into.
    _strings: Vec<CString>,
    pointers: Vec<*const libc::c_char>,
}

impl Strings {
    /// Refuses strings with a NUL byte inside.
    pub fn new<S: Into<Vec<u8>>>(strings: impl IntoIterator<Item = S>) -> Result<Self, std::ffi::NulError> {
        let strings = strings.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>()?;
        let pointers = strings.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect();
        Ok(Self { _strings: strings, pointers })
    }
}

/// Replaces the process's program; returns only on failure.
pub fn execve(path: &CStr, arguments: &Strings, environment: &Strings) -> io::Error {
    // SAFETY: the path is NUL-terminated; both arrays end with a null pointer, and their strings live as long as the arrays.
    unsafe { libc::execve(path.as_ptr(), arguments.pointers.as_ptr(), environment.pointers.as_ptr()) };
    io::Error::last_os_error()
}

/// Replaces the process's program by the file behind `fd` (`execveat` with an empty path); returns only on failure. A script
/// cannot be run this way when the descriptor is close-on-exec.
pub fn fexecve(fd: impl AsFd, arguments: &Strings, environment: &Strings) -> io::Error {
    // SAFETY: as for `execve`; the descriptor is borrowed for the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd.as_fd().as_raw_fd(),
            c"".as_ptr(),
            arguments.pointers.as_ptr(),
            environment.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}

/// Closes every descriptor from 3 on but these. For a process that has a table of descriptors of its own and shares the memory in
/// which their owners are, or will not use those any more.
pub fn close_all_but(keep: &mut [RawFd]) -> io::Result<()> {
    let close = |first: u32, last: u32| {
        // SAFETY: the caller's promise: nobody uses these in this process any more.
        let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    keep.sort_unstable();
    let mut next = 3;
    for fd in keep.iter().filter_map(|fd| u32::try_from(*fd).ok()) {
        if fd > next {
            close(next, fd - 1)?;
        }
        next = next.max(fd + 1);
    }
    close(next, u32::MAX)
}

/// Marks every descriptor from `first` on close-on-exec (one call, Linux 5.11), so that nothing of ours reaches the new program
/// even if some library forgot the flag.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: only flags of descriptors change; each stays open until execve.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

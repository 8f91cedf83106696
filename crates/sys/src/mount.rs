//! The calls of the new mount API that rustix lacks: `mount_setattr(2)`, and the text that a failed `fsconfig` leaves in the
//! context's log.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// `MOUNT_ATTR_*` of linux/mount.h.
pub mod attr {
    /// `MOUNT_ATTR_RDONLY`.
    pub const RDONLY: u64 = 0x1;
    /// `MOUNT_ATTR_NOSUID`.
    pub const NOSUID: u64 = 0x2;
    /// `MOUNT_ATTR_NODEV`.
    pub const NODEV: u64 = 0x4;
    /// `MOUNT_ATTR_NOEXEC`.
    pub const NOEXEC: u64 = 0x8;
    /// `MOUNT_ATTR__ATIME`: the field of the access-time modes; must be cleared whenever one of them is set.
    pub const ATIME: u64 = 0x70;
    /// `MOUNT_ATTR_RELATIME`: the mode that is zero.
    pub const RELATIME: u64 = 0;
    /// `MOUNT_ATTR_NOATIME`.
    pub const NOATIME: u64 = 0x10;
    /// `MOUNT_ATTR_STRICTATIME`.
    pub const STRICTATIME: u64 = 0x20;
    /// `MOUNT_ATTR_NODIRATIME`.
    pub const NODIRATIME: u64 = 0x80;
    /// `MOUNT_ATTR_IDMAP`.
    pub const IDMAP: u64 = 0x0010_0000;
    /// `MOUNT_ATTR_NOSYMFOLLOW`.
    pub const NOSYMFOLLOW: u64 = 0x0020_0000;
}

/// What [`setattr`] changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attributes<'a> {
    /// `attr::*` to set.
    pub set: u64,
    /// `attr::*` to clear.
    pub clear: u64,
    /// `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`, `MS_UNBINDABLE` or 0 for no change.
    pub propagation: u64,
    /// The user namespace whose mapping the mount gets (with `attr::IDMAP` in `set`).
    pub user_namespace: Option<BorrowedFd<'a>>,
    /// The whole tree below, not only this mount.
    pub recursive: bool,
}

/// `mount_setattr(2)`; with an empty `path` on the mount that `fd` is the root of.
pub fn setattr(fd: impl AsFd, path: &CStr, attributes: Attributes<'_>) -> io::Result<()> {
    #[repr(C)]
    struct MountAttr {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    let value = MountAttr {
        set: attributes.set,
        clear: attributes.clear,
        propagation: attributes.propagation,
        user_namespace: attributes.user_namespace.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    let empty = if path.is_empty() { libc::AT_EMPTY_PATH } else { 0 };
    let recursive = if attributes.recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: descriptor and path are borrowed for the call, and the size passed is the structure's (MOUNT_ATTR_SIZE_VER0).
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_fd().as_raw_fd(),
            path.as_ptr(),
            empty | recursive,
            &raw const value,
            size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The messages of a file system context (`fsopen`), errors and warnings, joined by "; ". Empty when the kernel left none.
pub fn context_log(context: impl AsFd) -> String {
    let mut text = String::new();
    let mut buffer = [0_u8; 512];
    while let Ok(count) = rustix::io::read(&context, &mut buffer) {
        // Each read is one message: "e message", "w message" or "i message".
        let message = String::from_utf8_lossy(&buffer[..count]);
        let message = message.trim_end();
        if count == 0 {
            break;
        }
        if let Some(message) = message.strip_prefix("e ").or_else(|| message.strip_prefix("w ")) {
            if !text.is_empty() {
                text.push_str("; ");
            }
            text.push_str(message);
        }
    }
    text
}

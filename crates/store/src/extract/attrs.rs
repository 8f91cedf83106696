//! Owner, mode, times and extended attributes of what was extracted, with as few system calls as the defaults allow.
//!
//! Order matters: a change of owner clears set-id bits and file capabilities, so owner comes first, then attributes, then
//! mode, then times. Nothing here follows a symbolic link in the last place.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, chmod, chownat, fchmod,
    fchown, fsetxattr, fstat, futimens, lsetxattr, openat, utimensat,
};
use rustix::io::{Errno, Result};

use crate::tar::{Entry, Kind, Time};

/// What a file should look like from outside.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attributes {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: Time,
    pub atime: Time,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a file gets without being asked: who creates it, and the bits taken from its mode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Creator {
    pub uid: u32,
    pub gid: u32,
    pub umask: u32,
}

impl Creator {
    pub fn current() -> Creator {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Creator { uid, gid, umask: crate::fsutil::umask() }
    }
}

/// Whether this is a user namespace with nobody but root, made where a user has no range of ids.
fn is_alone() -> bool {
    static ALONE: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *ALONE.get_or_init(|| {
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        map.split_ascii_whitespace().skip(2).eq(["1"])
    })
}

impl Attributes {
    /// An entry's attributes; `None` when owner or group are no 32-bit numbers.
    pub fn of(entry: &Entry, owner: Option<(u32, u32)>) -> Option<Attributes> {
        let id = |id: i64| u32::try_from(id).ok();
        let (uid, gid) = match owner {
            Some(owner) => owner,
            // Nobody else is there: as if all were his.
            None if is_alone() => (0, 0),
            None => (id(entry.uid)?, id(entry.gid)?),
        };
        let bounded = |time| if entry.kind == Kind::Symlink { time } else { bounded(time) };
        let mtime = bounded(entry.mtime);
        // Docker: a file is never older in access than in modification.
        let atime = entry.atime.map_or(mtime, |atime| bounded(atime).max(mtime));
        let xattrs = entry.xattrs.iter().filter(|(name, _)| !is_overlay_xattr(name)).cloned().collect();
        Some(Attributes { mode: entry.mode, uid, gid, mtime, atime, xattrs })
    }

    /// For a regular file or folder just created with `created` as its mode, open for writing or listing.
    pub fn apply_to_new(&self, file: BorrowedFd<'_>, created: u32, creator: Creator) -> Result<()> {
        let owned = (self.uid, self.gid) == (creator.uid, creator.gid);
        if !owned {
            fchown(file, uid(self.uid), gid(self.gid))?;
        }
        for (name, value) in &self.xattrs {
            tolerate(fsetxattr(file, name.as_slice(), value, XattrFlags::empty()))?;
        }
        if self.mode != created & !creator.umask || self.mode_disturbed(owned) {
            fchmod(file, Mode::from_raw_mode(self.mode))?;
        }
        futimens(file, &self.times())
    }

    /// For a regular file or folder, open for writing or listing: sets what differs.
    pub fn apply_to_open(&self, file: BorrowedFd<'_>) -> Result<()> {
        let stat = fstat(file)?;
        let owned = (stat.st_uid, stat.st_gid) == (self.uid, self.gid);
        if !owned {
            fchown(file, uid(self.uid), gid(self.gid))?;
        }
        for (name, value) in &self.xattrs {
            tolerate(fsetxattr(file, name.as_slice(), value, XattrFlags::empty()))?;
        }
        if stat.st_mode & 0o7777 != self.mode || self.mode_disturbed(owned) {
            fchmod(file, Mode::from_raw_mode(self.mode))?;
        }
        futimens(file, &self.times())
    }

    /// For anything that is there, opened by nobody: sets what differs.
    pub fn apply_to_existing(&self, dir: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
        let file = openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let stat = fstat(&file)?;
        let link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        let owned = (stat.st_uid, stat.st_gid) == (self.uid, self.gid);
        if !owned {
            chownat(&file, c"", uid(self.uid), gid(self.gid), AtFlags::EMPTY_PATH)?;
        }
        for (key, value) in &self.xattrs {
            let path = xattr_path(dir, name);
            tolerate(lsetxattr(path.as_slice(), key.as_slice(), value, XattrFlags::empty()))?;
        }
        if !link && (stat.st_mode & 0o7777 != self.mode || self.mode_disturbed(owned)) {
            // The magic link leads to this very inode; a path could have become a symbolic link meanwhile.
            chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), Mode::from_raw_mode(self.mode))?;
        }
        utimensat(dir, name, &self.times(), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// What was just set has changed the mode: an owner took set-id bits away, an access control list has its own idea.
    fn mode_disturbed(&self, owned: bool) -> bool {
        let acl = || self.xattrs.iter().any(|(name, _)| name == b"system.posix_acl_access");
        (!owned && self.mode & 0o6000 != 0) || acl()
    }

    pub fn times(&self) -> Timestamps {
        let spec = |time: Time| Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds };
        Timestamps { last_access: spec(self.atime), last_modification: spec(self.mtime) }
    }
}

/// Times before 1970, and those that nanoseconds in 63 bits can't count, become 1970: as in Docker, for all but symbolic links.
fn bounded(time: Time) -> Time {
    let last = i64::MAX / 1_000_000_000;
    if (0..last).contains(&time.seconds) { time } else { Time::default() }
}

pub(crate) fn uid(uid: u32) -> Option<Uid> {
    Some(Uid::from_raw(uid))
}

pub(crate) fn gid(gid: u32) -> Option<Gid> {
    Some(Gid::from_raw(gid))
}

/// A path whose last part is not followed by the `l…xattr` calls (there are no `…at` variants before Linux 6.13).
pub(crate) fn xattr_path(dir: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    [format!("/proc/self/fd/{}/", dir.as_raw_fd()).as_bytes(), name].concat()
}

/// Overlayfs' own attributes: taken from an archive, they would redirect lookups into other layers.
pub(crate) fn is_overlay_xattr(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}

/// File systems without attributes, and users who may not set them, get the file without (as in Docker).
fn tolerate(result: Result<()>) -> Result<()> {
    match result {
        Err(Errno::NOTSUP | Errno::PERM) => Ok(()),
        other => other,
    }
}

/// Marks a folder as hiding all that lower layers have in its place. Without privilege the kernel reads `user.overlay.*`
/// (mount option `userxattr`); on overlayfs itself before Linux 6.7 nobody may set the other.
pub(crate) fn set_opaque(folder: BorrowedFd<'_>) -> Result<()> {
    match fsetxattr(folder, c"trusted.overlay.opaque", b"y", XattrFlags::empty()) {
        Err(Errno::PERM | Errno::OPNOTSUPP) => {
            fsetxattr(folder, c"user.overlay.opaque", b"y", XattrFlags::empty())
        }
        other => other,
    }
}

/// Whether a folder (open for listing) hides what lower layers have in its place.
pub(crate) fn is_opaque(folder: BorrowedFd<'_>) -> bool {
    [c"trusted.overlay.opaque", c"user.overlay.opaque"].into_iter().any(|name| {
        let mut value = [0u8; 4];
        matches!(rustix::fs::fgetxattr(folder, name, &mut value), Ok(1) if value[0] == b'y')
    })
}

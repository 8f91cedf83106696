//! Copies single files and whole trees with all their attributes, sharing blocks where the file system can.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::SyncSender;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, copy_file_range, ioctl_ficlone, linkat, llistxattr, mkdirat,
    mknodat, openat, readlinkat, symlinkat,
};
use rustix::io::Errno;

use crate::extract::{Attributes, is_opaque, is_overlay_xattr, set_opaque, xattr_path};
use crate::fsutil::{is_whiteout, list, lstat, make_whiteout};
use crate::tar::Time;

type IoResult<T> = rustix::io::Result<T>;

/// Files that may be open because the kernel has not been told yet to write them.
const OPEN_AT_ONCE: usize = 32;

/// Attributes of a file that is there.
pub(crate) fn attributes(dir: BorrowedFd<'_>, name: &[u8], stat: &Stat) -> IoResult<Attributes> {
    let time = |seconds: i64, nanoseconds: u64| Time { seconds, nanoseconds: nanoseconds as i64 };
    Ok(Attributes {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: time(stat.st_mtime, stat.st_mtime_nsec),
        atime: time(stat.st_atime, stat.st_atime_nsec),
        xattrs: xattrs(dir, name)?,
    })
}

/// Extended attributes except overlayfs' own and SELinux labels, which belong to the host.
pub(crate) fn xattrs(dir: BorrowedFd<'_>, name: &[u8]) -> IoResult<Vec<(Vec<u8>, Vec<u8>)>> {
    let path = xattr_path(dir, name);
    let mut names = vec![0u8; 4096];
    let length = loop {
        match llistxattr(path.as_slice(), &mut names) {
            Ok(length) => break length,
            Err(Errno::RANGE) if names.len() < 1 << 20 => names.resize(names.len() * 4, 0),
            Err(Errno::NOTSUP) => break 0,
            Err(errno) => return Err(errno),
        }
    };
    let mut xattrs = Vec::new();
    for key in names[..length].split(|byte| *byte == 0).filter(|key| !key.is_empty()) {
        if is_overlay_xattr(key) || key == b"security.selinux" {
            continue;
        }
        let mut value = vec![0u8; 256];
        loop {
            match rustix::fs::lgetxattr(path.as_slice(), key, &mut value) {
                Ok(length) => {
                    value.truncate(length);
                    xattrs.push((key.to_vec(), value));
                    break;
                }
                Err(Errno::RANGE) if value.len() < 1 << 20 => value.resize(value.len() * 4, 0),
                // Removed meanwhile.
                Err(Errno::NODATA) => break,
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(xattrs)
}

/// Copies anything but a folder to a name that is free.
pub(crate) fn copy_node(
    from: BorrowedFd<'_>,
    from_name: &[u8],
    stat: &Stat,
    to: BorrowedFd<'_>,
    to_name: &[u8],
) -> IoResult<()> {
    drop(copy_content_of(from, from_name, stat, to, to_name)?);
    attributes(from, from_name, stat)?.apply_to_existing(to, to_name)
}

/// The copy, open, where it is a file.
fn copy_content_of(
    from: BorrowedFd<'_>,
    from_name: &[u8],
    stat: &Stat,
    to: BorrowedFd<'_>,
    to_name: &[u8],
) -> IoResult<Option<OwnedFd>> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return copy_file(from, from_name, to, to_name).map(Some),
        FileType::Symlink => {
            let target = readlinkat(from, from_name, Vec::new())?;
            symlinkat(target.as_c_str(), to, to_name)?;
        }
        kind => mknodat(to, to_name, kind, Mode::from_raw_mode(stat.st_mode & 0o7777), stat.st_rdev)?,
    }
    Ok(None)
}

fn copy_file(
    from: BorrowedFd<'_>,
    from_name: &[u8],
    to: BorrowedFd<'_>,
    to_name: &[u8],
) -> IoResult<OwnedFd> {
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let source = openat(from, from_name, read, Mode::empty())?;
    let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = openat(to, to_name, write, Mode::from_raw_mode(0o600))?;
    copy_content(&source, &target)?;
    Ok(target)
}

/// Shares blocks if possible, else lets the kernel copy, else copies; holes stay holes in the first case only.
pub(crate) fn copy_content(source: &OwnedFd, target: &OwnedFd) -> IoResult<()> {
    if ioctl_ficlone(target, source).is_ok() {
        return Ok(());
    }
    loop {
        match copy_file_range(source, None, target, None, 1 << 30) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => break,
            Err(errno) => return Err(errno),
        }
    }
    // Whatever is left: nothing after a full kernel copy, all of it after a refusal.
    let mut buffer = vec![0u8; 128 * 1024];
    loop {
        let count = rustix::io::retry_on_intr(|| rustix::io::read(source, &mut buffer[..]))?;
        if count == 0 {
            return Ok(());
        }
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            let written = rustix::io::retry_on_intr(|| rustix::io::write(target, rest))?;
            rest = &rest[written..];
        }
    }
}

/// Where files with several names were copied to, by device and inode: paths below the top.
type Links = HashMap<(u64, u64), Vec<u8>>;

/// Copies what is in one folder into another, hard links among it kept. What is in the way makes it fail.
pub(crate) fn copy_tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> IoResult<()> {
    let mut links = HashMap::new();
    copy_below(from, to, to, b"", &mut links)
}

fn copy_below(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    top: BorrowedFd<'_>,
    path: &[u8],
    links: &mut Links,
) -> IoResult<()> {
    for (name, _) in list(from)? {
        let stat = lstat(from, &name)?;
        let target = crate::extract::join(path, &name);
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let (source, made) = make_folder(from, to, &name)?;
            copy_below(source.as_fd(), made.as_fd(), top, &target, links)?;
            attributes(from, &name, &stat)?.apply_to_open(made.as_fd())?;
            continue;
        }
        if link_again(&stat, top, target, to, &name, links)? {
            continue;
        }
        copy_node(from, &name, &stat, to, &name)?;
    }
    Ok(())
}

/// Makes a folder of the same name; both, open.
fn make_folder(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &[u8]) -> IoResult<(OwnedFd, OwnedFd)> {
    mkdirat(to, name, Mode::RWXU)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok((openat(from, name, flags, Mode::empty())?, openat(to, name, flags, Mode::empty())?))
}

/// Makes another name of a file that was copied under one before; whether it was. If not, it will be at `path`.
fn link_again(
    stat: &Stat,
    top: BorrowedFd<'_>,
    path: Vec<u8>,
    to: BorrowedFd<'_>,
    name: &[u8],
    links: &mut Links,
) -> IoResult<bool> {
    if stat.st_nlink < 2 {
        return Ok(false);
    }
    let key = (stat.st_dev, stat.st_ino);
    if let Some(first) = links.get(&key) {
        linkat(top, first.as_slice(), to, name, AtFlags::empty())?;
        return Ok(true);
    }
    links.insert(key, path);
    Ok(false)
}

/// Copies an upper folder into an empty one, as a layer that was unpacked from its tar would be: with what hides things below,
/// without sockets, times in whole seconds. The bytes of its files and links. Each file begins its way to the disk as soon as
/// it is copied.
pub(crate) fn copy_changes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> IoResult<u64> {
    let (writing, copied) = std::sync::mpsc::sync_channel(OPEN_AT_ONCE);
    std::thread::scope(|scope| {
        // The kernel may make this call wait for the disk.
        scope.spawn(|| copied.into_iter().for_each(|file: OwnedFd| sys::fsutil::start_writing(file.as_fd())));
        let mut changes = Changes { top: to, links: HashMap::new(), writing };
        changes.copy_below(from, to, b"")
    })
}

struct Changes<'a> {
    top: BorrowedFd<'a>,
    links: Links,
    /// Files whose content is complete.
    writing: SyncSender<OwnedFd>,
}

impl Changes<'_> {
    fn copy_below(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, path: &[u8]) -> IoResult<u64> {
        let mut size = 0;
        for (name, kind) in list(from)? {
            let stat = match lstat(from, &name) {
                // Gone since it was listed.
                Err(Errno::NOENT) => continue,
                stat => stat?,
            };
            if kind == FileType::Socket {
                continue;
            }
            if is_whiteout(&stat) {
                make_whiteout(to, &name)?;
                continue;
            }
            let target = crate::extract::join(path, &name);
            if kind == FileType::Directory {
                let (source, made) = make_folder(from, to, &name)?;
                size += self.copy_below(source.as_fd(), made.as_fd(), &target)?;
                whole_seconds(attributes(from, &name, &stat)?).apply_to_open(made.as_fd())?;
                if is_opaque(source.as_fd()) {
                    set_opaque(made.as_fd())?;
                }
                continue;
            }
            if link_again(&stat, self.top, target, to, &name, &mut self.links)? {
                continue;
            }
            if let Some(file) = copy_content_of(from, &name, &stat, to, &name)? {
                // Without a listener it is only later that it is written.
                let _ = self.writing.send(file);
            }
            whole_seconds(attributes(from, &name, &stat)?).apply_to_existing(to, &name)?;
            if matches!(kind, FileType::RegularFile | FileType::Symlink) {
                size += stat.st_size as u64;
            }
        }
        Ok(size)
    }
}

fn whole_seconds(attributes: Attributes) -> Attributes {
    let mtime = Time { nanoseconds: 0, ..attributes.mtime };
    Attributes { mtime, atime: mtime, ..attributes }
}

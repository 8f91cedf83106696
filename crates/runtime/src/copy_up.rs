//! "tmpcopyup": a new tmpfs begins with a copy of what the image has there. Follows no link and copies no device.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

/// Copies the content of the folder `from` to the folder `to`, and the folder's mode and owner.
pub fn copy(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    // Both are mere paths.
    let open = |fd: &OwnedFd| {
        rustix::fs::openat(fd, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    };
    folder(&open(from)?, &open(to)?)
}

fn folder(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    let read = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                rustix::fs::mkdirat(to, name, Mode::RWXU)?;
                let from = rustix::fs::openat(from, name, read | OFlags::DIRECTORY, Mode::empty())?;
                let to = rustix::fs::openat(to, name, read | OFlags::DIRECTORY, Mode::empty())?;
                folder(&from, &to)?;
            }
            FileType::RegularFile => {
                let from = rustix::fs::openat(from, name, read, Mode::empty())?;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let to = rustix::fs::openat(to, name, flags, Mode::RWXU)?;
                content(&from, &to)?;
                attributes(&to, &stat)?;
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(target.as_c_str(), to, name)?;
                let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
                rustix::fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
            }
            _ => {}
        }
    }
    attributes(to, &rustix::fs::fstat(from)?)
}

fn attributes(file: impl AsFd, stat: &Stat) -> Result<(), Errno> {
    // The owner first: a change of it takes set-user-id bits away.
    rustix::fs::fchown(&file, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(stat.st_mode & 0o7777))
}

fn content(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    let mut buffer = vec![0; 65_536];
    loop {
        let count = rustix::io::read(from, &mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            rest = &rest[rustix::io::write(to, rest)?..];
        }
    }
}

//! Tar streams of paths inside a root, as `docker cp` wants them (`GET`, `HEAD` and `PUT …/archive`).
//!
//! `root` may be a live container's: every path is resolved by the kernel with that root, so neither an absolute link nor a
//! race can lead to the host's files. A path's last component is not followed unless it ends with `/` or `/.`.

use std::io::{BufWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, readlinkat};
use rustix::io::Errno;

use crate::decompress::plain;
use crate::error::{Context, Error, Result};
use crate::extract::{Extractor, Purpose, clean_user_path, join, split};
use crate::fsutil::{lstat, open_in_root};
use crate::pack::Packer;
use crate::tar::Reader;

/// What `X-Docker-Container-Path-Stat` carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathStat {
    /// Last component of the path asked for (`/` for the root).
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Go's `os.FileMode` bits (type in the high bits, permissions in the low nine).
    pub mode: u32,
    pub mtime: jiff::Timestamp,
    /// Where a symbolic link leads inside the root, else empty.
    pub link_target: String,
}

/// How to pack.
#[derive(Clone, Debug, Default)]
pub struct PackOptions {}

/// How to unpack.
#[derive(Clone, Debug, Default)]
pub struct UnpackOptions {
    /// Refuse to replace a directory by something else and the other way round.
    pub no_overwrite_dir_non_dir: bool,
    /// Give everything to this uid and gid instead of the archive's.
    pub owner: Option<(u32, u32)>,
}

/// Something inside a root: the folder it is in, its name there, and what it is.
struct Located {
    folder: OwnedFd,
    name: Vec<u8>,
    stat: Stat,
    /// What the client calls it.
    shown: String,
}

/// Looks at `path` inside `root` without leaving it.
///
/// # Errors
/// `NotFound` when there is nothing at `path`.
pub fn stat(root: BorrowedFd<'_>, path: &str) -> Result<PathStat> {
    let found = locate(root, path)?;
    let link_target = match FileType::from_raw_mode(found.stat.st_mode) {
        FileType::Symlink => link_target(root, path, &found)?,
        _ => String::new(),
    };
    let stat = &found.stat;
    Ok(PathStat {
        name: found.shown,
        size: stat.st_size as u64,
        mode: go_mode(stat.st_mode),
        mtime: jiff::Timestamp::new(stat.st_mtime, stat.st_mtime_nsec as i32).unwrap_or_default(),
        link_target,
    })
}

/// Writes a tar of `path` inside `root`; entries are named by the path's last component.
pub fn pack(root: BorrowedFd<'_>, path: &str, _options: &PackOptions, out: impl Write) -> Result<()> {
    let found = locate(root, path)?;
    let mut packer = Packer::new(BufWriter::with_capacity(64 * 1024, out));
    match found.shown.as_str() {
        // The root's entries have no name to stand below.
        "/" => packer.add(found.folder.as_fd(), &found.name, b"")?,
        shown => packer.add(found.folder.as_fd(), &found.name, shown.as_bytes())?,
    }
    packer.finish()?;
    Ok(())
}

/// Extracts a tar (plain, gzip or zstd) into the directory `path` inside `root`.
///
/// # Errors
/// `NotFound` when there is no `path`, `Invalid` when it is no directory or something would be replaced by something of
/// another kind against the options, `Corrupt` for a bad archive.
pub fn unpack(
    root: BorrowedFd<'_>,
    path: &str,
    options: &UnpackOptions,
    archive: impl Read + Send,
) -> Result<()> {
    let clean = clean_user_path(path.as_bytes());
    match open_in_root(root, &clean, OFlags::PATH, Mode::empty()) {
        Ok(target) => {
            let stat = fstat(&target).context(|| format!("stat {path}"))?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                return Err(Error::Invalid("extraction point is not a directory".to_owned()));
            }
        }
        Err(errno) => return Err(not_found(errno, path)),
    }
    let purpose =
        Purpose::Copy { no_overwrite_dir_non_dir: options.no_overwrite_dir_non_dir, owner: options.owner };
    plain(archive, |plain| {
        let mut extractor = Extractor::new(root, &clean, purpose);
        extractor.extract(&mut Reader::new(plain))?;
        extractor.finish()
    })
}

/// Resolves the folder of a path, and with a trailing slash or dot the last component too.
fn locate(root: BorrowedFd<'_>, path: &str) -> Result<Located> {
    let clean = clean_user_path(path.as_bytes());
    let follow = path.ends_with('/') || path.ends_with("/.") || path == ".";
    let shown = match path.rsplit('/').next() {
        Some(".") => ".".to_owned(),
        _ if clean.is_empty() => "/".to_owned(),
        _ => String::from_utf8_lossy(split(&clean).1).into_owned(),
    };
    if clean.is_empty() || follow {
        let folder = open_in_root(root, &clean, OFlags::PATH, Mode::empty());
        let folder = folder.map_err(|errno| not_found(errno, path))?;
        let stat = fstat(&folder).context(|| format!("stat {path}"))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(Error::Invalid(format!("{path}: not a directory")));
        }
        return Ok(Located { folder, name: b".".to_vec(), stat, shown });
    }
    let (parent, name) = split(&clean);
    let folder = open_in_root(root, parent, OFlags::PATH | OFlags::DIRECTORY, Mode::empty());
    let folder = folder.map_err(|errno| not_found(errno, path))?;
    let stat = lstat(folder.as_fd(), name).map_err(|errno| not_found(errno, path))?;
    Ok(Located { folder, name: name.to_vec(), stat, shown })
}

fn not_found(errno: Errno, path: &str) -> Error {
    match errno {
        Errno::NOENT | Errno::NOTDIR => Error::NotFound(format!("Could not find the file {path}")),
        errno => Error::io(format!("open {path}"), errno),
    }
}

/// The end of a chain of links, as an absolute path inside the root, whether or not something is there.
fn link_target(root: BorrowedFd<'_>, path: &str, found: &Located) -> Result<String> {
    let clean = clean_user_path(path.as_bytes());
    if let Ok(target) = open_in_root(root, &clean, OFlags::PATH, Mode::empty())
        && let Some(inside) = path_inside(root, &target)
    {
        return Ok(inside);
    }
    let target = readlinkat(&found.folder, found.name.as_slice(), Vec::new());
    let target = target.context(|| format!("read link {path}"))?.into_bytes();
    let whole = if target.starts_with(b"/") { target } else { join(split(&clean).0, &target) };
    Ok(format!("/{}", String::from_utf8_lossy(&clean_user_path(&whole))))
}

/// The path of an open file relative to an open root, as the kernel knows it.
fn path_inside(root: BorrowedFd<'_>, file: &OwnedFd) -> Option<String> {
    use std::os::fd::AsRawFd;
    let read = |fd: i32| std::fs::read_link(format!("/proc/self/fd/{fd}")).ok();
    let (root, file) = (read(root.as_raw_fd())?, read(file.as_raw_fd())?);
    // A detached mount's root is "/".
    let inside = file.strip_prefix(&root).ok()?;
    Some(format!("/{}", inside.to_string_lossy()))
}

/// Go's `os.FileMode` of a `st_mode`.
fn go_mode(mode: u32) -> u32 {
    let kind = match FileType::from_raw_mode(mode) {
        FileType::Directory => 1 << 31,
        FileType::Symlink => 1 << 27,
        FileType::BlockDevice => 1 << 26,
        FileType::CharacterDevice => 1 << 26 | 1 << 21,
        FileType::Fifo => 1 << 25,
        FileType::Socket => 1 << 24,
        _ => 0,
    };
    let flag = |bit: u32, go: u32| if mode & bit != 0 { 1 << go } else { 0 };
    kind | flag(0o4000, 23) | flag(0o2000, 22) | flag(0o1000, 20) | mode & 0o777
}

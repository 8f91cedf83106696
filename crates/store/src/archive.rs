//! Tar streams of paths inside a root, as `docker cp` wants them.

use std::io::{Read, Write};
use std::os::fd::BorrowedFd;

use crate::Result;

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

/// Looks at `path` inside `root` without leaving it.
pub fn stat(_root: BorrowedFd<'_>, _path: &str) -> Result<PathStat> {
    unreachable!("in progress")
}

/// Writes a tar of `path` inside `root`; entries are named by the path's last component.
pub fn pack(_root: BorrowedFd<'_>, _path: &str, _options: &PackOptions, _out: impl Write) -> Result<()> {
    unreachable!("in progress")
}

/// Extracts a tar (plain, gzip or zstd) into the directory `path` inside `root`.
pub fn unpack(
    _root: BorrowedFd<'_>,
    _path: &str,
    _options: &UnpackOptions,
    _archive: impl Read + Send,
) -> Result<()> {
    unreachable!("in progress")
}

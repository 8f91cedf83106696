//! Images read without a container: what is in a folder, what is in a file.
//!
//! Works on the stack of layers as it lies on disk; nothing is mounted. Paths are resolved as a process inside would: links
//! are followed, and none leads out.

use std::fs::File;

use image::Digest;
use rustix::fs::{FileType, major, minor};

use crate::error::{Error, Result};
use crate::extract::join;
use crate::merged::{Found, Merged, host_path};
use crate::store::Store;
use crate::{FileInfo, FileKind};

impl Store {
    /// What is at `path` in an image: a folder's entries sorted by name, or the one file.
    ///
    /// # Errors
    /// `NotFound` when there is nothing at `path`.
    pub fn list_files(&self, id: &Digest, path: &str) -> Result<Vec<FileInfo>> {
        let merged = Merged::open(&self.chain_paths(id)?)?;
        let (at, found) = resolve(&merged, path)?;
        if found.is_some_and(|found| found.kind() != FileType::Directory) {
            return merged.find(&at)?.iter().map(|found| info(&merged, found, &at)).collect();
        }
        let entries = merged.list(&at)?;
        entries.iter().map(|(name, found)| info(&merged, found, &join(&at, name))).collect()
    }

    /// Opens a regular file of an image for reading.
    ///
    /// # Errors
    /// `NotFound` when there is nothing at `path`, `Invalid` when it is a folder or a device.
    pub fn open_file(&self, id: &Digest, path: &str) -> Result<File> {
        let merged = Merged::open(&self.chain_paths(id)?)?;
        let (at, found) = resolve(&merged, path)?;
        match found {
            Some(found) if found.kind() == FileType::RegularFile => {
                Ok(merged.open_found(&found, &at)?.into())
            }
            found => {
                let what = if found.is_none_or(|found| found.kind() == FileType::Directory) {
                    "a directory"
                } else {
                    "no regular file"
                };
                Err(Error::Invalid(format!("{path} is {what}")))
            }
        }
    }
}

/// Where a user's path leads; the root itself is `None`.
fn resolve(merged: &Merged, path: &str) -> Result<(Vec<u8>, Option<Found>)> {
    let missing = || Error::NotFound(format!("no such file or directory in the image: {path}"));
    if path.split('/').all(|part| matches!(part, "" | "." | "..")) {
        return Ok((Vec::new(), None));
    }
    let (at, found) = merged.resolve(path.as_bytes(), true)?.ok_or_else(missing)?;
    let found = (!at.is_empty()).then_some(found);
    let is_directory = found.as_ref().is_none_or(|found| found.kind() == FileType::Directory);
    if path.ends_with('/') && !is_directory {
        return Err(missing());
    }
    Ok((at, found))
}

/// Everything a listing shows of a file found at a clean path.
pub(crate) fn info(merged: &Merged, found: &Found, path: &[u8]) -> Result<FileInfo> {
    let stat = &found.stat;
    let kind = match found.kind() {
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        FileType::CharacterDevice => FileKind::CharDevice(major(stat.st_rdev), minor(stat.st_rdev)),
        FileType::BlockDevice => FileKind::BlockDevice(major(stat.st_rdev), minor(stat.st_rdev)),
        FileType::Fifo => FileKind::Fifo,
        FileType::Socket => FileKind::Socket,
        _ => FileKind::File,
    };
    let link_target = match kind {
        FileKind::Symlink => Some(host_path("".as_ref(), &merged.read_link(found, path)?)),
        _ => None,
    };
    Ok(FileInfo {
        path: host_path("/".as_ref(), path),
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: if kind == FileKind::Directory { 0 } else { stat.st_size as u64 },
        modified: jiff::Timestamp::new(stat.st_mtime, stat.st_mtime_nsec as i32).unwrap_or_default(),
        link_target,
    })
}

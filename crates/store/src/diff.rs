//! What a container changed, as `docker diff` lists it.
//!
//! On overlayfs only the upper folder is walked. A folder counts as changed when its own mode, owner or time differ, or when
//! something appeared or vanished in it; a file that was copied up counts as changed whatever is in it.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{FileType, Mode, OFlags, Stat, openat};

use crate::error::{Context, Result};
use crate::extract::{is_opaque, join, show, split};
use crate::fsutil::{is_whiteout, list, lstat, open_dir};
use crate::merged::{Merged, host_path};
use crate::snapshot::directory_lower;
use crate::store::Store;
use crate::{Change, ChangeKind, Rootfs};

pub(crate) type Changes = BTreeMap<Vec<u8>, ChangeKind>;

impl Store {
    /// Paths that differ from the image, sorted.
    pub fn diff(&self, rootfs: &Rootfs) -> Result<Vec<Change>> {
        let mut changes = Changes::new();
        match rootfs {
            Rootfs::Overlay { lower, upper, .. } => {
                let upper = open_dir(upper).context(|| format!("open {}", upper.display()))?;
                overlay(&Merged::open(lower)?, upper.as_fd(), b"", &mut changes)?;
            }
            Rootfs::Directory(path) => {
                let folder = open_dir(path).context(|| format!("open {}", path.display()))?;
                directory(&Merged::open(&directory_lower(path)?)?, folder.as_fd(), b"", &mut changes)?;
            }
        }
        let change = |(path, kind): (Vec<u8>, _)| Change { path: host_path("/".as_ref(), &path), kind };
        Ok(changes.into_iter().map(change).collect())
    }
}

/// What a layer's folder changes of the layers below it.
pub(crate) fn overlay_changes(lower: &Merged, layer: BorrowedFd<'_>) -> Result<Changes> {
    let mut changes = Changes::new();
    overlay(lower, layer, b"", &mut changes)?;
    Ok(changes)
}

fn note(changes: &mut Changes, path: &[u8], kind: ChangeKind) {
    changes.insert(path.to_vec(), kind);
    let (parent, _) = split(path);
    if kind != ChangeKind::Modified && !parent.is_empty() {
        changes.entry(parent.to_vec()).or_insert(ChangeKind::Modified);
    }
}

fn overlay(lower: &Merged, folder: BorrowedFd<'_>, path: &[u8], changes: &mut Changes) -> Result<()> {
    for (name, stat) in entries(folder, path)? {
        let child = join(path, &name);
        let below = lower.find(&child)?;
        if is_whiteout(&stat) {
            if below.is_some() {
                note(changes, &child, ChangeKind::Deleted);
            }
            continue;
        }
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        match &below {
            None => note(changes, &child, ChangeKind::Added),
            Some(found) if is_directory && same_folder(&found.stat, &stat) => {}
            Some(_) => note(changes, &child, ChangeKind::Modified),
        }
        if !is_directory {
            continue;
        }
        let inner = open(folder, &name, &child)?;
        if below.is_some() && is_opaque(inner.as_fd()) {
            for gone in lower.list(&child)?.into_keys() {
                if lstat(inner.as_fd(), &gone).is_err() {
                    note(changes, &join(&child, &gone), ChangeKind::Deleted);
                }
            }
        }
        overlay(lower, inner.as_fd(), &child, changes)?;
    }
    Ok(())
}

fn directory(lower: &Merged, folder: BorrowedFd<'_>, path: &[u8], changes: &mut Changes) -> Result<()> {
    let mut before = lower.list(path)?;
    for (name, stat) in entries(folder, path)? {
        let child = join(path, &name);
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        match before.remove(&name) {
            None => note(changes, &child, ChangeKind::Added),
            Some(found) if is_directory && same_folder(&found.stat, &stat) => {}
            Some(found) if !is_directory && same_file(&found.stat, &stat) => {}
            Some(_) => note(changes, &child, ChangeKind::Modified),
        }
        if is_directory {
            directory(lower, open(folder, &name, &child)?.as_fd(), &child, changes)?;
        }
    }
    for gone in before.into_keys() {
        note(changes, &join(path, &gone), ChangeKind::Deleted);
    }
    Ok(())
}

fn entries(folder: BorrowedFd<'_>, path: &[u8]) -> Result<Vec<(Vec<u8>, Stat)>> {
    let context = || format!("list {}", show(path));
    let mut entries = Vec::new();
    for (name, _) in list(folder).context(context)? {
        let stat = lstat(folder, &name).context(context)?;
        entries.push((name, stat));
    }
    Ok(entries)
}

fn open(folder: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<std::os::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::empty()).context(|| format!("open {}", show(path)))
}

fn same_folder(a: &Stat, b: &Stat) -> bool {
    (a.st_mode, a.st_uid, a.st_gid, a.st_mtime, a.st_mtime_nsec)
        == (b.st_mode, b.st_uid, b.st_gid, b.st_mtime, b.st_mtime_nsec)
}

fn same_file(a: &Stat, b: &Stat) -> bool {
    same_folder(a, b) && a.st_size == b.st_size && a.st_rdev == b.st_rdev
}

//! Reading and writing cgroup files: small texts, one write per value, errors that name the file and the value.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::{Error, Result};

/// Writes `text` with one write(2): the kernel takes each write as one command.
pub fn write(path: &Path, text: impl AsRef<str>) -> Result<()> {
    let text = text.as_ref();
    raw_write(path, text).map_err(|error| Error::io(format!("write {text:?} to"), path, error))
}

/// A file that takes several commands.
pub struct Writer {
    path: PathBuf,
    file: OwnedFd,
}

impl Writer {
    pub fn open(path: &Path) -> Result<Self> {
        let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| Error::io("open", path, error))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// One write(2), one command.
    pub fn write(&self, text: &str) -> Result<()> {
        rustix::io::write(&self.file, text.as_bytes())
            .map(drop)
            .map_err(|error| Error::io(format!("write {text:?} to"), &self.path, error))
    }
}

/// As [`write`], without the story: for callers that go on after some errors.
pub fn raw_write(path: &Path, text: &str) -> io::Result<()> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(file, text.as_bytes())?;
    Ok(())
}

/// The whole file.
pub fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Error::io("read", path, error))
}

/// The whole file; `None` when there is none (the controller is missing, or the cgroup is gone).
pub fn read_if_there(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        // ENODEV: the cgroup was removed while the file was open.
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(19) => Ok(None),
        // ENOTSUP: the file exists but the kernel has the feature switched off.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(Error::io("read", path, error)),
    }
}

/// The number in a file; "max" and -1 are `None`, as is a missing file.
pub fn number(path: &Path) -> Result<Option<u64>> {
    Ok(read_if_there(path)?.and_then(|text| text.trim().parse().ok()))
}

/// Lines of `key value`.
pub fn flat_keyed(path: &Path) -> Result<BTreeMap<String, u64>> {
    let text = read_if_there(path)?.unwrap_or_default();
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    Ok(text.lines().filter_map(pair).collect())
}

/// One process id per line; none when the cgroup is gone.
pub fn pids(path: &Path) -> Result<Vec<i32>> {
    Ok(read_if_there(path)?.unwrap_or_default().lines().filter_map(|line| line.trim().parse().ok()).collect())
}

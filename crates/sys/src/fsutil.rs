//! Writing a whole file so that a reader, and after a crash the next boot, sees either the old content or the new one. Never
//! edits in place and never leaves a temporary file behind on an error. And what makes a sync of many files short.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Replaces `path` by `bytes` and returns when that survives a power loss: temporary file, fsync, rename, fsync of the folder.
pub fn write_durable(path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
    let path = path.as_ref();
    replace(path, bytes, true)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

/// Replaces `path` by `bytes` for every reader at once, without waiting for the disk: after a power loss either content may be
/// there.
pub fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
    replace(path.as_ref(), bytes, false)
}

/// Lets the kernel begin to write a file to the disk, so that a sync later has less to wait for. Whether it did is not told:
/// only that sync counts.
pub fn start_writing(file: BorrowedFd<'_>) {
    // SAFETY: passes a descriptor that is open for the duration of the call, and no memory.
    let _ = unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
}

fn replace(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    let temporary = temporary_beside(path)?;
    let written = File::create_new(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        if sync { file.sync_all() } else { Ok(()) }
    });
    let result = written.and_then(|()| std::fs::rename(&temporary, path));
    if result.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    result
}

/// `.<name>.<pid>-<count>.tmp` in the same folder: unique among the threads and processes of this machine, recognisable for a
/// clean-up after a crash.
fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    Ok(path.with_file_name(temporary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_replaced_and_nothing_stays() {
        let folder = std::env::temp_dir().join(format!("naru-fsutil-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("state.json");
        write_durable(&path, b"content 0").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "content 0");
        write_atomic(&path, b"content 1").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "content 1");
        assert!(write_durable(folder.join("missing/state.json"), b"x").is_err());
        std::fs::create_dir(folder.join("taken")).unwrap();
        std::fs::create_dir(folder.join("taken/inside")).unwrap();
        assert!(write_atomic(folder.join("taken"), b"x").is_err());
        let mut names: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["state.json", "taken"]);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

//! File-system steps that std lacks: resolving inside a root, removing big trees, durable and atomic writes.
//!
//! Everything goes through directory descriptors. Nothing here follows a symbolic link out of the directory it was given.

use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawDir, RenameFlags, ResolveFlags, Stat, StatxFlags, mknodat, openat,
    openat2, renameat_with, statat, statx, unlinkat,
};
use rustix::io::Errno;

pub use sys::fsutil::{write_atomic, write_durable};

pub(crate) const DIR_BUFFER: usize = 32 * 1024;

/// Opens a directory as a place to resolve from (`O_PATH`).
pub(crate) fn open_dir(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Opens `path` as seen by a process whose root is `root`: absolute links and `..` stay inside.
pub(crate) fn open_in_root(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    mode: Mode,
) -> rustix::io::Result<OwnedFd> {
    let path: &[u8] = if path.is_empty() { b"." } else { path };
    retry_moved(|| {
        openat2(
            root,
            path,
            flags | OFlags::CLOEXEC,
            mode,
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )
    })
}

/// Opens `path` below `root` only if no component of it is a symbolic link.
pub(crate) fn open_plain(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path: &[u8] = if path.is_empty() { b"." } else { path };
    retry_moved(|| {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    })
}

/// openat2 gives EAGAIN when a rename elsewhere could have moved the walk out of the root (openat2(2)).
fn retry_moved<T>(mut attempt: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    for _ in 0..64 {
        match attempt() {
            Err(Errno::AGAIN | Errno::INTR) => continue,
            other => return other,
        }
    }
    attempt()
}

/// A directory descriptor that can be listed, from one that can only be resolved from.
pub(crate) fn listable(dir: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    openat(dir, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Names in a directory with their types (asked for where the file system doesn't tell), unsorted.
pub(crate) fn list(dir: BorrowedFd<'_>) -> rustix::io::Result<Vec<(Vec<u8>, FileType)>> {
    let dir = listable(dir)?;
    let mut buffer = Vec::with_capacity(DIR_BUFFER);
    let mut names = Vec::new();
    let mut entries = RawDir::new(&dir, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => FileType::from_raw_mode(lstat(dir.as_fd(), name)?.st_mode),
            known => known,
        };
        names.push((name.to_vec(), kind));
    }
    Ok(names)
}

pub(crate) fn lstat(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<Stat> {
    statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// Overlayfs' whiteout is a character device 0/0. Overlayfs refuses to make one on itself; there, where our folders can only be
/// copied from and never be mounted, 0/1 stands for it (major 0 has no drivers).
const WHITEOUTS: [u64; 2] = [0, 1];

/// Whether a `stat` shows a whiteout.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && WHITEOUTS.contains(&stat.st_rdev)
}

/// Makes a whiteout; what is there already makes it fail.
pub(crate) fn make_whiteout(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
    let make = |device| mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), device);
    match make(WHITEOUTS[0]) {
        Err(Errno::PERM) => make(WHITEOUTS[1]).map_err(|_| Errno::PERM),
        other => other,
    }
}

/// A name nobody else uses, for temporary files.
pub(crate) fn unique_name() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", COUNTER.fetch_add(1, Ordering::Relaxed), image::hex_encode(&random::<8>()))
}

/// Random bytes from the kernel.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut done = 0;
    while done < N {
        match rustix::rand::getrandom(&mut bytes[done..], rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => done += count,
            Err(Errno::INTR) => {}
            // Without getrandom (never on Linux ≥ 3.17) names must still differ.
            Err(_) => {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                let now = now.map_or(0, |elapsed| elapsed.as_nanos()).to_le_bytes();
                for (place, byte) in bytes[done..].iter_mut().zip(now.iter().cycle()) {
                    *place = *byte;
                }
                done = N;
            }
        }
    }
    bytes
}

/// Identifies this boot of the kernel: what a process wrote survives the process, but not the boot, until it is synced.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// The process's umask, without changing it for other threads for a moment as `umask(2)` would.
pub(crate) fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    field.and_then(|text| u32::from_str_radix(text.trim(), 8).ok()).unwrap_or(0o777)
}

/// Removes `name` in `dir`, whatever it is and however deep. Absent is fine.
///
/// Depth is bounded by moving what lies too deep up into `dir` under a fresh name, so neither the stack nor the table of
/// descriptors grows with a tree that a container made as deep as it liked.
pub(crate) fn remove_tree(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // EISDIR on Linux, EPERM by POSIX.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    let mut queue = VecDeque::from([name.to_vec()]);
    let mut buffer = Vec::with_capacity(DIR_BUFFER);
    while let Some(name) = queue.pop_front() {
        remove_dir(dir, dir, &name, 0, &mut queue, &mut buffer)?;
    }
    Ok(())
}

const MAX_DEPTH: usize = 64;

fn remove_dir(
    top: BorrowedFd<'_>,
    parent: BorrowedFd<'_>,
    name: &[u8],
    depth: usize,
    queue: &mut VecDeque<Vec<u8>>,
    buffer: &mut Vec<u8>,
) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || openat(parent, name, flags, Mode::empty());
    let dir = match open() {
        Err(Errno::NOENT) => return Ok(()),
        // An unprivileged owner may have to give himself the right first.
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            open()?
        }
        other => other?,
    };
    loop {
        let mut folders = Vec::new();
        let mut widened = false;
        let mut entries = RawDir::new(&dir, spare(buffer));
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let child = entry.file_name().to_bytes();
            if child == b"." || child == b".." {
                continue;
            }
            if entry.file_type() == FileType::Directory {
                folders.push(child.to_vec());
                continue;
            }
            match unlinkat(&dir, child, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::ISDIR) => folders.push(child.to_vec()),
                Err(Errno::ACCESS) if !widened => {
                    rustix::fs::fchmod(&dir, Mode::RWXU)?;
                    widened = true;
                    unlinkat(&dir, child, AtFlags::empty())?;
                }
                Err(errno) => return Err(errno),
            }
        }
        for folder in &folders {
            if depth < MAX_DEPTH {
                remove_dir(top, dir.as_fd(), folder, depth + 1, queue, buffer)?;
            } else {
                let moved = format!(".tmp-{}", unique_name()).into_bytes();
                renameat_with(&dir, folder.as_slice(), top, moved.as_slice(), RenameFlags::NOREPLACE)?;
                queue.push_back(moved);
            }
        }
        match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            // The listing may have missed what was there while we deleted; look again.
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                rustix::fs::seek(&dir, rustix::fs::SeekFrom::Start(0))?;
            }
            Err(errno) => return Err(errno),
        }
    }
}

fn spare(buffer: &mut Vec<u8>) -> &mut [MaybeUninit<u8>] {
    buffer.clear();
    buffer.spare_capacity_mut()
}

/// Bytes of all files below `dir`, each inode once, directories not counted (what Docker calls a layer's size).
pub(crate) fn tree_size(dir: BorrowedFd<'_>) -> rustix::io::Result<u64> {
    let mut seen = std::collections::HashSet::new();
    let mut total = 0;
    let mut pending = vec![listable(dir)?];
    let mut buffer = Vec::with_capacity(DIR_BUFFER);
    while let Some(dir) = pending.pop() {
        let mut entries = RawDir::new(&dir, spare(&mut buffer));
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            if entry.file_type() == FileType::Directory {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                match openat(&dir, name, flags, Mode::empty()) {
                    Ok(folder) if pending.len() < 256 => pending.push(folder),
                    Ok(folder) => total += tree_size(folder.as_fd())?,
                    Err(Errno::NOENT) => {}
                    Err(errno) => return Err(errno),
                }
                continue;
            }
            let mask = StatxFlags::SIZE | StatxFlags::NLINK | StatxFlags::INO;
            match statx(&dir, name, AtFlags::SYMLINK_NOFOLLOW, mask) {
                Ok(stat) if stat.stx_nlink < 2 || seen.insert(stat.stx_ino) => total += stat.stx_size,
                Ok(_) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use rustix::fs::mkdirat;

    use super::*;

    #[test]
    fn a_tree_deeper_than_any_path_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let top = open_dir(home.path()).unwrap();
        mkdirat(&top, c"deep", Mode::RWXU).unwrap();
        let mut at = openat(&top, c"deep", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        for _ in 0..3000 {
            mkdirat(&at, c"d", Mode::RWXU).unwrap();
            at = openat(&at, c"d", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        }
        drop(at);
        remove_tree(top.as_fd(), b"deep").unwrap();
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    }
}

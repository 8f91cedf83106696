//! Removing a layer's files by several threads: on file systems that give every freed block back to the disk at once (mount option
//! `discard`), and on slow disks, one thread spends its time waiting.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;

use rustix::fs::{FileType, Mode, OFlags, openat};

use crate::fsutil::{list, remove_tree};
use crate::store::held;

/// Threads that wait for the disk; they need no processor each.
const WORKERS: usize = 8;
/// Folders to share among them, if there are so many.
const SHARES: usize = 64;
/// What has fewer folders is not worth threads.
const FEW: usize = 8;

/// As [`remove_tree`], for what may be large.
pub(crate) fn remove_large_tree(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
    let shares = shares(dir, name).unwrap_or_default();
    if shares.len() >= FEW {
        let queue = Mutex::new(shares.into_iter());
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    while let Some((parent, name)) = { held(&queue).next() } {
                        // What fails here fails again below, where it is told.
                        let _ = remove_tree(parent.as_fd(), &name);
                    }
                });
            }
        });
    }
    remove_tree(dir, name)
}

/// Folders below a folder that do not lie in each other, each by the folder that it is in.
fn shares(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<Vec<(OwnedFd, Vec<u8>)>> {
    let open = |dir: BorrowedFd<'_>, name: &[u8]| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(dir, name, flags, Mode::empty())
    };
    let mut shares = vec![(dir.try_clone_to_owned().map_err(|_| rustix::io::Errno::MFILE)?, name.to_vec())];
    // Level by level: a folder is exchanged for the folders in it.
    while shares.len() < SHARES {
        let mut next = Vec::new();
        for (parent, name) in &shares {
            let folder = open(parent.as_fd(), name)?;
            for (child, kind) in list(folder.as_fd())? {
                if kind == FileType::Directory && next.len() < 4 * SHARES {
                    next.push((folder.try_clone().map_err(|_| rustix::io::Errno::MFILE)?, child));
                }
            }
        }
        if next.is_empty() {
            break;
        }
        shares = next;
    }
    Ok(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_deep_and_flat_trees_are_gone_afterwards() {
        for (name, folders, depth) in [("wide", 300, 1), ("deep", 1, 40), ("both", 20, 3), ("flat", 0, 0)] {
            let home = tempfile::tempdir().unwrap();
            let top = home.path().join(name);
            std::fs::create_dir(&top).unwrap();
            std::fs::write(top.join("file"), "x").unwrap();
            for folder in 0..folders {
                let mut path = top.join(folder.to_string());
                for _ in 0..depth {
                    path.push("d");
                }
                std::fs::create_dir_all(&path).unwrap();
                std::fs::write(path.join("file"), "x").unwrap();
                std::os::unix::fs::symlink("/", path.join("link")).unwrap();
            }
            let dir = crate::fsutil::open_dir(home.path()).unwrap();
            remove_large_tree(dir.as_fd(), name.as_bytes()).unwrap();
            assert!(!top.exists(), "{name}");
            remove_large_tree(dir.as_fd(), name.as_bytes()).unwrap();
        }
    }
}

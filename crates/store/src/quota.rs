//! How much a container may write: a project quota on its two folders, where the file system has them (ext4 and xfs mounted with
//! `prjquota`).
//!
//! Which project belongs to which container is written nowhere: a number counts as free when nothing is in use under it, and a
//! container's folders are never empty of files (they are files themselves). A limit that a removed container left is overwritten
//! by the next one with that number.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Context, Error, Result};
use crate::fsutil::random;
use crate::store::{Store, held};

/// Numbers below are left to the host's own projects.
const FIRST: u32 = 0x4000_0000;
/// With half of all numbers taken, one try in a million finds none.
const ATTEMPTS: usize = 20;

impl Store {
    /// Limits what can be written below these folders together, which are on the store's file system.
    ///
    /// # Errors
    /// `Unsupported` where the file system has no project quotas.
    pub(crate) fn limit(&self, folders: &[&Path], bytes: u64) -> Result<()> {
        // Between looking for a free number and using it nobody else may look.
        let _one_at_a_time = held(&self.inner.projects);
        let open = |path: &Path| {
            rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .context(|| format!("open {}", path.display()))
        };
        let root = open(self.root())?;
        let unsupported = |error: std::io::Error| match Errno::from_io_error(&error) {
            Some(
                Errno::SRCH | Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL | Errno::NODEV,
            ) => Error::Unsupported(format!(
                "--storage-opt size is supported only where project quotas are: {} is not on ext4 or xfs mounted with \
                     'prjquota'",
                self.root().display()
            )),
            _ => Error::io("set a quota", error),
        };
        for _ in 0..ATTEMPTS {
            let project = FIRST | (u32::from_le_bytes(random::<4>()) & (FIRST - 1));
            let usage = sys::quota::usage(root.as_fd(), project);
            match usage {
                Ok(usage) if usage.files > 0 => continue,
                Ok(_) => {}
                // Of a number never used xfs knows nothing; where there are no quotas the next call fails alike.
                Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => {}
                Err(error) => return Err(unsupported(error)),
            }
            sys::quota::set_limit(root.as_fd(), project, bytes).map_err(unsupported)?;
            for folder in folders {
                sys::quota::set_project(open(folder)?, project).map_err(unsupported)?;
            }
            return Ok(());
        }
        Err(Error::Conflict("no project number is free for a quota".to_owned()))
    }
}

//! The program that monitors are started from: the engine's own, through a read-only mount that is attached nowhere, so that a
//! container's process that gets hold of its monitor's image cannot write to the host's binary (CVE-2019-5736).

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::mount::{OpenTreeFlags, open_tree};

/// The sealed executable.
pub(crate) struct Executable {
    /// Keeps the mount.
    _mount: Option<OwnedFd>,
    path: PathBuf,
}

impl Executable {
    /// Seals the program at `path`; where the kernel or missing privileges do not allow it, the program itself is used.
    pub(crate) fn seal(path: &Path) -> Self {
        match sealed(path) {
            Ok(mount) => {
                let path = PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd()));
                Self { _mount: Some(mount), path }
            }
            Err(error) => {
                tracing::debug!(%error, path = %path.display(), "monitors run from an unsealed program");
                Self { _mount: None, path: path.to_owned() }
            }
        }
    }

    /// What to execute. Names a descriptor of this process, which a child made by vfork has too.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn sealed(path: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(rustix::fs::CWD, path, flags)?;
    let read_only = sys::mount::Attributes { set: sys::mount::attr::RDONLY, ..Default::default() };
    sys::mount::setattr(&mount, c"", read_only)?;
    Ok(mount)
}

//! The one error of this crate: which cgroup file could not be used for what.

use std::io;
use std::path::{Path, PathBuf};

/// What went wrong with a cgroup.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No cgroup file system that we know.
    #[error("find the cgroup file systems: {0}")]
    Layout(String),
    /// A limit that the kernel, or this host's layout, does not have.
    #[error("set {limit}: {reason}")]
    Unsupported {
        /// The limit's name.
        limit: String,
        /// Why not.
        reason: String,
    },
    /// systemd did not do what it was asked for.
    #[error("{doing}: {reason}")]
    Manager {
        /// "start the unit x.scope".
        doing: String,
        /// What it said.
        reason: String,
    },
    /// A file operation.
    #[error("{action} {}", path.display())]
    Io {
        /// "create", "write 5 to", "read", …
        action: String,
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(action: impl Into<String>, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io { action: action.into(), path: path.to_path_buf(), source: source.into() }
    }

    /// The errno behind it, if there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Io { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}

/// Short for this crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

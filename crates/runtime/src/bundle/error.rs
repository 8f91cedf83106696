//! Why a command on a container failed, in the words of runc where engines look for them.

use crate::{LaunchError, PlanError};

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No container has this id. (containerd and conmon look for "does not exist".)
    #[error("container does not exist")]
    NotFound,
    /// The id is taken.
    #[error("container with given ID already exists")]
    Exists,
    /// Not an id.
    #[error("invalid container ID format")]
    InvalidId,
    /// The bundle or something asked for makes no sense; says which field.
    #[error("{0}")]
    Config(String),
    /// The container is not in a state in which that can be done.
    #[error("{0}")]
    Status(String),
    /// A process did not start.
    #[error("unable to start container process: {0}")]
    Launch(#[from] LaunchError),
    /// The cgroup did not do what it should.
    #[error("{}", cgroup_text(.0))]
    Cgroup(#[from] cgroup::Error),
    /// A file or process did not do what it should.
    #[error("{doing}: {}", crate::error::reason(.source))]
    Io {
        /// What was being done to what.
        doing: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
}

fn cgroup_text(error: &cgroup::Error) -> String {
    match error.errno() {
        Some(errno) => {
            format!("{error}: {}", crate::error::reason(&std::io::Error::from_raw_os_error(errno)))
        }
        None => error.to_string(),
    }
}

impl From<PlanError> for Error {
    fn from(error: PlanError) -> Self {
        Self::Config(format!("config.json: {error}"))
    }
}

impl Error {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

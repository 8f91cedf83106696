//! Why a request brought no result. The words are those that Docker's own client prints, where scripts look for them.

use std::io;

use api::ErrorKind;

/// Result of a request.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request brought no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens there.
    #[error("Cannot connect to the Naru engine at {host}. Is the engine running?")]
    Absent {
        /// The engine's address.
        host: String,
        /// What the connection attempt said.
        #[source]
        source: io::Error,
    },
    /// This user may not use the socket.
    #[error("permission denied while trying to connect to the engine's socket at {host}")]
    Permission {
        /// The engine's address.
        host: String,
        /// What the connection attempt said.
        #[source]
        source: io::Error,
    },
    /// The connection could not be made for another reason.
    #[error("error during connect: {host}: {reason}")]
    Connect {
        /// The engine's address.
        host: String,
        /// Why.
        reason: String,
    },
    /// The engine was started and did not come up.
    #[error("the engine does not start: {reason}")]
    Start {
        /// Why, with the end of its log.
        reason: String,
    },
    /// The engine refused, or failed.
    #[error("Error response from daemon: {message}")]
    Daemon {
        /// HTTP status.
        status: u16,
        /// The engine's own words.
        message: String,
    },
    /// What came back is not what the Engine API promises.
    #[error("{doing}: {reason}")]
    Protocol {
        /// What was being done.
        doing: String,
        /// What was wrong.
        reason: String,
    },
    /// Flags, environment or files name no usable engine.
    #[error("{0}")]
    Settings(String),
}

impl Error {
    /// What kind of failure the engine reported; `None` when it did not answer.
    pub fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Daemon { status, .. } => Some(ErrorKind::from_status(*status)),
            _ => None,
        }
    }

    /// The engine says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        self.kind() == Some(ErrorKind::NotFound)
    }

    /// The engine's message alone; for every other error its text.
    pub fn message(&self) -> String {
        match self {
            Self::Daemon { message, .. } => message.clone(),
            other => other.to_string(),
        }
    }

    /// Nobody listens: starting the engine may help.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent { .. })
    }

    pub(crate) fn connect(host: &impl ToString, source: io::Error) -> Self {
        let host = host.to_string();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Self::Absent { host, source },
            io::ErrorKind::PermissionDenied => Self::Permission { host, source },
            _ => Self::Connect { host, reason: source.to_string() },
        }
    }

    pub(crate) fn protocol(doing: impl Into<String>, reason: impl ToString) -> Self {
        Self::Protocol { doing: doing.into(), reason: reason.to_string() }
    }
}

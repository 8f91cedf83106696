//! Why a network operation failed, in Docker's words where clients read them. The kind is what callers decide on; the text is
//! complete, so a kernel error is printed once, at its end.

use std::fmt;

/// What a caller can do about the failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong whatever the state.
    InvalidParameter,
    /// Not allowed on this network or in this state (moby answers 403).
    Forbidden,
    /// No such network, or the container is not in it.
    NotFound,
    /// The name is taken.
    Conflict,
    /// A driver or option that this engine does not have.
    NotImplemented,
    /// The host refused: netlink, nftables, files.
    Internal,
}

/// A failed network operation.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error whose text is all there is to say.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// A failure of the host while doing `action`.
    pub(crate) fn host(
        action: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self { kind: ErrorKind::Internal, message: action.into(), source: Some(Box::new(source)) }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The same failure with what was being done put before it.
    pub(crate) fn context(mut self, action: impl fmt::Display) -> Self {
        self.message = format!("{action}: {}", self.message);
        self
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidParameter, message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Forbidden, message)
    }

    pub(crate) fn not_found(name: &str) -> Self {
        Self::new(ErrorKind::NotFound, format!("network {name} not found"))
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<netlink::Error> for Error {
    fn from(error: netlink::Error) -> Self {
        Self { kind: ErrorKind::Internal, message: error.to_string(), source: None }
    }
}

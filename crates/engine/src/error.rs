//! The engine's error: a kind that callers decide on, a complete message in Docker's words where clients match them, and
//! the cause for the log. The one place where errors of the lower crates get their kind.

use std::fmt;

pub use api::ErrorKind;

/// Results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation.
#[derive(Debug)]
pub struct Error {
    /// What the caller can do about it.
    pub kind: ErrorKind,
    /// Everything a user should read, causes included.
    pub message: String,
    /// The cause, for the log.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error whose text is all there is to say.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// 404.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// 400.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidParameter, message)
    }

    /// 409.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// 500.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// 304: already so.
    pub(crate) fn not_modified() -> Self {
        Self::new(ErrorKind::NotModified, "already in this state")
    }

    /// A failure of the host while doing `action`; the message names both.
    pub(crate) fn host(
        action: impl fmt::Display,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self {
            kind: ErrorKind::Internal,
            message: format!("{action}: {}", chain(&source)),
            source: Some(Box::new(source)),
        }
    }

    /// The same failure with what was being done put before it.
    pub(crate) fn context(mut self, action: impl fmt::Display) -> Self {
        self.message = format!("{action}: {}", self.message);
        self
    }
}

/// An error with its causes in one line; every Display of ours leaves its source out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
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

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        let kind = match &error {
            store::Error::NotFound(_) => ErrorKind::NotFound,
            store::Error::Conflict(_) => ErrorKind::Conflict,
            store::Error::Invalid(_) => ErrorKind::InvalidParameter,
            store::Error::Digest { .. }
            | store::Error::Size { .. }
            | store::Error::Corrupt { .. }
            | store::Error::Io { .. }
            | store::Error::Unsupported(_) => ErrorKind::Internal,
        };
        Self { kind, message: chain(&error), source: Some(Box::new(error)) }
    }
}

impl From<network::Error> for Error {
    fn from(error: network::Error) -> Self {
        let kind = match error.kind() {
            network::ErrorKind::InvalidParameter => ErrorKind::InvalidParameter,
            network::ErrorKind::Forbidden => ErrorKind::Forbidden,
            network::ErrorKind::NotFound => ErrorKind::NotFound,
            network::ErrorKind::Conflict => ErrorKind::Conflict,
            network::ErrorKind::NotImplemented => ErrorKind::NotImplemented,
            network::ErrorKind::Internal => ErrorKind::Internal,
        };
        Self { kind, message: chain(&error), source: Some(Box::new(error)) }
    }
}

impl From<api::filters::FilterError> for Error {
    fn from(error: api::filters::FilterError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<image::ReferenceError> for Error {
    fn from(error: image::ReferenceError) -> Self {
        Self::invalid(error.to_string())
    }
}

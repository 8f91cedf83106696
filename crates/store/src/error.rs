//! What can go wrong in the store, by the decision a caller makes about it.
//!
//! Display never repeats the source; the outermost printer walks the chain. `NotFound`, `Conflict` and `Invalid` carry
//! texts in Docker's wording where Docker has one, because clients match on them.

use std::io;

use image::Digest;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such image, blob, layer, volume or file.
    #[error("{0}")]
    NotFound(String),
    /// In use, ambiguous, or exists with other properties.
    #[error("{0}")]
    Conflict(String),
    /// The caller's input can't be what it says.
    #[error("{0}")]
    Invalid(String),
    /// Content is not what its digest says.
    #[error("{what}: content has digest {found}, expected {expected}")]
    Digest { what: String, expected: Digest, found: Digest },
    /// Content is longer or shorter than its descriptor says.
    #[error("{what}: content has {found} bytes, expected {expected}")]
    Size { what: String, expected: u64, found: u64 },
    /// Content can't be decoded: truncated or damaged archive, bad JSON, an entry that climbs out.
    #[error("{context}")]
    Corrupt {
        context: String,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The host's file system or kernel said no.
    #[error("{context}")]
    Io {
        context: String,
        #[source]
        source: io::Error,
    },
    /// The host can't do this at all (no overlayfs, no project quota).
    #[error("{0}")]
    Unsupported(String),
}

impl Error {
    pub(crate) fn corrupt(context: impl Into<String>) -> Error {
        Error::Corrupt { context: context.into(), source: None }
    }

    pub(crate) fn corrupt_by(
        context: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        Error::Corrupt { context: context.into(), source: Some(source.into()) }
    }

    pub(crate) fn io(context: impl Into<String>, source: impl Into<io::Error>) -> Error {
        Error::Io { context: context.into(), source: source.into() }
    }

    /// The same error with what was being done around it.
    pub(crate) fn within(self, outer: &str) -> Error {
        let join = |inner: String| format!("{outer}: {inner}");
        match self {
            Error::NotFound(text) => Error::NotFound(join(text)),
            Error::Conflict(text) => Error::Conflict(join(text)),
            Error::Invalid(text) => Error::Invalid(join(text)),
            Error::Unsupported(text) => Error::Unsupported(join(text)),
            Error::Digest { what, expected, found } => Error::Digest { what: join(what), expected, found },
            Error::Size { what, expected, found } => Error::Size { what: join(what), expected, found },
            Error::Corrupt { context, source } => Error::Corrupt { context: join(context), source },
            Error::Io { context, source } => Error::Io { context: join(context), source },
        }
    }

    /// Whether the disk is full (or a quota reached).
    pub fn is_no_space(&self) -> bool {
        let full = [rustix::io::Errno::NOSPC.raw_os_error(), rustix::io::Errno::DQUOT.raw_os_error()];
        match self {
            Error::Io { source, .. } => source.raw_os_error().is_some_and(|code| full.contains(&code)),
            _ => false,
        }
    }

    /// Whether the content was bad, so that fetching it again may help.
    pub fn is_bad_content(&self) -> bool {
        matches!(self, Error::Digest { .. } | Error::Size { .. } | Error::Corrupt { .. })
    }
}

/// An error and what is below it, in one line.
pub(crate) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

/// Says what was being done when a system call failed.
pub(crate) trait Context<T> {
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|source| Error::io(what(), source))
    }
}

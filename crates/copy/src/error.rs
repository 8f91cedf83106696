//! What can go wrong between two places.

use std::io;

use image::Digest;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an image was not copied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A registry failed or refused.
    #[error("{}", .0.message())]
    Registry(Box<distribution::Error>),
    /// An engine failed or refused.
    #[error(transparent)]
    Engine(#[from] client::Error),
    /// A file or a stream.
    #[error("{what}")]
    Io {
        /// What was being done to what.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A place does not hold what its kind should hold.
    #[error("{0}")]
    Invalid(String),
    /// A place has no such image, or not all of it.
    #[error("{0}")]
    NotFound(String),
    /// Bytes that are not what their digest says.
    #[error("{what} has digest {found}, expected {expected}")]
    Digest {
        /// What was being read.
        what: &'static str,
        /// What it should be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
}

impl From<distribution::Error> for Error {
    fn from(error: distribution::Error) -> Self {
        Error::Registry(Box::new(error))
    }
}

/// Gives input and output errors their context.
pub(crate) trait Context<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { what: what(), source })
    }
}

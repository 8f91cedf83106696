//! What can go wrong with a registry, in the words Docker uses for it.
//!
//! `Display` of each error says what was being done; the cause follows as `source()`. Printing the chain joined by `": "`
//! ([`Error::message`]) gives Docker's text, for example
//! `Get "https://host/v2/": dial tcp 127.0.0.1:5000: connect: connection refused`.

use ::http::Method;
use image::Digest;

use crate::Refusal;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a registry operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One request did not get a usable answer. Printed as Go's `url.Error`, which Docker's users know.
    #[error("{} \"{url}\"", go_verb(.method))]
    Request {
        /// The request's method.
        method: Method,
        /// Where it went, without query secrets.
        url: String,
        /// What happened to it.
        #[source]
        cause: Box<Cause>,
    },
    /// The registry answered, and the answer is no.
    #[error(transparent)]
    Refused(Refusal),
    /// The registry says that this caller may not see the repository (or that it is not there).
    #[error("pull access denied for {name}, repository does not exist or may require 'docker login'")]
    PullDenied {
        /// Familiar name of the repository.
        name: String,
        /// The registry's words.
        #[source]
        refusal: Refusal,
    },
    /// The repository has no such tag or digest.
    #[error("manifest for {reference} not found")]
    ManifestUnknown {
        /// Familiar form of what was asked for.
        reference: String,
        /// The registry's words.
        #[source]
        refusal: Refusal,
    },
    /// The registry has no such repository.
    #[error("repository {name} not found")]
    RepositoryUnknown {
        /// Familiar name of the repository.
        name: String,
        /// The registry's words.
        #[source]
        refusal: Refusal,
    },
    /// The image exists, but not for the wanted platform.
    #[error("no matching manifest for {platform} in the manifest list entries")]
    NoMatchingPlatform {
        /// The wanted platform, as `os/architecture[/variant]`.
        platform: String,
    },
    /// The image to push is here, but not for the wanted platform.
    #[error(
        "image with reference {reference} was found but does not provide the specified platform ({platform})"
    )]
    PlatformNotHere {
        /// Familiar form of the name.
        reference: String,
        /// The wanted platform, as `os/architecture[/variant]`.
        platform: String,
    },
    /// Bytes that do not hash to their name.
    #[error("{what} verification failed for digest {digest}")]
    WrongDigest {
        /// `manifest`, `image config` or `filesystem layer`.
        what: &'static str,
        /// The digest that was promised.
        digest: Digest,
    },
    /// A manifest that is not one, or of a kind that no engine runs (plugins, Helm charts, schema 1).
    #[error("{0}")]
    Manifest(String),
    /// The image to push is not here.
    #[error("An image does not exist locally with the tag: {0}")]
    NothingToPush(String),
    /// The tag to push is not here.
    #[error("tag does not exist: {0}")]
    NoSuchTag(String),
    /// The registry wants credentials that are wrong or missing (login only).
    #[error("login attempt to {url} failed with status: {status}")]
    LoginFailed {
        /// The endpoint that was tried.
        url: String,
        /// Status line of the answer.
        status: String,
    },
    /// A certificate, key or address in the configuration that cannot be used.
    #[error("{0}")]
    Configuration(String),
    /// A search term or other argument that is not acceptable.
    #[error("{0}")]
    InvalidArgument(String),
    /// The local store failed.
    #[error("store {what}")]
    Store {
        /// What was being stored or read.
        what: String,
        /// Why that failed.
        #[source]
        source: store::Error,
    },
    /// A layer arrived whole, but it cannot be unpacked.
    #[error("failed to register layer")]
    Unpack(#[source] store::Error),
    /// A task of the operation died: the engine is shutting down.
    #[error("the operation was cancelled")]
    Cancelled,
}

/// What became of one request.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// No connection.
    #[error(transparent)]
    Dial(#[from] crate::DialError),
    /// The TLS handshake failed, in Go's words.
    #[error("{0}")]
    Tls(String),
    /// Plain HTTP spoken by something that was addressed by HTTPS.
    #[error("http: server gave HTTP response to HTTPS client")]
    PlainHttp,
    /// The peer went away in the middle.
    #[error("{0}")]
    Broken(String),
    /// No byte for too long.
    #[error("net/http: timeout awaiting {0}")]
    Timeout(&'static str),
    /// Basic authentication is wanted, and nobody is logged in.
    #[error("no basic auth credentials")]
    NoCredentials,
    /// AWS gave no password for its registry.
    #[error(transparent)]
    Aws(Box<crate::aws::Error>),
    /// The token server or the registry refused while a token was being fetched.
    #[error(transparent)]
    Refused(Refusal),
    /// The token server's own request failed.
    #[error(transparent)]
    Token(Box<Error>),
    /// The token server answered without a token.
    #[error("authorization server did not include a token in the response")]
    NoToken,
    /// More than ten redirects, or one that leads nowhere.
    #[error("{0}")]
    Redirect(String),
    /// An answer that breaks the protocol.
    #[error("{0}")]
    Protocol(String),
}

impl Cause {
    /// The token server knows the caller not, or not by this password.
    fn is_unauthorized(&self) -> bool {
        matches!(self, Cause::Refused(refusal) if refusal.status == ::http::StatusCode::UNAUTHORIZED)
    }
}

/// What the caller should make of an error; maps to one HTTP status each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The image, tag or repository is not there (or hidden).
    NotFound,
    /// Credentials are wrong.
    Unauthorized,
    /// The caller's argument or configuration is wrong.
    InvalidParameter,
    /// Nobody waits for the result any more.
    Cancelled,
    /// Anything else: network, registry or disk.
    Unknown,
}

impl Error {
    pub(crate) fn request(method: &Method, url: &::http::Uri, cause: Cause) -> Self {
        Error::Request { method: method.clone(), url: url.to_string(), cause: Box::new(cause) }
    }

    /// What the caller should make of it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::PullDenied { .. }
            | Error::ManifestUnknown { .. }
            | Error::RepositoryUnknown { .. }
            | Error::NoMatchingPlatform { .. }
            | Error::PlatformNotHere { .. }
            | Error::NothingToPush(_)
            | Error::NoSuchTag(_) => ErrorKind::NotFound,
            Error::LoginFailed { .. } => ErrorKind::Unauthorized,
            Error::Configuration(_) | Error::InvalidArgument(_) => ErrorKind::InvalidParameter,
            Error::Cancelled => ErrorKind::Cancelled,
            Error::Request { cause, .. } if cause.is_unauthorized() => ErrorKind::Unauthorized,
            Error::Refused(_)
            | Error::Request { .. }
            | Error::WrongDigest { .. }
            | Error::Manifest(_)
            | Error::Store { .. }
            | Error::Unpack(_) => ErrorKind::Unknown,
        }
    }

    /// The whole chain on one line, as Docker prints it.
    pub fn message(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(error) = next {
            text.push_str(": ");
            text.push_str(&error.to_string());
            next = error.source();
        }
        text
    }

    /// Whether the same request may work a little later: broken connections, time-outs, 429 and 5xx.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Error::Request { cause, .. } => match &**cause {
                Cause::Dial(error) => error.is_transient(),
                Cause::Broken(_) | Cause::Timeout(_) => true,
                Cause::Refused(refusal) => refusal.is_transient(),
                Cause::Token(error) => error.is_transient(),
                _ => false,
            },
            Error::Refused(refusal) => refusal.is_transient(),
            _ => false,
        }
    }

    /// The registry's refusal inside, if that is what it was.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Error::Refused(refusal)
            | Error::PullDenied { refusal, .. }
            | Error::ManifestUnknown { refusal, .. }
            | Error::RepositoryUnknown { refusal, .. } => Some(refusal),
            Error::Request { cause, .. } => match &**cause {
                Cause::Refused(refusal) => Some(refusal),
                Cause::Token(error) => error.refusal(),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Go prints `Get "url"`, not `GET url`.
fn go_verb(method: &Method) -> String {
    let name = method.as_str();
    format!("{}{}", &name[..1], name[1..].to_ascii_lowercase())
}

/// An errno as Go prints it: `connection refused`, not `Connection refused (os error 111)`.
pub(crate) fn go_errno(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

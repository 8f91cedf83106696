//! What kind of failure an error is: the one thing about an error that clients decide on. The server maps kinds to status
//! codes, the CLI to exit codes; both from here.

/// The kinds of `containerd/errdefs`, which moby's status codes follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// 400: the request is wrong whatever the state.
    InvalidParameter,
    /// 401: credentials are missing or wrong.
    Unauthorized,
    /// 403: not allowed, for example on a built-in network.
    Forbidden,
    /// 404: no such object.
    NotFound,
    /// 409: not in this state, or the name is taken.
    Conflict,
    /// 304: already as asked.
    NotModified,
    /// 501: this engine does not do that.
    NotImplemented,
    /// 503: not now.
    Unavailable,
    /// 500: the engine's or the system's fault.
    Internal,
    /// 499: the caller went away.
    Cancelled,
    /// 504: took too long.
    DeadlineExceeded,
}

impl ErrorKind {
    /// The HTTP status of this kind.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidParameter => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::NotModified => 304,
            Self::NotImplemented => 501,
            Self::Unavailable => 503,
            Self::Internal => 500,
            Self::Cancelled => 499,
            Self::DeadlineExceeded => 504,
        }
    }

    /// The kind that a client reads from a status.
    pub fn from_status(status: u16) -> Self {
        match status {
            304 => Self::NotModified,
            400 => Self::InvalidParameter,
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            409 => Self::Conflict,
            499 => Self::Cancelled,
            501 => Self::NotImplemented,
            503 => Self::Unavailable,
            504 => Self::DeadlineExceeded,
            402..=498 => Self::InvalidParameter,
            _ => Self::Internal,
        }
    }
}

//! What a failed request answers: a status and `{"message": "…"}`. The only place where error kinds become statuses.

use api::ErrorKind;
use axum::body::Body;
use axum::response::Response;
use http::{StatusCode, header};

/// A failed request.
#[derive(Debug)]
pub(crate) struct Error {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// 400.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidParameter, message)
    }

    /// What moby answers where it has no route, or none for this method.
    pub(crate) fn page_not_found() -> Self {
        Self::new(ErrorKind::NotFound, "page not found")
    }

    /// 501.
    pub(crate) fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotImplemented, message)
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn into_response(self) -> Response {
        let status = self.status();
        let body = match status {
            StatusCode::NOT_MODIFIED => Body::empty(),
            _ => Body::from(crate::response::json_line(&api::ErrorResponse { message: self.message })),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, crate::response::JSON);
        response
    }
}

impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Self {
        // The engine's message is what users read; sources behind it are for the log.
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            tracing::debug!(%cause, message = %error.message, "request failed");
            source = cause.source();
        }
        Self { kind: error.kind, message: error.message }
    }
}

impl From<api::filters::FilterError> for Error {
    fn from(error: api::filters::FilterError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::new(ErrorKind::Internal, error.to_string())
    }
}

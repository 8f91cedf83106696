//! An answer whose status was good: headers now, the body in one piece or as it arrives. At the body's end its connection is
//! free for the next request.

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::error::{Error, Result};
use crate::pool::Busy;

/// An answer.
pub struct Response {
    parts: http::response::Parts,
    body: Incoming,
    /// The connection, until the body has been read.
    connection: Option<Busy>,
    /// The request, for errors.
    doing: String,
}

impl Response {
    /// An answer; without `connection` this one is not used again.
    pub(crate) fn new(response: http::Response<Incoming>, connection: Option<Busy>, doing: String) -> Self {
        let (parts, body) = response.into_parts();
        Self { parts, body, connection, doing }
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.parts.status
    }

    /// A header, if it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// The next piece of the body; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| Error::protocol(&self.doing, error))?;
            if let Ok(bytes) = frame.into_data()
                && !bytes.is_empty()
            {
                return Ok(Some(bytes));
            }
        }
        if let Some(connection) = self.connection.take() {
            connection.release().await;
        }
        Ok(None)
    }

    /// The whole body.
    pub async fn bytes(self) -> Result<Bytes> {
        let collected = self.body.collect().await.map_err(|error| Error::protocol(&self.doing, error))?;
        if let Some(connection) = self.connection {
            connection.release().await;
        }
        Ok(collected.to_bytes())
    }

    /// What a bad status means: the engine's message, or what there is instead of one.
    pub(crate) async fn into_error(self) -> Error {
        let status = self.parts.status;
        match self.bytes().await {
            Ok(body) => daemon_error(status, &body),
            Err(error) => error,
        }
    }
}

/// `{"message": "…"}`, or plain text from whatever stands between us and the engine.
pub(crate) fn daemon_error(status: StatusCode, body: &[u8]) -> Error {
    #[derive(serde::Deserialize)]
    struct Message {
        message: String,
    }
    let message = match serde_json::from_slice::<Message>(body) {
        Ok(message) => message.message,
        Err(_) => String::from_utf8_lossy(body).trim().to_owned(),
    };
    let message = if message.is_empty() { status.to_string() } else { message };
    Error::Daemon { status: status.as_u16(), message }
}

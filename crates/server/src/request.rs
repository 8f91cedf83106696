//! A request on its way through a handler: version, path, query, headers and the body, which can be read once as JSON or as
//! a stream. A body that a handler left is drained before an error is answered, or the client's write fails before it
//! reads why.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use api::case::FieldNames;
use api::{ApiVersion, Query};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, Method, header};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// Longest JSON body read. The largest that real clients send (a create with big environments) is far below.
const JSON_LIMIT: usize = 16 << 20;
/// How long a refused body is read to its end.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// A request. Owned by its handler.
pub(crate) struct Request {
    pub(crate) version: ApiVersion,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) pairs: api::query::Pairs,
    pub(crate) body: Body,
    /// Some when the protocol allows the client to ask for an upgrade; whether it did, say the headers.
    pub(crate) upgrade: Option<OnUpgrade>,
}

impl Request {
    /// Takes headers and the right to upgrade out of `parts`.
    pub(crate) fn new(version: ApiVersion, parts: &mut http::request::Parts, body: Body) -> Self {
        Self {
            version,
            method: parts.method.clone(),
            pairs: api::query::Pairs::parse(parts.uri.query().unwrap_or_default()),
            body,
            upgrade: parts.extensions.remove(),
            headers: std::mem::take(&mut parts.headers),
        }
    }

    /// The query as the endpoint's struct.
    pub(crate) fn query<Q: Query>(&self) -> Result<Q, Error> {
        Ok(Q::from_pairs(&self.pairs)?)
    }

    /// Whether this version is `1.minor` or newer.
    pub(crate) fn at_least(&self, minor: u32) -> bool {
        self.version >= ApiVersion::v1(minor)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON, by the rules and in the words of moby's `httputils.ReadJSON`: none at all gives the zero value.
    pub(crate) async fn json<T: FieldNames + DeserializeOwned + Default>(&mut self) -> Result<T, Error> {
        Ok(self.json_if_any().await?.unwrap_or_default())
    }

    /// As [`Self::json`], telling an absent body apart.
    pub(crate) async fn json_if_any<T: FieldNames + DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        let empty = self.body.is_absent();
        self.check_json_content_type(empty)?;
        if empty {
            return Ok(None);
        }
        let bytes = self.body.read(JSON_LIMIT).await?;
        decode(&bytes).map(Some)
    }

    fn check_json_content_type(&self, no_body: bool) -> Result<(), Error> {
        let given = match self.headers.get(header::CONTENT_TYPE) {
            None if no_body => return Ok(()),
            given => {
                given.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
            }
        };
        let mime = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match mime.as_str() {
            "application/json" => Ok(()),
            "" => {
                Err(Error::invalid(format!("malformed Content-Type header ({given}): mime: no media type")))
            }
            _ => Err(Error::invalid(format!(
                "unsupported Content-Type header ({given}): must be 'application/json'"
            ))),
        }
    }
}

/// One JSON value and nothing after it.
fn decode<T: FieldNames + DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::invalid("invalid JSON: got EOF while reading request body"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let wrong = |error: serde_json::Error| Error::invalid(format!("invalid JSON: {error}"));
    let mut value = serde_json::Value::deserialize(&mut reader).map_err(wrong)?;
    if reader.end().is_err() {
        return Err(Error::invalid("unexpected content after JSON"));
    }
    T::correct(&mut value);
    T::deserialize(value).map_err(wrong)
}

/// A request's body; clones share it.
#[derive(Clone)]
pub(crate) struct Body(Arc<Mutex<Option<Incoming>>>);

impl Body {
    pub(crate) fn new(body: Incoming) -> Self {
        Self(Arc::new(Mutex::new(Some(body))))
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Incoming>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the request has no body (`Content-Length: 0`, or neither length nor chunks).
    pub(crate) fn is_absent(&self) -> bool {
        self.slot().as_ref().is_none_or(|body| body.is_end_stream())
    }

    /// The body as a stream. Taken once; what the stream leaves unread goes back when it is dropped, to be drained.
    pub(crate) fn stream(&self) -> BodyStream {
        BodyStream { inner: self.slot().take(), home: self.clone() }
    }

    async fn read(&self, limit: usize) -> Result<Bytes, Error> {
        let mut stream = self.stream();
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| Error::invalid(format!("read request body: {error}")))?;
            if bytes.len() + piece.len() > limit {
                return Err(Error::invalid(format!("request body is larger than {limit} bytes")));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.into())
    }

    /// Reads what is left to its end, for a while.
    pub(crate) async fn drain(&self) {
        let mut stream = self.stream();
        if stream.inner.as_ref().is_none_or(|body| body.is_end_stream()) {
            return;
        }
        let end = async { while let Some(Ok(_)) = stream.next().await {} };
        let _ = tokio::time::timeout(DRAIN_TIME, end).await;
    }
}

/// See [`Body::stream`].
pub(crate) struct BodyStream {
    inner: Option<Incoming>,
    home: Body,
}

impl Stream for BodyStream {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = self.inner.as_mut() else { return Poll::Ready(None) };
        loop {
            match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => return Poll::Ready(Some(Ok(data))),
                    Err(_trailers) => continue,
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(std::io::Error::other(error)))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Drop for BodyStream {
    fn drop(&mut self) {
        *self.home.slot() = self.inner.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_errors_are_in_dockers_words() {
        let message =
            |text: &str| decode::<api::ContainerCreateRequest>(text.as_bytes()).unwrap_err().message;
        assert_eq!(message(""), "invalid JSON: got EOF while reading request body");
        assert_eq!(message(" \n"), "invalid JSON: got EOF while reading request body");
        assert!(message("{").starts_with("invalid JSON: "));
        assert!(message("{\"Image\": 7}").starts_with("invalid JSON: "));
        assert_eq!(message("{} {}"), "unexpected content after JSON");
        assert_eq!(message("{}x"), "unexpected content after JSON");
        assert!(decode::<api::ContainerCreateRequest>(b"{\"Image\":\"x\"}\n").is_ok());
    }
}

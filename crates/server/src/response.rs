//! The few shapes of answers: JSON with Go's trailing newline, nothing, and streams that follow the client's pace.

use std::pin::Pin;
use std::task::{Context, Poll};

use api::ErrorKind;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::error::Error;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const TAR: HeaderValue = HeaderValue::from_static("application/x-tar");
pub(crate) const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

pub(crate) type Answer = Result<Response, Error>;

/// A value as Go's encoder writes it: one line, newline at the end.
pub(crate) fn json_line(value: &impl Serialize) -> Bytes {
    let mut line = serde_json::to_vec(value).unwrap_or_else(|error| {
        tracing::error!(%error, "encode an answer");
        b"null".to_vec()
    });
    line.push(b'\n');
    line.into()
}

/// 200 with a JSON value.
pub(crate) fn json(value: &impl Serialize) -> Answer {
    json_with(StatusCode::OK, value)
}

/// Another status with a JSON value.
pub(crate) fn json_with(status: StatusCode, value: &impl Serialize) -> Answer {
    Ok(with_body(status, JSON, Body::from(json_line(value))))
}

/// A status alone.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    Ok(response)
}

/// 200 with a stream of bytes. Headers go out at once; an error of the stream cuts the connection, so that the client
/// cannot take the part for the whole. Dropped (with the engine's stream in it) when the client goes away.
pub(crate) fn stream<S, E>(content_type: HeaderValue, stream: S) -> Answer
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    Ok(with_body(StatusCode::OK, content_type, Body::from_stream(stream)))
}

/// 200 with one JSON value per line, each sent as soon as it is there.
pub(crate) fn json_lines<T: Serialize + 'static>(values: impl Stream<Item = T> + Send + 'static) -> Answer {
    stream(JSON, values.map(|value| Ok::<_, std::io::Error>(json_line(&value))))
}

fn with_body(status: StatusCode, content_type: HeaderValue, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// Lets a stream's first item decide the answer: an error there becomes a proper status instead of a cut 200.
pub(crate) async fn fail_early<S>(
    mut inner: S,
) -> Result<impl Stream<Item = Result<Bytes, engine::Error>> + Send + 'static, Error>
where
    S: Stream<Item = Result<Bytes, engine::Error>> + Send + Unpin + 'static,
{
    let first = match inner.next().await {
        Some(Err(error)) => return Err(error.into()),
        first => first,
    };
    Ok(futures_util::stream::iter(first).chain(inner))
}

/// A receiver as a stream.
pub(crate) struct Receiver<T>(pub(crate) tokio::sync::mpsc::Receiver<T>);

impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_recv(cx)
    }
}

/// A body that keeps something alive until its last byte is out, or the client gone.
pub(crate) struct Held<G> {
    pub(crate) body: Body,
    pub(crate) _guard: G,
}

impl<G: Unpin> http_body::Body for Held<G> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// A failure of the server itself.
pub(crate) fn broken(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Internal, message)
}

//! Connections that stop being HTTP: attach and exec take over the client's socket.
//!
//! ```text
//! client ── POST …/attach, Upgrade: tcp ──▶ server          101, then the raw socket itself goes to the engine
//! client ── POST …/attach (no Upgrade)  ──▶ server          200, chunks in both directions, through a socket pair
//! client ── GET …/attach/ws             ──▶ server          web socket messages, through a socket pair
//! ```
//! The engine hands the descriptor on to the container's monitor: after that neither server nor engine is in the path. TLS
//! and web sockets cannot be handed over; for them a relay runs here.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use engine::ClientStream;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::UnixStream;

use crate::connection::Connection;
use crate::error::Error;
use crate::request::{Body as RequestBody, Request};
use crate::response::Answer;

/// How long a client may take to read the head of its answer before the stream begins all the same.
const HEAD: Duration = if cfg!(test) { Duration::from_secs(20) } else { Duration::from_millis(200) };

/// Answers with a hijacked stream and gives it to `session` once the connection is ours. `content_type` is that of an
/// upgraded stream: it names the framing.
pub(crate) fn hijack<F>(
    request: &mut Request,
    content_type: &'static str,
    session: impl FnOnce(ClientStream) -> F + Send + 'static,
) -> Answer
where
    F: Future<Output = ()> + Send + 'static,
{
    let asked = asks_for_upgrade(&request.headers);
    match request.upgrade.take().filter(|_| asked) {
        Some(upgrade) => {
            let body = request.body.clone();
            tokio::spawn(async move {
                // An exec's JSON has been read to its end; an attach has no body. Either way nothing may be left.
                drop(body);
                match upgrade.await {
                    Ok(upgraded) => match take_over(upgraded).await {
                        Ok(stream) => session(stream).await,
                        Err(error) => tracing::warn!(%error, "take over an upgraded connection"),
                    },
                    Err(error) => tracing::debug!(%error, "client left before the upgrade"),
                }
            });
            upgraded(content_type)
        }
        None => plain(request.body.clone(), session),
    }
}

/// Whether the client sent `Upgrade` (moby looks at nothing else).
pub(crate) fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
}

fn upgraded(content_type: &'static str) -> Answer {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("tcp"));
    Ok(response)
}

/// The raw socket below an upgraded connection, with what was read past the request.
async fn take_over(upgraded: Upgraded) -> io::Result<ClientStream> {
    match upgraded.downcast::<TokioIo<Connection>>() {
        Ok(parts) => {
            let leftover = parts.read_buf.to_vec();
            let fd: OwnedFd = match parts.io.into_inner() {
                Connection::Unix(stream) => {
                    until_head_is_read(&stream).await;
                    stream.into_std()?.into()
                }
                Connection::Tcp(stream) => stream.into_std()?.into(),
                Connection::Tls(stream) => relay(stream)?,
            };
            Ok(ClientStream::Socket { fd, leftover })
        }
        Err(upgraded) => {
            Ok(ClientStream::Socket { fd: relay(TokioIo::new(upgraded))?, leftover: Vec::new() })
        }
    }
}

/// Waits until the client has read the answer's head. Clients there are (Docker's SDK for Python) that read the head through
/// a buffer and the stream past it: whatever reached the buffer together with the head would be lost.
async fn until_head_is_read(stream: &UnixStream) {
    // The kernel reports a socket as writable anew each time its peer has read from it.
    let is_read = || match sys::socket::is_read_by_peer(stream)? {
        true => Ok(()),
        false => Err(io::ErrorKind::WouldBlock.into()),
    };
    // A client that does not read is no reason to fail: its stream begins a little later.
    let _ = tokio::time::timeout(HEAD, stream.async_io(Interest::WRITABLE, is_read)).await;
}

/// One end of a socket pair; the other is copied to and from `stream`, half-closes included.
fn relay(mut stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> io::Result<OwnedFd> {
    let (mut ours, theirs) = UnixStream::pair()?;
    tokio::spawn(async move {
        if let Err(error) = tokio::io::copy_bidirectional(&mut stream, &mut ours).await {
            tracing::debug!(%error, "relayed connection ended");
        }
    });
    Ok(theirs.into_std()?.into())
}

/// For clients that did not ask for an upgrade: what moby sends is `200` and raw bytes; here the same bytes come as a chunked
/// body, and the rest of the request's body is standard input.
fn plain<F>(body: RequestBody, session: impl FnOnce(ClientStream) -> F + Send + 'static) -> Answer
where
    F: Future<Output = ()> + Send + 'static,
{
    let (ours, theirs) = UnixStream::pair()?;
    let stream = ClientStream::Socket { fd: theirs.into_std()?.into(), leftover: Vec::new() };
    let (output, mut input) = ours.into_split();
    tokio::spawn(session(stream));
    let pump = tokio::spawn(async move {
        // An absent body is no stdin, not the end of it: keep this direction open as long as there is output.
        if body.is_absent() {
            return std::future::pending().await;
        }
        let mut pieces = body.stream();
        while let Some(Ok(piece)) = pieces.next().await {
            if input.write_all(&piece).await.is_err() {
                break;
            }
        }
        let _ = input.shutdown().await;
    });
    let state = (output, AbortOnDrop(pump));
    let output = futures_util::stream::unfold(state, async |(mut output, pump)| {
        let mut buffer = BytesMut::with_capacity(32 << 10);
        match output.read_buf(&mut buffer).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(buffer.freeze()), (output, pump))),
            Err(error) => Some((Err(error), (output, pump))),
        }
    });
    crate::response::stream(HeaderValue::from_static(api::stream::RAW_STREAM), output)
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Answers with a web socket and gives `session` a stream behind it: every message is input, all output is binary messages.
pub(crate) async fn web_socket<F>(
    request: Request,
    session: impl FnOnce(ClientStream) -> F + Send + 'static,
) -> Answer
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut parts = http::Request::new(()).into_parts().0;
    parts.method = request.method;
    parts.headers = request.headers;
    if let Some(upgrade) = request.upgrade {
        parts.extensions.insert(upgrade);
    }
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
    let upgrade = upgrade.map_err(|refusal| Error::invalid(refusal.to_string()))?;
    let (ours, theirs) = UnixStream::pair()?;
    let stream = ClientStream::Socket { fd: theirs.into_std()?.into(), leftover: Vec::new() };
    Ok(upgrade.on_upgrade(move |socket| async move {
        tokio::join!(session(stream), relay_web_socket(socket, ours));
    }))
}

async fn relay_web_socket(socket: WebSocket, ours: UnixStream) {
    let (mut output, mut input) = ours.into_split();
    let (mut to_client, mut from_client) = socket.split();
    let inbound = async {
        while let Some(Ok(message)) = from_client.next().await {
            let bytes: Bytes = match message {
                Message::Binary(bytes) => bytes,
                Message::Text(text) => text.into(),
                // Answered by the library: pings here, the close with the read that ends the stream.
                Message::Ping(_) | Message::Pong(_) | Message::Close(_) => continue,
            };
            if input.write_all(&bytes).await.is_err() {
                break;
            }
        }
    };
    let outbound = async {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(32 << 10);
            match output.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(_) if to_client.send(Message::Binary(buffer.split().freeze())).await.is_err() => return,
                Ok(_) => {}
            }
        }
        let _ = to_client.close().await;
    };
    // The client's close ends the session; the container's end closes the web socket.
    tokio::select! {
        () = inbound => {}
        () = outbound => {}
    }
}

#[cfg(test)]
#[path = "hijack_tests.rs"]
mod tests;

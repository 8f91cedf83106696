//! Connections that stop being HTTP. The request is written and the answer's head is read by hand here, because a library
//! gives the raw connection back after `101` only, and engines (and what stands before them) also answer a plain `200` and
//! go on with raw bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use api::ApiVersion;
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::error::Error;
use crate::request::is_hijacked;
use crate::response::daemon_error;
use crate::transport::Stream;

/// The longest head of an answer.
const MAX_HEAD: usize = 64 << 10;
/// The longest error.
const MAX_ERROR: usize = 1 << 20;

/// A connection after its upgrade. `shutdown` ends the sending direction alone.
pub struct Upgraded {
    stream: Stream,
    /// What came with the answer's head.
    early: Bytes,
    content_type: Option<String>,
}

impl Upgraded {
    /// A connection on which nothing has been said yet.
    pub(crate) fn raw(stream: Stream) -> Self {
        Self { stream, early: Bytes::new(), content_type: None }
    }

    /// How the engine says it frames its output (`api::stream`).
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }
}

/// What came of it.
pub(crate) enum Outcome {
    Upgraded(Upgraded),
    /// The engine's error, and the version it speaks if it said.
    Refused(Error, Option<ApiVersion>),
}

/// Asks for an upgrade on a new connection.
pub(crate) async fn upgrade(
    mut stream: Stream,
    method: &Method,
    target: &str,
    headers: &[(HeaderName, HeaderValue)],
    body: &[u8],
) -> io::Result<Outcome> {
    let mut request = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    for (name, value) in headers {
        request.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    let length = body.len();
    request.extend(
        format!("connection: Upgrade\r\nupgrade: tcp\r\ncontent-length: {length}\r\n\r\n").into_bytes(),
    );
    request.extend_from_slice(body);
    stream.write_all(&request).await?;
    stream.flush().await?;

    let mut buffer = BytesMut::with_capacity(4096);
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
        if buffer.len() > MAX_HEAD {
            return Err(io::Error::other("the answer has no end of headers"));
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::Error::other("the engine closed the connection"));
        }
    };
    let head = Head::parse(&buffer.split_to(end)).ok_or_else(|| io::Error::other("not an HTTP answer"))?;
    if is_hijacked(head.status) {
        return Ok(Outcome::Upgraded(Upgraded {
            stream,
            early: buffer.freeze(),
            content_type: head.value("content-type").map(str::to_owned),
        }));
    }
    let body = read_error(&mut stream, buffer, &head).await?;
    let theirs = head.value("api-version").and_then(|text| text.parse().ok());
    Ok(Outcome::Refused(daemon_error(head.status, &body), theirs))
}

struct Head {
    status: StatusCode,
    /// Names in small letters.
    headers: Vec<(String, String)>,
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        };
        Some(Self { status: StatusCode::from_u16(status).ok()?, headers: lines.filter_map(header).collect() })
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

/// The body of a refusal: by its length, its chunks, or up to the end of the connection.
async fn read_error(stream: &mut Stream, mut buffer: BytesMut, head: &Head) -> io::Result<Vec<u8>> {
    let length = head.value("content-length").and_then(|text| text.parse::<usize>().ok());
    let chunked = head.value("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    loop {
        let complete = match length {
            Some(length) => buffer.len() >= length,
            None => chunked && buffer.ends_with(b"0\r\n\r\n"),
        };
        if complete || buffer.len() > MAX_ERROR || stream.read_buf(&mut buffer).await? == 0 {
            break;
        }
    }
    Ok(if chunked { unchunk(&buffer) } else { buffer.to_vec() })
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|bytes| bytes == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end])
            .ok()
            .and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
        let data = &rest[end + 2..];
        match size {
            Some(size) if size > 0 && size <= data.len() => {
                body.extend_from_slice(&data[..size]);
                rest = data.get(size + 2..).unwrap_or_default();
            }
            _ => break,
        }
    }
    body
}

impl AsyncRead for Upgraded {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.early.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let count = this.early.len().min(buf.remaining());
        buf.put_slice(&this.early[..count]);
        this.early.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

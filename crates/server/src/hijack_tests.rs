//! Hijacked connections over a real socket, with an echo in the engine's place: it works on the descriptor alone, as the
//! monitor does.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream as BlockingStream;

use api::ApiVersion;
use tokio::io::AsyncBufReadExt;

use super::*;

/// The session: sends everything back, says `bye` at the end of input, closes.
async fn echo(stream: ClientStream) {
    let ClientStream::Socket { fd, leftover } = stream;
    tokio::task::spawn_blocking(move || {
        let mut socket = BlockingStream::from(fd);
        socket.set_nonblocking(false).unwrap();
        socket.write_all(&leftover).unwrap();
        let mut buffer = [0; 1000];
        while let Ok(read @ 1..) = socket.read(&mut buffer) {
            socket.write_all(&buffer[..read]).unwrap();
        }
        // A web socket's client cannot be there any more.
        let _ = socket.write_all(b"bye");
        let _ = socket.shutdown(Shutdown::Both);
    })
    .await
    .unwrap();
}

/// A connection that answers every request with a hijack.
fn serve() -> UnixStream {
    let (client, server) = UnixStream::pair().unwrap();
    let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async {
        let (mut parts, body) = request.into_parts();
        let web_socket = parts.uri.path().ends_with("/ws");
        let mut request = Request::new(ApiVersion::MAX, &mut parts, RequestBody::new(body));
        if web_socket {
            return Ok(super::web_socket(request, echo).await.unwrap());
        }
        let _: serde_json::Value = request.json().await.unwrap();
        Ok::<_, std::convert::Infallible>(
            hijack(&mut request, api::stream::MULTIPLEXED_STREAM, echo).unwrap(),
        )
    });
    let http = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(Connection::Unix(server)), service)
        .with_upgrades();
    tokio::spawn(http);
    client
}

async fn head(client: &mut tokio::io::BufReader<UnixStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(client.read_line(&mut head).await.unwrap(), 0, "{head}");
    }
    head.to_lowercase()
}

#[tokio::test]
async fn an_upgraded_client_talks_to_the_session_itself() {
    let mut client = tokio::io::BufReader::new(serve());
    // The first input comes in one piece with the request: it must not be lost in the parser's buffer.
    let request = "POST /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}early,";
    client.write_all(request.as_bytes()).await.unwrap();
    let head = head(&mut client).await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("content-type: application/vnd.docker.multiplexed-stream\r\n"), "{head}");
    assert!(head.contains("upgrade: tcp\r\n") && head.contains("connection: upgrade\r\n"), "{head}");
    client.write_all(b"late").await.unwrap();
    // Half-close: the session sees the end of input and can still answer.
    client.get_mut().shutdown().await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "early,latebye");
}

#[tokio::test]
async fn without_upgrade_input_and_output_are_chunks() {
    let mut client = tokio::io::BufReader::new(serve());
    let request =
        "POST /x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    client.write_all(request.as_bytes()).await.unwrap();
    let head = head(&mut client).await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(head.contains("content-type: application/vnd.docker.raw-stream\r\n"), "{head}");
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
}

#[tokio::test]
async fn a_relayed_stream_carries_half_closes_both_ways() {
    let (mut client, server) = UnixStream::pair().unwrap();
    let fd = relay(server).unwrap();
    let session = tokio::spawn(echo(ClientStream::Socket { fd, leftover: b"leftover,".to_vec() }));
    client.write_all(&vec![b'x'; 100_000]).await.unwrap();
    let reading = tokio::spawn(async move {
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        answer
    });
    let answer = reading.await.unwrap();
    assert!(answer.starts_with(b"leftover,xxx") && answer.ends_with(b"xxxbye"));
    assert_eq!(answer.len(), 9 + 100_000 + 3);
    session.await.unwrap();
}

/// A short message from the client, masked with zeros.
fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    [&[0x80 | opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

#[tokio::test]
async fn a_web_socket_carries_the_session_in_messages() {
    let mut client = tokio::io::BufReader::new(serve());
    let request = "GET /attach/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let head = head(&mut client).await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
    let mut frame = [0; 7];
    for (opcode, payload) in [(1, b"text!"), (2, b"bytes")] {
        client.write_all(&masked(opcode, payload)).await.unwrap();
        client.read_exact(&mut frame).await.unwrap();
        assert_eq!(frame, [&[0x82, 5], &payload[..]].concat()[..]);
    }
    client.write_all(&masked(8, &[])).await.unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert!(rest.starts_with(&[0x88]), "{rest:?}");
}

#[tokio::test]
async fn the_stream_begins_once_the_head_is_read() {
    let mut client = serve();
    let request = "POST /exec/1/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}early ";
    client.write_all(request.as_bytes()).await.unwrap();
    client.readable().await.unwrap();
    // Time enough for a session that does not wait.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut buffer = [0; 4096];
    let read = client.read(&mut buffer).await.unwrap();
    let head = String::from_utf8_lossy(&buffer[..read]);
    assert!(head.starts_with("HTTP/1.1 101") && head.ends_with("\r\n\r\n"), "{head:?}");
    client.shutdown().await.unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "early bye");
}

//! Requests over a unix socket, against a server that says exactly what a test wants it to say.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::JoinHandle;

use client::{Client, Endpoint, Error, Method, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A server whose connections are each handled by a script; the heads and bodies it was sent are its result.
struct Server {
    folder: tempfile::TempDir,
    thread: JoinHandle<Vec<String>>,
}

/// Answers the requests of one connection in order; then the connection is closed.
type Connection = Vec<&'static str>;

impl Server {
    fn start(connections: Vec<Connection>) -> (Self, Client) {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        let thread = std::thread::spawn(move || {
            let mut seen = Vec::new();
            for answers in connections {
                let (stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream);
                for answer in answers {
                    seen.push(read_request(&mut reader));
                    reader.get_mut().write_all(answer.as_bytes()).unwrap();
                }
                let mut rest = String::new();
                if reader.read_to_string(&mut rest).is_ok() && !rest.is_empty() {
                    seen.push(rest);
                }
            }
            seen
        });
        let client = client(folder.path().join("s"));
        (Self { folder, thread }, client)
    }

    fn seen(self) -> Vec<String> {
        let seen = self.thread.join().unwrap();
        drop(self.folder);
        seen
    }
}

fn client(socket: PathBuf) -> Client {
    Client::new(Options {
        endpoint: Endpoint::Unix(socket),
        version: None,
        headers: vec![("x-custom".to_owned(), "yes".to_owned())],
        autostart: None,
        user_agent: "test".to_owned(),
    })
}

/// The request line and the body.
fn read_request(reader: &mut BufReader<UnixStream>) -> String {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_lowercase());
    }
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    assert!(head.contains(&"x-custom: yes".to_owned()), "{head:?}");
    format!("{} {}", head[0], String::from_utf8(body).unwrap()).trim().to_owned()
}

const NOT_FOUND: &str =
    "HTTP/1.1 404 Not Found\r\nContent-Length: 31\r\n\r\n{\"message\":\"No such image: foo\"}";

fn answer(body: &'static str) -> &'static str {
    Box::leak(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_boxed_str())
}

fn wait_for_a_client(listener: &UnixListener) {
    let mut polled = [rustix::event::PollFd::new(listener, rustix::event::PollFlags::IN)];
    let deadline = rustix::event::Timespec { tv_sec: 20, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut polled, Some(&deadline)), Ok(1), "nobody connected within 20 s");
}

/// Two engines after each other at one address: the first is gone before it reads what was sent to it.
async fn first_engine_dies_unread<T: Send + 'static>(
    answer: &'static str,
    request: impl Future<Output = T> + Send + 'static,
    socket: PathBuf,
) -> (T, String) {
    let dying = UnixListener::bind(&socket).unwrap();
    let request = tokio::spawn(request);
    let (second, server) = tokio::task::spawn_blocking(move || {
        wait_for_a_client(&dying);
        std::fs::remove_file(&socket).unwrap();
        let second = UnixListener::bind(&socket).unwrap();
        drop(dying);
        wait_for_a_client(&second);
        let (stream, _) = second.accept().unwrap();
        let mut reader = BufReader::new(stream);
        let seen = read_request(&mut reader);
        reader.get_mut().write_all(answer.as_bytes()).unwrap();
        (seen, reader)
    })
    .await
    .unwrap();
    let outcome = request.await.unwrap();
    drop(server);
    (outcome, second)
}

#[tokio::test]
async fn what_a_dying_engine_did_not_read_is_sent_to_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let client = client(socket.clone());
    let create = client.request(Method::POST, "/containers/create").json_body(&["x"]);
    let answer = "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}";
    let (outcome, seen) = first_engine_dies_unread(answer, create.bytes(), socket.clone()).await;
    assert_eq!(outcome.unwrap(), "{}");
    assert_eq!(seen, "post /v1.51/containers/create http/1.1 [\"x\"]");

    std::fs::remove_file(&socket).unwrap();
    let attach = client.request(Method::POST, "/containers/x/attach").upgrade();
    let answer = "HTTP/1.1 101 UPGRADED\r\n\r\n";
    let (outcome, seen) = first_engine_dies_unread(answer, attach, socket).await;
    assert!(outcome.is_ok());
    assert_eq!(seen, "post /v1.51/containers/x/attach http/1.1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn answers_and_errors_come_over_one_kept_connection() {
    let not_found = Box::leak(NOT_FOUND.replace("31", "32").into_boxed_str());
    let (server, client) = Server::start(vec![vec![answer("[1,2]"), not_found, answer("")]]);
    let numbers: Vec<i64> = client.request(Method::GET, "/numbers").query("a", "x y").json().await.unwrap();
    assert_eq!(numbers, [1, 2]);
    let error = client.request(Method::GET, "/images/foo/json").empty().await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.to_string(), "Error response from daemon: No such image: foo");
    client.request(Method::POST, "/x").json_body(&[7]).empty().await.unwrap();
    drop(client);
    assert_eq!(
        server.seen(),
        [
            "get /v1.51/numbers?a=x%20y http/1.1",
            "get /v1.51/images/foo/json http/1.1",
            "post /v1.51/x http/1.1 [7]"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_older_engine_is_spoken_to_in_its_version() {
    const TOO_NEW: &str = "HTTP/1.1 400 Bad Request\r\nApi-Version: 1.45\r\nConnection: close\r\nContent-Length: 87\r\n\r\n{\"message\":\"client version 1.51 is too new. Maximum supported API version is 1.45 ......\"}";
    let too_new: &str = Box::leak(
        TOO_NEW.replace("87", &TOO_NEW.split("\r\n\r\n").nth(1).unwrap().len().to_string()).into_boxed_str(),
    );
    let (server, client) = Server::start(vec![vec![too_new], vec![answer("{}")]]);
    client.request(Method::POST, "/x").json_body(&"body").empty().await.unwrap();
    assert_eq!(client.version().await.unwrap().to_string(), "1.45");
    drop(client);
    assert_eq!(server.seen(), ["post /v1.51/x http/1.1 \"body\"", "post /v1.45/x http/1.1 \"body\""]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stream_of_values_is_read_as_it_comes() {
    let (_server, client) = Server::start(vec![vec![
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n6\r\n\":1}{\"\r\n6\r\na\":2}\n\r\n0\r\n\r\n",
    ]]);
    let mut lines = client.request(Method::GET, "/events").lines::<serde_json::Value>().await.unwrap();
    let mut seen = Vec::new();
    while let Some(value) = lines.next().await.unwrap() {
        seen.push(value["a"].as_i64().unwrap());
    }
    assert_eq!(seen, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn hijacked_connections_are_raw_after_101_and_after_200_and_close_by_halves() {
    for head in [
        "HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\nearly ",
        "HTTP/1.1 200 OK\r\n\r\nearly ",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        let server = std::thread::spawn(move || {
            let mut reader = BufReader::new(listener.accept().unwrap().0);
            read_request(&mut reader);
            reader.get_mut().write_all(head.as_bytes()).unwrap();
            // Up to the client's half-close; the other half still works.
            let mut input = String::new();
            reader.read_to_string(&mut input).unwrap();
            reader.get_mut().write_all(input.to_uppercase().as_bytes()).unwrap();
        });
        let client = client(folder.path().join("s"));
        let mut stream = client.request(Method::POST, "/containers/a/attach").upgrade().await.unwrap();
        stream.write_all(b"late").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut output = String::new();
        stream.read_to_string(&mut output).await.unwrap();
        assert_eq!(output, "early LATE");
        server.join().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refused_upgrade_is_the_engines_error() {
    let (_server, client) = Server::start(vec![vec![
        "HTTP/1.1 409 Conflict\r\nTransfer-Encoding: chunked\r\n\r\n13\r\n{\"message\":\"nope\"}\n\r\n0\r\n\r\n",
    ]]);
    match client.request(Method::POST, "/x").upgrade().await {
        Err(Error::Daemon { status: 409, message }) => assert_eq!(message, "nope"),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("upgraded"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nobody_listening_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let client = client(folder.path().join("s"));
    let error = client.request(Method::GET, "/x").empty().await.unwrap_err();
    let address = format!("unix://{}/s", folder.path().display());
    assert_eq!(
        error.to_string(),
        format!("Cannot connect to the Naru engine at {address}. Is the engine running?")
    );
}

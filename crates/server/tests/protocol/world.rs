//! A server on a socket in a temporary folder, and a client that speaks bytes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::{Engine, EngineConfig};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// No exchange takes longer unless something hangs.
const DEADLINE: Duration = Duration::from_secs(20);

pub struct World {
    socket: PathBuf,
    stop: Arc<Notify>,
    server: JoinHandle<std::io::Result<()>>,
    _folder: tempfile::TempDir,
}

impl World {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::start(config(&folder)).await.unwrap();
        let socket = folder.path().join("naru.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let server =
            tokio::spawn(server::serve(vec![server::Listener::Unix(listener)], engine, async move {
                stopped.notified().await
            }));
        Self { socket, stop, server, _folder: folder }
    }

    pub fn begin_stop(&self) {
        self.stop.notify_one();
    }

    pub async fn stop(self) {
        self.begin_stop();
        tokio::time::timeout(DEADLINE, self.server).await.expect("the server stops").unwrap().unwrap();
    }

    pub async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.socket).await.unwrap()
    }

    /// A connection that has been used and is kept alive.
    pub async fn connect_and_ping(&self) -> UnixStream {
        let mut stream = self.connect().await;
        stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let read = async {
            while !answer.ends_with(b"\r\n\r\nOK") {
                assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
            }
        };
        tokio::time::timeout(DEADLINE, read).await.expect("an answer in time");
        stream
    }

    /// Sends bytes, closes the sending half after the answer began, and returns all that comes back.
    pub async fn raw(&self, request: &[u8]) -> String {
        exchange(&mut self.connect().await, request).await
    }

    pub async fn send(&self, request: &str) -> Answer {
        Answer::parse(&self.raw(request.as_bytes()).await)
    }

    pub async fn request(&self, method: &str, path: &str) -> Answer {
        self.send(&format!("{method} {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")).await
    }
}

pub fn config(folder: &tempfile::TempDir) -> EngineConfig {
    EngineConfig {
        root: folder.path().join("root"),
        run_dir: folder.path().join("run"),
        ..EngineConfig::default()
    }
}

/// Writes and reads at once (a large request must not wait for its answer to be read), until the server closes.
pub async fn exchange(stream: &mut UnixStream, request: &[u8]) -> String {
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let whole = async {
        let read = async {
            // Cut connections (ECONNRESET after a refusal) end the answer like closed ones.
            while matches!(reader.read_buf(&mut answer).await, Ok(1..)) {}
        };
        let write = async {
            let _ = writer.write_all(request).await;
            // Only what is no complete request ends with a half-close: an HTTP client keeps its side open.
            if !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
                let _ = writer.shutdown().await;
            }
        };
        tokio::join!(read, write);
    };
    tokio::time::timeout(DEADLINE, whole).await.expect("an answer in time");
    String::from_utf8_lossy(&answer).into_owned()
}

pub async fn read_to_end(mut stream: UnixStream) -> String {
    let mut rest = String::new();
    tokio::time::timeout(DEADLINE, stream.read_to_string(&mut rest))
        .await
        .expect("the server closes")
        .unwrap();
    rest
}

/// A parsed answer.
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    fn parse(raw: &str) -> Self {
        let (head, body) = raw.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {raw:?}"));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        Self { status, headers, body: body.to_owned() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }
}

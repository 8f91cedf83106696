//! A server on a socket in a temporary folder, and a client that speaks bytes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::{Engine, EngineConfig};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;

/// No exchange takes longer unless something hangs.
const DEADLINE: Duration = Duration::from_secs(20);

pub struct World {
    socket: PathBuf,
    stop: Arc<Notify>,
    engine: std::thread::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl World {
    /// An engine in a network namespace of its own (bridges and packet filters go with it): all its threads come from one
    /// that has left the host's.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("naru.sock");
        let stop = Arc::new(Notify::new());
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let (path, config, stopped) = (socket.clone(), config(folder.path()), Arc::clone(&stop));
        let engine = std::thread::spawn(move || {
            sys::namespace::unshare(sys::clone::NEWNET).unwrap();
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let engine = Engine::start(config).await.unwrap();
                let listener = UnixListener::bind(path).unwrap();
                ready.send(()).unwrap();
                let listeners = vec![server::Listener::Unix(listener)];
                server::serve(listeners, engine, async move { stopped.notified().await }).await.unwrap();
            });
        });
        is_ready.await.expect("the engine starts");
        Self { socket, stop, engine, _folder: folder }
    }

    pub fn begin_stop(&self) {
        self.stop.notify_one();
    }

    pub async fn stop(self) {
        self.begin_stop();
        let joined = tokio::task::spawn_blocking(move || self.engine.join().unwrap());
        tokio::time::timeout(DEADLINE, joined).await.expect("the server stops").unwrap();
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

fn config(folder: &Path) -> EngineConfig {
    EngineConfig::new(folder.join("root"), folder.join("run"))
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

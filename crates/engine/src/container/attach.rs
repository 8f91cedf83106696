//! Clients on a container's streams: kept until the start, or handed over to the monitor.
//!
//! ```text
//! container_attach ──▶ Attachment (announced) ──run(socket)──┬─ no monitor: kept with the container, part of the next start
//!                                                            └─ running: handed over
//! ```
//! A client that has been told "attached" starts the container at once, often before its socket has come through the HTTP
//! server. So an attachment is announced before the answer, and a start waits for those that are announced.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use api::ContainerLogsQuery;
use monitor::protocol::{AttachSpec, Body, ErrorKind as Refusal, Reply};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::detach_keys;
use super::model::{Container, lock};
use super::status::Status;
use crate::Engine;
use crate::error::{Error, Result};
use crate::monitors;

/// A client whose socket has not come by then has gone.
const PATIENCE: Duration = Duration::from_secs(2);
/// A container that ends while a client is handed over may be started again; this often.
const ATTEMPTS: usize = 5;

/// What to attach to.
#[derive(Debug, Clone, Default)]
pub struct AttachOptions {
    /// Replay what was written before.
    pub logs: bool,
    /// Stay attached.
    pub stream: bool,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// `ctrl-p,ctrl-q` style; empty = the default.
    pub detach_keys: String,
    /// Frame stdout and stderr (8-byte headers) where there is no terminal.
    pub mux: bool,
}

/// A client's connection that has stopped being HTTP.
#[derive(Debug)]
pub enum ClientStream {
    /// The raw socket, with what was read from it past the request.
    Socket { fd: OwnedFd, leftover: Vec<u8> },
}

/// A registered attach: [`Attachment::run`] goes on with the client's connection.
pub struct Attachment {
    /// The container has a terminal: its output is raw.
    pub tty: bool,
    engine: Weak<Engine>,
    container: Arc<Container>,
    logs: bool,
    stream: bool,
    spec: AttachSpec,
    announced: Announced,
}

/// A client that attached before the start.
#[derive(Debug)]
pub(crate) struct Pending {
    pub socket: OwnedFd,
    pub spec: AttachSpec,
}

/// A container's clients while it has no monitor.
pub(crate) struct Streams {
    state: Mutex<Waiting>,
    /// How many are announced and have not come yet.
    announced: Arc<watch::Sender<usize>>,
}

#[derive(Default)]
struct Waiting {
    /// A monitor has them, or is about to.
    live: bool,
    clients: Vec<Pending>,
}

impl Default for Streams {
    fn default() -> Self {
        Self { state: Mutex::default(), announced: Arc::new(watch::Sender::new(0)) }
    }
}

/// Counted until dropped.
struct Announced(Arc<watch::Sender<usize>>);

impl Drop for Announced {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Streams {
    fn announce(&self) -> Announced {
        self.announced.send_modify(|count| *count += 1);
        Announced(Arc::clone(&self.announced))
    }

    /// Waits for the clients that are announced, then takes all; from now on clients belong to the monitor.
    pub(crate) async fn take(&self) -> Vec<Pending> {
        let mut announced = self.announced.subscribe();
        // Whoever does not come in time is handed over later.
        let _ = tokio::time::timeout(PATIENCE, announced.wait_for(|count| *count == 0)).await;
        let mut waiting = lock(&self.state);
        waiting.live = true;
        std::mem::take(&mut waiting.clients)
    }

    /// The monitor is gone: clients are kept again.
    pub(crate) fn keep(&self) {
        lock(&self.state).live = false;
    }

    /// A monitor has the streams (found at boot).
    pub(crate) fn hand_over(&self) {
        lock(&self.state).live = true;
    }

    /// Hangs up on all who wait.
    pub(crate) fn hang_up(&self) {
        let clients = std::mem::take(&mut lock(&self.state).clients);
        drop(clients);
    }

    /// Keeps a client, or gives it back when a monitor has the streams.
    fn push(&self, client: Pending) -> Option<Pending> {
        let mut waiting = lock(&self.state);
        if waiting.live {
            return Some(client);
        }
        waiting.clients.push(client);
        None
    }
}

impl Attachment {
    /// Ends when the connection has been handed over, or with it.
    pub async fn run(self, client: ClientStream) {
        let ClientStream::Socket { fd, leftover } = client;
        let id = self.container.id.clone();
        if let Err(error) = self.connect(fd, leftover).await {
            tracing::warn!(%error, container = %id, "attach a client");
        }
    }

    async fn connect(mut self, socket: OwnedFd, leftover: Vec<u8>) -> Result<()> {
        if self.logs {
            self.replay(&socket).await?;
        }
        if !self.stream {
            return Ok(());
        }
        self.spec.leftover = leftover;
        let mut client = Pending { socket, spec: self.spec };
        let mut announced = Some(self.announced);
        for _ in 0..ATTEMPTS {
            match self.container.streams.push(client) {
                None => return Ok(()),
                Some(back) => client = back,
            }
            drop(announced.take());
            // A start in progress holds the gate until the monitor takes requests.
            drop(self.container.gate.lock().await);
            let Some(monitor) = self.container.monitor() else {
                tokio::task::yield_now().await;
                continue;
            };
            match monitor.ask(Body::Attach(client.spec.clone()), &[client.socket.as_fd()]).await {
                Ok(Reply::Error { kind: Refusal::NotRunning, .. }) | Err(_) => {}
                Ok(Reply::Error { kind, message }) => return Err(monitors::refusal(kind, message)),
                Ok(_) => return Ok(()),
            }
        }
        Err(Error::conflict(format!("container {} ended while a client was attached", self.container.id)))
    }

    /// Writes to the client what the container has written so far.
    async fn replay(&self, socket: &OwnedFd) -> Result<()> {
        let Some(engine) = self.engine.upgrade() else { return Ok(()) };
        let (stdout, stderr) = (self.spec.stdout, self.spec.stderr);
        if !stdout && !stderr {
            return Ok(());
        }
        let query = ContainerLogsQuery { stdout, stderr, tail: "all".to_owned(), ..Default::default() };
        let mut logs = engine.container_logs(&self.container.id, query).await?;
        let frames = !self.tty && !self.spec.mux;
        while let Some(piece) = logs.frames.recv().await {
            let piece = piece?;
            let written = match frames {
                true => write_all(socket, &payloads(&piece)).await,
                false => write_all(socket, &piece).await,
            };
            written.map_err(|error| Error::host("replay a container's output", error))?;
        }
        Ok(())
    }
}

/// What is inside of whole frames.
fn payloads(mut frames: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some((&[_, _, _, _, a, b, c, d], rest)) = frames.split_first_chunk::<8>() {
        let length = rest.len().min(u32::from_be_bytes([a, b, c, d]) as usize);
        bytes.extend_from_slice(&rest[..length]);
        frames = &rest[length..];
    }
    bytes
}

impl Engine {
    pub async fn container_attach(&self, id: &str, options: AttachOptions) -> Result<Attachment> {
        let container = self.containers.find(id)?;
        let keys = detach_keys::parse(&options.detach_keys)?;
        match container.status() {
            Status::Paused(_) => {
                return Err(Error::conflict(format!(
                    "container {} is paused, unpause the container before attach",
                    container.id
                )));
            }
            Status::Restarting => {
                return Err(Error::conflict(format!(
                    "container {} is restarting, wait until the container is running",
                    container.id
                )));
            }
            _ => {}
        }
        let record = container.record();
        let spec = AttachSpec {
            stdin: options.stdin && record.config.open_stdin,
            stdout: options.stdout,
            stderr: options.stderr,
            detach_keys: keys,
            mux: options.mux,
            leftover: Vec::new(),
            exec: None,
        };
        self.container_event(&container, "attach", &[]);
        Ok(Attachment {
            tty: record.config.tty,
            engine: self.me.clone(),
            logs: options.logs,
            stream: options.stream,
            spec,
            announced: container.streams.announce(),
            container,
        })
    }
}

/// Writes to a client's socket, of whatever family, until all is written.
pub(crate) async fn write_all(socket: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    // For writing and waiting all stream sockets are alike.
    let socket = StdStream::from(socket.try_clone()?);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)?.write_all(bytes).await
}

#[cfg(test)]
mod tests {
    use api::stream::{StreamKind, frame};

    #[test]
    fn frames_are_unwrapped() {
        let mut bytes = frame(StreamKind::Stdout, b"ab");
        bytes.extend(frame(StreamKind::Stderr, b""));
        bytes.extend(frame(StreamKind::Stderr, b"c"));
        assert_eq!(super::payloads(&bytes), b"abc");
        assert_eq!(super::payloads(b""), b"");
    }
}

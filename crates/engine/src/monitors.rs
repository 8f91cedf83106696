//! A connection to a container's monitor: requests with descriptors go out, replies find their askers, events come in order.
//!
//! ```text
//!   request(body, fds) ──▶ socket ──▶ monitor
//!   reply ◀── pump ◀── socket          the pump task reads everything, in order: a reply that changes the container's
//!   event ◀────┘                       state (Started) is applied there, before the events that follow it
//! ```
//! What replies and events mean for the container is `container::events`'s.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use monitor::protocol::{self, Body, Decoder, ExpectedStreams, Message, Reply, Request};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use crate::blocking::blocking;
use crate::container::model::lock;
use crate::error::{Error, Result};

/// One connection.
pub(crate) struct Monitor {
    /// Watched for what comes in only: room to write, which there mostly is, would wake us whenever the monitor has read something.
    socket: AsyncFd<StdStream>,
    next: AtomicU64,
    /// Who waits for which reply; None when the connection has ended.
    waiting: Mutex<Option<HashMap<u64, oneshot::Sender<Reply>>>>,
    /// Frames must not mix.
    writing: tokio::sync::Mutex<()>,
    /// It knows [`Body::Expect`], and holds processes.
    holds: AtomicBool,
}

/// The reading half, for the one task that pumps.
pub(crate) struct Incoming {
    decoder: Decoder,
    buffer: Box<[u8; 16 << 10]>,
}

impl Monitor {
    /// Takes a connected socket.
    pub(crate) fn new(socket: StdStream) -> Result<(Self, Incoming)> {
        let wrap = |error| Error::host("use a monitor's socket", error);
        socket.set_nonblocking(true).map_err(wrap)?;
        let monitor = Self {
            socket: watched(socket).map_err(wrap)?,
            next: AtomicU64::new(1),
            waiting: Mutex::new(Some(HashMap::new())),
            writing: tokio::sync::Mutex::new(()),
            holds: AtomicBool::new(false),
        };
        Ok((monitor, Incoming { decoder: Decoder::new(), buffer: Box::new([0; 16 << 10]) }))
    }

    /// Asks and waits for the answer; an error answer is returned as it is.
    pub(crate) async fn ask(&self, body: Body, fds: &[BorrowedFd<'_>]) -> Result<Reply> {
        Self::answer(self.send(body, fds).await?).await
    }

    /// The answer to a request that was sent.
    pub(crate) async fn answer(receiver: oneshot::Receiver<Reply>) -> Result<Reply> {
        receiver.await.map_err(|_| gone())
    }

    /// It has said whether it holds processes.
    pub(crate) fn holds(&self, does: bool) {
        self.holds.store(does, Ordering::Relaxed);
    }

    /// Announces a process that is likely to be started soon, and waits at this line if its streams are known already; false if the
    /// monitor is not to hear of it.
    pub(crate) async fn expect(
        &self,
        id: &str,
        plan: &runtime::ExecPlan,
        wait: Option<(ExpectedStreams, &OwnedFd)>,
    ) -> bool {
        if !self.holds.load(Ordering::Relaxed) {
            return false;
        }
        let (streams, line) = wait.unzip();
        let body = Body::Expect { id: id.to_owned(), plan: Box::new(plan.clone()), streams };
        let line: Vec<BorrowedFd<'_>> = line.into_iter().map(AsFd::as_fd).collect();
        self.announce(body, &line).await.is_ok()
    }

    /// Asks, and makes an error of an error answer.
    pub(crate) async fn request(&self, body: Body) -> Result<Reply> {
        match self.ask(body, &[]).await? {
            Reply::Error { kind, message } => Err(refusal(kind, message)),
            reply => Ok(reply),
        }
    }

    /// Sends a request whose answer nobody needs.
    pub(crate) async fn tell(&self, body: Body) {
        // A monitor that is gone needs no telling.
        let _ = self.send(body, &[]).await;
    }

    /// Sends a request that has no answer.
    pub(crate) async fn announce(&self, body: Body, fds: &[BorrowedFd<'_>]) -> Result<()> {
        let seq = self.next.fetch_add(1, Ordering::Relaxed);
        self.write(Request { seq, body }, fds).await
    }

    /// Sends a request; [`Self::answer`] waits for what comes back.
    pub(crate) async fn send(&self, body: Body, fds: &[BorrowedFd<'_>]) -> Result<oneshot::Receiver<Reply>> {
        let seq = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).as_mut().ok_or_else(gone)?.insert(seq, sender);
        let sent = self.write(Request { seq, body }, fds).await;
        if sent.is_err()
            && let Some(waiting) = lock(&self.waiting).as_mut()
        {
            waiting.remove(&seq);
        }
        sent.map(|()| receiver)
    }

    async fn write(&self, request: Request, fds: &[BorrowedFd<'_>]) -> Result<()> {
        let bytes = protocol::encode(&request)
            .map_err(|error| Error::host("encode a request to a monitor", error))?;
        let _turn = self.writing.lock().await;
        let wrap = |error| Error::host("send a request to a container's monitor", error);
        loop {
            match sys::fdpass::send(self.socket.as_fd(), &bytes, fds) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    let socket = self.socket.as_fd().try_clone_to_owned().map_err(wrap)?;
                    blocking(move || room(&socket).map_err(|error| wrap(error.into()))).await?;
                }
                sent => return sent.map_err(wrap),
            }
        }
    }

    /// The next message; None at the end of the stream. Everybody who still waits is told then.
    pub(crate) async fn next(&self, incoming: &mut Incoming) -> Option<Message> {
        loop {
            match incoming.decoder.next::<Message>() {
                Ok(Some((message, _))) => return Some(message),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%error, "a monitor speaks nonsense");
                    self.close();
                    return None;
                }
            }
            let buffer = incoming.buffer.as_mut_slice();
            let read = self
                .socket
                .async_io(Interest::READABLE, |_| Ok(rustix::io::read(self.socket.as_fd(), &mut *buffer)?))
                .await;
            match read {
                Ok(0) | Err(_) => {
                    self.close();
                    return None;
                }
                Ok(count) => incoming.decoder.push(&incoming.buffer[..count], std::iter::empty::<OwnedFd>()),
            }
        }
    }

    /// Gives a reply to whoever waits for it.
    pub(crate) fn deliver(&self, seq: u64, reply: Reply) {
        let sender = lock(&self.waiting).as_mut().and_then(|waiting| waiting.remove(&seq));
        if let Some(sender) = sender {
            // The asker may have been cancelled.
            let _ = sender.send(reply);
        }
    }

    /// Ends the connection from our side; the listener sees the end of the stream.
    pub(crate) fn hang_up(&self) {
        let _ = rustix::net::shutdown(self.socket.as_fd(), rustix::net::Shutdown::Both);
    }

    fn close(&self) {
        *lock(&self.waiting) = None;
    }
}

#[expect(
    deprecated,
    reason = "the other way is `unsafe`, for types whose descriptor may change: a socket's does not"
)]
fn watched(socket: StdStream) -> std::io::Result<AsyncFd<StdStream>> {
    AsyncFd::with_interest(socket, Interest::READABLE)
}

/// Waits until something can be written, or never will.
fn room(socket: &OwnedFd) -> std::result::Result<(), Errno> {
    loop {
        match poll(&mut [PollFd::new(socket, PollFlags::OUT)], None) {
            Err(Errno::INTR) => {}
            result => return result.map(drop),
        }
    }
}

fn gone() -> Error {
    Error::internal("the container's monitor is gone")
}

/// A monitor's refusal as an error for users.
pub(crate) fn refusal(kind: protocol::ErrorKind, message: String) -> Error {
    use api::ErrorKind;
    let kind = match kind {
        protocol::ErrorKind::ProgramNotFound
        | protocol::ErrorKind::NotExecutable
        | protocol::ErrorKind::Invalid => ErrorKind::InvalidParameter,
        protocol::ErrorKind::NoSuchExec => ErrorKind::NotFound,
        protocol::ErrorKind::NotRunning | protocol::ErrorKind::Conflict => ErrorKind::Conflict,
        protocol::ErrorKind::InvalidUser | protocol::ErrorKind::Launch | protocol::ErrorKind::System => {
            ErrorKind::Internal
        }
    };
    Error::new(kind, message)
}

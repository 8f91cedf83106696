//! The line between the launcher and the process that is becoming a container: a pair of sockets, closed by a successful
//! `execve`. One packet is one message, so nothing needs framing.
//!
//! ```text
//!   launcher ── go ──▶ child                   maps are written, the cgroup is joined, hooks have run
//!   launcher ◀── ready, terminal ── child      ready: now run the hooks
//!   launcher ◀── executing, then end ── child  the program runs
//!   launcher ◀── failed ── child
//! ```

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};

use crate::error::{LaunchError, Result};

/// What the child says.
pub enum Message {
    /// The namespaces and mounts are there: run the hooks, then say go.
    Ready,
    /// The master of its terminal.
    Terminal(OwnedFd),
    /// A process in between has made the child: its pidfd.
    Born(OwnedFd),
    /// All is done but `execve`: if the line ends now, without another word, the program runs.
    Executing,
    /// It did not work.
    Failed(LaunchError),
}

/// One end.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// Both ends: the launcher's and the child's.
pub fn pair() -> io::Result<(Channel, Channel)> {
    let (left, right) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    // Numbers below 3 are about to be replaced by the standard streams.
    Ok((Channel(left), Channel(above_stdio(right)?)))
}

/// The descriptor, moved if it has the number of a standard stream.
pub fn above_stdio(fd: OwnedFd) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    match fd.as_raw_fd() {
        0..=2 => Ok(rustix::io::fcntl_dupfd_cloexec(&fd, 3)?),
        _ => Ok(fd),
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Channel {
    /// The line that a socket of packets is.
    pub fn new(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// The socket.
    pub fn into_socket(self) -> OwnedFd {
        self.0
    }

    /// Launcher: lets the child go on.
    pub fn go(&self) -> io::Result<()> {
        sys::fdpass::send(&self.0, b"g", &[])
    }

    /// Child: waits for [`Self::go`]. An error when the launcher is gone.
    pub fn wait(&self) -> Result<()> {
        match sys::fdpass::recv(&self.0, &mut [0; 1]) {
            Ok((1, _)) => Ok(()),
            _ => Err(LaunchError::other("wait", "the launcher is gone")),
        }
    }

    /// Whether a filter lets a child wait and say something. One that says so and does not, because of an argument, ends the child
    /// there.
    pub fn is_allowed(filter: &seccomp::Program) -> bool {
        [sys::fdpass::RECV, sys::fdpass::SEND].iter().all(|number| filter.allows(*number, [0; 6]))
    }

    fn say(&self, bytes: &[u8]) -> Result<()> {
        sys::fdpass::send(&self.0, bytes, &[]).map_err(|_| LaunchError::other("wait", "the launcher is gone"))
    }

    /// Child: see [`Message::Ready`].
    pub fn ready(&self) -> Result<()> {
        self.say(b"r")
    }

    /// Child: see [`Message::Executing`].
    pub fn executing(&self) -> Result<()> {
        self.say(b"x")
    }

    /// Child: ends the line, as `execve` would.
    pub fn end(&self) {
        // Whoever listened is gone: all the same.
        let _ = rustix::net::shutdown(&self.0, rustix::net::Shutdown::Both);
    }

    /// Child: see [`Message::Terminal`].
    pub fn terminal(&self, master: impl AsFd) -> io::Result<()> {
        sys::fdpass::send(&self.0, b"t", &[master.as_fd()])
    }

    /// Process in between: see [`Message::Born`].
    pub fn born(&self, pidfd: impl AsFd) -> io::Result<()> {
        sys::fdpass::send(&self.0, b"b", &[pidfd.as_fd()])
    }

    /// Child: see [`Message::Failed`].
    pub fn failed(&self, error: &LaunchError) {
        let json = serde_json::to_vec(error).unwrap_or_default();
        let mut bytes = vec![b'f'];
        bytes.extend(&json[..json.len().min(60_000)]);
        // Nobody is left to hear of a second failure.
        let _ = sys::fdpass::send(&self.0, &bytes, &[]);
    }

    /// Launcher: a message that is there already.
    pub fn try_receive(&self) -> Option<Message> {
        if self.is_ready(Duration::ZERO) { self.receive().ok().flatten() } else { None }
    }

    /// Launcher: whether there is something to receive, waited for no longer than this.
    pub fn is_ready(&self, patience: Duration) -> bool {
        self.polled(PollFlags::IN, patience)
    }

    fn polled(&self, flags: PollFlags, patience: Duration) -> bool {
        let Ok(patience) = Timespec::try_from(patience) else { return false };
        matches!(poll(&mut [PollFd::new(&self.0, flags)], Some(&patience)), Ok(1))
    }

    /// Launcher: whether the child has hung up, waited for no longer than this. What it says meanwhile wakes nobody up: it is there
    /// to be received afterwards.
    pub fn is_over(&self, patience: Duration) -> bool {
        self.polled(PollFlags::empty(), patience)
    }

    /// Launcher: whether the next message is [`Message::Executing`], which stays.
    pub fn says_executing(&self) -> bool {
        let mut byte = [0];
        let peeked = rustix::net::recv(&self.0, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(peeked, Ok((1, _))) && byte == *b"x"
    }

    /// The size of the next message; 0 is the end.
    fn next_size(&self) -> Result<usize, Errno> {
        rustix::net::recv(&self.0, &mut [0_u8; 0], RecvFlags::PEEK | RecvFlags::TRUNC).map(|(_, size)| size)
    }

    /// Launcher: the next message; `None` is the end.
    pub fn receive(&self) -> io::Result<Option<Message>> {
        let size = match self.next_size() {
            // The child has ended with our "go" unread, which the socket tells once, before what the child had to say.
            Err(Errno::CONNRESET) => self.next_size()?,
            result => result?,
        };
        // Mostly one byte: a buffer for the longest would cost more than everything else here.
        let mut buffer = vec![0; size.max(1)];
        let (count, fds) = sys::fdpass::recv(&self.0, &mut buffer)?;
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        match buffer.get(..count).and_then(<[u8]>::split_first) {
            None => Ok(None),
            Some((b'r', _)) => Ok(Some(Message::Ready)),
            Some((b'x', _)) => Ok(Some(Message::Executing)),
            Some((b't', _)) => {
                fds.into_iter().next().map(|fd| Some(Message::Terminal(fd))).ok_or_else(invalid)
            }
            Some((b'b', _)) => fds.into_iter().next().map(|fd| Some(Message::Born(fd))).ok_or_else(invalid),
            Some((b'f', json)) => Ok(Some(Message::Failed(serde_json::from_slice(json)?))),
            Some(_) => Err(invalid()),
        }
    }
}

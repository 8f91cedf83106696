//! TCP: each accepted connection is joined with one to the target. Both directions end on their own (half-close). Bytes go from
//! socket to socket by way of a pipe, within the kernel and uncopied (splice(2)); what one side does not take stays in its pipe,
//! and no more is read from the other until it does.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{Shutdown, SocketFlags};
use rustix::pipe::{PipeFlags, SpliceFlags};

use crate::poller::{EventFlags, Poller, Side, Token, Watched, set_nonblocking};

/// A published port.
pub(super) struct Listener {
    socket: Watched,
    pub target: SocketAddr,
    resting: bool,
}

impl Listener {
    pub fn new(poller: &Poller, key: u32, socket: OwnedFd, target: SocketAddr) -> io::Result<Self> {
        set_nonblocking(&socket)?;
        if !rustix::net::sockopt::socket_acceptconn(&socket)? {
            rustix::net::listen(&socket, 4096)?;
        }
        let mut socket = Watched::new(poller, socket, Token::Relay(key));
        socket.watch(Some(EventFlags::IN))?;
        Ok(Self { socket, target, resting: false })
    }

    /// The next waiting connection.
    pub fn accept(&mut self) -> Option<OwnedFd> {
        loop {
            match rustix::net::accept_with(&self.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(client) => return Some(client),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    // The connection stays in the queue, and would be reported over and over.
                    self.resting = self.socket.watch(None).is_ok();
                    return None;
                }
                Err(_) => return None,
            }
        }
    }

    pub fn is_resting(&self) -> bool {
        self.resting
    }

    pub fn wake(&mut self) {
        if std::mem::take(&mut self.resting) {
            let _ = self.socket.watch(Some(EventFlags::IN));
        }
    }
}

/// How much a pipe holds; the most that an ordinary user may ask for.
const PIPE: usize = 1 << 20;
/// How often a direction is filled before others get their turn.
const TURN: usize = 16;

/// A pipe with nothing in it, which lies between two sockets while bytes pass.
pub(super) struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (out, into) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A smaller one serves as well.
        let _ = rustix::pipe::fcntl_setpipe_size(&into, PIPE);
        Ok(Self { out, into })
    }
}

/// The one empty pipe that is kept for whichever direction has something to move next: none needs its own but those whose
/// receiver is slow.
pub(super) type Spare = Option<Pipe>;

/// One end of a connection.
struct End {
    socket: Watched,
    /// What it still has to send, and how much that is.
    unsent: Option<(Pipe, usize)>,
    /// Everything is read from it.
    read: bool,
    /// The end of the stream is sent to it.
    shut: bool,
}

impl End {
    fn new(socket: Watched) -> Self {
        Self { socket, unsent: None, read: false, shut: false }
    }
}

/// A relayed connection: the client outside, the container inside.
pub(super) struct Pair {
    ends: [End; 2],
    connecting: bool,
}

impl Pair {
    /// `inner` is a fresh socket.
    pub fn connect(
        poller: &Poller,
        key: u32,
        client: OwnedFd,
        inner: OwnedFd,
        target: SocketAddr,
    ) -> io::Result<Self> {
        for socket in [&client, &inner] {
            rustix::net::sockopt::set_tcp_nodelay(socket, true)?;
        }
        match rustix::net::connect(&inner, &target) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let mut inner = Watched::new(poller, inner, Token::RelayEnd(key, Side::Inner));
        inner.watch(Some(EventFlags::OUT))?;
        let outer = Watched::new(poller, client, Token::RelayEnd(key, Side::Outer));
        Ok(Self { ends: [End::new(outer), End::new(inner)], connecting: true })
    }

    /// One end is ready; false when the connection is over.
    pub fn ready(&mut self, side: Side, flags: EventFlags, spare: &mut Spare) -> bool {
        if self.connecting {
            if side == Side::Outer {
                return !flags.intersects(EventFlags::HUP | EventFlags::ERR);
            }
            if !matches!(
                rustix::net::sockopt::socket_error(&self.ends[Side::Inner as usize].socket),
                Ok(Ok(()))
            ) {
                return false;
            }
            self.connecting = false;
        }
        let [outer, inner] = &mut self.ends;
        let moved = carry(outer, inner, spare).and_then(|()| carry(inner, outer, spare));
        if moved.is_err() || self.ends.iter().all(|end| end.shut) {
            return false;
        }
        self.watch().is_ok()
    }

    fn watch(&mut self) -> io::Result<()> {
        let waiting = self.ends.each_ref().map(|end| end.unsent.is_some());
        for (index, end) in self.ends.iter_mut().enumerate() {
            let mut flags = EventFlags::empty();
            if waiting[index] {
                flags |= EventFlags::OUT;
            }
            if !end.read && !waiting[1 - index] {
                flags |= EventFlags::IN;
            }
            // With nothing to do a hang-up would be reported over and over.
            end.socket.watch((!flags.is_empty()).then_some(flags))?;
        }
        Ok(())
    }
}

/// Moves bytes from one end to the other as far as they go.
fn carry(from: &mut End, to: &mut End, spare: &mut Spare) -> io::Result<()> {
    for _ in 0..TURN {
        if !flush(to, spare)? || from.read {
            break;
        }
        let pipe = match spare.take() {
            Some(pipe) => pipe,
            None => Pipe::new()?,
        };
        match splice(&from.socket, &pipe.into, PIPE) {
            Ok(0) => from.read = true,
            Ok(count) => {
                to.unsent = Some((pipe, count));
                continue;
            }
            Err(Errno::AGAIN) => {
                *spare = Some(pipe);
                break;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        *spare = Some(pipe);
    }
    if from.read && to.unsent.is_none() && !to.shut {
        to.shut = true;
        // The other side may be gone already.
        let _ = rustix::net::shutdown(&to.socket, Shutdown::Write);
    }
    Ok(())
}

/// Sends what an end still has to send; whether that is everything.
fn flush(to: &mut End, spare: &mut Spare) -> Result<bool, Errno> {
    while let Some((pipe, left)) = to.unsent.take() {
        match splice(&pipe.out, &to.socket, left) {
            Ok(count) if count >= left => *spare = Some(pipe),
            Ok(count) => to.unsent = Some((pipe, left - count)),
            Err(Errno::AGAIN) => {
                to.unsent = Some((pipe, left));
                return Ok(false);
            }
            Err(Errno::INTR) => to.unsent = Some((pipe, left)),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn splice(from: impl AsFd, to: impl AsFd, length: usize) -> Result<usize, Errno> {
    rustix::pipe::splice(from, None, to, None, length, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)
}

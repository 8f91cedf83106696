//! TCP: each accepted connection is joined with one to the target. Both directions end on their own (half-close), and each holds
//! at most one buffer: what one side does not take is not read from the other.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType};

use crate::backlog::Backlog;
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

/// One end of a connection.
struct End {
    socket: Watched,
    /// What it still has to send.
    backlog: Backlog,
    /// Everything is read from it.
    read: bool,
    /// The end of the stream is sent to it.
    shut: bool,
}

impl End {
    fn new(socket: Watched) -> Self {
        Self { socket, backlog: Backlog::default(), read: false, shut: false }
    }
}

/// A relayed connection: the client outside, the container inside.
pub(super) struct Pair {
    ends: [End; 2],
    connecting: bool,
}

impl Pair {
    pub fn connect(poller: &Poller, key: u32, client: OwnedFd, target: SocketAddr) -> io::Result<Self> {
        let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let inner = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
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
    pub fn ready(&mut self, side: Side, flags: EventFlags, buffer: &mut [u8]) -> bool {
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
        let moved = carry(outer, inner, buffer).and_then(|()| carry(inner, outer, buffer));
        if moved.is_err() || self.ends.iter().all(|end| end.shut) {
            return false;
        }
        self.watch().is_ok()
    }

    fn watch(&mut self) -> io::Result<()> {
        let waiting = self.ends.each_ref().map(|end| !end.backlog.is_empty());
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
fn carry(from: &mut End, to: &mut End, buffer: &mut [u8]) -> Result<(), Errno> {
    let write = |socket: &Watched, bytes: &[u8]| rustix::net::send(socket, bytes, SendFlags::NOSIGNAL);
    to.backlog.flush(|bytes| write(&to.socket, bytes))?;
    while !from.read && to.backlog.is_empty() {
        match rustix::net::recv(&from.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => from.read = true,
            Ok((count, _)) => to.backlog.send(&buffer[..count], |bytes| write(&to.socket, bytes))?,
            Err(Errno::AGAIN) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    if from.read && to.backlog.is_empty() && !to.shut {
        to.shut = true;
        // The other side may be gone already.
        let _ = rustix::net::shutdown(&to.socket, Shutdown::Write);
    }
    Ok(())
}

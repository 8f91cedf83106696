//! Who speaks the protocol with the monitor: the engine that spawned it, and engines that came to `monitor.sock` later. Owns the
//! sockets, the framing of what comes in and what goes out. A connection that ends is forgotten: the container goes on.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::net::{SendFlags, SocketFlags};

use crate::backlog::Backlog;
use crate::client::{MAX_SOCKET_PATH, SOCKET, open_folder, short_path};
use crate::poller::{EventFlags, Poller, Token, Watched, set_nonblocking};
use crate::protocol::{Decoder, Message, Request, encode};

/// An engine that has left so much unread does not work any more; it finds out about events when it asks for the status.
const MAX_UNREAD: usize = 4 << 20;

/// A request's sender, for the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asker {
    pub connection: u32,
    pub seq: u64,
}

struct Connection {
    socket: Watched,
    decoder: Decoder,
    backlog: Backlog,
}

pub(crate) struct Connections {
    poller: Poller,
    open: BTreeMap<u32, Connection>,
    next_key: u32,
    listener: Option<(Watched<UnixListener>, PathBuf)>,
}

impl Connections {
    pub fn new(poller: &Poller, control: OwnedFd) -> io::Result<Self> {
        let mut connections =
            Self { poller: poller.clone(), open: BTreeMap::new(), next_key: 0, listener: None };
        connections.add(control)?;
        Ok(connections)
    }

    /// Makes the container's run-time folder and listens in it.
    pub fn listen(&mut self, run_dir: &Path) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(run_dir)?;
        let path = run_dir.join(SOCKET);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = if path.as_os_str().len() <= MAX_SOCKET_PATH {
            UnixListener::bind(path)?
        } else {
            let folder = open_folder(run_dir)?;
            UnixListener::bind(short_path(&folder))?
        };
        listener.set_nonblocking(true)?;
        let mut listener = Watched::new(&self.poller, listener, Token::Listener);
        listener.watch(Some(EventFlags::IN))?;
        self.listener = Some((listener, run_dir.to_owned()));
        Ok(())
    }

    pub fn is_listening(&self) -> bool {
        self.listener.is_some()
    }

    /// Removes the run-time folder: nobody can connect any more.
    pub fn stop_listening(&mut self) {
        if let Some((_, run_dir)) = self.listener.take() {
            let _ = std::fs::remove_dir_all(run_dir);
        }
    }

    pub fn accept(&mut self) {
        while let Some((listener, _)) = &self.listener
            && let Ok(socket) = rustix::net::accept_with(listener.as_fd(), SocketFlags::CLOEXEC)
        {
            let _ = self.add(socket);
        }
    }

    fn add(&mut self, socket: OwnedFd) -> io::Result<()> {
        set_nonblocking(&socket)?;
        let key = self.next_key;
        self.next_key += 1;
        let mut socket = Watched::new(&self.poller, socket, Token::Connection(key));
        socket.watch(Some(EventFlags::IN))?;
        self.open.insert(key, Connection { socket, decoder: Decoder::new(), backlog: Backlog::default() });
        Ok(())
    }

    /// Nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Everything is sent.
    pub fn is_flushed(&self) -> bool {
        self.open.values().all(|connection| connection.backlog.is_empty())
    }

    /// A connection is ready: sends what is left, and returns the requests that came.
    pub fn ready(&mut self, key: u32, flags: EventFlags, buffer: &mut [u8]) -> Vec<(Request, Vec<OwnedFd>)> {
        let mut requests = Vec::new();
        let Some(connection) = self.open.get_mut(&key) else { return requests };
        let mut alive = !flags.contains(EventFlags::OUT) || connection.flush().is_ok();
        if alive && flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            alive = connection.receive(buffer, &mut requests);
        }
        if !alive || connection.watch().is_err() {
            self.open.remove(&key);
        }
        requests
    }

    /// Sends a message to one connection, if it is still there.
    pub fn send(&mut self, key: u32, message: &Message) {
        if let Ok(bytes) = encode(message) {
            self.send_bytes(key, &bytes);
        }
    }

    /// Sends a message to every connection.
    pub fn broadcast(&mut self, message: &Message) {
        let Ok(bytes) = encode(message) else { return };
        let keys: Vec<u32> = self.open.keys().copied().collect();
        for key in keys {
            self.send_bytes(key, &bytes);
        }
    }

    fn send_bytes(&mut self, key: u32, bytes: &[u8]) {
        let Some(connection) = self.open.get_mut(&key) else { return };
        let Connection { socket, backlog, .. } = connection;
        let sent = backlog.send(bytes, |bytes| rustix::net::send(&*socket, bytes, SendFlags::NOSIGNAL));
        if sent.is_err() || backlog.len() > MAX_UNREAD || connection.watch().is_err() {
            self.open.remove(&key);
        }
    }
}

impl Connection {
    fn flush(&mut self) -> Result<(), rustix::io::Errno> {
        self.backlog.flush(|bytes| rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL))
    }

    fn watch(&mut self) -> io::Result<()> {
        let out = if self.backlog.is_empty() { EventFlags::empty() } else { EventFlags::OUT };
        self.socket.watch(Some(EventFlags::IN | out))
    }

    /// Reads what is there; false at the end of the stream, or of sense.
    fn receive(&mut self, buffer: &mut [u8], requests: &mut Vec<(Request, Vec<OwnedFd>)>) -> bool {
        loop {
            match sys::fdpass::recv(&self.socket, buffer) {
                Ok((0, _)) => return false,
                Ok((count, fds)) => self.decoder.push(&buffer[..count], fds),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
            loop {
                match self.decoder.next::<Request>() {
                    Ok(Some(request)) => requests.push(request),
                    Ok(None) => break,
                    Err(_) => return false,
                }
            }
        }
    }
}

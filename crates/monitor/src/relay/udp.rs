//! UDP: each peer of a published port gets a socket of its own to the target, so that answers find their way back. A peer that is
//! silent for long is forgotten, as by Docker's proxy.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketType};

use crate::poller::{EventFlags, Poller, Side, Token, Watched, set_nonblocking};

/// After so long without a packet either way.
const SILENCE: Duration = Duration::from_secs(90);
/// Of each port; packets of further peers are dropped.
const MAX_PEERS: usize = 1024;
/// The longest datagram.
const DATAGRAM: usize = 64 << 10;
/// How many packets of one socket before others get their turn.
const TURN: usize = 32;

/// A published port.
pub(super) struct Port {
    socket: Watched,
    target: SocketAddr,
    peers: HashMap<SocketAddr, u32>,
    inner: HashMap<u32, Peer>,
    /// Pages of it exist once a datagram reached them.
    buffer: Box<[u8]>,
}

struct Peer {
    address: SocketAddr,
    socket: Watched,
    heard: Instant,
}

impl Port {
    pub fn new(poller: &Poller, key: u32, socket: OwnedFd, target: SocketAddr) -> io::Result<Self> {
        set_nonblocking(&socket)?;
        let mut socket = Watched::new(poller, socket, Token::Relay(key));
        socket.watch(Some(EventFlags::IN))?;
        let buffer = vec![0; DATAGRAM].into_boxed_slice();
        Ok(Self { socket, target, peers: HashMap::new(), inner: HashMap::new(), buffer })
    }

    pub fn target(&self) -> SocketAddr {
        self.target
    }

    /// Sends what comes from now on elsewhere, and forgets who sent before.
    pub fn redirect(&mut self, target: SocketAddr) {
        self.target = target;
        self.peers.clear();
        self.inner.clear();
    }

    pub fn is_idle(&self) -> bool {
        self.inner.is_empty()
    }

    /// Passes on what peers sent; returns the keys of new peers.
    pub fn receive(&mut self, poller: &Poller, home: Option<&OwnedFd>, next_key: &mut u32) -> Vec<u32> {
        let mut new = Vec::new();
        for _ in 0..TURN {
            let (count, address) =
                match rustix::net::recvfrom(&self.socket, &mut self.buffer[..], RecvFlags::empty()) {
                    Ok((count, _, Some(address))) => (count, address),
                    Ok((_, _, None)) | Err(Errno::INTR) => continue,
                    // An answer that could not be delivered is reported here (ICMP); it concerns one peer only.
                    Err(Errno::CONNREFUSED | Errno::HOSTUNREACH | Errno::NETUNREACH) => continue,
                    Err(_) => break,
                };
            let Ok(address) = SocketAddr::try_from(address) else { continue };
            let key = match self.peers.get(&address) {
                Some(key) => *key,
                None if self.peers.len() >= MAX_PEERS => continue,
                None => {
                    *next_key += 1;
                    let Ok(socket) = self.connect(poller, home, *next_key) else { continue };
                    self.peers.insert(address, *next_key);
                    self.inner.insert(*next_key, Peer { address, socket, heard: Instant::now() });
                    new.push(*next_key);
                    *next_key
                }
            };
            if let Some(peer) = self.inner.get_mut(&key) {
                peer.heard = Instant::now();
                // A datagram that does not go is a datagram lost, as on any network.
                let _ = rustix::net::send(&peer.socket, &self.buffer[..count], SendFlags::NOSIGNAL);
            }
        }
        new
    }

    fn connect(&self, poller: &Poller, home: Option<&OwnedFd>, key: u32) -> io::Result<Watched> {
        if self.target.ip().is_unspecified() {
            // Nowhere, while the container is in no network: the kernel would take it for the host itself.
            return Err(io::ErrorKind::HostUnreachable.into());
        }
        let socket = super::socket(self.target, SocketType::DGRAM, home)?;
        rustix::net::connect(&socket, &self.target)?;
        let mut socket = Watched::new(poller, socket, Token::RelayEnd(key, Side::Inner));
        socket.watch(Some(EventFlags::IN))?;
        Ok(socket)
    }

    /// Passes on what the container answered to a peer.
    pub fn answer(&mut self, key: u32) {
        let Some(peer) = self.inner.get_mut(&key) else { return };
        for _ in 0..TURN {
            match rustix::net::recv(&peer.socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((count, _)) => {
                    peer.heard = Instant::now();
                    let _ = rustix::net::sendto(
                        &self.socket,
                        &self.buffer[..count],
                        SendFlags::NOSIGNAL,
                        &peer.address,
                    );
                }
                // Nobody listens in the container at the moment.
                Err(Errno::CONNREFUSED | Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Forgets peers; returns their keys.
    pub fn forget_silent(&mut self) -> Vec<u32> {
        let gone: Vec<u32> =
            self.inner.extract_if(|_, peer| peer.heard.elapsed() >= SILENCE).map(|(key, _)| key).collect();
        self.peers.retain(|_, key| !gone.contains(key));
        gone
    }
}

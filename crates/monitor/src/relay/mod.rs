//! Published ports that the monitor serves itself, where the firewall cannot: bytes from a socket of the host go to the container's
//! address, and back. Sockets of ports that are not relayed are only held, so that nobody else takes the port.

mod tcp;
mod udp;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::poller::{EventFlags, Poller, Side};
use crate::protocol::{Relay, RelayProto};
use crate::timers::{Timer, Timers};
use tcp::{Listener, Pair, Spare};
use udp::Port;

/// How often silent peers are looked for, and how long a listener rests that ran out of descriptors.
const TICK: Duration = Duration::from_secs(5);

pub(crate) struct Relays {
    poller: Poller,
    /// The network namespace to connect from, where it is not our own.
    home: Option<OwnedFd>,
    next_key: u32,
    listeners: BTreeMap<u32, Listener>,
    pairs: BTreeMap<u32, Pair>,
    spare: Spare,
    ports: BTreeMap<u32, Port>,
    /// Which port each peer belongs to.
    peers: BTreeMap<u32, u32>,
    held: Vec<OwnedFd>,
}

impl Relays {
    pub fn new(poller: &Poller) -> Self {
        Self {
            poller: poller.clone(),
            home: None,
            next_key: 0,
            listeners: BTreeMap::new(),
            pairs: BTreeMap::new(),
            spare: None,
            ports: BTreeMap::new(),
            peers: BTreeMap::new(),
            held: Vec::new(),
        }
    }

    /// Connects from another network namespace from now on.
    pub fn begin_at(&mut self, home: Option<OwnedFd>) {
        self.home = home;
    }

    /// Serves the relays on their sockets. One that cannot be served is only held: the container runs already.
    pub fn start(&mut self, relays: &[Relay], sockets: Vec<(usize, OwnedFd)>) {
        for (number, socket) in sockets {
            let key = self.key();
            match relays.iter().find(|relay| relay.socket == number) {
                Some(Relay { proto: RelayProto::Tcp, target, .. }) => {
                    if let Ok(listener) = Listener::new(&self.poller, key, socket, *target) {
                        self.listeners.insert(key, listener);
                    }
                }
                Some(Relay { proto: RelayProto::Udp, target, .. }) => {
                    if let Ok(port) = Port::new(&self.poller, key, socket, *target) {
                        self.ports.insert(key, port);
                    }
                }
                None => self.held.push(socket),
            }
        }
    }

    /// Leads to other targets, as pairs of old and new. TCP connections stay where they are; peers of UDP begin anew.
    pub fn redirect(&mut self, moves: &[(SocketAddr, SocketAddr)]) {
        let new = |old: SocketAddr| moves.iter().find(|(from, _)| *from == old).map(|(_, to)| *to);
        for listener in self.listeners.values_mut() {
            listener.target = new(listener.target).unwrap_or(listener.target);
        }
        for (key, port) in &mut self.ports {
            if let Some(target) = new(port.target()) {
                port.redirect(target);
                self.peers.retain(|_, of| of != key);
            }
        }
    }

    /// The container has come to its end: ports are free again.
    pub fn stop(&mut self, timers: &mut Timers) {
        timers.cancel(Timer::Relays);
        *self = Self::new(&self.poller);
    }

    /// A published socket is ready.
    pub fn ready(&mut self, key: u32, timers: &mut Timers) {
        if let Some(listener) = self.listeners.get_mut(&key) {
            while let Some(client) = listener.accept() {
                self.next_key += 1;
                // Nowhere, while the container is in no network: connecting to that would reach the host itself.
                if listener.target.ip().is_unspecified() {
                    continue;
                }
                let inner = socket(listener.target, SocketType::STREAM, self.home.as_ref());
                let pair = inner.and_then(|inner| {
                    Pair::connect(&self.poller, self.next_key, client, inner, listener.target)
                });
                if let Ok(pair) = pair {
                    self.pairs.insert(self.next_key, pair);
                }
            }
            if listener.is_resting() {
                timers.set(Timer::Relays, TICK);
            }
        } else if let Some(port) = self.ports.get_mut(&key) {
            for peer in port.receive(&self.poller, self.home.as_ref(), &mut self.next_key) {
                self.peers.insert(peer, key);
            }
            if timers.at(Timer::Relays).is_none() && !port.is_idle() {
                timers.set(Timer::Relays, TICK);
            }
        }
    }

    /// An end of a relayed connection is ready.
    pub fn end_ready(&mut self, key: u32, side: Side, flags: EventFlags) {
        if let Some(pair) = self.pairs.get_mut(&key) {
            if !pair.ready(side, flags, &mut self.spare) {
                self.pairs.remove(&key);
            }
        } else if let Some(port) = self.peers.get(&key).and_then(|port| self.ports.get_mut(port)) {
            port.answer(key);
        }
    }

    /// Forgets peers that said nothing for long; wakes listeners.
    pub fn tick(&mut self, timers: &mut Timers) {
        for port in self.ports.values_mut() {
            for peer in port.forget_silent() {
                self.peers.remove(&peer);
            }
        }
        for listener in self.listeners.values_mut() {
            listener.wake();
        }
        if self.ports.values().any(|port| !port.is_idle()) {
            timers.set(Timer::Relays, TICK);
        }
    }

    fn key(&mut self) -> u32 {
        self.next_key += 1;
        self.next_key
    }
}

/// A socket to reach a target with. In another namespace it is made on a thread that goes there: this one could not come back.
fn socket(target: SocketAddr, kind: SocketType, home: Option<&OwnedFd>) -> io::Result<OwnedFd> {
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let open = || rustix::net::socket_with(family, kind, flags, None);
    match home {
        Some(home) => Ok(sys::in_netns(home, open)??),
        None => Ok(open()?),
    }
}

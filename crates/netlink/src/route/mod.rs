//! rtnetlink: links, addresses and routes. A [`Route`] socket works in the network namespace in which it was opened; a
//! [`Batch`] collects changes with verbs as methods and is sent as one message.

mod batch;
mod link;
mod list;
mod numbers;

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

pub use batch::{Batch, NewRoute};
pub use link::{Ipv4Conf, LinkChange, LinkRef, MacvlanMode, NewLink, Veth};
pub use list::{Address, Link, RouteEntry, WayTo};

use crate::socket::Socket;
use crate::wire::NLM_F_DUMP;
use crate::{Error, Result};

/// An address and its prefix length.
pub type Prefix = (IpAddr, u8);

/// Notifications that [`Route::watch`] waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// IPv4 routes coming and going.
    Routes4,
    /// IPv6 routes coming and going.
    Routes6,
    /// Links coming, going and changing.
    Links,
}

/// A socket to the links, addresses and routes of one network namespace.
#[derive(Debug)]
pub struct Route {
    socket: Socket,
}

impl Route {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open() -> Result<Self> {
        Ok(Self { socket: Socket::open(None)? })
    }

    /// A socket that is told of changes; wait with [`Route::wait`].
    pub fn watch(what: &[Watch]) -> Result<Self> {
        let route = Self::open()?;
        for what in what {
            // rtnetlink_groups of linux/rtnetlink.h.
            route.socket.join_group(match what {
                Watch::Links => 1,
                Watch::Routes4 => 7,
                Watch::Routes6 => 11,
            })?;
        }
        Ok(route)
    }

    /// Blocks until something changed. False when notifications were lost, which is a change as well.
    pub fn wait(&mut self) -> bool {
        self.socket.wait()
    }

    /// Forgets the notifications that have arrived.
    pub fn forget(&mut self) {
        self.socket.drain();
    }

    /// Makes all changes; the first failure, though later ones were tried as well.
    pub fn run(&mut self, batch: Batch) -> Result<()> {
        match self.run_all(batch)?.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// Makes all changes; every failure with the index of its change in the batch.
    pub fn run_all(&mut self, batch: Batch) -> Result<Vec<(usize, Error)>> {
        let mut messages = batch.messages;
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let last = messages.count() - 1;
        self.socket.run(&mut messages, last)
    }

    /// Every link.
    pub fn links(&mut self) -> Result<Vec<Link>> {
        let mut messages = list::links();
        self.socket.ask(&mut messages, true, |received| Link::read(received.payload))
    }

    /// One link; None when there is none.
    pub fn link(&mut self, link: LinkRef<'_>) -> Result<Option<Link>> {
        let mut messages = list::link(link);
        match self.socket.ask(&mut messages, false, |received| Link::read(received.payload)) {
            Ok(found) => Ok(found.into_iter().next()),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every address of every link.
    pub fn addresses(&mut self) -> Result<Vec<Address>> {
        let mut messages = list::dump(numbers::RTM_GETADDR, 8, NLM_F_DUMP, "list addresses");
        self.socket.ask(&mut messages, true, |received| Address::read(received.payload))
    }

    /// Where a packet to an address would go; None when nowhere.
    pub fn lookup(&mut self, to: IpAddr) -> Result<Option<WayTo>> {
        let mut messages = list::lookup(to);
        match self.socket.ask(&mut messages, false, |received| WayTo::read(received.payload)) {
            Ok(found) => Ok(found.into_iter().next()),
            Err(error) if error.is_unreachable() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every unicast route of the tables that people write to (not `local`), IPv4 and IPv6.
    pub fn routes(&mut self) -> Result<Vec<RouteEntry>> {
        let mut messages = list::dump(numbers::RTM_GETROUTE, 12, NLM_F_DUMP, "list routes");
        self.socket.ask(&mut messages, true, |received| RouteEntry::read(received.payload))
    }
}

impl AsFd for Route {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

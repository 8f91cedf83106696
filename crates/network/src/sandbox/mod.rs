//! Network namespaces for containers: made, found warm, or given.

mod make;
pub(crate) mod pool;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use netlink::route::Route;

use crate::error::{Error, Result};
use crate::sandbox::pool::Reservation;

pub(crate) use make::{allow_ipv6, make};

/// A network namespace on its way to a container: loopback is up; an interface may wait in it, configured.
/// Dropping it gives everything back.
#[derive(Debug)]
pub struct Sandbox {
    netns: OwnedFd,
    /// A socket that belongs to the namespace. It keeps the namespace alive, so it must not outlive the connecting.
    route: Option<Route>,
    /// The interface that waits in it.
    ready: Option<Reservation>,
    /// Whether its default routes are set.
    routed: bool,
}

impl Sandbox {
    pub(crate) fn new(netns: OwnedFd, route: Route) -> Self {
        Self { netns, route: Some(route), ready: None, routed: false }
    }

    /// A namespace that exists already, such as a running container's `/proc/<pid>/ns/net`.
    pub fn existing(netns: OwnedFd) -> Self {
        Self { netns, route: None, ready: None, routed: false }
    }

    /// The namespace's descriptor, once everything is connected.
    pub fn into_netns(self) -> OwnedFd {
        self.netns
    }

    /// A socket to the links inside.
    pub(crate) fn route(&mut self) -> Result<&mut Route> {
        match &mut self.route {
            Some(route) => Ok(route),
            none => {
                let route = sys::in_netns(&self.netns, Route::open)
                    .map_err(|error| Error::host("enter the container's network namespace", error))??;
                Ok(none.insert(route))
            }
        }
    }

    pub(crate) fn make_ready(&mut self, reservation: Reservation) {
        self.ready = Some(reservation);
    }

    pub(crate) fn set_routed(&mut self) {
        self.routed = true;
    }

    pub(crate) fn is_routed(&self) -> bool {
        self.routed
    }

    pub(crate) fn take_ready(&mut self) -> Option<Reservation> {
        self.ready.take()
    }
}

impl AsFd for Sandbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.netns.as_fd()
    }
}

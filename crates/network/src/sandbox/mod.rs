//! Network namespaces for containers, made ahead of need.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A network namespace on its way to a container: loopback is up; an interface may wait in it, configured.
/// Dropping it gives everything back.
#[derive(Debug)]
pub struct Sandbox {
    pub(crate) netns: OwnedFd,
}

impl Sandbox {
    /// A namespace that exists already, such as a running container's `/proc/<pid>/ns/net`.
    pub fn existing(netns: OwnedFd) -> Self {
        Self { netns }
    }

    /// The namespace's descriptor, once everything is connected.
    pub fn into_netns(self) -> OwnedFd {
        self.netns
    }
}

impl AsFd for Sandbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.netns.as_fd()
    }
}

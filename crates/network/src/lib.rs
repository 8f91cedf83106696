//! Container networks: the drivers, who has which address, published ports, and names. Blocking and thread-safe. Works on
//! netlink and nftables alone, never by running a program, and knows neither containers' life cycles nor the Engine API.

#![forbid(unsafe_code)]

mod config;
mod error;
pub mod files;
mod mac;
mod publish;
mod random;
mod record;
mod sandbox;

use std::os::fd::OwnedFd;
use std::sync::Arc;

pub use config::{AddressPool, NetworkConfig};
pub use error::{Error, ErrorKind, Result};
pub use mac::{InvalidMac, Mac};
pub use publish::{Binding, InvalidProto, PortSpec, Proto, Published, RelaySpec};
pub use record::{Attachment, Driver, Endpoint, EndpointSpec, NetworkRecord, NetworkSpec, Pool, PoolSpec};
pub use sandbox::Sandbox;

/// The networks of one engine. Cheap to clone.
#[derive(Clone)]
pub struct Networks {
    _inner: Arc<()>,
}

impl Networks {
    /// Reads the records and makes the built-in networks' where they are missing. Changes nothing on the host: bridges and
    /// rules come with the first use.
    pub fn open(_config: NetworkConfig) -> Result<Self> {
        unreachable!("in progress")
    }

    /// Every network, built-in ones too, ordered by name; each with its endpoints.
    pub fn list(&self) -> Vec<NetworkRecord> {
        unreachable!("in progress")
    }

    /// A network by its id, its name, or the beginning of its id.
    pub fn get(&self, _name: &str) -> Result<NetworkRecord> {
        unreachable!("in progress")
    }

    /// Makes a network.
    pub fn create(&self, _spec: NetworkSpec) -> Result<NetworkRecord> {
        unreachable!("in progress")
    }

    /// Removes a network that nobody is in.
    pub fn remove(&self, _name: &str) -> Result<NetworkRecord> {
        unreachable!("in progress")
    }

    /// A fresh network namespace. `first` names the network that [`Networks::connect`] will be called with first, so that a
    /// ready interface of it may already be inside; None for `--network none`.
    pub fn sandbox(&self, _first: Option<&str>) -> Result<Sandbox> {
        unreachable!("in progress")
    }

    /// Puts a container into a network: an interface in its namespace with addresses and routes. On `host` and `none` only
    /// the record is made.
    pub fn connect(&self, _network: &str, _sandbox: &mut Sandbox, _spec: EndpointSpec) -> Result<Endpoint> {
        unreachable!("in progress")
    }

    /// Takes a container out of a network. `sandbox` is its live namespace, None when it has ended (its interfaces went with
    /// it).
    pub fn disconnect(&self, _network: &str, _container_id: &str, _sandbox: Option<OwnedFd>) -> Result<()> {
        unreachable!("in progress")
    }

    /// Makes host ports lead to a container by one of its endpoints: all or none.
    pub fn publish(&self, _ports: &[PortSpec], _endpoint: &Endpoint) -> Result<Published> {
        unreachable!("in progress")
    }

    /// Gives back everything that a container has: endpoints, published ports, names. Goes on after failures and returns them.
    pub fn release(&self, _container_id: &str) -> Vec<Error> {
        unreachable!("in progress")
    }

    /// What a container has now, empty when nothing.
    pub fn attachment(&self, _container_id: &str) -> Attachment {
        unreachable!("in progress")
    }

    /// To be called once after [`Networks::open`] with the ids of the containers that live: what others had is released, and
    /// what these have is put back where the host lost it (somebody flushed the rules while no engine ran).
    pub fn adopt(&self, _live: &[String]) -> Vec<Error> {
        unreachable!("in progress")
    }

    /// A container's new name.
    pub fn rename(&self, _container_id: &str, _name: &str) -> Vec<Error> {
        unreachable!("in progress")
    }

    /// Removes bridges and rules from the host, keeping the records; for uninstalling and for tests. Containers lose their
    /// networks.
    pub fn teardown(&self) -> Vec<Error> {
        unreachable!("in progress")
    }
}

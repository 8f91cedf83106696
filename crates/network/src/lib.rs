//! Container networks: the drivers, who has which address, published ports, and names. Blocking and thread-safe. Works on
//! netlink and nftables alone, never by running a program (but for the way out of networks without root, [`home`]), and knows
//! neither containers' life cycles nor the Engine API.
//!
//! ```text
//!   records (state)   <root>/networks/<id>.json, <run_dir>/network/<container>.json
//!        │
//!   endpoint ── sandbox (warm pool) ── netlink::route      one veth per endpoint, one bridge per network
//!   publish  ── firewall ───────────── netlink::nft        one map element per published port
//! ```

#![forbid(unsafe_code)]

mod bridge;
mod collide;
mod config;
mod create;
pub mod doctor;
mod endpoint;
mod error;
pub mod files;
mod firewall;
pub mod home;
mod host;
mod ipam;
mod links;
mod mac;
mod options;
mod publish;
mod random;
mod record;
mod recover;
mod sandbox;
mod state;
mod sysctls;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use collide::Collision;
pub use config::{AddressPool, NetworkConfig};
pub use endpoint::{dns_names, gateway_endpoint};
pub use error::{Error, ErrorKind, Result};
pub use links::Link;
pub use mac::{InvalidMac, Mac};
pub use publish::{Binding, InvalidProto, PortSpec, Proto, Published, RelaySpec};
pub use record::{Attachment, Driver, Endpoint, EndpointSpec, NetworkRecord, NetworkSpec, Pool, PoolSpec};
pub use sandbox::Sandbox;
pub use sysctls::{SYSCTLS, unknown_sysctls};

use firewall::{Firewall, Watch};
use home::Home;
use host::Host;
use state::{Folders, State};

/// The networks of one engine. Cheap to clone; the last clone takes the warm sandboxes with it.
#[derive(Clone)]
pub struct Networks {
    inner: Arc<Inner>,
    _threads: Arc<Threads>,
}

/// The threads beside the callers', which hold no strong handle while they wait: the last one that callers have ends them.
struct Threads(Arc<Inner>);

/// What all handles share. Locks are taken in the order of the fields.
pub(crate) struct Inner {
    config: NetworkConfig,
    folders: Folders,
    home: Arc<Home>,
    host: Host,
    /// Index of each network's bridge, once it is known to be as it should be.
    bridges: Mutex<BTreeMap<String, u32>>,
    firewall: Mutex<Firewall>,
    watch: Watch,
    lookout: collide::Lookout,
    /// Held while a zone file is written, so that the last one written is the newest.
    zones: Mutex<()>,
    state: Mutex<State>,
    pool: sandbox::pool::Pool,
}

/// A lock whose holder panicked is taken all the same: every change under one is complete before anything can panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Networks {
    /// Reads the records and makes the built-in networks' where they are missing. Changes nothing on the host: bridges and
    /// rules come with the first use.
    pub fn open(config: NetworkConfig) -> Result<Self> {
        let folders = Folders::make(&config.root, &config.run_dir)?;
        let state = folders.load()?;
        let home = Arc::new(Home::new(config.home.clone(), &config.run_dir));
        let inner = Inner {
            host: Host::new(folders.volatile(), Arc::clone(&home)),
            bridges: Mutex::new(BTreeMap::new()),
            firewall: Mutex::new(Firewall::new(&config.nft_table, Arc::clone(&home))),
            watch: Watch::default(),
            lookout: collide::Lookout::default(),
            zones: Mutex::new(()),
            state: Mutex::new(state),
            pool: sandbox::pool::Pool::default(),
            folders,
            home,
            config,
        };
        inner.make_builtin()?;
        let inner = Arc::new(inner);
        Ok(Self { _threads: Arc::new(Threads(Arc::clone(&inner))), inner })
    }

    /// Every network, built-in ones too, ordered by name; each with its endpoints.
    pub fn list(&self) -> Vec<NetworkRecord> {
        let mut networks: Vec<_> = lock(&self.inner.state).networks.values().cloned().collect();
        networks.sort_by(|a, b| a.name.cmp(&b.name));
        networks
    }

    /// A network by its id, its name, or the beginning of its id.
    pub fn get(&self, name: &str) -> Result<NetworkRecord> {
        lock(&self.inner.state).find(name).cloned()
    }

    /// Makes a network.
    pub fn create(&self, spec: NetworkSpec) -> Result<NetworkRecord> {
        let result = self.inner.create(spec);
        self.inner.look_out();
        result
    }

    /// Removes a network that nobody is in.
    pub fn remove(&self, name: &str) -> Result<NetworkRecord> {
        self.inner.remove(name)
    }

    /// A fresh network namespace. `first` names the network that [`Networks::connect`] will be called with first, so that a
    /// ready interface of it may already be inside; None for `--network none`.
    pub fn sandbox(&self, first: Option<&str>) -> Result<Sandbox> {
        let network_id = match first {
            Some(name) => {
                let state = lock(&self.inner.state);
                let network = state.find(name)?;
                (network.driver == Driver::Bridge && !network.config_only).then(|| network.id.clone())
            }
            None => None,
        };
        match self.inner.pool.take(network_id.as_deref(), &self.inner) {
            Some(sandbox) => Ok(sandbox),
            None => sandbox::make(),
        }
    }

    /// Has the sandboxes that were taken replaced, by a thread beside. To be called when the container runs for which one was taken:
    /// until then its start needs the processors, and the kernel's locks, itself.
    pub fn refill(&self) {
        self.inner.pool.refill(&self.inner);
    }

    /// Puts a container into a network: an interface in its namespace with addresses and routes. On `host` and `none` only
    /// the record is made.
    pub fn connect(&self, network: &str, sandbox: &mut Sandbox, spec: EndpointSpec) -> Result<Endpoint> {
        let result = self.inner.connect(network, sandbox, spec);
        self.inner.look_out();
        result
    }

    /// Takes a container out of a network. `netns` is its live namespace, None when it has ended (its interfaces went with
    /// it).
    pub fn disconnect(&self, network: &str, container_id: &str, netns: Option<OwnedFd>) -> Result<()> {
        self.inner.disconnect(network, container_id, netns)
    }

    /// Makes host ports lead to a container by one of its endpoints: all or none.
    pub fn publish(&self, ports: &[PortSpec], endpoint: &Endpoint) -> Result<Published> {
        self.inner.publish(ports, endpoint)
    }

    /// Whether [`Networks::link`] makes any difference: the default bridge's containers may not talk to each other.
    pub fn links_matter(&self) -> bool {
        lock(&self.inner.state).networks.values().any(links::matter_in)
    }

    /// Lets a container reach these ports of others on the default bridge where containers may not talk to each other otherwise;
    /// they take the place of those that it was let reach before. Nothing to do where they may.
    pub fn link(&self, container_id: &str, exposed: &[(Ipv4Addr, Proto, u16)]) -> Result<()> {
        self.inner.link(container_id, exposed)
    }

    /// Gives back everything that a container has: endpoints, published ports, names. Goes on after failures and returns them.
    pub fn release(&self, container_id: &str) -> Vec<Error> {
        self.inner.release(container_id)
    }

    /// What a container has now, empty when nothing.
    pub fn attachment(&self, container_id: &str) -> Attachment {
        lock(&self.inner.state).attachments.get(container_id).cloned().unwrap_or_default()
    }

    /// Networks whose subnets the host routes elsewhere, now.
    pub fn collisions(&self) -> Result<Vec<Collision>> {
        self.inner.collisions()
    }

    /// Names who is told of each collision that comes with a change of the host's routes, while networks are in use.
    pub fn on_collision(&self, tell: impl Fn(&Collision) + Send + Sync + 'static) {
        self.inner.lookout.tell(Arc::new(tell));
    }

    /// Who can reach each published port, and what is wrong with the host's networks. Reads; changes nothing.
    pub fn diagnose(&self, examination: &doctor::Examination) -> Result<doctor::Diagnosis> {
        self.inner.diagnose(examination)
    }

    /// What the monitor of a container in these networks is to keep for as long as the container lives; None where they are the
    /// host's own.
    pub fn lease(&self) -> Result<Option<home::Lease>> {
        self.inner.home.lease()
    }

    /// The host's address where it is not the gateways': that by which others reach it.
    pub fn host_address(&self) -> Option<IpAddr> {
        self.inner.host.outside_address()
    }

    /// How the way out of networks is that are apart from the host's; None where they are not, or not in use.
    pub fn outlet(&self) -> Result<Option<home::Outlet>> {
        self.inner.home.outlet()
    }

    /// Whether a container's names are to be answered by its monitor: it is in a network where containers find each other by name.
    pub fn has_names(&self, container_id: &str) -> bool {
        let state = lock(&self.inner.state);
        let attachment = state.attachments.get(container_id);
        attachment
            .into_iter()
            .flat_map(|attachment| &attachment.endpoints)
            .any(|endpoint| state.networks.get(&endpoint.network_id).is_some_and(NetworkRecord::has_names))
    }

    /// The files that a container's name server reads: its [`Attachment`], and the folder with a [`files::Zone`] in `<id>.json`
    /// for each network. Kept up to date by this crate.
    pub fn names_files(&self, container_id: &str) -> (PathBuf, PathBuf) {
        (self.inner.folders.attachment(container_id), self.inner.folders.zones().to_owned())
    }

    /// To be called once after [`Networks::open`] with the ids of the containers that live: what others had is released, and
    /// what these have is put back where the host lost it (somebody flushed the rules while no engine ran).
    pub fn adopt(&self, live: &[String]) -> Vec<Error> {
        let errors = self.inner.adopt(live);
        self.inner.look_out();
        errors
    }

    /// A container's new name.
    pub fn rename(&self, container_id: &str, name: &str) -> Vec<Error> {
        self.inner.rename(container_id, name)
    }

    /// Removes bridges and rules from the host, keeping the records; for uninstalling and for tests. Containers lose their
    /// networks.
    pub fn teardown(&self) -> Vec<Error> {
        self.inner.teardown()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.0.pool.close();
        self.0.watch.stop();
    }
}

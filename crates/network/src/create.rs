//! Networks made and removed: requests checked in Docker's words, subnets picked, the host prepared, the record written. A
//! network that fails half-way leaves nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::bridge::pool_with_gateway;
use crate::error::{Error, ErrorKind, Result};
use crate::options::{self, BridgeOptions};
use crate::record::{Driver, NetworkRecord, NetworkSpec, Pool, PoolSpec};
use crate::{Inner, endpoint, firewall, ipam, lock};

const BUILTIN: [(&str, Driver); 3] =
    [("bridge", Driver::Bridge), ("host", Driver::Host), ("none", Driver::None)];

impl Inner {
    /// Makes the built-in networks' records where they are missing, and brings the default bridge's up to the configuration.
    pub(crate) fn make_builtin(&self) -> Result<()> {
        for (name, driver) in BUILTIN {
            let found = lock(&self.state).networks.values().find(|network| network.name == name).cloned();
            let mut network = match &found {
                Some(network) => network.clone(),
                None => NetworkRecord { name: name.to_owned(), driver, ..blank() },
            };
            if driver == Driver::Bridge {
                self.configure_default_bridge(&mut network)?;
            }
            if found.as_ref() != Some(&network) {
                self.folders.save_network(&network)?;
                lock(&self.state).networks.insert(network.id.clone(), network);
            }
        }
        Ok(())
    }

    fn configure_default_bridge(&self, network: &mut NetworkRecord) -> Result<()> {
        let text = |value: bool| value.to_string();
        let mtu = if self.config.mtu == 0 { 1500 } else { self.config.mtu };
        let host_binding = self.config.publish_address.to_string();
        network.options = BTreeMap::from(
            [
                (options::DEFAULT_BRIDGE, text(true)),
                (options::ICC, text(self.config.icc)),
                (options::MASQUERADE, text(true)),
                (options::HOST_BINDING, host_binding),
                (options::NAME, self.config.bridge.clone()),
                (options::MTU, mtu.to_string()),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        );
        match self.config.bridge_address {
            Some(address) => {
                let pool = Pool {
                    gateway: Some(IpAddr::V4(address.addr())),
                    ..pool_with_gateway(IpNet::V4(address.trunc()))
                };
                network.user_pools = true;
                if network.pools != [pool.clone()] {
                    network.pools = vec![pool];
                }
            }
            None if network.pools.is_empty() || network.user_pools => {
                let taken = self.subnets_taken(Some(&network.id))?;
                let subnet = ipam::free_subnet(&ipam::default_bridge_pools(), &taken)?;
                network.pools = vec![pool_with_gateway(IpNet::V4(subnet))];
                network.user_pools = false;
            }
            None => {}
        }
        Ok(())
    }

    /// See [`crate::Networks::create`].
    pub(crate) fn create(&self, spec: NetworkSpec) -> Result<NetworkRecord> {
        let mut network = self.check(&spec)?;
        let options = (network.driver == Driver::Bridge && !network.config_only)
            .then(|| BridgeOptions::parse(&network.id, &network.options, network.internal))
            .transpose()?;
        let ipv4_wanted =
            network.enable_ipv4 && !network.pools.iter().any(|pool| pool.subnet.addr().is_ipv4());
        let ipv6_wanted =
            network.enable_ipv6 && !network.pools.iter().any(|pool| pool.subnet.addr().is_ipv6());
        let picks = !network.config_only && spec.ipam_driver != "null";

        // Engines side by side look at the same host: no other may pick a subnet until ours is on a link.
        let _turn = HostTurn::take();
        if picks && (ipv4_wanted || ipv6_wanted) {
            let mut taken = self.subnets_taken(None)?;
            if ipv4_wanted {
                let subnet = IpNet::V4(ipam::free_subnet(&self.config.pools, &taken)?);
                network.pools.insert(0, pool_with_gateway(subnet));
                taken.push(subnet);
            }
            if ipv6_wanted {
                let subnet = IpNet::V6(ipam::free_subnet6(self.ipv6_prefix()?, &taken)?);
                network.pools.push(pool_with_gateway(subnet));
            }
        }
        self.insert(&network, options.as_ref())?;
        let made = match &options {
            Some(options) => self.ensure_network(&network, options, true).map(drop),
            None if network.config_only => Ok(()),
            None => self.check_parent(&network),
        };
        if let Err(error) = made.and_then(|()| self.folders.save_network(&network)) {
            let mut state = lock(&self.state);
            state.networks.remove(&network.id);
            state.addresses.forget(&network.id);
            drop(state);
            match &options {
                Some(options) => drop(self.remove_from_host(&network, options)),
                None => self.remove_parent(&network),
            }
            return Err(error);
        }
        Ok(network)
    }

    /// Puts a new network among the others unless it clashes with one of them.
    fn insert(&self, network: &NetworkRecord, options: Option<&BridgeOptions>) -> Result<()> {
        let mut state = lock(&self.state);
        if state.networks.values().any(|other| other.name == network.name) {
            return Err(already_exists(&network.name));
        }
        for other in state.networks.values() {
            let overlapping = network
                .pools
                .iter()
                .any(|pool| other.pools.iter().any(|theirs| ipam::overlap(&pool.subnet, &theirs.subnet)));
            // Links of two macvlan networks may share a subnet: the host has no route to either.
            let routed = |driver| matches!(driver, Driver::Bridge);
            if overlapping
                && routed(network.driver)
                && routed(other.driver)
                && !network.config_only
                && !other.config_only
            {
                return Err(Error::forbidden(
                    "invalid pool request: Pool overlaps with other one on this address space",
                ));
            }
            if let (Some(options), Some(theirs)) = (options, BridgeOptions::of(other))
                && options.bridge == theirs.bridge
            {
                return Err(Error::forbidden(format!(
                    "cannot create network {} ({}): conflicts with network {} ({}): networks have same bridge name",
                    network.id, options.bridge, other.id, theirs.bridge
                )));
            }
            if matches!(network.driver, Driver::Macvlan | Driver::Ipvlan)
                && network.driver != other.driver
                && matches!(other.driver, Driver::Macvlan | Driver::Ipvlan)
                && parent_name(network) == parent_name(other)
            {
                return Err(Error::forbidden(format!(
                    "network {} is already using parent interface {}",
                    other.id,
                    parent_name(other)
                )));
            }
        }
        state.networks.insert(network.id.clone(), network.clone());
        Ok(())
    }

    /// The request as a record, without picked subnets.
    fn check(&self, spec: &NetworkSpec) -> Result<NetworkRecord> {
        if spec.name.trim().is_empty() {
            return Err(Error::invalid(format!("invalid name: {}", spec.name)));
        }
        if BUILTIN.iter().any(|(name, _)| *name == spec.name) || spec.name == "default" {
            return Err(Error::forbidden(format!(
                "operation is not permitted on predefined {} network ",
                spec.name
            )));
        }
        if lock(&self.state).networks.values().any(|other| other.name == spec.name) {
            return Err(already_exists(&spec.name));
        }
        if !spec.config_from.is_empty() {
            return self.network_of_configuration(spec);
        }
        let driver = match spec.driver.as_str() {
            "overlay" => {
                return Err(Error::forbidden(
                    "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this \
                     node to swarm and try again.",
                ));
            }
            name => Driver::parse(name).ok_or_else(|| {
                Error::new(
                    ErrorKind::NotFound,
                    format!("could not find plugin {name} in v1 plugin registry: plugin not found"),
                )
            })?,
        };
        if matches!(driver, Driver::Host | Driver::None) {
            return Err(Error::forbidden(format!(
                "only one instance of \"{}\" network is allowed",
                driver.name()
            )));
        }
        if !matches!(spec.ipam_driver.as_str(), "" | "default" | "null") {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("ipam driver \"{}\" not found", spec.ipam_driver),
            ));
        }
        let enable_ipv4 = spec.ipv4.unwrap_or(true);
        let asks_ipv6 = spec.pools.iter().any(|pool| pool.subnet.contains(':'));
        let default_ipv6 = self.config.ipv6 && driver == Driver::Bridge && !spec.config_only;
        let enable_ipv6 = spec.ipv6.unwrap_or(asks_ipv6 || default_ipv6);
        if !enable_ipv4 && !enable_ipv6 && !spec.config_only {
            return Err(Error::invalid("IPv4 or IPv6 must be enabled"));
        }
        let pools = check_pools(&spec.pools, enable_ipv4, enable_ipv6)?;
        Ok(NetworkRecord {
            name: spec.name.clone(),
            driver,
            user_pools: !pools.is_empty(),
            pools,
            ipam_driver: spec.ipam_driver.clone(),
            ipam_options: spec.ipam_options.clone(),
            enable_ipv4,
            enable_ipv6,
            internal: spec.internal,
            attachable: spec.attachable,
            config_only: spec.config_only,
            options: spec.options.clone(),
            labels: spec.labels.clone(),
            ..blank()
        })
    }

    /// A network whose configuration is another's.
    fn network_of_configuration(&self, spec: &NetworkSpec) -> Result<NetworkRecord> {
        let specific =
            !spec.pools.is_empty() || !spec.options.is_empty() || spec.internal || spec.ipv6 == Some(true);
        if specific {
            return Err(Error::forbidden(
                "user specified configurations are not supported if the network depends on a configuration network",
            ));
        }
        let source = lock(&self.state).find(&spec.config_from).cloned().map_err(|_| {
            Error::new(
                ErrorKind::NotFound,
                format!("configuration network \"{}\" not found", spec.config_from),
            )
        })?;
        if !source.config_only {
            return Err(Error::forbidden(format!("\"{}\" is not a configuration network", source.name)));
        }
        let driver = Driver::parse(&spec.driver).unwrap_or(source.driver);
        Ok(NetworkRecord {
            name: spec.name.clone(),
            driver,
            config_only: false,
            config_from: source.name.clone(),
            labels: source.labels.clone(),
            attachable: spec.attachable,
            id: crate::random::hex::<32>(),
            created: now(),
            ..source
        })
    }

    /// See [`crate::Networks::remove`].
    pub(crate) fn remove(&self, name: &str) -> Result<NetworkRecord> {
        let network = {
            let mut state = lock(&self.state);
            let network = state.find(name)?.clone();
            if network.is_builtin() {
                return Err(Error::forbidden(format!(
                    "{} is a pre-defined network and cannot be removed",
                    network.name
                )));
            }
            if !network.endpoints.is_empty() {
                let users: Vec<String> = network
                    .endpoints
                    .values()
                    .map(|endpoint| {
                        let id = endpoint.endpoint_id.get(..12).unwrap_or(&endpoint.endpoint_id);
                        format!("name:{:?} id:{id:?}", endpoint.container_name)
                    })
                    .collect();
                return Err(Error::forbidden(format!(
                    "error while removing network: network {} has active endpoints ({})",
                    network.name,
                    users.join(", ")
                )));
            }
            let user = state
                .networks
                .values()
                .find(|other| other.config_from == network.name && network.config_only);
            if let Some(user) = user {
                return Err(Error::forbidden(format!(
                    "error while removing network: configuration network {} is in use by network {}",
                    network.name, user.name
                )));
            }
            // From here on nobody can connect to it.
            state.networks.remove(&network.id);
            network
        };
        self.pool.forget(&network.id);
        lock(&self.state).addresses.forget(&network.id);
        if let Some(options) = BridgeOptions::of(&network)
            && let Err(error) = self.remove_from_host(&network, &options)
        {
            lock(&self.state).networks.insert(network.id.clone(), network);
            return Err(error.context("error while removing network"));
        }
        self.remove_parent(&network);
        self.folders.remove_network(&network.id)?;
        self.write_zone(&network.id)?;
        Ok(network)
    }

    /// Removes a network's bridge and rules.
    pub(crate) fn remove_from_host(&self, network: &NetworkRecord, options: &BridgeOptions) -> Result<()> {
        let known = lock(&self.bridges).remove(&network.id).is_some();
        if known || self.host.has_link(&options.bridge)? {
            self.host.delete_link(&options.bridge)?;
            let elements = firewall::of_network(network);
            lock(&self.firewall).remove_network(&options.bridge, &elements, &|| self.wanted())?;
        }
        Ok(())
    }

    /// Checks what a macvlan or ipvlan network lies on, and makes it where that is ours to do.
    fn check_parent(&self, network: &NetworkRecord) -> Result<()> {
        let driver = match network.driver {
            Driver::Macvlan => endpoint::macvlan_mode(network).map(|_| "macvlan")?,
            Driver::Ipvlan => endpoint::ipvlan_mode(network).map(|_| "ipvlan")?,
            _ => return Ok(()),
        };
        if parent_name(network) == "lo" {
            return Err(Error::invalid(format!("loopback interface is not a valid {driver} parent link")));
        }
        self.ensure_parent(network).map(drop)
    }

    /// Removes the parent of a macvlan or ipvlan network if it was made for networks and no other lies on it.
    fn remove_parent(&self, network: &NetworkRecord) {
        if !matches!(network.driver, Driver::Macvlan | Driver::Ipvlan) || network.config_only {
            return;
        }
        let parent = parent_name(network);
        let made = !network.options.contains_key("parent") || parent.contains('.');
        let shared = lock(&self.state).networks.values().any(|other| {
            matches!(other.driver, Driver::Macvlan | Driver::Ipvlan) && parent_name(other) == parent
        });
        if made && !shared {
            let _ = self.host.delete_made_parent(&parent);
        }
    }

    /// The engine's unique-local /48, made once.
    pub(crate) fn ipv6_prefix(&self) -> Result<ipnet::Ipv6Net> {
        if let Some(prefix) = self.config.ipv6_pool {
            return Ok(prefix);
        }
        let path = self.config.root.join("networks/unique-local-prefix");
        if let Some(prefix) = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok()) {
            return Ok(prefix);
        }
        let prefix = ipam::unique_local();
        sys::fsutil::write_durable(&path, format!("{prefix}\n").as_bytes())
            .map_err(|error| Error::host(format!("write {}", path.display()), error))?;
        Ok(prefix)
    }
}

/// The link that a macvlan or ipvlan network lies on: the one named, or a dummy of its own as Docker has it.
pub(crate) fn parent_name(network: &NetworkRecord) -> String {
    match network.options.get("parent") {
        Some(parent) if !parent.is_empty() => parent.clone(),
        _ => format!("{}-{}", if network.driver == Driver::Ipvlan { "di" } else { "dm" }, &network.id[..12]),
    }
}

fn already_exists(name: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("network with name {name} already exists"))
}

fn blank() -> NetworkRecord {
    NetworkRecord {
        id: crate::random::hex::<32>(),
        name: String::new(),
        driver: Driver::None,
        created: now(),
        pools: Vec::new(),
        ipam_driver: String::new(),
        ipam_options: None,
        user_pools: false,
        enable_ipv4: true,
        enable_ipv6: false,
        internal: false,
        attachable: false,
        config_only: false,
        config_from: String::new(),
        options: BTreeMap::new(),
        labels: BTreeMap::new(),
        endpoints: BTreeMap::new(),
    }
}

/// RFC 3339 with nine digits, as Go prints time in UTC.
fn now() -> String {
    format!("{:.9}", jiff::Timestamp::now())
}

/// Parses and checks asked-for subnets. All problems at once, as Docker's `ValidateIPAM` lists them.
fn check_pools(specs: &[PoolSpec], ipv4: bool, ipv6: bool) -> Result<Vec<Pool>> {
    let mut problems = Vec::new();
    let mut pools: Vec<Pool> = Vec::new();
    for spec in specs {
        let Ok(subnet) = spec.subnet.parse::<IpNet>() else {
            problems.push(format!("invalid subnet {}: invalid CIDR block notation", spec.subnet));
            continue;
        };
        let is_ipv6 = subnet.addr().is_ipv6();
        if (is_ipv6 && !ipv6) || (!is_ipv6 && !ipv4) {
            continue;
        }
        if subnet != subnet.trunc() {
            problems.push(format!("invalid subnet {subnet}: it should be {}", subnet.trunc()));
        }
        let family = if is_ipv6 { "IPv6" } else { "IPv4" };
        let mut address = |what: &str, name: &str, text: &str| -> Option<IpAddr> {
            if text.is_empty() {
                return None;
            }
            let problem = match text.parse::<IpAddr>() {
                Err(_) => "invalid address".to_owned(),
                Ok(address) if address.is_ipv6() != is_ipv6 => format!("parent subnet is an {family} block"),
                Ok(address) if !subnet.contains(&address) => {
                    format!("parent subnet {subnet} doesn't contain this address")
                }
                Ok(address) => return Some(address),
            };
            problems.push(format!("invalid {what} {name}: {problem}"));
            None
        };
        let gateway = address("gateway", &spec.gateway, &spec.gateway);
        let mut auxiliary = BTreeMap::new();
        for (name, text) in &spec.auxiliary {
            if let Some(found) = address("auxiliary address", name, text) {
                auxiliary.insert(name.clone(), found);
            }
        }
        let ip_range = check_range(&spec.ip_range, subnet, family, &mut problems);
        let gateway = gateway.or_else(|| {
            // The first address that is not spoken for.
            let first = ipam::first_host(subnet);
            Some(first).filter(|first| !auxiliary.values().any(|aux| aux == first))
        });
        pools.push(Pool { subnet: subnet.trunc(), gateway, ip_range, auxiliary });
    }
    for (index, pool) in pools.iter().enumerate() {
        if pools[..index].iter().any(|other| ipam::overlap(&other.subnet, &pool.subnet)) {
            return Err(Error::forbidden(
                "invalid pool request: Pool overlaps with other one on this address space",
            ));
        }
    }
    match problems.is_empty() {
        true => Ok(pools),
        false => Err(Error::invalid(format!("invalid network config:\n{}", problems.join("\n")))),
    }
}

fn check_range(text: &str, subnet: IpNet, family: &str, problems: &mut Vec<String>) -> Option<IpNet> {
    if text.is_empty() {
        return None;
    }
    let Ok(range) = text.parse::<IpNet>() else {
        problems.push(format!("invalid ip-range {text}: invalid CIDR block notation"));
        return None;
    };
    if range.addr().is_ipv6() != subnet.addr().is_ipv6() {
        problems.push(format!("invalid ip-range {text}: parent subnet is an {family} block"));
        return None;
    }
    let before = problems.len();
    if range.prefix_len() < subnet.prefix_len() {
        problems
            .push(format!("invalid ip-range {text}: CIDR block is bigger than its parent subnet {subnet}"));
    }
    if range != range.trunc() {
        problems.push(format!("invalid ip-range {range}: it should be {}", range.trunc()));
    }
    if !ipam::overlap(&range, &subnet) {
        problems.push(format!("invalid ip-range {text}: parent subnet {subnet} doesn't contain ip-range"));
    }
    (problems.len() == before).then_some(range)
}

/// The right to pick a subnet from what this host has free: one engine at a time. The lock is on the network namespace itself, so
/// that it is as wide as what is being picked from.
struct HostTurn {
    _namespace: Option<std::fs::File>,
}

impl HostTurn {
    fn take() -> Self {
        let namespace = std::fs::File::open("/proc/thread-self/ns/net").ok();
        // Without it a clash is possible and nothing worse.
        Self { _namespace: namespace.filter(|namespace| namespace.lock().is_ok()) }
    }
}

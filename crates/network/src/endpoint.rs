//! A container's place in a network, made and taken away: addresses first, then the link, then the record. What was taken for
//! an endpoint that fails is given back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use netlink::route::{Batch, Ipv4Conf, LinkChange, LinkRef, MacvlanMode, NewLink, NewRoute, Veth};

use crate::error::{Error, Result};
use crate::files::Zone;
use crate::mac::Mac;
use crate::options::{BridgeOptions, GatewayMode};
use crate::record::{Attachment, Driver, Endpoint, EndpointSpec, NetworkRecord};
use crate::sandbox::Sandbox;
use crate::sandbox::pool::Reservation;
use crate::sysctls::{self, SYSCTLS};
use crate::{Inner, lock};

/// A configured interface: its addresses and its two ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) ip: Option<Ipv4Addr>,
    pub(crate) ipv6: Option<Ipv6Addr>,
    pub(crate) link_local: Vec<IpAddr>,
    pub(crate) mac: Mac,
    pub(crate) ifname: String,
    pub(crate) host_ifname: String,
}

/// The kernel's worker is not waited for longer: then it is so busy that nothing is gained by it.
const OPERATIONAL_WITHIN: Duration = Duration::from_millis(30);
const OPERATIONAL_POLL: Duration = Duration::from_micros(50);

/// Random names that happen to be taken are tried again.
const NAME_ATTEMPTS: usize = 5;

impl Inner {
    /// See [`crate::Networks::connect`].
    pub(crate) fn connect(
        self: &Arc<Self>,
        network: &str,
        sandbox: &mut Sandbox,
        spec: EndpointSpec,
    ) -> Result<Endpoint> {
        let network = lock(&self.state).find(network)?.clone();
        let network = self.recheck_subnets(&network)?;
        if network.config_only {
            return Err(Error::forbidden(format!(
                "cannot connect container to network {}: it is a configuration only network",
                network.name
            )));
        }
        if network.endpoints.contains_key(&spec.container_id) {
            return Err(Error::forbidden(format!(
                "endpoint with name {} already exists in network {}",
                spec.container_name, network.name
            )));
        }
        check(&network, &spec)?;
        if matches!(network.driver, Driver::Host | Driver::None) {
            let endpoint = endpoint(&network, &spec, None);
            self.record(&endpoint)?;
            return Ok(endpoint);
        }

        let ready = sandbox.take_ready().and_then(|ready| self.fitting(ready, &network, &spec, sandbox));
        let interface = match ready {
            Some(interface) => interface,
            None => self.attach(&network, sandbox, &spec)?,
        };
        let endpoint = endpoint(&network, &spec, Some(&interface));
        let settings = spec.options.get(SYSCTLS).map_or("", String::as_str);
        let finish = |sandbox: &mut Sandbox| {
            if !settings.is_empty() {
                sysctls::apply(settings, sandbox, &interface.ifname)?;
            }
            self.record(&endpoint)?;
            self.choose_gateway(&endpoint, sandbox)?;
            self.follow_gateway(&endpoint.container_id)
        };
        if let Err(error) = finish(sandbox) {
            self.forget(&endpoint);
            self.delete_inside(sandbox, &interface.ifname);
            return Err(error);
        }
        Ok(endpoint)
    }

    /// See [`crate::Networks::disconnect`].
    pub(crate) fn disconnect(&self, network: &str, container_id: &str, netns: Option<OwnedFd>) -> Result<()> {
        let (endpoint, remaining) = {
            let state = lock(&self.state);
            let network = state.find(network)?;
            let endpoint = network.endpoints.get(container_id).cloned().ok_or_else(|| {
                Error::forbidden(format!(
                    "container {container_id} is not connected to network {}",
                    network.name
                ))
            })?;
            let attachment = state.attachments.get(container_id).cloned().unwrap_or_default();
            let remaining: Vec<Endpoint> = attachment
                .endpoints
                .into_iter()
                .filter(|other| other.network_id != endpoint.network_id)
                .collect();
            (endpoint, remaining)
        };
        if let Some(netns) = netns
            && !endpoint.ifname.is_empty()
        {
            let mut sandbox = Sandbox::existing(netns);
            let mut batch = Batch::new();
            batch.delete_link(LinkRef::Name(&endpoint.ifname));
            match sandbox.route()?.run(batch) {
                Err(error) if !error.is_missing() => return Err(error.into()),
                _ => {}
            }
            // The default route went with the link.
            self.default_routes(&mut sandbox, &remaining, None)?;
        }
        self.forget(&endpoint);
        self.follow_gateway(container_id)
    }

    /// A sandbox with a configured interface of a network in it, for the pool.
    pub(crate) fn prepare(self: &Arc<Self>, network_id: &str) -> Result<Sandbox> {
        let network = lock(&self.state).find(network_id)?.clone();
        let mut sandbox = crate::sandbox::make()?;
        let interface = self.attach(&network, &mut sandbox, &EndpointSpec::default())?;
        let reservation = Reservation::new(network.id.clone(), interface.clone(), Arc::downgrade(self));
        // From here on a failure gives the addresses back.
        let endpoint = endpoint(&network, &EndpointSpec::default(), Some(&interface));
        self.default_routes(&mut sandbox, &[endpoint], None)?;
        sandbox.make_ready(reservation);
        Ok(sandbox)
    }

    /// Gives an interface's addresses back.
    pub(crate) fn give_back(&self, network_id: &str, interface: &Interface) {
        let mut state = lock(&self.state);
        for address in interface.ip.map(IpAddr::V4).into_iter().chain(interface.ipv6.map(IpAddr::V6)) {
            state.addresses.give_back(network_id, address);
        }
    }

    /// The interface that waits, if it is what is asked for. If not, it is taken out again.
    fn fitting(
        &self,
        ready: Reservation,
        network: &NetworkRecord,
        spec: &EndpointSpec,
        sandbox: &mut Sandbox,
    ) -> Option<Interface> {
        let interface = &ready.interface;
        let inside = |address: IpAddr| network.pools.iter().any(|pool| pool.subnet.contains(&address));
        let fits = ready.network_id == network.id
            && interface.ip.is_none_or(|ip| inside(ip.into()))
            && interface.ipv6.is_none_or(|ip| inside(ip.into()))
            && spec.ipv4.is_none_or(|ip| interface.ip == Some(ip))
            && spec.ipv6.is_none_or(|ip| interface.ipv6 == Some(ip))
            && spec.mac.is_none_or(|mac| interface.mac == mac)
            && spec.ifname.as_ref().is_none_or(|name| *name == interface.ifname)
            && spec.link_local.is_empty();
        if fits {
            return Some(ready.keep());
        }
        self.delete_inside(sandbox, &interface.ifname);
        None
    }

    /// Takes addresses and makes a configured interface; gives the addresses back when that fails.
    fn attach(
        &self,
        network: &NetworkRecord,
        sandbox: &mut Sandbox,
        spec: &EndpointSpec,
    ) -> Result<Interface> {
        let mut interface = self.take_addresses(network, spec)?;
        let made = match network.driver {
            Driver::Bridge => self.make_veth(network, sandbox, spec, &mut interface),
            _ => self.make_child(network, sandbox, spec, &mut interface).map(|()| 0),
        };
        let up = |bridge: u32| {
            configure(network, sandbox, &interface)?;
            match network.driver {
                Driver::Bridge => self.raise(bridge, sandbox, &interface),
                _ => Ok(()),
            }
        };
        match made.and_then(up) {
            Ok(()) => Ok(interface),
            Err(error) => {
                self.give_back(&network.id, &interface);
                if !interface.ifname.is_empty() {
                    self.delete_inside(sandbox, &interface.ifname);
                }
                Err(error)
            }
        }
    }

    fn take_addresses(&self, network: &NetworkRecord, spec: &EndpointSpec) -> Result<Interface> {
        match self.try_take_addresses(network, spec) {
            // Warm sandboxes hold addresses, too; nobody should go without for their sake.
            Err(_) if self.pool.drain(&network.id) => self.try_take_addresses(network, spec),
            result => result,
        }
    }

    fn try_take_addresses(&self, network: &NetworkRecord, spec: &EndpointSpec) -> Result<Interface> {
        let mut state = lock(&self.state);
        let addresses = &mut state.addresses;
        let has = |ipv6: bool| network.pools.iter().any(|pool| pool.subnet.addr().is_ipv6() == ipv6);
        let mut taken: Vec<IpAddr> = Vec::new();
        let mut take = |wanted: Option<IpAddr>, ipv6: bool| -> Result<Option<IpAddr>> {
            let address = match wanted {
                Some(address) => addresses.take(network, address).map(|()| address)?,
                None if has(ipv6) => addresses.next(network, ipv6)?,
                None => return Ok(None),
            };
            taken.push(address);
            Ok(Some(address))
        };
        let result = take(spec.ipv4.map(IpAddr::V4), false)
            .and_then(|ip| Ok((ip, take(spec.ipv6.map(IpAddr::V6), true)?)));
        match result {
            Ok((ip, ipv6)) => {
                let ip = ip.and_then(|ip| if let IpAddr::V4(ip) = ip { Some(ip) } else { None });
                let ipv6 = ipv6.and_then(|ip| if let IpAddr::V6(ip) = ip { Some(ip) } else { None });
                Ok(Interface {
                    ip,
                    ipv6,
                    link_local: spec.link_local.clone(),
                    mac: spec.mac.unwrap_or_else(|| ip.map_or_else(Mac::random, Mac::of)),
                    ifname: String::new(),
                    host_ifname: String::new(),
                })
            }
            Err(error) => {
                for address in taken {
                    state.addresses.give_back(&network.id, address);
                }
                Err(error)
            }
        }
    }

    /// Brings the host's end of a veth up after the container's, and waits until packets pass. The order lets the kernel
    /// enable the bridge's port at once; the other end, and a bridge that had no port before, are enabled by a worker of the
    /// kernel, and what is sent until then is lost: an ARP request would be repeated after a second only.
    fn raise(&self, bridge: u32, sandbox: &mut Sandbox, interface: &Interface) -> Result<()> {
        self.host.with(|route| {
            let mut batch = Batch::new();
            let up = LinkChange { up: Some(true), ..LinkChange::default() };
            batch.set_link(LinkRef::Name(&interface.host_ifname), &up);
            Ok(route.run(batch)?)
        })?;
        let deadline = Instant::now() + OPERATIONAL_WITHIN;
        loop {
            let inside = sandbox.route()?.link(LinkRef::Name(&interface.ifname))?;
            let inside = inside.is_some_and(|link| link.operational);
            let bridge = self.host.with(|route| Ok(route.link(LinkRef::Index(bridge))?))?;
            if (inside && bridge.is_some_and(|link| link.operational)) || Instant::now() > deadline {
                return Ok(());
            }
            std::thread::sleep(OPERATIONAL_POLL);
        }
    }

    /// A veth pair: one end in the bridge, the other in the sandbox. The bridge's index.
    fn make_veth(
        &self,
        network: &NetworkRecord,
        sandbox: &mut Sandbox,
        spec: &EndpointSpec,
        interface: &mut Interface,
    ) -> Result<u32> {
        let options = BridgeOptions::of(network).ok_or_else(|| {
            Error::internal(format!("network {} has options that cannot be read", network.name))
        })?;
        let ifname = free_name(sandbox, spec)?;
        let mtu = if options.mtu != 0 { options.mtu } else { self.config.mtu };
        let mut bridge = self.ensure_network(network, &options, false)?;
        for attempt in 1..=NAME_ATTEMPTS {
            let host_ifname = format!("veth{}", &crate::random::hex::<4>()[..7]);
            let result = self.host.with(|route| {
                let mut batch = Batch::new();
                let veth =
                    Veth { peer_name: &ifname, peer_netns: sandbox.as_fd(), peer_mac: Some(interface.mac.0) };
                batch.add_link(&host_ifname, None, mtu, &NewLink::Veth(veth));
                batch.set_link(
                    LinkRef::Name(&host_ifname),
                    &LinkChange { master: Some(bridge), no_ipv6_address: true, ..LinkChange::default() },
                );
                if !options.icc {
                    let isolated = LinkChange { isolated: Some(true), ..LinkChange::default() };
                    batch.set_link(LinkRef::Name(&host_ifname), &isolated);
                }
                Ok(route.run_all(batch)?)
            })?;
            match result.into_iter().next() {
                None => {
                    interface.ifname = ifname;
                    interface.host_ifname = host_ifname;
                    return Ok(bridge);
                }
                Some((0, error)) if error.is_exists() && attempt < NAME_ATTEMPTS => {}
                Some((0, error)) => return Err(error.into()),
                Some((_, error)) => {
                    let _ = self.host.delete_link(&host_ifname);
                    // Perhaps the bridge went away behind our back, or came back with another index: once more.
                    if attempt > 1 {
                        return Err(error.into());
                    }
                    bridge = self.ensure_network(network, &options, true)?;
                }
            }
        }
        Err(Error::internal("no free name for a link"))
    }

    /// A macvlan or ipvlan link on one of the host's.
    fn make_child(
        &self,
        network: &NetworkRecord,
        sandbox: &mut Sandbox,
        spec: &EndpointSpec,
        interface: &mut Interface,
    ) -> Result<()> {
        let parent = self.ensure_parent(network)?;
        let ifname = free_name(sandbox, spec)?;
        // Made under a name that is free on the host as well: the kernel looks there first.
        let temporary = format!("tmp{}", &crate::random::hex::<4>());
        let netns = Some(sandbox.as_fd());
        let (link, mac) = match network.driver {
            Driver::Ipvlan => (NewLink::Ipvlan { parent, mode: ipvlan_mode(network)?, netns }, None),
            _ => (NewLink::Macvlan { parent, mode: macvlan_mode(network)?, netns }, Some(interface.mac.0)),
        };
        self.host.with(|route| {
            let mut batch = Batch::new();
            batch.add_link(&temporary, mac, 0, &link);
            match route.run(batch) {
                Err(error) if error.is_unsupported() => Err(Error::internal(format!(
                    "this kernel has no {0} links (module {0})",
                    network.driver.name()
                ))),
                result => Ok(result?),
            }
        })?;
        interface.ifname = temporary;
        let route = sandbox.route()?;
        let found = route.link(LinkRef::Name(&interface.ifname))?;
        let found = found.ok_or_else(|| Error::internal(format!("link {} went away", interface.ifname)))?;
        let mut batch = Batch::new();
        batch.set_link(
            LinkRef::Index(found.index),
            &LinkChange { name: Some(&ifname), ..LinkChange::default() },
        );
        route.run(batch)?;
        interface.ifname = ifname;
        if let Some(mac) = found.mac {
            interface.mac = Mac(mac);
        }
        Ok(())
    }

    /// Writes an endpoint down, in memory and in the container's file.
    fn record(&self, endpoint: &Endpoint) -> Result<()> {
        let mut state = lock(&self.state);
        if !state.networks.contains_key(&endpoint.network_id) {
            return Err(Error::not_found(&endpoint.network_name));
        }
        state.place(endpoint);
        let attachment = state.attachments.entry(endpoint.container_id.clone()).or_default();
        attachment.endpoints.push(endpoint.clone());
        let attachment = attachment.clone();
        drop(state);
        self.folders.save_attachment(&endpoint.container_id, &attachment)?;
        self.write_zone(&endpoint.network_id)
    }

    /// Writes down the names of a network, if it has any.
    pub(crate) fn write_zone(&self, network_id: &str) -> Result<()> {
        let _writing = lock(&self.zones);
        let zone = match lock(&self.state).networks.get(network_id) {
            Some(network) if network.has_names() => Some(Zone::of(network)),
            _ => None,
        };
        self.folders.save_zone(network_id, zone.as_ref())
    }

    /// Takes an endpoint back, in memory and in the container's file.
    fn forget(&self, endpoint: &Endpoint) {
        // Best effort, as all of this: rules that stay are put right with the next change.
        let _ = self.unlink(std::slice::from_ref(endpoint));
        let mut state = lock(&self.state);
        state.drop_endpoint(endpoint);
        let attachment = state.attachments.get(&endpoint.container_id).cloned().unwrap_or_default();
        if attachment == Attachment::default() {
            state.attachments.remove(&endpoint.container_id);
        }
        drop(state);
        let _ = self.folders.save_attachment(&endpoint.container_id, &attachment);
        let _ = self.write_zone(&endpoint.network_id);
    }

    /// Sets the container's default routes after an endpoint came; nothing to do for the first one from the pool.
    fn choose_gateway(&self, newest: &Endpoint, sandbox: &mut Sandbox) -> Result<()> {
        let endpoints = lock(&self.state)
            .attachments
            .get(&newest.container_id)
            .map(|attachment| attachment.endpoints.clone())
            .unwrap_or_default();
        self.default_routes(sandbox, &endpoints, Some(newest))
    }

    /// Makes the default routes what they should be for these endpoints. With `newest`, only if it is the one they lead through.
    fn default_routes(
        &self,
        sandbox: &mut Sandbox,
        endpoints: &[Endpoint],
        newest: Option<&Endpoint>,
    ) -> Result<()> {
        let mut wanted: Vec<(&Endpoint, IpAddr)> = Vec::new();
        for ipv6 in [false, true] {
            let gateway = |endpoint: &Endpoint| match ipv6 {
                false => endpoint.gateway.map(IpAddr::V4),
                true => endpoint.gateway6.map(IpAddr::V6),
            };
            let best = endpoints
                .iter()
                .filter_map(|endpoint| Some((endpoint, gateway(endpoint)?)))
                .max_by(|(a, _), (b, _)| preference(a, b));
            let concerned =
                |endpoint: &Endpoint| newest.is_none_or(|newest| newest.network_id == endpoint.network_id);
            wanted.extend(best.filter(|(endpoint, _)| concerned(endpoint)));
        }
        // A warm interface has its routes already, and is the only one.
        if wanted.is_empty() || newest.is_some_and(|_| endpoints.len() == 1) && sandbox.is_routed() {
            return Ok(());
        }
        let route = sandbox.route()?;
        let mut batch = Batch::new();
        for (endpoint, gateway) in wanted {
            let Some(link) = route.link(LinkRef::Name(&endpoint.ifname))? else { continue };
            batch.add_route(&NewRoute { gateway: Some(gateway), link: link.index, ..NewRoute::default() });
        }
        route.run(batch)?;
        sandbox.set_routed();
        Ok(())
    }

    fn delete_inside(&self, sandbox: &mut Sandbox, ifname: &str) {
        let mut batch = Batch::new();
        batch.delete_link(LinkRef::Name(ifname));
        if let Ok(route) = sandbox.route() {
            let _ = route.run(batch);
        }
    }
}

/// Of two endpoints, which the default route should lead through: the higher priority, then the network whose name comes first.
fn preference(a: &Endpoint, b: &Endpoint) -> std::cmp::Ordering {
    a.gateway_priority.cmp(&b.gateway_priority).then_with(|| b.network_name.cmp(&a.network_name))
}

/// The endpoint of a container through which its published ports are reached.
pub fn gateway_endpoint(endpoints: &[Endpoint]) -> Option<&Endpoint> {
    let routed = |endpoint: &&Endpoint| endpoint.gateway.is_some() || endpoint.gateway6.is_some();
    endpoints.iter().filter(routed).max_by(|a, b| preference(a, b))
}

fn check(network: &NetworkRecord, spec: &EndpointSpec) -> Result<()> {
    let asked: Vec<IpAddr> = spec.ipv4.map(IpAddr::V4).into_iter().chain(spec.ipv6.map(IpAddr::V6)).collect();
    if !asked.is_empty() && network.is_builtin() {
        return Err(Error::invalid("user specified IP address is supported on user defined networks only"));
    }
    for address in asked {
        if !network.pools.iter().any(|pool| pool.subnet.contains(&address)) {
            return Err(Error::invalid(format!(
                "invalid endpoint settings:\nno configured subnet contains IP address {address}"
            )));
        }
    }
    if let Some(name) = &spec.ifname
        && (name.is_empty()
            || name.len() > 15
            || name.contains(['/', ' ', ':'])
            || name == "."
            || name == "..")
    {
        return Err(Error::invalid(format!("invalid interface name {name:?}")));
    }
    Ok(())
}

/// A name for the interface inside: the one asked for, or the next `ethN`.
fn free_name(sandbox: &mut Sandbox, spec: &EndpointSpec) -> Result<String> {
    if let Some(name) = &spec.ifname {
        return Ok(name.clone());
    }
    let taken: Vec<String> = sandbox.route()?.links()?.into_iter().map(|link| link.name).collect();
    let name = (0u32..).map(|number| format!("eth{number}")).find(|name| !taken.contains(name));
    name.ok_or_else(|| Error::internal("no free name for a link"))
}

/// Addresses, up, and what else an interface needs inside.
fn configure(network: &NetworkRecord, sandbox: &mut Sandbox, interface: &Interface) -> Result<()> {
    if interface.ipv6.is_some() {
        crate::sandbox::allow_ipv6(sandbox, &interface.ifname)?;
    }
    let route = sandbox.route()?;
    let link = route.link(LinkRef::Name(&interface.ifname))?;
    let index = link.ok_or_else(|| Error::internal(format!("link {} went away", interface.ifname)))?.index;
    let mut batch = Batch::new();
    // With arp_notify and the address in place, coming up tells the neighbours who has it now.
    for address in addresses(network, interface) {
        batch.add_address(index, address);
    }
    batch.set_link(
        LinkRef::Index(index),
        &LinkChange { up: Some(true), ipv4: &[(Ipv4Conf::ArpNotify, 1)], ..LinkChange::default() },
    );
    Ok(route.run(batch)?)
}

fn addresses(network: &NetworkRecord, interface: &Interface) -> Vec<(IpAddr, u8)> {
    let prefix = |address: &IpAddr| prefix_of(network, *address);
    let global = interface.ip.map(IpAddr::V4).into_iter().chain(interface.ipv6.map(IpAddr::V6));
    let mut addresses: Vec<(IpAddr, u8)> = global.map(|address| (address, prefix(&address))).collect();
    // RFC 3927 and RFC 4291: 169.254/16 and fe80::/64.
    addresses.extend(interface.link_local.iter().map(|ip| (*ip, if ip.is_ipv4() { 16 } else { 64 })));
    addresses
}

fn prefix_of(network: &NetworkRecord, address: IpAddr) -> u8 {
    let pool = network.pools.iter().find(|pool| pool.subnet.contains(&address));
    pool.map_or(if address.is_ipv4() { 32 } else { 128 }, |pool| pool.subnet.prefix_len())
}

/// The record of an endpoint with this interface.
fn endpoint(network: &NetworkRecord, spec: &EndpointSpec, interface: Option<&Interface>) -> Endpoint {
    let ip = interface.and_then(|interface| interface.ip);
    let ipv6 = interface.and_then(|interface| interface.ipv6);
    let options = BridgeOptions::of(network);
    let isolated = |mode: fn(&BridgeOptions) -> GatewayMode| {
        network.internal || options.as_ref().is_some_and(|options| mode(options) == GatewayMode::Isolated)
    };
    let gateway = |address: IpAddr| {
        network.pools.iter().find(|pool| pool.subnet.contains(&address)).and_then(|pool| pool.gateway)
    };
    let gateway4 = match ip.filter(|_| !isolated(|options| options.mode4)).and_then(|ip| gateway(ip.into())) {
        Some(IpAddr::V4(gateway)) => Some(gateway),
        _ => None,
    };
    let gateway6 = match ipv6.filter(|_| !isolated(|options| options.mode6)).and_then(|ip| gateway(ip.into()))
    {
        Some(IpAddr::V6(gateway)) => Some(gateway),
        _ => None,
    };
    Endpoint {
        network_id: network.id.clone(),
        network_name: network.name.clone(),
        endpoint_id: crate::random::hex::<32>(),
        container_id: spec.container_id.clone(),
        container_name: spec.container_name.clone(),
        ip,
        prefix: ip.map_or(0, |ip| prefix_of(network, ip.into())),
        gateway: gateway4,
        ipv6,
        prefix6: ipv6.map_or(0, |ip| prefix_of(network, ip.into())),
        gateway6,
        mac: interface.map(|interface| interface.mac),
        ifname: interface.map(|interface| interface.ifname.clone()).unwrap_or_default(),
        host_ifname: interface.map(|interface| interface.host_ifname.clone()).unwrap_or_default(),
        dns_names: if network.has_names() { dns_names(spec) } else { Vec::new() },
        links: spec.links.clone(),
        gateway_priority: spec.gateway_priority,
    }
}

/// The names of an endpoint, in Docker's order: the container's name, its aliases, its short id, its host name.
pub fn dns_names(spec: &EndpointSpec) -> Vec<String> {
    let short = spec.container_id.get(..12).unwrap_or(&spec.container_id).to_owned();
    let mut names: Vec<String> = Vec::new();
    let all = std::iter::once(&spec.container_name).chain(&spec.aliases).chain([&short, &spec.hostname]);
    for name in all {
        if !name.is_empty() && !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

pub(crate) fn macvlan_mode(network: &NetworkRecord) -> Result<MacvlanMode> {
    match network.options.get("macvlan_mode").map(String::as_str) {
        None | Some("" | "bridge") => Ok(MacvlanMode::Bridge),
        Some("private") => Ok(MacvlanMode::Private),
        Some("vepa") => Ok(MacvlanMode::Vepa),
        Some("passthru") => Ok(MacvlanMode::Passthru),
        Some(mode) => Err(Error::invalid(format!(
            "requested macvlan mode '{mode}' is not valid, 'bridge' mode is the macvlan driver default"
        ))),
    }
}

pub(crate) fn ipvlan_mode(network: &NetworkRecord) -> Result<u16> {
    match network.options.get("ipvlan_mode").map(String::as_str) {
        None | Some("" | "l2") => Ok(0),
        Some("l3") => Ok(1),
        Some("l3s") => Ok(2),
        Some(mode) => Err(Error::invalid(format!(
            "requested ipvlan mode '{mode}' is not valid, 'l2' mode is the ipvlan driver default"
        ))),
    }
}

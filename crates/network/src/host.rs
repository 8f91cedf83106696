//! The host's side of bridge networks: the bridge itself with the gateway's addresses, and forwarding. Idempotent: what is there
//! as it should be is left alone. Per-link settings go through netlink, so that only the two global forwarding switches need a
//! writable `/proc/sys`, and those only once.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ipnet::IpNet;
use netlink::route::{Batch, Ipv4Conf, LinkChange, LinkRef, NewLink, Route};

use crate::error::{Error, Result};
use crate::home::Home;
use crate::mac::Mac;
use crate::options::{BridgeOptions, GatewayMode};
use crate::record::{Driver, NetworkRecord};

/// The host's links, through sockets that stay open.
pub(crate) struct Host {
    /// Sockets not in use: as many as calls were ever made at once.
    sockets: Mutex<Vec<Route>>,
    home: Arc<Home>,
    /// Where the links are noted between which nothing was forwarded before us.
    uplinks_file: PathBuf,
}

/// Addresses that the host reaches by one of its links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Routed {
    pub(crate) subnet: IpNet,
    /// Empty where it is none or several.
    pub(crate) link: String,
    pub(crate) gateway: Option<IpAddr>,
    /// Not where the networks are, but on the host around them.
    pub(crate) outside: bool,
}

impl Host {
    pub(crate) fn new(folder: &Path, home: Arc<Home>) -> Self {
        Self { sockets: Mutex::new(Vec::new()), home, uplinks_file: folder.join("uplinks") }
    }

    /// Runs `body` with a socket to the host's links.
    pub(crate) fn with<T>(&self, body: impl FnOnce(&mut Route) -> Result<T>) -> Result<T> {
        let socket = crate::lock(&self.sockets).pop();
        let mut socket = match socket {
            Some(socket) => socket,
            None => self.home.enter(Route::open)??,
        };
        let result = body(&mut socket);
        crate::lock(&self.sockets).push(socket);
        result
    }

    /// Makes the bridge of a network, or puts right what is there. The index of the bridge.
    pub(crate) fn ensure_bridge(&self, network: &NetworkRecord, options: &BridgeOptions) -> Result<u32> {
        self.with(|route| {
            let name = options.bridge.as_str();
            let found = route.link(LinkRef::Name(name))?;
            if let Some(link) = &found
                && link.kind != "bridge"
            {
                return Err(Error::internal(format!("link {name} is there already and is not a bridge")));
            }
            let gateways = gateways(network, options);
            let mac = match gateways.iter().map(|(address, _)| address).next() {
                Some(IpAddr::V4(gateway)) => Mac::of(*gateway),
                _ => Mac::random(),
            };
            // Our rules drop what containers send to 127/8 themselves.
            let always = [(Ipv4Conf::RouteLocalnet, 1), (Ipv4Conf::Forwarding, 1)];
            let by_host = [&always[..], &[(Ipv4Conf::ProxyArpPvlan, 1)]].concat();
            let linked = crate::links::matter_in(network);
            let ipv4 = if linked { &by_host[..] } else { &always };
            let mut batch = Batch::new();
            if found.is_none() {
                // With an address of its own a bridge does not take that of whichever port comes and goes.
                batch.add_link(name, Some(mac.0), options.mtu, &NewLink::Bridge);
            }
            batch.set_link(
                LinkRef::Name(name),
                &LinkChange {
                    up: Some(true),
                    ipv4,
                    no_ipv6_address: !network.enable_ipv6,
                    ..LinkChange::default()
                },
            );
            route.run(batch)?;
            let index = match found {
                Some(link) => link.index,
                None => {
                    let link = route.link(LinkRef::Name(name))?;
                    link.ok_or_else(|| Error::internal(format!("link {name} went away")))?.index
                }
            };
            let mut batch = Batch::new();
            for prefix in gateways {
                batch.add_address(index, prefix);
            }
            route.run(batch)?;
            if linked {
                // Where this cannot be written the answer comes after up to 0.8 s.
                let _ = fs::write(format!("/proc/sys/net/ipv4/neigh/{name}/proxy_delay"), "0");
            }
            Ok(index)
        })
    }

    /// Puts the host's ends of endpoints back into a bridge that was made anew.
    pub(crate) fn reattach(&self, bridge: u32, names: &[String]) -> Result<()> {
        self.with(|route| {
            for name in names {
                let Some(link) = route.link(LinkRef::Name(name))? else { continue };
                if link.master != Some(bridge) {
                    let mut batch = Batch::new();
                    batch.set_link(
                        LinkRef::Index(link.index),
                        &LinkChange { master: Some(bridge), up: Some(true), ..LinkChange::default() },
                    );
                    route.run(batch)?;
                }
            }
            Ok(())
        })
    }

    /// Whether there is a link of this name.
    pub(crate) fn has_link(&self, name: &str) -> Result<bool> {
        let look = || Ok::<_, Error>(Route::open()?.link(LinkRef::Name(name))?.is_some());
        match self.home.is_apart() {
            true => self.home.enter_if_there(look)?.unwrap_or(Ok(false)),
            false => self.with(|route| Ok(route.link(LinkRef::Name(name))?.is_some())),
        }
    }

    /// The index of a link that macvlan or ipvlan links lie on. `eth0.10` is made as VLAN 10 of `eth0` when it is missing, and a
    /// name of our own as a dummy.
    pub(crate) fn ensure_parent(&self, name: &str, own: bool) -> Result<u32> {
        self.with(|route| {
            if let Some(link) = route.link(LinkRef::Name(name))? {
                return Ok(link.index);
            }
            let mut batch = Batch::new();
            match name.rsplit_once('.') {
                _ if own => batch.add_link(name, None, 0, &NewLink::Dummy),
                Some((parent, id)) => {
                    let id = id.parse().ok().filter(|id| (1..4095).contains(id));
                    let id = id.ok_or_else(|| not_a_vlan(name))?;
                    let found = route.link(LinkRef::Name(parent))?;
                    let missing = || {
                        let text = "on the Docker host: Link not found";
                        Error::invalid(format!("failed to find master interface {parent} {text}"))
                    };
                    let parent = found.ok_or_else(missing)?.index;
                    batch.add_link(name, None, 0, &NewLink::Vlan { parent, id })
                }
                None => return Err(not_a_vlan(name)),
            };
            batch.set_link(LinkRef::Name(name), &LinkChange { up: Some(true), ..LinkChange::default() });
            route.run(batch)?;
            Ok(route.link(LinkRef::Name(name))?.ok_or_else(|| not_a_vlan(name))?.index)
        })
    }

    /// Removes a link that [`Host::ensure_parent`] made: a VLAN or a dummy, never hardware.
    pub(crate) fn delete_made_parent(&self, name: &str) -> Result<()> {
        let kind = self.with(|route| Ok(route.link(LinkRef::Name(name))?.map(|link| link.kind)))?;
        match kind.as_deref() {
            Some("vlan" | "dummy") => self.delete_link(name),
            _ => Ok(()),
        }
    }

    /// Removes a link; one that is gone is no failure.
    pub(crate) fn delete_link(&self, name: &str) -> Result<()> {
        self.with(|route| {
            let mut batch = Batch::new();
            batch.delete_link(LinkRef::Name(name));
            match route.run(batch) {
                Err(error) if !error.is_missing() => Err(error.into()),
                _ => Ok(()),
            }
        })
    }

    /// What the host routes to or has addresses in, without the links named: nothing of ours may lie there.
    pub(crate) fn subnets_in_use(&self, except: &[&str]) -> Result<Vec<IpNet>> {
        let routed = self.routed()?.into_iter();
        Ok(routed
            .filter(|routed| !except.contains(&routed.link.as_str()))
            .map(|routed| routed.subnet)
            .collect())
    }

    /// What the host routes to or has addresses in, but for default routes and loopback.
    pub(crate) fn routed(&self) -> Result<Vec<Routed>> {
        if !self.home.is_apart() {
            return self.with(routed);
        }
        let mut found = routed(&mut Route::open()?)?;
        for outside in &mut found {
            // Its links have nothing to do with ours, whatever they are called.
            (outside.outside, outside.link) = (true, String::new());
        }
        found.extend(
            self.home.enter_if_there(|| routed(&mut Route::open()?))?.transpose()?.unwrap_or_default(),
        );
        Ok(found)
    }

    /// The address that the host around a home sends from; None where networks are the host's.
    pub(crate) fn outside_address(&self) -> Option<IpAddr> {
        /// Somebody far away: of an address for documentation (RFC 5737).
        const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 77));
        let mut route = self.home.is_apart().then(Route::open)?.ok()?;
        let source = route.lookup(FAR).ok()?.and_then(|way| way.source);
        source.or_else(|| {
            let mut own = route.addresses().ok()?.into_iter().map(|own| own.address);
            own.find(|own| own.is_ipv4() && !own.is_loopback())
        })
    }

    /// Turns forwarding on where it is off, and notes between which links nothing was forwarded until then: turning a machine
    /// into a router for its neighbours is not what its owner asked for.
    pub(crate) fn ensure_forwarding(&self, ipv6: bool) -> Result<()> {
        self.home.enter(|| self.forward(ipv6))?
    }

    fn forward(&self, ipv6: bool) -> Result<()> {
        const IPV4: &str = "/proc/sys/net/ipv4/ip_forward";
        const IPV6: &str = "/proc/sys/net/ipv6/conf/all/forwarding";
        let path = if ipv6 { IPV6 } else { IPV4 };
        match fs::read_to_string(path) {
            Ok(text) if text.trim() == "0" => {}
            // On; or no such protocol in this kernel.
            _ => return Ok(()),
        }
        let uplinks = self.with(|route| {
            let physical =
                |kind: &str| !matches!(kind, "bridge" | "veth" | "dummy" | "ifb" | "macvlan" | "ipvlan");
            let links = route.links()?;
            Ok(links.into_iter().filter(|link| link.name != "lo" && physical(&link.kind)).collect::<Vec<_>>())
        })?;
        let mut names = self.uplinks();
        names.extend(uplinks.iter().map(|link| link.name.clone()));
        names.sort();
        names.dedup();
        sys::fsutil::write_atomic(&self.uplinks_file, names.join("\n").as_bytes())
            .map_err(|error| Error::host(format!("write {}", self.uplinks_file.display()), error))?;
        if ipv6 {
            // A router ignores router advertisements unless told to listen all the same: the host keeps its way out.
            for link in &uplinks {
                let path = format!("/proc/sys/net/ipv6/conf/{}/accept_ra", link.name);
                if fs::read_to_string(&path).is_ok_and(|value| value.trim() == "1") {
                    let _ = fs::write(&path, "2");
                }
            }
        }
        match fs::write(path, "1") {
            Ok(()) => Ok(()),
            // A read-only /proc/sys: for IPv4 the same can be said of each link through netlink.
            Err(error) if !ipv6 && error.kind() != io::ErrorKind::NotFound => self.with(|route| {
                let mut batch = Batch::new();
                for link in &uplinks {
                    let ipv4 = &[(Ipv4Conf::Forwarding, 1)];
                    batch.set_link(LinkRef::Index(link.index), &LinkChange { ipv4, ..LinkChange::default() });
                }
                route.run(batch).map_err(|_| Error::host(format!("write 1 to {path}"), error))
            }),
            Err(error) => Err(Error::host(format!("write 1 to {path}"), error)),
        }
    }

    /// The links between which nothing was forwarded before us; none when forwarding was on already.
    pub(crate) fn uplinks(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.uplinks_file).unwrap_or_default();
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }
}

/// What is routed to or has addresses where the socket is.
pub(crate) fn routed(route: &mut Route) -> Result<Vec<Routed>> {
    let links: BTreeMap<u32, String> =
        route.links()?.into_iter().map(|link| (link.index, link.name)).collect();
    let name = |link: u32| links.get(&link).cloned().unwrap_or_default();
    let mut found = Vec::new();
    for address in route.addresses()? {
        if !address.address.is_loopback()
            && let Ok(subnet) = IpNet::new(address.address, address.prefix)
        {
            let link = name(address.link);
            found.push(Routed { subnet: subnet.trunc(), link, gateway: None, outside: false });
        }
    }
    for entry in route.routes()? {
        if let Some((to, prefix)) = entry.to
            && let Ok(subnet) = IpNet::new(to, prefix)
        {
            let (link, gateway) = (name(entry.link), entry.gateway);
            found.push(Routed { subnet: subnet.trunc(), link, gateway, outside: false });
        }
    }
    Ok(found)
}

/// A parent that is not there and cannot be made, in Docker's words.
fn not_a_vlan(name: &str) -> Error {
    Error::invalid(format!("invalid subinterface vlan name {name}, example formatting is eth0.10"))
}

/// The host's addresses in a network.
fn gateways(network: &NetworkRecord, options: &BridgeOptions) -> Vec<(IpAddr, u8)> {
    if network.driver != Driver::Bridge {
        return Vec::new();
    }
    let isolated = |ipv6: bool| {
        let mode = if ipv6 { options.mode6 } else { options.mode4 };
        mode == GatewayMode::Isolated || (!ipv6 && options.inhibit_ipv4)
    };
    network
        .pools
        .iter()
        .filter_map(|pool| Some((pool.gateway?, pool.subnet.prefix_len())))
        .filter(|(gateway, _)| !isolated(gateway.is_ipv6()))
        .collect()
}

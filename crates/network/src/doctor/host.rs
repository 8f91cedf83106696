//! What the host knows besides rules: links, addresses, routes, switches under `/proc/sys`.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink::route::{Link, Route, WayTo};

use crate::error::Result;

/// `RTN_*` of linux/rtnetlink.h.
const UNICAST: u32 = 1;
const LOCAL: u32 = 2;
const MULTICAST: u32 = 5;

/// The host's side of a packet's way.
#[derive(Debug)]
pub(super) struct Ground {
    route: Route,
    pub links: BTreeMap<u32, Link>,
    /// Link, address, length of the prefix.
    pub addresses: Vec<(String, IpNet)>,
}

impl Ground {
    /// Reads the calling thread's network namespace.
    pub fn read() -> Result<Self> {
        let mut route = Route::open()?;
        let links: BTreeMap<u32, Link> = route.links()?.into_iter().map(|link| (link.index, link)).collect();
        let addresses = route
            .addresses()?
            .into_iter()
            .filter_map(|address| {
                let link = links.get(&address.link)?.name.clone();
                Some((link, IpNet::new(address.address, address.prefix).ok()?))
            })
            .collect();
        Ok(Self { route, links, addresses })
    }

    pub fn index(&self, link: &str) -> u32 {
        self.links.values().find(|known| known.name == link).map_or(0, |link| link.index)
    }

    /// Whether an address is this host's.
    pub fn is_local(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.addresses.iter().any(|(_, net)| net.addr() == address)
    }

    /// The first address of a link in a family.
    pub fn address_of(&self, link: &str, ipv6: bool) -> Option<IpAddr> {
        let mut addresses = self.addresses.iter();
        addresses.find(|(on, net)| on == link && net.addr().is_ipv6() == ipv6).map(|(_, net)| net.addr())
    }

    /// The kind of an address, as `RTN_*`.
    pub fn kind(&self, address: IpAddr) -> u32 {
        match address {
            address if self.is_local(address) => LOCAL,
            address if address.is_multicast() => MULTICAST,
            _ => UNICAST,
        }
    }

    /// Where packets to an address go.
    pub fn way(&mut self, to: IpAddr) -> Option<WayTo> {
        self.route.lookup(to).ok().flatten()
    }

    /// The link that packets to an address leave by; empty where they do not.
    pub fn link_to(&mut self, to: IpAddr) -> String {
        let link = self.way(to).map_or(0, |way| way.link);
        self.links.get(&link).map(|link| link.name.clone()).unwrap_or_default()
    }

    /// A setting of a link for a family; None where this kernel has none.
    pub fn setting(ipv6: bool, link: &str, name: &str) -> Option<u32> {
        let family = if ipv6 { "ipv6" } else { "ipv4" };
        let text = fs::read_to_string(format!("/proc/sys/net/{family}/conf/{link}/{name}")).ok()?;
        text.trim().parse().ok()
    }
}

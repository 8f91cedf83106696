//! Changes to links, addresses and routes, collected. Each names itself, so that a failure says what was being done.

use std::net::IpAddr;

use super::Prefix;
use super::link::{LinkChange, LinkRef, NewLink};
use super::numbers::*;
use crate::wire::{Messages, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};

/// Changes to be made together, in order, in one message to the kernel. A failed one does not stop those after it.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) messages: Messages,
}

/// A route to add or take away.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewRoute {
    /// Where to; None is everywhere.
    pub to: Option<Prefix>,
    /// By way of; None is the link itself.
    pub gateway: Option<IpAddr>,
    /// Index of the link.
    pub link: u32,
    /// Smaller is preferred; 0 is the kernel's default.
    pub metric: u32,
    /// Whether it is IPv6 (needed where neither `to` nor `gateway` says).
    pub ipv6: bool,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Makes a link, down; `EEXIST` when the name is taken. An `mtu` of 0 is the kernel's default.
    pub fn add_link(&mut self, name: &str, mac: Option<[u8; 6]>, mtu: u32, kind: &NewLink<'_>) -> &mut Self {
        self.messages.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, format!("add link {name}"));
        self.messages.header(&link_header(0, 0, 0));
        self.messages.put_text(IFLA_IFNAME, name);
        if mtu != 0 {
            self.messages.put_u32(IFLA_MTU, mtu);
        }
        if let Some(mac) = mac {
            self.messages.put(IFLA_ADDRESS, &mac);
        }
        kind.put(&mut self.messages, mtu);
        self
    }

    /// Changes a link.
    pub fn set_link(&mut self, link: LinkRef<'_>, change: &LinkChange<'_>) -> &mut Self {
        let (flags, mask) = match change.up {
            Some(up) => (if up { IFF_UP } else { 0 }, IFF_UP),
            None => (0, 0),
        };
        self.messages.begin(RTM_NEWLINK, 0, format!("change {link}"));
        self.link_target(link, flags, mask, change.name.is_some());
        change.put(&mut self.messages);
        self
    }

    /// Removes a link, and its peer if it is a pair.
    pub fn delete_link(&mut self, link: LinkRef<'_>) -> &mut Self {
        self.messages.begin(RTM_DELLINK, 0, format!("delete {link}"));
        self.link_target(link, 0, 0, false);
        self
    }

    /// Gives a link an address; one that it has already is left. IPv6 addresses are used at once, without looking for
    /// duplicates: the engine knows who has which.
    pub fn add_address(&mut self, link: u32, (address, prefix): Prefix) -> &mut Self {
        self.messages.begin(
            RTM_NEWADDR,
            NLM_F_CREATE | NLM_F_REPLACE,
            format!("add address {address}/{prefix} to link {link}"),
        );
        self.address(link, address, prefix);
        if let IpAddr::V4(v4) = address
            && prefix < 31
        {
            let broadcast = v4.to_bits() | (u32::MAX >> prefix);
            self.messages.put(IFA_BROADCAST, &broadcast.to_be_bytes());
        }
        self
    }

    /// Takes an address from a link.
    pub fn delete_address(&mut self, link: u32, (address, prefix): Prefix) -> &mut Self {
        self.messages.begin(RTM_DELADDR, 0, format!("delete address {address}/{prefix} from link {link}"));
        self.address(link, address, prefix);
        self
    }

    /// Adds a route to the main table, or replaces the one to the same place with the same metric.
    pub fn add_route(&mut self, route: &NewRoute) -> &mut Self {
        self.messages.begin(
            RTM_NEWROUTE,
            NLM_F_CREATE | NLM_F_REPLACE,
            format!("add route {}", words(route)),
        );
        self.route(route);
        self
    }

    /// Takes a route from the main table.
    pub fn delete_route(&mut self, route: &NewRoute) -> &mut Self {
        self.messages.begin(RTM_DELROUTE, 0, format!("delete route {}", words(route)));
        self.route(route);
        self
    }

    fn link_target(&mut self, link: LinkRef<'_>, flags: u32, mask: u32, renamed: bool) {
        match link {
            LinkRef::Index(index) => self.messages.header(&link_header(index, flags, mask)),
            LinkRef::Name(name) => {
                self.messages.header(&link_header(0, flags, mask));
                // By name it cannot be renamed in the same message: the attribute is the name to look for.
                debug_assert!(!renamed, "rename link {name} by its index");
                self.messages.put_text(IFLA_IFNAME, name);
            }
        }
    }

    fn address(&mut self, link: u32, address: IpAddr, prefix: u8) {
        let family = if address.is_ipv4() { AF_INET } else { AF_INET6 };
        let mut header = [family, prefix, 0, 0, 0, 0, 0, 0];
        header[4..].copy_from_slice(&link.to_ne_bytes());
        self.messages.header(&header);
        match address {
            IpAddr::V4(address) => {
                self.messages.put(IFA_LOCAL, &address.octets());
                self.messages.put(IFA_ADDRESS, &address.octets());
            }
            IpAddr::V6(address) => {
                self.messages.put(IFA_ADDRESS, &address.octets());
                self.messages.put_u32(IFA_FLAGS, IFA_F_NODAD);
            }
        }
    }

    fn route(&mut self, route: &NewRoute) {
        let ipv6 = match (route.to, route.gateway) {
            (Some((to, _)), _) => to.is_ipv6(),
            (None, Some(gateway)) => gateway.is_ipv6(),
            (None, None) => route.ipv6,
        };
        let scope = match (ipv6, route.gateway) {
            (false, None) => RT_SCOPE_LINK,
            _ => RT_SCOPE_UNIVERSE,
        };
        let family = if ipv6 { AF_INET6 } else { AF_INET };
        let prefix = route.to.map_or(0, |(_, prefix)| prefix);
        self.messages.header(&[
            family,
            prefix,
            0,
            0,
            RT_TABLE_MAIN,
            RTPROT_BOOT,
            scope,
            RTN_UNICAST,
            0,
            0,
            0,
            0,
        ]);
        if let Some((to, _)) = route.to {
            put_ip(&mut self.messages, RTA_DST, to);
        }
        if let Some(gateway) = route.gateway {
            put_ip(&mut self.messages, RTA_GATEWAY, gateway);
        }
        self.messages.put_u32(RTA_OIF, route.link);
        if route.metric != 0 {
            self.messages.put_u32(RTA_PRIORITY, route.metric);
        }
    }
}

fn put_ip(messages: &mut Messages, kind: u16, address: IpAddr) {
    match address {
        IpAddr::V4(address) => messages.put(kind, &address.octets()),
        IpAddr::V6(address) => messages.put(kind, &address.octets()),
    }
}

fn words(route: &NewRoute) -> String {
    let to = route.to.map_or("default".to_owned(), |(to, prefix)| format!("{to}/{prefix}"));
    match route.gateway {
        Some(gateway) => format!("{to} via {gateway} on link {}", route.link),
        None => format!("{to} on link {}", route.link),
    }
}

/// `struct ifinfomsg`.
pub(super) fn link_header(index: u32, flags: u32, mask: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&mask.to_ne_bytes());
    header
}

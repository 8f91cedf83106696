//! What the kernel says there is: links, addresses, routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Prefix;
use super::batch::link_header;
use super::link::LinkRef;
use super::numbers::*;
use crate::wire::{Messages, NLM_F_DUMP, find, text_of, u32_at};

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `veth`, `bridge`, `macvlan`…; empty for hardware and loopback.
    pub kind: String,
    /// Whether it is administratively up.
    pub up: bool,
    /// Whether it has a carrier.
    pub carrier: bool,
    /// Whether it is operational (RFC 2863): packets pass. Follows the carrier after a moment; until then what is sent is lost.
    pub operational: bool,
    /// Hardware address where it has one of six bytes.
    pub mac: Option<[u8; 6]>,
    /// MTU in bytes.
    pub mtu: u32,
    /// Index of the bridge it is in.
    pub master: Option<u32>,
    /// Index of its parent or peer.
    pub parent: Option<u32>,
}

/// An address of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// Index of the link.
    pub link: u32,
    /// The address.
    pub address: IpAddr,
    /// Length of its subnet's prefix.
    pub prefix: u8,
}

/// A route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteEntry {
    /// Where to; None is the default route.
    pub to: Option<Prefix>,
    /// By way of.
    pub gateway: Option<IpAddr>,
    /// Index of the link, 0 when it has several or none.
    pub link: u32,
    /// Whether it is IPv6.
    pub ipv6: bool,
}

/// Where a packet would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WayTo {
    /// To this host itself.
    pub local: bool,
    /// Index of the link.
    pub link: u32,
    /// The address that this host would send from.
    pub source: Option<IpAddr>,
}

pub(super) fn lookup(to: IpAddr) -> Messages {
    let mut messages = Messages::default();
    messages.begin(RTM_GETROUTE, 0, format!("look for a route to {to}"));
    let mut header = [0; 12];
    (header[0], header[1]) = if to.is_ipv4() { (AF_INET, 32) } else { (AF_INET6, 128) };
    messages.header(&header);
    match to {
        IpAddr::V4(to) => messages.put(RTA_DST, &to.octets()),
        IpAddr::V6(to) => messages.put(RTA_DST, &to.octets()),
    }
    messages
}

impl WayTo {
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let attributes = payload.get(12..)?;
        match payload[7] {
            RTN_UNICAST | RTN_LOCAL => {}
            _ => return None,
        }
        Some(Self {
            local: payload[7] == RTN_LOCAL,
            link: find(attributes, RTA_OIF).and_then(|link| u32_at(link, 0))?,
            source: find(attributes, RTA_PREFSRC).and_then(ip),
        })
    }
}

pub(super) fn links() -> Messages {
    let mut messages = Messages::default();
    messages.begin(RTM_GETLINK, NLM_F_DUMP, "list links");
    messages.header(&link_header(0, 0, 0));
    messages.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    messages
}

pub(super) fn link(link: LinkRef<'_>) -> Messages {
    let mut messages = Messages::default();
    messages.begin(RTM_GETLINK, 0, format!("look for {link}"));
    match link {
        LinkRef::Index(index) => messages.header(&link_header(index, 0, 0)),
        LinkRef::Name(name) => {
            messages.header(&link_header(0, 0, 0));
            messages.put_text(IFLA_IFNAME, name);
        }
    }
    messages.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    messages
}

/// A dump of a kind whose header of `length` bytes may be all zeros.
pub(super) fn dump(kind: u16, length: usize, flags: u16, action: &'static str) -> Messages {
    let mut messages = Messages::default();
    messages.begin(kind, flags, action);
    messages.header(&[0; 12][..length]);
    messages
}

impl Link {
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let attributes = payload.get(16..)?;
        let flags = u32_at(payload, 8)?;
        let number = |kind| find(attributes, kind).and_then(|value| u32_at(value, 0));
        let kind = find(attributes, IFLA_LINKINFO).and_then(|info| find(info, IFLA_INFO_KIND));
        Some(Self {
            index: u32_at(payload, 4)?,
            name: text_of(find(attributes, IFLA_IFNAME)?),
            kind: kind.map(text_of).unwrap_or_default(),
            up: flags & IFF_UP != 0,
            carrier: flags & IFF_LOWER_UP != 0,
            operational: find(attributes, IFLA_OPERSTATE) == Some(&[IF_OPER_UP]),
            mac: find(attributes, IFLA_ADDRESS).and_then(|mac| mac.try_into().ok()),
            mtu: number(IFLA_MTU).unwrap_or(0),
            master: number(IFLA_MASTER),
            parent: number(IFLA_LINK),
        })
    }
}

impl Address {
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let attributes = payload.get(8..)?;
        // On point-to-point links IFA_ADDRESS is the other end; IFA_LOCAL is ours. IPv6 has IFA_ADDRESS only.
        let address = find(attributes, IFA_LOCAL).or_else(|| find(attributes, IFA_ADDRESS))?;
        Some(Self { link: u32_at(payload, 4)?, address: ip(address)?, prefix: payload[1] })
    }
}

impl RouteEntry {
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let attributes = payload.get(12..)?;
        let (family, prefix, kind) = (payload[0], payload[1], payload[7]);
        let table = find(attributes, RTA_TABLE).and_then(|table| u32_at(table, 0)).unwrap_or(0);
        if kind != RTN_UNICAST || table == RT_TABLE_LOCAL || !matches!(family, AF_INET | AF_INET6) {
            return None;
        }
        let to = find(attributes, RTA_DST).and_then(ip).map(|to| (to, prefix));
        Some(Self {
            to: to.filter(|_| prefix != 0),
            gateway: find(attributes, RTA_GATEWAY).and_then(ip),
            link: find(attributes, RTA_OIF).and_then(|link| u32_at(link, 0)).unwrap_or(0),
            ipv6: family == AF_INET6,
        })
    }
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

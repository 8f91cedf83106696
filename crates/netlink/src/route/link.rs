//! Links that are asked for, and what can be changed about one.

use std::os::fd::BorrowedFd;

use super::numbers::*;
use crate::wire::Messages;

/// A link by index or name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkRef<'a> {
    /// Its index in the namespace of the socket.
    Index(u32),
    /// Its name.
    Name(&'a str),
}

impl std::fmt::Display for LinkRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Index(index) => write!(f, "link {index}"),
            Self::Name(name) => write!(f, "link {name}"),
        }
    }
}

/// `MACVLAN_MODE_*`: how the links of one parent see each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacvlanMode {
    /// Not at all.
    Private,
    /// By way of the switch outside.
    Vepa,
    /// Directly.
    Bridge,
    /// One link that takes the parent over.
    Passthru,
}

/// A veth pair: one end here, its peer in another namespace.
#[derive(Debug, Clone, Copy)]
pub struct Veth<'a> {
    /// Name of the peer.
    pub peer_name: &'a str,
    /// The namespace of the peer.
    pub peer_netns: BorrowedFd<'a>,
    /// Hardware address of the peer; None for a random one.
    pub peer_mac: Option<[u8; 6]>,
}

/// What kind of link to make.
#[derive(Debug, Clone, Copy)]
pub enum NewLink<'a> {
    /// A bridge.
    Bridge,
    /// A link that swallows everything.
    Dummy,
    /// A pair.
    Veth(Veth<'a>),
    /// A MAC address of its own on `parent`.
    Macvlan {
        /// Index of the parent in the namespace of the socket.
        parent: u32,
        /// How siblings see each other.
        mode: MacvlanMode,
        /// The namespace to make it in.
        netns: Option<BorrowedFd<'a>>,
    },
    /// An IP address of its own on `parent`.
    Ipvlan {
        /// Index of the parent in the namespace of the socket.
        parent: u32,
        /// `IPVLAN_MODE_*`: 0 is l2, 1 l3, 2 l3s.
        mode: u16,
        /// The namespace to make it in.
        netns: Option<BorrowedFd<'a>>,
    },
    /// An 802.1Q VLAN of `parent`.
    Vlan {
        /// Index of the parent.
        parent: u32,
        /// Its number.
        id: u16,
    },
}

impl NewLink<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Dummy => "dummy",
            Self::Veth(_) => "veth",
            Self::Macvlan { .. } => "macvlan",
            Self::Ipvlan { .. } => "ipvlan",
            Self::Vlan { .. } => "vlan",
        }
    }

    pub(super) fn put(&self, messages: &mut Messages, mtu: u32) {
        match self {
            Self::Macvlan { parent, netns, .. } | Self::Ipvlan { parent, netns, .. } => {
                messages.put_u32(IFLA_LINK, *parent);
                if let Some(netns) = netns {
                    put_netns(messages, *netns);
                }
            }
            Self::Vlan { parent, .. } => messages.put_u32(IFLA_LINK, *parent),
            Self::Bridge | Self::Dummy | Self::Veth(_) => {}
        }
        messages.nest(IFLA_LINKINFO, |info| {
            info.put_text(IFLA_INFO_KIND, self.kind());
            match self {
                Self::Bridge | Self::Dummy => {}
                Self::Veth(veth) => info.nest(IFLA_INFO_DATA, |data| {
                    data.nest(VETH_INFO_PEER, |peer| {
                        // The peer's attributes come after a link header of its own.
                        peer.header(&[0; 16]);
                        peer.put_text(IFLA_IFNAME, veth.peer_name);
                        put_netns(peer, veth.peer_netns);
                        if mtu != 0 {
                            peer.put_u32(IFLA_MTU, mtu);
                        }
                        if let Some(mac) = veth.peer_mac {
                            peer.put(IFLA_ADDRESS, &mac);
                        }
                    });
                }),
                Self::Macvlan { mode, .. } => info.nest(IFLA_INFO_DATA, |data| {
                    data.put_u32(
                        IFLA_MACVLAN_MODE,
                        match mode {
                            MacvlanMode::Private => 1,
                            MacvlanMode::Vepa => 2,
                            MacvlanMode::Bridge => 4,
                            MacvlanMode::Passthru => 8,
                        },
                    );
                }),
                Self::Ipvlan { mode, .. } => {
                    info.nest(IFLA_INFO_DATA, |data| data.put_u16(IFLA_IPVLAN_MODE, *mode));
                }
                Self::Vlan { id, .. } => info.nest(IFLA_INFO_DATA, |data| data.put_u16(IFLA_VLAN_ID, *id)),
            }
        });
    }
}

fn put_netns(messages: &mut Messages, netns: BorrowedFd<'_>) {
    use std::os::fd::AsRawFd;
    messages.put_u32(IFLA_NET_NS_FD, netns.as_raw_fd().cast_unsigned());
}

/// A per-link IPv4 setting that netlink can write (`IPV4_DEVCONF_*`), so that `/proc/sys` need not be writable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv4Conf {
    /// `forwarding`.
    Forwarding,
    /// `route_localnet`: 127/8 may be routed over this link.
    RouteLocalnet,
    /// `arp_notify`.
    ArpNotify,
    /// `proxy_arp_pvlan`: ARP requests for others on the same link are answered, so that their packets come by us.
    ProxyArpPvlan,
}

/// What to change about a link; None leaves it.
#[derive(Debug, Clone, Default)]
pub struct LinkChange<'a> {
    /// Bring it up or down.
    pub up: Option<bool>,
    /// Rename it.
    pub name: Option<&'a str>,
    /// Hardware address.
    pub mac: Option<[u8; 6]>,
    /// MTU in bytes.
    pub mtu: Option<u32>,
    /// Index of the bridge to put it in; 0 takes it out.
    pub master: Option<u32>,
    /// Free text shown by `ip link`.
    pub alias: Option<&'a str>,
    /// IPv4 settings.
    pub ipv4: &'a [(Ipv4Conf, u32)],
    /// No IPv6 address made up by the kernel.
    pub no_ipv6_address: bool,
    /// Bridge port: no frames to or from other isolated ports.
    pub isolated: Option<bool>,
    /// Bridge port: frames may leave by the port they came by.
    pub hairpin: Option<bool>,
    /// Move it to this namespace.
    pub netns: Option<BorrowedFd<'a>>,
}

impl LinkChange<'_> {
    pub(super) fn put(&self, messages: &mut Messages) {
        if let Some(name) = self.name {
            messages.put_text(IFLA_IFNAME, name);
        }
        if let Some(mac) = self.mac {
            messages.put(IFLA_ADDRESS, &mac);
        }
        if let Some(mtu) = self.mtu {
            messages.put_u32(IFLA_MTU, mtu);
        }
        if let Some(master) = self.master {
            messages.put_u32(IFLA_MASTER, master);
        }
        if let Some(alias) = self.alias {
            messages.put(IFLA_IFALIAS, alias.as_bytes());
        }
        if let Some(netns) = self.netns {
            put_netns(messages, netns);
        }
        if !self.ipv4.is_empty() || self.no_ipv6_address {
            messages.nest(IFLA_AF_SPEC, |families| {
                if !self.ipv4.is_empty() {
                    families.nest(AF_INET.into(), |inet| {
                        inet.nest(IFLA_INET_CONF, |conf| {
                            for (setting, value) in self.ipv4 {
                                conf.put_u32(setting.number(), *value);
                            }
                        });
                    });
                }
                if self.no_ipv6_address {
                    families.nest(AF_INET6.into(), |inet6| {
                        inet6.put_u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
                    });
                }
            });
        }
        if self.isolated.is_some() || self.hairpin.is_some() {
            messages.nest(IFLA_LINKINFO, |info| {
                info.put_text(IFLA_INFO_SLAVE_KIND, "bridge");
                info.nest(IFLA_INFO_SLAVE_DATA, |port| {
                    if let Some(hairpin) = self.hairpin {
                        port.put_u8(IFLA_BRPORT_MODE, hairpin.into());
                    }
                    if let Some(isolated) = self.isolated {
                        port.put_u8(IFLA_BRPORT_ISOLATED, isolated.into());
                    }
                });
            });
        }
    }
}

impl Ipv4Conf {
    fn number(self) -> u16 {
        match self {
            Self::Forwarding => 1,
            Self::ArpNotify => 22,
            Self::ProxyArpPvlan => 25,
            Self::RouteLocalnet => 26,
        }
    }
}

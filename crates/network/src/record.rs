//! Networks and endpoints as data: what is asked for, what is recorded, and where the records lie on disk
//! (`<root>/networks/<id>.json`, durable; `<run_dir>/network/<container id>.json`, gone after a reboot). Touches no kernel state.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::links::Link;
use crate::mac::Mac;
use crate::publish::Binding;

/// What makes a network's links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A bridge on the host with a veth pair per endpoint.
    Bridge,
    /// The host's own network namespace.
    Host,
    /// Loopback only.
    #[serde(rename = "null")]
    None,
    /// A MAC address of its own on one of the host's links.
    Macvlan,
    /// An IP address of its own on one of the host's links.
    Ipvlan,
}

impl Driver {
    /// The driver by Docker's name for it; an empty name is the bridge.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "" | "default" | "bridge" => Self::Bridge,
            "host" => Self::Host,
            "null" => Self::None,
            "macvlan" => Self::Macvlan,
            "ipvlan" => Self::Ipvlan,
            _ => return None,
        })
    }

    /// Docker's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::None => "null",
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
        }
    }
}

/// One subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// The subnet.
    pub subnet: IpNet,
    /// The host's (or for macvlan the outer router's) address in it.
    pub gateway: Option<IpAddr>,
    /// The part of it that addresses are picked from.
    pub ip_range: Option<IpNet>,
    /// Addresses never to be given out, by name.
    #[serde(default)]
    pub auxiliary: BTreeMap<String, IpAddr>,
}

/// A network that somebody asks for.
#[derive(Debug, Clone, Default)]
pub struct NetworkSpec {
    /// Its name.
    pub name: String,
    /// Docker's name of the driver; empty is the bridge.
    pub driver: String,
    /// IPAM driver; empty and `default` are ours, `null` gives no addresses.
    pub ipam_driver: String,
    /// Options of the IPAM driver, kept as given.
    pub ipam_options: Option<BTreeMap<String, String>>,
    /// Subnets asked for.
    pub pools: Vec<PoolSpec>,
    /// Whether it has IPv4; default yes.
    pub ipv4: Option<bool>,
    /// Whether it has IPv6; default as configured.
    pub ipv6: Option<bool>,
    /// Whether it has no way out of the host.
    pub internal: bool,
    /// Kept as given.
    pub attachable: bool,
    /// Driver options, `com.docker.network.*`.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Only a configuration for other networks.
    pub config_only: bool,
    /// The network whose configuration is taken.
    pub config_from: String,
}

/// A subnet asked for; texts as they came, parsed and checked at create.
#[derive(Debug, Clone, Default)]
pub struct PoolSpec {
    /// `172.20.0.0/16`; empty picks one.
    pub subnet: String,
    /// Part of the subnet that addresses come from.
    pub ip_range: String,
    /// The gateway; empty takes the first address.
    pub gateway: String,
    /// Addresses never to be given out.
    pub auxiliary: BTreeMap<String, String>,
}

/// A network as recorded, with who is in it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRecord {
    /// 64 hex digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What makes its links.
    pub driver: Driver,
    /// When it was made, in RFC 3339 with nanoseconds, UTC.
    pub created: String,
    /// Its subnets.
    pub pools: Vec<Pool>,
    /// IPAM driver as asked.
    #[serde(default)]
    pub ipam_driver: String,
    /// IPAM options as asked.
    #[serde(default)]
    pub ipam_options: Option<BTreeMap<String, String>>,
    /// Whether a subnet was asked for, which is what lets endpoints ask for addresses.
    #[serde(default)]
    pub user_pools: bool,
    /// Has IPv4.
    pub enable_ipv4: bool,
    /// Has IPv6.
    pub enable_ipv6: bool,
    /// Has no way out of the host.
    pub internal: bool,
    /// Kept as given.
    #[serde(default)]
    pub attachable: bool,
    /// Only a configuration for other networks.
    #[serde(default)]
    pub config_only: bool,
    /// The network whose configuration was taken.
    #[serde(default)]
    pub config_from: String,
    /// Driver options.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Who is in it, by container id; kept apart from the network's own record. Shared, so that a copy of a full network is cheap.
    #[serde(skip)]
    pub endpoints: BTreeMap<String, Arc<Endpoint>>,
}

impl NetworkRecord {
    /// Whether this is `bridge`, `host` or `none`.
    pub fn is_builtin(&self) -> bool {
        matches!(self.name.as_str(), "bridge" | "host" | "none")
    }

    /// Whether containers find each other by name in it.
    pub fn has_names(&self) -> bool {
        !self.is_builtin()
    }
}

/// A place in a network that a container asks for.
#[derive(Debug, Clone, Default)]
pub struct EndpointSpec {
    /// The container.
    pub container_id: String,
    /// Its name without the slash.
    pub container_name: String,
    /// Its host name: answered like a name where the network has names.
    pub hostname: String,
    /// Further names in this network.
    pub aliases: Vec<String>,
    /// Names by which only this container knows others: (alias, other container's name), `--link`.
    pub links: Vec<(String, String)>,
    /// The address asked for.
    pub ipv4: Option<Ipv4Addr>,
    /// The IPv6 address asked for.
    pub ipv6: Option<Ipv6Addr>,
    /// Further addresses, link-local.
    pub link_local: Vec<IpAddr>,
    /// The MAC address asked for.
    pub mac: Option<Mac>,
    /// Name of the interface in the container; None takes the next `ethN`.
    pub ifname: Option<String>,
    /// Of several networks, the highest gives the default route.
    pub gateway_priority: i64,
    /// Endpoint options, `com.docker.network.endpoint.*`.
    pub options: BTreeMap<String, String>,
}

/// A container's place in a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its network.
    pub network_id: String,
    /// Name of its network.
    pub network_name: String,
    /// 64 hex digits.
    pub endpoint_id: String,
    /// The container.
    pub container_id: String,
    /// Its name without the slash.
    pub container_name: String,
    /// IPv4 address; None on host, none and IPv6-only networks.
    pub ip: Option<Ipv4Addr>,
    /// Prefix length of the subnet.
    pub prefix: u8,
    /// The way out.
    pub gateway: Option<Ipv4Addr>,
    /// IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// Prefix length of the IPv6 subnet.
    pub prefix6: u8,
    /// The IPv6 way out.
    pub gateway6: Option<Ipv6Addr>,
    /// Hardware address.
    pub mac: Option<Mac>,
    /// Name of the interface in the container; empty on host and none.
    pub ifname: String,
    /// Name of the interface on the host; empty where there is none.
    pub host_ifname: String,
    /// Names that this container is known by in the network.
    #[serde(default)]
    pub dns_names: Vec<String>,
    /// (alias, other container's name) known to this container only.
    #[serde(default)]
    pub links: Vec<(String, String)>,
    /// Of several networks, the highest gives the default route.
    #[serde(default)]
    pub gateway_priority: i64,
}

/// Everything that a container has on this host: the file `<run_dir>/network/<container id>.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Its places in networks.
    pub endpoints: Vec<Endpoint>,
    /// Its published ports.
    pub bindings: Vec<Binding>,
    /// Ports of others that it may reach where containers may not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
}

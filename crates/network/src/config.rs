//! What an operator can choose about networks: everything on which two engines on one host would collide, and daemon.json's
//! network keys. One home for the defaults.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use ipnet::{Ipv4Net, Ipv6Net};

use crate::home::HomeConfig;

/// A range from which subnets of `size` are cut, as `default-address-pools` of daemon.json.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPool {
    /// The range.
    pub base: Ipv4Net,
    /// Prefix length of each subnet cut from it.
    pub size: u8,
}

/// Options of the networks of one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkConfig {
    /// The engine's root; records live in its `networks` folder.
    pub root: PathBuf,
    /// The engine's run folder; endpoints live in its `network` folder, gone after a reboot as the endpoints are.
    pub run_dir: PathBuf,
    /// Name of the default bridge.
    pub bridge: String,
    /// Address and subnet of the default bridge (daemon.json `bip`); None picks a free /16.
    pub bridge_address: Option<Ipv4Net>,
    /// Where user networks get their subnets; the first free one is taken.
    pub pools: Vec<AddressPool>,
    /// Where dual-stack networks get their /64s; None makes a random unique-local /48 (RFC 4193) per engine.
    pub ipv6_pool: Option<Ipv6Net>,
    /// Name of our table in nftables' `inet` family.
    pub nft_table: String,
    /// MTU of bridges and endpoints; 0 is the kernel's default.
    pub mtu: u32,
    /// Host address of published ports that name none (daemon.json `ip`).
    pub publish_address: IpAddr,
    /// Whether containers on the default bridge may talk to each other.
    pub icc: bool,
    /// Whether new user networks have IPv6 when the request does not say.
    pub ipv6: bool,
    /// Whether to turn on `net.ipv4.ip_forward`.
    pub ip_forward: bool,
    /// Ready sandboxes kept for each bridge in use; 0 keeps none.
    pub warm: usize,
    /// Where networks are that may not be in the host's own network namespace; None is there.
    pub home: Option<HomeConfig>,
}

impl NetworkConfig {
    /// The defaults, for an engine with this root and run folder.
    pub fn new(root: impl Into<PathBuf>, run_dir: impl Into<PathBuf>) -> Self {
        let pool = |a, b, prefix| AddressPool {
            base: Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), prefix),
            size: 24,
        };
        Self {
            root: root.into(),
            run_dir: run_dir.into(),
            bridge: "naru0".to_owned(),
            bridge_address: None,
            pools: vec![pool(172, 16, 12), pool(192, 168, 16)],
            ipv6_pool: None,
            nft_table: "naru".to_owned(),
            mtu: 0,
            publish_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            icc: true,
            ipv6: false,
            ip_forward: true,
            warm: 2,
            home: None,
        }
    }
}

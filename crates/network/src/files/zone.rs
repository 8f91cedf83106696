//! A network's names, for the name servers of the containers in it: one file per network (`<run_dir>/network/zones/<id>.json`),
//! replaced as a whole by the engine and read by every monitor that has a container there. It outlives the engine that wrote it.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::record::NetworkRecord;

/// Who is in a network, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// The network's name: `<host>.<network>` is known too, and is what addresses lead back to.
    pub network: String,
    /// The containers.
    pub hosts: Vec<ZoneHost>,
}

/// A container in a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneHost {
    /// What it is called, its own name first. Not unique: all containers of a service share the service's name.
    pub names: Vec<String>,
    /// Its addresses in this network.
    pub addresses: Vec<IpAddr>,
}

impl Zone {
    /// The names of a network as it is.
    pub fn of(network: &NetworkRecord) -> Self {
        let hosts = network.endpoints.values().map(|endpoint| {
            let addresses = endpoint.ip.map(IpAddr::V4).into_iter().chain(endpoint.ipv6.map(IpAddr::V6));
            ZoneHost { names: endpoint.dns_names.clone(), addresses: addresses.collect() }
        });
        let named = hosts.filter(|host| !host.names.is_empty() && !host.addresses.is_empty());
        Self { network: network.name.clone(), hosts: named.collect() }
    }

    /// Reads a zone file.
    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }

    /// Replaces a zone file, for all readers at once.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        sys::fsutil::write_atomic(path, &serde_json::to_vec(self)?)
    }

    /// Everybody of that name, which may be followed by the network's; the case of ASCII letters does not matter.
    pub fn find(&self, name: &str) -> Vec<IpAddr> {
        let bare = name
            .len()
            .checked_sub(self.network.len() + 1)
            .and_then(|at| Some((name.get(..at)?, name.get(at..)?.strip_prefix('.')?)))
            .filter(|(_, network)| network.eq_ignore_ascii_case(&self.network))
            .map(|(bare, _)| bare);
        let is_it = |known: &String| {
            known.eq_ignore_ascii_case(name) || bare.is_some_and(|bare| known.eq_ignore_ascii_case(bare))
        };
        let hosts = self.hosts.iter().filter(|host| host.names.iter().any(is_it));
        hosts.flat_map(|host| host.addresses.iter().copied()).collect()
    }

    /// The full name of who has that address.
    pub fn name_of(&self, address: IpAddr) -> Option<String> {
        let host = self.hosts.iter().find(|host| host.addresses.contains(&address))?;
        Some(format!("{}.{}", host.names.first()?, self.network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_the_networks() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let host = |names: &[&str], addresses: &[&str]| ZoneHost {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            addresses: addresses.iter().map(|address| ip(address)).collect(),
        };
        let zone = Zone {
            network: "shop_default".to_owned(),
            hosts: vec![
                host(&["shop-web-1", "web"], &["10.1.0.2", "fd00::2"]),
                host(&["shop-web-2", "web"], &["10.1.0.3"]),
            ],
        };
        assert_eq!(zone.find("SHOP-web-1"), [ip("10.1.0.2"), ip("fd00::2")]);
        assert_eq!(zone.find("web"), [ip("10.1.0.2"), ip("fd00::2"), ip("10.1.0.3")]);
        assert_eq!(zone.find("web.Shop_Default").len(), 3);
        for unknown in
            ["", "shop", ".shop_default", "shop_default", "web.other", "xshop_default", "é.shop_default"]
        {
            assert!(zone.find(unknown).is_empty(), "{unknown}");
        }
        assert_eq!(zone.name_of(ip("fd00::2")).as_deref(), Some("shop-web-1.shop_default"));
        assert_eq!(zone.name_of(ip("10.1.0.9")), None);
    }
}

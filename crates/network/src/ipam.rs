//! Who gets which address, and which subnet is free: pure functions over what is taken. Next-fit, so that an address that was
//! just given back is the last to be given out again: neighbours and old connections still know its previous owner.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::config::AddressPool;
use crate::error::{Error, ErrorKind, Result};
use crate::record::{NetworkRecord, Pool};

/// The addresses in use, and where the search goes on, by network.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    used: BTreeMap<String, BTreeSet<IpAddr>>,
    /// The last address given out, by network and family.
    last: BTreeMap<(String, bool), IpAddr>,
}

impl Addresses {
    /// Takes a particular address.
    pub(crate) fn take(&mut self, network: &NetworkRecord, address: IpAddr) -> Result<()> {
        if !network.pools.iter().any(|pool| pool.subnet.contains(&address)) {
            return Err(Error::invalid(format!("no configured subnet contains IP address {address}")));
        }
        if reserved(network, address) || !self.used.entry(network.id.clone()).or_default().insert(address) {
            return Err(Error::forbidden("Address already in use"));
        }
        Ok(())
    }

    /// Takes the next free address of a family.
    pub(crate) fn next(&mut self, network: &NetworkRecord, ipv6: bool) -> Result<IpAddr> {
        let key = (network.id.clone(), ipv6);
        let last = self.last.get(&key).copied();
        let used = self.used.entry(network.id.clone()).or_default();
        let pools: Vec<&Pool> =
            network.pools.iter().filter(|pool| pool.subnet.addr().is_ipv6() == ipv6).collect();
        // Behind the last one first, then from the beginning.
        let start = last.and_then(|last| {
            let at = pools.iter().position(|pool| pool.subnet.contains(&last))?;
            Some((at, last))
        });
        let mut rounds: Vec<(&Pool, Option<IpAddr>)> = Vec::new();
        if let Some((at, last)) = start {
            rounds.push((pools[at], Some(last)));
            rounds.extend(pools[at + 1..].iter().map(|pool| (*pool, None)));
        }
        rounds.extend(pools.iter().map(|pool| (*pool, None)));
        for (pool, after) in rounds {
            if let Some(address) = first_free(network, pool, after, used) {
                used.insert(address);
                self.last.insert(key, address);
                return Ok(address);
            }
        }
        let family = if ipv6 { "IPv6" } else { "IPv4" };
        let subnets: Vec<String> = pools.iter().map(|pool| pool.subnet.to_string()).collect();
        Err(Error::new(
            ErrorKind::Internal,
            format!(
                "no available {family} addresses on this network's address pools: {} ({})",
                network.name,
                subnets.join(", ")
            ),
        ))
    }

    /// Gives an address back.
    pub(crate) fn give_back(&mut self, network_id: &str, address: IpAddr) {
        if let Some(used) = self.used.get_mut(network_id) {
            used.remove(&address);
        }
    }

    /// Notes an address that is in use since before.
    pub(crate) fn note(&mut self, network_id: &str, address: IpAddr) {
        self.used.entry(network_id.to_owned()).or_default().insert(address);
        let last = self.last.entry((network_id.to_owned(), address.is_ipv6())).or_insert(address);
        *last = (*last).max(address);
    }

    /// Forgets a network.
    pub(crate) fn forget(&mut self, network_id: &str) {
        self.used.remove(network_id);
        self.last.retain(|(network, _), _| network != network_id);
    }
}

/// Whether nobody may have it: the subnet's own and broadcast address, the gateway, and auxiliary addresses.
fn reserved(network: &NetworkRecord, address: IpAddr) -> bool {
    network.pools.iter().any(|pool| {
        let edge = match pool.subnet {
            IpNet::V4(subnet) if subnet.prefix_len() < 31 => {
                address == IpAddr::V4(subnet.network()) || address == IpAddr::V4(subnet.broadcast())
            }
            IpNet::V4(_) => false,
            // The first address is the subnet-router anycast address (RFC 4291 §2.6.1).
            IpNet::V6(subnet) => subnet.prefix_len() < 127 && address == IpAddr::V6(subnet.network()),
        };
        edge || pool.gateway == Some(address) || pool.auxiliary.values().any(|aux| *aux == address)
    })
}

fn first_free(
    network: &NetworkRecord,
    pool: &Pool,
    after: Option<IpAddr>,
    used: &BTreeSet<IpAddr>,
) -> Option<IpAddr> {
    let range = pool.ip_range.unwrap_or(pool.subnet);
    let (first, last) = (number(range.network()), number(range.broadcast()));
    let start = match after {
        Some(after) => number(after).checked_add(1)?.max(first),
        None => first,
    };
    let ipv6 = range.addr().is_ipv6();
    // At most one step for each taken or reserved address: the search in a sparse /64 is as short as in a full /24.
    (start..=last)
        .map(|candidate| address(candidate, ipv6))
        .find(|candidate| !used.contains(candidate) && !reserved(network, *candidate))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn address(number: u128, ipv6: bool) -> IpAddr {
    if ipv6 {
        IpAddr::V6(Ipv6Addr::from_bits(number))
    } else {
        // Numbers of IPv4 ranges come from IPv4 addresses.
        IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX)))
    }
}

/// The first address of a subnet that a host may have: the gateway where none is asked for.
pub(crate) fn first_host(subnet: IpNet) -> IpAddr {
    let ipv6 = subnet.addr().is_ipv6();
    let single = subnet.prefix_len() + 1 >= subnet.max_prefix_len();
    address(number(subnet.network()) + u128::from(!single), ipv6)
}

/// Whether two subnets share an address.
pub(crate) fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

/// The first subnet of the pools that shares no address with `taken`.
pub(crate) fn free_subnet(pools: &[AddressPool], taken: &[IpNet]) -> Result<Ipv4Net> {
    let blocking: Vec<(u32, u32)> = taken
        .iter()
        .filter_map(|taken| match taken {
            IpNet::V4(net) => Some((net.network().to_bits(), net.broadcast().to_bits())),
            IpNet::V6(_) => None,
        })
        .collect();
    for pool in pools {
        let size = pool.size.clamp(pool.base.prefix_len(), 32);
        let step = 1u64 << (32 - size);
        let (mut at, end) =
            (u64::from(pool.base.network().to_bits()), u64::from(pool.base.broadcast().to_bits()));
        while at + (step - 1) <= end {
            let (first, last) = (at, at + (step - 1));
            // Past everything in the way at once: a /24 search must not walk through a /8 that is taken.
            let blocked = blocking
                .iter()
                .filter(|(from, to)| u64::from(*from) <= last && u64::from(*to) >= first)
                .map(|(_, to)| u64::from(*to) + 1)
                .max();
            match blocked {
                Some(next) => at = next.next_multiple_of(step).max(at + step),
                None => {
                    let network = Ipv4Addr::from_bits(u32::try_from(first).unwrap_or(u32::MAX));
                    return Ok(Ipv4Net::new_assert(network, size));
                }
            }
        }
    }
    Err(Error::new(ErrorKind::Internal, "all predefined address pools have been fully subnetted"))
}

/// The first /64 of a prefix that shares no address with `taken`.
pub(crate) fn free_subnet6(prefix: Ipv6Net, taken: &[IpNet]) -> Result<Ipv6Net> {
    let size = prefix.prefix_len().max(64);
    prefix
        .subnets(size)
        .ok()
        .into_iter()
        .flatten()
        // 2^16 subnets of a /48 are looked at; more networks than that are not on one host.
        .take(1 << 16)
        .find(|subnet| !taken.iter().any(|taken| overlap(&IpNet::V6(*subnet), taken)))
        .ok_or_else(|| {
            Error::new(ErrorKind::Internal, "all predefined address pools have been fully subnetted")
        })
}

/// A random unique-local /48 (RFC 4193 §3.2: `fd`, 40 random bits).
pub(crate) fn unique_local() -> Ipv6Net {
    let mut bytes = [0; 16];
    crate::random::fill(&mut bytes[1..6]);
    bytes[0] = 0xfd;
    Ipv6Net::new_assert(Ipv6Addr::from(bytes), 48)
}

/// Where the default bridge's subnet comes from: a /16 of 172.17–172.31 as Docker's, then smaller ones elsewhere.
pub(crate) fn default_bridge_pools() -> Vec<AddressPool> {
    let pool = |a, b, prefix, size| AddressPool {
        base: Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), prefix),
        size,
    };
    let mut pools: Vec<AddressPool> = (17..32).map(|second| pool(172, second, 16, 16)).collect();
    pools.push(pool(192, 168, 16, 20));
    pools.push(pool(10, 0, 8, 16));
    pools
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Driver;

    fn network(pools: &[(&str, Option<&str>, Option<&str>)]) -> NetworkRecord {
        NetworkRecord {
            id: "a".repeat(64),
            name: "test".to_owned(),
            driver: Driver::Bridge,
            created: String::new(),
            pools: pools
                .iter()
                .map(|(subnet, gateway, range)| Pool {
                    subnet: subnet.parse().unwrap(),
                    gateway: gateway.map(|gateway| gateway.parse().unwrap()),
                    ip_range: range.map(|range| range.parse().unwrap()),
                    auxiliary: BTreeMap::new(),
                })
                .collect(),
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

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_just_given_back_is_the_last_to_be_given_out_again() {
        let network = network(&[("10.0.0.0/29", Some("10.0.0.1"), None)]);
        let mut addresses = Addresses::default();
        assert_eq!(addresses.next(&network, false).unwrap(), ip("10.0.0.2"));
        assert_eq!(addresses.next(&network, false).unwrap(), ip("10.0.0.3"));
        addresses.give_back(&network.id, ip("10.0.0.2"));
        for last in 4..=6 {
            assert_eq!(addresses.next(&network, false).unwrap(), ip(&format!("10.0.0.{last}")));
        }
        assert_eq!(addresses.next(&network, false).unwrap(), ip("10.0.0.2"));
        let error = addresses.next(&network, false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no available IPv4 addresses on this network's address pools: test (10.0.0.0/29)"
        );
    }

    #[test]
    fn asked_for_addresses_are_checked_in_dockers_words() {
        let network = network(&[("10.0.0.0/24", Some("10.0.0.1"), None)]);
        let mut addresses = Addresses::default();
        addresses.take(&network, ip("10.0.0.9")).unwrap();
        for taken in ["10.0.0.9", "10.0.0.1", "10.0.0.0", "10.0.0.255"] {
            assert_eq!(
                addresses.take(&network, ip(taken)).unwrap_err().to_string(),
                "Address already in use"
            );
        }
        assert_eq!(
            addresses.take(&network, ip("10.0.1.9")).unwrap_err().to_string(),
            "no configured subnet contains IP address 10.0.1.9"
        );
    }

    #[test]
    fn the_range_limits_the_search_and_not_the_asking() {
        let network = network(&[("10.0.0.0/24", Some("10.0.0.1"), Some("10.0.0.128/30"))]);
        let mut addresses = Addresses::default();
        let given: Vec<_> = (0..4).map(|_| addresses.next(&network, false).unwrap().to_string()).collect();
        assert_eq!(given, ["10.0.0.128", "10.0.0.129", "10.0.0.130", "10.0.0.131"]);
        addresses.next(&network, false).unwrap_err();
        addresses.take(&network, ip("10.0.0.5")).unwrap();
    }

    #[test]
    fn a_second_subnet_is_used_when_the_first_is_full() {
        let network =
            network(&[("10.0.0.0/30", Some("10.0.0.1"), None), ("10.0.1.0/30", Some("10.0.1.1"), None)]);
        let mut addresses = Addresses::default();
        assert_eq!(addresses.next(&network, false).unwrap(), ip("10.0.0.2"));
        assert_eq!(addresses.next(&network, false).unwrap(), ip("10.0.1.2"));
        addresses.give_back(&network.id, ip("10.0.0.2"));
        assert_eq!(addresses.next(&network, false).unwrap(), ip("10.0.0.2"));
    }

    #[test]
    fn ipv6_addresses_come_from_the_ipv6_subnet() {
        let network =
            network(&[("10.0.0.0/24", Some("10.0.0.1"), None), ("fd00:1::/64", Some("fd00:1::1"), None)]);
        let mut addresses = Addresses::default();
        assert_eq!(addresses.next(&network, true).unwrap(), ip("fd00:1::2"));
        assert_eq!(addresses.next(&network, true).unwrap(), ip("fd00:1::3"));
        assert_eq!(addresses.next(&network, false).unwrap(), ip("10.0.0.2"));
    }

    #[test]
    fn free_subnets_keep_clear_of_routes() {
        let pools = [
            AddressPool { base: "172.16.0.0/12".parse().unwrap(), size: 24 },
            AddressPool { base: "192.168.0.0/16".parse().unwrap(), size: 24 },
        ];
        let free = |taken: &[&str]| {
            let taken: Vec<IpNet> = taken.iter().map(|net| net.parse().unwrap()).collect();
            free_subnet(&pools, &taken).map(|net| net.to_string()).map_err(|error| error.to_string())
        };
        assert_eq!(free(&[]).unwrap(), "172.16.0.0/24");
        assert_eq!(free(&["172.16.0.7/32"]).unwrap(), "172.16.1.0/24");
        assert_eq!(free(&["172.16.0.0/16", "172.17.0.0/24"]).unwrap(), "172.17.1.0/24");
        assert_eq!(free(&["172.0.0.0/8", "fd00::/8"]).unwrap(), "192.168.0.0/24");
        assert_eq!(
            free(&["128.0.0.0/1"]).unwrap_err(),
            "all predefined address pools have been fully subnetted"
        );
    }

    #[test]
    fn unique_local_prefixes_have_64s() {
        let prefix = unique_local();
        assert!(prefix.to_string().starts_with("fd"), "{prefix}");
        let first = free_subnet6(prefix, &[]).unwrap();
        let second = free_subnet6(prefix, &[IpNet::V6(first)]).unwrap();
        assert_ne!(first, second);
        assert_eq!(second.prefix_len(), 64);
        assert_eq!(
            first_host(IpNet::V6(first)),
            IpAddr::V6(Ipv6Addr::from_bits(first.network().to_bits() + 1))
        );
    }
}

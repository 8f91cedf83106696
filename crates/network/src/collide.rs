//! Subnets of ours that the host routes elsewhere: a VPN came up, an administrator added a route. New networks keep clear of
//! routes; one that was there first cannot, so it is named, once for each collision, and given another subnet as soon as
//! that disturbs nobody.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use ipnet::IpNet;

use crate::error::Result;
use crate::options::BridgeOptions;
use crate::{Inner, ipam, lock};

/// A network's subnet, and a route or address of the host that shares addresses with it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Collision {
    /// Id of the network.
    pub network_id: String,
    /// Its name.
    pub network: String,
    /// The subnet of it.
    pub subnet: IpNet,
    /// Where else the host sends some of its addresses.
    pub route: IpNet,
    /// By which link; empty for a route with several.
    pub link: String,
    /// By way of.
    pub gateway: Option<IpAddr>,
    /// Whether the route is at least as narrow: then containers are cut off. Otherwise the network hides a part of what is
    /// behind the route.
    pub cuts_off: bool,
}

impl fmt::Display for Collision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "subnet {} of network {} overlaps with {}", self.subnet, self.network, self.route)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        if !self.link.is_empty() {
            write!(f, " on {}", self.link)?;
        }
        match self.cuts_off {
            true => f.write_str(": the host sends there what is for the containers"),
            false => f.write_str(": the network hides that part of it from this host"),
        }
    }
}

/// Who is told of a collision.
pub(crate) type Tell = Arc<dyn Fn(&Collision) + Send + Sync>;

/// What is known of collisions.
#[derive(Default)]
pub(crate) struct Lookout {
    tell: Mutex<Option<Tell>>,
    known: Mutex<BTreeSet<Collision>>,
}

impl Lookout {
    pub(crate) fn tell(&self, tell: Tell) {
        *lock(&self.tell) = Some(tell);
    }

    /// Whether a network was found to collide.
    pub(crate) fn knows(&self, network_id: &str) -> bool {
        lock(&self.known).iter().any(|collision| collision.network_id == network_id)
    }
}

impl Inner {
    /// See [`crate::Networks::collisions`].
    pub(crate) fn collisions(&self) -> Result<Vec<Collision>> {
        let networks: Vec<(String, String, String, Vec<IpNet>)> = {
            let state = lock(&self.state);
            let bridged = |network: &crate::NetworkRecord| {
                let subnets = network.pools.iter().map(|pool| pool.subnet).collect();
                let bridge = BridgeOptions::of(network)?.bridge;
                Some((network.id.clone(), network.name.clone(), bridge, subnets))
            };
            state.networks.values().filter_map(bridged).collect()
        };
        let routed = self.host.routed()?;
        let mut found = Vec::new();
        for (id, name, bridge, subnets) in networks {
            for subnet in subnets {
                for other in &routed {
                    if other.link == bridge || !ipam::overlap(&other.subnet, &subnet) {
                        continue;
                    }
                    found.push(Collision {
                        network_id: id.clone(),
                        network: name.clone(),
                        subnet,
                        route: other.subnet,
                        link: other.link.clone(),
                        gateway: other.gateway,
                        cuts_off: !other.outside && other.subnet.prefix_len() >= subnet.prefix_len(),
                    });
                }
            }
        }
        found.sort();
        found.dedup_by(|b, a| {
            (&a.network_id, a.subnet, a.route, &a.link) == (&b.network_id, b.subnet, b.route, &b.link)
        });
        Ok(found)
    }

    /// Looks for collisions after the host's routes changed, and tells of those that are new.
    pub(crate) fn look_after_routes(&self) {
        let Ok(now) = self.collisions() else { return };
        let new: Vec<Collision> = {
            let mut known = lock(&self.lookout.known);
            let new = now.iter().filter(|collision| !known.contains(collision)).cloned().collect();
            *known = now.into_iter().collect();
            new
        };
        let tell = lock(&self.lookout.tell).clone();
        if let Some(tell) = tell {
            new.iter().for_each(|collision| tell(collision));
        }
    }
}

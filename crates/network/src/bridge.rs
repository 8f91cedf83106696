//! Bridge networks on the host: made with the first use, checked once per engine, put right when something turns out missing.

use std::sync::Arc;

use ipnet::IpNet;

use crate::error::Result;
use crate::firewall::{self, Wanted};
use crate::options::BridgeOptions;
use crate::record::{Driver, NetworkRecord, Pool};
use crate::{Inner, ipam, lock};

impl Inner {
    /// Makes what a bridge network needs on the host, unless that was done before; `again` looks again. The bridge's index.
    pub(crate) fn ensure_network(
        &self,
        network: &NetworkRecord,
        options: &BridgeOptions,
        again: bool,
    ) -> Result<u32> {
        let mut bridges = lock(&self.bridges);
        if let Some(index) = bridges.get(&network.id)
            && !again
        {
            return Ok(*index);
        }
        // As it is now: a sandbox in the making may know the network from before its subnet changed.
        let current = lock(&self.state).networks.get(&network.id).cloned();
        let network = current.as_ref().unwrap_or(network);
        if self.config.ip_forward && !network.internal {
            self.host.ensure_forwarding(false)?;
            if network.enable_ipv6 {
                self.host.ensure_forwarding(true)?;
            }
        }
        let index = self.host.ensure_bridge(network, options)?;
        bridges.insert(network.id.clone(), index);
        let elements = firewall::of_network(network);
        lock(&self.firewall).add_network(&options.bridge, &elements, &|| self.wanted())?;
        let names: Vec<String> = lock(&self.state)
            .networks
            .get(&network.id)
            .into_iter()
            .flat_map(|network| network.endpoints.values())
            .map(|endpoint| endpoint.host_ifname.clone())
            .collect();
        self.host.reattach(index, &names)?;
        Ok(index)
    }

    /// Begins to look after the rules, once there is a bridge that needs them.
    pub(crate) fn look_out(self: &Arc<Self>) {
        if !lock(&self.bridges).is_empty() {
            self.watch.start(self);
        }
    }

    /// Puts the rules right after somebody changed any; whether that worked. Why not is reported by the next change of ours.
    pub(crate) fn look_after_rules(&self) -> bool {
        lock(&self.firewall).look_after(&|| self.wanted()).is_ok()
    }

    /// Everything that should be in our table now: of the networks in use, and of every published port.
    pub(crate) fn wanted(&self) -> Wanted {
        let uplinks = self.host.uplinks();
        let state = lock(&self.state);
        let mut wanted = Wanted { elements: firewall::of_uplinks(&uplinks), ..Wanted::default() };
        for network in state.networks.values() {
            if let Some(options) = BridgeOptions::of(network) {
                firewall::merge(&mut wanted.elements, firewall::of_network(network));
                wanted.bridges.push(options.bridge);
            }
        }
        for attachment in state.attachments.values() {
            let name = attachment.endpoints.first().map_or("", |endpoint| endpoint.container_name.as_str());
            for binding in &attachment.bindings {
                firewall::merge(&mut wanted.elements, firewall::of_binding(binding, name));
            }
            for link in &attachment.links {
                firewall::merge(&mut wanted.elements, firewall::of_link(link));
            }
        }
        wanted
    }

    /// Everything that nobody's network may overlap with: what the host uses, what our networks have, and the name servers
    /// that containers will ask.
    pub(crate) fn subnets_taken(&self, but: Option<&str>) -> Result<Vec<IpNet>> {
        let (bridges, mut taken): (Vec<String>, Vec<IpNet>) = {
            let state = lock(&self.state);
            let bridges =
                state.networks.values().filter_map(BridgeOptions::of).map(|options| options.bridge).collect();
            let others = state.networks.values().filter(|network| Some(network.id.as_str()) != but);
            (bridges, others.flat_map(|network| network.pools.iter().map(|pool| pool.subnet)).collect())
        };
        let bridges: Vec<&str> = bridges.iter().map(String::as_str).collect();
        taken.extend(self.host.subnets_in_use(&bridges)?);
        taken.extend(crate::files::nameservers(&crate::files::host_resolv_conf()).map(IpNet::from));
        Ok(taken)
    }

    /// Gives a network other subnets if the host has come to use those that were picked for it, and nobody is in it.
    pub(crate) fn recheck_subnets(&self, network: &NetworkRecord) -> Result<NetworkRecord> {
        let Some(options) = BridgeOptions::of(network) else { return Ok(network.clone()) };
        if network.user_pools || !network.endpoints.is_empty() {
            return Ok(network.clone());
        }
        let made = lock(&self.bridges).contains_key(&network.id) || self.host.has_link(&options.bridge)?;
        // While its bridge is there, changes of the host's routes are noticed as they happen.
        if made && !self.lookout.knows(&network.id) {
            return Ok(network.clone());
        }
        let mut taken = self.subnets_taken(Some(&network.id))?;
        let mut changed = network.clone();
        for pool in &mut changed.pools {
            if !taken.iter().any(|taken| ipam::overlap(taken, &pool.subnet)) {
                continue;
            }
            let subnet = match pool.subnet {
                IpNet::V6(_) => IpNet::V6(ipam::free_subnet6(self.ipv6_prefix()?, &taken)?),
                IpNet::V4(_) if network.is_builtin() => {
                    IpNet::V4(ipam::free_subnet(&ipam::default_bridge_pools(), &taken)?)
                }
                IpNet::V4(_) => IpNet::V4(ipam::free_subnet(&self.config.pools, &taken)?),
            };
            taken.push(subnet);
            *pool = pool_with_gateway(subnet);
        }
        if changed.pools == network.pools {
            return Ok(changed);
        }
        // Warm sandboxes have addresses of before.
        self.pool.drain(&network.id);
        // Nobody makes the bridge with its old addresses meanwhile: it comes back with the new ones.
        let mut bridges = lock(&self.bridges);
        self.folders.save_network(&changed)?;
        let mut state = lock(&self.state);
        state.addresses.forget(&changed.id);
        state.networks.insert(changed.id.clone(), changed.clone());
        drop(state);
        if made {
            bridges.remove(&network.id);
            self.host.delete_link(&options.bridge)?;
        }
        Ok(changed)
    }

    /// The index of the link that a macvlan or ipvlan network lies on, made if it is a VLAN of one that is there.
    pub(crate) fn ensure_parent(&self, network: &NetworkRecord) -> Result<u32> {
        debug_assert!(matches!(network.driver, Driver::Macvlan | Driver::Ipvlan));
        let parent = crate::create::parent_name(network);
        let own = network.options.get("parent").is_none_or(String::is_empty);
        self.host.ensure_parent(&parent, own)
    }
}

/// A subnet with its first address as gateway.
pub(crate) fn pool_with_gateway(subnet: IpNet) -> Pool {
    Pool {
        subnet,
        gateway: Some(ipam::first_host(subnet)),
        ip_range: None,
        auxiliary: std::collections::BTreeMap::new(),
    }
}

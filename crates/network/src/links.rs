//! `--link` on the default bridge while its containers may not talk to each other (`icc` off): a container reaches the exposed
//! ports of those that it is linked to, and answers come back; nobody else does. Ports of such a bridge are isolated from each
//! other, so these packets go by the host, which answers for every address there (`proxy_arp_pvlan`), and by its rules: with
//! br_netfilter or without.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::firewall::{self, Elements};
use crate::options::BridgeOptions;
use crate::publish::Proto;
use crate::record::{Endpoint, NetworkRecord};
use crate::{Inner, lock};

/// A port of another container that a container may reach all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Who asks.
    pub from: Ipv4Addr,
    /// Who answers.
    pub to: Ipv4Addr,
    /// The protocol.
    pub proto: Proto,
    /// The port that is exposed.
    pub port: u16,
}

/// Whether links make a difference in a network.
pub(crate) fn matter_in(network: &NetworkRecord) -> bool {
    network.is_builtin() && BridgeOptions::of(network).is_some_and(|options| !options.icc)
}

impl Inner {
    /// See [`crate::Networks::link`].
    pub(crate) fn link(&self, container_id: &str, exposed: &[(Ipv4Addr, Proto, u16)]) -> Result<()> {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let Some(attachment) = state.attachments.get_mut(container_id) else { return Ok(()) };
        let from = attachment
            .endpoints
            .iter()
            .filter(|endpoint| state.networks.get(&endpoint.network_id).is_some_and(matter_in))
            .find_map(|endpoint| endpoint.ip);
        let links: Vec<Link> = from
            .into_iter()
            .flat_map(|from| exposed.iter().map(move |&(to, proto, port)| Link { from, to, proto, port }))
            .collect();
        if attachment.links == links {
            return Ok(());
        }
        let old = std::mem::replace(&mut attachment.links, links.clone());
        let attachment = attachment.clone();
        drop(guard);
        self.folders.save_attachment(container_id, &attachment)?;
        let only = |some: &[Link], others: &[Link]| {
            let some: Vec<Link> = some.iter().filter(|link| !others.contains(link)).copied().collect();
            elements(&some)
        };
        let mut firewall = lock(&self.firewall);
        firewall.remove(&only(&old, &links), &|| self.wanted())?;
        firewall.add(&only(&links, &old), &|| self.wanted())
    }

    /// Takes back every link from and to endpoints that are going: their addresses will be others'.
    pub(crate) fn unlink(&self, endpoints: &[Endpoint]) -> Result<()> {
        let gone = self.forget_links(endpoints)?;
        match gone.is_empty() {
            true => Ok(()),
            false => lock(&self.firewall).remove(&elements(&gone), &|| self.wanted()),
        }
    }

    /// The same without the rules; what there was.
    pub(crate) fn forget_links(&self, endpoints: &[Endpoint]) -> Result<Vec<Link>> {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let of_such = |endpoint: &&Endpoint| state.networks.get(&endpoint.network_id).is_some_and(matter_in);
        let leaving: Vec<Ipv4Addr> =
            endpoints.iter().filter(of_such).filter_map(|endpoint| endpoint.ip).collect();
        let (mut gone, mut changed) = (Vec::new(), Vec::new());
        for (container_id, attachment) in &mut state.attachments {
            let is_gone = |link: &Link| leaving.contains(&link.from) || leaving.contains(&link.to);
            let before = gone.len();
            gone.extend(attachment.links.extract_if(.., |link| is_gone(link)));
            if gone.len() > before {
                changed.push((container_id.clone(), attachment.clone()));
            }
        }
        drop(guard);
        for (container_id, attachment) in changed {
            self.folders.save_attachment(&container_id, &attachment)?;
        }
        Ok(gone)
    }
}

fn elements(links: &[Link]) -> Elements {
    let mut elements = Elements::new();
    for link in links {
        firewall::merge(&mut elements, firewall::of_link(link));
    }
    elements
}

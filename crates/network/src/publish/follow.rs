//! Published ports of a container that joins or leaves networks while it runs: they lead to it by the endpoint of its default
//! route, as at the start. The host's ports stay the same and stay held.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Binding;
use crate::error::Result;
use crate::firewall::{self, Elements};
use crate::record::Endpoint;
use crate::{Inner, endpoint, lock};

impl Inner {
    /// Lets a container's ports lead to where its default route begins now; nowhere, where it has none any more.
    pub(crate) fn follow_gateway(&self, container_id: &str) -> Result<()> {
        let mut state = lock(&self.state);
        let Some(attachment) = state.attachments.get_mut(container_id) else { return Ok(()) };
        let endpoint = endpoint::gateway_endpoint(&attachment.endpoints).cloned();
        // Where nothing is translated, or was not, ports are a matter of the network that they were opened in.
        let moved: Vec<Binding> = attachment
            .bindings
            .iter()
            .map(|binding| if binding.routed { *binding } else { lead(*binding, endpoint.as_ref()) })
            .collect();
        let old = std::mem::replace(&mut attachment.bindings, moved.clone());
        if old == moved {
            return Ok(());
        }
        let attachment = attachment.clone();
        drop(state);
        self.folders.save_attachment(container_id, &attachment)?;
        let name = endpoint.as_ref().map_or("", |endpoint| endpoint.container_name.as_str());
        let elements = |bindings: &[Binding]| {
            let mut elements = Elements::new();
            for binding in bindings {
                firewall::merge(&mut elements, firewall::of_binding(binding, name));
            }
            elements
        };
        if let Some(endpoint) = &endpoint {
            self.hairpin(endpoint)?;
        }
        let mut firewall = lock(&self.firewall);
        // An element with another value is refused while the old one is there.
        firewall.remove(&elements(&old), &|| self.wanted())?;
        firewall.add(&elements(&moved), &|| self.wanted())
    }
}

/// The binding with an endpoint's addresses in place of those it has.
fn lead(binding: Binding, endpoint: Option<&Endpoint>) -> Binding {
    let ipv4 = endpoint.and_then(|endpoint| endpoint.ip).map(IpAddr::V4);
    let ipv6 = endpoint.and_then(|endpoint| endpoint.ipv6).map(IpAddr::V6);
    let (target, other) = if binding.host_ip.is_ipv4() { (ipv4, ipv6) } else { (ipv6, ipv4) };
    let relay = target.or(other).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    Binding { target, relay: SocketAddr::new(relay, binding.container_port), ..binding }
}

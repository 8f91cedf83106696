//! Publishing: pick host ports, hold them with sockets, write the bindings down, add them to the rules. All of a container's ports
//! or none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use netlink::route::{Batch, LinkChange, LinkRef};
use rustix::io::Errno;

use super::bind::{bind, port_of};
use super::{Binding, PortSpec, Proto, Published, RelaySpec};
use crate::error::{Error, Result};
use crate::firewall::{self, Elements};
use crate::options::{BridgeOptions, GatewayMode};
use crate::record::Endpoint;
use crate::{Inner, lock};

/// Where random ports come from when the kernel does not pick them.
const RANDOM: (u16, u16) = (32_768, 60_999);
/// Random ports are tried again this often when a family lacks what another has free.
const RANDOM_ATTEMPTS: usize = 16;

/// Why a port cannot be had.
enum Refusal {
    /// Another container of ours has it.
    Allocated,
    /// The kernel says no.
    Kernel(Errno),
}

/// A host port and the sockets that hold it, one an address (none where rules alone serve the protocol).
type Held = (u16, Vec<Option<OwnedFd>>);

impl Inner {
    /// See [`crate::Networks::publish`].
    pub(crate) fn publish(&self, ports: &[PortSpec], endpoint: &Endpoint) -> Result<Published> {
        let mut published = Published::default();
        let options = lock(&self.state).networks.get(&endpoint.network_id).and_then(BridgeOptions::of);
        for port in ports {
            self.hold(port, endpoint, options.as_ref(), &mut published).map_err(|error| {
                error.context(format!(
                    "driver failed programming external connectivity on endpoint {} ({})",
                    endpoint.container_name, endpoint.endpoint_id
                ))
            })?;
        }
        let mut elements = Elements::new();
        for binding in &published.bindings {
            firewall::merge(&mut elements, firewall::of_binding(binding, &endpoint.container_name));
        }
        self.note(endpoint, &published.bindings)?;
        let result = self.hairpin(endpoint).and_then(|()| match elements.is_empty() {
            true => Ok(()),
            false => lock(&self.firewall).add(&elements, &|| self.wanted()),
        });
        if let Err(error) = result {
            self.forget_bindings(endpoint, &published.bindings);
            return Err(error);
        }
        Ok(published)
    }

    /// Lets a container reach itself by the host's address also where bridges are filtered like routers (br_netfilter): there
    /// the translated packet goes back out of the port of the bridge by which it came.
    pub(super) fn hairpin(&self, endpoint: &Endpoint) -> Result<()> {
        if endpoint.host_ifname.is_empty() {
            return Ok(());
        }
        self.host.with(|route| {
            let mut batch = Batch::new();
            let change = LinkChange { hairpin: Some(true), ..LinkChange::default() };
            batch.set_link(LinkRef::Name(&endpoint.host_ifname), &change);
            Ok(route.run(batch)?)
        })
    }

    /// Binds one asked-for port on each address that it is for.
    fn hold(
        &self,
        port: &PortSpec,
        endpoint: &Endpoint,
        options: Option<&BridgeOptions>,
        published: &mut Published,
    ) -> Result<()> {
        if port.proto == Proto::Sctp && self.home.is_apart() {
            return Err(Error::invalid(format!(
                "port {}/sctp cannot be published without root: SCTP is not relayed",
                port.container_port
            )));
        }
        let addresses = self.addresses(port, options);
        let mut held = Vec::new();
        let mut open = Vec::new();
        for address in addresses {
            let mode = options.map(|options| if address.is_ipv4() { options.mode4 } else { options.mode6 });
            let inside =
                if address.is_ipv4() { endpoint.ip.map(IpAddr::V4) } else { endpoint.ipv6.map(IpAddr::V6) };
            match (mode, inside) {
                (Some(GatewayMode::Routed), Some(inside)) => open.push((address, inside)),
                // No such addresses inside, and nothing that a relay on the host could reach instead.
                (_, None) if endpoint.ip.is_none() && endpoint.ipv6.is_none() => {}
                _ => held.push(address),
            }
        }
        for (address, inside) in open {
            published.bindings.push(Binding {
                host_ip: address,
                host_port: 0,
                container_port: port.container_port,
                proto: port.proto,
                target: Some(inside),
                relay: SocketAddr::new(inside, port.container_port),
                routed: true,
            });
        }
        if held.is_empty() {
            return Ok(());
        }
        let (host_port, sockets) = self.pick(port, &held, &published.bindings, endpoint)?;
        for (address, socket) in held.into_iter().zip(sockets) {
            let Some(socket) = socket else {
                if port.host_ip.is_some() && port.proto != Proto::Sctp {
                    return Err(refused(
                        address,
                        host_port,
                        port,
                        endpoint,
                        &Refusal::Kernel(Errno::AFNOSUPPORT),
                    ));
                }
                if port.proto == Proto::Sctp {
                    published.bindings.extend(binding(address, host_port, port, endpoint));
                }
                continue;
            };
            let Some(binding) = binding(address, host_port, port, endpoint) else { continue };
            published.bindings.push(binding);
            if port.proto != Proto::Sctp {
                let relay =
                    RelaySpec { socket: published.sockets.len(), proto: port.proto, target: binding.relay };
                published.relays.push(relay);
            }
            published.sockets.push(socket);
        }
        Ok(())
    }

    /// The host addresses that a port is for.
    fn addresses(&self, port: &PortSpec, options: Option<&BridgeOptions>) -> Vec<IpAddr> {
        let default = options.and_then(|options| options.host_binding).unwrap_or(self.config.publish_address);
        match port.host_ip {
            Some(address) => vec![address],
            None if default == IpAddr::V4(Ipv4Addr::UNSPECIFIED) => {
                vec![default, IpAddr::V6(Ipv6Addr::UNSPECIFIED)]
            }
            None => vec![default],
        }
    }

    /// A host port that is free on every address, with the sockets that hold it.
    fn pick(
        &self,
        port: &PortSpec,
        addresses: &[IpAddr],
        mine: &[Binding],
        endpoint: &Endpoint,
    ) -> Result<Held> {
        let (first, last) = port.host_ports;
        let candidates: Vec<u16> = match (first, last) {
            // No socket may hold these, so that nobody picks one.
            (0, 0) if port.proto == Proto::Sctp => (0..RANDOM_ATTEMPTS).map(|_| random_port()).collect(),
            (0, 0) => vec![0; RANDOM_ATTEMPTS],
            (first, last) => (first..=last.max(first)).collect(),
        };
        let mut refusal = None;
        for candidate in candidates {
            match self.try_hold(port.proto, addresses, candidate, mine) {
                Ok(held) => return Ok(held),
                Err((address, reason)) => {
                    // Of a range the first refusal says most; later ports were only tried because of it.
                    refusal.get_or_insert((address, candidate, reason));
                }
            }
        }
        let (address, host_port, reason) = refusal.ok_or_else(|| Error::invalid("no host port to try"))?;
        Err(refused(address, host_port, port, endpoint, &reason))
    }

    fn try_hold(
        &self,
        proto: Proto,
        addresses: &[IpAddr],
        candidate: u16,
        mine: &[Binding],
    ) -> std::result::Result<Held, (IpAddr, Refusal)> {
        let mut host_port = candidate;
        let mut sockets = Vec::new();
        for address in addresses {
            let fail = |refusal| (*address, refusal);
            if self.is_allocated(proto, *address, host_port, mine) {
                return Err(fail(Refusal::Allocated));
            }
            let socket = bind(proto, *address, host_port).map_err(|errno| fail(Refusal::Kernel(errno)))?;
            if host_port == 0
                && let Some(socket) = &socket
            {
                // What the kernel picked from net.ipv4.ip_local_port_range; the other family takes the same.
                host_port = port_of(socket).map_err(|errno| fail(Refusal::Kernel(errno)))?;
            }
            sockets.push(socket);
        }
        Ok((host_port, sockets))
    }

    /// Whether a container of ours has the port on this address.
    fn is_allocated(&self, proto: Proto, address: IpAddr, port: u16, mine: &[Binding]) -> bool {
        let taken = |binding: &Binding| {
            !binding.routed
                && binding.proto == proto
                && binding.host_port == port
                && binding.host_ip.is_ipv4() == address.is_ipv4()
                && (binding.host_ip == address
                    || binding.host_ip.is_unspecified()
                    || address.is_unspecified())
        };
        if port == 0 {
            return false;
        }
        let state = lock(&self.state);
        mine.iter().any(taken)
            || state.attachments.values().any(|attachment| attachment.bindings.iter().any(taken))
    }

    /// Writes bindings down, in memory and in the container's file.
    fn note(&self, endpoint: &Endpoint, bindings: &[Binding]) -> Result<()> {
        let mut state = lock(&self.state);
        let attachment = state.attachments.entry(endpoint.container_id.clone()).or_default();
        attachment.bindings.extend_from_slice(bindings);
        let attachment = attachment.clone();
        drop(state);
        self.folders.save_attachment(&endpoint.container_id, &attachment)
    }

    fn forget_bindings(&self, endpoint: &Endpoint, bindings: &[Binding]) {
        let mut state = lock(&self.state);
        let Some(attachment) = state.attachments.get_mut(&endpoint.container_id) else { return };
        attachment.bindings.retain(|binding| !bindings.contains(binding));
        let attachment = attachment.clone();
        drop(state);
        let _ = self.folders.save_attachment(&endpoint.container_id, &attachment);
    }
}

fn random_port() -> u16 {
    let mut bytes = [0; 2];
    crate::random::fill(&mut bytes);
    let (first, last) = RANDOM;
    first + u16::from_ne_bytes(bytes) % (last - first + 1)
}

/// Where a host address leads; None where the container has no address at all.
fn binding(address: IpAddr, host_port: u16, port: &PortSpec, endpoint: &Endpoint) -> Option<Binding> {
    let (ipv4, ipv6) = (endpoint.ip.map(IpAddr::V4), endpoint.ipv6.map(IpAddr::V6));
    // Rules translate within a family; a relay can change it.
    let (target, other) = if address.is_ipv4() { (ipv4, ipv6) } else { (ipv6, ipv4) };
    let target_address = target.or(other)?;
    Some(Binding {
        host_ip: address,
        host_port,
        container_port: port.container_port,
        proto: port.proto,
        target,
        relay: SocketAddr::new(target_address, port.container_port),
        routed: false,
    })
}

/// That a port is root's, as rootless Docker says it. Root is refused too where it has no such right.
fn privileged(port: u16) -> String {
    const SETTING: &str = "net.ipv4.ip_unprivileged_port_start";
    let start = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    let start = start.trim().parse().unwrap_or(1024);
    if port >= start {
        return "permission denied".to_owned();
    }
    format!(
        "cannot expose privileged port {port}, you can add '{SETTING}={port}' to /etc/sysctl.conf (currently {start}), or choose a \
         larger port number (>= {start}): permission denied"
    )
}

fn refused(
    address: IpAddr,
    host_port: u16,
    port: &PortSpec,
    endpoint: &Endpoint,
    refusal: &Refusal,
) -> Error {
    let at = SocketAddr::new(address, host_port);
    match refusal {
        Refusal::Allocated => Error::internal(format!("Bind for {at} failed: port is already allocated")),
        Refusal::Kernel(errno) => {
            let reason = match *errno {
                Errno::ADDRINUSE => "address already in use".to_owned(),
                Errno::ADDRNOTAVAIL => "cannot assign requested address".to_owned(),
                Errno::ACCESS => privileged(host_port),
                errno => errno.to_string().to_lowercase(),
            };
            let target = match binding(address, host_port, port, endpoint) {
                Some(binding) => format!(":{}", binding.relay),
                None => String::new(),
            };
            let docker = format!("failed to bind host port for {at}{target}/{}: {reason}", port.proto);
            match *errno {
                // Clients look for one text or the other, whoever has the port.
                Errno::ADDRINUSE => {
                    Error::internal(format!("Bind for {at} failed: port is already allocated: {docker}"))
                }
                _ => Error::internal(docker),
            }
        }
    }
}

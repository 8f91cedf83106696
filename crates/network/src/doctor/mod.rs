//! `network doctor`: for every published port, who can reach it and what decides. Nothing is assumed about the rules: they are read
//! from the kernel as they are now, everybody's, and a connection from each kind of client is followed through them
//! ([`way`]), rule by rule ([`evaluate`]). What is not understood is said to be so.

mod apart;
mod evaluate;
mod findings;
mod host;
mod packet;
mod rules;
mod sockets;
mod text;
mod way;
mod xt;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

pub use findings::{Finding, Level};
pub use way::{How, Reached, Verdict};

use crate::error::Result;
use crate::options::BridgeOptions;
use crate::publish::{Binding, PortSpec};
use crate::record::{Endpoint, NetworkRecord};
use crate::{Inner, lock};
use evaluate::Follower;
use host::Ground;
use rules::Rules;
use sockets::Listening;
use way::Client;

/// Somebody far away: addresses for documentation (RFC 5737, RFC 3849), which no host has.
const FAR4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 77));
const FAR6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x77));

/// What is to be looked at.
#[derive(Debug, Clone, Default)]
pub struct Examination {
    /// A client to follow besides the usual ones.
    pub from: Option<IpAddr>,
    /// The first process of each running container, by container id.
    pub processes: BTreeMap<String, u32>,
    /// Ports that containers which do not run ask for, with their names.
    pub waiting: Vec<(String, PortSpec)>,
}

/// Everything that was found out.
#[derive(Debug, Clone, Default)]
pub struct Diagnosis {
    /// About the host and its networks.
    pub findings: Vec<Finding>,
    /// About each published port, by container.
    pub ports: Vec<Port>,
}

/// One address and port of the host that leads to a container.
#[derive(Debug, Clone)]
pub struct Port {
    /// The container's id.
    pub container_id: String,
    /// Its name.
    pub container: String,
    /// The network by which it is reached.
    pub network: String,
    /// The port.
    pub binding: Binding,
    /// Who reaches it.
    pub clients: Vec<Reach>,
}

/// A kind of client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Hosts in the subnet of a link.
    Near(String),
    /// Hosts beyond, whose packets come by a link.
    Far(String),
    /// Both of them.
    Hosts(String),
    /// The client that was asked for.
    Asked(IpAddr),
    /// This host itself.
    This,
    /// Containers of a network.
    Containers(String),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Near(link) => write!(f, "hosts in the subnet of {link}"),
            Self::Far(link) => write!(f, "hosts beyond {link}"),
            Self::Hosts(link) => write!(f, "other hosts by {link}"),
            Self::Asked(address) => write!(f, "{address}"),
            Self::This => f.write_str("this host"),
            Self::Containers(network) => write!(f, "containers of {network}"),
        }
    }
}

/// What a kind of client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Who.
    pub who: Who,
    /// The address of the host that is connected to.
    pub to: IpAddr,
    /// Whether, how, and what decides.
    pub verdict: Verdict,
}

impl Inner {
    /// See [`crate::Networks::diagnose`].
    pub(crate) fn diagnose(&self, examination: &Examination) -> Result<Diagnosis> {
        if self.home.is_apart() {
            return self.diagnose_apart(examination);
        }
        let (mut rules, mut ground) = (Rules::read()?, Ground::read()?);
        let (networks, attachments) = {
            let state = lock(&self.state);
            (state.networks.clone(), state.attachments.clone())
        };
        let bridges: Vec<(NetworkRecord, String)> = networks
            .values()
            .filter_map(|network| Some((network.clone(), BridgeOptions::of(network)?.bridge)))
            .collect();
        let mut diagnosis =
            Diagnosis { findings: self.findings(examination, &rules, &ground), ports: Vec::new() };
        let legacy = findings::legacy_filter();
        for (id, attachment) in &attachments {
            let Some(endpoint) = crate::gateway_endpoint(&attachment.endpoints) else { continue };
            let bridge = bridges.iter().find(|(network, _)| network.id == endpoint.network_id);
            for binding in &attachment.bindings {
                let mut house = House {
                    follower: Follower::new(&mut rules, &mut ground),
                    bridges: &bridges,
                    bridge: bridge.map_or("", |(_, bridge)| bridge),
                    endpoint,
                };
                let mut clients = house.clients(binding, examination.from);
                let problem = match examination.processes.get(id) {
                    Some(process) => unheard(*process, binding, endpoint),
                    None => None,
                };
                for reach in &mut clients {
                    if let (Reached::Yes, Some(verdict)) =
                        (reach.verdict.reached, problem.as_ref().or(legacy.as_ref()))
                    {
                        reach.verdict = verdict.clone();
                    }
                }
                diagnosis.ports.push(Port {
                    container_id: id.clone(),
                    container: endpoint.container_name.clone(),
                    network: endpoint.network_name.clone(),
                    binding: *binding,
                    clients,
                });
            }
        }
        diagnosis.ports.sort_by(|a, b| (&a.container, a.binding).cmp(&(&b.container, b.binding)));
        Ok(diagnosis)
    }
}

/// That nobody in the container takes what arrives.
fn unheard(process: u32, binding: &Binding, endpoint: &Endpoint) -> Option<Verdict> {
    let listeners = sockets::of(&process.to_string(), binding.proto)?;
    let at = match binding.target {
        Some(target) => SocketAddr::new(target, binding.container_port),
        None => binding.relay,
    };
    let (port, name) = (format!("{}/{}", binding.container_port, binding.proto), &endpoint.container_name);
    match sockets::listening(&listeners, at) {
        Listening::Yes => None,
        Listening::Elsewhere(address) => Some(Verdict::no(
            format!("the program in {name} listens on {address} only"),
            format!("make it listen on 0.0.0.0 or {}", at.ip()),
        )),
        Listening::No => Some(Verdict::no(
            format!("nothing in {name} listens on port {port}"),
            "start the program, or publish the port that it listens on".to_owned(),
        )),
    }
}

/// A port's surroundings.
struct House<'a> {
    follower: Follower<'a>,
    bridges: &'a [(NetworkRecord, String)],
    /// The link to the container.
    bridge: &'a str,
    endpoint: &'a Endpoint,
}

impl House<'_> {
    fn clients(&mut self, binding: &Binding, from: Option<IpAddr>) -> Vec<Reach> {
        let ipv6 = binding.host_ip.is_ipv6();
        let mut found = Vec::new();
        if let Some(from) = from.filter(|from| from.is_ipv6() == ipv6) {
            let link = self.follower.ground.link_to(from);
            let to = self.address_on(binding, &link);
            found.extend(
                to.map(|to| self.reach(Who::Asked(from), Client { address: from, link }, to, binding)),
            );
        }
        for (link, near) in self.uplinks(ipv6) {
            let Some(to) = self.address_on(binding, &link) else { continue };
            found.extend(self.others(&link, near, to, binding));
        }
        if binding.host_ip.is_loopback() {
            let verdict = Verdict::no(
                format!("it is published on {} alone", binding.host_ip),
                "publish it without that address if others are to reach it",
            );
            found.push(Reach { who: Who::Hosts("any link".to_owned()), to: binding.host_ip, verdict });
        }
        for to in self.own_addresses(binding) {
            let source = self.follower.ground.way(to).and_then(|way| way.source).unwrap_or(to);
            let client = Client { address: if to.is_loopback() { to } else { source }, link: String::new() };
            found.push(self.reach(Who::This, client, to, binding));
        }
        for (network, bridge) in self.bridges {
            found.extend(self.containers(network, bridge, binding));
        }
        found
    }

    /// Hosts in the subnet of a link and beyond it; as one where they get the same.
    fn others(&mut self, link: &str, near: Option<IpAddr>, to: IpAddr, binding: &Binding) -> Vec<Reach> {
        let far = if to.is_ipv4() { FAR4 } else { FAR6 };
        let far = (self.follower.ground.link_to(far) == link).then_some(far);
        let mut from =
            |who: Who, address| self.reach(who, Client { address, link: link.to_owned() }, to, binding);
        let near = near.map(|near| from(Who::Near(link.to_owned()), near));
        let far = far.map(|far| from(Who::Far(link.to_owned()), far));
        match (near, far) {
            (Some(near), Some(far)) if near.verdict == far.verdict => {
                vec![Reach { who: Who::Hosts(link.to_owned()), ..near }]
            }
            (near, far) => near.into_iter().chain(far).collect(),
        }
    }

    /// Containers of a network, by the address of the host that they know.
    fn containers(&mut self, network: &NetworkRecord, bridge: &str, binding: &Binding) -> Option<Reach> {
        let ipv6 = binding.host_ip.is_ipv6();
        if network.internal || binding.host_ip.is_loopback() {
            return None;
        }
        let others =
            network.endpoints.values().filter(|other| other.container_id != self.endpoint.container_id);
        let address = others
            .filter_map(|other| if ipv6 { other.ipv6.map(IpAddr::V6) } else { other.ip.map(IpAddr::V4) })
            .next()
            .or_else(|| self.spare(network, ipv6))?;
        let gateway =
            network.pools.iter().filter_map(|pool| pool.gateway).find(|gateway| gateway.is_ipv6() == ipv6);
        let to = match binding {
            Binding { routed: true, target: Some(target), .. } => *target,
            Binding { host_ip, .. } if !host_ip.is_unspecified() => *host_ip,
            _ => gateway?,
        };
        let client = Client { address, link: bridge.to_owned() };
        Some(self.reach(Who::Containers(network.name.clone()), client, to, binding))
    }

    /// An address that a container of the network could have.
    fn spare(&self, network: &NetworkRecord, ipv6: bool) -> Option<IpAddr> {
        let own = [self.endpoint.ip.map(IpAddr::V4), self.endpoint.ipv6.map(IpAddr::V6)];
        let pool = network.pools.iter().find(|pool| pool.subnet.addr().is_ipv6() == ipv6)?;
        pool.subnet.hosts().take(8).find(|host| Some(*host) != pool.gateway && !own.contains(&Some(*host)))
    }

    fn reach(&mut self, who: Who, client: Client, to: IpAddr, binding: &Binding) -> Reach {
        let to = match binding {
            Binding { routed: true, target: Some(target), .. } => *target,
            _ => to,
        };
        let verdict = way::follow(&mut self.follower, &client, to, binding, self.bridge);
        Reach { who, to, verdict }
    }

    /// Links to other hosts, each with an address that a neighbour could have.
    fn uplinks(&self, ipv6: bool) -> Vec<(String, Option<IpAddr>)> {
        let mut found: Vec<(String, Option<IpAddr>)> = Vec::new();
        for (link, net) in &self.follower.ground.addresses {
            let ours = link == "lo" || self.bridges.iter().any(|(_, bridge)| bridge == link);
            if ours
                || net.addr().is_ipv6() != ipv6
                || is_link_local(net)
                || found.iter().any(|(known, _)| known == link)
            {
                continue;
            }
            let near = net.trunc().hosts().take(8).find(|host| !self.follower.ground.is_local(*host));
            found.push((link.clone(), near));
        }
        found
    }

    /// The address by which a port is reached over a link; none where it is published on others.
    fn address_on(&self, binding: &Binding, link: &str) -> Option<IpAddr> {
        let fits = |net: &IpNet| match binding.host_ip.is_unspecified() {
            true => net.addr().is_ipv6() == binding.host_ip.is_ipv6() && !is_link_local(net),
            false => net.addr() == binding.host_ip,
        };
        let mut addresses = self.follower.ground.addresses.iter();
        addresses.find(|(on, net)| on == link && fits(net)).map(|(_, net)| net.addr())
    }

    /// The addresses that the host itself connects to.
    fn own_addresses(&self, binding: &Binding) -> Vec<IpAddr> {
        if !binding.host_ip.is_unspecified() {
            return vec![binding.host_ip];
        }
        let loopback: IpAddr = match binding.host_ip {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        let uplinks = self.uplinks(binding.host_ip.is_ipv6());
        let outer = uplinks.iter().find_map(|(link, _)| self.address_on(binding, link));
        if binding.routed {
            outer.into_iter().collect()
        } else {
            std::iter::once(loopback).chain(outer).collect()
        }
    }
}

fn is_link_local(net: &IpNet) -> bool {
    match net.addr() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

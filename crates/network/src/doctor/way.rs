//! The whole way of a connection to a published port and of its first answer: the hooks in their order, the routing in between,
//! the relay where nothing is translated. Where it ends says whether the port is reached, and what decided.

use std::net::IpAddr;

use super::evaluate::{FORWARD, Follower, INPUT, OUTPUT, Outcome, POSTROUTING, PREROUTING};
use super::host::Ground;
use super::packet::Packet;
use crate::publish::{Binding, Proto};

/// Whether a client reaches a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Something decides that is not understood here.
    Unknown,
}

/// How it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// nftables sends it to the container.
    Translated,
    /// The container's monitor passes it on.
    Relayed,
    /// By the container's own address.
    Routed,
}

/// What was found out about one kind of client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether.
    pub reached: Reached,
    /// How, where it is reached.
    pub how: Option<How>,
    /// What decided that it is not, or might not be.
    pub decided_by: Option<String>,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Verdict {
    fn yes(how: How) -> Self {
        Self { reached: Reached::Yes, how: Some(how), decided_by: None, advice: None }
    }

    pub(super) fn no(decided_by: impl Into<String>, advice: impl Into<String>) -> Self {
        let (decided_by, advice) = (Some(decided_by.into()), Some(advice.into()));
        Self { reached: Reached::No, how: None, decided_by, advice }
    }
}

/// Whose connection it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Client {
    pub address: IpAddr,
    /// The link that its packets arrive by; empty for the host itself.
    pub link: String,
}

/// Follows a connection from a client to an address of the host and a binding's port. `bridge` is the link to the container.
pub(super) fn follow(
    follower: &mut Follower<'_>,
    client: &Client,
    to: IpAddr,
    binding: &Binding,
    bridge: &str,
) -> Verdict {
    match try_follow(follower, client, to, binding, bridge) {
        Ok(how) => Verdict::yes(how),
        Err(verdict) => *verdict,
    }
}

type Step<T> = Result<T, Box<Verdict>>;

fn no<T>(decided_by: impl Into<String>, advice: impl Into<String>) -> Step<T> {
    Err(Box::new(Verdict::no(decided_by, advice)))
}

fn try_follow(
    follower: &mut Follower<'_>,
    client: &Client,
    to: IpAddr,
    binding: &Binding,
    bridge: &str,
) -> Step<How> {
    let port = if binding.routed { binding.container_port } else { binding.host_port };
    let mut packet = Packet::first(client.address, to, binding.proto.number(), port);
    let own = client.link.is_empty();
    if own {
        packet.oif = follower.ground.link_to(to);
        hook(follower, OUTPUT, &mut packet)?;
    } else {
        packet.iif.clone_from(&client.link);
        comes_in(follower, client, to)?;
        hook(follower, PREROUTING, &mut packet)?;
    }
    if follower.ground.is_local(packet.destination) {
        packet.iif = if own { "lo".to_owned() } else { client.link.clone() };
        packet.oif.clear();
        hook(follower, INPUT, &mut packet)?;
        return relayed(follower, &packet, binding, bridge);
    }
    packet.oif = way_to_container(follower, packet.destination, bridge)?;
    if own {
        leaves_loopback(&packet)?;
    } else {
        forwards(&packet)?;
        hook(follower, FORWARD, &mut packet)?;
    }
    hook(follower, POSTROUTING, &mut packet)?;
    answered(follower, &packet, own)?;
    Ok(if packet.translated { How::Translated } else { How::Routed })
}

/// A connection that arrived at the socket that holds the port, and the one that the monitor makes for it.
fn relayed(follower: &mut Follower<'_>, packet: &Packet, binding: &Binding, bridge: &str) -> Step<How> {
    if binding.routed {
        return no(
            "the network is routed: the host's own addresses lead nowhere",
            "use the container's address",
        );
    }
    if packet.destination_port != Some(binding.host_port) || binding.proto == Proto::Sctp {
        return no(
            format!("nothing translates connections to {}", packet.original),
            "restart the engine, which puts its table back; SCTP is served by translation alone",
        );
    }
    let target = binding.relay;
    if target.ip().is_unspecified() {
        return no(
            "the container is in no network with a way out",
            "connect it to one: naru network connect",
        );
    }
    let source = follower.ground.way(target.ip()).and_then(|way| way.source).unwrap_or(target.ip());
    let mut inner = Packet::first(source, target.ip(), binding.proto.number(), target.port());
    inner.oif = way_to_container(follower, target.ip(), bridge)?;
    hook(follower, OUTPUT, &mut inner)?;
    hook(follower, POSTROUTING, &mut inner)?;
    answered(follower, &inner, true)?;
    Ok(How::Relayed)
}

/// The answer's way back through the filters.
fn answered(follower: &mut Follower<'_>, packet: &Packet, own: bool) -> Step<()> {
    let mut answer = packet.answer();
    let by = std::mem::take(&mut answer.oif);
    // To whom the container knows; translated back on the way.
    answer.destination = packet.shown.unwrap_or(packet.source);
    hook(follower, PREROUTING, &mut answer)?;
    answer.destination = packet.source;
    if own {
        return hook(follower, INPUT, &mut answer);
    }
    answer.oif = by;
    hook(follower, FORWARD, &mut answer)?;
    hook(follower, POSTROUTING, &mut answer)
}

fn hook(follower: &mut Follower<'_>, hook: u32, packet: &mut Packet) -> Step<()> {
    match follower.pass(hook, packet) {
        Outcome::Passed => Ok(()),
        Outcome::Dropped(rule) => {
            let what = if packet.answer { "the container's answer" } else { "the connection" };
            no(format!("{rule} drops {what}"), format!("let it pass there: {}", opening(hook, packet)))
        }
        Outcome::Unclear(rule) => Err(Box::new(Verdict {
            reached: Reached::Unknown,
            how: None,
            decided_by: Some(format!("can't tell what becomes of it at {rule}")),
            advice: Some("look at that rule, or try a connection".to_owned()),
        })),
    }
}

/// What an administrator could accept.
fn opening(hook: u32, packet: &Packet) -> String {
    let mut parts = Vec::new();
    if !packet.iif.is_empty() {
        parts.push(format!("iifname \"{}\"", packet.iif));
    }
    if !packet.oif.is_empty() && hook != OUTPUT {
        parts.push(format!("oifname \"{}\"", packet.oif));
    }
    if packet.answer {
        parts.push("ct state established".to_owned());
    } else if let Some(port) = packet.destination_port {
        let proto =
            [(6, "tcp"), (17, "udp"), (132, "sctp")].into_iter().find(|(number, _)| *number == packet.proto);
        parts.push(format!("{} dport {port}", proto.map_or("th", |(_, name)| name)));
    }
    parts.push("accept".to_owned());
    parts.join(" ")
}

/// What the kernel looks at before any rule's translation counts: where the client's packets should come from.
fn comes_in(follower: &mut Follower<'_>, client: &Client, to: IpAddr) -> Step<()> {
    if to.is_loopback() {
        return no("the host's loopback is the host's alone", "publish the port on another address");
    }
    if client.address.is_ipv6() {
        return Ok(());
    }
    let setting = |link: &str| Ground::setting(false, link, "rp_filter").unwrap_or(0);
    let filter = setting("all").max(setting(&client.link));
    let back = follower.ground.link_to(client.address);
    match filter {
        1 if back != client.link => no(
            format!(
                "rp_filter of {}: answers to {} would leave by {}",
                client.link,
                client.address,
                if back.is_empty() { "no link" } else { &back }
            ),
            format!(
                "correct the route to {}, or set net.ipv4.conf.{}.rp_filter to 2",
                client.address, client.link
            ),
        ),
        2 if back.is_empty() => no(
            format!("rp_filter of {}: there is no route to {}", client.link, client.address),
            "add a route to the client",
        ),
        _ if back.is_empty() => {
            no(format!("there is no route to {}", client.address), "add a route to the client")
        }
        _ => Ok(()),
    }
}

/// The link to the container, which must be its network's.
fn way_to_container(follower: &mut Follower<'_>, target: IpAddr, bridge: &str) -> Step<String> {
    let link = follower.ground.link_to(target);
    if link == bridge || bridge.is_empty() {
        return Ok(link);
    }
    no(
        format!(
            "the host sends packets for {target} by {}, not to the network's {bridge}",
            if link.is_empty() { "no link" } else { &link }
        ),
        "remove that route, or make the network anew with another subnet",
    )
}

fn forwards(packet: &Packet) -> Step<()> {
    let ipv6 = packet.destination.is_ipv6();
    // IPv6 has one switch for all links; that of a link is about something else.
    let (name, link) = if ipv6 { ("ipv6", "all") } else { ("ipv4", packet.iif.as_str()) };
    match Ground::setting(ipv6, link, "forwarding") {
        Some(0) => no(
            format!("net.{name}.conf.{link}.forwarding is 0: nothing is forwarded from {}", packet.iif),
            format!("set net.{name}.conf.{link}.forwarding to 1"),
        ),
        _ => Ok(()),
    }
}

/// Connections from 127.0.0.1 leave the loopback for a container.
fn leaves_loopback(packet: &Packet) -> Step<()> {
    let routes = |link: &str| Ground::setting(false, link, "route_localnet") == Some(1);
    if packet.source.is_loopback() && packet.source.is_ipv4() && !routes("all") && !routes(&packet.oif) {
        return no(
            format!("net.ipv4.conf.{}.route_localnet is 0", packet.oif),
            format!("set net.ipv4.conf.{}.route_localnet to 1", packet.oif),
        );
    }
    Ok(())
}

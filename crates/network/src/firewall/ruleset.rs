//! The rules of one engine as data: which sets and maps there are, the chains that look into them, and the elements that a
//! network or a published port adds. Pure: what is wanted, not how it gets there.
//!
//! Rules never mention a network or a port: they look into sets, so that a packet costs the same with one container or with a
//! thousand, and publishing a port is one element.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink::nft::{
    BaseChain, Data, Element, Family, Field, Hook, Key, Kind, MapData, Nat, Rule, Set, Transaction, Verdict,
};

use crate::links::Link;
use crate::options::{BridgeOptions, GatewayMode};
use crate::publish::Binding;
use crate::record::NetworkRecord;

use Field::{Dport, Iifname, Ipv4Daddr, Ipv4Saddr, Ipv6Daddr, Ipv6Saddr, L4proto, Oifname};

/// Elements by the set that they belong to.
pub(crate) type Elements = BTreeMap<&'static str, Vec<Element>>;

/// Links of ours.
pub(crate) const BRIDGES: &str = "bridges";
/// Each link of ours with itself: traffic that goes back where it came from.
const SAME: &str = "same_bridge";
/// Those of them whose containers may talk to each other.
const ICC: &str = "icc";
/// Those of them whose containers may not.
const APART: &str = "apart";
/// Who may reach which port of whom all the same: address, address, protocol, port.
const LINKED: &str = "linked";
/// Links with no way to or from anywhere else.
const INTERNAL: &str = "internal";
/// Links that only published ports lead into.
const CLOSED4: &str = "closed4";
const CLOSED6: &str = "closed6";
/// Links whose containers take the host's address when they leave.
const MASQUERADE4: &str = "masquerade4";
const MASQUERADE6: &str = "masquerade6";
/// Links whose containers take a given address of the host.
const SOURCE4: &str = "source4";
/// Host port → container.
const PUBLISH4: &str = "publish4";
const PUBLISH6: &str = "publish6";
/// Host address and port → container.
const PUBLISH4_AT: &str = "publish4_at";
const PUBLISH6_AT: &str = "publish6_at";
/// Container address and port that are open without translation.
const OPEN4: &str = "open4";
const OPEN6: &str = "open6";
/// The addresses of containers with published ports, each with itself.
const SELF4: &str = "self4";
const SELF6: &str = "self6";
/// Links between which nothing was forwarded before we turned forwarding on.
const UPLINKS: &str = "uplinks";

const FORWARD_CHAIN: &str = "forward";
const PUBLISH_CHAIN: &str = "publish";

/// Every set and map.
fn sets() -> Vec<Set<'static>> {
    use Kind::{Ifname, Ipv4, Ipv6, Proto, Service};
    let links = |name| Set { name, key: &[Ifname], data: None };
    let pairs = |name| Set { name, key: &[Ifname, Ifname], data: None };
    let map = |name, key, data| Set { name, key, data: Some(MapData::Values(data)) };
    vec![
        links(BRIDGES),
        pairs(SAME),
        pairs(ICC),
        links(APART),
        Set { name: LINKED, key: &[Ipv4, Ipv4, Proto, Service], data: None },
        links(INTERNAL),
        links(CLOSED4),
        links(CLOSED6),
        links(MASQUERADE4),
        links(MASQUERADE6),
        map(SOURCE4, &[Ifname], &[Ipv4]),
        map(PUBLISH4, &[Proto, Service], &[Ipv4, Service]),
        map(PUBLISH6, &[Proto, Service], &[Ipv6, Service]),
        map(PUBLISH4_AT, &[Ipv4, Proto, Service], &[Ipv4, Service]),
        map(PUBLISH6_AT, &[Ipv6, Proto, Service], &[Ipv6, Service]),
        Set { name: OPEN4, key: &[Ipv4, Proto, Service], data: None },
        Set { name: OPEN6, key: &[Ipv6, Proto, Service], data: None },
        Set { name: SELF4, key: &[Ipv4, Ipv4], data: None },
        Set { name: SELF6, key: &[Ipv6, Ipv6], data: None },
        links(UPLINKS),
    ]
}

/// The names of all sets.
pub(crate) fn set_names() -> Vec<&'static str> {
    sets().iter().map(|set| set.name).collect()
}

/// The chains with their rules; a chain without a hook is jumped to.
fn chains() -> Vec<(&'static str, Option<BaseChain<'static>>, Vec<Rule>)> {
    let base = |name, kind, hook, priority| Some(BaseChain { name, kind, hook, priority });
    let rule = Rule::new;
    let jump = || Verdict::Jump(PUBLISH_CHAIN);
    vec![
        (
            PUBLISH_CHAIN,
            None,
            vec![
                rule().ipv4().nat_map(Nat::Dnat4, &[Ipv4Daddr, L4proto, Dport], PUBLISH4_AT, true),
                rule().nat_map(Nat::Dnat4, &[L4proto, Dport], PUBLISH4, true),
                rule().ipv6().nat_map(Nat::Dnat6, &[Ipv6Daddr, L4proto, Dport], PUBLISH6_AT, true),
                rule().nat_map(Nat::Dnat6, &[L4proto, Dport], PUBLISH6, true),
            ],
        ),
        // Bridges may route 127/8 (so that 127.0.0.1 reaches published ports): nothing but the host itself may use that.
        (
            "raw",
            base("raw", "filter", Hook::Prerouting, -300),
            vec![
                rule()
                    .in_set(&[Iifname], BRIDGES)
                    .ipv4()
                    .ipv4_daddr_in(Ipv4Addr::new(127, 0, 0, 0), 8)
                    .verdict(Verdict::Drop)
                    .comment("containers cannot reach the host's loopback"),
            ],
        ),
        (
            "prerouting",
            base("prerouting", "nat", Hook::Prerouting, -100),
            vec![
                // Whoever is on a link with us can send to 127.0.0.1. The kernel refuses that, but only after translation.
                rule()
                    .ipv4()
                    .ipv4_daddr_in(Ipv4Addr::new(127, 0, 0, 0), 8)
                    .verdict(Verdict::Return)
                    .comment("the host's loopback is the host's alone"),
                // Where bridges are filtered like routers (br_netfilter) a translated packet would go from port to port, and
                // isolated ports do not let it. They get to the socket that holds the port, and its relay.
                rule().in_set(&[Iifname], APART).verdict(Verdict::Return),
                rule().to_this_host().verdict(jump()),
            ],
        ),
        // IPv6 knows no routing from ::1 elsewhere: those connections reach the socket that holds the port, and its relay.
        (
            "output",
            base("output", "nat", Hook::Output, -100),
            vec![
                rule().ipv6().daddr(Ipv6Addr::LOCALHOST.into()).verdict(Verdict::Return),
                rule().to_this_host().verdict(jump()),
            ],
        ),
        (
            FORWARD_CHAIN,
            base(FORWARD_CHAIN, "filter", Hook::Forward, 0),
            vec![
                rule().established().verdict(Verdict::Accept),
                rule().in_set(&[Iifname, Oifname], ICC).verdict(Verdict::Accept),
                rule()
                    .ipv4()
                    .in_set(&[Ipv4Saddr, Ipv4Daddr, L4proto, Dport], LINKED)
                    .verdict(Verdict::Accept),
                rule()
                    .in_set(&[Iifname, Oifname], SAME)
                    .verdict(Verdict::Drop)
                    .comment("containers that may not talk to each other"),
                rule().in_set(&[Iifname], INTERNAL).verdict(Verdict::Drop),
                rule().in_set(&[Oifname], INTERNAL).verdict(Verdict::Drop),
                rule()
                    .in_set(&[Oifname], BRIDGES)
                    .dnatted()
                    .verdict(Verdict::Accept)
                    .comment("published ports"),
                rule().ipv4().in_set(&[Ipv4Daddr, L4proto, Dport], OPEN4).verdict(Verdict::Accept),
                rule().ipv6().in_set(&[Ipv6Daddr, L4proto, Dport], OPEN6).verdict(Verdict::Accept),
                rule().ipv4().in_set(&[Oifname], CLOSED4).verdict(Verdict::Drop),
                rule().ipv6().in_set(&[Oifname], CLOSED6).verdict(Verdict::Drop),
                rule()
                    .in_set(&[Iifname], UPLINKS)
                    .in_set(&[Oifname], UPLINKS)
                    .verdict(Verdict::Drop)
                    .comment("not forwarded before containers turned forwarding on"),
            ],
        ),
        (
            "postrouting",
            base("postrouting", "nat", Hook::Postrouting, 100),
            vec![
                rule()
                    .in_set(&[Iifname, Oifname], SAME)
                    .dnatted()
                    .masquerade()
                    .comment("back by the same bridge: the answer must come this way, too"),
                // Where bridges are filtered like routers (br_netfilter) nothing says at this point where a packet came in.
                rule().ipv4().in_set(&[Ipv4Saddr, Ipv4Daddr], SELF4).masquerade(),
                rule().ipv6().in_set(&[Ipv6Saddr, Ipv6Daddr], SELF6).masquerade(),
                rule()
                    .ipv4()
                    .ipv4_saddr_in(Ipv4Addr::new(127, 0, 0, 0), 8)
                    .in_set(&[Oifname], BRIDGES)
                    .masquerade(),
                rule().ipv4().not_in_set(&[Oifname], BRIDGES).nat_map(Nat::Snat4, &[Iifname], SOURCE4, false),
                rule().ipv4().in_set(&[Iifname], MASQUERADE4).not_in_set(&[Oifname], BRIDGES).masquerade(),
                rule().ipv6().in_set(&[Iifname], MASQUERADE6).not_in_set(&[Oifname], BRIDGES).masquerade(),
            ],
        ),
    ]
}

/// How many rules each chain has.
pub(crate) fn rule_counts() -> Vec<(&'static str, usize)> {
    chains().into_iter().map(|(name, _, rules)| (name, rules.len())).collect()
}

/// The whole table, replacing what is there.
pub(crate) fn replace_table(table: &str, elements: &Elements) -> Transaction {
    let mut transaction = Transaction::new(Family::Inet, table);
    let comment = "containers of naru; put back when changed";
    transaction.add_table(comment).delete_table().add_table(comment);
    for set in sets() {
        transaction.add_set(&set);
    }
    for (set, elements) in elements {
        transaction.add_elements(set, elements);
    }
    let chains = chains();
    for (name, base, _) in &chains {
        match base {
            Some(base) => transaction.add_base_chain(base),
            None => transaction.add_chain(name),
        };
    }
    for (name, _, rules) in &chains {
        for rule in rules {
            transaction.add_rule(name, rule);
        }
    }
    transaction
}

fn member(key: Key, comment: &str) -> Element {
    Element { key, data: None, comment: comment.to_owned() }
}

/// What a network adds.
pub(crate) fn of_network(network: &NetworkRecord) -> Elements {
    let mut elements = Elements::new();
    let Some(options) = BridgeOptions::of(network) else { return elements };
    let link = || Key::new().ifname(&options.bridge);
    let pair = || link().ifname(&options.bridge);
    let mut add = |set, key| elements.entry(set).or_default().push(member(key, &network.name));
    add(BRIDGES, link());
    add(SAME, pair());
    if options.icc {
        add(ICC, pair());
    } else {
        add(APART, link());
    }
    if network.internal {
        add(INTERNAL, link());
    }
    let closed = |mode| matches!(mode, GatewayMode::Nat | GatewayMode::Routed | GatewayMode::Isolated);
    let translated = |mode| matches!(mode, GatewayMode::Nat | GatewayMode::NatUnprotected);
    if closed(options.mode4) {
        add(CLOSED4, link());
    }
    if closed(options.mode6) {
        add(CLOSED6, link());
    }
    if !network.internal && options.masquerade {
        if translated(options.mode4) {
            add(MASQUERADE4, link());
        }
        if translated(options.mode6) {
            add(MASQUERADE6, link());
        }
    }
    if let Some(source) = options.host_ipv4
        && !network.internal
    {
        let element = Element {
            key: link(),
            data: Some(Data::Value(Key::new().ipv4(source))),
            comment: network.name.clone(),
        };
        elements.entry(SOURCE4).or_default().push(element);
    }
    elements
}

/// What a published port adds.
pub(crate) fn of_binding(binding: &Binding, container: &str) -> Elements {
    let mut elements = Elements::new();
    let Some(target) = binding.target else { return elements };
    let (number, port) = (binding.proto.number(), binding.host_port);
    if binding.routed {
        let set = if target.is_ipv4() { OPEN4 } else { OPEN6 };
        let key = Key::new().ip(target).proto(number).port(binding.container_port);
        elements.insert(set, vec![member(key, container)]);
        return elements;
    }
    let (set, key) = match (binding.host_ip, binding.host_ip.is_unspecified()) {
        (IpAddr::V4(_), true) => (PUBLISH4, Key::new().proto(number).port(port)),
        (IpAddr::V6(_), true) => (PUBLISH6, Key::new().proto(number).port(port)),
        (IpAddr::V4(host), false) => (PUBLISH4_AT, Key::new().ipv4(host).proto(number).port(port)),
        (IpAddr::V6(host), false) => (PUBLISH6_AT, Key::new().ipv6(host).proto(number).port(port)),
    };
    let data = Data::Value(Key::new().ip(target).port(binding.container_port));
    elements.insert(set, vec![Element { key, data: Some(data), comment: container.to_owned() }]);
    let set = if target.is_ipv4() { SELF4 } else { SELF6 };
    elements.insert(set, vec![member(Key::new().ip(target).ip(target), container)]);
    elements
}

/// What a link between containers adds.
pub(crate) fn of_link(link: &Link) -> Elements {
    let key = Key::new().ipv4(link.from).ipv4(link.to).proto(link.proto.number()).port(link.port);
    Elements::from([(LINKED, vec![member(key, "")])])
}

/// The links that must not forward to each other.
pub(crate) fn of_uplinks(names: &[String]) -> Elements {
    let members: Vec<Element> = names.iter().map(|name| member(Key::new().ifname(name), "")).collect();
    if members.is_empty() { Elements::new() } else { Elements::from([(UPLINKS, members)]) }
}

/// Adds `more` to `elements`; a key that is there already stays as it is.
pub(crate) fn merge(elements: &mut Elements, more: Elements) {
    for (set, more) in more {
        let have = elements.entry(set).or_default();
        for element in more {
            if !have.iter().any(|old| old.key == element.key) {
                have.push(element);
            }
        }
    }
}

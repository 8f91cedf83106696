//! Rules in words: where a rule is, and what it says as far as that is simple.

use std::net::{Ipv4Addr, Ipv6Addr};

use netlink::nft::{Decision, Expression, RuleEntry};

use super::rules::Filled;

/// A rule as a person finds it again with `nft -a list ruleset`.
pub(super) fn rule(filled: &Filled, rule: &RuleEntry) -> String {
    let mut text = format!("{} rule {}", place(filled), rule.handle);
    let words = words(rule);
    if !words.is_empty() {
        text.push_str(&format!(" ({words})"));
    }
    if let Some(comment) = &rule.comment {
        text.push_str(&format!(", comment {comment:?}"));
    }
    text
}

/// A chain's policy.
pub(super) fn policy(filled: &Filled) -> String {
    format!("{} policy drop", place(filled))
}

fn place(filled: &Filled) -> String {
    format!("table {} {} chain {}", filled.family.name(), filled.chain.table, filled.chain.name)
}

/// What a rule compares and decides, in nft's words where they are known here, else in the names of its parts.
fn words(rule: &RuleEntry) -> String {
    let mut words: Vec<String> = Vec::new();
    // What was loaded last, for the comparison that follows.
    let mut loaded = String::new();
    let mut length = 0;
    for expression in &rule.expressions {
        match expression {
            Expression::Meta { key, .. } => loaded = meta(*key).to_owned(),
            Expression::Payload { base, offset, length: bytes, .. } => {
                loaded = field(*base, *offset).to_owned();
                length = *bytes;
            }
            Expression::Connection { key, .. } => {
                loaded = format!(
                    "ct {}",
                    ["state", "direction", "status", "mark"].get(*key as usize).unwrap_or(&"?")
                );
            }
            Expression::Fib { flags, .. } => {
                loaded = if flags & 1 != 0 { "fib saddr" } else { "fib daddr type" }.to_owned();
            }
            Expression::Bitwise { mask, .. } if loaded == "ct state" => {
                words.push(format!("ct state {}", states(mask)));
                loaded.clear();
            }
            Expression::Compare { operation, value, .. } if !loaded.is_empty() => {
                let operation =
                    ["", "!= ", "< ", "<= ", "> ", ">= "].get(*operation as usize).unwrap_or(&"? ");
                match loaded.as_str() {
                    // Said by what follows.
                    "nfproto" | "protocol" => {}
                    name => words.push(format!("{name} {operation}{}", shown(name, value, length))),
                }
            }
            Expression::Lookup { set, inverted, .. } => {
                let operation = if *inverted { "!= " } else { "" };
                words.push(format!("{loaded} {operation}@{set}").trim().to_owned());
            }
            Expression::Verdict(decision) => words.push(match decision {
                Decision::Accept => "accept".to_owned(),
                Decision::Drop => "drop".to_owned(),
                Decision::Return => "return".to_owned(),
                Decision::Continue => "continue".to_owned(),
                Decision::Queue => "queue".to_owned(),
                Decision::Jump(chain) => format!("jump {chain}"),
                Decision::Goto(chain) => format!("goto {chain}"),
            }),
            Expression::Nat { destination: true, .. } => words.push("dnat".to_owned()),
            Expression::Nat { .. } => words.push("snat".to_owned()),
            Expression::Masquerade => words.push("masquerade".to_owned()),
            Expression::Redirect { .. } => words.push("redirect".to_owned()),
            Expression::Reject => words.push("reject".to_owned()),
            Expression::XtMatch { name, .. } if name != "comment" => words.push(format!("-m {name}")),
            Expression::XtTarget { name, .. } => words.push(format!("-j {name}")),
            Expression::Unknown(name) => words.push(format!("{name} …")),
            _ => {}
        }
    }
    words.join(" ")
}

fn meta(key: u32) -> &'static str {
    match key {
        1 => "protocol",
        3 => "mark",
        4 => "iif",
        5 => "oif",
        6 => "iifname",
        7 => "oifname",
        10 => "skuid",
        11 => "skgid",
        15 => "nfproto",
        16 => "l4proto",
        19 => "pkttype",
        _ => "meta",
    }
}

fn field(base: u32, offset: u32) -> &'static str {
    match (base, offset) {
        (1, 9) => "ip protocol",
        (1, 6) => "ip6 nexthdr",
        (1, 12) => "ip saddr",
        (1, 16) => "ip daddr",
        (1, 8) => "ip6 saddr",
        (1, 24) => "ip6 daddr",
        (2, 0) => "sport",
        (2, 2) => "dport",
        (2, 13) => "tcp flags",
        _ => "payload",
    }
}

/// A compared value as people write it.
fn shown(name: &str, value: &[u8], length: u32) -> String {
    let ipv4 = |bytes: &[u8]| {
        let mut octets = [0; 4];
        octets.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Ipv4Addr::from(octets).to_string()
    };
    let prefix = |address: String| match length {
        // A shorter comparison is of whole bytes of a prefix.
        length if length as usize == value.len() && value.len() < 4 => format!("{address}/{}", length * 8),
        _ => address,
    };
    match name {
        "iifname" | "oifname" => {
            let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
            let wild = if end == value.len() && value.len() < 16 { "*" } else { "" };
            format!("\"{}{wild}\"", String::from_utf8_lossy(&value[..end]))
        }
        "ip saddr" | "ip daddr" => prefix(ipv4(value)),
        "ip6 saddr" | "ip6 daddr" => {
            let mut octets = [0; 16];
            octets.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
            Ipv6Addr::from(octets).to_string()
        }
        "sport" | "dport" => match value {
            [high, low] => u16::from_be_bytes([*high, *low]).to_string(),
            _ => "?".to_owned(),
        },
        "l4proto" | "ip protocol" | "ip6 nexthdr" => match value {
            [6] => "tcp".to_owned(),
            [17] => "udp".to_owned(),
            [132] => "sctp".to_owned(),
            [number] => number.to_string(),
            _ => "?".to_owned(),
        },
        "mark" | "iif" | "oif" | "skuid" | "skgid" | "ct state" | "ct status" | "ct mark"
        | "fib daddr type" => match <[u8; 4]>::try_from(value) {
            Ok(bytes) => named(name, u32::from_ne_bytes(bytes)),
            Err(_) => "?".to_owned(),
        },
        _ => value.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn named(name: &str, number: u32) -> String {
    match (name, number) {
        ("fib daddr type", 1) => "unicast".to_owned(),
        ("fib daddr type", 2) => "local".to_owned(),
        ("fib daddr type", 3) => "broadcast".to_owned(),
        _ => number.to_string(),
    }
}

fn states(mask: &[u8]) -> String {
    let mask = <[u8; 4]>::try_from(mask).map_or(0, u32::from_ne_bytes);
    let names = [(1, "invalid"), (2, "established"), (4, "related"), (8, "new"), (64, "untracked")];
    let picked: Vec<&str> = names.iter().filter(|(bit, _)| mask & bit != 0).map(|(_, name)| *name).collect();
    picked.join(",")
}

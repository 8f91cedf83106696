//! Matches and targets of xtables inside nftables rules, as iptables writes them: the kernel's own structures
//! (`linux/netfilter/xt_*.h`), of which those are read that firewalls commonly decide by.

use std::net::IpAddr;

use netlink::nft::Decision;

use super::evaluate::{Effect, Fit};
use super::host::Ground;
use super::packet::Packet;

const CONNTRACK_STATE: u16 = 1;
const STATE_ESTABLISHED: u16 = 2;
const STATE_NEW: u16 = 8;
const STATE_DNAT: u16 = 1 << 7;
const RANGE_MAP_IPS: u32 = 1;
const RANGE_PROTO: u32 = 2;

/// Whether a match is for a packet.
pub(super) fn fits(name: &str, revision: u32, info: &[u8], packet: &Packet, ground: &Ground) -> Fit {
    Fit::of(match name {
        "comment" => Some(true),
        "conntrack" if revision >= 2 => conntrack(info, packet),
        "state" => word(info, 0).map(|mask| mask & u32::from(state(packet)) != 0),
        "tcp" => tcp(info, packet),
        "udp" => ports(info, packet).and_then(|found| inverted(found, byte(info, 8)?)),
        "multiport" if revision == 1 => multiport(info, packet),
        "addrtype" if revision == 1 => addrtype(info, packet, ground),
        _ => None,
    })
}

/// What a target does.
pub(super) fn target(name: &str, info: &[u8], packet: &mut Packet) -> Effect {
    match name {
        "LOG" | "NFLOG" | "TRACE" | "CHECKSUM" | "TCPMSS" | "CT" | "CONNMARK" | "NOTRACK" | "AUDIT" => {
            Effect::Nothing
        }
        "MARK" => {
            packet.mark = None;
            Effect::Nothing
        }
        "REJECT" => Effect::Reject,
        "ACCEPT" => Effect::Decide(Decision::Accept),
        "DROP" => Effect::Decide(Decision::Drop),
        "MASQUERADE" | "SNAT" => Effect::Source,
        "DNAT" => translated(info).unwrap_or(Effect::Puzzle),
        _ => Effect::Puzzle,
    }
}

fn state(packet: &Packet) -> u16 {
    let state = if packet.answer { STATE_ESTABLISHED } else { STATE_NEW };
    if packet.translated { state | STATE_DNAT } else { state }
}

/// `struct xt_conntrack_mtinfo3`: flags at 146, what is inverted at 148, states at 150.
fn conntrack(info: &[u8], packet: &Packet) -> Option<bool> {
    let (flags, inverts) = (half(info, 146)?, half(info, 148)?);
    if flags != CONNTRACK_STATE {
        return None;
    }
    Some((half(info, 150)? & state(packet) != 0) != (inverts & CONNTRACK_STATE != 0))
}

/// `struct xt_tcp`: ports, then option, mask and value of flags, and what is inverted.
fn tcp(info: &[u8], packet: &Packet) -> Option<bool> {
    let (option, mask, value, inverts) = (byte(info, 8)?, byte(info, 9)?, byte(info, 10)?, byte(info, 11)?);
    if option != 0 {
        return None;
    }
    let flags = if packet.answer { 0x12 } else { 0x02 };
    let flagged = (flags & mask == value) != (inverts & 4 != 0);
    let ported = ports(info, packet).and_then(|found| inverted(found, inverts))?;
    Some(flagged && ported)
}

/// Whether source and destination port are in the ranges at the beginning of the structure.
type InRanges = (Option<bool>, Option<bool>);

fn ports(info: &[u8], packet: &Packet) -> Option<InRanges> {
    let range = |at: usize, port: Option<u16>| {
        let (first, last) = (half(info, at)?, half(info, at + 2)?);
        let all = (first, last) == (0, u16::MAX);
        Some(port.map(|port| (first..=last).contains(&port)).or(all.then_some(true)))
    };
    Some((range(0, packet.source_port)?, range(4, packet.destination_port)?))
}

fn inverted((source, destination): InRanges, inverts: u8) -> Option<bool> {
    let source = source.map(|found| found != (inverts & 1 != 0));
    let destination = destination.map(|found| found != (inverts & 2 != 0));
    match (source, destination) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// `struct xt_multiport_v1`: flags, count, fifteen ports, fifteen marks of ranges, inverted.
fn multiport(info: &[u8], packet: &Packet) -> Option<bool> {
    let (flags, count, inverted) = (byte(info, 0)?, byte(info, 1)?, byte(info, 47)?);
    let port = match flags {
        0 => packet.source_port?,
        1 => packet.destination_port?,
        _ => return None,
    };
    let mut found = false;
    let mut at = 0;
    while at < usize::from(count.min(15)) {
        let first = half(info, 2 + 2 * at)?;
        let is_range = byte(info, 32 + at)? != 0;
        let last = if is_range { half(info, 4 + 2 * at)? } else { first };
        found |= (first..=last).contains(&port);
        at += if is_range { 2 } else { 1 };
    }
    Some(found != (inverted != 0))
}

/// `struct xt_addrtype_info_v1`: masks of `RTN_*` for source and destination, then flags.
fn addrtype(info: &[u8], packet: &Packet, ground: &Ground) -> Option<bool> {
    let (source, destination, flags) = (half(info, 0)?, half(info, 2)?, word(info, 4)?);
    if flags & !3 != 0 {
        return None;
    }
    let fits = |mask: u16, address: IpAddr, inverted: bool| {
        mask == 0 || (mask & (1u16 << ground.kind(address)) != 0) != inverted
    };
    Some(fits(source, packet.source, flags & 1 != 0) && fits(destination, packet.destination, flags & 2 != 0))
}

/// `struct nf_nat_range` (40 bytes, or more with a base port) or the older `nf_nat_ipv4_multi_range_compat` (20 bytes).
fn translated(info: &[u8]) -> Option<Effect> {
    let network_order = |at: usize| half(info, at).map(u16::from_be);
    let (flags, address, port) = match info.len() {
        0..24 => (word(info, 4)?, info.get(8..12)?, network_order(16)?),
        _ => (word(info, 0)?, info.get(4..20)?, network_order(36)?),
    };
    let address: IpAddr = match <[u8; 4]>::try_from(address) {
        Ok(ipv4) => ipv4.into(),
        // An IPv4 address lies in the first four bytes of what has room for both.
        Err(_) if address[4..] == [0; 12] => <[u8; 4]>::try_from(&address[..4]).ok()?.into(),
        Err(_) => <[u8; 16]>::try_from(address).ok()?.into(),
    };
    let address = (flags & RANGE_MAP_IPS != 0).then_some(address);
    Some(Effect::Destination(address, (flags & RANGE_PROTO != 0).then_some(port)))
}

fn byte(info: &[u8], at: usize) -> Option<u8> {
    info.get(at).copied()
}

fn half(info: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(info.get(at..at + 2)?.try_into().ok()?))
}

fn word(info: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(info.get(at..at + 4)?.try_into().ok()?))
}

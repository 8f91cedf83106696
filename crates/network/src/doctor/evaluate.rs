//! A packet goes through the chains at a hook, rule by rule, as the kernel would have it. Where something is not known (the
//! sender's user, a rate limit, an expression that this program has no meaning for) both ways are followed: when they end alike
//! it does not matter, and otherwise the rule is named as the one that cannot be judged.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink::nft::{Decision, Expression, RuleEntry};

use super::host::Ground;
use super::packet::{Bytes, Packet, known, unknown};
use super::rules::{Filled, Rules};
use super::{text, xt};

/// `NF_INET_*`.
pub(super) const PREROUTING: u32 = 0;
pub(super) const INPUT: u32 = 1;
pub(super) const FORWARD: u32 = 2;
pub(super) const OUTPUT: u32 = 3;
pub(super) const POSTROUTING: u32 = 4;

/// `NFPROTO_*`.
const INET: u32 = 1;
const IPV6: u32 = 10;
/// How deep chains may call each other, as in the kernel.
const DEPTH: usize = 16;
/// How many rules are followed both ways for one packet.
const BRANCHES: usize = 64;
const FIB_OIF: u32 = 1;
const FIB_OIFNAME: u32 = 2;
const FIB_ADDRTYPE: u32 = 3;
const FIB_SADDR: u32 = 1;
const FIB_PRESENT: u32 = 32;

/// What became of a packet at a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It went on.
    Passed,
    /// A rule, or a chain's policy, ended it.
    Dropped(String),
    /// It depends on this.
    Unclear(String),
}

/// Whether a rule is for a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    Yes,
    No,
    Maybe,
}

impl Fit {
    pub fn of(known: Option<bool>) -> Self {
        match known {
            Some(true) => Self::Yes,
            Some(false) => Self::No,
            None => Self::Maybe,
        }
    }

    pub fn inverted(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
        }
    }
}

/// Where a chain leaves a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Flow {
    /// At its end, undecided.
    On,
    Accepted,
    Dropped(String),
    Unclear(String),
    /// With another destination.
    Moved(IpAddr, Option<u16>),
    /// With another source.
    Hidden,
}

/// What a rule does to a packet that it is for.
pub(super) enum Effect {
    Nothing,
    Decide(Decision),
    Reject,
    /// Another destination; None as it is.
    Destination(Option<IpAddr>, Option<u16>),
    Source,
    /// Not known.
    Puzzle,
}

/// Follows packets.
#[derive(Debug)]
pub(super) struct Follower<'a> {
    pub rules: &'a mut Rules,
    pub ground: &'a mut Ground,
    branches: usize,
}

impl<'a> Follower<'a> {
    pub fn new(rules: &'a mut Rules, ground: &'a mut Ground) -> Self {
        Self { rules, ground, branches: 0 }
    }

    /// Takes a packet through all chains at a hook. Translation changes it.
    pub fn pass(&mut self, hook: u32, packet: &mut Packet) -> Outcome {
        self.branches = 0;
        let mut translated = packet.answer;
        for base in self.rules.at(hook, packet.destination.is_ipv6()) {
            let nat = base.chain.kind == "nat";
            // Of translations the first counts, and answers are translated back without being asked.
            if nat && translated {
                continue;
            }
            match self.chain(&base, 0, packet, DEPTH) {
                Flow::Moved(address, port) => {
                    packet.translated |= packet.destination != address || port.is_some();
                    packet.destination = address;
                    packet.destination_port = port.or(packet.destination_port);
                    translated = true;
                }
                Flow::Hidden => {
                    translated = true;
                    packet.shown = self.ground.address_of(&packet.oif, packet.source.is_ipv6());
                }
                Flow::Accepted => {}
                Flow::On if base.chain.policy_drop => return Outcome::Dropped(text::policy(&base)),
                Flow::On => {}
                Flow::Dropped(rule) => return Outcome::Dropped(rule),
                Flow::Unclear(rule) => return Outcome::Unclear(rule),
            }
        }
        Outcome::Passed
    }

    fn chain(&mut self, filled: &Filled, from: usize, packet: &mut Packet, depth: usize) -> Flow {
        for (at, rule) in filled.rules.iter().enumerate().skip(from) {
            let (fit, effect) = self.rule(filled, rule, packet);
            match fit {
                Fit::No => {}
                Fit::Yes => {
                    if let Some(flow) = self.effect(filled, rule, effect, packet, depth) {
                        return flow;
                    }
                }
                Fit::Maybe => {
                    if matches!(effect, Effect::Nothing) {
                        continue;
                    }
                    self.branches += 1;
                    if self.branches > BRANCHES {
                        return Flow::Unclear(text::rule(filled, rule));
                    }
                    let rest = |this: &mut Self| this.chain(filled, at + 1, &mut packet.clone(), depth);
                    let without = rest(self);
                    let with = match self.effect(filled, rule, effect, &mut packet.clone(), depth) {
                        Some(flow) => flow,
                        None => rest(self),
                    };
                    return match (with, without) {
                        (Flow::Dropped(_), Flow::Dropped(rule)) => Flow::Dropped(rule),
                        (with, without) if with == without => without,
                        _ => Flow::Unclear(text::rule(filled, rule)),
                    };
                }
            }
        }
        Flow::On
    }

    /// What a rule does to a packet that it is for; None when it goes on with the next.
    fn effect(
        &mut self,
        filled: &Filled,
        rule: &RuleEntry,
        effect: Effect,
        packet: &mut Packet,
        depth: usize,
    ) -> Option<Flow> {
        let called = |this: &mut Self, name: &str, packet: &mut Packet| {
            let chain = this.rules.sibling(filled, name).filter(|_| depth > 0);
            match chain {
                Some(chain) => this.chain(&chain, 0, packet, depth - 1),
                None => Flow::Unclear(text::rule(filled, rule)),
            }
        };
        Some(match effect {
            Effect::Nothing | Effect::Decide(Decision::Continue) => return None,
            Effect::Decide(Decision::Accept) => Flow::Accepted,
            Effect::Decide(Decision::Drop) | Effect::Reject => Flow::Dropped(text::rule(filled, rule)),
            // The end of the chain: a base chain's policy decides, a called one's caller goes on.
            Effect::Decide(Decision::Return) => Flow::On,
            Effect::Decide(Decision::Jump(name)) => match called(self, &name, packet) {
                Flow::On => return None,
                flow => flow,
            },
            Effect::Decide(Decision::Goto(name)) => called(self, &name, packet),
            Effect::Decide(Decision::Queue) | Effect::Puzzle => Flow::Unclear(text::rule(filled, rule)),
            Effect::Destination(address, port) => Flow::Moved(address.unwrap_or(packet.destination), port),
            Effect::Source => Flow::Hidden,
        })
    }

    /// Whether a rule is for a packet, and what it does.
    fn rule(&mut self, filled: &Filled, rule: &RuleEntry, packet: &mut Packet) -> (Fit, Effect) {
        let mut registers: [Option<u8>; 64] = [None; 64];
        let mut fit = Fit::Yes;
        let mut effect = Effect::Nothing;
        for expression in &rule.expressions {
            let step = match expression {
                Expression::Lookup { set, from, into, inverted } => {
                    let at = from.offset().unwrap_or(0);
                    let (step, found) = self.look_up(filled, set, &registers[at.min(63)..]);
                    match (into, found) {
                        (Some(register), Some(member)) => match register.offset() {
                            Some(at) => {
                                store(&mut registers, at, &known(member.value.as_deref().unwrap_or(&[])))
                            }
                            None => effect = member.decision.map_or(Effect::Puzzle, Effect::Decide),
                        },
                        // Some element of the map, who knows which.
                        (Some(register), None) if step == Fit::Maybe => match register.offset() {
                            Some(at) => store(&mut registers, at, &unknown(20)),
                            None => effect = Effect::Puzzle,
                        },
                        _ => {}
                    }
                    if *inverted { step.inverted() } else { step }
                }
                Expression::XtMatch { name, revision, info } => {
                    xt::fits(name, *revision, info, packet, self.ground)
                }
                Expression::XtTarget { name, info } => {
                    effect = xt::target(name, info, packet);
                    Fit::Yes
                }
                Expression::SetMeta { key: 3, from } if fit == Fit::Yes => {
                    let bytes: Option<Vec<u8>> =
                        load(&registers, from.offset().unwrap_or(0), 4).into_iter().collect();
                    packet.mark = bytes.and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes);
                    Fit::Yes
                }
                Expression::SetMeta { .. } | Expression::Aside => Fit::Yes,
                Expression::Verdict(decision) => {
                    effect = Effect::Decide(decision.clone());
                    Fit::Yes
                }
                Expression::Reject => {
                    effect = Effect::Reject;
                    Fit::Yes
                }
                Expression::Nat { family, .. }
                    if *family != INET && (*family == IPV6) != packet.destination.is_ipv6() =>
                {
                    Fit::Yes
                }
                Expression::Masquerade | Expression::Nat { destination: false, .. } => {
                    effect = Effect::Source;
                    Fit::Yes
                }
                Expression::Nat { address, port, .. } => {
                    effect = destination(&registers, packet, *address, *port);
                    Fit::Yes
                }
                Expression::Redirect { port } => {
                    let local: IpAddr = match packet.destination {
                        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
                    };
                    let port = port.and_then(|port| port_at(&registers, port.offset()?));
                    effect = Effect::Destination(Some(local), port);
                    Fit::Yes
                }
                Expression::Unknown(_) => Fit::Maybe,
                other => self.compute(other, packet, &mut registers),
            };
            match step {
                Fit::No => return (Fit::No, Effect::Nothing),
                Fit::Maybe => fit = Fit::Maybe,
                Fit::Yes => {}
            }
        }
        (fit, effect)
    }

    /// Loads, changes and compares.
    fn compute(&mut self, expression: &Expression, packet: &Packet, registers: &mut [Option<u8>; 64]) -> Fit {
        match expression {
            Expression::Meta { key, to } => {
                let value = match key {
                    4 => known(&self.ground.index(&packet.iif).to_ne_bytes()),
                    5 => known(&self.ground.index(&packet.oif).to_ne_bytes()),
                    key => packet.meta(*key).unwrap_or_else(|| unknown(16)),
                };
                store(registers, to.offset().unwrap_or(0), &value);
            }
            Expression::Payload { base, offset, length, to } => {
                store(registers, to.offset().unwrap_or(0), &packet.header(*base, *offset, *length));
            }
            Expression::Connection { key, to } => {
                let value = packet.connection(*key).unwrap_or_else(|| unknown(16));
                store(registers, to.offset().unwrap_or(0), &value);
            }
            Expression::Fib { result, flags, to } => {
                let value = self.fib(*result, *flags, packet);
                store(registers, to.offset().unwrap_or(0), &value);
            }
            Expression::Immediate { to, value } => store(registers, to.offset().unwrap_or(0), &known(value)),
            Expression::Bitwise { from, to, mask, xor } => {
                let value = load(registers, from.offset().unwrap_or(0), mask.len());
                let combined: Bytes = value
                    .iter()
                    .zip(mask.iter().zip(xor))
                    .map(|(byte, (mask, xor))| match (byte, mask) {
                        (_, 0) => Some(*xor),
                        (byte, mask) => byte.map(|byte| byte & mask ^ xor),
                    })
                    .collect();
                store(registers, to.offset().unwrap_or(0), &combined);
            }
            Expression::Byteorder { from, to, length, size } => {
                let whole = |number: u32| usize::try_from(number).unwrap_or(0);
                let value = load(registers, from.offset().unwrap_or(0), whole(*length));
                let numbers = value.chunks(whole(*size).max(1));
                let turned: Bytes = numbers.flat_map(|number| number.iter().rev().copied()).collect();
                store(registers, to.offset().unwrap_or(0), &turned);
            }
            Expression::Compare { from, operation, value } => {
                let have = load(registers, from.offset().unwrap_or(0), value.len());
                return compare(&have, *operation, value);
            }
            Expression::Range { from, outside, first, last } => {
                let have: Option<Vec<u8>> =
                    load(registers, from.offset().unwrap_or(0), first.len()).into_iter().collect();
                let inside = have.map(|have| (first..=last).contains(&&have));
                return Fit::of(inside.map(|inside| inside != *outside));
            }
            _ => return Fit::Maybe,
        }
        Fit::Yes
    }

    fn fib(&mut self, result: u32, flags: u32, packet: &Packet) -> Bytes {
        let address = if flags & FIB_SADDR != 0 { packet.source } else { packet.destination };
        match result {
            FIB_ADDRTYPE => known(&self.ground.kind(address).to_ne_bytes()),
            FIB_OIF | FIB_OIFNAME => {
                // With `iif` among what is asked, as a check of the way back has it, only that link counts.
                let (link, local) = match self.ground.way(address) {
                    Some(way) => (way.link, way.local),
                    None => (0, false),
                };
                let of_interest = flags & 8 == 0 || link == self.ground.index(&packet.iif) || local;
                let index = if of_interest { link } else { 0 };
                match flags & FIB_PRESENT {
                    0 if result == FIB_OIF => known(&index.to_ne_bytes()),
                    0 => unknown(16),
                    _ => known(&[u8::from(index != 0)]),
                }
            }
            _ => unknown(16),
        }
    }

    fn look_up(
        &mut self,
        filled: &Filled,
        name: &str,
        registers: &[Option<u8>],
    ) -> (Fit, Option<netlink::nft::Member>) {
        let Some((set, members)) = self.rules.set(filled, name) else { return (Fit::Maybe, None) };
        let Some(length) = members.iter().map(|member| member.key.len()).max() else {
            return (Fit::No, None);
        };
        let key: Bytes = registers.iter().take(length).copied().collect();
        let whole: Option<Vec<u8>> = key.iter().copied().collect();
        if let Some(whole) = whole {
            let found = set.find(&members, &whole).cloned();
            return (Fit::of(Some(found.is_some())), found);
        }
        if set.intervals {
            return (Fit::Maybe, None);
        }
        let possible =
            |have: &[u8]| key.iter().zip(have).all(|(byte, have)| byte.is_none_or(|byte| byte == *have));
        let any = members.iter().any(|member| member.key.is_empty() || possible(&member.key));
        (if any { Fit::Maybe } else { Fit::No }, None)
    }
}

/// `NFT_CMP_*`.
fn compare(have: &Bytes, operation: u32, value: &[u8]) -> Fit {
    let differs = have.iter().zip(value).any(|(have, value)| have.is_some_and(|have| have != *value));
    let whole: Option<Vec<u8>> = have.iter().copied().collect();
    let equal = if differs { Some(false) } else { whole.as_ref().map(|_| true) };
    let order = whole.map(|whole| whole.as_slice().cmp(value));
    Fit::of(match operation {
        0 => equal,
        1 => equal.map(|equal| !equal),
        2 => order.map(std::cmp::Ordering::is_lt),
        3 => order.map(std::cmp::Ordering::is_le),
        4 => order.map(std::cmp::Ordering::is_gt),
        5 => order.map(std::cmp::Ordering::is_ge),
        _ => None,
    })
}

fn destination(
    registers: &[Option<u8>; 64],
    packet: &Packet,
    address: Option<netlink::nft::Register>,
    port: Option<netlink::nft::Register>,
) -> Effect {
    let port = match port {
        None => None,
        Some(register) => match port_at(registers, register.offset().unwrap_or(0)) {
            None => return Effect::Puzzle,
            port => port,
        },
    };
    let Some(register) = address else { return Effect::Destination(None, port) };
    let length = if packet.destination.is_ipv4() { 4 } else { 16 };
    let bytes: Option<Vec<u8>> =
        load(registers, register.offset().unwrap_or(0), length).into_iter().collect();
    let address = bytes.and_then(|bytes| match length {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    });
    match address {
        Some(address) => Effect::Destination(Some(address), port),
        None => Effect::Puzzle,
    }
}

fn port_at(registers: &[Option<u8>; 64], at: usize) -> Option<u16> {
    match load(registers, at, 2).as_slice() {
        [Some(high), Some(low)] => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    }
}

fn store(registers: &mut [Option<u8>; 64], at: usize, value: &[Option<u8>]) {
    let end = (at + value.len()).next_multiple_of(4);
    for (offset, register) in registers.iter_mut().enumerate().take(end).skip(at) {
        // The rest of a four-byte register is cleared.
        *register = value.get(offset - at).copied().unwrap_or(Some(0));
    }
}

fn load(registers: &[Option<u8>; 64], at: usize, length: usize) -> Bytes {
    let mut bytes: Bytes = registers.iter().skip(at).take(length).copied().collect();
    bytes.resize(length, None);
    bytes
}

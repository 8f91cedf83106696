//! Rules as chains of matches and one statement, in the expressions that `nft` itself uses. Registers are the builder's business.

use std::net::{IpAddr, Ipv4Addr};

use super::data::{Kind, Verdict};
use super::numbers::*;
use crate::wire::Messages;

/// A part of a packet (or of what the kernel knows about it) that keys are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `iifname`
    Iifname,
    /// `oifname`
    Oifname,
    /// `meta l4proto`
    L4proto,
    /// `ip saddr`
    Ipv4Saddr,
    /// `ip daddr`
    Ipv4Daddr,
    /// `ip6 saddr`
    Ipv6Saddr,
    /// `ip6 daddr`
    Ipv6Daddr,
    /// `th sport`
    Sport,
    /// `th dport`
    Dport,
}

impl Field {
    fn kind(self) -> Kind {
        match self {
            Self::Iifname | Self::Oifname => Kind::Ifname,
            Self::L4proto => Kind::Proto,
            Self::Ipv4Saddr | Self::Ipv4Daddr => Kind::Ipv4,
            Self::Ipv6Saddr | Self::Ipv6Daddr => Kind::Ipv6,
            Self::Sport | Self::Dport => Kind::Service,
        }
    }
}

/// Transports whose ports can be rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// Where its header has the checksum.
    fn checksum(self) -> u32 {
        match self {
            Self::Tcp => 16,
            Self::Udp => 6,
        }
    }
}

/// Address translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nat {
    /// `dnat ip to`
    Dnat4,
    /// `dnat ip6 to`
    Dnat6,
    /// `snat ip to`
    Snat4,
    /// `snat ip6 to`
    Snat6,
}

/// A rule: every match must hold for its statement to take effect.
#[derive(Debug, Default)]
pub struct Rule {
    /// Expressions as list elements, ready to be copied into a message.
    pub(super) expressions: Messages,
    pub(super) comment: Option<String>,
}

const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_NFPROTO: u32 = 15;
const META_L4PROTO: u32 = 16;
const CMP_EQ: u32 = 0;
const CMP_NEQ: u32 = 1;
/// `RTN_LOCAL` of linux/rtnetlink.h: an address of this host.
const TYPE_LOCAL: u32 = 2;
/// `IP_CT_ESTABLISHED` and `IP_CT_RELATED` as `NF_CT_STATE_BIT`s.
const STATE_ESTABLISHED_RELATED: u32 = (1 << 1) | (1 << 2);
/// `IPS_DST_NAT` of linux/netfilter/nf_conntrack_common.h.
const STATUS_DNAT: u32 = 1 << 5;

impl Rule {
    /// A rule that matches everything and does nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A comment for people who list the rules.
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    /// Only IPv4.
    pub fn ipv4(self) -> Self {
        self.meta(META_NFPROTO, NFT_REG_1).compare(CMP_EQ, &[2])
    }

    /// Only IPv6.
    pub fn ipv6(self) -> Self {
        self.meta(META_NFPROTO, NFT_REG_1).compare(CMP_EQ, &[10])
    }

    /// Only what came in by this link.
    pub fn iifname(self, name: &str) -> Self {
        self.meta(META_IIFNAME, NFT_REG_1).compare(CMP_EQ, &padded(name))
    }

    /// Only what goes out by this link.
    pub fn oifname(self, name: &str) -> Self {
        self.meta(META_OIFNAME, NFT_REG_1).compare(CMP_EQ, &padded(name))
    }

    /// Only packets to an address in this IPv4 prefix. Follows [`Rule::ipv4`].
    pub fn ipv4_daddr_in(self, address: Ipv4Addr, prefix: u8) -> Self {
        self.load(Field::Ipv4Daddr, NFT_REG_1).prefix(address, prefix)
    }

    /// Only packets from an address in this IPv4 prefix. Follows [`Rule::ipv4`].
    pub fn ipv4_saddr_in(self, address: Ipv4Addr, prefix: u8) -> Self {
        self.load(Field::Ipv4Saddr, NFT_REG_1).prefix(address, prefix)
    }

    /// Only packets to this address. Follows [`Rule::ipv4`] or [`Rule::ipv6`].
    pub fn daddr(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.load(Field::Ipv4Daddr, NFT_REG_1).compare(CMP_EQ, &address.octets()),
            IpAddr::V6(address) => self.load(Field::Ipv6Daddr, NFT_REG_1).compare(CMP_EQ, &address.octets()),
        }
    }

    /// Only packets from this address. Follows [`Rule::ipv4`] or [`Rule::ipv6`].
    pub fn saddr(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.load(Field::Ipv4Saddr, NFT_REG_1).compare(CMP_EQ, &address.octets()),
            IpAddr::V6(address) => self.load(Field::Ipv6Saddr, NFT_REG_1).compare(CMP_EQ, &address.octets()),
        }
    }

    /// Only packets of this transport.
    pub fn transport(self, transport: Transport) -> Self {
        self.load(Field::L4proto, NFT_REG_1).compare(CMP_EQ, &[transport.number()])
    }

    /// Only packets from this port. Follows [`Rule::transport`].
    pub fn sport(self, port: u16) -> Self {
        self.load(Field::Sport, NFT_REG_1).compare(CMP_EQ, &port.to_be_bytes())
    }

    /// Only packets to this port. Follows [`Rule::transport`].
    pub fn dport(self, port: u16) -> Self {
        self.load(Field::Dport, NFT_REG_1).compare(CMP_EQ, &port.to_be_bytes())
    }

    /// Only packets to an address of this host.
    pub fn to_this_host(mut self) -> Self {
        self.expression("fib", |fib| {
            fib.put_be32(NFTA_FIB_DREG, NFT_REG_1);
            fib.put_be32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
            fib.put_be32(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
        });
        self.compare(CMP_EQ, &TYPE_LOCAL.to_ne_bytes())
    }

    /// Only packets of connections that were let through before, and what belongs to them.
    pub fn established(self) -> Self {
        self.ct(NFT_CT_STATE, STATE_ESTABLISHED_RELATED)
    }

    /// Only connections whose destination was translated.
    pub fn dnatted(self) -> Self {
        self.ct(NFT_CT_STATUS, STATUS_DNAT)
    }

    /// Only where the fields are an element of the set.
    pub fn in_set(self, fields: &[Field], set: &str) -> Self {
        self.key(fields).lookup(set, None, 0)
    }

    /// Only where the fields are no element of the set.
    pub fn not_in_set(self, fields: &[Field], set: &str) -> Self {
        self.key(fields).lookup(set, None, NFT_LOOKUP_F_INV)
    }

    /// Counts packets and bytes.
    pub fn counter(mut self) -> Self {
        self.expression("counter", |_| {});
        self
    }

    /// Ends with a verdict.
    pub fn verdict(mut self, verdict: Verdict) -> Self {
        self.expression("immediate", |immediate| {
            immediate.put_be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
            immediate.nest(NFTA_IMMEDIATE_DATA, |data| verdict.put(data));
        });
        self
    }

    /// Ends with the verdict that the map has for the fields, if it has one.
    pub fn verdict_map(self, fields: &[Field], map: &str) -> Self {
        self.key(fields).lookup(map, Some(NFT_REG_VERDICT), 0)
    }

    /// Ends with a translation to the address (and port, where the map has one) that the map has for the fields, if it has one.
    pub fn nat_map(self, nat: Nat, fields: &[Field], map: &str, port: bool) -> Self {
        let (kind, family, registers) = match nat {
            Nat::Dnat4 => (NFT_NAT_DNAT, 2, 1),
            Nat::Dnat6 => (NFT_NAT_DNAT, 10, 4),
            Nat::Snat4 => (NFT_NAT_SNAT, 2, 1),
            Nat::Snat6 => (NFT_NAT_SNAT, 10, 4),
        };
        let mut rule = self.key(fields).lookup(map, Some(NFT_REG_1), 0);
        rule.expression("nat", |nat| {
            nat.put_be32(NFTA_NAT_TYPE, kind);
            nat.put_be32(NFTA_NAT_FAMILY, family);
            nat.put_be32(NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
            if port {
                nat.put_be32(NFTA_NAT_REG_PROTO_MIN, NFT_REG32_00 + registers);
            }
        });
        rule
    }

    /// Writes another source port into the packet, without keeping track of connections. Follows [`Rule::transport`] of the same.
    pub fn set_sport(self, transport: Transport, port: u16) -> Self {
        self.set_port(0, transport, port)
    }

    /// Writes another destination port into the packet, like [`Rule::set_sport`].
    pub fn set_dport(self, transport: Transport, port: u16) -> Self {
        self.set_port(2, transport, port)
    }

    fn set_port(mut self, offset: u32, transport: Transport, port: u16) -> Self {
        self.expression("immediate", |immediate| {
            immediate.put_be32(NFTA_IMMEDIATE_DREG, NFT_REG_1);
            immediate.nest(NFTA_IMMEDIATE_DATA, |data| data.put(NFTA_DATA_VALUE, &port.to_be_bytes()));
        });
        self.expression("payload", |payload| {
            payload.put_be32(NFTA_PAYLOAD_SREG, NFT_REG_1);
            payload.put_be32(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
            payload.put_be32(NFTA_PAYLOAD_OFFSET, offset);
            payload.put_be32(NFTA_PAYLOAD_LEN, 2);
            payload.put_be32(NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
            payload.put_be32(NFTA_PAYLOAD_CSUM_OFFSET, transport.checksum());
        });
        self
    }

    /// Ends with the address of the link by which the packet leaves as its source.
    pub fn masquerade(mut self) -> Self {
        self.expression("masq", |_| {});
        self
    }

    /// Loads the fields side by side, the first into register 1.
    fn key(self, fields: &[Field]) -> Self {
        let mut at = 0;
        fields.iter().fold(self, |rule, field| {
            let register = if at == 0 { NFT_REG_1 } else { NFT_REG32_00 + at };
            at += field.kind().registers();
            rule.load(*field, register)
        })
    }

    fn load(self, field: Field, register: u32) -> Self {
        let (base, offset) = match field {
            Field::Iifname => return self.meta(META_IIFNAME, register),
            Field::Oifname => return self.meta(META_OIFNAME, register),
            Field::L4proto => return self.meta(META_L4PROTO, register),
            Field::Ipv4Saddr => (NFT_PAYLOAD_NETWORK_HEADER, 12),
            Field::Ipv4Daddr => (NFT_PAYLOAD_NETWORK_HEADER, 16),
            Field::Ipv6Saddr => (NFT_PAYLOAD_NETWORK_HEADER, 8),
            Field::Ipv6Daddr => (NFT_PAYLOAD_NETWORK_HEADER, 24),
            Field::Sport => (NFT_PAYLOAD_TRANSPORT_HEADER, 0),
            Field::Dport => (NFT_PAYLOAD_TRANSPORT_HEADER, 2),
        };
        self.payload(base, offset, field.kind().length(), register)
    }

    fn payload(mut self, base: u32, offset: u32, length: u32, register: u32) -> Self {
        self.expression("payload", |payload| {
            payload.put_be32(NFTA_PAYLOAD_DREG, register);
            payload.put_be32(NFTA_PAYLOAD_BASE, base);
            payload.put_be32(NFTA_PAYLOAD_OFFSET, offset);
            payload.put_be32(NFTA_PAYLOAD_LEN, length);
        });
        self
    }

    fn meta(mut self, key: u32, register: u32) -> Self {
        self.expression("meta", |meta| {
            meta.put_be32(NFTA_META_DREG, register);
            meta.put_be32(NFTA_META_KEY, key);
        });
        self
    }

    fn ct(mut self, key: u32, bits: u32) -> Self {
        self.expression("ct", |ct| {
            ct.put_be32(NFTA_CT_DREG, NFT_REG_1);
            ct.put_be32(NFTA_CT_KEY, key);
        });
        self.mask(&bits.to_ne_bytes()).compare(CMP_NEQ, &[0; 4])
    }

    fn prefix(self, address: Ipv4Addr, prefix: u8) -> Self {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
        self.mask(&mask.to_be_bytes()).compare(CMP_EQ, &(address.to_bits() & mask).to_be_bytes())
    }

    fn mask(mut self, mask: &[u8; 4]) -> Self {
        self.expression("bitwise", |bitwise| {
            bitwise.put_be32(NFTA_BITWISE_SREG, NFT_REG_1);
            bitwise.put_be32(NFTA_BITWISE_DREG, NFT_REG_1);
            bitwise.put_be32(NFTA_BITWISE_LEN, 4);
            bitwise.nest(NFTA_BITWISE_MASK, |data| data.put(NFTA_DATA_VALUE, mask));
            bitwise.nest(NFTA_BITWISE_XOR, |data| data.put(NFTA_DATA_VALUE, &[0; 4]));
        });
        self
    }

    fn compare(mut self, operation: u32, value: &[u8]) -> Self {
        self.expression("cmp", |cmp| {
            cmp.put_be32(NFTA_CMP_SREG, NFT_REG_1);
            cmp.put_be32(NFTA_CMP_OP, operation);
            cmp.nest(NFTA_CMP_DATA, |data| data.put(NFTA_DATA_VALUE, value));
        });
        self
    }

    fn lookup(mut self, set: &str, into: Option<u32>, flags: u32) -> Self {
        self.expression("lookup", |lookup| {
            lookup.put_text(NFTA_LOOKUP_SET, set);
            lookup.put_be32(NFTA_LOOKUP_SREG, NFT_REG_1);
            if let Some(register) = into {
                lookup.put_be32(NFTA_LOOKUP_DREG, register);
            }
            if flags != 0 {
                lookup.put_be32(NFTA_LOOKUP_FLAGS, flags);
            }
        });
        self
    }

    fn expression(&mut self, name: &str, data: impl FnOnce(&mut Messages)) {
        self.expressions.nest(NFTA_LIST_ELEM, |element| {
            element.put_text(NFTA_EXPR_NAME, name);
            element.nest(NFTA_EXPR_DATA, data);
        });
    }
}

fn padded(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    bytes
}

//! Rules of other people, read: the expressions that a packet filter can be followed through, each with what it needs. What is
//! not known here is kept by name, so that a reader can say that it does not know.

use super::numbers::*;
use crate::wire::{Attributes, be32, find, text_of};

/// Where in the registers a value lies: they are 64 bytes, which the kernel numbers in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register(u32);

impl Register {
    /// First byte in the registers; None is the verdict.
    pub fn offset(self) -> Option<usize> {
        let offset = match self.0 {
            NFT_REG_VERDICT => return None,
            number if number >= NFT_REG32_00 => (number - NFT_REG32_00) * 4,
            number => (number - 1) * 16,
        };
        usize::try_from(offset).ok()
    }
}

/// What a rule or an element of a map decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// On to the next base chain.
    Accept,
    /// The end.
    Drop,
    /// Back to the calling chain.
    Return,
    /// On with the next rule.
    Continue,
    /// Through another chain and back.
    Jump(String),
    /// Through another chain and not back.
    Goto(String),
    /// To a program.
    Queue,
}

/// One step of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// Loads what the kernel knows about a packet: `NFT_META_*`.
    Meta {
        /// Which.
        key: u32,
        /// Where to.
        to: Register,
    },
    /// Notes something about a packet: `NFT_META_*` (3 is the mark).
    SetMeta {
        /// Which.
        key: u32,
        /// Where from.
        from: Register,
    },
    /// Loads bytes of the packet.
    Payload {
        /// `NFT_PAYLOAD_*`: 0 link, 1 network, 2 transport header.
        base: u32,
        /// From this byte of the header.
        offset: u32,
        /// So many.
        length: u32,
        /// Where to.
        to: Register,
    },
    /// Loads what is known of the connection: `NFT_CT_*`.
    Connection {
        /// Which.
        key: u32,
        /// Where to.
        to: Register,
    },
    /// Loads the kind of an address: result `NFT_FIB_RESULT_*`, flags `NFTA_FIB_F_*`.
    Fib {
        /// What is asked.
        result: u32,
        /// About what.
        flags: u32,
        /// Where to.
        to: Register,
    },
    /// Combines with bits.
    Bitwise {
        /// Where from.
        from: Register,
        /// Where to.
        to: Register,
        /// And.
        mask: Vec<u8>,
        /// Exclusive or.
        xor: Vec<u8>,
    },
    /// Reverses the bytes of each number of `size` bytes.
    Byteorder {
        /// Where from.
        from: Register,
        /// Where to.
        to: Register,
        /// Bytes in all.
        length: u32,
        /// Bytes of each number.
        size: u32,
    },
    /// Goes on where a value compares: `NFT_CMP_*`, 0 equal to 5 greater or equal.
    Compare {
        /// Where from.
        from: Register,
        /// How.
        operation: u32,
        /// With.
        value: Vec<u8>,
    },
    /// Goes on where a value lies in a range, or not.
    Range {
        /// Where from.
        from: Register,
        /// Where it does not.
        outside: bool,
        /// The first.
        first: Vec<u8>,
        /// The last.
        last: Vec<u8>,
    },
    /// Loads a constant.
    Immediate {
        /// Where to.
        to: Register,
        /// What.
        value: Vec<u8>,
    },
    /// Decides.
    Verdict(Decision),
    /// Goes on where a value is in a set (or not), with what a map has for it.
    Lookup {
        /// The set's name.
        set: String,
        /// Where from.
        from: Register,
        /// Where to; a register without offset takes the map's decision.
        into: Option<Register>,
        /// Where it is not in the set.
        inverted: bool,
    },
    /// Translates.
    Nat {
        /// The destination, else the source.
        destination: bool,
        /// Of packets of this family only, `NFPROTO_*`: others go on with the next rule.
        family: u32,
        /// Where the address comes from.
        address: Option<Register>,
        /// Where the port comes from.
        port: Option<Register>,
    },
    /// Translates the source to the address of the link.
    Masquerade,
    /// Translates the destination to this host.
    Redirect {
        /// Where the port comes from.
        port: Option<Register>,
    },
    /// Ends with an error to the sender.
    Reject,
    /// Decides nothing: counts, logs, notes.
    Aside,
    /// A match of xtables, as iptables writes them.
    XtMatch {
        /// Its name.
        name: String,
        /// Its version.
        revision: u32,
        /// Its data, in the kernel's own form.
        info: Vec<u8>,
    },
    /// A target of xtables.
    XtTarget {
        /// Its name.
        name: String,
        /// Its data.
        info: Vec<u8>,
    },
    /// Something else.
    Unknown(String),
}

/// The expressions of a rule.
pub(super) fn expressions(list: &[u8]) -> Vec<Expression> {
    Attributes(list)
        .filter(|(kind, _)| *kind == NFTA_LIST_ELEM)
        .map(|(_, element)| expression(element))
        .collect()
}

fn expression(element: &[u8]) -> Expression {
    let name = find(element, NFTA_EXPR_NAME).map(text_of).unwrap_or_default();
    let data = find(element, NFTA_EXPR_DATA).unwrap_or_default();
    decode(&name, data).unwrap_or(Expression::Unknown(name))
}

fn decode(name: &str, data: &[u8]) -> Option<Expression> {
    let number = |kind| find(data, kind).and_then(be32);
    let register = |kind| number(kind).map(Register);
    let value = |kind| find(data, kind).and_then(|nested| find(nested, NFTA_DATA_VALUE)).map(<[u8]>::to_vec);
    Some(match name {
        "meta" => match register(NFTA_META_DREG) {
            Some(to) => Expression::Meta { key: number(NFTA_META_KEY)?, to },
            None => Expression::SetMeta { key: number(NFTA_META_KEY)?, from: register(NFTA_META_SREG)? },
        },
        "payload" => Expression::Payload {
            base: number(NFTA_PAYLOAD_BASE)?,
            offset: number(NFTA_PAYLOAD_OFFSET)?,
            length: number(NFTA_PAYLOAD_LEN)?,
            to: register(NFTA_PAYLOAD_DREG)?,
        },
        "ct" => Expression::Connection { key: number(NFTA_CT_KEY)?, to: register(NFTA_CT_DREG)? },
        "fib" => Expression::Fib {
            result: number(NFTA_FIB_RESULT)?,
            flags: number(NFTA_FIB_FLAGS)?,
            to: register(NFTA_FIB_DREG)?,
        },
        // Shifts came later, with an operation that is not 0.
        "bitwise" if number(NFTA_BITWISE_OP).unwrap_or(0) == 0 => Expression::Bitwise {
            from: register(NFTA_BITWISE_SREG)?,
            to: register(NFTA_BITWISE_DREG)?,
            mask: value(NFTA_BITWISE_MASK)?,
            xor: value(NFTA_BITWISE_XOR)?,
        },
        "byteorder" => Expression::Byteorder {
            from: register(NFTA_BYTEORDER_SREG)?,
            to: register(NFTA_BYTEORDER_DREG)?,
            length: number(NFTA_BYTEORDER_LEN)?,
            size: number(NFTA_BYTEORDER_SIZE)?,
        },
        "cmp" => Expression::Compare {
            from: register(NFTA_CMP_SREG)?,
            operation: number(NFTA_CMP_OP)?,
            value: value(NFTA_CMP_DATA)?,
        },
        "range" => Expression::Range {
            from: register(NFTA_RANGE_SREG)?,
            outside: number(NFTA_RANGE_OP)? != 0,
            first: value(NFTA_RANGE_FROM)?,
            last: value(NFTA_RANGE_TO)?,
        },
        "immediate" => match value(NFTA_IMMEDIATE_DATA) {
            Some(value) => Expression::Immediate { to: register(NFTA_IMMEDIATE_DREG)?, value },
            None => Expression::Verdict(decision(find(data, NFTA_IMMEDIATE_DATA)?)?),
        },
        "lookup" => Expression::Lookup {
            set: find(data, NFTA_LOOKUP_SET).map(text_of)?,
            from: register(NFTA_LOOKUP_SREG)?,
            into: register(NFTA_LOOKUP_DREG),
            inverted: number(NFTA_LOOKUP_FLAGS).unwrap_or(0) & NFT_LOOKUP_F_INV != 0,
        },
        "nat" => Expression::Nat {
            destination: number(NFTA_NAT_TYPE)? == NFT_NAT_DNAT,
            family: number(NFTA_NAT_FAMILY)?,
            address: register(NFTA_NAT_REG_ADDR_MIN),
            port: register(NFTA_NAT_REG_PROTO_MIN),
        },
        "masq" => Expression::Masquerade,
        "redir" => Expression::Redirect { port: register(NFTA_REDIR_REG_PROTO_MIN) },
        "reject" => Expression::Reject,
        "counter" | "log" | "last" | "notrack" | "dup" | "objref" => Expression::Aside,
        "match" => Expression::XtMatch {
            name: find(data, NFTA_XT_NAME).map(text_of)?,
            revision: number(NFTA_XT_REV).unwrap_or(0),
            info: find(data, NFTA_XT_INFO)?.to_vec(),
        },
        "target" => Expression::XtTarget {
            name: find(data, NFTA_XT_NAME).map(text_of)?,
            info: find(data, NFTA_XT_INFO)?.to_vec(),
        },
        _ => return None,
    })
}

/// The decision in an attribute with data.
pub(super) fn decision(data: &[u8]) -> Option<Decision> {
    let verdict = find(data, NFTA_DATA_VERDICT)?;
    let code = find(verdict, NFTA_VERDICT_CODE).and_then(be32)?.cast_signed();
    let chain = || find(verdict, NFTA_VERDICT_CHAIN).map(text_of);
    Some(match code {
        0 => Decision::Drop,
        1 => Decision::Accept,
        -1 | -2 => Decision::Continue,
        -3 => Decision::Jump(chain()?),
        -4 => Decision::Goto(chain()?),
        -5 => Decision::Return,
        // The queue's number is in the upper half.
        code if code & 0xffff == 3 => Decision::Queue,
        _ => return None,
    })
}

//! Types and values of nftables: what a key consists of and how its bytes lie. Fields of a key are padded to four bytes each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::numbers::*;
use crate::wire::Messages;

/// The type of a field, by the numbers that `nft` knows (`src/datatype.c`); the kernel keeps them without looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `ipv4_addr`
    Ipv4,
    /// `ipv6_addr`
    Ipv6,
    /// `inet_proto`
    Proto,
    /// `inet_service`
    Service,
    /// `ifname`
    Ifname,
}

impl Kind {
    fn number(self) -> u32 {
        match self {
            Self::Ipv4 => 7,
            Self::Ipv6 => 8,
            Self::Proto => 12,
            Self::Service => 13,
            Self::Ifname => 41,
        }
    }

    pub(super) fn length(self) -> u32 {
        match self {
            Self::Ipv4 => 4,
            Self::Ipv6 | Self::Ifname => 16,
            Self::Proto => 1,
            Self::Service => 2,
        }
    }

    /// Length in registers of four bytes.
    pub(super) fn registers(self) -> u32 {
        self.length().div_ceil(4)
    }
}

/// Number of a type of several fields: six bits each.
pub(super) fn type_number(kinds: &[Kind]) -> u32 {
    kinds.iter().fold(0, |number, kind| number << 6 | kind.number())
}

/// Length in bytes of a value of several fields; a single field is not padded.
pub(super) fn type_length(kinds: &[Kind]) -> u32 {
    match kinds {
        [kind] => kind.length(),
        kinds => kinds.iter().map(|kind| kind.registers() * 4).sum(),
    }
}

/// The bytes of a key or of a map's value. Equal to what the kernel lists, where a key of one field is not padded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    bytes: Vec<u8>,
}

impl Key {
    /// A key without fields.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn listed(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec() }
    }

    /// Adds an interface name; longer ones than the kernel's 15 bytes never match.
    pub fn ifname(self, name: &str) -> Self {
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        self.field(&bytes)
    }

    /// Adds an address.
    pub fn ip(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.ipv4(address),
            IpAddr::V6(address) => self.ipv6(address),
        }
    }

    /// Adds an IPv4 address.
    pub fn ipv4(self, address: Ipv4Addr) -> Self {
        self.field(&address.octets())
    }

    /// Adds an IPv6 address.
    pub fn ipv6(self, address: Ipv6Addr) -> Self {
        self.field(&address.octets())
    }

    /// Adds a transport protocol by number.
    pub fn proto(self, number: u8) -> Self {
        self.field(&[number])
    }

    /// Adds a port.
    pub fn port(self, port: u16) -> Self {
        self.field(&port.to_be_bytes())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Of several fields each is padded to four bytes, the last one too; an only field is not.
    fn field(mut self, value: &[u8]) -> Self {
        let first = self.bytes.is_empty();
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.bytes.extend_from_slice(value);
        if !first {
            self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        }
        self
    }
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on to the next base chain.
    Accept,
    /// It ends here.
    Drop,
    /// It goes on in the calling chain.
    Return,
    /// It goes through another chain first.
    Jump(&'static str),
}

/// What a map's key leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// Values.
    Value(Key),
    /// A verdict.
    Verdict(Verdict),
}

impl Data {
    /// Puts it as attribute `kind`.
    pub(super) fn put(&self, messages: &mut Messages, kind: u16) {
        messages.nest(kind, |data| match self {
            Self::Value(key) => data.put(NFTA_DATA_VALUE, key.bytes()),
            Self::Verdict(verdict) => verdict.put(data),
        });
    }
}

impl Verdict {
    pub(super) fn put(self, messages: &mut Messages) {
        // Codes of linux/netfilter.h and enum nft_verdicts.
        let (code, chain) = match self {
            Self::Drop => (0, None),
            Self::Accept => (1, None),
            Self::Jump(chain) => (-3, Some(chain)),
            Self::Return => (-5, None),
        };
        messages.nest(NFTA_DATA_VERDICT, |verdict| {
            verdict.put_be32(NFTA_VERDICT_CODE, i32::cast_unsigned(code));
            if let Some(chain) = chain {
                verdict.put_text(NFTA_VERDICT_CHAIN, chain);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_padded_when_there_are_several() {
        assert_eq!(Key::new().port(80).bytes(), [0, 80]);
        assert_eq!(
            Key::new().proto(6).ipv4(Ipv4Addr::new(10, 0, 0, 1)).port(80).bytes(),
            [6, 0, 0, 0, 10, 0, 0, 1, 0, 80, 0, 0]
        );
        let kinds = [Kind::Proto, Kind::Ipv4, Kind::Service];
        assert_eq!(type_length(&kinds), 12);
        assert_eq!(type_number(&kinds), (12 << 12) | (7 << 6) | 13);
        assert_eq!(type_length(&[Kind::Service]), 2);
    }
}

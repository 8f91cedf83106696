//! Hardware addresses: parsed, printed, made.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A 48-bit hardware address; text and JSON are `02:42:ac:11:00:02`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address that belongs to an IPv4 address: `02:42` and its four bytes. A neighbour that remembers the previous owner
    /// of the IP address so remembers the right hardware address, too.
    pub fn of(ip: Ipv4Addr) -> Self {
        let [a, b, c, d] = ip.octets();
        Self([0x02, 0x42, a, b, c, d])
    }

    /// A random address, locally administered, unicast.
    pub fn random() -> Self {
        let mut bytes = [0; 6];
        crate::random::fill(&mut bytes);
        bytes[0] = (bytes[0] & 0xfc) | 0x02;
        Self(bytes)
    }
}

/// Not a hardware address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("address {0}: invalid MAC address")]
pub struct InvalidMac(String);

impl FromStr for Mac {
    type Err = InvalidMac;

    /// Six bytes in hex with colons, dashes, or as Cisco's three dotted groups, as Go's `net.ParseMAC` reads them.
    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        let invalid = || InvalidMac(text.to_owned());
        let (separator, width) = match text.chars().find(|c| !c.is_ascii_hexdigit()) {
            Some(separator @ (':' | '-')) => (separator, 2),
            Some('.') => ('.', 4),
            _ => return Err(invalid()),
        };
        let mut digits = String::with_capacity(12);
        for group in text.split(separator) {
            if group.len() != width || !group.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(invalid());
            }
            digits.push_str(group);
        }
        if digits.len() != 12 {
            return Err(invalid());
        }
        let value = u64::from_str_radix(&digits, 16).map_err(|_| invalid())?;
        let mut bytes = [0; 6];
        bytes.copy_from_slice(&value.to_be_bytes()[2..]);
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Mac {
    type Error = InvalidMac;

    fn try_from(text: String) -> Result<Self, InvalidMac> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_that_go_reads() {
        let want = Mac([0x02, 0x42, 0xac, 0x11, 0x00, 0x02]);
        for text in ["02:42:ac:11:00:02", "02-42-AC-11-00-02", "0242.ac11.0002"] {
            assert_eq!(text.parse(), Ok(want), "{text}");
        }
        for text in [
            "",
            "02:42:ac:11:00",
            "02:42:ac:11:00:02:03",
            "0242ac110002",
            "02:42-ac:11:00:02",
            "zz:42:ac:11:00:02",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
        assert_eq!(Mac::of(Ipv4Addr::new(172, 17, 0, 2)).to_string(), "02:42:ac:11:00:02");
        assert_eq!(Mac::random().0[0] & 3, 2);
    }
}

//! Networks in CIDR notation, as `insecure-registries` and `NO_PROXY` name them.

use std::net::IpAddr;

/// `10.0.0.0/8`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Network {
    bits: u128,
    prefix: u32,
    is_v4: bool,
}

impl Network {
    pub fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let prefix: u32 = prefix.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= width).then(|| Network { bits: bits(address), prefix, is_v4: address.is_ipv4() })
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let width = if self.is_v4 { 32 } else { 128 };
        let shift = width - self.prefix;
        let network = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
        address.is_ipv4() == self.is_v4 && network(bits(address)) == network(self.bits)
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

//! Driver options of a network (`com.docker.network.*`), parsed once: what the rest of the crate asks about a network.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use crate::error::{Error, Result};
use crate::record::{Driver, NetworkRecord};

/// What becomes of connections from outside the network to its containers (`gateway_mode_ipv4`, `gateway_mode_ipv6`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GatewayMode {
    /// Only published ports get in, by translation; outgoing connections have the host's address.
    Nat,
    /// As `Nat`, but any port can be reached by who has a route.
    NatUnprotected,
    /// Only published ports get in, without translation in either direction.
    Routed,
    /// The host has no address in the network.
    Isolated,
}

/// The options that we act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BridgeOptions {
    pub(crate) bridge: String,
    pub(crate) masquerade: bool,
    pub(crate) icc: bool,
    pub(crate) host_binding: Option<IpAddr>,
    pub(crate) mtu: u32,
    pub(crate) mode4: GatewayMode,
    pub(crate) mode6: GatewayMode,
    pub(crate) host_ipv4: Option<Ipv4Addr>,
    pub(crate) inhibit_ipv4: bool,
    pub(crate) internal: bool,
}

pub(crate) const NAME: &str = "com.docker.network.bridge.name";
pub(crate) const MTU: &str = "com.docker.network.driver.mtu";
pub(crate) const DEFAULT_BRIDGE: &str = "com.docker.network.bridge.default_bridge";
pub(crate) const ICC: &str = "com.docker.network.bridge.enable_icc";
pub(crate) const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
pub(crate) const HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
const MODE4: &str = "com.docker.network.bridge.gateway_mode_ipv4";
const MODE6: &str = "com.docker.network.bridge.gateway_mode_ipv6";
const HOST_IPV4: &str = "com.docker.network.host_ipv4";
const INHIBIT_IPV4: &str = "com.docker.network.bridge.inhibit_ipv4";

impl BridgeOptions {
    /// Reads them; fails on values that Docker refuses.
    pub(crate) fn parse(id: &str, options: &BTreeMap<String, String>, internal: bool) -> Result<Self> {
        let text = |key: &str| options.get(key).map(String::as_str).filter(|value| !value.is_empty());
        let boolean = |key: &str, default: bool| match text(key) {
            None => Ok(default),
            Some(value) => parse_bool(value).ok_or_else(|| invalid(key, value)),
        };
        let mode = |key: &str| match text(key) {
            None | Some("nat") => Ok(GatewayMode::Nat),
            Some("nat-unprotected") => Ok(GatewayMode::NatUnprotected),
            Some("routed") => Ok(GatewayMode::Routed),
            Some("isolated") if internal => Ok(GatewayMode::Isolated),
            Some("isolated") => {
                Err(Error::invalid("gateway mode 'isolated' can only be used for an internal network"))
            }
            Some(value) => Err(Error::invalid(format!("unknown gateway mode {value}"))),
        };
        fn address<T: std::str::FromStr>(key: &str, value: Option<&str>) -> Result<Option<T>> {
            value.map(|value| value.parse().map_err(|_| invalid(key, value))).transpose()
        }
        let mtu = match text(MTU) {
            None => 0,
            Some(value) => value.parse().map_err(|_| invalid(MTU, value))?,
        };
        let bridge = text(NAME).map_or_else(|| format!("br-{}", &id[..id.len().min(12)]), str::to_owned);
        if bridge.len() > 15 || bridge.contains(['/', ' ']) || bridge == "." || bridge == ".." {
            return Err(invalid(NAME, &bridge));
        }
        Ok(Self {
            bridge,
            masquerade: boolean(MASQUERADE, true)?,
            icc: boolean(ICC, true)?,
            host_binding: address(HOST_BINDING, text(HOST_BINDING))?,
            mtu,
            mode4: mode(MODE4)?,
            mode6: mode(MODE6)?,
            host_ipv4: address(HOST_IPV4, text(HOST_IPV4))?,
            inhibit_ipv4: boolean(INHIBIT_IPV4, false)?,
            internal,
        })
    }

    /// The options of a network that was checked when it was made; None when it has no bridge.
    pub(crate) fn of(network: &NetworkRecord) -> Option<Self> {
        (network.driver == Driver::Bridge && !network.config_only)
            .then(|| Self::parse(&network.id, &network.options, network.internal).ok())
            .flatten()
    }
}

fn invalid(key: &str, value: &str) -> Error {
    Error::invalid(format!("invalid value for option {key}: {value}"))
}

/// Go's `strconv.ParseBool`.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[(&str, &str)]) -> Result<BridgeOptions> {
        let options = options.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        BridgeOptions::parse(&"ab".repeat(32), &options, false)
    }

    #[test]
    fn defaults_are_dockers() {
        let options = parse(&[]).unwrap();
        assert_eq!(options.bridge, "br-abababababab");
        assert!(options.masquerade && options.icc && !options.inhibit_ipv4);
        assert_eq!((options.mode4, options.mtu), (GatewayMode::Nat, 0));
    }

    #[test]
    fn wrong_values_are_refused() {
        for (key, value) in
            [(ICC, "maybe"), (MTU, "-1"), (NAME, "a-bridge-name-too-long"), (HOST_IPV4, "fd00::1")]
        {
            let error = parse(&[(key, value)]).unwrap_err().to_string();
            assert_eq!(error, format!("invalid value for option {key}: {value}"));
        }
        assert!(parse(&[(MODE4, "isolated")]).is_err());
        assert!(!parse(&[(ICC, "false")]).unwrap().icc);
    }
}

//! Which registries may be spoken to without a valid certificate: those that somebody named, and loopback.
//!
//! A registry whose authority lies in `certs.d` is never taken for insecure by its address alone: somebody has said how to check it.

use std::net::IpAddr;

use crate::config::Registries;
use crate::error::Result;
use crate::network::Network;
use crate::tls::HostCerts;

/// Whether `host[:port]` may be spoken to without a valid certificate.
pub(super) async fn is_insecure(registries: &Registries, registry: &str) -> Result<bool> {
    let config = registries.config();
    let host = host_only(registry);
    let (networks, names): (Vec<&String>, Vec<&String>) =
        config.insecure.iter().partition(|entry| Network::parse(entry).is_some());
    if names.iter().any(|name| name.as_str() == registry || name.as_str() == host) {
        return Ok(true);
    }
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => match registries.0.resolver.local(host) {
            Some(addresses) => addresses,
            None if networks.is_empty() => return Ok(false),
            None => registries.0.resolver.lookup(host).await.unwrap_or_default(),
        },
    };
    let within = |entry: &str| {
        let network = Network::parse(entry);
        network.is_some_and(|network| addresses.iter().any(|address| network.contains(*address)))
    };
    if networks.iter().any(|network| within(network)) {
        return Ok(true);
    }
    if !config.insecure_networks.iter().any(|network| within(network)) {
        return Ok(false);
    }
    Ok(!HostCerts::read(&config.certs_dirs, registry)?.has_authorities())
}

/// `localhost` of `localhost:5000`, `::1` of `[::1]:5000`.
fn host_only(registry: &str) -> &str {
    if let Some(rest) = registry.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    match registry.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => registry,
    }
}

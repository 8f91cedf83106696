//! Which URLs stand for a registry name, and in which order they are tried.
//!
//! As Docker: mirrors, then Docker Hub; for every other registry HTTPS, and after that plain HTTP if the registry is
//! insecure, which loopback addresses are without being told. A registry whose authority lies in `certs.d` is never taken
//! for insecure by its address alone: somebody has said how to check it.

use std::net::IpAddr;

use ::http::Uri;
use image::DEFAULT_REGISTRY;

use crate::config::Registries;
use crate::error::{Error, Result};
use crate::tls::HostCerts;

/// The host that `docker.io` stands for.
pub(crate) const HUB: &str = "registry-1.docker.io";
const HUB_ALIASES: [&str; 2] = [DEFAULT_REGISTRY, "index.docker.io"];

/// One base URL to try.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// Without a slash at the end: `https://registry-1.docker.io`.
    pub base: String,
    /// `host[:port]`, the name of its folder in `certs.d`.
    pub host: String,
    /// A failure of any kind leads to the next endpoint.
    pub mirror: bool,
    /// Whether the certificate is checked.
    pub verify: bool,
}

impl Endpoint {
    pub fn is_https(&self) -> bool {
        self.base.starts_with("https://")
    }
}

/// The endpoints of a registry, best first; never empty. Looks a name up only if networks are configured as insecure.
pub(crate) async fn endpoints(registries: &Registries, registry: &str) -> Result<Vec<Endpoint>> {
    if !HUB_ALIASES.contains(&registry) {
        return host_endpoints(registries, registry).await;
    }
    let mut endpoints = Vec::new();
    for mirror in &registries.config().mirrors {
        endpoints.push(mirror_endpoint(registries, mirror).await?);
    }
    let host = HUB.to_owned();
    endpoints.push(Endpoint { base: format!("https://{HUB}"), host, mirror: false, verify: true });
    Ok(endpoints)
}

async fn host_endpoints(registries: &Registries, host: &str) -> Result<Vec<Endpoint>> {
    let insecure = is_insecure(registries, host).await?;
    let endpoint = |scheme: &str| Endpoint {
        base: format!("{scheme}://{host}"),
        host: host.to_owned(),
        mirror: false,
        verify: !insecure,
    };
    let mut endpoints = vec![endpoint("https")];
    if insecure {
        endpoints.push(endpoint("http"));
    }
    Ok(endpoints)
}

async fn mirror_endpoint(registries: &Registries, mirror: &str) -> Result<Endpoint> {
    let with_scheme = if mirror.contains("://") { mirror.to_owned() } else { format!("https://{mirror}") };
    let base = with_scheme.trim_end_matches('/').to_owned();
    let invalid = || Error::Configuration(format!("invalid mirror: {mirror:?} is not a valid URI"));
    let uri: Uri = base.parse().map_err(|_| invalid())?;
    let authority = uri.authority().ok_or_else(invalid)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(invalid());
    }
    let host = authority.as_str().to_owned();
    let verify = !is_insecure(registries, &host).await?;
    Ok(Endpoint { base, host, mirror: true, verify })
}

/// Whether `host[:port]` may be spoken to without a valid certificate.
async fn is_insecure(registries: &Registries, registry: &str) -> Result<bool> {
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

/// `10.0.0.0/8`.
struct Network {
    bits: u128,
    prefix: u32,
    is_v4: bool,
}

impl Network {
    fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let prefix: u32 = prefix.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= width).then(|| Network { bits: bits(address), prefix, is_v4: address.is_ipv4() })
    }

    fn contains(&self, address: IpAddr) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RegistriesConfig, resolve};

    async fn check(config: RegistriesConfig, registry: &str, expected: &[(&str, bool)]) {
        let registries = Registries::new(config);
        let found = endpoints(&registries, registry).await.unwrap();
        let found: Vec<_> = found.iter().map(|endpoint| (endpoint.base.as_str(), endpoint.verify)).collect();
        assert_eq!(found, expected, "{registry}");
    }

    fn config() -> RegistriesConfig {
        let nowhere = resolve::Files { hosts: "/nonexistent".into(), resolv_conf: "/nonexistent".into() };
        RegistriesConfig { resolver: nowhere, certs_dirs: Vec::new(), ..RegistriesConfig::default() }
    }

    #[tokio::test]
    async fn loopback_is_insecure_and_everything_else_is_not() {
        check(
            config(),
            "localhost:5000",
            &[("https://localhost:5000", false), ("http://localhost:5000", false)],
        )
        .await;
        check(config(), "127.1.2.3", &[("https://127.1.2.3", false), ("http://127.1.2.3", false)]).await;
        check(config(), "[::1]:5000", &[("https://[::1]:5000", false), ("http://[::1]:5000", false)]).await;
        check(config(), "ghcr.io", &[("https://ghcr.io", true)]).await;
        check(config(), "10.1.1.1:5000", &[("https://10.1.1.1:5000", true)]).await;
    }

    #[tokio::test]
    async fn named_registries_and_networks_are_insecure() {
        let insecure = ["reg.lab", "other:5000", "10.0.0.0/8"].map(str::to_owned).to_vec();
        let config = RegistriesConfig { insecure, ..config() };
        let both = |host: &str| [(format!("https://{host}"), false), (format!("http://{host}"), false)];
        for host in ["reg.lab", "reg.lab:5000", "other:5000", "10.9.9.9:1"] {
            let want = both(host);
            let want: Vec<_> = want.iter().map(|(base, verify)| (base.as_str(), *verify)).collect();
            check(config.clone(), host, &want).await;
        }
        check(config, "11.0.0.1:80", &[("https://11.0.0.1:80", true)]).await;
    }

    #[tokio::test]
    async fn an_authority_makes_loopback_secure() {
        let folder = tempfile::tempdir().unwrap();
        let certs = folder.path().join("localhost:5000");
        std::fs::create_dir(&certs).unwrap();
        std::fs::write(
            certs.join("ca.crt"),
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        )
        .unwrap();
        let config = RegistriesConfig { certs_dirs: vec![folder.path().to_owned()], ..config() };
        check(config, "localhost:5000", &[("https://localhost:5000", true)]).await;
    }

    #[tokio::test]
    async fn mirrors_come_before_the_hub() {
        let mirrors = ["http://127.0.0.1:5001/", "mirror.example/hub"].map(str::to_owned).to_vec();
        let config = RegistriesConfig { mirrors, ..config() };
        let want = [
            ("http://127.0.0.1:5001", false),
            ("https://mirror.example/hub", true),
            ("https://registry-1.docker.io", true),
        ];
        check(config, "docker.io", &want).await;
    }
}

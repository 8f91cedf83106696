//! Which URLs stand for a registry name, and in which order they are tried.
//!
//! ```text
//! registries.conf: blocked? ─▶ registry-mirrors (Docker Hub) ─▶ the registry's hosts.toml
//!                                                              else registries.conf: mirrors, location
//!                                                              else _default/hosts.toml
//!                                                              else https, then http where it is insecure
//! ```
//! The files are read anew for each operation: an edit counts from the next pull on. How insecure registries are found:
//! [`insecure`]; which file says what: [`hosts_toml`], [`registries_conf`]. For users: docs/registries.md.

pub(crate) mod hosts_toml;
mod insecure;
pub(crate) mod registries_conf;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use ::http::{HeaderMap, Uri};
use image::{DEFAULT_REGISTRY, Reference};

use crate::config::Registries;
use crate::error::{Error, Result};
use crate::tls::CertFiles;
use hosts_toml::{Capabilities, Host, Hosts};
use insecure::is_insecure;
use registries_conf::{Place, Rule, Rules};

/// The host that `docker.io` stands for.
pub(crate) const HUB: &str = "registry-1.docker.io";
const HUB_ALIASES: [&str; 2] = [DEFAULT_REGISTRY, "index.docker.io"];
/// Where the API begins, unless somebody says otherwise.
const API: &str = "/v2";

/// One base URL to try.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// Without a slash at the end: `https://registry-1.docker.io`.
    pub base: String,
    /// Between `base` and a repository: `/v2`, or nothing.
    pub api: &'static str,
    /// `host[:port]`, the name of its folder in `certs.d`.
    pub host: String,
    /// A failure of any kind leads to the next endpoint.
    pub mirror: bool,
    /// It is the registry that was asked for, not somebody in its place: it may see that registry's password.
    pub own: bool,
    /// Whether it may be asked what a tag stands for.
    pub resolves: bool,
    /// Whether the certificate is checked.
    pub verify: bool,
    /// Certificates besides those in its folder.
    pub certs: CertFiles,
    /// Sent with every request to it.
    pub headers: HeaderMap,
    /// The repository's name there, where it is another one.
    pub repository: Option<String>,
    /// What is asked for there in place of a tag.
    pub version: Option<String>,
    /// The registry that it stands in for, told as `?ns=`.
    pub namespace: Option<String>,
    /// How long a connection may take, where somebody said so.
    pub connect: Option<Duration>,
}

/// What endpoints are wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Pull,
    Push,
}

impl Endpoint {
    pub fn new(scheme: &str, host: &str) -> Self {
        Self {
            base: format!("{scheme}://{host}"),
            api: API,
            host: host.to_owned(),
            mirror: false,
            own: true,
            resolves: true,
            verify: true,
            certs: CertFiles::default(),
            headers: HeaderMap::new(),
            repository: None,
            version: None,
            namespace: None,
            connect: None,
        }
    }

    pub fn is_https(&self) -> bool {
        self.base.starts_with("https://")
    }
}

/// The endpoints for an image, best first; never empty. Looks a name up only if networks are configured as insecure.
pub(crate) async fn endpoints_for(
    registries: &Registries,
    reference: &Reference,
    purpose: Purpose,
) -> Result<Vec<Endpoint>> {
    let config = registries.config();
    let rules = Rules::read(&config.registries_conf)?;
    let rule = rules.find(reference);
    refuse_blocked(rule, &reference.registry)?;
    let registry = reference.registry.as_str();
    let mut endpoints = Vec::new();
    if purpose == Purpose::Pull && HUB_ALIASES.contains(&registry) {
        for mirror in &config.mirrors {
            endpoints.push(mirror_endpoint(registries, mirror).await?);
        }
    }
    if let Some(hosts) = hosts_toml::find(&config.certs_dirs, registry)? {
        endpoints.extend(by_hosts(registries, registry, hosts, purpose).await?);
    } else if let Some(rule) = rule {
        endpoints.extend(by_rule(registries, reference, rule, purpose).await?);
    } else if let Some(hosts) = hosts_toml::find_default(&config.certs_dirs)? {
        endpoints.extend(by_hosts(registries, registry, hosts, purpose).await?);
    } else {
        endpoints.extend(upstream(registries, registry, false).await?);
    }
    Ok(endpoints)
}

/// The endpoints of a registry itself, without mirrors: for logins and searches.
pub(crate) async fn endpoints(registries: &Registries, registry: &str) -> Result<Vec<Endpoint>> {
    let config = registries.config();
    let rules = Rules::read(&config.registries_conf)?;
    let rule = rules.find_registry(registry);
    refuse_blocked(rule, registry)?;
    if let Some(hosts) = hosts_toml::find(&config.certs_dirs, registry)? {
        return server(registries, registry, &hosts.server).await;
    }
    upstream(registries, registry, rule.is_some_and(|rule| rule.insecure)).await
}

fn refuse_blocked(rule: Option<&Rule>, registry: &str) -> Result<()> {
    match rule.is_some_and(|rule| rule.blocked) {
        true => Err(Error::Configuration(format!("registry {registry} is blocked in registries.conf"))),
        false => Ok(()),
    }
}

/// HTTPS, and plain HTTP after it where that is allowed.
async fn upstream(registries: &Registries, registry: &str, insecure: bool) -> Result<Vec<Endpoint>> {
    if HUB_ALIASES.contains(&registry) {
        return Ok(vec![Endpoint::new("https", HUB)]);
    }
    if !insecure && !is_insecure(registries, registry).await? {
        return Ok(vec![Endpoint::new("https", registry)]);
    }
    let unchecked = |scheme: &str| Endpoint { verify: false, ..Endpoint::new(scheme, registry) };
    Ok(vec![unchecked("https"), unchecked("http")])
}

async fn by_hosts(
    registries: &Registries,
    registry: &str,
    hosts: Hosts,
    purpose: Purpose,
) -> Result<Vec<Endpoint>> {
    let may = |can: Capabilities| match purpose {
        Purpose::Pull => can.pull,
        Purpose::Push => can.push,
    };
    let mut endpoints = Vec::new();
    for host in hosts.hosts.iter().filter(|host| may(host.capabilities)) {
        let mut endpoint = named_host(registries, host).await?;
        endpoint.own = endpoint.host == registry;
        endpoint.mirror = true;
        endpoint.namespace = (!endpoint.own).then(|| registry.to_owned());
        endpoints.push(endpoint);
    }
    let server = match may(hosts.server.capabilities) {
        true => server(registries, registry, &hosts.server).await?,
        false => Vec::new(),
    };
    endpoints.extend(server);
    if endpoints.is_empty() {
        let text = format!("{} of {registry} names no host for this", hosts_toml::NAME);
        return Err(Error::Configuration(text));
    }
    if purpose == Purpose::Push {
        // A push goes to one place: what lies half here and half there is no image.
        endpoints.truncate(1);
        endpoints[0].mirror = false;
    }
    Ok(endpoints)
}

/// The registry itself, as its `hosts.toml` describes it.
async fn server(registries: &Registries, registry: &str, server: &Host) -> Result<Vec<Endpoint>> {
    if !server.url.is_empty() {
        return Ok(vec![named_host(registries, server).await?]);
    }
    let endpoints = upstream(registries, registry, false).await?;
    Ok(endpoints.into_iter().map(|endpoint| settle(endpoint, server)).collect())
}

async fn named_host(registries: &Registries, host: &Host) -> Result<Endpoint> {
    let mut endpoint = endpoint_of_url(&host.url, "host")?;
    endpoint.verify = !is_insecure(registries, &endpoint.host).await?;
    Ok(settle(endpoint, host))
}

fn settle(mut endpoint: Endpoint, host: &Host) -> Endpoint {
    endpoint.verify &= !host.skip_verify;
    endpoint.resolves = host.capabilities.resolve;
    endpoint.certs.clone_from(&host.certs);
    endpoint.headers.clone_from(&host.headers);
    endpoint.connect = host.connect;
    if host.override_path {
        endpoint.api = "";
    } else if let Some(base) = endpoint.base.strip_suffix(API) {
        endpoint.base = base.to_owned();
    }
    endpoint
}

async fn by_rule(
    registries: &Registries,
    reference: &Reference,
    rule: &Rule,
    purpose: Purpose,
) -> Result<Vec<Endpoint>> {
    let mut endpoints = Vec::new();
    if purpose == Purpose::Pull {
        for place in rule.mirrors(reference)? {
            let there = at_place(registries, &place, reference).await?;
            endpoints.extend(there.into_iter().map(|endpoint| Endpoint { mirror: true, ..endpoint }));
        }
    }
    match rule.location(reference)? {
        Some(place) => endpoints.extend(at_place(registries, &place, reference).await?),
        None => endpoints.extend(upstream(registries, &reference.registry, rule.insecure).await?),
    }
    Ok(endpoints)
}

async fn at_place(registries: &Registries, place: &Place, reference: &Reference) -> Result<Vec<Endpoint>> {
    let endpoints = upstream(registries, &place.host, place.insecure).await?;
    let own = place.host == reference.registry;
    let repository = (place.repository != reference.repository).then(|| place.repository.clone());
    Ok(endpoints
        .into_iter()
        .map(|endpoint| Endpoint {
            own,
            repository: repository.clone(),
            version: place.version.clone(),
            ..endpoint
        })
        .collect())
}

/// One of `registry-mirrors`.
async fn mirror_endpoint(registries: &Registries, mirror: &str) -> Result<Endpoint> {
    let endpoint = endpoint_of_url(mirror, "mirror")?;
    let verify = !is_insecure(registries, &endpoint.host).await?;
    Ok(Endpoint { mirror: true, own: false, verify, ..endpoint })
}

/// HTTPS where no scheme is given.
fn endpoint_of_url(text: &str, what: &str) -> Result<Endpoint> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let base = with_scheme.trim_end_matches('/').to_owned();
    let invalid = || Error::Configuration(format!("invalid {what}: {text:?} is not a valid URI"));
    let uri: Uri = base.parse().map_err(|_| invalid())?;
    let authority = uri.authority().ok_or_else(invalid)?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https")).ok_or_else(invalid)?;
    Ok(Endpoint { base: base.clone(), ..Endpoint::new(scheme, authority.as_str()) })
}

/// A file that is not there says nothing.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

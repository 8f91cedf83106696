//! A container's networks at start and at its end: namespace, endpoints, published ports, and the files that tell the
//! container about them. Blocking; all or nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ::network::{Endpoint, EndpointSpec, Published, gateway_endpoint};
use api::EndpointSettings;

use super::super::create::ports;
use super::super::model::Container;
use super::super::modes::Network;
use super::super::record::Record;
use crate::Engine;
use crate::error::{Error, Result};

const IFNAME: &str = "com.docker.network.endpoint.ifname";

/// A container's place in its networks.
#[derive(Default)]
pub(crate) struct Joined {
    /// The namespace to start in; None is the host's.
    pub netns: Option<OwnedFd>,
    pub published: Published,
}

impl Engine {
    /// Connects a container that is about to start. What fails half-way is undone by [`Engine::leave_networks`].
    pub(crate) fn join_networks(&self, container: &Arc<Container>) -> Result<Joined> {
        let record = container.record();
        let joined = match Network::parse(&record.host.network_mode) {
            Network::Container(other) => {
                let other = self.containers.find(&other)?;
                return Ok(Joined { netns: Some(netns_of(&other)?), ..Joined::default() });
            }
            Network::Host => {
                self.networks.connect(
                    "host",
                    &mut self.networks.sandbox(None)?,
                    self.endpoint_spec(&record, None)?,
                )?;
                Joined::default()
            }
            Network::None => {
                let mut sandbox = self.networks.sandbox(None)?;
                self.networks.connect("none", &mut sandbox, self.endpoint_spec(&record, None)?)?;
                Joined { netns: Some(sandbox.into_netns()), ..Joined::default() }
            }
            Network::Named(name) => self.join_named(container, &record, &name)?,
        };
        let endpoints = self.networks.attachment(&container.id).endpoints;
        self.write_network_files(container, &record, &endpoints)?;
        for endpoint in &endpoints {
            self.endpoint_event("connect", endpoint);
        }
        Ok(joined)
    }

    fn join_named(&self, container: &Container, record: &Record, first: &str) -> Result<Joined> {
        if record.config.network_disabled {
            return Ok(Joined {
                netns: Some(self.networks.sandbox(None)?.into_netns()),
                ..Joined::default()
            });
        }
        let mut sandbox = self.networks.sandbox(Some(first))?;
        for (name, settings) in endpoints(record, first) {
            self.networks.connect(name, &mut sandbox, self.endpoint_spec(record, settings)?)?;
        }
        let ports = ports::publish(&record.config, &record.host)?;
        let mut published = Published::default();
        if !ports.is_empty() {
            let attachment = self.networks.attachment(&container.id);
            if let Some(endpoint) = gateway_endpoint(&attachment.endpoints) {
                published = self.networks.publish(&ports, endpoint)?;
            }
        }
        Ok(Joined { netns: Some(sandbox.into_netns()), published })
    }

    /// What a container asks of a network.
    pub(crate) fn endpoint_spec(
        &self,
        record: &Record,
        settings: Option<&EndpointSettings>,
    ) -> Result<EndpointSpec> {
        let mut spec = EndpointSpec {
            container_id: record.id.clone(),
            container_name: record.name.clone(),
            hostname: record.config.hostname.clone(),
            ..EndpointSpec::default()
        };
        let Some(settings) = settings else { return Ok(spec) };
        let address = |text: &str| -> Result<Option<IpAddr>> {
            match text {
                "" => Ok(None),
                text => {
                    text.parse().map(Some).map_err(|_| Error::invalid(format!("invalid IP address: {text}")))
                }
            }
        };
        if let Some(ipam) = &settings.ipam_config {
            spec.ipv4 = match address(&ipam.ipv4_address)? {
                Some(IpAddr::V6(_)) => {
                    return Err(Error::invalid(format!("invalid IPv4 address: {}", ipam.ipv4_address)));
                }
                Some(IpAddr::V4(ip)) => Some(ip),
                None => None,
            };
            spec.ipv6 = match address(&ipam.ipv6_address)? {
                Some(IpAddr::V4(_)) => {
                    return Err(Error::invalid(format!("invalid IPv6 address: {}", ipam.ipv6_address)));
                }
                Some(IpAddr::V6(ip)) => Some(ip),
                None => None,
            };
            for text in ipam.link_local_ips.iter().flatten() {
                spec.link_local.extend(address(text)?);
            }
        }
        spec.aliases = settings.aliases.clone().unwrap_or_default();
        for link in settings.links.iter().flatten() {
            let (other, alias) = link.split_once(':').unwrap_or((link, link));
            spec.links.push((alias.to_owned(), other.trim_start_matches('/').to_owned()));
        }
        if !settings.mac_address.is_empty() {
            spec.mac = Some(
                settings
                    .mac_address
                    .parse()
                    .map_err(|_| Error::invalid(format!("invalid MAC address: {}", settings.mac_address)))?,
            );
        }
        spec.options = settings.driver_opts.clone().unwrap_or_default();
        spec.ifname = spec.options.get(IFNAME).cloned();
        spec.gateway_priority = settings.gw_priority;
        Ok(spec)
    }

    /// Gives back everything that a container has in networks. Blocking; failures are logged, nobody could act on them.
    pub(crate) fn leave_networks(&self, container_id: &str) {
        let attachment = self.networks.attachment(container_id);
        for error in self.networks.release(container_id) {
            tracing::warn!(%error, container = %container_id, "release networks");
        }
        for endpoint in &attachment.endpoints {
            self.endpoint_event("disconnect", endpoint);
        }
    }

    /// Tells the events about a container in a network.
    pub(crate) fn endpoint_event(&self, action: &str, endpoint: &Endpoint) {
        let driver = self.networks.get(&endpoint.network_id).map(|network| network.driver.name());
        let attributes = BTreeMap::from([
            ("container".to_owned(), endpoint.container_id.clone()),
            ("name".to_owned(), endpoint.network_name.clone()),
            ("type".to_owned(), driver.unwrap_or_default().to_owned()),
        ]);
        self.events.emit("network", action, &endpoint.network_id, attributes);
    }
}

/// The endpoints of a container in the order of connecting: that of its network mode first, which may have one waiting.
fn endpoints<'a>(record: &'a Record, first: &'a str) -> Vec<(&'a str, Option<&'a EndpointSettings>)> {
    let mut list = vec![(first, record.endpoints.get(first))];
    list.extend(
        record
            .endpoints
            .iter()
            .filter(|(name, _)| name.as_str() != first)
            .map(|(name, settings)| (name.as_str(), Some(settings))),
    );
    list
}

/// A running container's network namespace.
pub(crate) fn netns_of(container: &Container) -> Result<OwnedFd> {
    let Some(run) = container.status().run() else {
        return Err(Error::conflict(format!(
            "cannot join network namespace of a non running container: {}",
            container.id
        )));
    };
    let path = format!("/proc/{}/ns/net", run.pid);
    Ok(File::open(&path).map_err(|error| Error::host(format!("open {path}"), error))?.into())
}

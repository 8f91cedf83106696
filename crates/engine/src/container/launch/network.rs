//! A container's networks at start and at its end: namespace, endpoints, published ports, and the files that tell the
//! container about them. Blocking; all or nothing.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use ::network::home::Lease;
use ::network::{Endpoint, EndpointSpec, Published, Sandbox, gateway_endpoint};
use api::EndpointSettings;

use super::super::create::ports;
use super::super::live;
use super::super::model::Container;
use super::super::modes::Network;
use super::super::record::Record;
use crate::Engine;
use crate::error::{Error, Result};
use crate::networks::endpoint;

/// A container's place in its networks.
#[derive(Default)]
pub(crate) struct Joined {
    /// The namespace to start in; None is the host's.
    pub netns: Option<OwnedFd>,
    pub published: Published,
    /// Of the place where its networks are, unless that is the host.
    pub lease: Option<Lease>,
}

impl Engine {
    /// Connects a container that is about to start. What fails half-way is undone by [`Engine::leave_networks`].
    /// `sandbox`: where its process is already.
    pub(crate) fn join_networks(
        &self,
        container: &Arc<Container>,
        sandbox: Option<Sandbox>,
    ) -> Result<Joined> {
        let record = container.record();
        let joined = match Network::parse(&record.host.network_mode) {
            Network::Container(other) => {
                let other = self.containers.find(&other)?;
                let lease = self.lease(&other.id)?;
                return Ok(Joined { netns: Some(netns_of(&other)?), lease, ..Joined::default() });
            }
            Network::Host => {
                // Nothing is made in it: only the record says that the container is there.
                let own = std::fs::File::open("/proc/thread-self/ns/net")
                    .map_err(|error| Error::host("open the host's network namespace", error))?;
                let mut sandbox = Sandbox::existing(own.into());
                self.networks.connect("host", &mut sandbox, nothing_asked(&record))?;
                Joined::default()
            }
            Network::None => {
                let mut sandbox = given(sandbox, || self.networks.sandbox(None))?;
                self.networks.connect("none", &mut sandbox, nothing_asked(&record))?;
                Joined { netns: Some(sandbox.into_netns()), ..Joined::default() }
            }
            Network::Named(name) => self.join_named(container, &record, &name, sandbox)?,
        };
        let endpoints = self.networks.attachment(&container.id).endpoints;
        self.write_network_files(container, &record, &endpoints)?;
        for endpoint in &endpoints {
            self.endpoint_event("connect", endpoint);
        }
        Ok(joined)
    }

    fn join_named(
        &self,
        container: &Container,
        record: &Record,
        first: &str,
        sandbox: Option<Sandbox>,
    ) -> Result<Joined> {
        if record.config.network_disabled {
            return Ok(Joined {
                netns: Some(given(sandbox, || self.networks.sandbox(None))?.into_netns()),
                ..Joined::default()
            });
        }
        let mut sandbox = given(sandbox, || self.networks.sandbox(Some(first)))?;
        for (name, settings) in in_order(record, first) {
            self.connect(&name, &mut sandbox, &endpoint::spec(record, &settings))?;
        }
        self.open_links(&container.id, record)?;
        let published = self.publish_ports(&container.id, record)?;
        let lease = self.lease(&container.id)?;
        Ok(Joined { netns: Some(sandbox.into_netns()), published, lease })
    }

    /// Puts a container into a network. Addresses that others hold who only wait are its own if it needs them. Blocking.
    pub(crate) fn connect(
        &self,
        network: &str,
        sandbox: &mut Sandbox,
        spec: &EndpointSpec,
    ) -> ::network::Result<Endpoint> {
        match self.networks.connect(network, sandbox, spec.clone()) {
            Err(_) if self.held.end() => self.networks.connect(network, sandbox, spec.clone()),
            result => result,
        }
    }

    /// What keeps the networks that a container is in.
    fn lease(&self, container_id: &str) -> Result<Option<Lease>> {
        let endpoints = self.networks.attachment(container_id).endpoints;
        match endpoints.iter().any(|endpoint| !endpoint.ifname.is_empty()) {
            true => Ok(self.networks.lease()?),
            false => Ok(None),
        }
    }

    /// Publishes what a container asks for; nothing while none of its networks has a way out.
    pub(crate) fn publish_ports(&self, container_id: &str, record: &Record) -> Result<Published> {
        let ports = ports::publish(&record.config, &record.host)?;
        if ports.is_empty() {
            return Ok(Published::default());
        }
        let attachment = self.networks.attachment(container_id);
        match gateway_endpoint(&attachment.endpoints) {
            Some(endpoint) => Ok(self.networks.publish(&ports, endpoint)?),
            None => Ok(Published::default()),
        }
    }

    /// Gives back everything that a container has in networks; what it was. Blocking; failures are logged, nobody could act on
    /// them.
    pub(crate) fn leave_networks(&self, container_id: &str) -> Vec<Endpoint> {
        let attachment = self.networks.attachment(container_id);
        for error in self.networks.release(container_id) {
            tracing::warn!(%error, container = %container_id, "release networks");
        }
        attachment.endpoints
    }

    /// Tells the events about networks that a container has left.
    pub(crate) fn left_networks(&self, endpoints: &[Endpoint]) {
        for endpoint in endpoints {
            self.endpoint_event("disconnect", endpoint);
        }
    }

    /// Tells the events about a container in a network.
    fn endpoint_event(&self, action: &str, endpoint: &Endpoint) {
        if let Ok(network) = self.networks.get(&endpoint.network_id) {
            self.network_event(action, &network, Some(&endpoint.container_id));
        }
    }
}

fn given(
    sandbox: Option<Sandbox>,
    make: impl FnOnce() -> ::network::Result<Sandbox>,
) -> ::network::Result<Sandbox> {
    sandbox.map_or_else(make, Ok)
}

/// The endpoints of a container in the order of connecting: that of its network mode first, which may have one waiting.
fn in_order(record: &Record, first: &str) -> Vec<(String, EndpointSettings)> {
    let mut asked: Vec<_> = endpoint::asked(record).into_iter().collect();
    asked.sort_by_key(|(name, _)| name != first);
    asked
}

fn nothing_asked(record: &Record) -> EndpointSpec {
    endpoint::spec(record, &EndpointSettings::default())
}

/// A running container's network namespace.
pub(crate) fn netns_of(container: &Container) -> Result<OwnedFd> {
    let Some(run) = container.status().run() else {
        return Err(Error::conflict(format!(
            "cannot join network namespace of a non running container: {}",
            container.id
        )));
    };
    live::netns(run)
        .map_err(|error| Error::host(format!("join the network of container {}", container.id), error))
}

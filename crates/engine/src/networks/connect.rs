//! Containers joining and leaving networks. A running container gets the interface at once; of one that does not run, only the
//! record changes, and the next start does the rest.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ::network::{Driver, Endpoint, NetworkRecord, Sandbox};
use api::{EndpointSettings, ErrorKind, NetworkConnectRequest, NetworkDisconnectRequest};

use super::{endpoint, hosts};
use crate::Engine;
use crate::blocking::blocking;
use crate::container::live;
use crate::container::model::Container;
use crate::container::modes;
use crate::container::record::Record;
use crate::container::status::{Run, Status};
use crate::error::{Error, Result};

const HOST_CONFLICT: &str = "container cannot be disconnected from host network or connected to host network";
const SHARED_CONFLICT: &str = "container sharing network namespace with another container or host cannot be connected to any other network";
const NONE_CONFLICT: &str =
    "container cannot be connected to multiple networks with one of the networks in private (none) mode";

impl Engine {
    pub async fn network_connect(&self, id: &str, request: NetworkConnectRequest) -> Result<()> {
        let container = self.containers.find(&request.container)?;
        let settings = endpoint::only_asked(request.endpoint_config.unwrap_or_default());
        let _turn = self.turn(&container).await;
        let run = presence(&container)?;
        let network = self.networks.get(id)?;
        let record = container.record();
        self.check_joining(&record, &network)?;
        endpoint::check(&network, &settings)?;

        let mut changed = Record::clone(&record);
        changed.endpoints = endpoint::asked(&record);
        changed.endpoints.retain(|name, _| !self.names_network(name, &network));
        changed.endpoints.insert(network.name.clone(), settings.clone());
        let bindings = self.networks.attachment(&container.id).bindings;
        let joined = match run {
            Some(run) => {
                let joined = self.join(&container, run, &network, &settings).await?;
                if let Err(error) = self.publish_late(&container).await {
                    // Why it failed matters more than what then cannot be undone.
                    let _ = self.leave(&container, run, &network).await;
                    return Err(error);
                }
                Some(joined)
            }
            None => None,
        };
        if let Err(error) = write(&container, changed).await {
            if let (Some(_), Some(run)) = (&joined, run) {
                let _ = self.leave(&container, run, &network).await;
            }
            return Err(error);
        }
        if let Some(joined) = joined {
            self.redirect_relays(&container, &bindings).await;
            self.give_names(&container).await;
            self.change_hosts(&container, &[], &addresses(&joined)).await;
            self.network_event("connect", &network, Some(&container.id));
        }
        Ok(())
    }

    pub async fn network_disconnect(&self, id: &str, request: NetworkDisconnectRequest) -> Result<()> {
        let container = match self.containers.find(&request.container) {
            Err(error) if request.force => return self.forget_endpoint(id, &request.container, error).await,
            found => found?,
        };
        let _turn = self.turn(&container).await;
        let run = presence(&container)?;
        let network = match self.networks.get(id) {
            Ok(network) => Some(network),
            // A network that is gone can still be in the record.
            Err(_) if request.force || run.is_none() => None,
            Err(error) => return Err(error.into()),
        };
        let record = container.record();
        let mut changed = Record::clone(&record);
        changed.endpoints = endpoint::asked(&record);
        let before = changed.endpoints.len();
        changed.endpoints.retain(|name, _| match &network {
            Some(network) => !self.names_network(name, network),
            None => name != id,
        });
        let was_asked = changed.endpoints.len() < before;
        match (&network, run) {
            (Some(network), Some(run)) => {
                if network.driver == Driver::Host {
                    return Err(Error::invalid(HOST_CONFLICT));
                }
                let bindings = self.networks.attachment(&container.id).bindings;
                let left = self.leave(&container, run, network).await?;
                self.redirect_relays(&container, &bindings).await;
                self.take_names(&container).await;
                self.change_hosts(&container, &addresses(&left), &[]).await;
            }
            _ if !was_asked => {
                let name = network.as_ref().map_or(id, |network| &network.name);
                return Err(Error::new(
                    ErrorKind::Forbidden,
                    format!("container {} is not connected to the network {name}", container.id),
                ));
            }
            _ => {}
        }
        write(&container, changed).await?;
        if let Some(network) = &network {
            self.network_event("disconnect", network, Some(&container.id));
        }
        Ok(())
    }

    /// Fails on settings that an endpoint of a network cannot have; a network that does not exist yet is the start's business.
    pub(crate) fn check_endpoints(&self, endpoints: &BTreeMap<String, EndpointSettings>) -> Result<()> {
        for (name, settings) in endpoints {
            let Ok(network) = self.networks.get(name) else { continue };
            endpoint::check(&network, settings).map_err(|error| {
                Error::new(error.kind, format!("invalid config for network {name}: {}", error.message))
            })?;
        }
        Ok(())
    }

    /// Whether the container's mode and its other networks allow one more.
    fn check_joining(&self, record: &Record, network: &NetworkRecord) -> Result<()> {
        let mode = modes::Network::parse(&record.host.network_mode);
        if matches!(mode, modes::Network::Container(_)) {
            return Err(Error::invalid(SHARED_CONFLICT));
        }
        if network.driver == Driver::Host && mode != modes::Network::Host {
            return Err(Error::invalid(HOST_CONFLICT));
        }
        let others = endpoint::asked(record);
        for other in others.keys().filter_map(|name| self.networks.get(name).ok()) {
            if other.id == network.id {
                continue;
            }
            if other.driver == Driver::Host || network.driver == Driver::Host {
                return Err(Error::invalid(SHARED_CONFLICT));
            }
            if other.driver == Driver::None || network.driver == Driver::None {
                return Err(Error::invalid(NONE_CONFLICT));
            }
        }
        Ok(())
    }

    /// Whether a key of a container's endpoints (a name, an id, or the beginning of one) means this network.
    fn names_network(&self, name: &str, network: &NetworkRecord) -> bool {
        name == network.name || self.networks.get(name).is_ok_and(|found| found.id == network.id)
    }

    async fn join(
        &self,
        container: &Arc<Container>,
        run: Run,
        network: &NetworkRecord,
        settings: &EndpointSettings,
    ) -> Result<Endpoint> {
        let spec = endpoint::spec(&container.record(), settings);
        let (engine, id) = (self.arc()?, network.id.clone());
        blocking(move || {
            let mut sandbox = Sandbox::existing(netns(run)?);
            Ok(engine.connect(&id, &mut sandbox, &spec)?)
        })
        .await
    }

    /// Takes the interface out; what the endpoint was.
    async fn leave(&self, container: &Container, run: Run, network: &NetworkRecord) -> Result<Endpoint> {
        let (networks, network, id) = (self.networks.clone(), network.clone(), container.id.clone());
        blocking(move || {
            let endpoint = networks.get(&network.id)?.endpoints.remove(&id).ok_or_else(|| {
                let text = format!("container {id} is not connected to network {}", network.name);
                Error::new(ErrorKind::Forbidden, text)
            })?;
            networks.disconnect(&network.id, &id, Some(netns(run)?))?;
            Ok(Arc::unwrap_or_clone(endpoint))
        })
        .await
    }

    /// `--force` with a container that does not exist (any more): its endpoint goes.
    async fn forget_endpoint(&self, network: &str, container: &str, missing: Error) -> Result<()> {
        let network = self.networks.get(network)?;
        let name = container.trim_start_matches('/');
        let found = network
            .endpoints
            .values()
            .find(|endpoint| endpoint.container_id == container || endpoint.container_name == name);
        let Some(endpoint) = found.cloned() else { return Err(missing) };
        let (networks, id) = (self.networks.clone(), network.id.clone());
        let gone = endpoint.container_id.clone();
        blocking(move || Ok(networks.disconnect(&id, &gone, None)?)).await?;
        self.network_event("disconnect", &network, Some(&endpoint.container_id));
        Ok(())
    }

    async fn change_hosts(&self, container: &Container, gone: &[IpAddr], come: &[IpAddr]) {
        let record = container.record();
        let path = container.folder.join("hosts");
        let (gone, come) = (gone.to_vec(), come.to_vec());
        let (hostname, domain) = (record.config.hostname.clone(), record.config.domainname.clone());
        let changed = blocking(move || {
            hosts::update(&path, &hostname, &domain, &gone, &come)
                .map_err(|error| Error::host(format!("write {}", path.display()), error))
        });
        // The network works without it, and undoing the change would be worse.
        if let Err(error) = changed.await {
            tracing::warn!(container = container.id, %error, "a container's hosts file is not up to date");
        }
    }
}

/// The live process, or None when only the record is there to be changed.
fn presence(container: &Container) -> Result<Option<Run>> {
    match container.status() {
        Status::Removing | Status::Dead => Err(Error::conflict(format!(
            "container {} is marked for removal and cannot be connected or disconnected to the network",
            container.id
        ))),
        Status::Restarting => Err(Error::conflict(format!(
            "Container {} is restarting, wait until the container is running",
            container.id
        ))),
        status => Ok(status.run()),
    }
}

fn netns(run: Run) -> Result<OwnedFd> {
    live::netns(run).map_err(|error| Error::host("open the container's network namespace", error))
}

fn addresses(endpoint: &Endpoint) -> Vec<IpAddr> {
    endpoint.ip.map(IpAddr::V4).into_iter().chain(endpoint.ipv6.map(IpAddr::V6)).collect()
}

async fn write(container: &Arc<Container>, record: Record) -> Result<()> {
    let container = Arc::clone(container);
    blocking(move || {
        record.write(&container.folder)?;
        container.set_record(record);
        Ok(())
    })
    .await
}

//! Networks as users see them: create, list, inspect, remove, prune, and connecting containers while they run. What a network
//! is on the host belongs to `network`; here requests become its specifications, records become what clients read, and events
//! are told. Texts are moby's (`daemon/network.go`, `daemon/container_operations.go`).

mod connect;
mod create;
mod doctor;
pub(crate) mod endpoint;
pub(crate) mod hosts;
pub(crate) mod links;
mod names;
mod ports;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use ::network::NetworkRecord;
use api::*;
use jiff::Timestamp;

use crate::blocking::blocking;
use crate::error::{Error, Result};
use crate::images::{labels_match, until};
use crate::{ContainerUse, Engine, pattern};

const FILTERS: [&str; 7] = ["dangling", "driver", "id", "label", "name", "scope", "type"];
/// The only scope without a cluster.
const SCOPE: &str = "local";

impl Engine {
    /// Networks by name, with the containers in them.
    pub async fn network_list(&self, filters: Filters) -> Result<Vec<Network>> {
        filters.validate(&FILTERS)?;
        let dangling = match filters.contains("dangling") {
            true => Some(filters.boolean("dangling", false)?),
            false => None,
        };
        if let Some(unknown) = filters.get("type").find(|kind| !matches!(*kind, "builtin" | "custom")) {
            return Err(Error::invalid(format!("invalid filter: 'type'='{unknown}'")));
        }
        let wanted = |network: &NetworkRecord| {
            let kind = if network.is_builtin() { "builtin" } else { "custom" };
            filters.matches("driver", network.driver.name())
                && filters.matches("scope", SCOPE)
                && filters.matches("type", kind)
                && filters.matches_any("id", |part| pattern::matches(part, &network.id))
                && filters.matches_any("name", |part| pattern::matches(part, &network.name))
                && filters.matches_labels("label", Some(&network.labels))
                && dangling.is_none_or(|dangling| {
                    dangling == (network.endpoints.is_empty() && !network.is_builtin())
                })
        };
        Ok(self.networks.list().iter().filter(|network| wanted(network)).map(wire::network).collect())
    }

    pub async fn network_inspect(&self, id: &str, query: NetworkInspectQuery) -> Result<Network> {
        let network = self.networks.get(id)?;
        match query.scope.as_str() {
            "" | SCOPE => Ok(wire::network(&network)),
            _ => Err(Error::not_found(format!("network {id} not found"))),
        }
    }

    pub async fn network_create(&self, request: NetworkCreateRequest) -> Result<NetworkCreateResponse> {
        let spec = create::spec(request)?;
        let networks = self.networks.clone();
        let (network, collisions) = blocking(move || {
            let network = networks.create(spec)?;
            // Only a subnet that was asked for can lie where the host routes.
            let collisions = if network.user_pools { networks.collisions()? } else { Vec::new() };
            Ok((network, collisions))
        })
        .await?;
        self.network_event("create", &network, None);
        let own = collisions.iter().filter(|collision| collision.network_id == network.id);
        let warning = own.map(ToString::to_string).collect::<Vec<_>>().join("\n");
        Ok(NetworkCreateResponse { id: network.id, warning })
    }

    pub async fn network_remove(&self, id: &str) -> Result<()> {
        let (networks, id) = (self.networks.clone(), id.to_owned());
        let network = blocking(move || Ok(networks.remove(&id)?)).await?;
        self.network_event("destroy", &network, None);
        Ok(())
    }

    /// Removes networks that no container refers to, running or not.
    pub async fn network_prune(&self, filters: Filters) -> Result<NetworkPruneResponse> {
        filters.validate(&["label", "label!", "until"])?;
        let until = until(&filters)?;
        let uses = self.container_uses();
        let candidates = self.networks.list().into_iter().filter(|network| {
            let young = until
                .is_some_and(|until| network.created.parse::<Timestamp>().is_ok_and(|made| made > until));
            !network.is_builtin()
                && !network.config_only
                && network.endpoints.is_empty()
                && !young
                && labels_match(&filters, Some(&network.labels))
                && !is_referred_to(network, &uses)
        });
        let mut removed = Vec::new();
        for network in candidates {
            match self.network_remove(&network.id).await {
                Ok(()) => removed.push(network.name),
                Err(error) => tracing::warn!(network = network.name, %error, "cannot prune network"),
            }
        }
        let attributes = BTreeMap::from([("reclaimed".to_owned(), "0".to_owned())]);
        self.events.emit("network", "prune", "", attributes);
        Ok(NetworkPruneResponse { networks_deleted: Some(removed).filter(|removed| !removed.is_empty()) })
    }

    /// Has collisions of networks with the host's routes logged and told to the events, as they come about.
    pub(crate) fn tell_of_collisions(self: &Arc<Self>) {
        let engine = Arc::downgrade(self);
        self.networks.on_collision(move |collision| {
            tracing::warn!(%collision, "a network's subnet is routed elsewhere");
            let Some(engine) = engine.upgrade() else { return };
            let attributes = BTreeMap::from([
                ("name".to_owned(), collision.network.clone()),
                ("subnet".to_owned(), collision.subnet.to_string()),
                ("route".to_owned(), collision.route.to_string()),
                ("link".to_owned(), collision.link.clone()),
            ]);
            engine.events.emit("network", "collide", &collision.network_id, attributes);
        });
    }

    /// Tells the events about a network, and which container it concerns.
    pub(crate) fn network_event(&self, action: &str, network: &NetworkRecord, container: Option<&str>) {
        let mut attributes = BTreeMap::from([
            ("name".to_owned(), network.name.clone()),
            ("type".to_owned(), network.driver.name().to_owned()),
        ]);
        if let Some(id) = container {
            attributes.insert("container".to_owned(), id.to_owned());
        }
        self.events.emit("network", action, &network.id, attributes);
    }
}

/// Whether a container asks for the network, by its name, its id or the beginning of that.
fn is_referred_to(network: &NetworkRecord, uses: &[ContainerUse]) -> bool {
    uses.iter()
        .flat_map(|container| &container.networks)
        .any(|asked| *asked == network.name || (asked.len() >= 12 && network.id.starts_with(asked.as_str())))
}

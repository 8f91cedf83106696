//! `--link` on the default network, which has no names: the environment variables by which a container learns of another
//! (Docker's documentation, "Legacy container links", "Environment variables"). The line in `/etc/hosts` is `launch::files`'s;
//! where containers may not talk to each other, links also open the ports of the linked. On networks with names a link is an
//! alias that the name server knows.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use network::Proto;

use crate::Engine;
use crate::container::create::ports::container_port;
use crate::container::modes::Network;
use crate::container::record::Record;
use crate::error::Result;

/// A container that another one is linked to.
struct Linked<'a> {
    alias: &'a str,
    address: IpAddr,
    /// What it exposes.
    ports: Vec<(u16, Proto)>,
    environment: &'a [String],
}

/// The links of a container that are made of variables: none but on the default network.
pub(crate) fn of(record: &Record) -> &[String] {
    match Network::parse(&record.host.network_mode) {
        Network::Named(name) if name == "bridge" => record.host.links.as_deref().unwrap_or_default(),
        _ => &[],
    }
}

/// The container's name or id, and its alias, of a link as it was given.
pub(crate) fn parse(link: &str) -> (&str, &str) {
    let (other, alias) = link.split_once(':').unwrap_or((link, link));
    // inspect shows `/db:/web/alias`, and clients send that back.
    (other, alias.rsplit('/').next().unwrap_or(alias))
}

impl Engine {
    /// The variables of all links. A container that does not run (any more) gives none: the start says so, with `/etc/hosts`.
    pub(crate) fn link_variables(&self, record: &Record) -> Vec<String> {
        let mut variables = Vec::new();
        for (other, alias, address) in self.linked(record) {
            let linked = Linked {
                alias: &alias,
                address: address.into(),
                ports: exposed(&other),
                environment: other.config.env.as_deref().unwrap_or_default(),
            };
            variables.extend(linked.variables(&record.name));
        }
        variables
    }

    /// The containers that a container is linked to and that are on the default bridge now: as it calls them, and where they are.
    fn linked(&self, record: &Record) -> Vec<(Arc<Record>, String, Ipv4Addr)> {
        let mut linked = Vec::new();
        for (other, alias) in of(record).iter().map(|link| parse(link)) {
            let Ok(other) = self.containers.find(other) else { continue };
            let endpoints = self.networks.attachment(&other.id).endpoints;
            let on_bridge = endpoints.iter().find(|endpoint| endpoint.network_name == "bridge");
            let Some(address) = on_bridge.and_then(|endpoint| endpoint.ip) else { continue };
            linked.push((other.record(), alias.to_owned(), address));
        }
        linked
    }

    /// Lets a container that starts reach those it is linked to, and those that are linked to it reach it, where containers may not
    /// talk to each other.
    pub(crate) fn open_links(&self, container_id: &str, record: &Record) -> Result<()> {
        if !self.networks.links_matter() {
            return Ok(());
        }
        self.open_links_of(container_id, record)?;
        let is_this = |link: &String| self.containers.find(parse(link).0).is_ok_and(|c| c.id == container_id);
        for other in self.containers.all() {
            let record = other.record();
            if other.id != container_id && of(&record).iter().any(is_this) {
                self.open_links_of(&other.id, &record)?;
            }
        }
        Ok(())
    }

    fn open_links_of(&self, container_id: &str, record: &Record) -> Result<()> {
        let mut reached = Vec::new();
        for (other, _, address) in self.linked(record) {
            reached.extend(exposed(&other).into_iter().map(|(port, proto)| (address, proto, port)));
        }
        Ok(self.networks.link(container_id, &reached)?)
    }
}

/// The ports that a container exposes or publishes.
fn exposed(record: &Record) -> Vec<(u16, Proto)> {
    let exposed = record.config.exposed_ports.iter().flatten().map(|(port, _)| port);
    let bound = record.host.port_bindings.iter().flatten().map(|(port, _)| port);
    exposed.chain(bound).filter_map(|port| container_port(port).ok()).collect()
}

impl Linked<'_> {
    fn variables(mut self, parent: &str) -> Vec<String> {
        let prefix = self.alias.to_uppercase().replace('-', "_");
        let mut variables = vec![format!("{prefix}_NAME=/{parent}/{}", self.alias)];
        // The lowest port stands for the container, TCP before others.
        self.ports.sort_by_key(|(port, proto)| (*proto, *port));
        self.ports.dedup();
        if let Some((port, proto)) = self.ports.first() {
            variables.push(format!("{prefix}_PORT={proto}://{}:{port}", self.address));
        }
        for (port, proto) in &self.ports {
            let name = format!("{prefix}_PORT_{port}_{}", proto.name().to_uppercase());
            variables.extend([
                format!("{name}={proto}://{}:{port}", self.address),
                format!("{name}_ADDR={}", self.address),
                format!("{name}_PORT={port}"),
                format!("{name}_PROTO={proto}"),
            ]);
        }
        let told = |line: &&String| {
            let name = line.split_once('=').map_or("", |(name, _)| name);
            !matches!(name, "" | "HOME" | "PATH")
        };
        variables.extend(self.environment.iter().filter(told).map(|line| format!("{prefix}_ENV_{line}")));
        variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_those_of_the_documentation() {
        let environment = ["PATH=/bin".to_owned(), "PGUSER=me".to_owned(), "UNSET".to_owned()];
        let linked = Linked {
            alias: "my-db",
            address: "172.17.0.5".parse().unwrap(),
            ports: vec![(9, Proto::Udp), (5432, Proto::Tcp), (5432, Proto::Tcp)],
            environment: &environment,
        };
        assert_eq!(
            linked.variables("web"),
            [
                "MY_DB_NAME=/web/my-db",
                "MY_DB_PORT=tcp://172.17.0.5:5432",
                "MY_DB_PORT_5432_TCP=tcp://172.17.0.5:5432",
                "MY_DB_PORT_5432_TCP_ADDR=172.17.0.5",
                "MY_DB_PORT_5432_TCP_PORT=5432",
                "MY_DB_PORT_5432_TCP_PROTO=tcp",
                "MY_DB_PORT_9_UDP=udp://172.17.0.5:9",
                "MY_DB_PORT_9_UDP_ADDR=172.17.0.5",
                "MY_DB_PORT_9_UDP_PORT=9",
                "MY_DB_PORT_9_UDP_PROTO=udp",
                "MY_DB_ENV_PGUSER=me",
            ]
        );
        assert_eq!(parse("/db:/web/database"), ("/db", "database"));
        assert_eq!(parse("db"), ("db", "db"));
    }
}

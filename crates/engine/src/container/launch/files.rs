//! `hostname`, `hosts` and `resolv.conf` in a container's folder, mounted into the container. Written at every start: addresses
//! and the host's name servers change. Nothing here is worth an fsync.

use std::net::IpAddr;
use std::path::Path;

use ::network::files::{self, DnsOptions, HOST_NAMES, Hosts};
use ::network::{Endpoint, gateway_endpoint};
use monitor::protocol::NamesSpec;

use super::super::model::Container;
use super::super::modes::Network;
use super::super::record::Record;
use super::prepare::{HOSTNAME, HOSTS, RESOLV_CONF};
use crate::Engine;
use crate::error::{Error, Result};
use crate::networks::links;

impl Engine {
    /// `hostname`, which never changes.
    pub(crate) fn write_hostname(&self, folder: &Path, record: &Record) -> Result<()> {
        write(folder, HOSTNAME, &format!("{}\n", record.config.hostname))
    }

    /// `hosts` and `resolv.conf`.
    pub(crate) fn write_network_files(
        &self,
        container: &Container,
        record: &Record,
        endpoints: &[Endpoint],
    ) -> Result<()> {
        let host = Network::parse(&record.host.network_mode) == Network::Host;
        let mut extra = self.extra_hosts(record)?;
        if !host && !self.networks.has_names(&record.id) {
            self.add_host_names(endpoints, &mut extra);
        }
        let hosts = match host {
            true => {
                let mut text = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
                for (name, address) in &extra {
                    text.push_str(&format!("{address}\t{name}\n"));
                }
                text
            }
            false => files::hosts(&Hosts {
                hostname: record.config.hostname.clone(),
                domain: record.config.domainname.clone(),
                addresses: endpoints.iter().flat_map(addresses).collect(),
                extra,
                ipv6: true,
            }),
        };
        write(&container.folder, HOSTS, &hosts)?;
        let own = files::host_resolv_conf();
        let dns = self.dns_options(record, endpoints.iter().any(|endpoint| endpoint.ipv6.is_some()));
        let untouched = dns.servers.is_empty() && dns.search.is_empty() && dns.options.is_empty();
        let text = match host && untouched {
            // In the host's network its own resolver is within reach.
            true => std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
            false if self.networks.has_names(&record.id) => files::resolv_conf_with_names(&own, &dns),
            false => files::resolv_conf(&own, &dns),
        };
        write(&container.folder, RESOLV_CONF, &text)
    }

    /// What the monitor needs to answer names, for a container that is in its networks already; none where there are no names.
    pub(crate) fn names_spec(&self, record: &Record) -> Option<NamesSpec> {
        let (attachment, zones) = self.networks.names_files(&record.id);
        let servers = self.dns_options(record, false).servers;
        let names = NamesSpec { attachment, zones, servers, host: self.host_addresses() };
        self.networks.has_names(&record.id).then_some(names)
    }

    /// What was asked for name resolution, and the engine's defaults.
    pub(crate) fn dns_options(&self, record: &Record, ipv6: bool) -> DnsOptions {
        let host = &record.host;
        let pick = |own: &Option<Vec<String>>, default: &Vec<String>| match own {
            Some(own) if !own.is_empty() => own.clone(),
            _ => default.clone(),
        };
        DnsOptions {
            servers: pick(&host.dns, &self.config.dns),
            search: pick(&host.dns_search, &self.config.dns_search),
            options: pick(&host.dns_options, &self.config.dns_options),
            ipv6,
        }
    }

    /// `--add-host`, and links on the default network.
    fn extra_hosts(&self, record: &Record) -> Result<Vec<(String, IpAddr)>> {
        let mut lines: Vec<(String, IpAddr)> = Vec::new();
        for line in record.host.extra_hosts.iter().flatten() {
            // Checked at create.
            let Some((name, address)) = line.split_once(['=', ':']) else { continue };
            let address = address.trim_start_matches('[').trim_end_matches(']');
            if address == "host-gateway" {
                lines.extend(self.host_gateways().into_iter().map(|address| (name.to_owned(), address)));
            } else if let Ok(address) = address.parse() {
                lines.push((name.to_owned(), address));
            }
        }
        for link in links::of(record) {
            let (other, alias) = links::parse(link);
            let other = self.containers.find(other)?;
            let name = other.name();
            let attachment = self.networks.attachment(&other.id);
            let Some(address) = attachment.endpoints.iter().flat_map(addresses).next() else {
                return Err(Error::conflict(format!(
                    "Cannot link to a non running container: /{name} AS /{}/{alias}",
                    record.name
                )));
            };
            lines.push((format!("{alias} {} {name}", super::super::name::short(&other.id)), address));
        }
        Ok(lines)
    }

    /// The host's own names, which a name server answers where there is one.
    fn add_host_names(&self, endpoints: &[Endpoint], lines: &mut Vec<(String, IpAddr)>) {
        let Some(endpoint) = gateway_endpoint(endpoints) else { return };
        let names: Vec<&str> =
            HOST_NAMES.into_iter().filter(|name| !lines.iter().any(|(asked, _)| asked == name)).collect();
        if names.is_empty() {
            return;
        }
        let gateways = endpoint.gateway.map(IpAddr::V4).into_iter().chain(endpoint.gateway6.map(IpAddr::V6));
        let addresses = match self.host_addresses() {
            none if none.is_empty() => gateways.collect(),
            known => known,
        };
        lines.extend(addresses.into_iter().map(|address| (names.join(" "), address)));
    }

    /// The host's addresses for all containers, where their networks' gateways are not the host.
    fn host_addresses(&self) -> Vec<IpAddr> {
        match self.config.host_gateway_ips.as_slice() {
            [] => self.networks.host_address().into_iter().collect(),
            configured => configured.to_vec(),
        }
    }

    fn host_gateways(&self) -> Vec<IpAddr> {
        let known = self.host_addresses();
        if !known.is_empty() {
            return known;
        }
        let bridge = self.networks.get("bridge");
        bridge
            .map(|network| network.pools.iter().filter_map(|pool| pool.gateway).collect())
            .unwrap_or_default()
    }
}

fn addresses(endpoint: &Endpoint) -> impl Iterator<Item = IpAddr> + use<> {
    endpoint.ip.map(IpAddr::V4).into_iter().chain(endpoint.ipv6.map(IpAddr::V6))
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    std::fs::write(&path, text).map_err(|error| Error::host(format!("write {}", path.display()), error))
}

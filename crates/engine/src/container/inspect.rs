//! `docker inspect`: everything about one container.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ::network::Endpoint;
use api::*;
use store::Rootfs;

use super::launch::prepare::{HOSTNAME, HOSTS, RESOLV_CONF};
use super::model::{Container, lock};
use super::modes::Network;
use super::record::Record;
use super::spec;
use super::status::Life;
use crate::Engine;
use crate::blocking::blocking;
use crate::error::Result;

impl Engine {
    pub async fn container_inspect(&self, id: &str, size: bool) -> Result<ContainerInspectResponse> {
        let container = self.containers.find(id)?;
        let (record, life) = (container.record(), container.life());
        let mut answer = self.inspected(&container, &record, &life);
        if size {
            let engine = self.arc()?;
            let (own, all) = blocking(move || engine.sizes(&record)).await?;
            (answer.size_rw, answer.size_root_fs) = (Some(own), Some(all));
        }
        Ok(answer)
    }

    fn inspected(&self, container: &Container, record: &Record, life: &Life) -> ContainerInspectResponse {
        let words = spec::command(&record.config);
        let (path, args) =
            words.split_first().map(|(path, args)| (path.clone(), args.to_vec())).unwrap_or_default();
        let execs: Vec<String> = lock(&container.execs).keys().cloned().collect();
        // Who shares a network shares these files.
        let folder = match Network::parse(&record.host.network_mode) {
            Network::Container(other) => self.containers.find(&other).map(|other| other.folder.clone()),
            _ => Ok(container.folder.clone()),
        };
        let file = |name: &str| {
            folder.as_ref().map(|folder| folder.join(name).display().to_string()).unwrap_or_default()
        };
        let log_path = match record.log_driver() {
            "json-file" => record.log_path(&container.folder).display().to_string(),
            _ => String::new(),
        };
        let mut host = record.host.clone();
        if !host.privileged {
            let facts = runtime::spec_default(&self.facts.runtime);
            let linux = facts.linux().as_ref();
            let unconfined = host.masked_paths.as_ref().is_some_and(Vec::is_empty);
            if !unconfined {
                host.masked_paths = host.masked_paths.or_else(|| linux?.masked_paths().clone());
                host.readonly_paths = host.readonly_paths.or_else(|| linux?.readonly_paths().clone());
            }
        }
        ContainerInspectResponse {
            id: record.id.clone(),
            created: record.created.clone(),
            path,
            args: Some(args),
            state: Some(life.wire()),
            image: record.image_id.clone(),
            resolv_conf_path: file(RESOLV_CONF),
            hostname_path: file(HOSTNAME),
            hosts_path: file(HOSTS),
            log_path,
            name: format!("/{}", record.name),
            restart_count: life.restart_count,
            driver: "overlay2".to_owned(),
            platform: record.os.clone(),
            mount_label: String::new(),
            process_label: String::new(),
            app_armor_profile: String::new(),
            exec_ids: Some(execs).filter(|execs| !execs.is_empty()),
            host_config: Some(host),
            graph_driver: graph_driver(record),
            size_rw: None,
            size_root_fs: None,
            mounts: Some(record.mounts.iter().map(|mount| mount.wire()).collect()),
            config: Some(record.config.clone()),
            network_settings: Some(network_settings(self, container, record, life)),
            image_manifest_descriptor: record.manifest.clone(),
        }
    }
}

fn graph_driver(record: &Record) -> DriverData {
    let text = |path: &std::path::Path| path.display().to_string();
    let data = match &record.rootfs {
        Rootfs::Overlay { lower, upper, work } => {
            let lower: Vec<String> = lower.iter().map(|path| text(path)).collect();
            BTreeMap::from([
                ("LowerDir".to_owned(), lower.join(":")),
                ("MergedDir".to_owned(), text(&upper.with_file_name("merged"))),
                ("UpperDir".to_owned(), text(upper)),
                ("WorkDir".to_owned(), text(work)),
            ])
        }
        Rootfs::Directory(path) => BTreeMap::from([("MergedDir".to_owned(), text(path))]),
    };
    DriverData { data: Some(data), name: "overlay2".to_owned() }
}

/// What a container asked of its networks and has in them now.
pub(crate) fn network_settings(
    engine: &Engine,
    container: &Container,
    record: &Record,
    life: &Life,
) -> NetworkSettings {
    let attachment = engine.networks.attachment(&container.id);
    let mut settings = NetworkSettings::default();
    let mut networks: BTreeMap<String, EndpointSettings> = BTreeMap::new();
    for (name, asked) in crate::networks::endpoint::asked(record) {
        let network = engine.networks.get(&name);
        let (name, id) = network.map_or((name, String::new()), |network| (network.name, network.id));
        let endpoint = attachment.endpoints.iter().find(|endpoint| endpoint.network_id == id);
        let shown = match endpoint {
            Some(endpoint) => shown_endpoint(asked, endpoint),
            None => EndpointSettings { network_id: id, ..asked },
        };
        networks.insert(name, shown);
    }
    // Of the default bridge also where it has always been.
    if let Some(bridge) = networks.get("bridge") {
        settings.endpoint_id.clone_from(&bridge.endpoint_id);
        settings.gateway.clone_from(&bridge.gateway);
        settings.global_ipv6_address.clone_from(&bridge.global_ipv6_address);
        settings.global_ipv6_prefix_len = bridge.global_ipv6_prefix_len;
        settings.ip_address.clone_from(&bridge.ip_address);
        settings.ip_prefix_len = bridge.ip_prefix_len;
        settings.ipv6_gateway.clone_from(&bridge.ipv6_gateway);
        settings.mac_address.clone_from(&bridge.mac_address);
    }
    if let Some(run) = life.status.run() {
        settings.sandbox_id.clone_from(&container.id);
        settings.sandbox_key = format!("/proc/{}/ns/net", run.pid);
    }
    settings.networks = Some(networks);
    settings.ports = Some(ports(record, life, &attachment.bindings));
    settings
}

fn shown_endpoint(asked: EndpointSettings, endpoint: &Endpoint) -> EndpointSettings {
    fn text<T: ToString>(value: Option<T>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    EndpointSettings {
        network_id: endpoint.network_id.clone(),
        endpoint_id: endpoint.endpoint_id.clone(),
        gateway: text(endpoint.gateway),
        ip_address: text(endpoint.ip),
        ip_prefix_len: endpoint.ip.map_or(0, |_| endpoint.prefix.into()),
        ipv6_gateway: text(endpoint.gateway6),
        global_ipv6_address: text(endpoint.ipv6),
        global_ipv6_prefix_len: endpoint.ipv6.map_or(0, |_| endpoint.prefix6.into()),
        mac_address: text(endpoint.mac),
        dns_names: Some(endpoint.dns_names.clone()).filter(|names| !names.is_empty()),
        ..asked
    }
}

/// Exposed ports of a running container, with what leads to them.
fn ports(record: &Record, life: &Life, bindings: &[::network::Binding]) -> PortMap {
    let mut ports = PortMap::new();
    if !life.status.is_up() {
        return ports;
    }
    ports.extend(record.config.exposed_ports.iter().flatten().map(|(key, _)| (canonical(key), None)));
    ports.extend(record.host.port_bindings.iter().flatten().map(|(key, _)| (canonical(key), None)));
    for binding in bindings {
        let key = format!("{}/{}", binding.container_port, binding.proto);
        let shown = PortBinding {
            host_ip: match binding.host_ip {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => ip.to_string(),
            },
            host_port: match binding.routed {
                true => String::new(),
                false => binding.host_port.to_string(),
            },
        };
        ports.entry(key).or_default().get_or_insert_default().push(shown);
    }
    ports
}

/// `80` is `80/tcp`.
fn canonical(key: &str) -> String {
    match key.contains('/') {
        true => key.to_owned(),
        false => format!("{key}/tcp"),
    }
}

//! A network's record as clients read it. Pure.

use ::network::{Endpoint, NetworkRecord, Pool};
use api::*;

pub(super) fn network(record: &NetworkRecord) -> Network {
    Network {
        name: record.name.clone(),
        id: record.id.clone(),
        created: record.created.clone(),
        scope: super::SCOPE.to_owned(),
        driver: record.driver.name().to_owned(),
        enable_ipv4: record.enable_ipv4,
        enable_ipv6: record.enable_ipv6,
        ipam: Ipam {
            driver: match record.ipam_driver.as_str() {
                "" => "default".to_owned(),
                driver => driver.to_owned(),
            },
            // moby has none for what it made itself, and the client's (empty) map for the rest.
            options: record.ipam_options.clone(),
            config: Some(record.pools.iter().map(pool).collect()),
        },
        internal: record.internal,
        attachable: record.attachable,
        ingress: false,
        config_from: ConfigReference { network: record.config_from.clone() },
        config_only: record.config_only,
        containers: Some(
            record.endpoints.iter().map(|(id, endpoint)| (id.clone(), container(endpoint))).collect(),
        ),
        options: Some(record.options.clone()),
        labels: Some(record.labels.clone()),
        peers: None,
        services: None,
    }
}

fn pool(pool: &Pool) -> IpamConfig {
    let auxiliary = pool.auxiliary.iter().map(|(name, address)| (name.clone(), address.to_string()));
    IpamConfig {
        subnet: pool.subnet.to_string(),
        ip_range: pool.ip_range.map(|range| range.to_string()).unwrap_or_default(),
        gateway: pool.gateway.map(|gateway| gateway.to_string()).unwrap_or_default(),
        auxiliary_addresses: Some(auxiliary.collect()),
    }
}

fn container(endpoint: &Endpoint) -> NetworkContainer {
    NetworkContainer {
        name: endpoint.container_name.clone(),
        endpoint_id: endpoint.endpoint_id.clone(),
        mac_address: endpoint.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        ipv4_address: endpoint.ip.map(|ip| format!("{ip}/{}", endpoint.prefix)).unwrap_or_default(),
        ipv6_address: endpoint.ipv6.map(|ip| format!("{ip}/{}", endpoint.prefix6)).unwrap_or_default(),
    }
}

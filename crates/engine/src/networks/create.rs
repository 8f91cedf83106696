//! A create request as the network crate's specification. Pure.

use std::collections::BTreeMap;

use ::network::{NetworkSpec, PoolSpec};
use api::*;

use crate::error::{Error, Result};

/// What clients match to learn that there is no cluster.
const NO_SWARM: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";

pub(super) fn spec(request: NetworkCreateRequest) -> Result<NetworkSpec> {
    if request.ingress || request.scope == "swarm" {
        return Err(Error::new(ErrorKind::Forbidden, NO_SWARM));
    }
    let ipam = request.ipam.unwrap_or_default();
    let pool = |config: IpamConfig| PoolSpec {
        subnet: config.subnet,
        ip_range: config.ip_range,
        gateway: config.gateway,
        auxiliary: config.auxiliary_addresses.unwrap_or_default(),
    };
    let all = ipam.config.unwrap_or_default();
    // What says nothing asks for nothing: some clients send one empty entry.
    let asked = all.into_iter().filter(|config| *config != IpamConfig::default());
    Ok(NetworkSpec {
        name: request.name,
        driver: request.driver,
        ipam_driver: ipam.driver,
        ipam_options: ipam.options,
        pools: asked.map(pool).collect(),
        ipv4: request.enable_ipv4.or_else(|| option(&request.options, "com.docker.network.enable_ipv4")),
        ipv6: request.enable_ipv6.or_else(|| option(&request.options, "com.docker.network.enable_ipv6")),
        internal: request.internal,
        attachable: request.attachable,
        options: request.options.unwrap_or_default(),
        labels: request.labels.unwrap_or_default(),
        config_only: request.config_only,
        config_from: request.config_from.map(|source| source.network).unwrap_or_default(),
    })
}

/// The older spelling of two fields, as driver options (daemon.json's `default-network-opts` uses it).
fn option(options: &Option<BTreeMap<String, String>>, key: &str) -> Option<bool> {
    options.as_ref()?.get(key)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<NetworkSpec> {
        spec(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn every_option_arrives() {
        let spec = read(
            r#"{"Name":"n","Driver":"bridge","EnableIPv6":true,"Internal":true,"Attachable":true,"Labels":{"a":"b"},
                "IPAM":{"Driver":"default","Options":{"o":"p"},"Config":[{"Subnet":"10.9.0.0/16","IPRange":"10.9.1.0/24",
                "Gateway":"10.9.0.9","AuxiliaryAddresses":{"router":"10.9.1.1"}},{}]},"Options":{"k":"v"},
                "ConfigFrom":{"Network":"base"},"ConfigOnly":true}"#,
        )
        .unwrap();
        assert_eq!(
            (spec.name.as_str(), spec.driver.as_str(), spec.ipam_driver.as_str()),
            ("n", "bridge", "default")
        );
        assert_eq!((spec.ipv4, spec.ipv6, spec.internal, spec.attachable), (None, Some(true), true, true));
        assert_eq!(spec.pools.len(), 1);
        let pool = &spec.pools[0];
        assert_eq!(
            (pool.subnet.as_str(), pool.ip_range.as_str(), pool.gateway.as_str()),
            ("10.9.0.0/16", "10.9.1.0/24", "10.9.0.9")
        );
        assert_eq!(pool.auxiliary["router"], "10.9.1.1");
        assert_eq!(
            (
                spec.options["k"].as_str(),
                spec.labels["a"].as_str(),
                spec.ipam_options.as_ref().unwrap()["o"].as_str()
            ),
            ("v", "b", "p")
        );
        assert_eq!((spec.config_from.as_str(), spec.config_only), ("base", true));
        assert_eq!(
            read(r#"{"Name":"n","Options":{"com.docker.network.enable_ipv4":"false"}}"#).unwrap().ipv4,
            Some(false)
        );
    }

    #[test]
    fn what_needs_a_cluster_is_refused() {
        for json in [r#"{"Name":"n","Scope":"swarm"}"#, r#"{"Name":"n","Ingress":true}"#] {
            assert!(
                read(json).unwrap_err().message.starts_with("This node is not a swarm manager."),
                "{json}"
            );
        }
    }
}

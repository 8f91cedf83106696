//! Endpoint settings as users give them: checked in Docker's words, and as what the network crate is asked for. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use api::{EndpointIpamConfig, EndpointSettings};
use network::{EndpointSpec, Mac, NetworkRecord};

use crate::container::modes;
use crate::container::record::Record;
use crate::error::{Error, Result};

/// Name of the interface in the container.
const IFNAME: &str = "com.docker.network.endpoint.ifname";

/// The endpoints that a container asks for: a container that names none asks for the network of its mode.
pub(crate) fn asked(record: &Record) -> BTreeMap<String, EndpointSettings> {
    if !record.endpoints.is_empty() {
        return record.endpoints.clone();
    }
    let name = match modes::Network::parse(&record.host.network_mode) {
        modes::Network::Host => "host".to_owned(),
        modes::Network::None => "none".to_owned(),
        modes::Network::Named(name) => name,
        modes::Network::Container(_) => return BTreeMap::new(),
    };
    BTreeMap::from([(name, EndpointSettings::default())])
}

/// Settings without what an endpoint got: clients send back what they have read.
pub(crate) fn only_asked(settings: EndpointSettings) -> EndpointSettings {
    EndpointSettings {
        ipam_config: settings.ipam_config,
        links: settings.links,
        aliases: settings.aliases,
        mac_address: settings.mac_address,
        driver_opts: settings.driver_opts,
        gw_priority: settings.gw_priority,
        ..EndpointSettings::default()
    }
}

/// Fails on settings that no endpoint of this network can have (moby's `validateEndpointSettings`).
pub(crate) fn check(network: &NetworkRecord, settings: &EndpointSettings) -> Result<()> {
    let mut problems = Vec::new();
    let ipam = settings.ipam_config.clone().unwrap_or_default();
    let is_static = !ipam.ipv4_address.is_empty() || !ipam.ipv6_address.is_empty();
    if network.is_builtin() && is_static {
        problems.push("user specified IP address is supported on user defined networks only".to_owned());
    }
    if network.is_builtin() && settings.aliases.as_ref().is_some_and(|aliases| !aliases.is_empty()) {
        problems.push(
            "network-scoped alias is supported only for containers in user defined networks".to_owned(),
        );
    }
    check_addresses(network, &ipam, &mut problems);
    if !settings.mac_address.is_empty() && settings.mac_address.parse::<Mac>().is_err() {
        problems.push(format!("invalid MAC address {}", settings.mac_address));
    }
    let sysctls = settings.driver_opts.as_ref().and_then(|options| options.get(network::SYSCTLS));
    for name in network::unknown_sysctls(sysctls.map_or("", String::as_str)) {
        problems.push(format!(
            "unrecognised network interface sysctl '{name}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'"
        ));
    }
    match problems.as_slice() {
        [] => Ok(()),
        [problem] => Err(Error::invalid(format!("invalid endpoint settings:\n{problem}"))),
        problems => Err(Error::invalid(format!("invalid endpoint settings:\n* {}", problems.join("\n* ")))),
    }
}

fn check_addresses(network: &NetworkRecord, ipam: &EndpointIpamConfig, problems: &mut Vec<String>) {
    let mut address = |text: &str, family: &str, ipv6: bool| {
        if text.is_empty() {
            return;
        }
        match text.parse::<IpAddr>() {
            Ok(address) if address.is_ipv6() == ipv6 => {
                // On a built-in network this is a problem whatever the address.
                if !network.is_builtin() && !network.pools.iter().any(|pool| pool.subnet.contains(&address)) {
                    problems.push(format!("no configured subnet contains IP address {text}"));
                }
            }
            _ => problems.push(format!("invalid {family} address: {text}")),
        }
    };
    address(&ipam.ipv4_address, "IPv4", false);
    address(&ipam.ipv6_address, "IPv6", true);
    for text in ipam.link_local_ips.iter().flatten().filter(|text| text.parse::<IpAddr>().is_err()) {
        problems.push(format!("invalid link-local IP address: {text}"));
    }
}

/// What checked settings ask of a network for this container.
pub(crate) fn spec(record: &Record, settings: &EndpointSettings) -> EndpointSpec {
    let ipam = settings.ipam_config.clone().unwrap_or_default();
    let options = settings.driver_opts.clone().unwrap_or_default();
    let link = |link: &String| {
        let (name, alias) = super::links::parse(link);
        (alias.to_owned(), name.trim_start_matches('/').to_owned())
    };
    EndpointSpec {
        container_id: record.id.clone(),
        container_name: record.name.clone(),
        hostname: record.config.hostname.clone(),
        aliases: settings.aliases.clone().unwrap_or_default(),
        links: settings.links.iter().flatten().map(link).collect(),
        ipv4: ipam.ipv4_address.parse::<Ipv4Addr>().ok(),
        ipv6: ipam.ipv6_address.parse::<Ipv6Addr>().ok(),
        link_local: ipam.link_local_ips.iter().flatten().filter_map(|text| text.parse().ok()).collect(),
        mac: settings.mac_address.parse().ok(),
        ifname: options.get(IFNAME).filter(|name| !name.is_empty()).cloned(),
        gateway_priority: settings.gw_priority,
        options,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(mode: &str) -> Record {
        let mut record = Record::new(
            "ab".repeat(32),
            "web".into(),
            String::new(),
            String::new(),
            "linux".into(),
            Default::default(),
            Default::default(),
            store::Rootfs::Directory("/".into()),
        );
        record.host.network_mode = mode.into();
        record.config.hostname = "host".into();
        record
    }

    fn network(name: &str) -> NetworkRecord {
        serde_json::from_str(&format!(
            r#"{{"id":"i","name":"{name}","driver":"bridge","created":"","enable_ipv4":true,"enable_ipv6":false,
                "internal":false,"options":{{}},"labels":{{}},"pools":[{{"subnet":"10.9.0.0/16","gateway":"10.9.0.1",
                "ip_range":null}}]}}"#
        ))
        .unwrap()
    }

    fn settings(json: &str) -> EndpointSettings {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_container_without_endpoints_asks_for_its_modes_network() {
        let names = |record: &Record| asked(record).into_keys().collect::<Vec<_>>();
        for (mode, expected) in
            [("", "bridge"), ("default", "bridge"), ("host", "host"), ("none", "none"), ("mine", "mine")]
        {
            assert_eq!(names(&record(mode)), [expected]);
        }
        assert!(names(&record("container:x")).is_empty());
        let mut explicit = record("bridge");
        explicit.endpoints.insert("mine".into(), EndpointSettings::default());
        assert_eq!(names(&explicit), ["mine"]);
    }

    #[test]
    fn problems_are_listed_in_dockers_words() {
        let problem = |name: &str, json: &str| match check(&network(name), &settings(json)) {
            Ok(()) => String::new(),
            Err(error) => error.message.strip_prefix("invalid endpoint settings:\n").unwrap().to_owned(),
        };
        assert_eq!(problem("mine", r#"{"IPAMConfig":{"IPv4Address":"10.9.3.3"},"Aliases":["a"]}"#), "");
        assert_eq!(
            problem("bridge", r#"{"IPAMConfig":{"IPv4Address":"10.9.3.3"}}"#),
            "user specified IP address is supported on user defined networks only"
        );
        assert_eq!(
            problem("bridge", r#"{"Aliases":["a"]}"#),
            "network-scoped alias is supported only for containers in user defined networks"
        );
        assert_eq!(
            problem("mine", r#"{"IPAMConfig":{"IPv4Address":"10.8.3.3"}}"#),
            "no configured subnet contains IP address 10.8.3.3"
        );
        assert_eq!(
            problem("mine", r#"{"IPAMConfig":{"IPv4Address":"x","LinkLocalIPs":["y"]},"MacAddress":"z"}"#),
            "* invalid IPv4 address: x\n* invalid link-local IP address: y\n* invalid MAC address z"
        );
        assert!(
            problem(
                "mine",
                r#"{"DriverOpts":{"com.docker.network.endpoint.sysctls":"net.ipv4.conf.eth0.x=1"}}"#
            )
            .starts_with("unrecognised network interface sysctl 'net.ipv4.conf.eth0.x=1'")
        );
    }

    #[test]
    fn settings_become_a_specification() {
        let spec = spec(
            &record(""),
            &settings(
                r#"{"IPAMConfig":{"IPv4Address":"10.9.3.3","LinkLocalIPs":["169.254.1.1"]},"Links":["/db:database","cache"],
                    "Aliases":["w"],"MacAddress":"02:42:0a:09:03:03","GwPriority":7,
                    "DriverOpts":{"com.docker.network.endpoint.ifname":"net0"}}"#,
            ),
        );
        assert_eq!((spec.container_name.as_str(), spec.hostname.as_str()), ("web", "host"));
        assert_eq!(spec.ipv4, Some(Ipv4Addr::new(10, 9, 3, 3)));
        assert_eq!(spec.links, [("database".into(), "db".into()), ("cache".into(), "cache".into())]);
        assert_eq!((spec.aliases.as_slice(), spec.gateway_priority), (&["w".to_owned()][..], 7));
        assert_eq!(spec.mac.unwrap().to_string(), "02:42:0a:09:03:03");
        assert_eq!((spec.ifname.as_deref(), spec.link_local.len()), (Some("net0"), 1));
    }
}

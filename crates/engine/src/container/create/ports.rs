//! Port specifications: `80/tcp` as a key, `8000-8010` as a host port, and what a host configuration asks to publish.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::{ContainerConfig, HostConfig};
use network::{PortSpec, Proto};

use crate::error::{Error, Result};

/// A container port: `80`, `80/udp`.
pub(crate) fn container_port(text: &str) -> Result<(u16, Proto)> {
    let invalid = || Error::invalid(format!("invalid port specification: {text:?}"));
    let (port, proto) = text.split_once('/').unwrap_or((text, "tcp"));
    let port = port.parse().map_err(|_| invalid())?;
    Ok((port, proto.parse().map_err(|_| invalid())?))
}

/// A host port or range; empty and 0 take a free one.
fn host_ports(text: &str) -> Result<(u16, u16)> {
    let invalid = || Error::invalid(format!("invalid port specification: {text:?}"));
    if text.is_empty() {
        return Ok((0, 0));
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let first: u16 = first.parse().map_err(|_| invalid())?;
    let last: u16 = last.parse().map_err(|_| invalid())?;
    match first <= last {
        true => Ok((first, last)),
        false => Err(invalid()),
    }
}

/// Everything that is wrong with the ports of a configuration.
pub(crate) fn check(config: &ContainerConfig, host: &HostConfig, errors: &mut Vec<Error>) {
    for port in config.exposed_ports.iter().flat_map(BTreeMap::keys) {
        errors.extend(container_port(port).err());
    }
    for (port, bindings) in host.port_bindings.iter().flatten() {
        errors.extend(container_port(port).err());
        for binding in bindings.iter().flatten() {
            errors.extend(host_ports(&binding.host_port).err());
            if !binding.host_ip.is_empty() && binding.host_ip.parse::<IpAddr>().is_err() {
                errors.push(Error::invalid(format!("invalid IP address: {}", binding.host_ip)));
            }
        }
    }
}

/// What is to be published at start, in the order of the container's ports. `-P` adds every exposed port that has no binding.
pub(crate) fn publish(config: &ContainerConfig, host: &HostConfig) -> Result<Vec<PortSpec>> {
    let mut specs = Vec::new();
    for (port, bindings) in host.port_bindings.iter().flatten() {
        let (container_port, proto) = container_port(port)?;
        for binding in bindings.iter().flatten() {
            let host_ip = match binding.host_ip.as_str() {
                "" => None,
                text => {
                    Some(text.parse().map_err(|_| Error::invalid(format!("invalid IP address: {text}")))?)
                }
            };
            specs.push(PortSpec {
                host_ip,
                host_ports: host_ports(&binding.host_port)?,
                container_port,
                proto,
            });
        }
    }
    if host.publish_all_ports {
        for port in config.exposed_ports.iter().flat_map(BTreeMap::keys) {
            let (container_port, proto) = container_port(port)?;
            if !specs.iter().any(|spec| spec.container_port == container_port && spec.proto == proto) {
                specs.push(PortSpec { host_ip: None, host_ports: (0, 0), container_port, proto });
            }
        }
    }
    specs.sort_by_key(|spec| (spec.container_port, spec.proto));
    Ok(specs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published() {
        let config: ContainerConfig =
            serde_json::from_str(r#"{"ExposedPorts":{"80/tcp":{},"53/udp":{}}}"#).unwrap();
        let mut host: HostConfig = serde_json::from_str(
            r#"{"PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"},{"HostPort":"9000-9010"}],"81":[{}]}}"#,
        )
        .unwrap();
        let list = |host: &HostConfig| -> Vec<(u16, (u16, u16), bool)> {
            let specs = publish(&config, host).unwrap();
            specs.iter().map(|spec| (spec.container_port, spec.host_ports, spec.host_ip.is_some())).collect()
        };
        assert_eq!(list(&host), [(80, (8080, 8080), true), (80, (9000, 9010), false), (81, (0, 0), false)]);
        host.publish_all_ports = true;
        assert_eq!(list(&host).len(), 4);
    }

    #[test]
    fn bad_ports_are_all_reported() {
        let config: ContainerConfig = serde_json::from_str(r#"{"ExposedPorts":{"http":{}}}"#).unwrap();
        let host: HostConfig = serde_json::from_str(
            r#"{"PortBindings":{"80/tcp":[{"HostPort":"70000"},{"HostPort":"9-8"},{"HostIp":"x"}]}}"#,
        )
        .unwrap();
        let mut errors = Vec::new();
        check(&config, &host, &mut errors);
        let texts: Vec<String> = errors.into_iter().map(|error| error.message).collect();
        assert_eq!(
            texts,
            [
                "invalid port specification: \"http\"",
                "invalid port specification: \"70000\"",
                "invalid port specification: \"9-8\"",
                "invalid IP address: x",
            ]
        );
    }
}

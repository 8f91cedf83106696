//! What a create request leaves open, filled in as `inspect` will show it.

use api::{ContainerConfig, EndpointSettings, HostConfig, NetworkingConfig};
use std::collections::BTreeMap;

use crate::config::EngineConfig;
use crate::container::modes::Network;
use crate::container::name::short;
use crate::system::RUNTIMES;

/// Before validation: nothing here depends on the image.
pub(crate) fn host(host: &mut HostConfig, engine: &EngineConfig, cgroup_v2: bool) {
    let text = |field: &mut String, default: &str| {
        if field.is_empty() {
            default.clone_into(field);
        }
    };
    text(&mut host.ipc_mode, &engine.default_ipc_mode);
    let cgroupns = if cgroup_v2 && !host.privileged { "private" } else { "host" };
    text(&mut host.cgroupns_mode, engine.default_cgroupns_mode.as_deref().unwrap_or(cgroupns));
    text(&mut host.runtime, RUNTIMES[0]);
    text(&mut host.restart_policy.name, "no");
    if matches!(host.network_mode.as_str(), "" | "default") {
        host.network_mode = "bridge".to_owned();
    }
    if host.shm_size == 0 {
        host.shm_size = engine.default_shm_size;
    }
    if host.log_config.typ.is_empty() {
        host.log_config.typ.clone_from(&engine.log_driver);
        let own = host.log_config.config.get_or_insert_default();
        for (key, value) in &engine.log_opts {
            own.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    let resources = &mut host.resources;
    // As Docker: swap as large as the memory, unless said otherwise.
    if resources.memory > 0 && resources.memory_swap == 0 {
        resources.memory_swap = resources.memory.saturating_mul(2);
    }
    if resources.oom_kill_disable == Some(false) {
        resources.oom_kill_disable = None;
    }
}

/// Host name of a container that names none.
pub(crate) fn hostname(config: &mut ContainerConfig, host: &HostConfig, id: &str) {
    if !config.hostname.is_empty() {
        return;
    }
    let of_host = host.uts_mode == "host" || Network::parse(&host.network_mode) == Network::Host;
    config.hostname = match of_host {
        true => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        false => short(id).to_owned(),
    };
}

/// The endpoints asked for, by network; the network mode's has what the older fields say.
pub(crate) fn endpoints(
    networking: Option<NetworkingConfig>,
    config: &ContainerConfig,
    host: &HostConfig,
) -> BTreeMap<String, EndpointSettings> {
    let mut endpoints: BTreeMap<String, EndpointSettings> = networking
        .and_then(|networking| networking.endpoints_config)
        .unwrap_or_default()
        .into_iter()
        .map(|(name, settings)| {
            let name = if name == "default" { "bridge".to_owned() } else { name };
            (name, settings.unwrap_or_default())
        })
        .collect();
    if let Network::Named(name) = Network::parse(&host.network_mode) {
        let user_defined = name != "bridge";
        let own = endpoints.entry(name).or_default();
        if own.mac_address.is_empty() {
            own.mac_address.clone_from(&config.mac_address);
        }
        if user_defined && own.links.is_none() {
            own.links.clone_from(&host.links);
        }
    }
    endpoints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inspect_shows_dockers_defaults() {
        let mut config: HostConfig = serde_json::from_str(r#"{"Memory":8388608}"#).unwrap();
        host(&mut config, &EngineConfig::new("/r", "/run"), true);
        assert_eq!(
            (config.ipc_mode.as_str(), config.cgroupns_mode.as_str(), config.network_mode.as_str()),
            ("private", "private", "bridge")
        );
        assert_eq!((config.shm_size, config.resources.memory_swap), (64 << 20, 16 << 20));
        assert_eq!(
            (config.log_config.typ.as_str(), config.restart_policy.name.as_str()),
            ("json-file", "no")
        );
        let mut config: HostConfig = serde_json::from_str(r#"{"Privileged":true,"IpcMode":"host"}"#).unwrap();
        host(&mut config, &EngineConfig::new("/r", "/run"), true);
        assert_eq!((config.ipc_mode.as_str(), config.cgroupns_mode.as_str()), ("host", "host"));
    }

    #[test]
    fn the_modes_network_is_always_among_the_endpoints() {
        let get = |mode: &str, json: &str| {
            let host = HostConfig { network_mode: mode.to_owned(), ..HostConfig::default() };
            let config: ContainerConfig =
                serde_json::from_str(r#"{"MacAddress":"02:00:00:00:00:01"}"#).unwrap();
            endpoints(serde_json::from_str(json).unwrap(), &config, &host)
        };
        assert_eq!(get("bridge", "null")["bridge"].mac_address, "02:00:00:00:00:01");
        assert_eq!(get("host", "null").len(), 0);
        let both = get("a", r#"{"EndpointsConfig":{"a":{"MacAddress":"x"},"b":null}}"#);
        assert_eq!((both.len(), both["a"].mac_address.as_str()), (2, "x"));
        assert_eq!(get("default", r#"{"EndpointsConfig":{"default":{}}}"#).len(), 1);
    }
}

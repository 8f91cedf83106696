//! Older versions of the API: what a request of theirs means in today's terms, and what today's answers look like to them.
//! Pure functions, one per object, each line naming the version that changed it. Handlers work with the newest model only.

use std::collections::BTreeMap;

use api::*;

use crate::error::Error;

/// The text that clients of 1.44 and newer get back for the old field.
const MAC_ADDRESS_DEPRECATED: &str = "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.";

const fn v(minor: u32) -> ApiVersion {
    ApiVersion::v1(minor)
}

/// A create request in today's terms, with warnings for the client.
pub(crate) fn create_request(
    version: ApiVersion,
    request: &mut ContainerCreateRequest,
) -> Result<Vec<String>, Error> {
    let host = request.host_config.get_or_insert_default();
    if version < v(40) {
        if host.ipc_mode.is_empty() {
            host.ipc_mode = "shareable".into();
        }
        for mount in bind_options(host) {
            mount.non_recursive = false;
        }
        host.resources.kernel_memory_tcp = 0;
    }
    if version < v(41) && host.cgroupns_mode.is_empty() {
        host.cgroupns_mode = "host".into();
    }
    if version < v(42) {
        // The option did not exist and missing sources were an error, also for what newer fields would ask.
        for bind in bind_options(host) {
            bind.create_mountpoint = false;
        }
    }
    if version >= v(42) {
        // Ignored since the kernel's own deprecation.
        host.resources.kernel_memory = 0;
        host.resources.kernel_memory_tcp = 0;
    }
    if version < v(43) {
        host.annotations = None;
    }
    if version < v(44) {
        if let Some(health) = request.config.healthcheck.as_mut() {
            health.start_interval = 0;
        }
        for bind in bind_options(host) {
            bind.read_only_non_recursive = true;
            bind.read_only_force_recursive = false;
        }
        let endpoints =
            request.networking_config.as_ref().and_then(|config| config.endpoints_config.as_ref());
        if let Some(endpoints) = endpoints.filter(|endpoints| endpoints.len() > 1) {
            let names: Vec<&str> = endpoints.keys().map(String::as_str).collect();
            return Err(Error::invalid(format!(
                "Container cannot be created with multiple network endpoints: {}",
                names.join(", ")
            )));
        }
    }
    if version < v(45) {
        for options in host.mounts.iter_mut().flatten().filter_map(|mount| mount.volume_options.as_mut()) {
            options.subpath.clear();
        }
    }
    if version < v(46) {
        for options in host.mounts.iter_mut().flatten().filter_map(|mount| mount.tmpfs_options.as_mut()) {
            options.options = None;
        }
    }
    if version < v(48) {
        if host.mounts.iter().flatten().any(|mount| mount.typ == "image") {
            return Err(Error::invalid("mount type \"image\" requires API version 1.48 or newer"));
        }
        for endpoint in request.networking_config.iter_mut().flat_map(endpoints) {
            endpoint.gw_priority = 0;
        }
    }
    // "No limit" and "not said" are the same at create; updates tell them apart.
    host.resources.pids_limit = host.resources.pids_limit.filter(|limit| *limit > 0);
    mac_address(version, request)
}

fn bind_options(host: &mut HostConfig) -> impl Iterator<Item = &mut BindOptions> {
    host.mounts.iter_mut().flatten().filter_map(|mount| mount.bind_options.as_mut())
}

fn endpoints(config: &mut NetworkingConfig) -> impl Iterator<Item = &mut EndpointSettings> {
    config.endpoints_config.iter_mut().flat_map(BTreeMap::values_mut).flatten()
}

/// 1.44 moved the address from the container to its endpoints (moby's `handleMACAddressBC`).
fn mac_address(version: ApiVersion, request: &mut ContainerCreateRequest) -> Result<Vec<String>, Error> {
    let old = std::mem::take(&mut request.config.mac_address);
    if old.is_empty() {
        if version < v(44) {
            // The old API ignored it there.
            request
                .networking_config
                .iter_mut()
                .flat_map(endpoints)
                .for_each(|endpoint| endpoint.mac_address.clear());
        }
        return Ok(Vec::new());
    }
    let mode = request.host_config.as_ref().map(|host| host.network_mode.clone()).unwrap_or_default();
    let has_endpoint = !(mode == "host" || mode == "none" || mode.starts_with("container:"));
    if has_endpoint {
        let name = if mode.is_empty() { "default".to_owned() } else { mode };
        let endpoints =
            request.networking_config.get_or_insert_default().endpoints_config.get_or_insert_default();
        // A container with one endpoint means that one, under whichever of the network's names.
        let key = match endpoints.len() {
            1 => endpoints.keys().next().cloned().unwrap_or(name),
            _ => name,
        };
        let endpoint = endpoints.entry(key).or_default().get_or_insert_default();
        if !endpoint.mac_address.is_empty() && endpoint.mac_address != old && version >= v(44) {
            return Err(Error::invalid(
                "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
            ));
        }
        endpoint.mac_address = old;
    } else if version < v(44) {
        return Err(Error::invalid("conflicting options: mac-address and the network mode"));
    }
    Ok(if version < v(44) { Vec::new() } else { vec![MAC_ADDRESS_DEPRECATED.into()] })
}

/// An update request in today's terms.
pub(crate) fn update_request(version: ApiVersion, request: &mut ContainerUpdateRequest) {
    if version < v(40) && request.resources.pids_limit == Some(0) {
        request.resources.pids_limit = None;
    }
    if version >= v(42) {
        request.resources.kernel_memory = 0;
    }
}

/// An exec request in today's terms.
pub(crate) fn exec_request(version: ApiVersion, request: &mut ExecConfig) {
    if version < v(42) {
        request.console_size = None;
    }
}

/// `GET /containers/{id}/json`.
pub(crate) fn container_inspect(version: ApiVersion, answer: &mut ContainerInspectResponse) {
    if version < v(45) {
        let short: String = answer.id.chars().take(12).collect();
        let host_name = answer.config.as_ref().map(|config| config.hostname.clone()).unwrap_or_default();
        let networks =
            answer.network_settings.iter_mut().filter_map(|settings| settings.networks.as_mut()).flatten();
        for (name, endpoint) in networks.filter(|(name, _)| is_user_defined(name)) {
            tracing::trace!(%name, "aliases as before 1.45");
            let aliases = endpoint.aliases.get_or_insert_default();
            for alias in [&short, &host_name] {
                if !alias.is_empty() && !aliases.contains(alias) {
                    aliases.push(alias.clone());
                }
            }
        }
    }
    if version < v(48) {
        answer.image_manifest_descriptor = None;
    }
}

fn is_user_defined(network: &str) -> bool {
    !matches!(network, "default" | "bridge" | "host" | "none")
}

/// `GET /containers/json`.
pub(crate) fn container_summary(version: ApiVersion, answer: &mut ContainerSummary) {
    if version < v(46) {
        answer.host_config.annotations = None;
    }
    if version < v(48) {
        answer.image_manifest_descriptor = None;
    }
}

/// `GET /images/json`.
pub(crate) fn image_summary(version: ApiVersion, answer: &mut ImageSummary) {
    if version < v(43)
        && answer.repo_tags.as_ref().is_none_or(Vec::is_empty)
        && answer.repo_digests.as_ref().is_none_or(Vec::is_empty)
    {
        answer.repo_tags = Some(vec!["<none>:<none>".into()]);
        answer.repo_digests = Some(vec!["<none>@<none>".into()]);
    }
    if version < v(44) {
        answer.virtual_size = answer.size;
    }
    if version < v(47) {
        answer.manifests = None;
    }
    if version < v(48) {
        answer.descriptor = None;
    }
    if version < v(51) {
        answer.containers = -1;
    }
}

/// `GET /images/{name}/json`.
pub(crate) fn image_inspect(version: ApiVersion, answer: &mut ImageInspect) {
    if version < v(44) {
        answer.virtual_size = answer.size;
        if answer.created.is_empty() {
            answer.created = "0001-01-01T00:00:00Z".into();
        }
    }
    if version >= v(45) {
        answer.container.clear();
        answer.container_config = None;
    }
    if version < v(48) {
        answer.descriptor = None;
        answer.manifests = None;
    }
    if let Some(config) = answer.config.as_mut().filter(|_| version < v(50)) {
        let texts = [&mut config.hostname, &mut config.domainname, &mut config.image];
        texts.into_iter().for_each(|text| *text = Some(String::new()));
        let (attach, rest) = (
            [&mut config.attach_stdin, &mut config.attach_stdout, &mut config.attach_stderr],
            [&mut config.tty, &mut config.open_stdin, &mut config.stdin_once],
        );
        attach.into_iter().chain(rest).for_each(|flag| *flag = Some(false));
    }
}

/// `GET /info`.
pub(crate) fn info(version: ApiVersion, info: &mut SystemInfo) {
    if version < v(42) {
        info.kernel_memory = true;
        info.kernel_memory_tcp = true;
    }
    if version < v(44) {
        info.runtimes.iter_mut().flatten().for_each(|(_, runtime)| runtime.status = None);
    }
    if version < v(46) {
        info.containerd = None;
    }
    if version < v(49) {
        info.firewall_backend = None;
        for commit in [&mut info.containerd_commit, &mut info.runc_commit, &mut info.init_commit] {
            commit.expected.clone_from(&commit.id);
        }
    }
    if version < v(50) {
        info.discovered_devices = None;
        // Published ports here never depend on bridge netfilter: reported as on, or old clients warn.
        info.bridge_nf_iptables = Some(true);
        info.bridge_nf_ip6tables = Some(true);
    }
}

/// `GET /system/df`.
pub(crate) fn disk_usage(version: ApiVersion, answer: &mut SystemDataUsageResponse) {
    answer.containers.iter_mut().flatten().for_each(|container| container_summary(version, container));
    for image in answer.images.iter_mut().flatten() {
        // Counts are asked for here in every version.
        let containers = image.containers;
        image_summary(version, image);
        image.containers = containers;
    }
    if version < v(42) {
        answer.builder_size = answer.build_cache.iter().flatten().map(|record| record.size).sum();
    }
}

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;

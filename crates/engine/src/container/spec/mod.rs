//! From a container's record to its OCI spec: Docker's defaults (the runtime's) edited by configuration and host
//! configuration. Pure but for device nodes of the host that are named; what must be made or found first (files, volumes,
//! other containers' namespaces) comes in ready in [`Input`].

mod mounts;
mod namespaces;
mod process;
mod resources;

use std::collections::HashMap;
use std::path::PathBuf;

use api::{ContainerConfig, HostConfig};
use oci_spec::runtime::Spec;

pub(crate) use mounts::SpecMount;
pub(crate) use process::{command, oci_capabilities, override_environment};
pub(crate) use resources::{device_rule, rlimit};

use crate::config::EngineConfig;
use crate::container::modes::Network;
use crate::container::security;
use crate::error::Result;

/// Where the init process of `--init` is mounted.
pub(crate) const INIT_PATH: &str = "/sbin/docker-init";

/// Namespaces of other containers that this one joins, as `/proc/<pid>/ns/…`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Joined {
    pub pid: Option<PathBuf>,
    pub ipc: Option<PathBuf>,
}

/// Everything a spec is made from.
pub(crate) struct Input<'a> {
    pub config: &'a ContainerConfig,
    pub host: &'a HostConfig,
    pub engine: &'a EngineConfig,
    /// Highest capability of the kernel.
    pub last_capability: u32,
    /// cgroup v2 alone.
    pub cgroup_v2: bool,
    /// Host name in the container.
    pub hostname: String,
    /// User's mounts, and the files that the engine injects.
    pub mounts: Vec<SpecMount>,
    /// Host path that becomes `/dev/shm`, when the memory is shared between containers.
    pub shm: Option<PathBuf>,
    pub joined: Joined,
    /// AppArmor is on in this kernel.
    pub apparmor: bool,
    /// Environment variables of `--link`.
    pub linked: Vec<String>,
}

/// The spec. `base` is the runtime's default.
pub(crate) fn build(mut base: Spec, input: &Input<'_>) -> Result<Spec> {
    let security = security::Options::parse(input.host)?;
    base.set_process(Some(process::process(input, &security)));
    let mut root = base.root().clone().unwrap_or_default();
    root.set_readonly(Some(input.host.readonly_rootfs));
    base.set_root(Some(root));
    let private_uts = input.host.uts_mode != "host";
    base.set_hostname(private_uts.then(|| input.hostname.clone()));
    let domain = &input.config.domainname;
    base.set_domainname((private_uts && !domain.is_empty()).then(|| domain.clone()));
    mounts::edit(&mut base, input, &security)?;

    let mut linux = base.linux().clone().unwrap_or_default();
    namespaces::edit(&mut linux, input)?;
    linux.set_sysctl(sysctls(input));
    let mut limits = resources::limits(&input.host.resources, input.cgroup_v2)?;
    let (nodes, rules) = resources::device_nodes(input.host)?;
    let defaults = linux.resources().as_ref().and_then(|resources| resources.devices().clone());
    limits.set_devices(Some(match input.host.privileged {
        true => rules,
        false => defaults.into_iter().flatten().chain(rules).collect(),
    }));
    linux.set_resources(Some(limits));
    let devices: Vec<_> = linux.devices().iter().flatten().cloned().chain(nodes).collect();
    linux.set_devices((!devices.is_empty()).then_some(devices));
    let unconfined = input.host.privileged || security.unconfined_paths;
    let paths = |asked: &Option<Vec<String>>, default: &Option<Vec<String>>| match (unconfined, asked) {
        (true, _) => None,
        (false, Some(asked)) => Some(asked.clone()),
        (false, None) => default.clone(),
    };
    let masked = paths(&input.host.masked_paths, linux.masked_paths());
    let readonly = paths(&input.host.readonly_paths, linux.readonly_paths());
    linux.set_masked_paths(masked).set_readonly_paths(readonly);
    linux.set_rootfs_propagation(mounts::root_propagation(&input.mounts));
    linux.set_seccomp(None);
    base.set_linux(Some(linux));
    let annotations = input.host.annotations.clone().unwrap_or_default();
    base.set_annotations((!annotations.is_empty()).then(|| annotations.into_iter().collect()));
    Ok(base)
}

/// The first process alone: what further processes of the container start from.
pub(crate) fn process(input: &Input<'_>) -> Result<oci_spec::runtime::Process> {
    Ok(process::process(input, &security::Options::parse(input.host)?))
}

/// In a network namespace of its own a container may ping and use low ports without privileges.
fn sysctls(input: &Input<'_>) -> Option<HashMap<String, String>> {
    let mut sysctls = HashMap::new();
    let private = matches!(Network::parse(&input.host.network_mode), Network::None | Network::Named(_));
    if private {
        sysctls.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
        // A user namespace does not know so many groups.
        if input.engine.rootless.is_none() {
            sysctls.insert("net.ipv4.ping_group_range".to_owned(), "0 2147483647".to_owned());
        }
    }
    sysctls.extend(input.host.sysctls.iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
    (!sysctls.is_empty()).then_some(sysctls)
}

#[cfg(test)]
mod tests;

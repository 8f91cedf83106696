//! The engine about itself: info, version and disk usage.

mod host;

use std::collections::BTreeMap;

use ::image::DEFAULT_REGISTRY;
use api::*;

use crate::blocking::blocking;
use crate::error::Result;
use crate::{Engine, images, volumes};

/// Version of the engine; one product, one version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Engine {
    pub async fn info(&self) -> Result<SystemInfo> {
        let uses = self.container_uses();
        let count = |status: &[&str]| {
            uses.iter().filter(|container| status.contains(&container.status.as_str())).count() as i64
        };
        let (running, paused) = (count(&["running", "restarting"]), count(&["paused"]));
        let store = self.store.clone();
        let (root, cgroups) = (self.config.root.clone(), self.facts.runtime.cgroup.clone());
        let (images, host) =
            blocking(move || Ok((store.images()?.len() as i64, host::Host::read(&root, &cgroups)))).await?;
        let registries = &self.config.registries;
        // "none" is a driver that logs nothing, and Docker does not list it either.
        let log_drivers = ["json-file", "local"];
        Ok(SystemInfo {
            id: self.identity().await?,
            containers: uses.len() as i64,
            containers_running: running,
            containers_paused: paused,
            containers_stopped: uses.len() as i64 - running - paused,
            images,
            driver: "overlay2".to_owned(),
            driver_status: Some(host.storage_status()),
            plugins: PluginsInfo {
                volume: Some(words(&["local"])),
                network: Some(words(&["bridge", "host", "ipvlan", "macvlan", "null"])),
                authorization: None,
                log: Some(words(&log_drivers)),
            },
            memory_limit: self.config.has_cgroups(),
            swap_limit: host.swap_limit,
            cpu_cfs_period: self.config.has_cgroups(),
            cpu_cfs_quota: self.config.has_cgroups(),
            cpu_shares: self.config.has_cgroups(),
            cpu_set: self.config.has_cgroups(),
            pids_limit: self.config.has_cgroups(),
            ipv4_forwarding: host.ipv4_forwarding,
            debug: self.config.debug,
            n_fd: host.open_files,
            oom_kill_disable: host.cgroup_version == 1,
            n_goroutines: 0,
            system_time: jiff::Timestamp::now().to_string(),
            logging_driver: self.config.log_driver.clone(),
            cgroup_driver: self.config.cgroup_driver().to_owned(),
            cgroup_version: host.cgroup_version.to_string(),
            n_events_listener: self.events.listeners() as i64,
            kernel_version: host.kernel.clone(),
            operating_system: host.operating_system.clone(),
            os_version: host.os_version.clone(),
            os_type: "linux".to_owned(),
            architecture: host.machine.clone(),
            index_server_address: distribution::credentials::HUB_KEY.to_owned(),
            registry_config: Some(registry_config(registries)),
            n_cpu: host.cpus,
            mem_total: host.memory,
            docker_root_dir: self.config.root.display().to_string(),
            http_proxy: proxy(&registries.proxies.http),
            https_proxy: proxy(&registries.proxies.https),
            no_proxy: registries.proxies.no_proxy.clone().unwrap_or_default(),
            name: host.name.clone(),
            labels: Some(self.config.labels.clone()),
            server_version: VERSION.to_owned(),
            runtimes: Some(runtimes()),
            default_runtime: RUNTIMES[0].to_owned(),
            swarm: SwarmInfo { local_node_state: "inactive".to_owned(), ..SwarmInfo::default() },
            live_restore_enabled: true,
            init_binary: "docker-init".to_owned(),
            security_options: Some(host.security_options(self.config.rootless.is_some())),
            default_address_pools: Some(self.address_pools()),
            firewall_backend: Some(FirewallInfo { driver: "nftables".to_owned(), info: None }),
            cdi_spec_dirs: Some(Vec::new()),
            warnings: Some(self.warnings(&host).await).filter(|warnings| !warnings.is_empty()),
            ..SystemInfo::default()
        })
    }

    async fn warnings(&self, host: &host::Host) -> Vec<String> {
        let apart = self.config.network.home.is_some();
        let mut warnings = host.warnings();
        // Of the host: containers elsewhere do not depend on it.
        warnings.retain(|warning| !(apart && warning.contains("forwarding")));
        let networks = self.networks.clone();
        let outlet = blocking(move || Ok(networks.outlet()?)).await.ok().flatten();
        if let Some(outlet) = outlet.filter(|outlet| outlet.program.is_none() && !outlet.problem.is_empty()) {
            warnings.push(format!("WARNING: networks have no way out: {}", outlet.problem));
        }
        let rootless = self.config.rootless.iter().flat_map(|rootless| &rootless.warnings);
        warnings.extend(rootless.map(|warning| format!("WARNING: {warning}")));
        warnings
    }

    pub async fn version(&self) -> Result<SystemVersion> {
        let host = blocking(|| Ok(host::Kernel::read())).await?;
        let (newest, oldest) = (ApiVersion::MAX.to_string(), ApiVersion::MIN.to_string());
        let arch = ::image::Platform::host().architecture;
        let details = [
            ("ApiVersion", newest.as_str()),
            ("MinAPIVersion", oldest.as_str()),
            ("Arch", arch.as_str()),
            ("Os", "linux"),
            ("KernelVersion", host.release.as_str()),
            ("Experimental", "false"),
        ];
        let details = details.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Ok(SystemVersion {
            platform: SystemVersionPlatform { name: "Naru".to_owned() },
            components: Some(vec![ComponentVersion {
                name: "Engine".to_owned(),
                version: VERSION.to_owned(),
                details: Some(details),
            }]),
            version: VERSION.to_owned(),
            api_version: newest.clone(),
            min_api_version: oldest.clone(),
            os: "linux".to_owned(),
            arch: arch.clone(),
            kernel_version: host.release.clone(),
            ..SystemVersion::default()
        })
    }

    /// Bytes used; of the kinds asked for, or of all.
    pub async fn disk_usage(&self, query: SystemDataUsageQuery) -> Result<SystemDataUsageResponse> {
        let wanted = |kind: &str| query.types.is_empty() || query.types.iter().any(|wanted| wanted == kind);
        let mut answer = SystemDataUsageResponse::default();
        let uses = self.container_uses();
        if wanted("image") {
            let (store, uses) = (self.store.clone(), uses.clone());
            let (size, images) = blocking(move || {
                let usage = store.disk_usage()?;
                let images = images::all_summaries(&store, &usage, &uses)?;
                Ok((usage.layers, images))
            })
            .await?;
            answer.layers_size = size.try_into().unwrap_or(i64::MAX);
            answer.images = Some(images);
        }
        if wanted("container") {
            let all = ContainerListQuery { all: true, size: true, ..ContainerListQuery::default() };
            answer.containers = Some(self.container_list(all).await?);
        }
        if wanted("volume") {
            let store = self.store.clone();
            answer.volumes = Some(
                blocking(move || {
                    let mut all = Vec::new();
                    for volume in store.volumes()? {
                        let size = store
                            .volume_size(&volume.name)
                            .map_or(-1, |size| size.try_into().unwrap_or(i64::MAX));
                        let ref_count = volumes::users(&uses, &volume.name).count() as i64;
                        let mut shown = volumes::shown(&store, volume);
                        shown.usage_data = Some(VolumeUsageData { ref_count, size });
                        all.push(shown);
                    }
                    Ok(all)
                })
                .await?,
            );
        }
        if wanted("build-cache") {
            answer.build_cache = Some(Vec::new());
        }
        Ok(answer)
    }

    /// The engine's own id: made once, kept in the root folder.
    async fn identity(&self) -> Result<String> {
        let path = self.config.root.join("engine-id");
        blocking(move || {
            if let Ok(id) = std::fs::read_to_string(&path)
                && !id.trim().is_empty()
            {
                return Ok(id.trim().to_owned());
            }
            let id = host::random_uuid();
            sys::fsutil::write_durable(&path, id.as_bytes())
                .map_err(|error| crate::Error::host("keep the engine's id", error))?;
            Ok(id)
        })
        .await
    }

    fn address_pools(&self) -> Vec<AddressPool> {
        let pools = self.config.network.pools.iter();
        pools.map(|pool| AddressPool { base: pool.base.to_string(), size: pool.size.into() }).collect()
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Passwords in a proxy's URL are nobody's business (moby masks them the same way).
fn proxy(url: &Option<String>) -> String {
    let Some(url) = url else { return String::new() };
    let Some((scheme, rest)) = url.split_once("://") else { return url.clone() };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://xxxxx:xxxxx@{host}"),
        None => url.clone(),
    }
}

/// The names of the one runtime, its own first: the others are what clients and scripts written for Docker ask for.
pub(crate) const RUNTIMES: [&str; 3] = ["naru", "runc", "io.containerd.runc.v2"];

fn runtimes() -> BTreeMap<String, Runtime> {
    let runtime = |path: &str| Runtime { path: path.to_owned(), ..Runtime::default() };
    RUNTIMES.iter().map(|name| ((*name).to_owned(), runtime("naru"))).collect()
}

fn registry_config(config: &distribution::RegistriesConfig) -> RegistryServiceConfig {
    let is_network = |entry: &&String| entry.contains('/');
    let mut networks: Vec<String> = config.insecure_networks.clone();
    networks.extend(config.insecure.iter().filter(is_network).cloned());
    let index = |name: &str, mirrors: &[String], secure: bool, official: bool| IndexInfo {
        name: name.to_owned(),
        mirrors: Some(mirrors.to_vec()),
        secure,
        official,
    };
    let mut indexes =
        BTreeMap::from([(DEFAULT_REGISTRY.to_owned(), index(DEFAULT_REGISTRY, &config.mirrors, true, true))]);
    for name in config.insecure.iter().filter(|entry| !is_network(entry)) {
        indexes.insert(name.clone(), index(name, &[], false, false));
    }
    RegistryServiceConfig {
        insecure_registry_cidrs: Some(networks),
        index_configs: Some(indexes),
        mirrors: Some(config.mirrors.clone()).filter(|mirrors| !mirrors.is_empty()),
    }
}

//! Everything an operator can choose about an engine, and the defaults: options of `naru engine`, its configuration file and
//! daemon.json all end up in this one value. Reads no file and no environment.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use distribution::RegistriesConfig;
use network::NetworkConfig;

/// Options of one engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Durable state: images, containers, volumes, networks, events.
    pub root: PathBuf,
    /// State that a reboot ends: monitors' sockets, endpoints, locks.
    pub run_dir: PathBuf,
    /// The executable that monitors are started from.
    pub exe: PathBuf,
    /// How many monitors wait for the next containers, once one was started; each costs some hundred KiB.
    pub spare_monitors: usize,
    /// Bridges, address pools, nftables.
    pub network: NetworkConfig,
    /// Mirrors, insecure registries, proxies, limits of transfers.
    pub registries: RegistriesConfig,
    /// cgroup below which containers get theirs.
    pub cgroup_parent: String,
    /// The systemd that keeps containers' cgroups, as scopes in the slice `cgroup_parent`; None = they are folders of our own.
    pub systemd: Option<cgroup::Manager>,
    /// Exit after so long without anything to do; None = never.
    pub idle_timeout: Option<Duration>,
    /// Default log driver.
    pub log_driver: String,
    /// Its options.
    pub log_opts: BTreeMap<String, String>,
    /// Bytes of `/dev/shm`.
    pub default_shm_size: i64,
    /// Limits of containers that name none.
    pub default_ulimits: Vec<api::Ulimit>,
    /// Seconds between the stop signal and the kill.
    pub default_stop_timeout: i64,
    /// `private` or `shareable`.
    pub default_ipc_mode: String,
    /// `private` or `host`; None = private on cgroup v2, host on v1.
    pub default_cgroupns_mode: Option<String>,
    /// Whether containers get an init process when they do not say.
    pub init: bool,
    /// Whether containers get `no_new_privs` when they do not say.
    pub no_new_privileges: bool,
    /// Seccomp profile: None = built in, `unconfined`, or the profile's JSON.
    pub seccomp_profile: Option<String>,
    /// Name servers, search domains and options of containers that name none.
    pub dns: Vec<String>,
    pub dns_search: Vec<String>,
    pub dns_options: Vec<String>,
    /// What `host-gateway` means in extra hosts; empty = the default bridge's addresses.
    pub host_gateway_ips: Vec<IpAddr>,
    /// `key=value`, shown by `info`.
    pub labels: Vec<String>,
    /// Shown by `info`.
    pub debug: bool,
    /// How it goes without root's rights; None as root.
    pub rootless: Option<Rootless>,
}

/// An engine of an ordinary user, in a user namespace of his own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rootless {
    /// Containers have cgroups, below a delegated one.
    pub cgroups: bool,
    /// Why nothing outside its networks can be reached by a container, if so; `host` apart.
    pub no_way_out: Option<String>,
    /// What is missing and how to get it, shown by `info`.
    pub warnings: Vec<String>,
}

impl EngineConfig {
    /// The defaults, below these two folders.
    pub fn new(root: impl Into<PathBuf>, run_dir: impl Into<PathBuf>) -> Self {
        let (root, run_dir) = (root.into(), run_dir.into());
        Self {
            network: NetworkConfig::new(&root, &run_dir),
            root,
            run_dir,
            exe: PathBuf::from("/proc/self/exe"),
            spare_monitors: 1,
            registries: RegistriesConfig::default(),
            cgroup_parent: "/naru".to_owned(),
            systemd: None,
            idle_timeout: None,
            log_driver: "json-file".to_owned(),
            log_opts: BTreeMap::new(),
            default_shm_size: 64 << 20,
            default_ulimits: Vec::new(),
            default_stop_timeout: 10,
            default_ipc_mode: "private".to_owned(),
            default_cgroupns_mode: None,
            init: false,
            no_new_privileges: false,
            seccomp_profile: None,
            dns: Vec::new(),
            dns_search: Vec::new(),
            dns_options: Vec::new(),
            host_gateway_ips: Vec::new(),
            labels: Vec::new(),
            debug: false,
            rootless: None,
        }
    }

    /// Whether containers have cgroups.
    pub(crate) fn has_cgroups(&self) -> bool {
        self.rootless.as_ref().is_none_or(|rootless| rootless.cgroups)
    }

    /// Who makes cgroups, in Docker's words.
    pub(crate) fn cgroup_driver(&self) -> &'static str {
        match (self.has_cgroups(), &self.systemd) {
            (false, _) => "none",
            (true, Some(_)) => "systemd",
            (true, None) => "cgroupfs",
        }
    }

    /// Where containers' records are.
    pub(crate) fn containers_dir(&self) -> PathBuf {
        self.root.join("containers")
    }
}

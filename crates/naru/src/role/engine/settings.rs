//! The engine's settings as an operator writes them: daemon.json's keys, which config.toml uses too, and our own beside them.
//! Every one may be missing; one place turns them into the engine's configuration.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;
use engine::EngineConfig;
use serde::Deserialize;

use super::registries;
use crate::{aws, cli};

/// How long an engine that a command started stays without anything to do.
const IDLE: u64 = 300;

macro_rules! settings {
    ($( $(#[$meta:meta])* $field:ident: $ty:ty, )*) => {
        /// What is set.
        #[derive(Debug, Clone, Default, PartialEq, Deserialize)]
        #[serde(rename_all = "kebab-case", default)]
        pub struct Settings {
            $( $(#[$meta])* pub $field: Option<$ty>, )*
            /// Keys we do not know.
            #[serde(flatten)]
            pub unknown: BTreeMap<String, serde_json::Value>,
        }

        impl Settings {
            /// Takes over everything that `other` sets.
            pub fn add(&mut self, other: Self) {
                $( if other.$field.is_some() { self.$field = other.$field; } )*
            }
        }
    };
}

settings! {
    /// Addresses to listen on.
    hosts: Vec<String>,
    /// Set by the command that starts an engine.
    #[serde(skip)]
    listening_stdin: PathBuf,
    #[serde(alias = "root")]
    data_root: PathBuf,
    #[serde(alias = "run-dir")]
    exec_root: PathBuf,
    bridge: String,
    bip: String,
    #[serde(alias = "address-pools")]
    default_address_pools: Vec<AddressPool>,
    mtu: u32,
    ip: IpAddr,
    icc: bool,
    ipv6: bool,
    ip_forward: bool,
    nft_table: String,
    cgroup_parent: String,
    exec_opts: Vec<String>,
    /// Seconds; 0 = never.
    idle_timeout: u64,
    log_level: String,
    debug: bool,
    labels: Vec<String>,
    registry_mirrors: Vec<String>,
    insecure_registries: Vec<String>,
    proxies: ProxySettings,
    max_concurrent_downloads: usize,
    max_concurrent_uploads: usize,
    max_download_attempts: u32,
    log_driver: String,
    log_opts: BTreeMap<String, String>,
    default_shm_size: Size,
    default_ulimits: BTreeMap<String, api::Ulimit>,
    default_stop_timeout: i64,
    default_ipc_mode: String,
    default_cgroupns_mode: String,
    init: bool,
    no_new_privileges: bool,
    seccomp_profile: String,
    dns: Vec<String>,
    dns_search: Vec<String>,
    dns_opts: Vec<String>,
    host_gateway_ips: Vec<IpAddr>,
    tls: bool,
    tlsverify: bool,
    tlscacert: PathBuf,
    tlscert: PathBuf,
    tlskey: PathBuf,
}

/// `proxies` of daemon.json.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ProxySettings {
    http_proxy: Option<String>,
    https_proxy: Option<String>,
    no_proxy: Option<String>,
}

/// A range from which networks get their subnets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AddressPool {
    base: String,
    size: u8,
}

/// `base=10.0.0.0/8,size=24`.
impl FromStr for AddressPool {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text}: expected base=CIDR,size=BITS");
        let (mut base, mut size) = (None, None);
        for part in text.split(',') {
            match part.split_once('=') {
                Some(("base", value)) => base = Some(value.to_owned()),
                Some(("size", value)) => size = value.parse().ok(),
                _ => return Err(wrong()),
            }
        }
        Ok(Self { base: base.ok_or_else(wrong)?, size: size.ok_or_else(wrong)? })
    }
}

/// Bytes, as a number or as `64M`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Size {
    /// A number.
    Bytes(i64),
    /// With a unit.
    Text(String),
}

impl Settings {
    /// Reads a file, and says what in it has no effect.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let settings = Self::parse(path)?;
        for key in settings.unknown.keys() {
            eprintln!("naru engine: {}: \"{key}\" is not supported and has no effect", path.display());
        }
        Ok(settings)
    }

    /// Reads a file, JSON or TOML by its name; one that is not there sets nothing.
    pub fn parse(path: &Path) -> anyhow::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        let settings: Self = match is_json {
            true if text.trim().is_empty() => Self::default(),
            true => serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))?,
            false => toml::from_str(&text).with_context(|| format!("read {}", path.display()))?,
        };
        Ok(settings)
    }

    /// Proxies that no file names come from the usual variables.
    pub fn proxies_from_environment(&mut self, variable: impl Fn(&str) -> Option<String>) {
        let either = |name: &str| variable(name).or_else(|| variable(&name.to_lowercase()));
        let proxies = self.proxies.get_or_insert_default();
        proxies.http_proxy = proxies.http_proxy.take().or_else(|| either("HTTP_PROXY"));
        proxies.https_proxy = proxies.https_proxy.take().or_else(|| either("HTTPS_PROXY"));
        proxies.no_proxy = proxies.no_proxy.take().or_else(|| either("NO_PROXY"));
    }

    /// What to log.
    pub fn log_level(&self) -> String {
        match (self.debug, self.log_level.as_deref()) {
            (Some(true), _) => "debug".to_owned(),
            (_, Some("fatal" | "panic")) => "error".to_owned(),
            (_, level) => level.unwrap_or("info").to_owned(),
        }
    }

    /// The engine's configuration.
    pub fn engine_config(&self) -> anyhow::Result<EngineConfig> {
        let folder = |path: &Option<PathBuf>, default: &str| path.clone().unwrap_or_else(|| default.into());
        let mut config =
            EngineConfig::new(folder(&self.data_root, "/var/lib/naru"), folder(&self.exec_root, "/run/naru"));
        config.exe = std::env::current_exe().context("find the own executable")?;
        self.set_networks(&mut config.network)?;
        self.set_registries(&mut config.registries);
        config.registries.certs_dirs = registries::certs_dirs();
        config.registries.registries_conf = registries::registries_conf();
        config.registries.logins = registries::logins();
        config.registries.aws = Some(aws::of_engine(self.listening_stdin.is_some()));
        self.set_cgroups(&mut config)?;
        set(&mut config.log_driver, &self.log_driver);
        set(&mut config.log_opts, &self.log_opts);
        set(&mut config.default_stop_timeout, &self.default_stop_timeout);
        set(&mut config.default_ipc_mode, &self.default_ipc_mode);
        set(&mut config.init, &self.init);
        set(&mut config.no_new_privileges, &self.no_new_privileges);
        set(&mut config.dns, &self.dns);
        set(&mut config.dns_search, &self.dns_search);
        set(&mut config.dns_options, &self.dns_opts);
        set(&mut config.host_gateway_ips, &self.host_gateway_ips);
        set(&mut config.labels, &self.labels);
        set(&mut config.debug, &self.debug);
        config.default_cgroupns_mode = self.default_cgroupns_mode.clone();
        config.default_shm_size = match &self.default_shm_size {
            None => config.default_shm_size,
            Some(Size::Bytes(bytes)) => *bytes,
            Some(Size::Text(text)) => {
                term::size::parse(text).map_err(anyhow::Error::msg).context("default-shm-size")?
            }
        };
        let ulimit =
            |(name, limit): (&String, &api::Ulimit)| api::Ulimit { name: name.clone(), ..limit.clone() };
        config.default_ulimits = self.default_ulimits.iter().flatten().map(ulimit).collect();
        config.seccomp_profile = match self.seccomp_profile.as_deref() {
            None | Some("" | "builtin") => None,
            Some("unconfined") => Some("unconfined".to_owned()),
            Some(path) => {
                Some(std::fs::read_to_string(path).with_context(|| format!("read seccomp profile {path}"))?)
            }
        };
        config.idle_timeout = match (self.idle_timeout, &self.listening_stdin) {
            (Some(0), _) | (None, None) => None,
            (Some(seconds), _) => Some(Duration::from_secs(seconds)),
            (None, Some(_)) => Some(Duration::from_secs(IDLE)),
        };
        Ok(config)
    }

    fn set_cgroups(&self, config: &mut EngineConfig) -> anyhow::Result<()> {
        set(&mut config.cgroup_parent, &self.cgroup_parent);
        for option in self.exec_opts.iter().flatten() {
            config.systemd = match option.split_once('=') {
                Some(("native.cgroupdriver", "cgroupfs")) => None,
                Some(("native.cgroupdriver", "systemd")) => {
                    Some(cgroup::Manager::system(cli::variable("DBUS_SYSTEM_BUS_ADDRESS").as_deref()))
                }
                Some(("native.cgroupdriver", other)) => {
                    anyhow::bail!("native.cgroupdriver option {other} not supported")
                }
                _ => anyhow::bail!(
                    "unknown exec-opt {option}: there is native.cgroupdriver=systemd or =cgroupfs"
                ),
            };
        }
        if config.systemd.is_some() {
            match &self.cgroup_parent {
                None => "system.slice".clone_into(&mut config.cgroup_parent),
                Some(parent) => anyhow::ensure!(
                    parent.ends_with(".slice"),
                    "cgroup-parent for systemd cgroup should be a valid slice named as \"xxx.slice\""
                ),
            }
        }
        Ok(())
    }

    fn set_networks(&self, network: &mut network::NetworkConfig) -> anyhow::Result<()> {
        set(&mut network.bridge, &self.bridge);
        set(&mut network.nft_table, &self.nft_table);
        set(&mut network.mtu, &self.mtu);
        set(&mut network.publish_address, &self.ip);
        set(&mut network.icc, &self.icc);
        set(&mut network.ipv6, &self.ipv6);
        set(&mut network.ip_forward, &self.ip_forward);
        if let Some(bip) = &self.bip {
            network.bridge_address = Some(bip.parse().with_context(|| format!("bip {bip}"))?);
        }
        if let Some(pools) = &self.default_address_pools {
            let pool = |pool: &AddressPool| {
                let base = pool.base.parse().with_context(|| format!("address pool {}", pool.base))?;
                Ok(network::AddressPool { base, size: pool.size })
            };
            network.pools = pools.iter().map(pool).collect::<anyhow::Result<_>>()?;
        }
        Ok(())
    }

    pub fn set_registries(&self, registries: &mut distribution::RegistriesConfig) {
        set(&mut registries.mirrors, &self.registry_mirrors);
        set(&mut registries.insecure, &self.insecure_registries);
        set(&mut registries.max_downloads, &self.max_concurrent_downloads);
        set(&mut registries.max_uploads, &self.max_concurrent_uploads);
        set(&mut registries.retry.attempts, &self.max_download_attempts);
        if let Some(proxies) = &self.proxies {
            registries.proxies.http = proxies.http_proxy.clone();
            registries.proxies.https = proxies.https_proxy.clone();
            registries.proxies.no_proxy = proxies.no_proxy.clone();
        }
    }
}

fn set<T: Clone>(value: &mut T, setting: &Option<T>) {
    if let Some(setting) = setting {
        value.clone_from(setting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_file_is_understood() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("daemon.json");
        let text = r#"{
            "registry-mirrors": ["https://mirror.example"], "insecure-registries": ["10.0.0.0/8"],
            "log-driver": "local", "log-opts": {"max-size": "10m"}, "bip": "10.9.0.1/24", "dns": ["1.1.1.1"],
            "default-address-pools": [{"base": "10.10.0.0/16", "size": 24}], "data-root": "/data", "default-shm-size": "128M",
            "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 10, "Soft": 5}}, "live-restore": true,
            "proxies": {"http-proxy": "http://proxy:1"}
        }"#;
        std::fs::write(&path, text).unwrap();
        let settings = Settings::read(&path).unwrap();
        assert_eq!(settings.unknown.keys().collect::<Vec<_>>(), ["live-restore"]);
        let config = settings.engine_config().unwrap();
        assert_eq!(config.root, Path::new("/data"));
        assert_eq!(config.registries.mirrors, ["https://mirror.example"]);
        assert_eq!(config.registries.proxies.http.as_deref(), Some("http://proxy:1"));
        assert_eq!(config.network.bridge_address, Some("10.9.0.1/24".parse().unwrap()));
        assert_eq!(config.network.pools.len(), 1);
        assert_eq!((config.default_shm_size, config.default_ulimits[0].hard), (128 << 20, 10));
        assert_eq!(config.log_opts["max-size"], "10m");
        assert_eq!(config.idle_timeout, None);
    }

    #[test]
    fn systemd_keeps_cgroups_if_it_is_asked_to() {
        let config = |options: &[&str], parent: Option<&str>| {
            let exec_opts = Some(options.iter().map(|option| (*option).to_owned()).collect());
            Settings { exec_opts, cgroup_parent: parent.map(str::to_owned), ..Settings::default() }
                .engine_config()
                .map(|config| (config.systemd.is_some(), config.cgroup_parent))
                .map_err(|error| error.to_string())
        };
        let systemd = "native.cgroupdriver=systemd";
        assert_eq!(config(&[], None), Ok((false, "/naru".to_owned())));
        assert_eq!(config(&["native.cgroupdriver=cgroupfs"], Some("/x")), Ok((false, "/x".to_owned())));
        assert_eq!(config(&[systemd], None), Ok((true, "system.slice".to_owned())));
        assert_eq!(config(&[systemd], Some("mine.slice")), Ok((true, "mine.slice".to_owned())));
        assert!(config(&[systemd], Some("/x")).unwrap_err().contains("xxx.slice"));
        assert!(config(&["native.cgroupdriver=x"], None).unwrap_err().contains("option x not supported"));
        assert!(config(&["what=ever"], None).unwrap_err().contains("unknown exec-opt what=ever"));
    }

    #[test]
    fn the_own_file_uses_the_same_keys_and_wins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "root = \"/elsewhere\"\nidle-timeout = 7\n").unwrap();
        let mut settings =
            Settings { data_root: Some("/data".into()), debug: Some(true), ..Settings::default() };
        settings.add(Settings::read(&path).unwrap());
        assert_eq!(settings.data_root.as_deref(), Some(Path::new("/elsewhere")));
        assert_eq!(settings.engine_config().unwrap().idle_timeout, Some(Duration::from_secs(7)));
        assert_eq!(settings.log_level(), "debug");
        std::fs::write(&path, "root = 7").unwrap();
        assert!(Settings::read(&path).is_err());
        assert_eq!(Settings::read(&folder.path().join("none.json")).unwrap(), Settings::default());
    }
}

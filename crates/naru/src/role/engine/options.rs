//! The flags of `naru engine`, each with its `NARU_*` variable. They win over the configuration files.

use std::path::PathBuf;

use anyhow::Context as _;

use super::registries;
use super::settings::{AddressPool, Settings};
use crate::cli;

/// Runs the engine: the Engine API on a socket.
#[derive(Debug, clap::Parser)]
#[command(name = "naru engine", version, about)]
pub struct Options {
    /// Sockets to listen on: unix://PATH, tcp://ADDRESS:PORT, fd://
    #[arg(short = 'H', long = "host", visible_alias = "socket", env = "NARU_SOCKET", value_name = "ADDRESS")]
    hosts: Vec<String>,
    /// Standard input is a socket that listens at this path (how a command starts an engine)
    #[arg(long, value_name = "PATH")]
    listening_stdin: Option<PathBuf>,
    /// Folder of images, containers and volumes
    #[arg(long, visible_alias = "data-root", env = "NARU_ROOT", value_name = "FOLDER")]
    root: Option<PathBuf>,
    /// Folder of sockets and locks, emptied by a reboot
    #[arg(long, visible_alias = "exec-root", env = "NARU_RUN_DIR", value_name = "FOLDER")]
    run_dir: Option<PathBuf>,
    /// Configuration file
    #[arg(long, env = "NARU_CONFIG", default_value = "/etc/naru/config.toml", value_name = "FILE")]
    config: PathBuf,
    /// Docker's configuration file, for what the own one does not say
    #[arg(long, env = "NARU_DAEMON_JSON", default_value = "/etc/docker/daemon.json", value_name = "FILE")]
    config_file: PathBuf,
    /// Name of the default bridge
    #[arg(long, env = "NARU_BRIDGE", value_name = "NAME")]
    bridge: Option<String>,
    /// Address of the default bridge
    #[arg(long, env = "NARU_BIP", value_name = "CIDR")]
    bip: Option<String>,
    /// Where networks get their subnets from: base=CIDR,size=BITS
    #[arg(long, visible_alias = "default-address-pool", env = "NARU_ADDRESS_POOL", value_name = "POOL")]
    address_pool: Vec<AddressPool>,
    /// Name of the nftables table
    #[arg(long, env = "NARU_NFT_TABLE", value_name = "NAME")]
    nft_table: Option<String>,
    /// cgroup below which containers get theirs
    #[arg(long, env = "NARU_CGROUP_PARENT", value_name = "PATH")]
    cgroup_parent: Option<String>,
    /// native.cgroupdriver=systemd or =cgroupfs: who makes containers' cgroups
    #[arg(long, env = "NARU_EXEC_OPT", value_delimiter = ',', value_name = "KEY=VALUE")]
    exec_opt: Vec<String>,
    /// Exit after so long without anything to do ("5m"; 0 = never)
    #[arg(long, env = "NARU_IDLE_TIMEOUT", value_name = "DURATION", value_parser = idle_timeout)]
    idle_timeout: Option<u64>,
    /// debug, info, warn or error
    #[arg(short = 'l', long, env = "NARU_LOG", value_name = "LEVEL")]
    log_level: Option<String>,
    /// The same as --log-level debug
    #[arg(short = 'D', long)]
    debug: bool,
    /// Registry to use before Docker Hub
    #[arg(long, value_name = "URL")]
    registry_mirror: Vec<String>,
    /// Registry without (verified) TLS
    #[arg(long, env = "NARU_INSECURE_REGISTRY", value_delimiter = ',', value_name = "HOST")]
    insecure_registry: Vec<String>,
    /// Default log driver of containers
    #[arg(long, value_name = "DRIVER")]
    log_driver: Option<String>,
    /// Default log options of containers
    #[arg(long, value_name = "KEY=VALUE")]
    log_opt: Vec<String>,
    /// Name servers of containers
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<String>,
    /// TLS on TCP sockets
    #[arg(long)]
    tls: bool,
    /// TLS on TCP sockets, and only for clients with a certificate
    #[arg(long)]
    tlsverify: bool,
    /// Who signs clients' certificates
    #[arg(long, value_name = "FILE")]
    tlscacert: Option<PathBuf>,
    /// The engine's certificate
    #[arg(long, value_name = "FILE")]
    tlscert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE")]
    tlskey: Option<PathBuf>,
}

/// Whole seconds, or Go's notation.
fn idle_timeout(text: &str) -> Result<u64, String> {
    match text.parse::<u64>() {
        Ok(seconds) => Ok(seconds),
        Err(_) => term::duration::parse(text)
            .map(|nanoseconds| u64::try_from(nanoseconds).unwrap_or(0) / 1_000_000_000),
    }
}

impl Options {
    /// Registries alone; what else the files say is not looked at.
    pub fn registries(self) -> anyhow::Result<distribution::RegistriesConfig> {
        let mut settings = Settings::parse(&self.config_file)?;
        settings.add(Settings::parse(&self.config)?);
        settings.proxies_from_environment(cli::variable);
        let mut config = distribution::RegistriesConfig::default();
        settings.set_registries(&mut config);
        config.certs_dirs = registries::certs_dirs();
        config.registries_conf = registries::registries_conf();
        Ok(config)
    }

    /// Flags over variables over `config.toml` over `daemon.json`.
    pub fn settings(self) -> anyhow::Result<Settings> {
        let mut settings = Settings::default();
        settings.add(Settings::read(&self.config_file)?);
        settings.add(Settings::read(&self.config)?);
        let own = Settings {
            hosts: some(self.hosts),
            listening_stdin: self.listening_stdin,
            data_root: self.root,
            exec_root: self.run_dir,
            bridge: self.bridge,
            bip: self.bip,
            default_address_pools: some(self.address_pool),
            nft_table: self.nft_table,
            cgroup_parent: self.cgroup_parent,
            exec_opts: some(self.exec_opt),
            idle_timeout: self.idle_timeout,
            log_level: self.log_level,
            debug: self.debug.then_some(true),
            registry_mirrors: some(self.registry_mirror),
            insecure_registries: some(self.insecure_registry),
            log_driver: self.log_driver,
            log_opts: some(self.log_opt).map(pairs).transpose()?,
            dns: some(self.dns),
            tls: self.tls.then_some(true),
            tlsverify: self.tlsverify.then_some(true),
            tlscacert: self.tlscacert,
            tlscert: self.tlscert,
            tlskey: self.tlskey,
            ..Settings::default()
        };
        settings.add(own);
        if settings.data_root.is_none() && !rustix::process::geteuid().is_root() {
            let data = cli::variable("XDG_DATA_HOME")
                .map_or_else(|| cli::home().join(".local/share"), PathBuf::from);
            settings.data_root = Some(data.join("naru"));
        }
        settings.exec_root.get_or_insert_with(cli::run_dir);
        settings.proxies_from_environment(cli::variable);
        Ok(settings)
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn pairs(list: Vec<String>) -> anyhow::Result<std::collections::BTreeMap<String, String>> {
    let pair = |text: String| {
        let (key, value) = text.split_once('=').with_context(|| format!("invalid log option: {text}"))?;
        Ok((key.to_owned(), value.to_owned()))
    };
    list.into_iter().map(pair).collect()
}

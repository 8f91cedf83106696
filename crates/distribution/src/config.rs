//! Which registries are special, and how hard to try: the values of `daemon.json` that concern registries.
//!
//! [`Registries`] is made once by the engine and shared: it also holds what must outlive one pull, that is tokens, the
//! limits on parallel transfers and the table of downloads in flight.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::auth::TokenCache;
use crate::error::{Error, Result};
use crate::proxy::ProxyRules;
use crate::pull::Downloads;
use crate::resolve::Resolver;
use crate::tls::SystemRoots;

/// Plain values; what `daemon.json` and the engine's options say.
#[derive(Debug, Clone)]
pub struct RegistriesConfig {
    /// `registry-mirrors`: base URLs tried in order before Docker Hub.
    pub mirrors: Vec<String>,
    /// `insecure-registries`: `host`, `host:port` or a network such as `10.0.0.0/8`.
    pub insecure: Vec<String>,
    /// Networks that count as insecure without being named; Docker's are `127.0.0.0/8` and `::1/128`.
    pub insecure_networks: Vec<String>,
    /// Where `<host[:port]>/{*.crt,*.cert,*.key}` and `<host[:port]>/hosts.toml` are looked up, in order.
    pub certs_dirs: Vec<PathBuf>,
    /// `registries.conf` and folders of drop-ins; later ones win.
    pub registries_conf: Vec<PathBuf>,
    /// Logins of whoever runs this (`auth.json`, `config.json`), the first that knows a host wins: for mirrors and other hosts that
    /// stand in for a registry, where the caller has none for them.
    pub logins: Vec<PathBuf>,
    /// Proxies for every registry and token server.
    pub proxies: Proxies,
    /// `max-concurrent-downloads`: layers downloaded at once, over all pulls.
    pub max_downloads: usize,
    /// `max-concurrent-uploads`.
    pub max_uploads: usize,
    /// When to give up.
    pub retry: Retry,
    /// `User-Agent` of every request.
    pub user_agent: String,
    /// Files that name resolution reads; tests point these elsewhere.
    pub resolver: crate::resolve::Files,
    /// Where AWS credentials for Amazon ECR come from; `None`: nobody looks for any.
    pub aws: Option<crate::aws::Environment>,
}

/// Proxy URLs, as in `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// For `http://` registries.
    pub http: Option<String>,
    /// For `https://` registries.
    pub https: Option<String>,
    /// Hosts, domains and networks that are reached directly.
    pub no_proxy: Option<String>,
}

/// Patience.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// `max-download-attempts`: tries without any progress before a transfer fails.
    pub attempts: u32,
    /// First delay; doubles with each try.
    pub base: Duration,
    /// Longest delay.
    pub max: Duration,
    /// How long a TCP connection may take.
    pub connect: Duration,
    /// How long an answer's first or next byte may take.
    pub stall: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            attempts: 5,
            base: Duration::from_secs(1),
            max: Duration::from_secs(20),
            connect: Duration::from_secs(30),
            stall: Duration::from_secs(60),
        }
    }
}

impl Default for RegistriesConfig {
    fn default() -> Self {
        RegistriesConfig {
            mirrors: Vec::new(),
            insecure: Vec::new(),
            insecure_networks: vec!["127.0.0.0/8".to_owned(), "::1/128".to_owned()],
            certs_dirs: vec![PathBuf::from("/etc/docker/certs.d")],
            registries_conf: Vec::new(),
            logins: Vec::new(),
            proxies: Proxies::default(),
            max_downloads: 3,
            max_uploads: 5,
            retry: Retry::default(),
            user_agent: concat!("naru/", env!("CARGO_PKG_VERSION")).to_owned(),
            resolver: crate::resolve::Files::default(),
            aws: None,
        }
    }
}

/// The registries as one engine sees them. Clones share everything.
#[derive(Clone)]
pub struct Registries(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub config: RegistriesConfig,
    pub tokens: TokenCache,
    pub ecr: crate::aws::Tokens,
    pub resolver: Resolver,
    pub proxies: Arc<ProxyRules>,
    pub roots: SystemRoots,
    pub downloads: Arc<Semaphore>,
    pub uploads: Arc<Semaphore>,
    pub unpacks: Arc<Semaphore>,
    pub in_flight: Downloads,
}

impl Registries {
    /// Nothing is read or connected yet.
    pub fn new(config: RegistriesConfig) -> Self {
        let cpus = std::thread::available_parallelism().map_or(2, usize::from);
        Registries(Arc::new(Inner {
            tokens: TokenCache::default(),
            ecr: crate::aws::Tokens::default(),
            resolver: Resolver::new(config.resolver.clone()),
            proxies: Arc::new(ProxyRules::new(&config.proxies)),
            roots: SystemRoots::default(),
            downloads: Arc::new(Semaphore::new(config.max_downloads.max(1))),
            uploads: Arc::new(Semaphore::new(config.max_uploads.max(1))),
            unpacks: Arc::new(Semaphore::new(config.max_downloads + cpus)),
            in_flight: Downloads::default(),
            config,
        }))
    }

    /// The values this was made from.
    pub fn config(&self) -> &RegistriesConfig {
        &self.0.config
    }
}

impl Default for Registries {
    fn default() -> Self {
        Registries::new(RegistriesConfig::default())
    }
}

impl std::fmt::Debug for Registries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Registries").field(&self.0.config).finish()
    }
}

/// A place among the transfers that run at once; `waiting` is called if there is none yet.
pub(crate) async fn place(places: &Semaphore, waiting: impl FnOnce()) -> Result<SemaphorePermit<'_>> {
    if let Ok(place) = places.try_acquire() {
        return Ok(place);
    }
    waiting();
    places.acquire().await.map_err(|_| Error::Cancelled)
}

//! Host names to addresses without `getaddrinfo`: `/etc/hosts`, then the servers in `/etc/resolv.conf`.
//!
//! The binary is static, and libc's resolver would load the host's NSS libraries into it. This one reads the two files at
//! each lookup (they change when a laptop moves), asks A and AAAA at once, and remembers answers as long as they are valid.
//! Formats: hosts(5), resolv.conf(5); localhost: RFC 6761 section 6.3. Usable as hyper-util's resolver service.

mod dns;
mod files;

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

use files::ResolvConf;

/// The files a resolver reads.
#[derive(Debug, Clone)]
pub struct Files {
    /// hosts(5).
    pub hosts: PathBuf,
    /// resolv.conf(5).
    pub resolv_conf: PathBuf,
}

impl Default for Files {
    fn default() -> Self {
        Files { hosts: "/etc/hosts".into(), resolv_conf: "/etc/resolv.conf".into() }
    }
}

/// Why a name has no address. Printed as Go's `net.DNSError`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupError {
    /// The name as it was asked for.
    pub host: String,
    /// The server that was asked last, as `address:port`.
    pub server: Option<String>,
    /// What it said.
    pub reason: &'static str,
    /// Whether asking again may help: no answer, or the server is broken.
    pub temporary: bool,
}

impl std::fmt::Display for LookupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "lookup {}", self.host)?;
        if let Some(server) = &self.server {
            write!(f, " on {server}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for LookupError {}

/// Answers are never remembered longer than this, whatever their time to live says.
const MAX_AGE: Duration = Duration::from_secs(60);

/// Addresses, and until when they may be believed.
type Remembered = (Instant, Vec<IpAddr>);

/// Looks names up. Clones share the memory of answers.
#[derive(Debug, Clone)]
pub struct Resolver {
    files: Arc<Files>,
    known: Arc<Mutex<HashMap<String, Remembered>>>,
}

impl Resolver {
    /// Reads nothing yet.
    pub fn new(files: Files) -> Self {
        Resolver { files: Arc::new(files), known: Arc::default() }
    }

    /// All addresses of `host` (a name or an address), the preferred one first; never empty.
    pub async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        if let Some(addresses) = self.local(host) {
            return Ok(addresses);
        }
        if let Some(addresses) = self.remembered(host) {
            return Ok(addresses);
        }
        let conf = tokio::fs::read(&self.files.resolv_conf).await.unwrap_or_default();
        let conf = ResolvConf::parse(&String::from_utf8_lossy(&conf));
        let answer = ask(host, &conf).await?;
        let mut known = self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        known.retain(|_, (until, _)| *until > Instant::now());
        known.insert(host.to_owned(), (Instant::now() + answer.life.min(MAX_AGE), answer.addresses.clone()));
        Ok(answer.addresses)
    }

    /// What `/etc/hosts` and the rules for localhost say; asks no server.
    pub fn local(&self, host: &str) -> Option<Vec<IpAddr>> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let hosts = std::fs::read(&self.files.hosts).unwrap_or_default();
        let found = files::hosts_lookup(&String::from_utf8_lossy(&hosts), &host);
        if !found.is_empty() {
            return Some(found);
        }
        let loopback = host == "localhost" || host.ends_with(".localhost");
        loopback.then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
    }

    fn remembered(&self, host: &str) -> Option<Vec<IpAddr>> {
        let known = self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (until, addresses) = known.get(host)?;
        (*until > Instant::now()).then(|| addresses.clone())
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Resolver::new(Files::default())
    }
}

struct Answer {
    addresses: Vec<IpAddr>,
    life: Duration,
}

/// Tries the candidates of the search list in turn. A name that does not exist leads to the next; a server that does not
/// answer ends the search, or every typo would take minutes.
async fn ask(host: &str, conf: &ResolvConf) -> Result<Answer, LookupError> {
    let mut failure =
        LookupError { host: host.to_owned(), server: None, reason: "no such host", temporary: false };
    for name in conf.candidates(host) {
        match ask_servers(&name, conf).await {
            Ok(answer) => return Ok(answer),
            Err((server, reason)) => {
                failure.server = Some(server.to_string());
                failure.reason = reason.text();
                failure.temporary = reason != dns::Failure::NoSuchHost;
                if failure.temporary {
                    break;
                }
            }
        }
    }
    Err(failure)
}

async fn ask_servers(name: &str, conf: &ResolvConf) -> Result<Answer, (std::net::SocketAddr, dns::Failure)> {
    let mut last = (conf.servers[0], dns::Failure::Timeout);
    for _ in 0..conf.attempts {
        for server in &conf.servers {
            let (v4, v6) = tokio::join!(
                dns::query(*server, name, dns::Kind::A, conf.timeout),
                dns::query(*server, name, dns::Kind::Aaaa, conf.timeout),
            );
            // One family may be broken at the server (SERVFAIL for AAAA is common): the other is enough.
            let (mut addresses, mut life, mut failures) = (Vec::new(), MAX_AGE, Vec::new());
            for answer in [v4, v6] {
                match answer {
                    Ok(answer) => {
                        life = life.min(answer.life);
                        addresses.extend(answer.addresses);
                    }
                    Err(failure) => failures.push(failure),
                }
            }
            if !addresses.is_empty() {
                return Ok(Answer { addresses, life });
            }
            let hard = failures.iter().find(|failure| **failure != dns::Failure::NoSuchHost);
            last = (*server, *hard.unwrap_or(&dns::Failure::NoSuchHost));
            if hard.is_none() {
                return Err(last);
            }
        }
    }
    Err(last)
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<std::net::SocketAddr>;
    type Error = LookupError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, LookupError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LookupError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = resolver.lookup(name.as_str()).await?;
            let sockets: Vec<_> = addresses.into_iter().map(|ip| std::net::SocketAddr::new(ip, 0)).collect();
            Ok(sockets.into_iter())
        })
    }
}

#[cfg(test)]
mod tests;

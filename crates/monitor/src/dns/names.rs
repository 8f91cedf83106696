//! Which names are ours, and what they lead to: the zone files of the networks that the container is in, read again when they
//! change. No engine has to be there.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use network::Attachment;
use network::files::{DnsOptions, HOST_NAMES, Zone, host_resolv_conf_in, upstreams};

use super::packet::{A, AAAA, ANY, PTR, Query, Record};
use crate::protocol::NamesSpec;

/// The host's servers, and where systemd-resolved writes the ones behind its stub.
const RESOLV_CONF: [&str; 2] = ["etc/resolv.conf", "run/systemd/resolve/resolv.conf"];
/// Docker asks no more.
const MAX_UPSTREAMS: usize = 3;
const PORT: u16 = 53;

/// A name server that questions are forwarded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Upstream {
    pub address: SocketAddr,
    /// Asked from within the container's network: the user named it, and means it as the container sees it.
    pub inside: bool,
}

/// What is known.
pub(crate) struct Names {
    spec: NamesSpec,
    /// Where the host's files are found.
    root: PathBuf,
    attachment: Cached<Attachment>,
    zones: Vec<Cached<Zone>>,
    resolv_conf: [Stamp; 2],
    upstreams: Vec<Upstream>,
    /// Moves the first place on from answer to answer.
    turn: usize,
}

/// What tells a file from its successor.
type Stamp = Option<(u64, u64, i64, i64)>;

fn stamp(path: &Path) -> Stamp {
    let data = fs::metadata(path).ok()?;
    Some((data.ino(), data.size(), data.mtime(), data.mtime_nsec()))
}

/// A file's content as last read.
#[derive(Default)]
struct Cached<T> {
    path: PathBuf,
    stamp: Stamp,
    content: T,
}

impl<T: Default + serde::de::DeserializeOwned> Cached<T> {
    fn new(path: PathBuf) -> Self {
        Self { path, stamp: None, content: T::default() }
    }

    /// Reads the file again if it is another one. A file that is gone has nothing in it; one that cannot be understood (another
    /// version's) leaves what was known. Whether it was read.
    fn refresh(&mut self) -> bool {
        let now = stamp(&self.path);
        if now == self.stamp {
            return false;
        }
        self.stamp = now;
        match now {
            None => self.content = T::default(),
            Some(_) => {
                if let Some(content) =
                    fs::read(&self.path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())
                {
                    self.content = content;
                }
            }
        }
        true
    }
}

impl Names {
    /// `root` is `/` but for tests.
    pub fn new(spec: NamesSpec, root: PathBuf) -> Self {
        Self {
            attachment: Cached::new(spec.attachment.clone()),
            spec,
            root,
            zones: Vec::new(),
            resolv_conf: [None; 2],
            upstreams: Vec::new(),
            turn: 0,
        }
    }

    /// What is known about a question; nothing if it is not ours to answer. No records: the name is ours, but has none of that
    /// kind, which must not be taken for "no such name".
    pub fn look_up(&mut self, query: &Query) -> Option<Vec<Record>> {
        if !query.is_internet() {
            return None;
        }
        self.refresh();
        if query.kind == PTR {
            let address = query.reverse_address()?;
            let name = self.zones.iter().find_map(|zone| zone.content.name_of(address))?;
            return Some(vec![Record::Pointer(name)]);
        }
        let mut addresses = self.addresses(&query.name)?;
        addresses.retain(|address| match query.kind {
            A => address.is_ipv4(),
            AAAA => address.is_ipv6(),
            ANY => true,
            _ => false,
        });
        if addresses.len() > 1 {
            self.turn = self.turn.wrapping_add(1);
            let places = addresses.len();
            addresses.rotate_left(self.turn % places);
        }
        Some(addresses.into_iter().map(Record::Address).collect())
    }

    /// All addresses of a name: of the first network that knows it.
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        let endpoints = &self.attachment.content.endpoints;
        let zones = self.zones.iter().map(|zone| &zone.content);
        for (endpoint, zone) in endpoints.iter().zip(zones) {
            let link = endpoint.links.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name));
            let found = zone.find(link.map_or(name, |(_, container)| container));
            if !found.is_empty() {
                return Some(found);
            }
        }
        if HOST_NAMES.iter().any(|host| host.eq_ignore_ascii_case(name)) {
            let endpoint = network::gateway_endpoint(endpoints)?;
            if !self.spec.host.is_empty() {
                return Some(self.spec.host.clone());
            }
            let gateways =
                endpoint.gateway.map(IpAddr::V4).into_iter().chain(endpoint.gateway6.map(IpAddr::V6));
            return Some(gateways.collect());
        }
        None
    }

    fn refresh(&mut self) {
        if self.attachment.refresh() {
            let known = std::mem::take(&mut self.zones);
            let paths = self
                .attachment
                .content
                .endpoints
                .iter()
                .map(|endpoint| self.spec.zones.join(format!("{}.json", endpoint.network_id)));
            let mut known: Vec<Option<Cached<Zone>>> = known.into_iter().map(Some).collect();
            self.zones = paths
                .map(|path| {
                    let old =
                        known.iter_mut().find(|zone| zone.as_ref().is_some_and(|zone| zone.path == path));
                    old.and_then(Option::take).unwrap_or_else(|| Cached::new(path))
                })
                .collect();
        }
        for zone in &mut self.zones {
            zone.refresh();
        }
    }

    /// Whom to ask about other names, in order. The host's servers are not for containers without a way out.
    pub fn upstreams(&mut self) -> &[Upstream] {
        self.refresh();
        let now = RESOLV_CONF.map(|path| stamp(&self.root.join(path)));
        if self.upstreams.is_empty() || now != self.resolv_conf {
            self.resolv_conf = now;
            let options = DnsOptions { servers: self.spec.servers.clone(), ..DnsOptions::default() };
            let inside = !self.spec.servers.is_empty();
            self.upstreams = upstreams(&host_resolv_conf_in(&self.root), &options)
                .into_iter()
                .take(MAX_UPSTREAMS)
                .map(|(address, _)| Upstream { address: SocketAddr::new(address, PORT), inside })
                .collect();
        }
        let endpoints = &self.attachment.content.endpoints;
        let leads_out =
            endpoints.iter().any(|endpoint| endpoint.gateway.is_some() || endpoint.gateway6.is_some());
        if leads_out || self.upstreams.iter().all(|upstream| upstream.inside) { &self.upstreams } else { &[] }
    }
}

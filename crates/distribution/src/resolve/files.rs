//! Parsers for hosts(5) and resolv.conf(5). Lines that make no sense are skipped, as every libc does.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Addresses of `host` (lower case) in the text of a hosts file, in the order of its lines.
pub(super) fn hosts_lookup(text: &str, host: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let Some(address) = words.next().and_then(|word| without_zone(word).parse().ok()) else { continue };
        if words.any(|name| name.trim_end_matches('.').eq_ignore_ascii_case(host))
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

fn without_zone(address: &str) -> &str {
    address.split('%').next().unwrap_or_default()
}

/// What resolv.conf says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ResolvConf {
    /// Never empty.
    pub servers: Vec<SocketAddr>,
    pub search: Vec<String>,
    pub ndots: usize,
    pub timeout: Duration,
    pub attempts: u32,
}

impl ResolvConf {
    pub fn parse(text: &str) -> Self {
        let mut conf = ResolvConf {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
        };
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") if conf.servers.len() < 3 => {
                    let address = words.next().and_then(|word| without_zone(word).parse::<IpAddr>().ok());
                    conf.servers.extend(address.map(|ip| SocketAddr::new(ip, 53)));
                }
                Some("domain" | "search") => conf.search = words.map(str::to_owned).collect(),
                Some("options") => words.for_each(|option| conf.option(option)),
                _ => {}
            }
        }
        if conf.servers.is_empty() {
            conf.servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53));
        }
        conf
    }

    fn option(&mut self, option: &str) {
        let Some((name, value)) = option.split_once(':') else { return };
        let Ok(value) = value.parse::<u32>() else { return };
        match name {
            "ndots" => self.ndots = value.min(15) as usize,
            "timeout" => self.timeout = Duration::from_secs(value.clamp(1, 30).into()),
            "attempts" => self.attempts = value.clamp(1, 5),
            _ => {}
        }
    }

    /// The names to ask for, in order.
    pub fn candidates(&self, host: &str) -> Vec<String> {
        if let Some(absolute) = host.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        let searched = self.search.iter().map(|domain| format!("{host}.{}", domain.trim_matches('.')));
        let mut names: Vec<String> = searched.collect();
        let at = if host.matches('.').count() >= self.ndots { 0 } else { names.len() };
        names.insert(at, host.to_owned());
        names
    }
}

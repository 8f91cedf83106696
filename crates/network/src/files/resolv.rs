//! `/etc/resolv.conf` (resolv.conf(5)): the host's, made fit for a container.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// What `--dns`, `--dns-search` and `--dns-option` say, and daemon.json where they say nothing.
#[derive(Debug, Clone, Default)]
pub struct DnsOptions {
    /// Name servers.
    pub servers: Vec<String>,
    /// Search domains; a single `.` means none.
    pub search: Vec<String>,
    /// Options.
    pub options: Vec<String>,
    /// Whether the container can reach IPv6 servers.
    pub ipv6: bool,
}

/// The parts of a resolv.conf.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolver {
    /// Addresses as written, with zone where they have one.
    pub servers: Vec<String>,
    /// Search domains.
    pub search: Vec<String>,
    /// Options.
    pub options: Vec<String>,
    /// Lines that we do not know.
    pub other: Vec<String>,
}

const FALLBACK4: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)), IpAddr::V4(Ipv4Addr::new(8, 8, 4, 4))];
const FALLBACK6: [IpAddr; 2] = [
    IpAddr::V6(Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8844)),
];

/// Where names of a user network are answered.
pub const NAMES_SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

impl Resolver {
    /// Reads a resolv.conf.
    pub fn parse(text: &str) -> Self {
        let mut resolver = Self::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let Some(keyword) = words.next() else { continue };
            if keyword.starts_with(['#', ';']) {
                continue;
            }
            let values: Vec<String> = words.map(str::to_owned).collect();
            match keyword {
                "nameserver" => resolver
                    .servers
                    .extend(values.into_iter().next().filter(|server| parse_server(server).is_some())),
                // Only the last of them counts, and domain is an old word for search.
                "search" | "domain" if !values.is_empty() => resolver.search = values,
                "options" => resolver.options.extend(values),
                "search" | "domain" => {}
                _ => resolver.other.push(line.to_owned()),
            }
        }
        resolver
    }

    fn with(mut self, options: &DnsOptions) -> Self {
        if !options.servers.is_empty() {
            self.servers.clone_from(&options.servers);
        }
        if !options.search.is_empty() {
            self.search = options.search.iter().filter(|domain| *domain != ".").cloned().collect();
        }
        if !options.options.is_empty() {
            self.options.clone_from(&options.options);
        }
        self
    }

    fn text(&self) -> String {
        let mut lines: Vec<String> =
            self.servers.iter().map(|server| format!("nameserver {server}")).collect();
        if !self.search.is_empty() {
            lines.push(format!("search {}", self.search.join(" ")));
        }
        if !self.options.is_empty() {
            lines.push(format!("options {}", self.options.join(" ")));
        }
        lines.extend(self.other.iter().cloned());
        lines.push(String::new());
        lines.join("\n")
    }
}

/// The address of a name server, which may have a zone (`fe80::1%eth0`).
fn parse_server(server: &str) -> Option<IpAddr> {
    server.split('%').next()?.parse().ok()
}

/// The text of a container's `/etc/resolv.conf` made from the text of the host's: name servers on the host's loopback are of no
/// use in a container and left out; Google's stand in when none is left, as Docker has it.
pub fn resolv_conf(host: &str, options: &DnsOptions) -> String {
    let mut resolver = Resolver::parse(host).with(options);
    if options.servers.is_empty() {
        resolver.servers.retain(|server| {
            parse_server(server).is_some_and(|address| {
                !address.is_loopback() && !server.contains('%') && (address.is_ipv4() || options.ipv6)
            })
        });
        if resolver.servers.is_empty() {
            resolver.servers = fallback(options.ipv6);
        }
    }
    resolver.text()
}

/// The same on a network with names: they are answered at 127.0.0.11, and everything else is forwarded from there to
/// [`upstreams`]. A name without dots is looked up as it is first (`ndots:0`).
pub fn resolv_conf_with_names(host: &str, options: &DnsOptions) -> String {
    let mut resolver = Resolver::parse(host).with(options);
    resolver.servers = vec![NAMES_SERVER.to_string()];
    let valid = |option: &String| match option.strip_prefix("ndots:") {
        Some(number) => number.parse::<u32>().is_ok(),
        None => option != "ndots",
    };
    resolver.options.retain(valid);
    if !resolver.options.iter().any(|option| option.starts_with("ndots:")) {
        resolver.options.push("ndots:0".to_owned());
    }
    resolver.text()
}

/// The name servers that queries from a network with names are forwarded to: (address, whether only the host can reach it).
pub fn upstreams(host: &str, options: &DnsOptions) -> Vec<(IpAddr, bool)> {
    let given = !options.servers.is_empty();
    let servers = Resolver::parse(host).with(options).servers;
    let found: Vec<(IpAddr, bool)> = servers
        .iter()
        .filter(|server| !server.contains('%'))
        .filter_map(|server| parse_server(server))
        .map(|address| (address, !given && (address.is_loopback() || (address.is_ipv6() && !options.ipv6))))
        .collect();
    if found.is_empty() {
        return FALLBACK4.map(|address| (address, false)).to_vec();
    }
    found
}

/// The name servers in a resolv.conf.
pub fn nameservers(text: &str) -> impl Iterator<Item = IpAddr> {
    Resolver::parse(text).servers.into_iter().filter_map(|server| parse_server(&server))
}

fn fallback(ipv6: bool) -> Vec<String> {
    let six: &[IpAddr] = if ipv6 { &FALLBACK6 } else { &[] };
    FALLBACK4.iter().chain(six).map(IpAddr::to_string).collect()
}

/// The host's file to start from: `/etc/resolv.conf`, or systemd-resolved's own list where that names only its stub.
pub fn host_resolv_conf() -> String {
    host_resolv_conf_in(Path::new("/"))
}

/// The same of a host whose files are below `root`.
pub fn host_resolv_conf_in(root: &Path) -> String {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).ok();
    let text = read("etc/resolv.conf").unwrap_or_default();
    let servers: Vec<IpAddr> = nameservers(&text).collect();
    // Its stub listens on loopback; the file beside it has the servers that it asks.
    let stub = servers == [IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53))];
    if stub && let Some(real) = read("run/systemd/resolve/resolv.conf") {
        return real;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(servers: &[&str], search: &[&str], options: &[&str]) -> DnsOptions {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        DnsOptions { servers: owned(servers), search: owned(search), options: owned(options), ipv6: false }
    }

    #[test]
    fn what_a_container_gets() {
        let host = "# a comment\nsearch a.example b.example\nnameserver 127.0.0.1\nnameserver 10.0.0.1\n\
                    nameserver fe80::1%eth0\nnameserver fd00::1\noptions edns0\nsortlist 1.2.3.4\n";
        let cases = [
            (
                options(&[], &[], &[]),
                "nameserver 10.0.0.1\nsearch a.example b.example\noptions edns0\nsortlist 1.2.3.4\n",
            ),
            (
                options(&["127.0.0.1"], &["."], &["ndots:2"]),
                "nameserver 127.0.0.1\noptions ndots:2\nsortlist 1.2.3.4\n",
            ),
            (
                DnsOptions { ipv6: true, ..options(&[], &["c"], &[]) },
                "nameserver 10.0.0.1\nnameserver fd00::1\nsearch c\noptions edns0\nsortlist 1.2.3.4\n",
            ),
        ];
        for (options, want) in cases {
            assert_eq!(resolv_conf(host, &options), want);
        }
        assert_eq!(
            resolv_conf("nameserver 127.0.0.53\n", &options(&[], &[], &[])),
            "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"
        );
        assert_eq!(resolv_conf("", &options(&[], &[], &[])), "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
        assert_eq!(
            resolv_conf("nameserver nonsense\n", &options(&["1.1.1.1"], &[], &[])),
            "nameserver 1.1.1.1\n"
        );
    }

    #[test]
    fn on_a_network_with_names_our_server_answers_and_the_hosts_are_asked_for_the_rest() {
        let host = "nameserver 127.0.0.53\nnameserver 10.0.0.1\noptions ndots:x\n";
        let none = options(&[], &[], &[]);
        assert_eq!(resolv_conf_with_names(host, &none), "nameserver 127.0.0.11\noptions ndots:0\n");
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(upstreams(host, &none), [(ip("127.0.0.53"), true), (ip("10.0.0.1"), false)]);
        assert_eq!(upstreams(host, &options(&["127.0.0.1"], &[], &[])), [(ip("127.0.0.1"), false)]);
        assert_eq!(upstreams("", &none).len(), 2);
        assert_eq!(
            resolv_conf_with_names("", &options(&[], &["x"], &["ndots:3"])),
            "nameserver 127.0.0.11\nsearch x\noptions ndots:3\n"
        );
    }

    #[test]
    fn behind_systemd_resolved_its_own_list_is_read() {
        let root = std::env::temp_dir().join(format!("naru-resolv-{}", crate::random::hex::<8>()));
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::create_dir_all(root.join("run/systemd/resolve")).unwrap();
        std::fs::write(root.join("etc/resolv.conf"), "nameserver 127.0.0.53\n").unwrap();
        assert_eq!(host_resolv_conf_in(&root), "nameserver 127.0.0.53\n");
        std::fs::write(root.join("run/systemd/resolve/resolv.conf"), "nameserver 10.1.1.1\n").unwrap();
        assert_eq!(host_resolv_conf_in(&root), "nameserver 10.1.1.1\n");
        std::fs::write(root.join("etc/resolv.conf"), "nameserver 10.2.2.2\n").unwrap();
        assert_eq!(host_resolv_conf_in(&root), "nameserver 10.2.2.2\n");
        std::fs::remove_dir_all(&root).unwrap();
    }
}

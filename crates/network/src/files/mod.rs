//! The files that tell a container its place in the network: `/etc/hosts` and `/etc/resolv.conf`, as text. Reading and writing
//! files is the caller's.

use std::net::IpAddr;

/// Lines of `/etc/hosts`.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    /// The container's host name.
    pub hostname: String,
    /// Its domain, may be empty.
    pub domain: String,
    /// Its addresses, one line each.
    pub addresses: Vec<IpAddr>,
    /// `--add-host` and links: (names, address).
    pub extra: Vec<(String, IpAddr)>,
    /// Whether IPv6 names of the loopback are listed.
    pub ipv6: bool,
}

/// What `--dns`, `--dns-search` and `--dns-option` say, and daemon.json where they say nothing.
#[derive(Debug, Clone, Default)]
pub struct DnsOptions {
    /// Name servers.
    pub servers: Vec<String>,
    /// Search domains; a single `.` means none.
    pub search: Vec<String>,
    /// Options.
    pub options: Vec<String>,
}

/// The text of `/etc/hosts`.
pub fn hosts(_hosts: &Hosts) -> String {
    unreachable!("in progress")
}

/// The text of a container's `/etc/resolv.conf` made from the text of the host's: name servers on the host's loopback are of no
/// use in a container and left out; Google's stand in when none is left, as Docker has it.
pub fn resolv_conf(_host: &str, _options: &DnsOptions) -> String {
    unreachable!("in progress")
}

/// The host's file to start from: `/etc/resolv.conf`, or systemd-resolved's own list where that names only its stub.
pub fn host_resolv_conf() -> String {
    unreachable!("in progress")
}

//! `/etc/hosts`.

use std::fmt::Write;
use std::net::IpAddr;

/// Names of the host, Docker's and ours.
pub const HOST_NAMES: [&str; 2] = ["host.docker.internal", "host.naru.internal"];

/// Lines of `/etc/hosts`.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    /// The container's host name; may have a domain.
    pub hostname: String,
    /// Its domain, may be empty.
    pub domain: String,
    /// Its addresses, one line each.
    pub addresses: Vec<IpAddr>,
    /// `--add-host` and links: (names, address), in order.
    pub extra: Vec<(String, IpAddr)>,
    /// Whether the loopback's IPv6 names are listed.
    pub ipv6: bool,
}

/// The text of `/etc/hosts`, with Docker's lines: loopback, what was asked for, the container itself.
pub fn hosts(hosts: &Hosts) -> String {
    let mut text = String::from("127.0.0.1\tlocalhost\n");
    if hosts.ipv6 {
        text.push_str("::1\tlocalhost ip6-localhost ip6-loopback\n");
        text.push_str(
            "fe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
        );
    }
    // Writing to a string cannot fail.
    for (names, address) in &hosts.extra {
        let _ = writeln!(text, "{address}\t{names}");
    }
    let own = match (hosts.hostname.split_once('.'), hosts.domain.is_empty()) {
        // The name with its domain first: that is what `hostname -f` takes.
        (Some((short, _)), _) => format!("{} {short}", hosts.hostname),
        (None, false) => format!("{0}.{1} {0}", hosts.hostname, hosts.domain),
        (None, true) => hosts.hostname.clone(),
    };
    if !own.is_empty() {
        for address in &hosts.addresses {
            let _ = writeln!(text, "{address}\t{own}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_dockers() {
        let text = hosts(&Hosts {
            hostname: "web".to_owned(),
            domain: "example.org".to_owned(),
            addresses: vec!["172.17.0.2".parse().unwrap()],
            extra: vec![("db".to_owned(), "10.0.0.1".parse().unwrap())],
            ipv6: true,
        });
        assert_eq!(
            text,
            "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
             ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n10.0.0.1\tdb\n\
             172.17.0.2\tweb.example.org web\n"
        );
        let plain = hosts(&Hosts {
            hostname: "a.b.c".to_owned(),
            addresses: vec!["10.0.0.2".parse().unwrap()],
            ..Hosts::default()
        });
        assert_eq!(plain, "127.0.0.1\tlocalhost\n10.0.0.2\ta.b.c a\n");
    }
}

//! Who listens where, from `/proc/<pid>/net`: in a container, whether anybody takes what is sent to a port; on the host, who has
//! a port that a container wants.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::publish::Proto;

/// `TCP_LISTEN` of net/tcp_states.h; UDP sockets that are not connected have 7 there.
const LISTEN: &str = "0A";
const UNCONNECTED: &str = "07";

/// A socket that takes what comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listener {
    pub address: SocketAddr,
    inode: String,
}

/// Whether a program in a container takes what is sent to its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listening {
    Yes,
    /// Only where nobody else can reach it.
    Elsewhere(SocketAddr),
    No,
}

/// The sockets of a process's network namespace; `self` is the host's. None where they cannot be read.
pub(super) fn of(process: &str, proto: Proto) -> Option<Vec<Listener>> {
    let (files, state) = match proto {
        Proto::Tcp => (["tcp", "tcp6"], LISTEN),
        Proto::Udp => (["udp", "udp6"], UNCONNECTED),
        Proto::Sctp => return None,
    };
    let mut found = Vec::new();
    for (at, file) in files.iter().enumerate() {
        match fs::read_to_string(format!("/proc/{process}/net/{file}")) {
            Ok(text) => found.extend(text.lines().skip(1).filter_map(|line| parse(line, state))),
            // A kernel without IPv6.
            Err(_) if at == 1 => {}
            Err(_) => return None,
        }
    }
    Some(found)
}

/// Whether somebody listens at an address and port of a container.
pub(super) fn listening(listeners: &[Listener], at: SocketAddr) -> Listening {
    let on_port = || listeners.iter().filter(|listener| listener.address.port() == at.port());
    let takes = |address: IpAddr| match address {
        // `[::]` takes IPv4 as well, unless it was told not to, which cannot be seen from here.
        address if address.is_unspecified() => address.is_ipv6() || at.is_ipv4(),
        address => address.to_canonical() == at.ip(),
    };
    match on_port().any(|listener| takes(listener.address.ip())) {
        true => Listening::Yes,
        false => on_port().next().map_or(Listening::No, |listener| Listening::Elsewhere(listener.address)),
    }
}

/// The program that has a port of the host, as `name (pid)`.
pub(super) fn holder(port: u16, proto: Proto) -> Option<String> {
    let listeners = of("thread-self", proto)?;
    let inodes: Vec<String> = listeners
        .iter()
        .filter(|listener| listener.address.port() == port)
        .map(|listener| format!("socket:[{}]", listener.inode))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.into_iter().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let has = fs::read_dir(process.path().join("fd")).ok()?.flatten().any(|fd| {
            fs::read_link(fd.path()).is_ok_and(|to| inodes.iter().any(|inode| *inode == to.to_string_lossy()))
        });
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        has.then(|| format!("{} (pid {pid})", name.trim()))
    })
}

fn parse(line: &str, state: &str) -> Option<Listener> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (address, port) = words.next()?.split_once(':')?;
    if words.nth(1)? != state {
        return None;
    }
    let inode = words.nth(5)?.to_owned();
    let port = u16::from_str_radix(port, 16).ok()?;
    // Words of four bytes, each in the host's order.
    let mut bytes = Vec::new();
    for word in address.as_bytes().chunks(8) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let address = match bytes.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    Some(Listener { address: SocketAddr::new(address, port), inode })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_read_and_compared() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1";
        let listener = parse(line, LISTEN).unwrap();
        assert_eq!(
            (listener.address.to_string().as_str(), listener.inode.as_str()),
            ("127.0.0.1:8080", "4711")
        );
        assert_eq!(parse(line, UNCONNECTED), None);
        let at = |text: &str| text.parse().unwrap();
        let listeners = [listener];
        assert_eq!(listening(&listeners, at("172.17.0.2:8080")), Listening::Elsewhere(at("127.0.0.1:8080")));
        assert_eq!(listening(&listeners, at("172.17.0.2:80")), Listening::No);
        let any = "0: 00000000000000000000000000000000:0050 0:0 0A 0:0 0:0 0 0 0 1 1";
        assert_eq!(listening(&[parse(any, LISTEN).unwrap()], at("172.17.0.2:80")), Listening::Yes);
    }
}

//! The name server's sockets. Its own are in the container's network namespace, on ports that the kernel picks: port 53 of all
//! addresses stays free for a name server that the container itself may run. Packets to 127.0.0.11 port 53, and the answers, have
//! their ports rewritten on the way out; on loopback both directions pass there, so nothing has to be remembered and connection
//! tracking stays off. Where there is no nftables, port 53 of that one address is taken instead.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use netlink::nft::{BaseChain, Family, Hook, Nft, Rule, Transaction, Transport};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::names::Upstream;

/// Where containers ask.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const PORT: u16 = 53;
/// In the container's namespace, where its own rules may be too.
const TABLE: &str = "naru_names";
/// Before filters see the packets (`NF_IP_PRI_MANGLE`), so that those see them as they are sent.
const PRIORITY: i32 = -150;
const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// The sockets for datagrams and for connections.
pub(super) fn open(netns: &OwnedFd) -> io::Result<(OwnedFd, OwnedFd)> {
    sys::in_netns(netns, || {
        let (datagrams, listener) = (bind(SocketType::DGRAM, 0)?, bind(SocketType::STREAM, 0)?);
        match redirect(port_of(&datagrams)?, port_of(&listener)?) {
            Ok(()) => Ok((datagrams, listener)),
            Err(error) => {
                let direct =
                    bind(SocketType::DGRAM, PORT).and_then(|d| Ok((d, bind(SocketType::STREAM, PORT)?)));
                direct.map_err(|_| io::Error::other(error))
            }
        }
    })?
}

fn bind(kind: SocketType, port: u16) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(AddressFamily::INET, kind, FLAGS, None)?;
    rustix::net::bind(&socket, &SocketAddr::from((ADDRESS, port)))?;
    if kind == SocketType::STREAM {
        rustix::net::listen(&socket, 128)?;
    }
    Ok(socket)
}

fn port_of(socket: impl AsFd) -> io::Result<u16> {
    let address = SocketAddr::try_from(rustix::net::getsockname(socket)?)?;
    Ok(address.port())
}

fn redirect(datagrams: u16, listener: u16) -> netlink::Result<()> {
    let mut nft = Nft::open()?;
    let mut changes = Transaction::new(Family::Ipv4, TABLE);
    if nft.has_table(Family::Ipv4, TABLE)? {
        // Of an earlier start in the same namespace.
        changes.delete_table();
    }
    changes.add_table("names of containers");
    let chain = BaseChain { name: "output", kind: "filter", hook: Hook::Output, priority: PRIORITY };
    changes.add_base_chain(&chain);
    let address = IpAddr::V4(ADDRESS);
    for (transport, port) in [(Transport::Udp, datagrams), (Transport::Tcp, listener)] {
        let there = Rule::new().daddr(address).transport(transport).dport(PORT).set_dport(transport, port);
        let back = Rule::new().saddr(address).transport(transport).sport(port).set_sport(transport, PORT);
        changes.add_rule(chain.name, &there).add_rule(chain.name, &back);
    }
    nft.commit(changes)
}

/// A socket that is connected (or about to be) with an upstream server.
pub(super) fn connect(upstream: Upstream, kind: SocketType, netns: &OwnedFd) -> io::Result<OwnedFd> {
    let connect = move || {
        let family = if upstream.address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = rustix::net::socket_with(family, kind, FLAGS, None)?;
        match rustix::net::connect(&socket, &upstream.address) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
            Err(error) => Err(error.into()),
        }
    };
    if upstream.inside { sys::in_netns(netns, connect)? } else { connect() }
}

//! The sockets that hold published ports: while one is open nobody else can have its port, and it takes the connections that the
//! rules do not redirect.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use super::Proto;

/// Connections that wait for the relay; what does not fit is repeated by the client.
const BACKLOG: i32 = 512;

/// Binds a port of a host address; port 0 takes any that is free. TCP sockets listen.
///
/// `None` where this kernel has no such protocol (no IPv6, no SCTP): then there is nothing to hold.
pub(super) fn bind(proto: Proto, address: IpAddr, port: u16) -> Result<Option<OwnedFd>, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let (kind, protocol) = match proto {
        Proto::Tcp => (SocketType::STREAM, ipproto::TCP),
        Proto::Udp => (SocketType::DGRAM, ipproto::UDP),
        Proto::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = match net::socket_with(family, kind, flags, Some(protocol)) {
        Ok(socket) => socket,
        Err(Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT | Errno::SOCKTNOSUPPORT) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if proto == Proto::Tcp {
        // Connections of the relay before us may still be in TIME_WAIT. Two listeners exclude each other all the same. Not for
        // UDP: there it would let others share the port.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    match net::bind(&socket, &SocketAddr::new(address, port)) {
        // IPv6 is compiled in but turned off: there is no `[::]` to hold.
        Err(Errno::ADDRNOTAVAIL) if address.is_ipv6() && address.is_unspecified() => return Ok(None),
        result => result?,
    }
    if proto == Proto::Tcp {
        net::listen(&socket, BACKLOG)?;
    }
    Ok(Some(socket))
}

/// The port that a socket has.
pub(super) fn port_of(socket: &OwnedFd) -> Result<u16, Errno> {
    let address = net::getsockname(socket)?;
    SocketAddr::try_from(address).map(|address| address.port()).map_err(|_| Errno::AFNOSUPPORT)
}

//! Published ports: what is asked for, what was bound, and the sockets that hold the ports.

mod bind;
mod follow;
mod make;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A transport protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proto {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Proto {
    /// `tcp`, `udp` or `sctp`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    /// The number in the IP header.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Not a protocol whose ports can be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid proto: {0}")]
pub struct InvalidProto(String);

impl FromStr for Proto {
    type Err = InvalidProto;

    fn from_str(text: &str) -> Result<Self, InvalidProto> {
        match text.to_ascii_lowercase().as_str() {
            "" | "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "sctp" => Ok(Self::Sctp),
            _ => Err(InvalidProto(text.to_owned())),
        }
    }
}

/// A port to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSpec {
    /// The host's address; None is every address, IPv4 and IPv6.
    pub host_ip: Option<IpAddr>,
    /// First and last host port to try, in order; (0, 0) takes a random one from `net.ipv4.ip_local_port_range`.
    pub host_ports: (u16, u16),
    /// The port in the container.
    pub container_port: u16,
    /// The protocol.
    pub proto: Proto,
}

/// One host address and port that leads to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Binding {
    /// Unspecified for every address of its family.
    pub host_ip: IpAddr,
    /// The host's port.
    pub host_port: u16,
    /// The port in the container.
    pub container_port: u16,
    /// The protocol.
    pub proto: Proto,
    /// Where nftables sends it; None where only a relay can (an IPv6 host address and a container without IPv6).
    pub target: Option<IpAddr>,
    /// Where a relay sends it.
    pub relay: SocketAddr,
    /// Whether the container's port is opened to routed traffic instead (`gateway_mode` routed); then nothing is bound.
    #[serde(default)]
    pub routed: bool,
}

/// A socket that the monitor should serve: what arrives there is what nftables does not (or no longer) redirect: connections to
/// `[::1]`, IPv6 clients of a container without IPv6, and everything when somebody has flushed the host's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelaySpec {
    /// Index of the listening socket (TCP) or bound socket (UDP) in [`Published::sockets`].
    pub socket: usize,
    /// The protocol.
    pub proto: Proto,
    /// Where to connect to.
    pub target: SocketAddr,
}

/// Ports that now lead to a container.
#[derive(Debug, Default)]
pub struct Published {
    /// What was bound, in the order asked for; a port for every address has one binding per family.
    pub bindings: Vec<Binding>,
    /// The bound sockets; a port stays reserved while its socket is open. TCP ones listen; all are close-on-exec and
    /// non-blocking.
    pub sockets: Vec<OwnedFd>,
    /// What the monitor should serve.
    pub relays: Vec<RelaySpec>,
}

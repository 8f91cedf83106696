//! The packet that is followed through the rules: what is known about it, as the bytes that rules compare. Bytes that nobody can
//! know beforehand (a header's checksum, the sender's user) are None.

use std::net::IpAddr;

/// Bytes of which some are known.
pub(super) type Bytes = Vec<Option<u8>>;

/// A port that clients of all systems take by themselves: in Linux's range (32768 to 60999) and in IANA's (from 49152).
const CLIENT_PORT: Option<u16> = Some(51_515);
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const TCP: u8 = 6;
const TCP_SYN: u8 = 2;
const TCP_SYN_ACK: u8 = 0x12;
/// `NF_CT_STATE_BIT`s.
const STATE_ESTABLISHED: u32 = 2;
const STATE_NEW: u32 = 8;
/// `IPS_SEEN_REPLY` and `IPS_DST_NAT`.
const STATUS_SEEN_REPLY: u32 = 2;
const STATUS_DST_NAT: u32 = 0x20;

/// A packet on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    /// The link it came by; empty for one of this host's own.
    pub iif: String,
    /// The link it leaves by; empty while that is not known.
    pub oif: String,
    pub source: IpAddr,
    pub destination: IpAddr,
    /// The source that the other end is shown, where it is translated.
    pub shown: Option<IpAddr>,
    /// Number of the transport protocol.
    pub proto: u8,
    pub source_port: Option<u16>,
    pub destination_port: Option<u16>,
    /// An answer, in a connection that was let in.
    pub answer: bool,
    /// Its connection's destination was translated.
    pub translated: bool,
    /// Its connection's destination before that.
    pub original: IpAddr,
    /// What rules noted on it.
    pub mark: Option<u32>,
}

impl Packet {
    /// The first packet of a connection.
    pub fn first(source: IpAddr, destination: IpAddr, proto: u8, port: u16) -> Self {
        Self {
            iif: String::new(),
            oif: String::new(),
            source,
            destination,
            shown: None,
            proto,
            source_port: CLIENT_PORT,
            destination_port: Some(port),
            answer: false,
            translated: false,
            original: destination,
            mark: Some(0),
        }
    }

    /// The answer to it, from where it arrived.
    pub fn answer(&self) -> Self {
        Self {
            iif: self.oif.clone(),
            oif: self.iif.clone(),
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            answer: true,
            mark: Some(0),
            ..self.clone()
        }
    }

    /// `NFT_META_*` but for what needs the host.
    pub fn meta(&self, key: u32) -> Option<Bytes> {
        let ipv4 = self.destination.is_ipv4();
        Some(match key {
            1 => known(&if ipv4 { ETHERTYPE_IPV4 } else { ETHERTYPE_IPV6 }.to_be_bytes()),
            3 => self.mark.map_or_else(|| unknown(4), |mark| known(&mark.to_ne_bytes())),
            6 => name(&self.iif),
            7 => name(&self.oif),
            15 => known(&[if ipv4 { 2 } else { 10 }]),
            16 => known(&[self.proto]),
            // To this very host, not a broadcast.
            19 => known(&[0]),
            _ => return None,
        })
    }

    /// `NFT_CT_*`.
    pub fn connection(&self, key: u32) -> Option<Bytes> {
        Some(match key {
            0 => known(&if self.answer { STATE_ESTABLISHED } else { STATE_NEW }.to_ne_bytes()),
            1 => known(&[u8::from(self.answer)]),
            2 => {
                let translated = if self.translated { STATUS_DST_NAT } else { 0 };
                let replied = if self.answer { STATUS_SEEN_REPLY } else { 0 };
                known(&(translated | replied).to_ne_bytes())
            }
            3 => known(&[0; 4]),
            _ => return None,
        })
    }

    /// Bytes of a header: 1 network, 2 transport.
    pub fn header(&self, base: u32, offset: u32, length: u32) -> Bytes {
        let mut bytes = match base {
            1 => self.network_header(),
            2 => self.transport_header(),
            _ => Bytes::new(),
        };
        let range = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let (from, count) = (range(offset), range(length).min(64));
        bytes.resize(bytes.len().max(from.min(256) + count), None);
        bytes.into_iter().skip(from.min(256)).take(count).collect()
    }

    fn network_header(&self) -> Bytes {
        let mut bytes = Bytes::new();
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                bytes.resize(9, None);
                bytes[0] = Some(0x45);
                bytes.extend(known(&[self.proto]));
                bytes.extend(unknown(2));
                bytes.extend(known(&source.octets()));
                bytes.extend(known(&destination.octets()));
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                bytes.resize(6, None);
                bytes.extend(known(&[self.proto]));
                bytes.extend(unknown(1));
                bytes.extend(known(&source.octets()));
                bytes.extend(known(&destination.octets()));
            }
            _ => {}
        }
        bytes
    }

    fn transport_header(&self) -> Bytes {
        let port = |port: Option<u16>| port.map_or_else(|| unknown(2), |port| known(&port.to_be_bytes()));
        let mut bytes = port(self.source_port);
        bytes.extend(port(self.destination_port));
        if self.proto == TCP {
            bytes.extend(unknown(9));
            bytes.extend(known(&[if self.answer { TCP_SYN_ACK } else { TCP_SYN }]));
        }
        bytes
    }
}

/// Bytes that are known.
pub(super) fn known(bytes: &[u8]) -> Bytes {
    bytes.iter().copied().map(Some).collect()
}

/// Bytes that are not.
pub(super) fn unknown(count: usize) -> Bytes {
    vec![None; count]
}

/// A link's name as the kernel keeps it.
fn name(name: &str) -> Bytes {
    let mut bytes = known(name.as_bytes());
    bytes.resize(16, Some(0));
    bytes
}

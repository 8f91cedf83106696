//! One DNS question and its answer (RFC 1035), over UDP, and again over TCP when the answer did not fit.
//!
//! Reads addresses only. The server follows CNAMEs for us; every A or AAAA record of the answer section counts. The reader
//! never trusts a length or a compression pointer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    A = 1,
    Aaaa = 28,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    NoSuchHost,
    Misbehaving,
    Timeout,
}

impl Failure {
    pub fn text(self) -> &'static str {
        match self {
            Failure::NoSuchHost => "no such host",
            Failure::Misbehaving => "server misbehaving",
            Failure::Timeout => "i/o timeout",
        }
    }
}

/// Addresses (perhaps none) and how long they stay true.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    pub addresses: Vec<IpAddr>,
    pub life: Duration,
}

pub(super) async fn query(
    server: SocketAddr,
    name: &str,
    kind: Kind,
    timeout: Duration,
) -> Result<Addresses, Failure> {
    let id = getrandom::u32().unwrap_or(0) as u16;
    let question = encode(id, name, kind).ok_or(Failure::NoSuchHost)?;
    let exchange = async {
        match udp(server, &question, id, kind).await? {
            Reading::Whole(answer) => answer,
            Reading::Truncated => match tcp(server, &question, id, kind).await? {
                Reading::Whole(answer) => answer,
                Reading::Truncated => Err(Failure::Misbehaving),
            },
        }
    };
    tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(Failure::Timeout))
}

async fn udp(server: SocketAddr, question: &[u8], id: u16, kind: Kind) -> Result<Reading, Failure> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await.map_err(unreachable_server)?;
    socket.connect(server).await.map_err(unreachable_server)?;
    socket.send(question).await.map_err(unreachable_server)?;
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(unreachable_server)?;
        // Anything that is not the answer to our question is somebody's guess: wait on.
        if let Some(reading) = decode(&buffer[..length], question, id, kind) {
            return Ok(reading);
        }
    }
}

async fn tcp(server: SocketAddr, question: &[u8], id: u16, kind: Kind) -> Result<Reading, Failure> {
    let mut stream = TcpStream::connect(server).await.map_err(unreachable_server)?;
    let mut framed = Vec::with_capacity(question.len() + 2);
    framed.extend_from_slice(&(question.len() as u16).to_be_bytes());
    framed.extend_from_slice(question);
    stream.write_all(&framed).await.map_err(unreachable_server)?;
    let length = stream.read_u16().await.map_err(unreachable_server)?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await.map_err(unreachable_server)?;
    decode(&answer, question, id, kind).ok_or(Failure::Misbehaving)
}

fn unreachable_server(_: std::io::Error) -> Failure {
    Failure::Misbehaving
}

/// Header (recursion desired, one question), name, type, class IN. `None` when the name can't be a host name.
fn encode(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(name.len() + 18);
    message.extend_from_slice(&id.to_be_bytes());
    message.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    if name.len() > 253 {
        return None;
    }
    for label in name.split('.') {
        if label.is_empty() || label.len() > 63 || !label.is_ascii() {
            return None;
        }
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&(kind as u16).to_be_bytes());
    message.extend_from_slice(&1u16.to_be_bytes());
    Some(message)
}

enum Reading {
    Whole(Result<Addresses, Failure>),
    Truncated,
}

const HEADER: usize = 12;

/// `None`: not an answer to this question at all.
fn decode(message: &[u8], question: &[u8], id: u16, kind: Kind) -> Option<Reading> {
    let header = message.get(..HEADER)?;
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let is_answer = header[2] & 0x80 != 0;
    if word(0) != id || !is_answer {
        return None;
    }
    let asked = &question[HEADER..];
    if word(4) == 1 && !message.get(HEADER..HEADER + asked.len())?.eq_ignore_ascii_case(asked) {
        return None;
    }
    if header[2] & 0x02 != 0 {
        return Some(Reading::Truncated);
    }
    Some(Reading::Whole(match header[3] & 0x0f {
        0 if word(4) == 1 => {
            read_answers(message, HEADER + asked.len(), word(6), kind).ok_or(Failure::Misbehaving)
        }
        3 => Err(Failure::NoSuchHost),
        _ => Err(Failure::Misbehaving),
    }))
}

fn read_answers(message: &[u8], mut at: usize, count: u16, kind: Kind) -> Option<Addresses> {
    let mut found = Addresses { addresses: Vec::new(), life: Duration::from_secs(u32::MAX.into()) };
    for _ in 0..count {
        at = skip_name(message, at)?;
        let fixed = message.get(at..at + 10)?;
        let record_kind = u16::from_be_bytes([fixed[0], fixed[1]]);
        let life = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
        let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let data = message.get(at + 10..at + 10 + length)?;
        at += 10 + length;
        if record_kind != kind as u16 {
            continue;
        }
        let address = match kind {
            Kind::A => IpAddr::from(<[u8; 4]>::try_from(data).ok()?),
            Kind::Aaaa => IpAddr::from(<[u8; 16]>::try_from(data).ok()?),
        };
        found.addresses.push(address);
        found.life = found.life.min(Duration::from_secs(life.into()));
    }
    Some(found)
}

/// The position after a name: labels up to a zero byte, or up to a pointer, which ends it.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = *message.get(at)?;
        match length {
            0 => return Some(at + 1),
            1..=63 => at += 1 + usize::from(length),
            0xc0.. => return Some(at + 2),
            _ => return None,
        }
    }
}

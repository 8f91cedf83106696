//! DNS messages (RFC 1035, EDNS of RFC 6891), as far as a server must understand them that answers from a table and forwards
//! the rest untouched: one question in, address and pointer records out. Pure; no input makes it panic.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Record types.
pub(crate) const A: u16 = 1;
pub(crate) const PTR: u16 = 12;
pub(crate) const AAAA: u16 = 28;
const OPT: u16 = 41;
pub(crate) const ANY: u16 = 255;
/// Classes.
const INTERNET: u16 = 1;

/// Response codes.
pub(crate) const NO_ERROR: u8 = 0;
const FORMAT_ERROR: u8 = 1;
pub(crate) const SERVER_FAILURE: u8 = 2;
const NOT_IMPLEMENTED: u8 = 4;
pub(crate) const REFUSED: u8 = 5;

const HEADER: usize = 12;
/// What every client takes over UDP.
const PLAIN_LIMIT: usize = 512;
/// What we say that we take ourselves: fits every link without fragments.
const OUR_LIMIT: u16 = 1232;
/// Seconds that clients may keep an answer; Docker's.
const TTL: u32 = 600;

/// A question, and what its sender can take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    pub id: u16,
    /// Its flags, of which the answer repeats some.
    flags: u16,
    /// Without the final dot; bytes that are no ASCII are replaced, such names are never ours.
    pub name: String,
    pub kind: u16,
    pub class: u16,
    /// Name, type and class as they came.
    question: Vec<u8>,
    /// With EDNS, the longest datagram its sender takes.
    edns: Option<u16>,
}

/// A record about the name that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    Address(IpAddr),
    Pointer(String),
}

/// What to do with a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    Query(Query),
    /// It gets this answer at once.
    Answer(Vec<u8>),
    /// It gets no answer: not a question, or not even a header.
    Nothing,
}

impl Query {
    /// Whether it asks in the internet's class (or in any).
    pub fn is_internet(&self) -> bool {
        matches!(self.class, INTERNET | ANY)
    }

    /// The longest answer over UDP.
    pub fn limit(&self) -> usize {
        self.edns.map_or(PLAIN_LIMIT, |size| usize::from(size).max(PLAIN_LIMIT))
    }

    /// The address that a name below `in-addr.arpa` or `ip6.arpa` stands for.
    pub fn reverse_address(&self) -> Option<IpAddr> {
        let name = self.name.to_ascii_lowercase();
        if let Some(digits) = name.strip_suffix(".in-addr.arpa") {
            let parts: Vec<u8> = digits.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
            let [d, c, b, a] = parts[..] else { return None };
            return Some(Ipv4Addr::new(a, b, c, d).into());
        }
        let digits = name.strip_suffix(".ip6.arpa")?;
        let mut bits = 0_u128;
        let mut count = 0;
        for digit in digits.split('.').rev() {
            let mut only = digit.chars();
            let value = only.next()?.to_digit(16)?;
            if only.next().is_some() {
                return None;
            }
            bits = bits << 4 | u128::from(value);
            count += 1;
        }
        (count == 32).then(|| Ipv6Addr::from_bits(bits).into())
    }

    /// An answer of at most `limit` bytes; what does not fit is left out, and the answer says so.
    pub fn answer(&self, code: u8, records: &[Record], limit: usize) -> Vec<u8> {
        let mut message = self.head(code);
        let additional = if self.edns.is_some() { 11 } else { 0 };
        let mut count = 0_u16;
        for record in records {
            let before = message.len();
            put_record(&mut message, record);
            if message.len() + additional > limit {
                message.truncate(before);
                // TC: ask again over TCP.
                message[2] |= 0x02;
                break;
            }
            count += 1;
        }
        message[6..8].copy_from_slice(&count.to_be_bytes());
        if self.edns.is_some() {
            message[11] = 1;
            message.push(0);
            message.extend(OPT.to_be_bytes());
            message.extend(OUR_LIMIT.to_be_bytes());
            message.extend([0; 6]);
        }
        message
    }

    /// The header and the question of an answer.
    fn head(&self, code: u8) -> Vec<u8> {
        let mut message = Vec::with_capacity(PLAIN_LIMIT);
        message.extend(self.id.to_be_bytes());
        message.extend(response_flags(self.flags, code).to_be_bytes());
        message.extend([0, 1, 0, 0, 0, 0, 0, 0]);
        message.extend(&self.question);
        message
    }
}

/// QR and RA; the operation and RD as asked, and CD, which belongs to the asker too.
fn response_flags(flags: u16, code: u8) -> u16 {
    0x8080 | flags & 0x7910 | u16::from(code)
}

fn put_record(message: &mut Vec<u8>, record: &Record) {
    let (kind, data) = match record {
        Record::Address(IpAddr::V4(address)) => (A, address.octets().to_vec()),
        Record::Address(IpAddr::V6(address)) => (AAAA, address.octets().to_vec()),
        Record::Pointer(name) => (PTR, encode_name(name)),
    };
    // The name of every record is the question's, which begins behind the header.
    message.extend([0xc0, HEADER as u8]);
    message.extend(kind.to_be_bytes());
    message.extend(INTERNET.to_be_bytes());
    message.extend(TTL.to_be_bytes());
    message.extend((data.len() as u16).to_be_bytes());
    message.extend(data);
}

/// A name as labels. Labels that are empty or too long for the format are left out.
fn encode_name(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| (1..64).contains(&label.len())) {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// Reads what a client sent.
pub(crate) fn parse(message: &[u8]) -> Parsed {
    let Some(header) = message.first_chunk::<HEADER>() else { return Parsed::Nothing };
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (id, flags) = (word(0), word(2));
    if flags & 0x8000 != 0 {
        return Parsed::Nothing;
    }
    let refusal = |code: u8| {
        let mut answer = vec![0; HEADER];
        answer[0..2].copy_from_slice(&id.to_be_bytes());
        answer[2..4].copy_from_slice(&response_flags(flags, code).to_be_bytes());
        Parsed::Answer(answer)
    };
    if flags & 0x7800 != 0 {
        return refusal(NOT_IMPLEMENTED);
    }
    if word(4) != 1 {
        return refusal(FORMAT_ERROR);
    }
    let Some((name, end)) = question_name(message) else { return refusal(FORMAT_ERROR) };
    let Some(&[kind0, kind1, class0, class1]) = message.get(end..).and_then(<[u8]>::first_chunk) else {
        return refusal(FORMAT_ERROR);
    };
    let records = u32::from(word(6)) + u32::from(word(8)) + u32::from(word(10));
    Parsed::Query(Query {
        id,
        flags,
        name,
        kind: u16::from_be_bytes([kind0, kind1]),
        class: u16::from_be_bytes([class0, class1]),
        question: message[HEADER..end + 4].to_vec(),
        edns: edns(message, end + 4, records),
    })
}

/// The question's name, and where it ends. Nothing comes before it that it could point to.
fn question_name(message: &[u8]) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        match length {
            0 => return Some((name, at)),
            1..64 => {}
            _ => return None,
        }
        if at + length - HEADER > 254 {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        // A dot inside a label would read as two labels.
        name.extend(message.get(at..at + length)?.iter().map(|byte| match byte {
            b'.' | 0x80.. => '\u{fffd}',
            byte => char::from(*byte),
        }));
        at += length;
    }
}

/// The size in the OPT record, if there is one.
fn edns(message: &[u8], mut at: usize, records: u32) -> Option<u16> {
    for _ in 0..records {
        // The name: labels, ended by the root or by a pointer.
        loop {
            match *message.get(at)? {
                0 => break at += 1,
                0xc0.. => break at += 2,
                length => at += 1 + usize::from(length),
            }
        }
        let [kind0, kind1, size0, size1, _, _, _, _, length0, length1] =
            *message.get(at..)?.first_chunk::<10>()?;
        if u16::from_be_bytes([kind0, kind1]) == OPT {
            return Some(u16::from_be_bytes([size0, size1]));
        }
        at += 10 + usize::from(u16::from_be_bytes([length0, length1]));
    }
    None
}

/// An answer's number and code, for those who wait for one; nothing if it is no answer.
pub(crate) fn response(message: &[u8]) -> Option<(u16, u8)> {
    let [id0, id1, flags, code] = *message.get(..HEADER)?.first_chunk::<4>()?;
    (flags & 0x80 != 0).then_some((u16::from_be_bytes([id0, id1]), code & 0x0f))
}

/// Whether an answer is about that question. Without one it may be (a server that could not read it says no more).
pub(crate) fn is_about(message: &[u8], query: &Query) -> bool {
    let asked = &query.question;
    match message.get(4..6) {
        Some([0, 0]) => true,
        Some([0, 1]) => message
            .get(HEADER..HEADER + asked.len())
            .is_some_and(|question| question.eq_ignore_ascii_case(asked)),
        _ => false,
    }
}

/// Gives a message another number.
pub(crate) fn set_id(message: &mut [u8], id: u16) {
    if let Some(place) = message.first_chunk_mut() {
        *place = id.to_be_bytes();
    }
}

#[cfg(test)]
mod tests;

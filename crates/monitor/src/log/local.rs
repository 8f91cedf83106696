//! Docker's local format: each entry is a protocol buffer with its length (`u32` big-endian) before and behind it, so that a file
//! can be read from either end (moby `daemon/logger/local/local.go`, `api/types/plugins/logdriver/entry.proto`):
//!
//! ```text
//!   LogEntry               { string source = 1; int64 time_nano = 2; bytes line = 3; bool partial = 4;
//!                            PartialLogEntryMetadata partial_log_metadata = 5; }
//!   PartialLogEntryMetadata { bool last = 1; string id = 2; int32 ordinal = 3; }
//! ```

use super::Entry;

const LENGTH: usize = 4;

pub(super) fn encode(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    bytes(1, entry.stream.name().as_bytes(), out);
    number(2, entry.time.nanoseconds() as u64, out);
    bytes(3, entry.line, out);
    if let Some(piece) = entry.piece {
        number(4, 1, out);
        let mut inner = Vec::with_capacity(32);
        if piece.last {
            number(1, 1, &mut inner);
        }
        bytes(2, format!("{:016x}", piece.id).as_bytes(), &mut inner);
        number(3, piece.ordinal.into(), &mut inner);
        bytes(5, &inner, out);
    }
    let length = ((out.len() - start - LENGTH) as u32).to_be_bytes();
    out[start..start + LENGTH].copy_from_slice(&length);
    out.extend_from_slice(&length);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number(field: u64, value: u64, out: &mut Vec<u8>) {
    varint(field << 3, out);
    varint(value, out);
}

fn bytes(field: u64, value: &[u8], out: &mut Vec<u8>) {
    varint(field << 3 | 2, out);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// An entry read back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    /// "stdout" or "stderr".
    pub source: String,
    /// Nanoseconds since 1970.
    pub time_nano: i64,
    /// The text; add a line feed if `complete`.
    pub line: Vec<u8>,
    /// A line ends here.
    pub complete: bool,
}

/// Reads the entry at the beginning of `input` and says how many bytes it takes up; `None` when it is not all there (or is
/// damaged).
pub fn decode(input: &[u8]) -> Option<(Read, usize)> {
    let length = u32::from_be_bytes(*input.first_chunk::<LENGTH>()?) as usize;
    let body = input.get(LENGTH..LENGTH + length)?;
    let total = length + 2 * LENGTH;
    input.get(..total)?;
    let mut read = Read { complete: true, ..Read::default() };
    fields(body, |field, number, bytes| match field {
        1 => read.source = String::from_utf8_lossy(bytes).into_owned(),
        2 => read.time_nano = number as i64,
        3 => read.line = bytes.to_vec(),
        4 => read.complete &= number == 0,
        _ => {}
    })?;
    fields(body, |field, _, bytes| {
        if field == 5 {
            let _ = fields(bytes, |field, number, _| read.complete |= field == 1 && number != 0);
        }
    })?;
    Some((read, total))
}

/// Calls `each` with every field's number and its value (a number, or bytes).
fn fields(mut input: &[u8], mut each: impl FnMut(u64, u64, &[u8])) -> Option<()> {
    while !input.is_empty() {
        let key = take_varint(&mut input)?;
        let value = take_varint(&mut input)?;
        match key & 7 {
            0 => each(key >> 3, value, b""),
            2 => {
                let (bytes, rest) = input.split_at_checked(usize::try_from(value).ok()?)?;
                each(key >> 3, 0, bytes);
                input = rest;
            }
            _ => return None,
        }
    }
    Some(())
}

fn take_varint(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

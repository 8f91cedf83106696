//! Docker's json-file format: `{"log":"…\n","stream":"stdout","attrs":{…},"time":"…"}` and a line feed for each entry, escaped the
//! way Go's encoder does it (moby `daemon/logger/jsonfilelog/jsonlog/jsonlogbytes.go`).

use super::Entry;
use crate::protocol::LogSpec;

/// The `attrs` member with its comma, or nothing.
pub(super) fn attributes(spec: &LogSpec) -> Vec<u8> {
    let mut out = Vec::new();
    let tag = spec.tag.as_deref().map(|tag| ("tag", tag));
    let mut all: std::collections::BTreeMap<&str, &str> =
        spec.attrs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    all.extend(tag);
    for (name, value) in all {
        out.extend_from_slice(if out.is_empty() { b",\"attrs\":{" } else { b"," });
        string(name.as_bytes(), b"", &mut out);
        out.push(b':');
        string(value.as_bytes(), b"", &mut out);
    }
    if !out.is_empty() {
        out.push(b'}');
    }
    out
}

pub(super) fn encode(entry: &Entry<'_>, attributes: &[u8], out: &mut Vec<u8>) {
    let ends = entry.piece.is_none_or(|piece| piece.last);
    out.extend_from_slice(b"{\"log\":");
    string(entry.line, if ends { b"\n" } else { b"" }, out);
    out.extend_from_slice(b",\"stream\":\"");
    out.extend_from_slice(entry.stream.name().as_bytes());
    out.push(b'"');
    out.extend_from_slice(attributes);
    out.extend_from_slice(b",\"time\":\"");
    entry.time.write(out);
    out.extend_from_slice(b"\"}\n");
}

/// A JSON string of `text` and `end`. What is not UTF-8 becomes U+FFFD, one for each byte that is wrong; `<`, `>`, `&` and the line
/// separators are escaped because Go does it for HTML and JavaScript.
fn string(text: &[u8], end: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        escape(chunk.valid(), out);
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
    for byte in end {
        if *byte == b'\n' {
            out.extend_from_slice(b"\\n");
        }
    }
    out.push(b'"');
}

fn escape(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut from = 0;
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let (escaped, length): (&[u8], usize) = match byte {
            b'"' => (b"\\\"", 1),
            b'\\' => (b"\\\\", 1),
            b'\n' => (b"\\n", 1),
            b'\r' => (b"\\r", 1),
            0..0x20 | b'<' | b'>' | b'&' => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                (&[b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]], 1)
            }
            0xE2 if bytes[at..].starts_with(b"\xE2\x80\xA8") => (b"\\u2028", 3),
            0xE2 if bytes[at..].starts_with(b"\xE2\x80\xA9") => (b"\\u2029", 3),
            _ => {
                at += 1;
                continue;
            }
        };
        out.extend_from_slice(&bytes[from..at]);
        out.extend_from_slice(escaped);
        at += length;
        from = at;
    }
    out.extend_from_slice(&bytes[from..]);
}

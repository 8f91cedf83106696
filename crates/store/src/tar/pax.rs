//! Pax extended header records: `<length> <key>=<value>\n`.

use super::reader::Time;

/// Records in order of appearance. Values are bytes: attribute values are binary.
pub(super) type Records = Vec<(Vec<u8>, Vec<u8>)>;

/// Parses the body of an extended header. `None` when it is malformed (the rules are Go's).
pub(super) fn parse(mut body: &[u8]) -> Option<Records> {
    let mut records = Records::new();
    while !body.is_empty() {
        let space = body.iter().position(|byte| *byte == b' ')?;
        let digits = std::str::from_utf8(&body[..space]).ok()?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let length: usize = digits.parse().ok()?;
        if length <= space + 1 || length > body.len() || body[length - 1] != b'\n' {
            return None;
        }
        let record = &body[space + 1..length - 1];
        body = &body[length..];
        let equals = record.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        if key.is_empty() || key.contains(&0) {
            return None;
        }
        let textual = [b"path".as_slice(), b"linkpath", b"uname", b"gname"].contains(&key);
        if textual && value.contains(&0) {
            return None;
        }
        records.push((key.to_vec(), value.to_vec()));
    }
    Some(records)
}

/// The last value of a key; an empty value means "as if absent" (POSIX pax).
pub(super) fn get<'a>(records: &'a Records, key: &[u8]) -> Option<&'a [u8]> {
    let found = records.iter().rev().find(|(name, _)| name == key);
    found.map(|(_, value)| value.as_slice()).filter(|value| !value.is_empty())
}

/// A decimal integer, as `size`, `uid` and `gid` have.
pub(super) fn integer(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Seconds with any number of decimals; digits beyond nanoseconds are dropped.
pub(super) fn time(value: &[u8]) -> Option<Time> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut nanoseconds: i64 = 0;
    for at in 0..9 {
        let digit = fraction.as_bytes().get(at).map_or(0, |digit| digit - b'0');
        nanoseconds = nanoseconds * 10 + i64::from(digit);
    }
    if whole.starts_with('-') && nanoseconds > 0 {
        return Some(Time { seconds: seconds.checked_sub(1)?, nanoseconds: 1_000_000_000 - nanoseconds });
    }
    Some(Time { seconds, nanoseconds })
}

/// One record, its length counting itself.
pub(super) fn write(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    length = rest + length.to_string().len();
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

//! Points in time as clients write them (moby's `timetypes.GetTimestamp`): Unix seconds with a fraction, RFC 3339 with or
//! without zone and time of day, or a Go duration before now.

use jiff::{SignedDuration, Timestamp};

use crate::error::{Error, Result};

/// Reads one; empty and `0` are None.
pub(crate) fn parse(text: &str, now: Timestamp) -> Result<Option<Timestamp>> {
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    let found = unix(text).or_else(|| date(text)).or_else(|| now.checked_sub(duration(text)?).ok());
    found
        .map(Some)
        .ok_or_else(|| Error::invalid(format!("failed to parse value as time or duration: {text:?}")))
}

/// `1700000000`, `1700000000.123456789`, negative too.
fn unix(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = seconds.parse().ok()?;
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    Timestamp::new(seconds, nanos).ok()
}

fn date(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    // Without a zone: UTC, as a server has no other.
    let with_zone = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        16 => format!("{text}:00Z"),
        13 => format!("{text}:00:00Z"),
        _ => format!("{text}Z"),
    };
    with_zone.parse().ok()
}

/// A Go duration: `1h30m`, `1.5s`, `-2ms`.
pub(crate) fn duration(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return None;
    }
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut nanos = 0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_len = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..unit_len] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        nanos += value * unit;
        rest = &rest[unit_len..];
    }
    let nanos = if negative { -nanos } else { nanos };
    (nanos.abs() < i64::MAX as f64).then(|| SignedDuration::from_nanos(nanos as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_write() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let check = |text: &str, expected: &str| {
            assert_eq!(parse(text, now).unwrap().unwrap().to_string(), expected, "{text}");
        };
        check("1700000000", "2023-11-14T22:13:20Z");
        check("1700000000.5", "2023-11-14T22:13:20.5Z");
        check("1700000000.000000001", "2023-11-14T22:13:20.000000001Z");
        check("2026-01-01T10:00:00Z", "2026-01-01T10:00:00Z");
        check("2026-01-01T10:00:00+02:00", "2026-01-01T08:00:00Z");
        check("2026-01-01T10:00:00", "2026-01-01T10:00:00Z");
        check("2026-01-01T10:00", "2026-01-01T10:00:00Z");
        check("2026-01-01", "2026-01-01T00:00:00Z");
        check("10m", "2026-01-01T11:50:00Z");
        check("1h30m", "2026-01-01T10:30:00Z");
        check("1.5s", "2026-01-01T11:59:58.5Z");
        assert_eq!(parse("", now).unwrap(), None);
        assert_eq!(parse("0", now).unwrap(), None);
        for bad in ["yesterday", "10", "1.2.3", "5x", "h", "."].iter().filter(|text| **text != "10") {
            assert!(parse(bad, now).is_err(), "{bad}");
        }
    }
}

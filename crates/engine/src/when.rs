//! Points in time as users give them in filters: a timestamp, a Unix time, or a Go duration before now.
//!
//! Forms: moby `api/types/time.GetTimestamp`. A timestamp without a zone is in the host's.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Reads `2024-01-02T03:04:05Z`, `2024-01-02`, `1704164645.5` or `1h30m` (before `now`).
pub(crate) fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    if let Some(duration) = go_duration(text) {
        return now.checked_sub(duration).ok();
    }
    if let Some(timestamp) = unix(text) {
        return Some(timestamp);
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    let text = text.strip_suffix('Z').map_or((text, false), |rest| (rest, true));
    let zone = if text.1 { TimeZone::UTC } else { TimeZone::system() };
    let full = match text.0.len() {
        10 => format!("{}T00:00:00", text.0),
        13 => format!("{}:00:00", text.0),
        16 => format!("{}:00", text.0),
        _ => text.0.to_owned(),
    };
    let civil: DateTime = full.parse().ok()?;
    zone.to_timestamp(civil).ok()
}

/// `seconds[.fraction]`.
fn unix(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) || fraction.len() > 9 {
        return None;
    }
    let nanoseconds: i32 = format!("{fraction:0<9}").parse().ok()?;
    Timestamp::new(seconds, if seconds < 0 { -nanoseconds } else { nanoseconds }).ok()
}

/// Go's `time.ParseDuration`: `[-+](number unit)+`, `0`.
fn go_duration(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return None;
    }
    let mut total = 0f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let units =
            [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
        let (unit, scale) = units.into_iter().find(|(unit, _)| rest.starts_with(unit))?;
        rest = &rest[unit.len()..];
        total += number * scale;
    }
    let total = SignedDuration::try_from_secs_f64(total).ok()?;
    Some(if negative { -total } else { total })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_moby_reads() {
        let now: Timestamp = "2024-06-01T12:00:00Z".parse().unwrap();
        let check = |text: &str, want: &str| {
            assert_eq!(parse(text, now).map(|time| time.to_string()).as_deref(), Some(want), "{text}");
        };
        check("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z");
        check("2024-01-02T03:04:05.5+02:00", "2024-01-02T01:04:05.5Z");
        check("2024-01-02Z", "2024-01-02T00:00:00Z");
        check("2024-01-02T03Z", "2024-01-02T03:00:00Z");
        check("1704164645.5", "2024-01-02T03:04:05.5Z");
        check("1h30m", "2024-06-01T10:30:00Z");
        check("1.5h", "2024-06-01T10:30:00Z");
        check("300ms", "2024-06-01T11:59:59.7Z");
        for rubbish in ["", "soon", "1x", "h", "2024-13-01", "-"] {
            assert_eq!(parse(rubbish, now), None, "{rubbish}");
        }
    }
}

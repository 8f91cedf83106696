//! Points in time: what `--since` and `--until` accept, and Go's ways to print a time.

use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ZonedDateTime};

/// What the Engine API wants as `since` and `until` for what a user typed: seconds with nanoseconds. Accepts Go durations
/// (before now), RFC 3339 times with parts missing, dates, and seconds since 1970. The error text is moby's.
pub fn timestamp(text: &str, now: &ZonedDateTime) -> Result<String, String> {
    if text != "0"
        && let Ok(ago) = crate::duration::parse(text)
    {
        let then = now.timestamp().checked_sub(SignedDuration::from_nanos(ago)).unwrap_or(Timestamp::MIN);
        return Ok(then.as_second().to_string());
    }
    match moment(text, now.time_zone()) {
        Some(time) => {
            let nanoseconds = time.as_nanosecond();
            let (seconds, rest) =
                (nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000));
            Ok(format!("{seconds}.{rest:09}"))
        }
        None if is_seconds(text) => Ok(text.to_owned()),
        None => Err(format!("failed to parse value as time or duration: {text:?}")),
    }
}

/// A time with a zone, or without one in `zone`.
fn moment(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if !text.contains('-') {
        return None;
    }
    let (date, time) = text.split_once(['T', 't']).unwrap_or((text, ""));
    // The zone is at the end: of the time, or of a date alone.
    let tail = if time.is_empty() { date.get(10..)? } else { time };
    let at = tail.find(['Z', 'z', '+', '-']).unwrap_or(tail.len());
    let (clock, offset) = tail.split_at(at);
    let date: Date = date.get(..10)?.parse().ok()?;
    let civil: DateTime = match (time.is_empty(), clock) {
        (true, "") => date.to_datetime(jiff::civil::Time::midnight()),
        (true, _) => return None,
        (false, clock) => {
            let full = match clock.matches(':').count() {
                0 => format!("{clock}:00:00"),
                1 => format!("{clock}:00"),
                _ => clock.to_owned(),
            };
            date.to_datetime(full.parse().ok()?)
        }
    };
    let zone = match offset {
        "" => zone.clone(),
        "Z" | "z" => TimeZone::UTC,
        offset => {
            let sign = if offset.starts_with('-') { -1 } else { 1 };
            let (hours, minutes) = offset[1..].split_once(':')?;
            let seconds = hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok()? * 60;
            TimeZone::fixed(jiff::tz::Offset::from_seconds(sign * seconds).ok()?)
        }
    };
    Some(civil.to_zoned_datetime(zone).ok()?.timestamp())
}

fn is_seconds(text: &str) -> bool {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits(seconds.strip_prefix('-').unwrap_or(seconds)) && digits(fraction)
}

/// Go's `Time.String` without a monotonic clock: `2006-01-02 15:04:05 -0700 MST`, from seconds since 1970.
pub fn go_string(seconds: i64, zone: &TimeZone) -> String {
    print(seconds, 0, zone, "%Y-%m-%d %H:%M:%S %z %Z")
}

/// Go's `Time.String` of an RFC 3339 text in that text's own zone, with the fraction as it is; other text comes back.
pub fn go_string_of(text: &str, local: &TimeZone) -> String {
    let Ok(time) = text.parse::<Timestamp>() else { return text.to_owned() };
    let zone = match text.ends_with(['Z', 'z']) {
        true => TimeZone::UTC,
        false => offset_of(text, time, local),
    };
    let fraction = time.subsec_nanosecond().unsigned_abs();
    let fraction = match fraction {
        0 => String::new(),
        fraction => format!(".{fraction:09}").trim_end_matches('0').to_owned(),
    };
    let name = match zone.to_fixed_offset() {
        Ok(_) if zone != TimeZone::UTC => "%z",
        _ => "%Z",
    };
    print(time.as_second(), 0, &zone, &format!("%Y-%m-%d %H:%M:%S{fraction} %z {name}"))
}

/// The zone of an RFC 3339 text: the local one if it has the same offset at that time, as Go decides.
fn offset_of(text: &str, time: Timestamp, local: &TimeZone) -> TimeZone {
    let Ok(pieces) = jiff::fmt::temporal::Pieces::parse(text) else { return local.clone() };
    match pieces.to_numeric_offset() {
        Some(offset) if local.to_offset(time) != offset => TimeZone::fixed(offset),
        _ => local.clone(),
    }
}

/// `2006-01-02T15:04:05Z07:00`.
pub fn rfc3339(seconds: i64, zone: &TimeZone) -> String {
    let text = print(seconds, 0, zone, "%Y-%m-%dT%H:%M:%S%:z");
    utc_as_z(text)
}

/// `2006-01-02T15:04:05.000000000Z07:00`: always nine digits.
pub fn rfc3339_nanos(seconds: i64, nanoseconds: i32, zone: &TimeZone) -> String {
    let text = print(seconds, nanoseconds, zone, "%Y-%m-%dT%H:%M:%S.%9f%:z");
    utc_as_z(text)
}

/// Go's `time.ANSIC`: `Mon Jan _2 15:04:05 2006`.
pub fn ansic(time: Timestamp, zone: &TimeZone) -> String {
    print(time.as_second(), 0, zone, "%a %b %e %H:%M:%S %Y")
}

fn utc_as_z(text: String) -> String {
    match text.strip_suffix("+00:00") {
        Some(text) => format!("{text}Z"),
        None => text,
    }
}

fn print(seconds: i64, nanoseconds: i32, zone: &TimeZone, format: &str) -> String {
    let time =
        Timestamp::new(seconds, nanoseconds).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned_datetime(zone.clone());
    strtime::format(format, &time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> ZonedDateTime {
        "2026-11-24T03:00:00+09:00[+09:00]".parse().expect("a time")
    }

    #[test]
    fn what_since_accepts() {
        for (text, expected) in [
            ("1h", "1795453200"),
            ("90s", "1795456710"),
            ("1700000000", "1700000000"),
            ("1700000000.5", "1700000000.5"),
            ("0", "0"),
            ("2026-11-23T18:00:00Z", "1795456800.000000000"),
            ("2026-11-23T18:00:00.25Z", "1795456800.250000000"),
            ("2026-11-24T03:00:00+09:00", "1795456800.000000000"),
            ("2026-11-24T03:00:00", "1795456800.000000000"),
            ("2026-11-24T03:00", "1795456800.000000000"),
            ("2026-11-24T03", "1795456800.000000000"),
            ("2026-11-24", "1795446000.000000000"),
            ("2026-11-24Z", "1795478400.000000000"),
        ] {
            assert_eq!(timestamp(text, &now()).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "yesterday", "2026-99-01", "12:00", "1-2-3", "1e9", "5 minutes"] {
            assert!(timestamp(text, &now()).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_printed_as_go_prints_them() {
        let seoul = TimeZone::fixed(jiff::tz::offset(9));
        assert_eq!(go_string(1_795_456_800, &TimeZone::UTC), "2026-11-23 18:00:00 +0000 UTC");
        assert_eq!(rfc3339(1_795_456_800, &seoul), "2026-11-24T03:00:00+09:00");
        assert_eq!(rfc3339(1_795_456_800, &TimeZone::UTC), "2026-11-23T18:00:00Z");
        assert_eq!(rfc3339_nanos(1_795_456_800, 5, &TimeZone::UTC), "2026-11-23T18:00:00.000000005Z");
        for (text, expected) in [
            ("2026-11-26T01:56:43.733457370Z", "2026-11-26 01:56:43.73345737 +0000 UTC"),
            ("2026-11-26T01:56:43Z", "2026-11-26 01:56:43 +0000 UTC"),
            ("2026-11-26T01:56:43.5+09:00", "2026-11-26 01:56:43.5 +0900 +0900"),
            ("0001-01-01T00:00:00Z", "0001-01-01 00:00:00 +0000 UTC"),
            ("never", "never"),
        ] {
            assert_eq!(go_string_of(text, &TimeZone::UTC), expected);
        }
        let day = Timestamp::from_second(1_793_500_000).expect("a time");
        assert_eq!(ansic(day, &TimeZone::UTC), "Sun Nov  1 02:26:40 2026");
    }
}

//! Points in time as Docker writes them: RFC 3339 in UTC with up to nine digits after the point and no trailing zeros (Go's
//! `RFC3339Nano`), and durations as Go prints them. No time zones, no parsing: a monitor only ever writes times.

use rustix::time::{ClockId, clock_gettime};

/// Wall-clock time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub seconds: i64,
    pub nanos: u32,
}

impl Stamp {
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Realtime);
        Self { seconds: now.tv_sec, nanos: now.tv_nsec as u32 }
    }

    /// Nanoseconds since 1970.
    pub fn nanoseconds(self) -> i64 {
        self.seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(self.nanos))
    }

    /// Appends the text; allocates nothing but room in `out`.
    pub fn write(self, out: &mut Vec<u8>) {
        let (year, month, day) = date(self.seconds.div_euclid(86_400));
        let second = self.seconds.rem_euclid(86_400) as u32;
        digits(out, year as u32, 4);
        for (separator, value) in
            [(b'-', month), (b'-', day), (b'T', second / 3600), (b':', second / 60 % 60), (b':', second % 60)]
        {
            out.push(separator);
            digits(out, value, 2);
        }
        if self.nanos > 0 {
            out.push(b'.');
            digits(out, self.nanos, 9);
            while out.last() == Some(&b'0') {
                out.pop();
            }
        }
        out.push(b'Z');
    }
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = Vec::with_capacity(30);
        self.write(&mut text);
        formatter.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

fn digits(out: &mut Vec<u8>, mut value: u32, count: usize) {
    let mut text = [b'0'; 10];
    for place in text[..count].iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&text[..count]);
}

/// Year, month and day of a day number (0 is 1970-01-01). Years begin in March here, so that the leap day comes last, and days
/// are counted in eras of 400 years, which are all of the same length.
fn date(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = (of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Nanoseconds as Go's `time.Duration` prints them: "1.5s", "2m0s", "250ms".
pub(crate) fn go_duration(nanos: u64) -> String {
    fn with_fraction(value: u64, unit: u64) -> String {
        let mut text = format!("{}", value / unit);
        if !value.is_multiple_of(unit) {
            let width = unit.ilog10() as usize;
            text += &format!(".{:0width$}", value % unit);
            text.truncate(text.trim_end_matches('0').len());
        }
        text
    }
    match nanos {
        0 => "0s".into(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => with_fraction(nanos, 1_000) + "µs",
        1_000_000..1_000_000_000 => with_fraction(nanos, 1_000_000) + "ms",
        _ => {
            let minutes = nanos / 60_000_000_000;
            let seconds = with_fraction(nanos % 60_000_000_000, 1_000_000_000) + "s";
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_go_prints_them() {
        for (seconds, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (951_782_400, 0, "2000-02-29T00:00:00Z"),
            (951_868_799, 500_000_000, "2000-02-29T23:59:59.5Z"),
            (951_868_800, 1, "2000-03-01T00:00:00.000000001Z"),
            (1_700_000_000, 120_000, "2023-11-14T22:13:20.00012Z"),
            (4_102_444_799, 999_999_999, "2099-12-31T23:59:59.999999999Z"),
        ] {
            assert_eq!(Stamp { seconds, nanos }.to_string(), text);
        }
    }

    #[test]
    fn durations_as_go_prints_them() {
        for (nanos, text) in [
            (0, "0s"),
            (5, "5ns"),
            (1_500, "1.5µs"),
            (250_000_000, "250ms"),
            (1_000_000_000, "1s"),
            (1_050_000_000, "1.05s"),
            (30_000_000_000, "30s"),
            (60_000_000_000, "1m0s"),
            (5_400_000_000_000, "1h30m0s"),
        ] {
            assert_eq!(go_duration(nanos), text);
        }
    }
}

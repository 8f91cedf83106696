//! Sizes as docker prints and reads them (docker/go-units): `1.2MB` in powers of 1000, `1.2MiB` in powers of 1024, four
//! significant digits; input is always in powers of 1024.

const DECIMAL: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const BINARY: [&str; 9] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

/// `1.234MB`: powers of 1000, four significant digits.
pub fn human(bytes: f64) -> String {
    human_with_precision(bytes, 4)
}

/// `1.23MB`: powers of 1000, `digits` significant digits.
pub fn human_with_precision(bytes: f64, digits: usize) -> String {
    scaled(bytes, 1000.0, &DECIMAL, digits)
}

/// `1.234MiB`: powers of 1024, four significant digits.
pub fn binary(bytes: f64) -> String {
    scaled(bytes, 1024.0, &BINARY, 4)
}

fn scaled(mut value: f64, base: f64, units: &[&str], digits: usize) -> String {
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    format!("{}{}", significant(value, digits), units[unit])
}

/// C's `%.*g`: significant digits without trailing zeros, an exponent where that is shorter.
pub fn significant(value: f64, digits: usize) -> String {
    let digits = digits.max(1);
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".to_owned() } else { format!("{value}") };
    }
    let scientific = format!("{:.*e}", digits - 1, value);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exponent.abs());
    }
    let decimals = usize::try_from(digits as i32 - 1 - exponent).unwrap_or(0);
    trim(&format!("{value:.decimals$}"))
}

/// Bytes from `512`, `64m`, `1.5g`, `10 MB`, `1KiB`; the error text is go-units'.
pub fn parse(text: &str) -> Result<i64, String> {
    let Some(last) = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ') else {
        return Err(format!("invalid size: '{text}'"));
    };
    let (number, suffix) = match text.as_bytes()[last] {
        b' ' => (&text[..last], &text[last + 1..]),
        _ => text.split_at(last + 1),
    };
    let mut size = parse_float(number)?;
    if size < 0.0 {
        return Err(format!("invalid size: '{text}'"));
    }
    let lower = suffix.to_lowercase();
    let bad = || Err(format!("invalid suffix: '{}'", if suffix.len() > 3 { suffix } else { &lower }));
    if suffix.len() > 3 {
        return bad();
    }
    let rest = match lower.chars().next() {
        None => "",
        Some('b') => return if lower.len() > 1 { bad() } else { Ok(size as i64) },
        Some(unit) => {
            let Some(power) = "kmgtp".find(unit) else { return bad() };
            size *= 1024_f64.powi(power as i32 + 1);
            &lower[1..]
        }
    };
    if matches!(rest, "" | "b" | "ib") { Ok(size as i64) } else { bad() }
}

/// Go's `strconv.ParseFloat` with its error text.
pub fn parse_float(text: &str) -> Result<f64, String> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    match text.parse::<f64>() {
        Ok(value) if plain => Ok(value),
        _ => Err(format!("strconv.ParseFloat: parsing {text:?}: invalid syntax")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_printed_as_docker_prints_them() {
        for (bytes, three, four, binary_text) in [
            (0.0, "0B", "0B", "0B"),
            (999.0, "999B", "999B", "999B"),
            (1000.0, "1kB", "1kB", "1000B"),
            (1024.0, "1.02kB", "1.024kB", "1KiB"),
            (999_999.0, "1e+03kB", "1000kB", "976.6KiB"),
            (1_234_567.0, "1.23MB", "1.235MB", "1.177MiB"),
            (77_866_542.0, "77.9MB", "77.87MB", "74.26MiB"),
            (8_589_934_592.0, "8.59GB", "8.59GB", "8GiB"),
        ] {
            assert_eq!(human_with_precision(bytes, 3), three);
            assert_eq!(human(bytes), four);
            assert_eq!(binary(bytes), binary_text);
        }
    }

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        for (text, bytes) in [
            ("0", 0),
            ("42", 42),
            ("64m", 64 << 20),
            ("64M", 64 << 20),
            ("64mb", 64 << 20),
            ("64MiB", 64 << 20),
            ("1.5g", 3 << 29),
            ("10 kB", 10 << 10),
            ("1b", 1),
            ("2T", 2 << 40),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for (text, message) in [
            ("", "invalid size: ''"),
            ("x", "invalid size: 'x'"),
            ("-1", "invalid size: '-1'"),
            ("1z", "invalid suffix: 'z'"),
            ("1bb", "invalid suffix: 'bb'"),
            ("1mbit", "invalid suffix: 'mbit'"),
            ("x1", "strconv.ParseFloat: parsing \"x1\": invalid syntax"),
        ] {
            assert_eq!(parse(text), Err(message.to_owned()), "{text}");
        }
    }
}

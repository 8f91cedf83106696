//! Values of flags, read with the error texts of Docker's client.

pub use super::flags::parse_bool as boolean;

/// An integer.
pub fn integer(text: &str) -> Result<i64, String> {
    let reason = match text.parse::<i64>() {
        Ok(number) => return Ok(number),
        Err(error) => match error.kind() {
            std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        },
    };
    Err(format!("strconv.ParseInt: parsing \"{text}\": {reason}"))
}

/// An integer from 0 to 65535.
pub fn small(text: &str) -> Result<u16, String> {
    let reason = match text.parse::<u16>() {
        Ok(number) => return Ok(number),
        Err(error) => match error.kind() {
            std::num::IntErrorKind::PosOverflow => "value out of range",
            _ => "invalid syntax",
        },
    };
    Err(format!("strconv.ParseUint: parsing \"{text}\": {reason}"))
}

/// `64m`: bytes.
pub fn size(text: &str) -> Result<i64, String> {
    term::size::parse(text)
}

/// Bytes, or -1 for no limit.
pub fn size_or_unlimited(text: &str) -> Result<i64, String> {
    if text == "-1" { Ok(-1) } else { size(text) }
}

/// `1.5`: CPUs as billionths.
pub fn cpus(text: &str) -> Result<i64, String> {
    let wrong = || format!("failed to parse {text} as a rational number");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !digits(whole) || !digits(fraction) {
        return Err(wrong());
    }
    if fraction.len() > 9 && fraction[9..].bytes().any(|byte| byte != b'0') {
        return Err("value is too precise".to_owned());
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| wrong())? };
    let billionths: i64 = format!("{fraction:0<9}")[..9].parse().map_err(|_| wrong())?;
    whole.checked_mul(1_000_000_000).and_then(|nanos| nanos.checked_add(billionths)).ok_or_else(wrong)
}

/// `key=value` of `--filter`.
pub fn filter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_lowercase(), value.trim().to_owned())),
        None => Err("bad format of filter (expected name=value)".to_owned()),
    }
}

/// The filters of a command line.
pub fn filters(pairs: &[(String, String)]) -> api::Filters {
    pairs.iter().fold(api::Filters::default(), |filters, (key, value)| filters.with(key, value))
}

/// `key=value`, or a key with an empty value.
pub fn pairs(texts: &[String]) -> std::collections::BTreeMap<String, String> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) => (key.to_owned(), value.to_owned()),
        None => (text.clone(), String::new()),
    };
    texts.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_their_errors() {
        assert_eq!(integer("-5"), Ok(-5));
        assert_eq!(integer("x"), Err("strconv.ParseInt: parsing \"x\": invalid syntax".to_owned()));
        assert!(integer("99999999999999999999").unwrap_err().ends_with("value out of range"));
        assert_eq!(size_or_unlimited("-1"), Ok(-1));
        assert_eq!(size_or_unlimited("1k"), Ok(1024));
        assert_eq!(cpus("1.5"), Ok(1_500_000_000));
        assert_eq!(cpus(".25"), Ok(250_000_000));
        assert_eq!(cpus("x"), Err("failed to parse x as a rational number".to_owned()));
        assert_eq!(cpus("0.0000000001"), Err("value is too precise".to_owned()));
        assert_eq!(filter("Label = a=b"), Ok(("label".to_owned(), "a=b".to_owned())));
        assert_eq!(filter("foo"), Err("bad format of filter (expected name=value)".to_owned()));
    }
}

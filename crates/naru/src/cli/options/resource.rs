//! Limits: `--ulimit`, `--cpus`, sizes, restart policies and the per-device limits of block I/O.

use api::{RestartPolicy, ThrottleDevice, Ulimit, WeightDevice};

/// The names of `setrlimit(2)` that Docker knows.
const ULIMITS: [&str; 16] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
    "as",
];

/// One `--ulimit name=soft[:hard]`.
pub fn ulimit(text: &str) -> Result<Ulimit, String> {
    let (name, limits) = text.split_once('=').ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
    if !ULIMITS.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let number = |text: &str| {
        text.parse::<i64>().map_err(|_| format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
    };
    let parts: Vec<&str> = limits.split(':').collect();
    let (soft, hard) = match parts[..] {
        [soft] => (number(soft)?, number(soft)?),
        [soft, hard] => (number(soft)?, number(hard)?),
        _ => {
            return Err(format!(
                "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
            ));
        }
    };
    if hard != -1 && (soft > hard || soft == -1) {
        return Err(format!("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"));
    }
    Ok(Ulimit { name: name.to_owned(), hard, soft })
}

/// `--cpus`: a decimal number as 10⁻⁹ CPUs, without going through a float.
pub fn cpus(text: &str) -> Result<i64, String> {
    let wrong = || format!("failed to parse {text} as a rational number");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return Err(wrong());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 9 {
        return Err("value is too precise".to_owned());
    }
    let nanos: i64 = format!("{fraction:0<9}").parse().map_err(|_| wrong())?;
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| wrong())? };
    whole.checked_mul(1_000_000_000).and_then(|whole| whole.checked_add(nanos)).ok_or_else(wrong)
}

/// `--memory-swap`: a size, or -1 without a limit.
pub fn memory_swap(text: &str) -> Result<i64, String> {
    if text == "-1" { Ok(-1) } else { term::size::parse(text) }
}

/// `--memory-swappiness`.
pub fn swappiness(text: &str) -> Result<i64, String> {
    match text.parse::<i64>() {
        Ok(value @ -1..=100) => Ok(value),
        Ok(value) => Err(format!("invalid value: {value}. Valid memory swappiness range is 0-100")),
        Err(_) => Err(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")),
    }
}

/// `--restart`: `no`, `always`, `unless-stopped`, `on-failure[:times]`. The engine knows which names exist.
pub fn restart(text: &str) -> Result<RestartPolicy, String> {
    let (name, times) = text.split_once(':').map_or((text, None), |(name, times)| (name, Some(times)));
    let wrong = |why: &str| format!("invalid restart policy format: {why}");
    if name.is_empty() && times.is_some() {
        return Err(wrong("no policy provided before colon"));
    }
    let maximum_retry_count = match times {
        None => 0,
        Some(times) if times.contains(':') => return Err(wrong("too many colons")),
        Some(times) => times.parse().map_err(|_| wrong("maximum retry count must be an integer"))?,
    };
    Ok(RestartPolicy { name: name.to_owned(), maximum_retry_count })
}

/// Splits `path:number`; the path is below `/dev`.
fn device(text: &str) -> Result<(&str, &str), String> {
    let (path, number) = text.split_once(':').ok_or_else(|| format!("bad format: {text}"))?;
    match path.starts_with("/dev/") {
        true => Ok((path, number)),
        false => Err(format!("bad format for device path: {text}")),
    }
}

/// `--blkio-weight-device path:weight`.
pub fn weight(text: &str) -> Result<WeightDevice, String> {
    let (path, number) = device(text)?;
    match number.parse() {
        Ok(weight @ (0 | 10..=1000)) => Ok(WeightDevice { path: path.to_owned(), weight }),
        _ => Err(format!("invalid weight for device: {text}")),
    }
}

/// `--device-read-bps path:rate`, with units.
pub fn bytes_per_second(text: &str) -> Result<ThrottleDevice, String> {
    let (path, number) = device(text)?;
    let rate = term::size::parse(number).ok().and_then(|rate| u64::try_from(rate).ok());
    rate.map(|rate| ThrottleDevice { path: path.to_owned(), rate }).ok_or_else(|| {
        format!("invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb")
    })
}

/// `--device-read-iops path:rate`.
pub fn operations_per_second(text: &str) -> Result<ThrottleDevice, String> {
    let (path, number) = device(text)?;
    number.parse().map(|rate| ThrottleDevice { path: path.to_owned(), rate }).map_err(|_| {
        format!("invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a positive integer")
    })
}

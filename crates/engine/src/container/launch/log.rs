//! `--log-driver` and `--log-opt`: checked at create, told to the monitor at start.

use std::collections::BTreeMap;
use std::path::Path;

use monitor::protocol::{LogDriver, LogSpec};

use super::super::name::short;
use super::super::record::Record;
use crate::error::{Error, Result};

const LOCAL_SIZE: u64 = 20_000_000;
const LOCAL_FILES: u32 = 5;

/// Checks a driver and its options.
pub(crate) fn check(driver: &str, options: &BTreeMap<String, String>) -> Result<()> {
    let driver = parse_driver(driver)?;
    let known: &[&str] = match driver {
        LogDriver::JsonFile => &[
            "max-file",
            "max-size",
            "compress",
            "labels",
            "labels-regex",
            "env",
            "env-regex",
            "tag",
            "mode",
            "max-buffer-size",
        ],
        LogDriver::Local => &["max-file", "max-size", "compress", "mode", "max-buffer-size"],
        LogDriver::None => &[],
    };
    let name = driver_name(driver);
    if let Some(unknown) = options.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(Error::invalid(format!("unknown log opt '{unknown}' for {name} log driver")));
    }
    sizes(driver, options).map(drop)
}

/// What the monitor writes.
pub(crate) fn spec(record: &Record, folder: &Path) -> Result<LogSpec> {
    let empty = BTreeMap::new();
    let options = record.host.log_config.config.as_ref().unwrap_or(&empty);
    let driver = parse_driver(record.log_driver())?;
    let (max_size, max_file) = sizes(driver, options)?;
    Ok(LogSpec {
        driver,
        path: record.log_path(folder),
        max_size,
        max_file,
        attrs: attributes(record, options),
        tag: options.get("tag").map(|template| tag(template, record)),
    })
}

/// The tag of a container's log, if its options name one.
pub(crate) fn tag_of(record: &Record) -> Option<String> {
    record.host.log_config.config.as_ref()?.get("tag").map(|template| tag(template, record))
}

fn parse_driver(name: &str) -> Result<LogDriver> {
    match name {
        "" | "json-file" => Ok(LogDriver::JsonFile),
        "local" => Ok(LogDriver::Local),
        "none" => Ok(LogDriver::None),
        name => Err(Error::invalid(format!("logger: no log driver named '{name}' is registered"))),
    }
}

fn driver_name(driver: LogDriver) -> &'static str {
    match driver {
        LogDriver::JsonFile => "json-file",
        LogDriver::Local => "local",
        LogDriver::None => "none",
    }
}

fn sizes(driver: LogDriver, options: &BTreeMap<String, String>) -> Result<(Option<u64>, u32)> {
    let (mut size, mut files) = match driver {
        LogDriver::Local => (Some(LOCAL_SIZE), LOCAL_FILES),
        _ => (None, 1),
    };
    if let Some(text) = options.get("max-size") {
        let bytes = bytes(text)
            .ok_or_else(|| Error::invalid(format!("invalid value for max-size: invalid size: '{text}'")))?;
        size = Some(bytes).filter(|bytes| *bytes > 0);
    }
    if let Some(text) = options.get("max-file") {
        let count: u32 = text.parse().map_err(|_| {
            Error::invalid(format!(
                "invalid value for max-file: strconv.Atoi: parsing {text:?}: invalid syntax"
            ))
        })?;
        if count < 1 {
            return Err(Error::invalid("max-file cannot be less than 1"));
        }
        files = count;
    }
    Ok((size, files))
}

/// go-units' `FromHumanSize`: decimal units.
fn bytes(text: &str) -> Option<u64> {
    size(text, 1000.0)
}

/// go-units' `RAMInBytes`: binary units, with or without the `i`.
pub(crate) fn ram_in_bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    size(&lower.replacen("ib", "b", 1), 1024.0)
}

fn size(text: &str, base: f64) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let number: f64 = lower[..digits].parse().ok()?;
    let unit = match lower[digits..].trim().trim_end_matches('b') {
        "" => 1.0,
        "k" => base,
        "m" => base.powi(2),
        "g" => base.powi(3),
        "t" => base.powi(4),
        "p" => base.powi(5),
        _ => return None,
    };
    Some((number * unit) as u64)
}

/// Labels and variables that the options name.
fn attributes(record: &Record, options: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let list =
        |key: &str| options.get(key).map(String::as_str).unwrap_or_default().split(',').collect::<Vec<_>>();
    let mut attributes = BTreeMap::new();
    let labels = list("labels");
    for (key, value) in record.config.labels.iter().flatten() {
        if labels.contains(&key.as_str()) {
            attributes.insert(key.clone(), value.clone());
        }
    }
    let variables = list("env");
    for (key, value) in record.config.env.iter().flatten().filter_map(|line| line.split_once('=')) {
        if variables.contains(&key) {
            attributes.insert(key.to_owned(), value.to_owned());
        }
    }
    attributes
}

fn tag(template: &str, record: &Record) -> String {
    let image = record.image_id.strip_prefix("sha256:").unwrap_or(&record.image_id);
    let mut text = template.to_owned();
    for (field, value) in [
        ("ID", short(&record.id)),
        ("FullID", &record.id),
        ("Name", &record.name),
        ("ImageID", short(image)),
        ("ImageFullID", &record.image_id),
        ("ImageName", &record.config.image),
        ("DaemonName", "naru"),
    ] {
        text = text.replace(&format!("{{{{.{field}}}}}"), value);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn drivers_and_options_are_checked_in_dockers_words() {
        let refused =
            |driver: &str, pairs: &[(&str, &str)]| check(driver, &options(pairs)).unwrap_err().message;
        assert!(
            check("json-file", &options(&[("max-size", "10m"), ("max-file", "3"), ("tag", "x")])).is_ok()
        );
        assert!(check("none", &BTreeMap::new()).is_ok());
        assert_eq!(refused("fluffy", &[]), "logger: no log driver named 'fluffy' is registered");
        assert_eq!(refused("json-file", &[("x", "y")]), "unknown log opt 'x' for json-file log driver");
        assert_eq!(refused("local", &[("tag", "y")]), "unknown log opt 'tag' for local log driver");
        assert_eq!(refused("json-file", &[("max-file", "0")]), "max-file cannot be less than 1");
        assert_eq!(
            refused("json-file", &[("max-size", "x")]),
            "invalid value for max-size: invalid size: 'x'"
        );
    }

    #[test]
    fn sizes_have_decimal_units_and_local_logs_rotate_by_themselves() {
        for (text, want) in [("10", 10), ("10k", 10_000), ("1.5MB", 1_500_000), ("2g", 2_000_000_000)] {
            assert_eq!(bytes(text), Some(want), "{text}");
        }
        assert_eq!(sizes(LogDriver::Local, &BTreeMap::new()).unwrap(), (Some(20_000_000), 5));
        assert_eq!(sizes(LogDriver::JsonFile, &BTreeMap::new()).unwrap(), (None, 1));
        assert_eq!(sizes(LogDriver::JsonFile, &options(&[("max-size", "-1")])).ok(), None);
    }
}

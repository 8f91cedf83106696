//! `--device` (a path, or a CDI name), `--device-cgroup-rule` and `--gpus`.

use std::collections::BTreeMap;

use api::{DeviceMapping, DeviceRequest};

use super::csv;

/// One `--device`.
#[derive(Debug, Clone, PartialEq)]
pub enum Device {
    /// A device node of the host.
    Node(DeviceMapping),
    /// `vendor.com/class=name`, resolved by the engine.
    Cdi(String),
}

/// One `--device`.
pub fn device(text: &str) -> Result<Device, String> {
    if !text.starts_with('/')
        && text.split_once('=').is_some_and(|(kind, name)| kind.contains('/') && !name.is_empty())
    {
        return Ok(Device::Cdi(text.to_owned()));
    }
    let is_mode = |text: &str| {
        !text.is_empty()
            && text.chars().all(|letter| "rwm".contains(letter) && text.matches(letter).count() == 1)
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts[..] {
        [source] => (source, source, "rwm"),
        [source, mode] if is_mode(mode) => (source, source, mode),
        [source, target] => (source, target, "rwm"),
        [source, target, mode] if is_mode(mode) => (source, target, mode),
        [_, _, mode] => return Err(format!("invalid device mode: {mode}")),
        _ => return Err(format!("invalid device specification: {text}")),
    };
    if source.is_empty() || !target.starts_with('/') {
        return Err(format!("invalid device specification: {text}"));
    }
    Ok(Device::Node(DeviceMapping {
        path_on_host: source.to_owned(),
        path_in_container: target.to_owned(),
        cgroup_permissions: mode.to_owned(),
    }))
}

/// One `--device-cgroup-rule`: `c 1:3 rwm`.
pub fn cgroup_rule(text: &str) -> Result<String, String> {
    let number =
        |part: &str| part == "*" || (!part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    let good = match text.split(' ').collect::<Vec<_>>()[..] {
        [kind, numbers, access] => {
            matches!(kind, "a" | "b" | "c")
                && numbers.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
                && !access.is_empty()
                && access.chars().all(|letter| "rwm".contains(letter))
        }
        _ => false,
    };
    if good { Ok(text.to_owned()) } else { Err(format!("invalid device cgroup format '{text}'")) }
}

/// One `--gpus`: `all`, a number, or `driver=…,count=…,device=…,capabilities=…,options=…`.
pub fn gpus(text: &str) -> Result<DeviceRequest, String> {
    let mut request = DeviceRequest::default();
    let mut capabilities = vec!["gpu".to_owned()];
    let mut counted = false;
    for field in csv::fields(text)? {
        let (key, value) = field.split_once('=').unwrap_or(("count", &field));
        match key {
            "driver" => request.driver = value.to_owned(),
            "count" => {
                counted = true;
                request.count = match value {
                    "all" => -1,
                    number => number.parse().map_err(|_| {
                        format!("invalid count ({number}): value must be either \"all\" or an integer")
                    })?,
                };
            }
            "device" => request.device_ids = Some(value.split(',').map(str::to_owned).collect()),
            "capabilities" => {
                capabilities.extend(value.split(',').filter(|name| *name != "gpu").map(str::to_owned));
            }
            "options" => {
                let pairs = value.split(',').filter_map(|pair| pair.split_once('='));
                let options = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
                request.options = Some(options.collect::<BTreeMap<_, _>>());
            }
            other => return Err(format!("unexpected key '{other}' in '{field}'")),
        }
    }
    if !counted && request.device_ids.is_none() {
        request.count = 1;
    }
    request.capabilities = Some(vec![capabilities]);
    Ok(request)
}

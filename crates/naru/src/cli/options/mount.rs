//! `--mount type=…,source=…,target=…` and `-v source:target[:options]`.

use std::path::{Path, PathBuf};

use api::{BindOptions, Driver, ImageOptions, Mount, TmpfsOptions, VolumeOptions};

use super::csv;
use crate::cli::flags::parse_bool;

/// One `--mount`.
pub fn mount(text: &str) -> Result<Mount, String> {
    let mut mount = Mount { typ: "volume".to_owned(), ..Mount::default() };
    for field in csv::fields(text)? {
        let (key, value) =
            field.split_once('=').map_or((field.as_str(), None), |(key, value)| (key, Some(value)));
        let key = key.to_lowercase();
        match value {
            Some(value) => set(&mut mount, &key, value, &field)?,
            None => set_switch(&mut mount, &key, &field)?,
        }
    }
    check(&mount)?;
    Ok(mount)
}

fn set_switch(mount: &mut Mount, key: &str, field: &str) -> Result<(), String> {
    match key {
        "readonly" | "ro" => mount.read_only = true,
        "volume-nocopy" => mount.volume_options.get_or_insert_default().no_copy = true,
        "bind-nonrecursive" => mount.bind_options.get_or_insert_default().non_recursive = true,
        _ => return Err(format!("invalid field '{field}' must be a key=value pair")),
    }
    Ok(())
}

fn set(mount: &mut Mount, key: &str, value: &str, field: &str) -> Result<(), String> {
    let wrong = || format!("invalid value for {key}: {value}");
    let switch = || parse_bool(value).map_err(|_| wrong());
    match key {
        "type" => mount.typ = value.to_lowercase(),
        "source" | "src" => {
            mount.source =
                match value == "." || value.starts_with("./") || value.starts_with("../") || value == ".." {
                    true => absolute(value),
                    false => value.to_owned(),
                }
        }
        "target" | "dst" | "destination" => mount.target = value.to_owned(),
        "readonly" | "ro" => mount.read_only = switch()?,
        "consistency" => mount.consistency = value.to_lowercase(),
        "bind-propagation" => mount.bind_options.get_or_insert_default().propagation = value.to_lowercase(),
        "bind-nonrecursive" => mount.bind_options.get_or_insert_default().non_recursive = switch()?,
        "bind-create-src" | "bind-create-mountpoint" => {
            mount.bind_options.get_or_insert_default().create_mountpoint = switch()?;
        }
        "bind-recursive" => {
            let bind = mount.bind_options.get_or_insert_default();
            match value {
                "enabled" => {}
                "disabled" => bind.non_recursive = true,
                "writable" => bind.read_only_non_recursive = true,
                "readonly" => bind.read_only_force_recursive = true,
                _ => {
                    return Err(format!(
                        "{} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")",
                        wrong()
                    ));
                }
            }
        }
        "volume-subpath" => mount.volume_options.get_or_insert_default().subpath = value.to_owned(),
        "volume-nocopy" => mount.volume_options.get_or_insert_default().no_copy = switch()?,
        "volume-label" => {
            let (name, value) = value.split_once('=').unwrap_or((value, ""));
            let labels = mount.volume_options.get_or_insert_default().labels.get_or_insert_default();
            labels.insert(name.to_owned(), value.to_owned());
        }
        "volume-driver" => driver(mount).name = value.to_owned(),
        "volume-opt" => {
            let (name, value) = value.split_once('=').unwrap_or((value, ""));
            driver(mount).options.get_or_insert_default().insert(name.to_owned(), value.to_owned());
        }
        "image-subpath" => {
            mount.image_options.get_or_insert_with(ImageOptions::default).subpath = value.to_owned()
        }
        "tmpfs-size" => tmpfs(mount).size_bytes = term::size::parse(value).map_err(|_| wrong())?,
        "tmpfs-mode" => tmpfs(mount).mode = u32::from_str_radix(value, 8).map_err(|_| wrong())?,
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

fn driver(mount: &mut Mount) -> &mut Driver {
    mount.volume_options.get_or_insert_with(VolumeOptions::default).driver_config.get_or_insert_default()
}

fn tmpfs(mount: &mut Mount) -> &mut TmpfsOptions {
    mount.tmpfs_options.get_or_insert_default()
}

fn check(mount: &Mount) -> Result<(), String> {
    if mount.typ.is_empty() {
        return Err("type is required".to_owned());
    }
    if mount.target.is_empty() {
        return Err("target is required".to_owned());
    }
    for (typ, given) in [
        ("volume", mount.volume_options.is_some()),
        ("bind", mount.bind_options.is_some()),
        ("image", mount.image_options.is_some()),
        ("tmpfs", mount.tmpfs_options.is_some()),
    ] {
        if given && mount.typ != typ {
            return Err(format!("cannot mix '{typ}-*' options with mount type '{}'", mount.typ));
        }
    }
    let BindOptions { propagation, read_only_non_recursive, read_only_force_recursive, .. } =
        mount.bind_options.clone().unwrap_or_default();
    let needs = |how: &str, what: &str| {
        format!("option 'bind-recursive={how}' requires '{what}' to be specified in conjunction")
    };
    if read_only_non_recursive && !mount.read_only {
        return Err(needs("writable", "readonly"));
    }
    if read_only_force_recursive && !mount.read_only {
        return Err(needs("readonly", "readonly"));
    }
    if read_only_force_recursive && propagation != "rprivate" {
        return Err(needs("readonly", "bind-propagation=rprivate"));
    }
    Ok(())
}

/// One `-v`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Volume {
    /// A path alone: a new volume without a name.
    Anonymous(String),
    /// `source:target[:options]`, the source made absolute.
    Bind(String),
}

/// One `-v`.
pub fn volume(text: &str) -> Result<Volume, String> {
    if text.is_empty() {
        return Err("invalid spec: empty volume".to_owned());
    }
    let Some((source, target)) = text.split_once(':') else {
        return Ok(Volume::Anonymous(text.to_owned()));
    };
    if source.is_empty() || target.is_empty() || target.split(':').any(str::is_empty) {
        return Err(format!("invalid spec: {text}: empty section between colons"));
    }
    Ok(Volume::Bind(match source.starts_with('.') {
        true => format!("{}:{target}", absolute(source)),
        false => text.to_owned(),
    }))
}

/// Relative to where the command was typed: the engine runs somewhere else. `.` and `..` are taken out by name.
fn absolute(path: &str) -> String {
    let from = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let mut out = PathBuf::new();
    for part in from.join(Path::new(path)).components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out.to_string_lossy().into_owned()
}

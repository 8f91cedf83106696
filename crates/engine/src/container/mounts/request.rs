//! `--mount` specifications: the `Mounts` of a host configuration. Fields of another type are an error, not ignored.

use api::Mount;

use super::bind::{check_destination, check_volume_name};
use super::{Kind, MountPoint, Recursion, clean, mode};
use crate::error::{Error, Result};

/// Reads one mount. Volumes to be made and images to be found are left to `resolve`.
pub(crate) fn parse(mount: &Mount) -> Result<MountPoint> {
    let wrong = |what: &str| Error::invalid(format!("invalid mount config for type {:?}: {what}", mount.typ));
    let extra = |present: bool, field: &str| match present {
        true => Err(wrong(&format!("field {field} must not be specified"))),
        false => Ok(()),
    };
    let kind = match mount.typ.as_str() {
        "bind" => Kind::Bind,
        "volume" => Kind::Volume,
        "tmpfs" => Kind::Tmpfs,
        "image" => Kind::Image,
        _ => return Err(wrong("mount type unknown")),
    };
    check_destination(kind, &mount.target)?;
    extra(kind != Kind::Bind && mount.bind_options.is_some(), "BindOptions")?;
    extra(kind != Kind::Volume && mount.volume_options.is_some(), "VolumeOptions")?;
    extra(kind != Kind::Tmpfs && mount.tmpfs_options.is_some(), "TmpfsOptions")?;
    extra(kind != Kind::Image && mount.image_options.is_some(), "ImageOptions")?;
    let mut point = MountPoint::new(kind, "", &mount.target);
    point.read_only = mount.read_only;
    match kind {
        Kind::Bind => bind(mount, &mut point, &wrong)?,
        Kind::Volume => volume(mount, &mut point, &wrong)?,
        Kind::Tmpfs => tmpfs(mount, &mut point, &wrong)?,
        Kind::Image => {
            if mount.source.is_empty() {
                return Err(wrong("field Source must not be empty"));
            }
            point.source.clone_from(&mount.source);
            point.read_only = true;
            point.subpath = subpath(mount.image_options.as_ref().map(|options| &options.subpath), &wrong)?;
        }
    }
    Ok(point)
}

fn bind(mount: &Mount, point: &mut MountPoint, wrong: &impl Fn(&str) -> Error) -> Result<()> {
    if mount.source.is_empty() {
        return Err(wrong("field Source must not be empty"));
    }
    if !mount.source.starts_with('/') {
        return Err(wrong(&format!("invalid mount path: '{}' mount path must be absolute", mount.source)));
    }
    point.source = clean(&mount.source);
    point.propagation = "rprivate".to_owned();
    if let Some(options) = &mount.bind_options {
        if !options.propagation.is_empty() {
            if !mode::PROPAGATIONS.contains(&options.propagation.as_str()) {
                return Err(wrong(&format!("invalid propagation mode: {}", options.propagation)));
            }
            point.propagation.clone_from(&options.propagation);
        }
        point.create_source = options.create_mountpoint;
        point.non_recursive = options.non_recursive;
        if options.read_only_force_recursive {
            let conflict = match () {
                () if options.read_only_non_recursive => Some("ReadOnlyNonRecursive"),
                () if options.non_recursive => Some("NonRecursive"),
                () => None,
            };
            if let Some(field) = conflict {
                return Err(wrong(&format!("field {field} conflicts with ReadOnlyForceRecursive")));
            }
            if !mount.read_only || point.propagation != "rprivate" {
                return Err(wrong("option ReadOnlyForceRecursive requires a read-only, rprivate mount"));
            }
            point.read_only_recursion = Recursion::Force;
        } else if options.read_only_non_recursive {
            point.read_only_recursion = Recursion::Never;
        }
    }
    if !point.create_source && !std::path::Path::new(&point.source).exists() {
        return Err(wrong(&format!("bind source path does not exist: {}", point.source)));
    }
    Ok(())
}

fn volume(mount: &Mount, point: &mut MountPoint, wrong: &impl Fn(&str) -> Error) -> Result<()> {
    let options = mount.volume_options.as_ref();
    point.subpath = subpath(options.map(|options| &options.subpath), wrong)?;
    if mount.source.is_empty() {
        if mount.read_only {
            return Err(wrong("must not set ReadOnly mode when using anonymous volumes"));
        }
        if !point.subpath.is_empty() {
            return Err(wrong("must not set Subpath when using anonymous volumes"));
        }
    } else {
        check_volume_name(&mount.source)?;
    }
    point.name.clone_from(&mount.source);
    point.anonymous = mount.source.is_empty();
    point.no_copy = options.is_some_and(|options| options.no_copy);
    if let Some(driver) = options.and_then(|options| options.driver_config.as_ref()) {
        point.driver.clone_from(&driver.name);
    }
    Ok(())
}

fn tmpfs(mount: &Mount, point: &mut MountPoint, wrong: &impl Fn(&str) -> Error) -> Result<()> {
    if !mount.source.is_empty() {
        return Err(wrong("field Source must not be specified"));
    }
    let mut options: Vec<String> = Vec::new();
    if let Some(tmpfs) = &mount.tmpfs_options {
        if tmpfs.size_bytes < 0 {
            return Err(wrong("tmpfs size must not be negative"));
        }
        if tmpfs.size_bytes > 0 {
            options.push(format!("size={}", tmpfs.size_bytes));
        }
        if tmpfs.mode != 0 {
            options.push(format!("mode={:o}", tmpfs.mode & 0o7777));
        }
        for option in tmpfs.options.iter().flatten() {
            let words: Vec<&str> = option.iter().map(String::as_str).collect();
            match words.as_slice() {
                [flag @ ("exec" | "noexec")] => options.push((*flag).to_owned()),
                [key @ ("uid" | "gid"), value] if value.parse::<u32>().is_ok() => {
                    options.push(format!("{key}={value}"));
                }
                [flag] => return Err(wrong(&format!("invalid option: {flag}"))),
                [key, value] => return Err(wrong(&format!("invalid option: {key}={value}"))),
                _ => return Err(wrong("invalid option array length")),
            }
        }
    }
    point.options = options;
    Ok(())
}

/// A relative path that stays below where it starts.
fn subpath(path: Option<&String>, wrong: &impl Fn(&str) -> Error) -> Result<String> {
    let Some(path) = path.filter(|path| !path.is_empty()) else { return Ok(String::new()) };
    let cleaned = clean(path);
    match path.starts_with('/') || cleaned == ".." || cleaned.starts_with("../") {
        true => Err(wrong("subpath must be a relative path within the volume")),
        false => Ok(cleaned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(json: &str) -> Result<MountPoint> {
        parse(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn each_type_becomes_a_mount_point() {
        let bind = mount(r#"{"Type":"bind","Source":"/tmp","Target":"/x/","ReadOnly":true}"#).unwrap();
        assert_eq!(
            (bind.source.as_str(), bind.destination.as_str(), bind.read_only, bind.create_source),
            ("/tmp", "/x", true, false)
        );
        let volume =
            mount(r#"{"Type":"volume","Source":"data","Target":"/x","VolumeOptions":{"Subpath":"a/b"}}"#)
                .unwrap();
        assert_eq!((volume.name.as_str(), volume.subpath.as_str()), ("data", "a/b"));
        let tmpfs =
            mount(r#"{"Type":"tmpfs","Target":"/x","TmpfsOptions":{"SizeBytes":4096,"Mode":1023,"Options":[["uid","7"]]}}"#)
                .unwrap();
        assert_eq!(tmpfs.options, ["size=4096", "mode=1777", "uid=7"]);
        let image = mount(r#"{"Type":"image","Source":"busybox","Target":"/x"}"#).unwrap();
        assert_eq!((image.source.as_str(), image.read_only), ("busybox", true));
    }

    #[test]
    fn wrong_fields_are_named() {
        for (json, message) in [
            (r#"{"Type":"nfs","Target":"/x"}"#, r#"invalid mount config for type "nfs": mount type unknown"#),
            (
                r#"{"Type":"bind","Source":"/tmp"}"#,
                r#"invalid mount config for type "bind": field Target must not be empty"#,
            ),
            (
                r#"{"Type":"bind","Target":"/x"}"#,
                r#"invalid mount config for type "bind": field Source must not be empty"#,
            ),
            (
                r#"{"Type":"bind","Source":"/does/not/exist","Target":"/x"}"#,
                r#"invalid mount config for type "bind": bind source path does not exist: /does/not/exist"#,
            ),
            (
                r#"{"Type":"bind","Source":"rel","Target":"/x"}"#,
                r#"invalid mount config for type "bind": invalid mount path: 'rel' mount path must be absolute"#,
            ),
            (
                r#"{"Type":"bind","Source":"/tmp","Target":"/x","VolumeOptions":{}}"#,
                r#"invalid mount config for type "bind": field VolumeOptions must not be specified"#,
            ),
            (
                r#"{"Type":"tmpfs","Source":"/tmp","Target":"/x"}"#,
                r#"invalid mount config for type "tmpfs": field Source must not be specified"#,
            ),
            (
                r#"{"Type":"volume","Target":"/x","ReadOnly":true}"#,
                r#"invalid mount config for type "volume": must not set ReadOnly mode when using anonymous volumes"#,
            ),
            (
                r#"{"Type":"volume","Source":"v1","Target":"/x","VolumeOptions":{"Subpath":"../y"}}"#,
                r#"invalid mount config for type "volume": subpath must be a relative path within the volume"#,
            ),
        ] {
            assert_eq!(mount(json).unwrap_err().message, message);
        }
    }
}

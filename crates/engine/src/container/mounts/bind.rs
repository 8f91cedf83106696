//! `-v` specifications: `destination`, `source:destination`, `source:destination:mode`. A source with a slash in front is a
//! path on the host, anything else the name of a volume.

use super::{Kind, MountPoint, clean, mode};
use crate::error::{Error, Result};

/// Reads one specification.
pub(crate) fn parse(spec: &str, volume_driver: &str) -> Result<MountPoint> {
    let invalid = || Error::invalid(format!("invalid volume specification: '{spec}'"));
    let parts: Vec<&str> = spec.split(':').collect();
    let (source, destination, mode_text) = match parts.as_slice() {
        [destination] => ("", *destination, ""),
        // "destination:mode": a mode needs a source.
        [_, mode_text] if !mode_text.is_empty() && mode::parse(mode_text).is_some() => return Err(invalid()),
        [source, destination] => (*source, *destination, ""),
        [source, destination, mode_text] => (*source, *destination, *mode_text),
        _ => return Err(invalid()),
    };
    if parts.iter().any(|part| part.is_empty()) {
        return Err(invalid());
    }
    let mode = mode::parse(mode_text).ok_or_else(|| Error::invalid(format!("invalid mode: {mode_text}")))?;
    let kind = if source.starts_with('/') { Kind::Bind } else { Kind::Volume };
    let mut point = MountPoint::new(kind, source, destination);
    check_destination(kind, destination).map_err(|error| error.context(&invalid().message))?;
    point.read_only = mode.read_only;
    point.propagation = mode.propagation;
    point.mode = mode_text.to_owned();
    point.no_copy = mode.no_copy;
    match kind {
        Kind::Bind => {
            point.source = clean(source);
            point.create_source = true;
            if mode.no_copy {
                return Err(Error::invalid(format!("invalid mode: {mode_text}")));
            }
            if point.propagation.is_empty() {
                point.propagation = "rprivate".to_owned();
            }
        }
        _ => {
            if !point.propagation.is_empty() {
                return Err(Error::invalid(format!("invalid mode: {mode_text}")));
            }
            point.source = String::new();
            point.name = source.to_owned();
            point.anonymous = source.is_empty();
            point.driver = volume_driver.to_owned();
            if !source.is_empty() {
                check_volume_name(source)?;
            }
        }
    }
    Ok(point)
}

/// A destination is absolute and not the root.
pub(crate) fn check_destination(kind: Kind, destination: &str) -> Result<()> {
    let wrong = |what: String| {
        Err(Error::invalid(format!("invalid mount config for type {:?}: {what}", kind.name())))
    };
    if destination.is_empty() {
        return wrong("field Target must not be empty".to_owned());
    }
    if clean(destination) == "/" {
        return wrong("invalid specification: destination can't be '/'".to_owned());
    }
    if !destination.starts_with('/') {
        return wrong(format!("invalid mount path: '{destination}' mount path must be absolute"));
    }
    Ok(())
}

/// What the local driver takes as a name.
pub(crate) fn check_volume_name(name: &str) -> Result<()> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    if name.len() == 1 {
        return Err(Error::invalid(
            "volume name is too short, names should be at least two alphanumeric characters",
        ));
    }
    match first && rest {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "create {name}: {name:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_before_the_colon_decides_the_kind() {
        let host = parse("/src/../data:/dst/:ro", "").unwrap();
        assert_eq!(
            (host.kind, host.source.as_str(), host.destination.as_str(), host.read_only),
            (Kind::Bind, "/data", "/dst", true)
        );
        assert_eq!((host.propagation.as_str(), host.create_source), ("rprivate", true));
        let named = parse("data:/dst:nocopy", "local").unwrap();
        assert_eq!((named.kind, named.name.as_str(), named.no_copy), (Kind::Volume, "data", true));
        assert!(!named.anonymous);
        let anonymous = parse("/dst", "").unwrap();
        assert_eq!((anonymous.kind, anonymous.anonymous), (Kind::Volume, true));
        assert_eq!(parse("/a:/b:rslave,ro", "").unwrap().propagation, "rslave");
    }

    #[test]
    fn bad_specifications_are_refused_in_dockers_words() {
        for (spec, message) in [
            ("", "invalid volume specification: ''"),
            (":", "invalid volume specification: ':'"),
            ("/a:", "invalid volume specification: '/a:'"),
            ("/a:ro", "invalid volume specification: '/a:ro'"),
            ("/a:/b:/c:ro", "invalid volume specification: '/a:/b:/c:ro'"),
            ("/a:/b:foo", "invalid mode: foo"),
            ("data:/b:rshared", "invalid mode: rshared"),
            ("/a:/b:nocopy", "invalid mode: nocopy"),
            (
                "/a:/",
                "invalid volume specification: '/a:/': invalid mount config for type \"bind\": invalid specification: destination can't be '/'",
            ),
            (
                "/a:b",
                "invalid volume specification: '/a:b': invalid mount config for type \"bind\": invalid mount path: 'b' mount path must be absolute",
            ),
            (
                "./a:/b",
                "create ./a: \"./a\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path",
            ),
        ] {
            assert_eq!(parse(spec, "").unwrap_err().message, message);
        }
    }
}

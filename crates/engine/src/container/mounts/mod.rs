//! Mounts of a container: from what users write (`-v`, `--mount`, `VOLUME`, `--volumes-from`) to mount points, which are
//! recorded with the container and become entries of its OCI spec at start.
//!
//! `parse` and `check` are pure but for one `stat` of a bind's source; `resolve` makes volumes and folders.

pub(crate) mod bind;
pub(crate) mod mode;
pub(crate) mod request;
pub(crate) mod resolve;

use serde::{Deserialize, Serialize};

/// What is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Bind,
    Volume,
    Tmpfs,
    Image,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Volume => "volume",
            Self::Tmpfs => "tmpfs",
            Self::Image => "image",
        }
    }
}

/// How read-only reaches the mounts below a bind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Recursion {
    /// As far as the kernel can (5.12), else only the top.
    #[default]
    IfPossible,
    /// Only the top.
    Never,
    /// All of them, or the start fails.
    Force,
}

/// A mount of a container, as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MountPoint {
    pub kind: Kind,
    /// Path on the host; of an image its reference as asked for; empty for tmpfs.
    pub source: String,
    /// Name of the volume, id of the image.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Clean absolute path in the container.
    pub destination: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub driver: String,
    /// As given in `-v`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mode: String,
    pub read_only: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub propagation: String,
    /// A path in the volume or image.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subpath: String,
    /// Make the bind's source on the host when it is missing.
    #[serde(default)]
    pub create_source: bool,
    #[serde(default)]
    pub non_recursive: bool,
    #[serde(default)]
    pub read_only_recursion: Recursion,
    /// Options of a tmpfs, as for `mount -o`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Do not fill an empty volume from the image.
    #[serde(default)]
    pub no_copy: bool,
    /// The volume got a random name for this container and goes with it.
    #[serde(default)]
    pub anonymous: bool,
}

impl MountPoint {
    pub(crate) fn new(kind: Kind, source: &str, destination: &str) -> Self {
        Self {
            kind,
            source: source.to_owned(),
            name: String::new(),
            destination: clean(destination),
            driver: String::new(),
            mode: String::new(),
            read_only: false,
            propagation: String::new(),
            subpath: String::new(),
            create_source: false,
            non_recursive: false,
            read_only_recursion: Recursion::default(),
            options: Vec::new(),
            no_copy: false,
            anonymous: false,
        }
    }

    /// As `inspect` shows it; Docker leaves the source of an image mount and of a tmpfs as it is here too.
    pub(crate) fn wire(&self) -> api::MountPoint {
        api::MountPoint {
            typ: self.kind.name().to_owned(),
            name: self.name.clone(),
            source: self.source.clone(),
            destination: self.destination.clone(),
            driver: self.driver.clone(),
            mode: self.mode.clone(),
            rw: !self.read_only,
            propagation: self.propagation.clone(),
        }
    }
}

/// Go's `path.Clean`: no `.`, no `..`, no double or trailing slash.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn paths_are_cleaned_as_go_cleans_them() {
        for (path, cleaned) in [
            ("/a/b", "/a/b"),
            ("/a//b/", "/a/b"),
            ("/a/./b/../c", "/a/c"),
            ("/../..", "/"),
            ("/", "/"),
            ("", "."),
            ("a/../..", ".."),
            ("./x", "x"),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
        }
    }
}

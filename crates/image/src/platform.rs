//! Platforms: parse `os/arch[/variant]`, normalise the many spellings, choose from an index.
//!
//! The aliases and the order in which variants can stand in for each other are containerd's (package `platforms`), which
//! Docker and BuildKit use.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Descriptor;
use crate::serde_go::null_default;

/// A platform, as an index entry names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    #[serde(default, deserialize_with = "null_default")]
    pub architecture: String,
    #[serde(default, deserialize_with = "null_default")]
    pub os: String,
    #[serde(
        rename = "os.version",
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub os_version: String,
    #[serde(
        rename = "os.features",
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// Why a text is not a platform. The wording is containerd's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    #[error(
        "{text:?} is an invalid component of {whole:?}: platform specifier component must match \"^[A-Za-z0-9_.-]+$\": invalid argument"
    )]
    Component { text: String, whole: String },
    #[error("{0:?}: unknown operating system or architecture: invalid argument")]
    Unknown(String),
    #[error("{0:?}: cannot parse platform specifier: invalid argument")]
    Parts(String),
}

impl Platform {
    pub fn new(os: &str, architecture: &str, variant: &str) -> Platform {
        Platform {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.to_owned(),
            ..Platform::default()
        }
        .normalized()
    }

    /// The platform this program was built for, which is the one its host runs natively. The operating system is always
    /// Linux: that is what containers run, whatever the client's system is.
    pub fn host() -> Platform {
        let architecture = match std::env::consts::ARCH {
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "mips64" if cfg!(target_endian = "little") => "mips64le",
            other => other,
        };
        Platform::new("linux", architecture, "")
    }

    /// Parses `linux/arm64/v8`, `linux`, `arm64`, `windows(10.0.17763)/amd64`.
    pub fn parse(text: &str) -> Result<Platform, PlatformError> {
        text.parse()
    }

    /// The one spelling of this platform.
    pub fn normalized(mut self) -> Platform {
        self.os.make_ascii_lowercase();
        if self.os == "macos" {
            self.os = "darwin".to_owned();
        }
        self.architecture.make_ascii_lowercase();
        self.variant.make_ascii_lowercase();
        let (architecture, variant) = match (self.architecture.as_str(), self.variant.as_str()) {
            ("i386", _) => ("386", ""),
            ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
            ("aarch64", variant) => ("arm64", variant),
            ("armhf", _) => ("arm", "v7"),
            ("armel", _) => ("arm", "v6"),
            ("arm", "" | "7") => ("arm", "v7"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "6") => ("arm", "v6"),
            ("arm", "8") => ("arm", "v8"),
            other => other,
        };
        let (architecture, variant) = (architecture.to_owned(), variant.to_owned());
        (self.architecture, self.variant) = (architecture, variant);
        self
    }

    /// Whether an image for `image` runs on this platform.
    pub fn matches(&self, image: &Platform) -> bool {
        self.rank(image).is_some()
    }

    /// The entries of an index that run on this platform, best first; attestations are left out. An entry without a
    /// platform comes last: it may be anything.
    pub fn order<'a>(&self, manifests: &'a [Descriptor]) -> Vec<&'a Descriptor> {
        let mut ranked: Vec<(usize, &Descriptor)> = manifests
            .iter()
            .filter(|entry| !entry.is_attestation())
            .filter_map(|entry| match &entry.platform {
                Some(platform) => self.rank(platform).map(|rank| (rank, entry)),
                None => Some((usize::MAX, entry)),
            })
            .collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        ranked.into_iter().map(|(_, entry)| entry).collect()
    }

    /// How good a match `image` is for this platform; 0 is exact.
    fn rank(&self, image: &Platform) -> Option<usize> {
        let (want, have) = (self.clone().normalized(), image.clone().normalized());
        if want.os != have.os
            || !(want.os_version.is_empty() || have.os_version.starts_with(&want.os_version))
        {
            return None;
        }
        substitutes(&want.architecture, &want.variant).iter().position(|(architecture, variant)| {
            *architecture == have.architecture && *variant == have.variant
        })
    }
}

/// What runs on an architecture, best first.
fn substitutes(architecture: &str, variant: &str) -> Vec<(String, String)> {
    let pair = |architecture: &str, variant: &str| (architecture.to_owned(), variant.to_owned());
    let number = variant.strip_prefix('v').and_then(|number| number.parse::<u8>().ok());
    let mut list = vec![pair(architecture, variant)];
    match (architecture, number) {
        ("amd64", Some(number @ 2..=9)) => {
            list.extend((2..number).rev().map(|number| pair("amd64", &format!("v{number}"))));
            list.push(pair("amd64", ""));
        }
        ("amd64", None) => list.push(pair("386", "")),
        ("arm", Some(number @ 6..=8)) => {
            list.extend((5..number).rev().map(|number| pair("arm", &format!("v{number}"))));
        }
        ("arm64", _) => {
            if !variant.is_empty() {
                list.push(pair("arm64", ""));
            }
            list.extend((5..=8).rev().map(|number| pair("arm", &format!("v{number}"))));
        }
        _ => {}
    }
    list
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Platform, PlatformError> {
        let mut parts: Vec<&str> = text.split('/').collect();
        let mut os_version = "";
        if let Some((os, rest)) = parts[0].split_once('(') {
            os_version = rest.strip_suffix(')').ok_or_else(|| PlatformError::Parts(text.to_owned()))?;
            parts[0] = os;
        }
        for part in &parts {
            let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            if part.is_empty() || !part.bytes().all(fine) {
                let (text, whole) = ((*part).to_owned(), text.to_owned());
                return Err(PlatformError::Component { text, whole });
            }
        }
        let host = Platform::host();
        let mut platform = match parts[..] {
            [one] if known_os(one) => Platform::new(one, &host.architecture, &host.variant),
            [one] if known_architecture(one) => Platform::new(&host.os, one, ""),
            [_] => return Err(PlatformError::Unknown(text.to_owned())),
            [os, architecture] => Platform::new(os, architecture, ""),
            [os, architecture, variant] => Platform::new(os, architecture, variant),
            _ => return Err(PlatformError::Parts(text.to_owned())),
        };
        platform.os_version = os_version.to_owned();
        Ok(platform)
    }
}

fn known_os(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    [
        "linux",
        "windows",
        "darwin",
        "macos",
        "freebsd",
        "netbsd",
        "openbsd",
        "dragonfly",
        "solaris",
        "wasip1",
        "js",
    ]
    .contains(&text.as_str())
}

fn known_architecture(text: &str) -> bool {
    let name = Platform { architecture: text.to_owned(), ..Platform::default() }.normalized().architecture;
    [
        "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64",
        "ppc64le", "riscv64", "s390x", "wasm",
    ]
    .contains(&name.as_str())
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.os)?;
        if !self.os_version.is_empty() {
            write!(f, "({})", self.os_version)?;
        }
        write!(f, "/{}", self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Digest, MediaType};

    #[test]
    fn spellings_become_one() {
        let check = |text: &str, want: &str| assert_eq!(Platform::parse(text).unwrap().to_string(), want);
        check("linux/x86_64", "linux/amd64");
        check("linux/aarch64", "linux/arm64");
        check("linux/arm64/v8", "linux/arm64");
        check("linux/arm", "linux/arm/v7");
        check("LINUX/armhf", "linux/arm/v7");
        check("arm64", "linux/arm64");
        check("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64");
        assert!(Platform::parse("linux//x").is_err());
        assert!(Platform::parse("a/b/c/d").is_err());
        assert!(Platform::parse("plan10").is_err());
    }

    #[test]
    fn the_best_entry_of_an_index_comes_first() {
        let entry = |text: &str| {
            let mut entry = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(text), 1);
            entry.platform = Some(if text.starts_with("unknown") {
                Platform::new("unknown", "unknown", "")
            } else {
                Platform::parse(text).unwrap()
            });
            entry
        };
        let entries: Vec<_> =
            ["linux/arm/v5", "linux/arm/v6", "linux/amd64", "linux/arm64/v8", "unknown/unknown", "linux/386"]
                .map(entry)
                .to_vec();
        let check = |want: &str, order: &[&str]| {
            let got: Vec<_> = Platform::parse(want)
                .unwrap()
                .order(&entries)
                .iter()
                .map(|entry| entry.platform.as_ref().unwrap().to_string())
                .collect();
            assert_eq!(got, order, "{want}");
        };
        check("linux/amd64", &["linux/amd64", "linux/386"]);
        check("linux/amd64/v3", &["linux/amd64"]);
        check("linux/arm/v7", &["linux/arm/v6", "linux/arm/v5"]);
        check("linux/arm64", &["linux/arm64", "linux/arm/v6", "linux/arm/v5"]);
        check("linux/s390x", &[]);
    }
}

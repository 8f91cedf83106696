//! Image references: Docker's grammar, its normalisation and its error texts.
//!
//! `[registry[:port]/]path[:tag][@digest]`; a first part without dot or colon that is not `localhost` belongs to the path;
//! no registry means docker.io, and there one-part names live below `library/` (distribution/reference, `normalize.go`,
//! `regexp.go`). A `Reference` always holds the normalised form; [`Reference::familiar`] is what people type.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::is_hex;
use crate::{Digest, DigestError};

pub const DEFAULT_REGISTRY: &str = "docker.io";
pub const DEFAULT_TAG: &str = "latest";
const LEGACY_REGISTRY: &str = "index.docker.io";
const OFFICIAL: &str = "library/";
const NAME_MAX: usize = 255;
const TAG_MAX: usize = 128;

/// Why a text is not a reference. The wording is Docker's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("invalid reference format")]
    Format,
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId(String),
    #[error("repository name must not be more than {NAME_MAX} characters")]
    TooLong,
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// A normalised image reference.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// Host with optional port: `docker.io`, `localhost:5000`, `[::1]:5000`.
    pub registry: String,
    /// Path below the registry: `library/busybox`.
    pub repository: String,
    pub tag: Option<String>,
    pub digest: Option<Digest>,
}

impl Reference {
    /// Parses what a user typed.
    pub fn parse(text: &str) -> Result<Reference, ReferenceError> {
        if looks_like_id(text) {
            return Err(ReferenceError::LooksLikeId(text.to_owned()));
        }
        let (registry, rest) = split_registry(text);
        let name_end = rest.find(':').unwrap_or(rest.len());
        let name_end = rest.find('@').map_or(name_end, |at| at.min(name_end));
        let name = &rest[..name_end];
        let repository = match registry {
            DEFAULT_REGISTRY if !name.contains('/') => format!("{OFFICIAL}{name}"),
            _ => name.to_owned(),
        };
        if name.chars().any(|c| c.is_uppercase()) {
            return Err(ReferenceError::Uppercase(repository));
        }
        let (tag, digest) = split_suffix(&rest[name_end..])?;
        if !valid_registry(registry) || !valid_repository(&repository) {
            return Err(ReferenceError::Format);
        }
        if repository.len() > NAME_MAX {
            return Err(ReferenceError::TooLong);
        }
        let digest = digest.map(str::parse).transpose()?;
        Ok(Reference { registry: registry.to_owned(), repository, tag: tag.map(str::to_owned), digest })
    }

    /// What people type: `busybox:latest`, `ghcr.io/a/b@sha256:…`.
    pub fn familiar(&self) -> String {
        let mut text = self.familiar_name();
        self.push_suffix(&mut text);
        text
    }

    /// The familiar form without tag and digest: `busybox`. The whole name where less of it would mean another, or an id.
    pub fn familiar_name(&self) -> String {
        let short = match self.repository.strip_prefix(OFFICIAL) {
            Some(name) if !name.contains('/') => name,
            _ => &self.repository,
        };
        let is_clear = split_registry(short) == (DEFAULT_REGISTRY, short) && !looks_like_id(short);
        if self.registry == DEFAULT_REGISTRY && is_clear { short.to_owned() } else { self.name() }
    }

    /// Registry and repository: `docker.io/library/busybox`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// `latest` when neither a tag nor a digest was given.
    pub fn with_default_tag(mut self) -> Reference {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// The same repository with this tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Reference, ReferenceError> {
        if !valid_tag(tag) {
            return Err(ReferenceError::Format);
        }
        Ok(Reference { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository with this digest and no tag.
    pub fn with_digest(&self, digest: Digest) -> Reference {
        Reference { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// Registry and repository alone.
    pub fn name_only(&self) -> Reference {
        Reference { tag: None, digest: None, ..self.clone() }
    }

    pub fn same_repository(&self, other: &Reference) -> bool {
        self.registry == other.registry && self.repository == other.repository
    }

    fn push_suffix(&self, text: &mut String) {
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(&digest.to_string());
        }
    }
}

fn looks_like_id(text: &str) -> bool {
    text.len() == 64 && is_hex(text)
}

fn split_registry(text: &str) -> (&str, &str) {
    let (registry, rest) = match text.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':']) || first == "localhost" || first.to_lowercase() != first =>
        {
            (first, rest)
        }
        _ => (DEFAULT_REGISTRY, text),
    };
    (if registry == LEGACY_REGISTRY { DEFAULT_REGISTRY } else { registry }, rest)
}

/// Splits `[:tag][@digest]`.
fn split_suffix(text: &str) -> Result<(Option<&str>, Option<&str>), ReferenceError> {
    let (tag, digest) = match text.split_once('@') {
        Some((tag, digest)) => (tag, Some(digest)),
        None => (text, None),
    };
    let tag = match tag.strip_prefix(':') {
        Some(tag) if valid_tag(tag) => Some(tag),
        None if tag.is_empty() => None,
        _ => return Err(ReferenceError::Format),
    };
    match digest {
        Some(digest) if !digest_shaped(digest) => Err(ReferenceError::Format),
        digest => Ok((tag, digest)),
    }
}

/// The reference grammar's idea of a digest; whether the algorithm is known is asked afterwards, with another error.
fn digest_shaped(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    let component = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    algorithm.split(['-', '_', '+', '.']).all(component)
        && hex.len() >= 32
        && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

fn valid_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !tag.is_empty()
        && tag.len() <= TAG_MAX
        && word(tag.as_bytes()[0])
        && tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

fn valid_registry(registry: &str) -> bool {
    let (host, port) = match registry.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => {
                let fine = !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
                if !fine {
                    return false;
                }
                (None, port.strip_prefix(':').or((!port.is_empty()).then_some("")))
            }
            None => return false,
        },
        None => match registry.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(registry), None),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.is_none_or(|host| host.split('.').all(label))
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

fn valid_repository(repository: &str) -> bool {
    repository.split('/').all(valid_component)
}

/// Lower-case letters and digits, joined by one `.`, one or two `_`, or any number of `-`.
fn valid_component(component: &str) -> bool {
    let bytes = component.as_bytes();
    let mut at = 0;
    loop {
        let start = at;
        while at < bytes.len() && (bytes[at].is_ascii_lowercase() || bytes[at].is_ascii_digit()) {
            at += 1;
        }
        if at == start {
            return false;
        }
        if at == bytes.len() {
            return true;
        }
        at += match &bytes[at..] {
            [b'_', b'_', ..] => 2,
            [b'_' | b'.', ..] => 1,
            rest => match rest.iter().take_while(|byte| **byte == b'-').count() {
                0 => return false,
                dashes => dashes,
            },
        };
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Reference, ReferenceError> {
        Reference::parse(text)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.name();
        self.push_suffix(&mut text);
        f.write_str(&text)
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Reference, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Reference::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn references_are_normalised_as_docker_does() {
        let check = |text: &str, full: &str, familiar: &str| {
            let reference = Reference::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((reference.to_string().as_str(), reference.familiar().as_str()), (full, familiar));
            assert_eq!(Reference::parse(full).unwrap(), reference, "full form parses back");
            assert_eq!(Reference::parse(familiar).unwrap(), reference, "familiar form parses back");
        };
        check("busybox", "docker.io/library/busybox", "busybox");
        check("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36");
        check("docker.io/busybox", "docker.io/library/busybox", "busybox");
        check("index.docker.io/library/busybox", "docker.io/library/busybox", "busybox");
        check("user/app", "docker.io/user/app", "user/app");
        check("library/a/b", "docker.io/library/a/b", "library/a/b");
        check("localhost/app", "localhost/app", "localhost/app");
        check("localhost:5000/app:x", "localhost:5000/app:x", "localhost:5000/app:x");
        check("ghcr.io/o/a_b/c--d.e", "ghcr.io/o/a_b/c--d.e", "ghcr.io/o/a_b/c--d.e");
        check("Host/app", "Host/app", "Host/app");
        // Short, these would mean others.
        for name in
            ["docker.io/docker.io/app", "docker.io/localhost/app", &format!("docker.io/library/{HEX}")]
        {
            check(name, name, name);
        }
        check("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app");
        let digest = format!("busybox:1@sha256:{HEX}");
        check(&digest, &format!("docker.io/library/busybox:1@sha256:{HEX}"), &digest);
    }

    #[test]
    fn errors_are_dockers() {
        let check = |text: &str, want: &str| {
            assert_eq!(Reference::parse(text).expect_err(text).to_string(), want, "{text}");
        };
        check("", "invalid reference format");
        check("Foo", "invalid reference format: repository name (library/Foo) must be lowercase");
        check("a/Foo:x", "invalid reference format: repository name (a/Foo) must be lowercase");
        check(":tag", "invalid reference format");
        check("a:", "invalid reference format");
        check("a@", "invalid reference format");
        check("a//b", "invalid reference format");
        check("a_/b", "invalid reference format");
        check("a___b", "invalid reference format");
        check("a..b", "invalid reference format");
        check("-a", "invalid reference format");
        check("a b", "invalid reference format");
        check("host:port/a", "invalid reference format");
        check("../../etc", "invalid reference format");
        check(HEX, &format!("invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings"));
        check(&format!("a@md5:{}", &HEX[..32]), "unsupported digest algorithm");
        check(&format!("a@sha256:{}", &HEX[..40]), "invalid checksum digest length");
        check(&"a".repeat(300), "repository name must not be more than 255 characters");
        check(&format!("a:{}", "x".repeat(129)), "invalid reference format");
    }

    #[test]
    fn the_default_tag_is_only_for_bare_names() {
        let tag = |text: &str| Reference::parse(text).unwrap().with_default_tag().tag;
        assert_eq!(tag("a").as_deref(), Some("latest"));
        assert_eq!(tag("a:b").as_deref(), Some("b"));
        assert_eq!(tag(&format!("a@sha256:{HEX}")), None);
    }
}

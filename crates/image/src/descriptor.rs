//! Content descriptors: media type, digest, size (OCI image-spec, descriptor.md) and the annotation keys we use.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::serde_go::{is_default, null_default};
use crate::{Digest, MediaType, Platform};

/// Annotation keys.
pub mod annotation {
    /// Tag alone, as skopeo and umoci read it from an OCI layout.
    pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
    /// Full reference, as containerd and Docker write it into saved archives.
    pub const IMAGE_NAME: &str = "io.containerd.image.name";
    pub const CREATED: &str = "org.opencontainers.image.created";
    /// On the manifests of an index that describe another manifest (`attestation-manifest`).
    pub const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
    pub const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";
}

/// A typed, sized pointer to content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default, deserialize_with = "null_default")]
    pub media_type: MediaType,
    pub digest: Digest,
    /// Size of the content in bytes.
    #[serde(default, deserialize_with = "null_default")]
    pub size: u64,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Content embedded as base64, unverified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub artifact_type: MediaType,
}

impl Descriptor {
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Descriptor {
        Descriptor {
            media_type,
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            data: None,
            platform: None,
            artifact_type: MediaType::default(),
        }
    }

    /// The descriptor of `bytes`.
    pub fn of(media_type: MediaType, bytes: &[u8]) -> Descriptor {
        Descriptor::new(media_type, Digest::sha256(bytes), bytes.len() as u64)
    }

    /// The same content without what the place of use added (annotations, platform).
    pub fn bare(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.digest.clone(), self.size)
    }

    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str)
    }

    /// Whether this entry of an index describes another entry (provenance, SBOM) and is no image itself.
    pub fn is_attestation(&self) -> bool {
        self.annotations.contains_key(annotation::REFERENCE_DIGEST)
            || self.annotation(annotation::REFERENCE_TYPE) == Some("attestation-manifest")
            || self.platform.as_ref().is_some_and(|p| p.os == "unknown" && p.architecture == "unknown")
    }
}

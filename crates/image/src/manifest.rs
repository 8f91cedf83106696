//! Manifests and indexes: parse with the checks that keep one document from being read as the other.
//!
//! A document that has both `layers`/`config` and `manifests` is rejected, as image-spec demands since CVE-2021-41190:
//! the same digest must not mean two different things to two clients.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::serde_go::{is_default, null_default};
use crate::{Descriptor, MediaType};

/// Why bytes are not the document they were said to be.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error("parse {what}")]
    Json {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("{what} has schema version {version}; only version 2 is supported")]
    SchemaVersion { what: &'static str, version: u64 },
    #[error("{what} says media type {found}")]
    MediaType { what: &'static str, found: MediaType },
    #[error("document has both layers and manifests, so it could be read in two ways")]
    Ambiguous,
}

/// An image manifest (OCI manifest.md, Docker v2 schema 2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u64,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub media_type: MediaType,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub artifact_type: MediaType,
    pub config: Descriptor,
    /// Lowest layer first.
    #[serde(default, deserialize_with = "null_default")]
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// An image index (OCI image-index.md, Docker manifest list).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub schema_version: u64,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub media_type: MediaType,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub artifact_type: MediaType,
    #[serde(default, deserialize_with = "null_default")]
    pub manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What decides how a document is read, before it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(default, deserialize_with = "null_default")]
    schema_version: u64,
    #[serde(default, deserialize_with = "null_default")]
    media_type: MediaType,
    #[serde(default)]
    config: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    layers: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
}

impl Shape {
    fn check(bytes: &[u8], what: &'static str) -> Result<Shape, DocumentError> {
        let shape: Shape =
            serde_json::from_slice(bytes).map_err(|source| DocumentError::Json { what, source })?;
        if shape.schema_version != 2 {
            return Err(DocumentError::SchemaVersion { what, version: shape.schema_version });
        }
        if (shape.config.is_some() || shape.layers.is_some()) && shape.manifests.is_some() {
            return Err(DocumentError::Ambiguous);
        }
        Ok(shape)
    }
}

impl Manifest {
    /// A new OCI manifest.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Manifest {
        Manifest {
            schema_version: 2,
            media_type: MediaType::OCI_MANIFEST,
            artifact_type: MediaType::default(),
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    pub fn parse(bytes: &[u8]) -> Result<Manifest, DocumentError> {
        let what = "image manifest";
        let shape = Shape::check(bytes, what)?;
        if !shape.media_type.is_empty() && !shape.media_type.is_manifest() {
            return Err(DocumentError::MediaType { what, found: shape.media_type });
        }
        serde_json::from_slice(bytes).map_err(|source| DocumentError::Json { what, source })
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Index {
    /// A new OCI index.
    pub fn new(manifests: Vec<Descriptor>) -> Index {
        Index {
            schema_version: 2,
            media_type: MediaType::OCI_INDEX,
            artifact_type: MediaType::default(),
            manifests,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    pub fn parse(bytes: &[u8]) -> Result<Index, DocumentError> {
        let what = "image index";
        let shape = Shape::check(bytes, what)?;
        if !shape.media_type.is_empty() && !shape.media_type.is_index() {
            return Err(DocumentError::MediaType { what, found: shape.media_type });
        }
        serde_json::from_slice(bytes).map_err(|source| DocumentError::Json { what, source })
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_manifest_reads_with_nulls_and_unknown_fields() {
        let text = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{DIGEST}","size":2}},
               "layers":null,"annotations":null,"x":1}}"#
        );
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        assert!(manifest.layers.is_empty());
        assert_eq!(Manifest::parse(&manifest.to_bytes()).unwrap(), manifest);
    }

    #[test]
    fn documents_that_could_be_read_in_two_ways_are_rejected() {
        let text = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"","digest":"{DIGEST}","size":2}},"layers":[],"manifests":[]}}"#
        );
        assert!(matches!(Manifest::parse(text.as_bytes()), Err(DocumentError::Ambiguous)));
        assert!(matches!(Index::parse(text.as_bytes()), Err(DocumentError::Ambiguous)));
        let index = Index::new(Vec::new()).to_bytes();
        assert!(matches!(Manifest::parse(&index), Err(DocumentError::MediaType { .. })));
    }

    #[test]
    fn schema_one_is_named() {
        let error = Manifest::parse(br#"{"schemaVersion":1,"name":"x"}"#).unwrap_err();
        assert_eq!(error.to_string(), "image manifest has schema version 1; only version 2 is supported");
    }

    #[test]
    fn a_digest_that_could_be_a_path_is_no_digest() {
        let text =
            r#"{"schemaVersion":2,"config":{"mediaType":"","digest":"sha256:../../etc/passwd","size":2}}"#;
        assert!(matches!(Manifest::parse(text.as_bytes()), Err(DocumentError::Json { .. })));
    }
}

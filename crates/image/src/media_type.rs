//! Media types of image documents and layers, and what each stands for.
//!
//! Sources: OCI media-types.md; Docker image manifest v2 schema 2. Unknown types are kept as they are and classified as
//! `MediaKind::Other`: image-spec tells us to carry what we don't know.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A media type as it stands in a descriptor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaType(Cow<'static, str>);

/// How a layer's tar is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// What a media type stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    Index,
    Manifest,
    Config,
    Layer(Compression),
    Other,
}

impl MediaType {
    pub const OCI_INDEX: MediaType = MediaType::fixed("application/vnd.oci.image.index.v1+json");
    pub const OCI_MANIFEST: MediaType = MediaType::fixed("application/vnd.oci.image.manifest.v1+json");
    pub const OCI_CONFIG: MediaType = MediaType::fixed("application/vnd.oci.image.config.v1+json");
    pub const OCI_EMPTY: MediaType = MediaType::fixed("application/vnd.oci.empty.v1+json");
    pub const OCI_LAYER: MediaType = MediaType::fixed("application/vnd.oci.image.layer.v1.tar");
    pub const OCI_LAYER_GZIP: MediaType = MediaType::fixed("application/vnd.oci.image.layer.v1.tar+gzip");
    pub const OCI_LAYER_ZSTD: MediaType = MediaType::fixed("application/vnd.oci.image.layer.v1.tar+zstd");
    pub const DOCKER_LIST: MediaType =
        MediaType::fixed("application/vnd.docker.distribution.manifest.list.v2+json");
    pub const DOCKER_MANIFEST: MediaType =
        MediaType::fixed("application/vnd.docker.distribution.manifest.v2+json");
    /// Schema 1, long removed from Docker; named so that an error can name it.
    pub const DOCKER_SCHEMA1: MediaType =
        MediaType::fixed("application/vnd.docker.distribution.manifest.v1+prettyjws");
    pub const DOCKER_CONFIG: MediaType = MediaType::fixed("application/vnd.docker.container.image.v1+json");
    pub const DOCKER_LAYER: MediaType = MediaType::fixed("application/vnd.docker.image.rootfs.diff.tar");
    pub const DOCKER_LAYER_GZIP: MediaType =
        MediaType::fixed("application/vnd.docker.image.rootfs.diff.tar.gzip");
    pub const DOCKER_LAYER_ZSTD: MediaType =
        MediaType::fixed("application/vnd.docker.image.rootfs.diff.tar.zstd");
    pub const DOCKER_FOREIGN_LAYER_GZIP: MediaType =
        MediaType::fixed("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");

    /// What a client that can read everything above sends as `Accept` for a manifest.
    pub const MANIFESTS: [MediaType; 4] =
        [MediaType::OCI_INDEX, MediaType::DOCKER_LIST, MediaType::OCI_MANIFEST, MediaType::DOCKER_MANIFEST];

    const fn fixed(text: &'static str) -> MediaType {
        MediaType(Cow::Borrowed(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn kind(&self) -> MediaKind {
        match self.as_str() {
            "application/vnd.oci.image.index.v1+json"
            | "application/vnd.docker.distribution.manifest.list.v2+json" => MediaKind::Index,
            "application/vnd.oci.image.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v2+json" => MediaKind::Manifest,
            "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json" => {
                MediaKind::Config
            }
            other => layer_kind(other),
        }
    }

    pub fn is_index(&self) -> bool {
        self.kind() == MediaKind::Index
    }

    pub fn is_manifest(&self) -> bool {
        self.kind() == MediaKind::Manifest
    }

    pub fn is_layer(&self) -> bool {
        matches!(self.kind(), MediaKind::Layer(_))
    }

    /// Layers that their publisher asks not to push elsewhere (Docker "foreign", OCI "nondistributable"). They may have
    /// to be fetched from the descriptor's `urls`.
    pub fn is_foreign(&self) -> bool {
        self.is_layer() && (self.0.contains(".foreign.") || self.0.contains(".nondistributable."))
    }

    /// Whether the document family is Docker's (the answer to a push must then be Docker's types throughout).
    pub fn is_docker(&self) -> bool {
        self.0.starts_with("application/vnd.docker.")
    }

    /// The OCI layer type for a compression.
    pub fn oci_layer(compression: Compression) -> MediaType {
        match compression {
            Compression::None => MediaType::OCI_LAYER,
            Compression::Gzip => MediaType::OCI_LAYER_GZIP,
            Compression::Zstd => MediaType::OCI_LAYER_ZSTD,
        }
    }
}

fn layer_kind(text: &str) -> MediaKind {
    let rest = [
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
    ]
    .into_iter()
    .find_map(|prefix| text.strip_prefix(prefix));
    match rest {
        Some("") => MediaKind::Layer(Compression::None),
        Some("+gzip" | ".gzip") => MediaKind::Layer(Compression::Gzip),
        Some("+zstd" | ".zstd") => MediaKind::Layer(Compression::Zstd),
        _ => MediaKind::Other,
    }
}

impl From<&str> for MediaType {
    fn from(text: &str) -> MediaType {
        MediaType(Cow::Owned(text.to_owned()))
    }
}

impl From<String> for MediaType {
    fn from(text: String) -> MediaType {
        MediaType(Cow::Owned(text))
    }
}

impl PartialEq<str> for MediaType {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_told_apart_by_family_and_packing() {
        let check = |text: &str, kind: MediaKind, foreign: bool| {
            let media_type = MediaType::from(text);
            assert_eq!((media_type.kind(), media_type.is_foreign()), (kind, foreign), "{text}");
        };
        check("application/vnd.oci.image.layer.v1.tar", MediaKind::Layer(Compression::None), false);
        check("application/vnd.oci.image.layer.v1.tar+zstd", MediaKind::Layer(Compression::Zstd), false);
        check(
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            MediaKind::Layer(Compression::Gzip),
            false,
        );
        check(
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            MediaKind::Layer(Compression::Gzip),
            true,
        );
        check(
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            MediaKind::Layer(Compression::Gzip),
            true,
        );
        check("application/vnd.oci.image.layer.v1.tar+br", MediaKind::Other, false);
        check("application/vnd.oci.image.manifest.v1+json", MediaKind::Manifest, false);
        check("application/vnd.docker.distribution.manifest.list.v2+json", MediaKind::Index, false);
    }
}

//! OCI and Docker image types, pure: parse bytes into a typed value, compute digests and chain ids, print references.
//!
//! Touches no file and no network. A pulled manifest or config is never serialised again from these types: whoever needs
//! its bytes keeps the bytes (a digest is over them). Maps are `BTreeMap`s, so what we do serialise has one form only.
//!
//! Formats: OCI image-spec 1.1 (manifest.md, image-index.md, config.md, descriptor.md, media-types.md), Docker image
//! manifest v2 schema 2, and Docker's reference grammar.
#![forbid(unsafe_code)]

mod change;
mod config;
mod descriptor;
mod digest;
mod manifest;
mod media_type;
mod platform;
mod reference;
mod serde_go;

pub use change::ChangeError;
pub use config::{ContainerConfig, Empty, Healthcheck, History, ImageConfig, RootFs, chain_id, chain_ids};
pub use descriptor::{Descriptor, annotation};
pub use digest::{Algorithm, Digest, DigestError, Hasher, hex_encode, is_hex};
pub use manifest::{DocumentError, Index, Manifest};
pub use media_type::{Compression, MediaKind, MediaType};
pub use platform::{Platform, PlatformError};
pub use reference::{DEFAULT_REGISTRY, DEFAULT_TAG, Reference, ReferenceError};

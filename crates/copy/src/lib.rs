//! Images from one place to another without a host in between: registries, OCI layouts, archives and engines.
//!
//! ```text
//! Source ─ root document ─▶ which manifests ─▶ Plan { documents, blobs } ─▶ Destination takes the blobs it lacks, then the
//!                                                                          documents, children first, then the name
//! ```
//! Bytes go through as they are: nothing is unpacked or packed, so every digest stays what it is. This crate prints nothing
//! and reads no environment; who speaks to which registry or engine, and with which credentials, is handed to it.
#![forbid(unsafe_code)]

mod archive;
mod blobs;
mod destination;
mod engine;
mod error;
mod files;
mod layout;
mod place;
mod plan;
mod progress;
mod source;

use image::{Digest, Platform};

pub use destination::Destination;
pub use engine::{EngineImage, is_naru};
pub use error::{Error, Result};
pub use files::Files;
pub use place::{Place, PlaceError};
pub use progress::{Event, Progress};
pub use source::Source;

/// What of an image is copied.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Everything an index names.
    pub all: bool,
    /// These platforms; this host's when there are none.
    pub platforms: Vec<Platform>,
}

/// Copies an image; the digest of what it is at the destination.
pub async fn copy(
    source: &Source,
    destination: &Destination,
    options: &Options,
    progress: &Progress,
) -> Result<Digest> {
    let plan = plan::plan(source, destination, options).await?;
    let digest = plan.root.descriptor.digest.clone();
    destination.write(source, &plan, progress).await?;
    Ok(digest)
}

//! The store: blobs by digest, images, unpacked layers, snapshots, volumes. Standard formats on disk, no database.
//!
//! Blocking, thread-safe, crash-safe. It starts no threads that outlive a call, mounts nothing in the caller's mount
//! namespace, and knows no registry, no HTTP and no container lifecycle.
#![forbid(unsafe_code)]

pub mod archive;
mod blob;
mod browse;
mod commit;
mod copy;
mod decompress;
mod diff;
mod discard;
mod doubt;
mod error;
mod extract;
mod folder;
pub mod fsutil;
mod gc;
mod hello;
mod images;
mod import;
mod ingest;
mod inspect;
mod later;
mod layer;
mod lease;
mod load;
mod merged;
mod model;
mod mount;
mod names;
mod pack;
mod places;
mod platforms;
mod quota;
mod repack;
mod save;
mod skeleton;
mod snapshot;
mod store;
mod tar;
mod unsynced;
mod verify;
mod volumes;

pub use error::{Error, Result};
pub use ingest::{Ingest, IngestReader};
pub use layer::StagedLayer;
pub use lease::Lease;
pub use model::*;
pub use places::Place;
pub use platforms::IndexEntry;
pub use repack::Packed;
pub use store::Store;
pub use tar::TarError;

//! The store: blobs by digest, images, unpacked layers, snapshots, volumes. Standard formats on disk, no database.
//!
//! Blocking, thread-safe, crash-safe. It starts no threads that outlive a call, mounts nothing in the caller's mount
//! namespace, and knows no registry, no HTTP and no container lifecycle.
#![forbid(unsafe_code)]

pub mod archive;
mod error;
mod model;
mod stub;

pub use error::{Error, Result};
pub use model::*;
pub use stub::*;

//! What a copy tells while it runs.

use std::sync::Arc;

use image::Digest;

/// Receives events. Called from any task; must not block.
pub type Progress = Arc<dyn Fn(Event) + Send + Sync>;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A blob is on its way: bytes of it that went, of all.
    Copying {
        /// Which.
        blob: Digest,
        /// Bytes so far.
        current: u64,
        /// Bytes in all.
        total: u64,
    },
    /// A blob is there now.
    Copied(Digest),
    /// A blob was there already.
    Exists(Digest),
    /// The registry took a blob from another of its repositories.
    Mounted(Digest, String),
}

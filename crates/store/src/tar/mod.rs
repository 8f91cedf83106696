//! Tar: a streaming reader for every dialect found in image layers, and a writer of PAX archives.
//!
//! Own parser, because a layer's bytes are attacker-controlled and Docker's reading of them (Go's archive/tar) is the
//! reference: which header wins, when a size is ignored, what ends an archive. The reader allocates per entry only for
//! names and never holds file content.
//!
//! Formats: POSIX.1-1988 ustar, POSIX.1-2001 pax, GNU (long names, base-256 numbers, sparse), star, v7.

mod header;
mod pax;
mod reader;
mod sparse;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::TarError;
pub(crate) use reader::{Entry, Kind, Reader, Time};
pub(crate) use writer::{Header, Writer};

/// Everything in a tar is aligned to this.
pub(crate) const BLOCK: usize = 512;

/// Extended attributes in pax headers, as star, GNU tar, bsdtar, libarchive and Docker write them.
pub(crate) const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

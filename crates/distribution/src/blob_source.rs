//! Where the bytes of an upload come from: a file, memory, another registry. An upload may have to begin again, or in the
//! middle, so a source gives them from any offset on, as often as it is asked.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};

/// Bytes read from disk at a time.
const PIECE: u64 = 256 << 10;

/// Gives a blob's bytes from an offset on.
#[derive(Clone)]
pub struct BlobSource(Arc<dyn Fn(u64) -> BoxStream<'static, io::Result<Bytes>> + Send + Sync>);

impl BlobSource {
    /// From whatever makes a stream of everything at and after an offset.
    pub fn new(open: impl Fn(u64) -> BoxStream<'static, io::Result<Bytes>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }

    /// Of bytes in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::new(move |offset| {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            stream::once(std::future::ready(Ok(bytes.slice(from..)))).boxed()
        })
    }

    /// Of `length` bytes at `start` of a file.
    pub fn file(file: Arc<File>, start: u64, length: u64) -> Self {
        let end = start + length;
        Self::new(move |offset| {
            let file = Arc::clone(&file);
            stream::try_unfold(start + offset, move |at| {
                let file = Arc::clone(&file);
                async move {
                    let length = end.saturating_sub(at).min(PIECE);
                    if length == 0 {
                        return Ok(None);
                    }
                    let piece = tokio::task::spawn_blocking(move || read_at(&file, at, length)).await;
                    let piece = piece.map_err(io::Error::other)??;
                    Ok(Some((piece, at + length)))
                }
            })
            .boxed()
        })
    }

    /// Everything at and after an offset.
    pub fn from(&self, offset: u64) -> BoxStream<'static, io::Result<Bytes>> {
        (self.0)(offset)
    }
}

fn read_at(file: &File, at: u64, length: u64) -> io::Result<Bytes> {
    let mut piece = vec![0; usize::try_from(length).unwrap_or(PIECE as usize)];
    file.read_exact_at(&mut piece, at)?;
    Ok(piece.into())
}

//! Streams of blobs: hashed while they pass, told to the progress, and put into tars.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use distribution::BlobSource;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use image::{Descriptor, Hasher};

use crate::progress::{Event, Progress};

/// Bytes between two events of one blob.
const TELL: u64 = 256 << 10;

/// A blob's bytes; the stream fails at its end if they are not what the descriptor says.
pub(crate) fn checked(blob: &Descriptor, source: &BlobSource) -> BoxStream<'static, io::Result<Bytes>> {
    let hasher = Some(Hasher::new(blob.digest.algorithm()));
    let state = (source.from(0), hasher, 0u64, blob.clone());
    stream::unfold(state, |(mut pieces, mut hasher, mut length, blob)| async move {
        let piece = match pieces.next().await {
            Some(Ok(piece)) => {
                length += piece.len() as u64;
                hasher.as_mut()?.update(&piece);
                Ok(piece)
            }
            Some(Err(error)) => {
                hasher = None;
                Err(error)
            }
            None => {
                let found = hasher.take()?.finish();
                if found == blob.digest && length == blob.size {
                    return None;
                }
                let text = format!(
                    "blob {} has {length} bytes with digest {found}, expected {} bytes",
                    blob.digest, blob.size
                );
                Err(io::Error::new(io::ErrorKind::InvalidData, text))
            }
        };
        Some((piece, (pieces, hasher, length, blob)))
    })
    .boxed()
}

/// The same bytes, told to the progress.
pub(crate) fn told(
    blob: &Descriptor,
    pieces: BoxStream<'static, io::Result<Bytes>>,
    progress: &Progress,
) -> BoxStream<'static, io::Result<Bytes>> {
    let (blob, progress) = (blob.clone(), Arc::clone(progress));
    let (mut current, mut last) = (0u64, 0u64);
    pieces
        .inspect(move |piece| {
            let Ok(piece) = piece else { return };
            current += piece.len() as u64;
            if current - last >= TELL || current == blob.size {
                last = current;
                progress(Event::Copying { blob: blob.digest.clone(), current, total: blob.size });
            }
        })
        .boxed()
}

/// One file of a tar.
pub(crate) enum Entry {
    /// Of bytes in memory.
    Bytes(String, Bytes),
    /// Of a stream with so many bytes.
    Stream(String, u64, BoxStream<'static, io::Result<Bytes>>),
}

/// A tar of these files, written while it is read.
pub(crate) fn tar(entries: Vec<Entry>) -> BoxStream<'static, io::Result<Bytes>> {
    let files = stream::iter(entries).flat_map(|entry| {
        let (name, length, content) = match entry {
            Entry::Bytes(name, bytes) => {
                let length = bytes.len() as u64;
                (name, length, stream::once(std::future::ready(Ok(bytes))).boxed())
            }
            Entry::Stream(name, length, content) => (name, length, content),
        };
        let head = stream::once(std::future::ready(header(&name, length)));
        let padding = Bytes::from(vec![0; (512 - (length % 512) as usize) % 512]);
        head.chain(content).chain(stream::once(std::future::ready(Ok(padding)))).boxed()
    });
    files.chain(stream::once(std::future::ready(Ok(Bytes::from_static(&[0; 1024]))))).boxed()
}

fn header(name: &str, length: u64) -> io::Result<Bytes> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_mode(0o644);
    header.set_size(length);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    Ok(Bytes::copy_from_slice(header.as_bytes()))
}

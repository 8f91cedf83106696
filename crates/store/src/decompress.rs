//! From a compressed stream to plain bytes, hashed on the way.
//!
//! What a stream is packed with is told by its first bytes: media types lie. Big streams are inflated in a second thread,
//! so that inflating one chunk overlaps with hashing and unpacking the chunk before; the chunks' buffers go round between
//! the two, which bounds memory whatever the stream's size.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use image::{Compression, Digest, Hasher};
use lzma_rust2::XzReader;

use crate::error::{Error, Result};

/// Size of one chunk of plain bytes.
const CHUNK: usize = 256 * 1024;
/// Chunks in flight between the threads.
const IN_FLIGHT: usize = 4;
/// Streams that end within this are inflated in place: a thread would cost more than it brings.
const SMALL: usize = 64 * 1024;

/// Content that can't be decompressed.
#[derive(Debug, thiserror::Error)]
#[error("{format} stream is {state}")]
pub(crate) struct Damaged {
    format: &'static str,
    state: &'static str,
    #[source]
    source: io::Error,
}

/// What a stream is packed with. Archives that people bring may be packed in ways that layers never are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    None,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

impl Packing {
    /// The same, as a layer's media type can say it.
    pub fn of_layer(self) -> Option<Compression> {
        match self {
            Packing::None => Some(Compression::None),
            Packing::Gzip => Some(Compression::Gzip),
            Packing::Zstd => Some(Compression::Zstd),
            Packing::Bzip2 | Packing::Xz => None,
        }
    }
}

/// Why reading plain bytes failed: the content is bad, or where it comes from failed.
pub(crate) fn read_error(error: io::Error) -> Error {
    match error.downcast::<Damaged>() {
        Ok(damaged) => Error::corrupt_by("read archive", damaged),
        Err(error) => Error::io("read archive", error),
    }
}

/// Tells the packing by magic numbers (RFC 1952, RFC 8878, and those of bzip2 and xz).
pub(crate) fn detect(start: &[u8]) -> Packing {
    match start {
        [0x1f, 0x8b, ..] => Packing::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Packing::Zstd,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Packing::Xz,
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Packing::Bzip2,
        _ => Packing::None,
    }
}

/// Runs `work` on the plain bytes of `source`.
pub(crate) fn plain<R: Read + Send, T>(
    mut source: R,
    work: impl FnOnce(&mut Plain<'_>) -> Result<T>,
) -> Result<T> {
    let mut start = Vec::with_capacity(SMALL);
    (&mut source)
        .take(SMALL as u64)
        .read_to_end(&mut start)
        .map_err(|error| Error::io("read archive", error))?;
    let packing = detect(&start);
    let small = start.len() < SMALL;
    let source = Source { inner: Cursor::new(start).chain(source), failed: None };
    let mut inflater =
        Inflater::new(packing, source).map_err(|error| Error::io("start decompressor", error))?;
    if small || packing == Packing::None {
        return work(&mut Plain::new(Feed::Inline(&mut inflater)));
    }
    std::thread::scope(|scope| {
        let (full, chunks) = sync_channel(IN_FLIGHT);
        let (empty, buffers) = sync_channel(IN_FLIGHT);
        let thread = std::thread::Builder::new().name("inflate".to_owned());
        let spawned = thread.spawn_scoped(scope, move || inflate(inflater, &full, &buffers));
        spawned.map_err(|error| Error::io("start decompression thread", error))?;
        work(&mut Plain::new(Feed::Thread { chunks, empty }))
    })
}

fn inflate<R: Read>(
    mut inflater: Inflater<R>,
    full: &SyncSender<io::Result<Vec<u8>>>,
    buffers: &Receiver<Vec<u8>>,
) {
    loop {
        let mut chunk = buffers.try_recv().unwrap_or_else(|_| vec![0; CHUNK]);
        let result = inflater.fill(&mut chunk);
        let (ended, message) = match result {
            Ok(0) => return,
            Ok(count) => {
                chunk.truncate(count);
                (false, Ok(chunk))
            }
            Err(error) => (true, Err(error)),
        };
        // Nobody listening any more: the unpacker has failed.
        if full.send(message).is_err() || ended {
            return;
        }
    }
}

/// Remembers the source's own failure, which decoders wrap or rename.
struct Source<R> {
    inner: R,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.failed = Some(error);
                Err(io::Error::other("source failed"))
            }
            other => other,
        }
    }
}

enum Inflater<R: Read> {
    None(Source<R>),
    Gzip(Box<MultiGzDecoder<BufReader<Source<R>>>>),
    Zstd(zstd::stream::read::Decoder<'static, BufReader<Source<R>>>),
    Bzip2(Box<MultiBzDecoder<BufReader<Source<R>>>>),
    Xz(Box<XzReader<BufReader<Source<R>>>>),
}

impl<R: Read> Inflater<R> {
    fn new(packing: Packing, source: Source<R>) -> io::Result<Inflater<R>> {
        let buffered = |source| BufReader::with_capacity(SMALL, source);
        Ok(match packing {
            Packing::None => Inflater::None(source),
            Packing::Gzip => Inflater::Gzip(Box::new(MultiGzDecoder::new(buffered(source)))),
            Packing::Zstd => Inflater::Zstd(zstd::stream::read::Decoder::with_buffer(buffered(source))?),
            Packing::Bzip2 => Inflater::Bzip2(Box::new(MultiBzDecoder::new(buffered(source)))),
            // Several streams after one another, as `xz` itself reads them.
            Packing::Xz => Inflater::Xz(Box::new(XzReader::new(buffered(source), true))),
        })
    }

    /// Fills as much of the chunk as there is; 0 is the end.
    fn fill(&mut self, chunk: &mut Vec<u8>) -> io::Result<usize> {
        chunk.resize(CHUNK, 0);
        let mut filled = 0;
        while filled < chunk.len() {
            match self.read(&mut chunk[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            // A download may have nothing more for a while: hand over what there is.
            if filled >= CHUNK / 2 {
                break;
            }
        }
        Ok(filled)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (format, result, source) = match self {
            Inflater::None(source) => ("tar", source.read(buffer), source),
            Inflater::Gzip(decoder) => {
                let result = decoder.read(buffer);
                ("gzip", result, decoder.get_mut().get_mut())
            }
            Inflater::Zstd(decoder) => {
                let result = decoder.read(buffer);
                ("zstd", result, decoder.get_mut().get_mut())
            }
            Inflater::Bzip2(decoder) => {
                let result = decoder.read(buffer);
                ("bzip2", result, decoder.get_mut().get_mut())
            }
            Inflater::Xz(decoder) => {
                let result = decoder.read(buffer);
                ("xz", result, decoder.inner_mut().get_mut())
            }
        };
        let error = match result {
            Ok(count) => return Ok(count),
            Err(error) => error,
        };
        if let Some(failed) = source.failed.take() {
            return Err(failed);
        }
        if error.kind() == io::ErrorKind::Interrupted {
            return Err(error);
        }
        let state = if error.kind() == io::ErrorKind::UnexpectedEof { "truncated" } else { "damaged" };
        Err(io::Error::other(Damaged { format, state, source: error }))
    }
}

/// Where chunks come from.
enum Feed<'a> {
    Inline(&'a mut (dyn Fill + Send)),
    Thread { chunks: Receiver<io::Result<Vec<u8>>>, empty: SyncSender<Vec<u8>> },
}

trait Fill {
    fn fill(&mut self, chunk: &mut Vec<u8>) -> io::Result<usize>;
}

impl<R: Read> Fill for Inflater<R> {
    fn fill(&mut self, chunk: &mut Vec<u8>) -> io::Result<usize> {
        Inflater::fill(self, chunk)
    }
}

/// The plain bytes; hashes every one of them.
pub(crate) struct Plain<'a> {
    feed: Feed<'a>,
    chunk: Vec<u8>,
    position: usize,
    hasher: Hasher,
    total: u64,
    ended: bool,
}

impl<'a> Plain<'a> {
    fn new(feed: Feed<'a>) -> Plain<'a> {
        Plain { feed, chunk: Vec::new(), position: 0, hasher: Hasher::sha256(), total: 0, ended: false }
    }

    /// Reads what is left (archives are padded) and gives the digest of all plain bytes and their number.
    pub fn finish(&mut self) -> io::Result<(Digest, u64)> {
        loop {
            let count = self.fill_buf()?.len();
            if count == 0 {
                let hasher = std::mem::replace(&mut self.hasher, Hasher::sha256());
                return Ok((hasher.finish(), self.total));
            }
            self.consume(count);
        }
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        self.position = 0;
        match &mut self.feed {
            Feed::Inline(inflater) => {
                let count = inflater.fill(&mut self.chunk)?;
                self.chunk.truncate(count);
            }
            Feed::Thread { chunks, empty } => {
                let used = std::mem::take(&mut self.chunk);
                if used.capacity() > 0 {
                    let _ = empty.try_send(used);
                }
                self.chunk = chunks.recv().unwrap_or_else(|_| Ok(Vec::new()))?;
            }
        }
        self.ended = self.chunk.is_empty();
        self.hasher.update(&self.chunk);
        self.total += self.chunk.len() as u64;
        Ok(())
    }
}

impl BufRead for Plain<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position == self.chunk.len() && !self.ended {
            self.next_chunk()?;
        }
        Ok(&self.chunk[self.position..])
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}

impl Read for Plain<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use lzma_rust2::{XzOptions, XzWriter};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn bzip2(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = XzWriter::new(Vec::new(), XzOptions::with_preset(0)).unwrap();
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1u32;
        let step = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..len).map(step).collect()
    }

    fn read(packed: &[u8]) -> Result<Vec<u8>> {
        plain(packed, |plain| {
            let mut bytes = Vec::new();
            plain.read_to_end(&mut bytes).map_err(read_error)?;
            let (digest, total) = plain.finish().map_err(read_error)?;
            assert_eq!((digest, total), (Digest::sha256(&bytes), bytes.len() as u64));
            Ok(bytes)
        })
    }

    #[test]
    fn every_packing_gives_the_same_bytes_small_and_big() {
        for size in [0, 1, 1000, CHUNK * 5 + 17] {
            let bytes = noise(size);
            let (one, two) = bytes.split_at(size / 3);
            assert!(read(&bytes).unwrap() == bytes, "plain {size}");
            assert!(read(&gzip(&bytes)).unwrap() == bytes, "gzip {size}");
            assert!(read(&[gzip(one), gzip(two)].concat()).unwrap() == bytes, "two gzip members {size}");
            let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
            assert!(read(&[zstd(one), zstd(two)].concat()).unwrap() == bytes, "two zstd frames {size}");
            assert!(read(&[bzip2(one), bzip2(two)].concat()).unwrap() == bytes, "two bzip2 streams {size}");
            assert!(read(&[xz(one), xz(two)].concat()).unwrap() == bytes, "two xz streams {size}");
        }
    }

    #[test]
    fn truncated_and_damaged_streams_say_so() {
        let bytes = noise(CHUNK * 3);
        let reason = |packed: &[u8]| match read(packed) {
            Err(Error::Corrupt { source: Some(source), .. }) => source.to_string(),
            other => panic!("{other:?}"),
        };
        let mut packed = gzip(&bytes);
        assert_eq!(reason(&packed[..packed.len() / 2]), "gzip stream is truncated");
        assert_eq!(reason(&gzip(b"small")[..15]), "gzip stream is truncated");
        let half = packed.len() - 6;
        packed[half] ^= 1;
        assert_eq!(reason(&packed), "gzip stream is damaged");
        let packed = zstd::encode_all(bytes.as_slice(), 1).unwrap();
        assert_eq!(reason(&packed[..packed.len() / 2]), "zstd stream is truncated");
        assert_eq!(reason(b"\xfd7zXZ\0\0\0"), "xz stream is truncated");
        assert_eq!(reason(&bzip2(&bytes)[..1000]), "bzip2 stream is truncated");
    }

    #[test]
    fn a_consumer_that_gives_up_does_not_hang() {
        let packed = gzip(&noise(CHUNK * 20));
        let result: Result<()> = plain(packed.as_slice(), |plain| {
            plain.fill_buf().unwrap();
            Err(Error::corrupt("enough"))
        });
        assert!(result.is_err());
    }
}

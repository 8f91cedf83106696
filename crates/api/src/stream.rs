//! The framing of attach, exec and logs without a terminal: 8 bytes of header (`[stream, 0, 0, 0, length as u32 big endian]`),
//! then the payload. With a terminal the bytes are raw.

/// Content type of framed streams, from 1.42.
pub const MULTIPLEXED_STREAM: &str = "application/vnd.docker.multiplexed-stream";
/// Content type of raw streams.
pub const RAW_STREAM: &str = "application/vnd.docker.raw-stream";
/// Bytes of a frame's header.
pub const HEADER_LEN: usize = 8;

/// Where bytes of a frame came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// Only ever echoed.
    Stdin = 0,
    /// Standard output.
    Stdout = 1,
    /// Standard error.
    Stderr = 2,
    /// An error of the engine, sent in the middle of a stream.
    SystemErr = 3,
}

impl StreamKind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Stdin, Self::Stdout, Self::Stderr, Self::SystemErr]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// The header of a frame with `length` bytes of payload.
pub fn header(kind: StreamKind, length: u32) -> [u8; HEADER_LEN] {
    let [a, b, c, d] = length.to_be_bytes();
    [kind as u8, 0, 0, 0, a, b, c, d]
}

/// A whole frame. A payload over 4 GiB is cut into several.
pub fn frame(kind: StreamKind, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + HEADER_LEN);
    for part in payload.chunks(u32::MAX as usize) {
        out.extend_from_slice(&header(kind, part.len() as u32));
        out.extend_from_slice(part);
    }
    out
}

/// The first byte of a frame is not a stream's number: the stream is raw, or broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnrecognizedStream(pub u8);

impl std::fmt::Display for UnrecognizedStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "unrecognized stream: {}", self.0)
    }
}

impl std::error::Error for UnrecognizedStream {}

/// Takes frames apart as bytes arrive, in whatever pieces, without collecting a payload.
#[derive(Debug, Default)]
pub struct Demux {
    header: Vec<u8>,
    current: Option<(StreamKind, usize)>,
}

impl Demux {
    /// Feeds bytes; calls `sink` for every piece of payload.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        mut sink: impl FnMut(StreamKind, &[u8]),
    ) -> Result<(), UnrecognizedStream> {
        while let Some((kind, payload)) = self.next(&mut bytes)? {
            sink(kind, payload);
        }
        Ok(())
    }

    /// Takes the next piece of payload off the front of `bytes`; `None` when more bytes are needed.
    pub fn next<'a>(
        &mut self,
        bytes: &mut &'a [u8],
    ) -> Result<Option<(StreamKind, &'a [u8])>, UnrecognizedStream> {
        while !bytes.is_empty() {
            if let Some((kind, left)) = self.current {
                let (payload, rest) = bytes.split_at(bytes.len().min(left));
                *bytes = rest;
                self.current = (payload.len() < left).then_some((kind, left - payload.len()));
                return Ok(Some((kind, payload)));
            }
            let (part, rest) = bytes.split_at(bytes.len().min(HEADER_LEN - self.header.len()));
            self.header.extend_from_slice(part);
            *bytes = rest;
            if let Ok(header) = <[u8; HEADER_LEN]>::try_from(self.header.as_slice()) {
                let kind = StreamKind::from_byte(header[0]).ok_or(UnrecognizedStream(header[0]))?;
                let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
                self.header.clear();
                self.current = (length > 0).then_some((kind, length as usize));
            }
        }
        Ok(None)
    }

    /// Whether the bytes so far end between two frames.
    pub fn is_complete(&self) -> bool {
        self.current.is_none() && self.header.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_apart_whatever_the_pieces() {
        let mut wire = frame(StreamKind::Stdout, b"hello\n");
        wire.extend(header(StreamKind::Stderr, 0));
        wire.extend(frame(StreamKind::Stderr, b"oops"));
        for piece in 1..=wire.len() {
            let (mut out, mut err, mut demux) = (Vec::new(), Vec::new(), Demux::default());
            for bytes in wire.chunks(piece) {
                demux
                    .feed(bytes, |kind, bytes| match kind {
                        StreamKind::Stderr => err.extend_from_slice(bytes),
                        _ => out.extend_from_slice(bytes),
                    })
                    .unwrap();
            }
            assert_eq!(
                (out.as_slice(), err.as_slice()),
                (&b"hello\n"[..], &b"oops"[..]),
                "pieces of {piece}"
            );
            assert!(demux.is_complete());
        }
    }

    #[test]
    fn raw_bytes_are_recognised_as_no_frame() {
        assert_eq!(Demux::default().feed(b"hello, world", |_, _| ()), Err(UnrecognizedStream(b'h')));
    }
}

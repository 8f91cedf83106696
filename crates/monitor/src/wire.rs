//! Frames on a monitor's socket: `u32` little-endian length, then JSON. Descriptors of a frame are sent with its first byte
//! (`SCM_RIGHTS`) and are counted by the frame itself, so the receiver needs no idea where in the stream they came: when a frame
//! is complete its descriptors are the next ones in the queue. Does no I/O: callers read and write with `sys::fdpass` or tokio.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A longer frame is not one of ours.
const MAX_FRAME: usize = 16 << 20;
const HEADER: usize = 4;

/// Something that is sent as one frame.
pub trait Frame {
    /// How many descriptors travel with it.
    fn fds(&self) -> usize {
        0
    }
}

/// Why a stream is not, or no longer, the protocol.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The frame is not JSON of the expected shape (or cannot be written as JSON: a path that is not UTF-8).
    #[error("monitor protocol: bad frame")]
    Json(#[from] serde_json::Error),
    /// No frame is that long.
    #[error("monitor protocol: frame of {0} bytes")]
    TooLong(usize),
    /// The frame promises more descriptors than came.
    #[error("monitor protocol: {missing} descriptors are missing")]
    MissingFds {
        /// How many.
        missing: usize,
    },
}

/// A frame as bytes, ready to be sent with its descriptors at the first byte.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, ProtocolError> {
    let mut bytes = vec![0; HEADER];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - HEADER;
    let header = u32::try_from(length).map_err(|_| ProtocolError::TooLong(length))?;
    bytes[..HEADER].copy_from_slice(&header.to_le_bytes());
    Ok(bytes)
}

/// Turns what arrives into frames. Holds at most one frame; its memory is given back when the frame is taken.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    fds: VecDeque<OwnedFd>,
}

impl Decoder {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what one read returned.
    pub fn push(&mut self, bytes: &[u8], fds: impl IntoIterator<Item = OwnedFd>) {
        self.bytes.extend_from_slice(bytes);
        self.fds.extend(fds);
    }

    /// The next complete frame and its descriptors; `None` when more bytes are needed. An error is final.
    #[expect(clippy::should_implement_trait, reason = "the caller chooses the type, and it can fail")]
    pub fn next<T: DeserializeOwned + Frame>(&mut self) -> Result<Option<(T, Vec<OwnedFd>)>, ProtocolError> {
        let Some(header) = self.bytes.first_chunk::<HEADER>() else { return Ok(None) };
        let length = u32::from_le_bytes(*header) as usize;
        if length > MAX_FRAME {
            return Err(ProtocolError::TooLong(length));
        }
        let Some(json) = self.bytes.get(HEADER..HEADER + length) else { return Ok(None) };
        let frame: T = serde_json::from_slice(json)?;
        let wanted = frame.fds();
        if wanted > self.fds.len() {
            return Err(ProtocolError::MissingFds { missing: wanted - self.fds.len() });
        }
        let fds = self.fds.drain(..wanted).collect();
        // A fresh buffer of the right size instead of a drained large one: a start request is long, its successors are not.
        self.bytes = self.bytes[HEADER + length..].to_vec();
        Ok(Some((frame, fds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{AttachSpec, Body, Request};

    fn fd() -> OwnedFd {
        std::fs::File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn frames_come_out_however_the_bytes_come_in() {
        let mut stream = Vec::new();
        for seq in 0..3 {
            let body = if seq == 1 { Body::Attach(AttachSpec::default()) } else { Body::Status };
            stream.extend(encode(&Request { seq, body }).unwrap());
        }
        for size in [1, 3, 7, 50, stream.len()] {
            let mut decoder = Decoder::new();
            let mut seen = Vec::new();
            let mut given = false;
            for chunk in stream.chunks(size) {
                decoder.push(chunk, (!std::mem::replace(&mut given, true)).then(fd));
                while let Some((request, fds)) = decoder.next::<Request>().unwrap() {
                    seen.push((request.seq, fds.len()));
                }
            }
            assert_eq!(seen, [(0, 0), (1, 1), (2, 0)], "chunks of {size}");
        }
    }

    #[test]
    fn a_frame_without_its_descriptor_is_an_error() {
        let mut decoder = Decoder::new();
        decoder.push(&encode(&Request { seq: 1, body: Body::Attach(AttachSpec::default()) }).unwrap(), []);
        assert!(matches!(decoder.next::<Request>(), Err(ProtocolError::MissingFds { missing: 1 })));
    }

    #[test]
    fn nonsense_is_an_error() {
        let mut decoder = Decoder::new();
        decoder.push(b"GET / HTTP/1.1\r\n", []);
        assert!(matches!(decoder.next::<Request>(), Err(ProtocolError::TooLong(_))));
        let mut decoder = Decoder::new();
        decoder.push(b"\x02\0\0\0{}", []);
        assert!(matches!(decoder.next::<Request>(), Err(ProtocolError::Json(_))));
    }
}

//! Bytes between blocking code (`Read`, `Write`) and asynchronous code (channels of pieces), a few pieces at a time.

use std::io::{self, Read, Write};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::sync::mpsc;

use crate::error::Result;

/// Size of the pieces that a [`PipeWriter`] sends.
const PIECE: usize = 64 << 10;
/// Pieces on their way.
const DEPTH: usize = 4;

/// Reads what a client sends. For blocking threads only.
pub(crate) struct PipeReader {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl PipeReader {
    pub fn new(pieces: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        PipeReader { pieces, current: Bytes::new() }
    }
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece?,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// Writes to a client. For blocking threads only; fails once the client is gone.
pub(crate) struct PipeWriter {
    pieces: mpsc::Sender<Result<Bytes>>,
    buffer: BytesMut,
}

impl PipeWriter {
    pub fn new() -> (Self, mpsc::Receiver<Result<Bytes>>) {
        let (pieces, receiver) = mpsc::channel(DEPTH);
        (PipeWriter { pieces, buffer: BytesMut::new() }, receiver)
    }

    /// Sends what is left, and then how the work ended.
    pub fn finish(mut self, outcome: Result<()>) {
        let _ = self.flush();
        if let Err(error) = outcome {
            let _ = self.pieces.blocking_send(Err(error));
        }
    }
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = self.buffer.split().freeze();
        self.pieces.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn bytes_pass_in_order_and_the_end_is_told() {
        let (writer, mut receiver) = PipeWriter::new();
        let text: Vec<u8> = (0..200_000u32).map(|number| number as u8).collect();
        let sent = text.clone();
        let thread = std::thread::spawn(move || {
            let mut writer = writer;
            writer.write_all(&sent).unwrap();
            writer.finish(Err(Error::internal("the end")));
        });
        let (mut got, mut end) = (Vec::new(), String::new());
        while let Some(piece) = receiver.blocking_recv() {
            match piece {
                Ok(piece) => got.extend_from_slice(&piece),
                Err(error) => end = error.message,
            }
        }
        thread.join().unwrap();
        assert_eq!((got, end.as_str()), (text, "the end"));
    }

    #[test]
    fn a_reader_sees_pieces_as_one_stream() {
        let (sender, receiver) = mpsc::channel(4);
        for piece in ["ab", "", "cde"] {
            sender.blocking_send(Ok(Bytes::from(piece))).unwrap();
        }
        drop(sender);
        let mut text = String::new();
        PipeReader::new(receiver).read_to_string(&mut text).unwrap();
        assert_eq!(text, "abcde");
    }

    #[test]
    fn a_client_that_is_gone_stops_the_writer() {
        let (mut writer, receiver) = PipeWriter::new();
        drop(receiver);
        assert!(writer.write_all(&[0; PIECE]).is_err());
    }
}

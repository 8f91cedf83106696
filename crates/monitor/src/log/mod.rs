//! A container's log: bytes of two streams become entries, entries become lines of a file in one of two formats. Owns the file and
//! its rotation. Reading logs is the engine's business; the formats are Docker's, so other readers find what they know.
//!
//! An entry ends at a line feed, or after 16 KiB without one, or at the end of the stream; the pieces of a long line carry the
//! time of its first byte (moby `daemon/logger/copier.go`).

mod file;
mod json_file;
pub mod local;
#[cfg(test)]
mod tests;

use std::io;

use crate::protocol::{LogDriver, LogSpec};
use crate::time::Stamp;
use file::LogFile;

/// Longer lines are cut into pieces.
const PIECE: usize = 16 * 1024;
/// Entries are collected up to this size before they are written.
const BATCH: usize = 16 * 1024;

/// Which stream output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// One entry on its way to the file.
struct Entry<'a> {
    stream: Stream,
    time: Stamp,
    /// Without its line feed.
    line: &'a [u8],
    /// It is part of a longer line.
    piece: Option<Piece>,
}

/// A part of a line.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Common to the parts of one line.
    id: u64,
    /// From 1.
    ordinal: u32,
    /// The line ends here.
    last: bool,
}

/// An unfinished line.
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
    /// Pieces of it are written already: their time and how many.
    written: Option<(Stamp, Piece)>,
}

/// The log of one run of a container.
pub(crate) struct Log {
    format: Format,
    file: LogFile,
    lines: [Line; 2],
    batch: Vec<u8>,
    next_id: u64,
}

enum Format {
    /// With the `attrs` member, ready to be copied.
    JsonFile(Vec<u8>),
    Local,
}

impl Log {
    /// Opens (or makes) the file; `None` when nothing is to be kept.
    pub fn open(spec: &LogSpec) -> io::Result<Option<Self>> {
        let format = match spec.driver {
            LogDriver::JsonFile => Format::JsonFile(json_file::attributes(spec)),
            LogDriver::Local => Format::Local,
            LogDriver::None => return Ok(None),
        };
        let next_id = Stamp::now().nanoseconds() as u64;
        Ok(Some(Self {
            format,
            file: LogFile::open(spec)?,
            lines: Default::default(),
            batch: Vec::new(),
            next_id,
        }))
    }

    /// Takes what a stream produced. Errors of the disk lose entries, never stop the container, and are not reported (there is
    /// nobody to report to; Docker only writes them to the daemon's own log).
    pub fn write(&mut self, stream: Stream, mut data: &[u8]) {
        let mut line = std::mem::take(&mut self.lines[stream as usize]);
        while !data.is_empty() {
            let room = PIECE - line.bytes.len();
            let window = &data[..data.len().min(room)];
            if let Some(end) = window.iter().position(|byte| *byte == b'\n') {
                self.entry(stream, &mut line, &data[..end], true);
                data = &data[end + 1..];
            } else if window.len() == room {
                self.entry(stream, &mut line, window, false);
                data = &data[room..];
            } else {
                line.bytes.extend_from_slice(data);
                break;
            }
        }
        if line.bytes.is_empty() {
            line.bytes = Vec::new();
        }
        self.lines[stream as usize] = line;
        self.flush();
    }

    /// A stream has ended: what has no line feed yet is written as it is.
    pub fn end(&mut self, stream: Stream) {
        let mut line = std::mem::take(&mut self.lines[stream as usize]);
        if !line.bytes.is_empty() {
            self.entry(stream, &mut line, b"", false);
        }
        self.flush();
    }

    /// Makes an entry of the unfinished line and `rest`.
    fn entry(&mut self, stream: Stream, line: &mut Line, rest: &[u8], complete: bool) {
        let time = line.written.map_or_else(Stamp::now, |(time, _)| time);
        let piece = match line.written {
            Some((_, piece)) => Some(Piece { ordinal: piece.ordinal + 1, last: complete, ..piece }),
            None if complete => None,
            None => {
                self.next_id += 1;
                Some(Piece { id: self.next_id, ordinal: 1, last: false })
            }
        };
        line.written = piece.filter(|piece| !piece.last).map(|piece| (time, piece));
        let joined;
        let text = if line.bytes.is_empty() {
            rest
        } else {
            line.bytes.extend_from_slice(rest);
            joined = std::mem::take(&mut line.bytes);
            &joined
        };
        let before = self.batch.len();
        let entry = Entry { stream, time, line: text, piece };
        match &self.format {
            Format::JsonFile(attributes) => json_file::encode(&entry, attributes, &mut self.batch),
            Format::Local => local::encode(&entry, &mut self.batch),
        }
        if self.file.is_full(before) {
            // The entry belongs into the next file: Docker rotates before it writes.
            let entry = self.batch.split_off(before);
            self.flush();
            self.file.rotate();
            self.batch = entry;
        }
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.file.append(&self.batch);
        if self.batch.capacity() > 4 * BATCH {
            self.batch = Vec::new();
        }
        self.batch.clear();
    }
}

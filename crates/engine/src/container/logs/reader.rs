//! Reading a log from a place in it to its end, and on when there is more: through rotations and truncations, a piece at a time.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use bytes::Bytes;

use super::entry::{Decoded, Format, Output, Style};
use super::files::{self, Identity};
use crate::error::{Error, Result};

/// Bytes read from a file at a time, and roughly those of a piece.
const PIECE: usize = 64 << 10;

/// What comes after a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The next piece, at once.
    More,
    /// Nothing until something is written.
    AtEnd,
    /// Nothing any more: entries are later than is wanted.
    Finished,
}

pub(super) struct Reader {
    path: PathBuf,
    format: Format,
    output: Output,
    /// The file being read; None while there is none.
    file: Option<File>,
    position: u64,
    /// Read and not yet decoded.
    buffer: Vec<u8>,
    /// Newer files, oldest first.
    next: VecDeque<File>,
}

impl Reader {
    /// At the beginning, or where the last `tail` entries begin.
    pub(super) fn open(path: PathBuf, format: Format, style: Style, tail: Option<u64>) -> Result<Self> {
        let mut reader = Self {
            path,
            format,
            output: Output::new(style),
            file: None,
            position: 0,
            buffer: Vec::new(),
            next: VecDeque::new(),
        };
        reader.start(tail).map_err(|error| reader.failed(error))?;
        Ok(reader)
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::host(format!("read {}", self.path.display()), error)
    }

    fn start(&mut self, tail: Option<u64>) -> io::Result<()> {
        let mut all = files::newer_than(&self.path, None)?;
        if let Some(mut wanted) = tail {
            let mut first = all.len();
            while first > 0 {
                let (start, found) = files::tail(&all[first - 1], self.format, wanted)?;
                first -= 1;
                self.position = start;
                wanted -= found;
                if wanted == 0 {
                    break;
                }
            }
            all.drain(..first);
        }
        self.next = all.into();
        self.file = self.next.pop_front();
        Ok(())
    }

    /// The next piece, perhaps an empty one.
    pub(super) fn step(&mut self) -> Result<(Bytes, State)> {
        let state = self.fill().map_err(|error| self.failed(error))?;
        Ok((self.output.bytes.split().freeze(), state))
    }

    fn fill(&mut self) -> io::Result<State> {
        loop {
            if !self.decode() {
                return Ok(State::Finished);
            }
            if self.output.bytes.len() >= PIECE {
                return Ok(State::More);
            }
            if self.read()? {
                continue;
            }
            if !self.advance()? {
                return Ok(State::AtEnd);
            }
        }
    }

    /// Writes what the buffer has of whole entries. False after the last that is wanted.
    fn decode(&mut self) -> bool {
        let mut at = 0;
        let mut go_on = true;
        while go_on && self.output.bytes.len() < PIECE {
            match self.format.decode(&self.buffer[at..]) {
                Decoded::Entry(entry, length) => {
                    go_on = self.output.write(&entry);
                    at += length;
                }
                Decoded::Garbage(length) if length > 0 => at += length,
                Decoded::Garbage(_) | Decoded::Incomplete => break,
            }
        }
        self.buffer.drain(..at);
        go_on
    }

    /// Reads more of the present file. False at its end.
    fn read(&mut self) -> io::Result<bool> {
        let Some(file) = &self.file else { return Ok(false) };
        let before = self.buffer.len();
        self.buffer.resize(before + PIECE, 0);
        let count = file.read_at(&mut self.buffer[before..], self.position);
        self.buffer.truncate(before + *count.as_ref().unwrap_or(&0));
        let count = count?;
        self.position += count as u64;
        if count == 0 && file.metadata()?.len() < self.position {
            // A log of one file is emptied when it is full.
            self.position = 0;
            self.buffer.clear();
            return Ok(true);
        }
        Ok(count > 0)
    }

    /// Goes on to the next file, if the present one is finished. False when there is none.
    fn advance(&mut self) -> io::Result<bool> {
        if self.next.is_empty() {
            let present = self.file.as_ref().map(Identity::of).transpose()?;
            let current = Identity::at(&self.path)?;
            if current.is_none() || current == present {
                return Ok(false);
            }
            // Rotated: the writer has opened another. What it wrote here before is complete now.
            if self.read()? {
                return Ok(true);
            }
            self.next = files::newer_than(&self.path, present)?.into();
        } else if self.file.is_some() && self.read()? {
            return Ok(true);
        }
        let Some(file) = self.next.pop_front() else { return Ok(false) };
        self.file = Some(file);
        self.position = 0;
        // The rest of an entry would be in the old file.
        self.buffer.clear();
        Ok(true)
    }
}

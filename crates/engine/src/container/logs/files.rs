//! The files of a log: `x.log` and before it `x.log.1`, `x.log.2`, …; and where in them the last lines begin, found from the
//! end without reading the rest.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::entry::Format;

const CHUNK: usize = 64 << 10;

/// What a file is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

impl Identity {
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self(meta.dev(), meta.ino()))
    }

    /// Of the file that has this name now; None without one.
    pub(super) fn at(path: &Path) -> io::Result<Option<Self>> {
        match std::fs::metadata(path) {
            Ok(meta) => Ok(Some(Self(meta.dev(), meta.ino()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Numbers in a row without a file, after which there is none. A rotation renames from the highest number down, so that one is
/// missing at any moment of it; and it may be the next rotation's by the time that the next is looked at.
const GAPS: u32 = 4;
/// How often to look. A writer could rotate faster than anybody can.
const ATTEMPTS: usize = 20;

/// How far what was found can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Whole,
    /// The file read last is not among them: rotated away, it seems.
    LastMissing,
    /// Rotated meanwhile: two rotations between two looks put a newer file behind an older one.
    Unsteady,
}

/// Opens the files that are newer than `last` (all without one, or when it is gone), oldest first. None at all when the writer
/// is too busy: then there is soon another occasion.
pub(super) fn newer_than(path: &Path, last: Option<Identity>) -> io::Result<Vec<File>> {
    let mut found = Vec::new();
    for attempt in 0..ATTEMPTS {
        let (files, trust) = scan(path, last)?;
        match trust {
            Trust::Whole => return Ok(files),
            // A file on its way from one number to the next may have been missed.
            Trust::LastMissing if attempt >= ATTEMPTS / 4 => return Ok(files),
            Trust::LastMissing => {}
            // Who begins to read takes what there is.
            Trust::Unsteady => found = if last.is_none() { files } else { Vec::new() },
        }
    }
    Ok(found)
}

/// Looks from the newest on. Files only move to higher numbers, so that none is hidden by a rotation meanwhile; one may be seen
/// twice, which is noticed.
fn scan(path: &Path, last: Option<Identity>) -> io::Result<(Vec<File>, Trust)> {
    let newest = Identity::at(path)?;
    let mut files: Vec<(Identity, File)> = Vec::new();
    let (mut number, mut missing, mut reached) = (0, 0, last.is_none());
    while missing <= GAPS {
        match File::open(numbered(path, number)) {
            Ok(file) => {
                let identity = Identity::of(&file)?;
                if Some(identity) == last {
                    reached = true;
                    break;
                }
                if files.iter().all(|(known, _)| *known != identity) {
                    files.push((identity, file));
                }
                missing = 0;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing += 1,
            Err(error) => return Err(error),
        }
        number += 1;
    }
    let trust = match () {
        // Without a current file a rotation is half done, unless there has never been any.
        () if newest.is_none() && files.is_empty() => Trust::Whole,
        () if newest.is_none() || Identity::at(path)? != newest => Trust::Unsteady,
        () if reached => Trust::Whole,
        () => Trust::LastMissing,
    };
    Ok((files.into_iter().rev().map(|(_, file)| file).collect(), trust))
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = path.to_owned().into_os_string();
    name.push(format!(".{number}"));
    name.into()
}

/// Where the last `lines` entries of a file begin, and how many there are. An entry that is still being written counts as none.
pub(super) fn tail(file: &File, format: Format, lines: u64) -> io::Result<(u64, u64)> {
    let size = file.metadata()?.len();
    match format {
        Format::JsonFile => tail_lines(file, size, lines),
        Format::Local => match tail_local(file, size, lines)? {
            Some(found) => Ok(found),
            None => scan_local(file, size, lines),
        },
    }
}

fn tail_lines(file: &File, size: u64, lines: u64) -> io::Result<(u64, u64)> {
    let mut buffer = vec![0; CHUNK];
    let (mut end, mut found) = (size, 0);
    while end > 0 {
        let start = end.saturating_sub(CHUNK as u64);
        let chunk = &mut buffer[..(end - start) as usize];
        file.read_exact_at(chunk, start)?;
        for at in (0..chunk.len()).rev().filter(|at| chunk[*at] == b'\n') {
            if found == lines {
                return Ok((start + at as u64 + 1, found));
            }
            found += 1;
        }
        end = start;
    }
    Ok((0, found))
}

fn read_length(file: &File, at: u64) -> io::Result<u64> {
    let mut bytes = [0; 4];
    file.read_exact_at(&mut bytes, at)?;
    Ok(u32::from_be_bytes(bytes).into())
}

/// By the lengths behind the entries; None when the file does not end with a whole entry.
fn tail_local(file: &File, size: u64, lines: u64) -> io::Result<Option<(u64, u64)>> {
    let (mut end, mut found) = (size, 0);
    let before = |end: u64| -> io::Result<Option<u64>> {
        if end < 8 {
            return Ok(None);
        }
        let length = read_length(file, end - 4)?;
        match end.checked_sub(length + 8) {
            Some(start) if read_length(file, start)? == length => Ok(Some(start)),
            _ => Ok(None),
        }
    };
    if lines == 0 && end > 0 && before(end)?.is_none() {
        return Ok(None);
    }
    while found < lines && end > 0 {
        let Some(start) = before(end)? else { return Ok(None) };
        end = start;
        found += 1;
    }
    Ok(Some((end, found)))
}

/// From the beginning, remembering the last entries' places.
fn scan_local(file: &File, size: u64, lines: u64) -> io::Result<(u64, u64)> {
    let mut starts = std::collections::VecDeque::new();
    let mut at = 0;
    while at + 8 <= size {
        let length = read_length(file, at)?;
        let after = at + length + 8;
        if after > size || read_length(file, after - 4)? != length {
            break;
        }
        starts.push_back(at);
        if starts.len() as u64 > lines {
            starts.pop_front();
        }
        at = after;
    }
    Ok((starts.front().copied().unwrap_or(at), starts.len() as u64))
}

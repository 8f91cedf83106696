//! The file behind a log, and its rotation: `x.log` is the current one, `x.log.1` the one before, and so on, as Docker's
//! (moby `daemon/logger/loggerutils/logfile.go`). With a single file, rotation empties it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::protocol::LogSpec;

/// An append-only file with a size limit.
pub(super) struct LogFile {
    file: Option<File>,
    path: PathBuf,
    size: u64,
    max_size: u64,
    max_file: u32,
}

impl LogFile {
    /// Opens or makes the file and its folder; earlier runs' entries stay.
    pub fn open(spec: &LogSpec) -> io::Result<Self> {
        if let Some(folder) = spec.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = append_to(&spec.path)?;
        Ok(Self {
            size: file.metadata()?.len(),
            file: Some(file),
            path: spec.path.clone(),
            max_size: spec.max_size.filter(|size| *size > 0).unwrap_or(u64::MAX),
            max_file: spec.max_file.max(1),
        })
    }

    /// Whether the file, with `pending` bytes not yet written, takes no further entry.
    pub fn is_full(&self, pending: usize) -> bool {
        self.size + pending as u64 >= self.max_size
    }

    /// Writes whole entries.
    pub fn append(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        if bytes.is_empty() {
            return;
        }
        // A full disk can leave half an entry; the next one then starts in the middle of a line, which readers skip.
        let _ = file.write_all(bytes);
        self.size += bytes.len() as u64;
    }

    /// Begins a new file. If it cannot be opened, output goes nowhere until the next run.
    pub fn rotate(&mut self) {
        self.file = None;
        if self.max_file < 2 {
            self.file = append_to(&self.path).ok().filter(|file| file.set_len(0).is_ok());
        } else {
            for number in (1..self.max_file - 1).rev() {
                let _ = std::fs::rename(self.numbered(number), self.numbered(number + 1));
            }
            let _ = std::fs::rename(&self.path, self.numbered(1));
            self.file = append_to(&self.path).ok();
        }
        self.size = 0;
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

//! Files that verbs read and write on the user's side, with Go's words for what is wrong with them.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use client::Response;

use super::{Failure, output};

/// Opens a file for reading.
pub async fn open(path: &str) -> anyhow::Result<tokio::fs::File> {
    tokio::fs::File::open(path).await.map_err(|error| failed("open", path, &error).into())
}

/// `open /x: no such file or directory`.
pub fn failed(doing: &str, path: impl Display, error: &io::Error) -> Failure {
    Failure::new(1, format!("{doing} {path}: {}", reason(error)))
}

/// The system's words for an error, as Go prints them.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// Where an archive goes: standard output, or a file that appears when it is whole.
pub enum Target {
    /// Standard output.
    Stdout,
    /// This file.
    File(PathBuf),
}

impl Target {
    /// `-o`'s value. Archives are not written to terminals, nor over folders and devices.
    pub fn open(path: Option<&str>) -> Result<Self, String> {
        let Some(path) = path else {
            return match term::tty::is_terminal(io::stdout()) {
                true => {
                    Err("cowardly refusing to save to a terminal. Use the -o flag or redirect".to_owned())
                }
                false => Ok(Self::Stdout),
            };
        };
        let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder
            && let Err(error) = std::fs::metadata(folder)
        {
            return Err(format!("invalid output path: stat {}: {}", folder.display(), reason(&error)));
        }
        match std::fs::metadata(path) {
            Ok(found) => match what_it_is(&found) {
                None => Ok(Self::File(path.into())),
                Some(what) => Err(format!("cannot write to a {what}")),
            },
            Err(_) => Ok(Self::File(path.into())),
        }
    }

    /// Writes the body of an answer.
    pub async fn fill(self, mut response: Response) -> anyhow::Result<()> {
        let path = match self {
            Self::Stdout => {
                while let Some(chunk) = response.chunk().await? {
                    output::bytes(&chunk)?;
                }
                return Ok(());
            }
            Self::File(path) => path,
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let temporary = path.with_file_name(format!(".tmp-{name}-{}", std::process::id()));
        let outcome = write(&temporary, &mut response).await;
        let outcome = match outcome {
            Ok(()) => std::fs::rename(&temporary, &path)
                .map_err(|error| failed("rename", temporary.display(), &error).into()),
            error => error,
        };
        if outcome.is_err() {
            // What was written is of no use; the error that is reported is the first one.
            let _ = std::fs::remove_file(&temporary);
        }
        outcome
    }
}

/// What an existing path is, unless it is a file.
fn what_it_is(found: &std::fs::Metadata) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt;
    let kind = found.file_type();
    match () {
        () if kind.is_file() => None,
        () if kind.is_dir() => Some("directory"),
        () if kind.is_char_device() => Some("character device file"),
        () if kind.is_block_device() => Some("block device file"),
        () if kind.is_fifo() => Some("named pipe file"),
        () => Some("socket file"),
    }
}

async fn write(path: &Path, response: &mut Response) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut file = file.map_err(|error| failed("open", path.display(), &error))?;
    while let Some(chunk) = response.chunk().await? {
        io::Write::write_all(&mut file, &chunk).map_err(|error| failed("write", path.display(), &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_cannot_hold_an_archive() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        assert!(Target::open(Some(&path("x.tar"))).is_ok());
        let missing = Target::open(Some("/nonexistent/x")).err().unwrap();
        assert_eq!(missing, "invalid output path: stat /nonexistent: no such file or directory");
        assert_eq!(Target::open(Some(&path(""))).err().unwrap(), "cannot write to a directory");
        assert_eq!(Target::open(Some("/dev/null")).err().unwrap(), "cannot write to a character device file");
    }
}

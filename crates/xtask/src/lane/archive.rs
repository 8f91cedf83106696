//! The guest's file system: an archive in cpio's "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst), which
//! the kernel unpacks into memory. Parents come before what is in them, or the kernel drops it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// An archive being written.
pub struct Archive {
    file: BufWriter<File>,
    written: BTreeSet<PathBuf>,
}

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

impl Archive {
    /// Begins one, replacing what the file holds.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
        let mut archive = Self { file: BufWriter::new(file), written: BTreeSet::new() };
        // On most systems of today these are links into /usr.
        for name in ["/bin", "/sbin", "/lib", "/lib64"] {
            if let Ok(target) = std::fs::read_link(name) {
                let target = target.to_str().context("a link that is not UTF-8")?;
                archive.entry(Path::new(name), LINK, target.as_bytes())?;
            }
        }
        Ok(archive)
    }

    /// A file of this machine at `place`, executable.
    pub fn program(&mut self, file: &Path, place: &Path) -> Result<()> {
        let content = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
        self.content(place, &content)
    }

    /// A program of this machine with the shared libraries that it loads, each at its own place. One that is not installed is left
    /// out: tests that need it say so.
    pub fn program_with_libraries(&mut self, name: &Path) -> Result<()> {
        // One that is a whole path stays it.
        let folders = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].map(Path::new);
        let Some(path) = folders.map(|folder| folder.join(name)).into_iter().find(|path| path.is_file())
        else {
            return Ok(());
        };
        self.program(&path, &real_place(&path)?)?;
        // Fails for a static program, which needs none.
        let libraries = Command::new("ldd").arg(&path).output().context("run ldd")?;
        let text = String::from_utf8_lossy(&libraries.stdout).into_owned();
        for library in text.split_ascii_whitespace().filter(|word| word.starts_with('/')) {
            let library = Path::new(library);
            self.program(library, &real_place(library)?)?;
        }
        Ok(())
    }

    /// A folder of this machine with all files below, at its own place.
    pub fn tree(&mut self, folder: &Path) -> Result<()> {
        for entry in std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
            let path = entry.with_context(|| format!("list {}", folder.display()))?.path();
            match path.is_dir() {
                true => self.tree(&path)?,
                false => self.program(&path, &real_place(&path)?)?,
            }
        }
        Ok(())
    }

    /// A file with this content, executable.
    pub fn content(&mut self, place: &Path, content: &[u8]) -> Result<()> {
        self.parents(place)?;
        self.entry(place, PROGRAM, content)
    }

    fn parents(&mut self, place: &Path) -> Result<()> {
        let mut parents: Vec<&Path> =
            place.ancestors().skip(1).filter(|path| *path != Path::new("/")).collect();
        parents.reverse();
        for parent in parents {
            self.entry(parent, FOLDER, b"")?;
        }
        Ok(())
    }

    fn entry(&mut self, place: &Path, mode: u32, content: &[u8]) -> Result<()> {
        if !self.written.insert(place.to_owned()) {
            return Ok(());
        }
        let name = place.to_str().context("a path that is not UTF-8")?.trim_start_matches('/').to_owned();
        self.record(&name, mode, content).with_context(|| format!("archive {name}"))
    }

    fn record(&mut self, name: &str, mode: u32, content: &[u8]) -> Result<()> {
        let number = self.written.len();
        let (size, name_size) = (u32::try_from(content.len())?, name.len() + 1);
        // magic, inode, mode, user, group, links, time, size, device (2), own device (2), name's size, check sum
        write!(
            self.file,
            "070701{number:08x}{mode:08x}{0:08x}{0:08x}{1:08x}{0:08x}{size:08x}{0:08x}{0:08x}{0:08x}{0:08x}{name_size:08x}{0:08x}{name}\0",
            0, 1
        )?;
        self.pad(110 + name_size)?;
        self.file.write_all(content)?;
        self.pad(content.len())
    }

    fn pad(&mut self, length: usize) -> Result<()> {
        Ok(self.file.write_all(&[0; 3][..length.next_multiple_of(4) - length])?)
    }

    /// Ends it.
    pub fn finish(mut self) -> Result<()> {
        self.record("TRAILER!!!", 0, b"")?;
        self.file.flush().context("write the archive")
    }
}

/// The same place without links on the way to it.
fn real_place(path: &Path) -> Result<PathBuf> {
    let (folder, name) = path.parent().zip(path.file_name()).context("a file's path")?;
    Ok(folder.canonicalize().with_context(|| format!("find {}", folder.display()))?.join(name))
}

//! Whiteouts: from the marker files of image-spec (layer.md, "Whiteouts") to what overlayfs understands.
//!
//! Markers speak about the layers below only, in whatever order they stand: a file of this layer stays although its marker
//! comes later, and a folder of this layer whose marker is there hides the folder below instead of merging with it.

use std::os::fd::AsFd;

use rustix::fs::FileType;
use rustix::io::Errno;

use super::{Extractor, join, refuse, set_opaque, show, split};
use crate::error::{Context, Error, Result};
use crate::fsutil::{listable, lstat, make_whiteout};

const PREFIX: &[u8] = b".wh.";
/// AUFS' own files carry this prefix; of them only the opaque marker means anything today.
const META: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

impl Extractor<'_> {
    /// Handles a marker; whether the entry was one.
    pub(super) fn whiteout(&mut self, path: &[u8]) -> Result<bool> {
        let (parent, name) = split(path);
        if name == OPAQUE {
            self.opaque(parent)?;
            return Ok(true);
        }
        if path.split(|byte| *byte == b'/').any(|part| part.starts_with(META)) {
            return Ok(true);
        }
        let Some(hidden) = name.strip_prefix(PREFIX) else { return Ok(false) };
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(refuse(path, "whiteout of nothing"));
        }
        let hidden_path = join(parent, hidden);
        let folder = self.folder(parent)?;
        match make_whiteout(folder.as_fd(), hidden) {
            Ok(()) => {
                self.whiteouts.insert(hidden_path);
            }
            Err(Errno::EXIST) => {
                let stat =
                    lstat(folder.as_fd(), hidden).context(|| format!("stat {}", show(&hidden_path)))?;
                if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                    self.folder_record(&hidden_path).opaque = true;
                }
            }
            Err(errno) => return Err(Error::io(format!("entry {}: create whiteout", show(path)), errno)),
        }
        Ok(true)
    }

    fn opaque(&mut self, parent: &[u8]) -> Result<()> {
        if parent.is_empty() {
            self.root_opaque = true;
            return Ok(());
        }
        let folder = self.folder(parent)?;
        match self.dirs.get_mut(parent) {
            Some(record) => record.opaque = true,
            // Reached through a symbolic link: the mark belongs where that leads.
            None => listable(folder.as_fd())
                .and_then(|folder| set_opaque(folder.as_fd()))
                .context(|| format!("entry {}: make opaque", show(parent)))?,
        }
        Ok(())
    }
}

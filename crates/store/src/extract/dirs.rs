//! Folders during an extraction: the open ones, those that no entry named, and what is set on them at the end.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, unlinkat, utimensat};
use rustix::io::Errno;

use super::{Attributes, Extractor, Purpose, join, refuse, set_opaque, show, split};
use crate::error::{Context, Error, Result};
use crate::fsutil::{is_whiteout, lstat, open_in_root};

/// What is known about a folder of the archive.
#[derive(Clone, Debug, Default)]
pub(crate) struct Folder {
    /// `None`: no entry named it; it is there because something is in it.
    pub attributes: Option<Attributes>,
    /// It hides what lower layers have in its place.
    pub opaque: bool,
    /// No component of its path is a symbolic link, and nobody else changes the tree: plain relative paths are safe.
    pub plain: bool,
    /// The mode it was created with, before the umask; zero when it was there before us.
    pub created: u32,
}

/// Folders kept open. Archives are mostly in depth-first order, so few are enough.
const CACHED: usize = 16;

/// A mode to create a folder with: usable by us, and nothing that rubs off on what is created in it.
pub(super) fn creation_mode(mode: u32) -> u32 {
    (mode & 0o1777) | 0o700
}

impl Extractor<'_> {
    /// The folder to create something in, made if it is missing.
    pub(super) fn folder(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>> {
        match self.existing_folder(path) {
            Ok(folder) => Ok(folder),
            Err(Errno::NOENT | Errno::NOTDIR) if !path.is_empty() => self.make_folder(path),
            Err(errno) => Err(Error::io(format!("open directory {}", show(path)), errno)),
        }
    }

    fn make_folder(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>> {
        let (parent, name) = split(path);
        let dir = self.folder(parent)?;
        let dir = dir.as_fd();
        let mode = Mode::from_raw_mode(0o755);
        let mut opaque = false;
        match mkdirat(dir, name, mode) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let stat = lstat(dir, name).context(|| format!("stat {}", show(path)))?;
                if !(self.whiteouts.contains(path) && is_whiteout(&stat)) {
                    return Err(refuse(path, "is needed as a directory, but leads to none here"));
                }
                // Removed from the layers below, then made anew by an entry inside it.
                unlinkat(dir, name, AtFlags::empty())
                    .context(|| format!("remove whiteout {}", show(path)))?;
                self.whiteouts.remove(path);
                mkdirat(dir, name, mode).context(|| format!("create directory {}", show(path)))?;
                opaque = true;
            }
            Err(errno) => return Err(Error::io(format!("create directory {}", show(path)), errno)),
        }
        let folder = self.folder_record(path);
        folder.opaque |= opaque;
        folder.created = 0o755;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = openat(dir, name, flags, Mode::empty());
        let folder = Rc::new(folder.context(|| format!("open directory {}", show(path)))?);
        self.remember(path, &folder);
        Ok(folder)
    }

    pub(super) fn folder_record(&mut self, path: &[u8]) -> &mut Folder {
        let (parent, _) = split(path);
        let plain = self.purpose == Purpose::Layer
            && (parent.is_empty() || self.dirs.get(parent).is_some_and(|folder| folder.plain));
        let fresh = || Folder { plain, ..Folder::default() };
        self.dirs.entry(path.to_vec()).or_insert_with(fresh)
    }

    pub(super) fn cached(&mut self, path: &[u8]) -> Option<Rc<OwnedFd>> {
        let at = self.cache.iter().rposition(|(known, _)| known == path)?;
        let last = self.cache.len() - 1;
        self.cache.swap(at, last);
        Some(self.cache[last].1.clone())
    }

    pub(super) fn remember(&mut self, path: &[u8], folder: &Rc<OwnedFd>) {
        if self.cache.len() == CACHED {
            self.cache.remove(0);
        }
        self.cache.push((path.to_vec(), folder.clone()));
    }

    /// Sets the folders' attributes. Deepest first: a folder may lose the right to be entered.
    pub fn finish(&mut self) -> Result<()> {
        self.cache.clear();
        let mut paths: Vec<&Vec<u8>> = self.dirs.keys().collect();
        paths.sort_unstable_by(|a, b| b.cmp(a));
        for path in paths {
            let folder = &self.dirs[path];
            self.finish_folder(path, folder).context(|| format!("entry {}: set attributes", show(path)))?;
        }
        Ok(())
    }

    fn finish_folder(&self, path: &[u8], folder: &Folder) -> rustix::io::Result<()> {
        let Some(attributes) = &folder.attributes else {
            return match (folder.opaque, self.open_folder(path)) {
                (false, _) => Ok(()),
                (true, folder) => set_opaque(folder?.as_fd()),
            };
        };
        let creator = self.creator;
        let simple = folder.plain
            && !folder.opaque
            && attributes.xattrs.is_empty()
            && folder.created & !creator.umask == attributes.mode
            && (attributes.uid, attributes.gid) == (creator.uid, creator.gid);
        if simple {
            return utimensat(self.root, path, &attributes.times(), AtFlags::SYMLINK_NOFOLLOW);
        }
        let open = match self.open_folder(path) {
            // Replaced through another path (a link to its parent) after it was recorded.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            open => open?,
        };
        if folder.opaque {
            set_opaque(open.as_fd())?;
        }
        attributes.apply_to_open(open.as_fd())
    }

    fn open_folder(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        open_in_root(self.root, &join(&self.base, path), flags, Mode::empty())
    }
}

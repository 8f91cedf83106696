//! What a stack of layers looks like from above, without mounting it.
//!
//! Follows overlayfs: the top-most layer that has a path decides; whiteouts, opaque folders and non-folders hide what is
//! below them. Two folders at the same path merge; attributes are those of the upper one.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, openat, readlinkat};
use rustix::io::Errno;

use crate::error::{Context, Error, Result};
use crate::extract::{is_opaque, join, show, split};
use crate::fsutil::{is_whiteout, list, open_dir, open_plain};

/// A stack of layer folders.
pub(crate) struct Merged {
    /// Top-most first.
    layers: Vec<OwnedFd>,
}

/// Something found in a stack.
pub(crate) struct Found {
    /// Which layer has it; 0 is the top-most.
    pub layer: usize,
    pub stat: Stat,
}

impl Found {
    pub fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }
}

enum Lookup {
    Present(Stat),
    Absent,
    /// Not here, and nothing below counts.
    Hidden,
}

/// As the kernel: this many links in one path are too many.
const MAX_LINKS: usize = 40;

impl Merged {
    /// Opens layer folders, top-most first.
    pub fn open(paths: &[PathBuf]) -> Result<Merged> {
        let open = |path: &PathBuf| open_dir(path).context(|| format!("open layer {}", path.display()));
        Ok(Merged { layers: paths.iter().map(open).collect::<Result<_>>()? })
    }

    pub fn layer(&self, at: usize) -> BorrowedFd<'_> {
        self.layers[at].as_fd()
    }

    /// Looks up a clean path; symbolic links in it are not followed.
    pub fn find(&self, path: &[u8]) -> Result<Option<Found>> {
        for layer in 0..self.layers.len() {
            match self.look(layer, path).context(|| format!("look up {}", show(path)))? {
                Lookup::Present(stat) if is_whiteout(&stat) => return Ok(None),
                Lookup::Present(stat) => return Ok(Some(Found { layer, stat })),
                Lookup::Absent => {}
                Lookup::Hidden => return Ok(None),
            }
        }
        Ok(None)
    }

    fn look(&self, layer: usize, path: &[u8]) -> rustix::io::Result<Lookup> {
        let root = self.layer(layer);
        match open_plain(root, path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(file) => return Ok(Lookup::Present(fstat(&file)?)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(errno) => return Err(errno),
        }
        // Walk down to see whether something on the way hides the layers below.
        let mut end = 0;
        while let Some(slash) = path[end..].iter().position(|byte| *byte == b'/') {
            end += slash;
            match open_plain(root, &path[..end], OFlags::RDONLY | OFlags::DIRECTORY) {
                Ok(folder) if is_opaque(folder.as_fd()) => return Ok(Lookup::Hidden),
                Ok(_) => {}
                Err(Errno::NOENT) => return Ok(Lookup::Absent),
                Err(Errno::NOTDIR | Errno::LOOP) => return Ok(Lookup::Hidden),
                Err(errno) => return Err(errno),
            }
            end += 1;
        }
        Ok(Lookup::Absent)
    }

    /// Whether a folder that this layer has, or one that it lies in, hides what lower layers have there.
    fn hides_below(&self, layer: usize, path: &[u8]) -> rustix::io::Result<bool> {
        for end in ends(path) {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            if is_opaque(open_plain(self.layer(layer), &path[..end], flags)?.as_fd()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks up a path as a process inside would: links are followed, also the last one if `follow`. Gives the path that
    /// was reached.
    pub fn resolve(&self, path: &[u8], follow: bool) -> Result<Option<(Vec<u8>, Found)>> {
        let mut rest: Vec<Vec<u8>> = parts(path);
        let mut at: Vec<u8> = Vec::new();
        let mut links = 0;
        while let Some(part) = rest.pop() {
            if part == b".." {
                at = split(&at).0.to_vec();
                continue;
            }
            let next = join(&at, &part);
            let Some(found) = self.find(&next)? else { return Ok(None) };
            let is_link = found.kind() == FileType::Symlink;
            if !is_link || (rest.is_empty() && !follow) {
                if !rest.is_empty() && found.kind() != FileType::Directory {
                    return Ok(None);
                }
                at = next;
                continue;
            }
            links += 1;
            if links > MAX_LINKS {
                return Err(Error::Invalid(format!("{}: too many levels of symbolic links", show(path))));
            }
            let target = self.read_link(&found, &next)?;
            if target.starts_with(b"/") {
                at.clear();
            }
            rest.extend(parts(&target));
        }
        Ok(self.find(&at)?.map(|found| (at, found)))
    }

    pub fn read_link(&self, found: &Found, path: &[u8]) -> Result<Vec<u8>> {
        let (parent, name) = split(path);
        let context = || format!("read link {}", show(path));
        let folder = open_plain(self.layer(found.layer), parent, OFlags::PATH | OFlags::DIRECTORY);
        let folder = folder.context(context)?;
        Ok(readlinkat(&folder, name, Vec::new()).context(context)?.into_bytes())
    }

    /// Opens a regular file or folder that was found.
    pub fn open_found(&self, found: &Found, path: &[u8]) -> Result<OwnedFd> {
        open_plain(self.layer(found.layer), path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK)
            .context(|| format!("open {}", show(path)))
    }

    /// Names in a folder, merged; sorted.
    pub fn list(&self, path: &[u8]) -> Result<BTreeMap<Vec<u8>, Found>> {
        let mut names: BTreeMap<Vec<u8>, Option<Found>> = BTreeMap::new();
        for layer in 0..self.layers.len() {
            let context = || format!("list {}", show(path));
            match self.look(layer, path).context(context)? {
                Lookup::Absent => continue,
                Lookup::Hidden => break,
                Lookup::Present(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Directory => {
                    break;
                }
                Lookup::Present(_) => {}
            }
            let folder =
                open_plain(self.layer(layer), path, OFlags::RDONLY | OFlags::DIRECTORY).context(context)?;
            for (name, _) in list(folder.as_fd()).context(context)? {
                if names.contains_key(&name) {
                    continue;
                }
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = openat(&folder, name.as_slice(), flags, Mode::empty()).context(context)?;
                let stat = fstat(&file).context(context)?;
                names.insert(name, (!is_whiteout(&stat)).then_some(Found { layer, stat }));
            }
            if self.hides_below(layer, path).context(context)? {
                break;
            }
        }
        Ok(names.into_iter().filter_map(|(name, found)| Some((name, found?))).collect())
    }
}

/// The ends of a clean path's folders and of the path itself.
fn ends(path: &[u8]) -> impl Iterator<Item = usize> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    slashes.chain((!path.is_empty()).then_some(path.len()))
}

/// Components in reverse, ready to be popped; `..` is kept, because what it means depends on links.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let mut parts: Vec<Vec<u8>> = parts.map(<[u8]>::to_vec).collect();
    parts.reverse();
    parts
}

/// A clean path below a folder on the host.
pub(crate) fn host_path(folder: &Path, path: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    folder.join(std::ffi::OsStr::from_bytes(path))
}

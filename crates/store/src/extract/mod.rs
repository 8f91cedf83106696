//! Extracts a tar into a directory: image layers (with whiteouts, into an empty place of our own) and `docker cp` uploads
//! (into a container's files, which the container may be changing meanwhile).
//!
//! Every path is resolved by `openat2(RESOLVE_IN_ROOT)` on the root's descriptor: symbolic links in the archive or in the
//! container, absolute or climbing, can't lead outside. Names that climb by themselves are refused. The semantics where
//! entries meet existing files are those of Docker's `archive.Unpack`; where a layer's whiteouts meet its own entries,
//! those of image-spec's layer.md.
//!
//! Folders get their attributes last ([`Extractor::finish`]): their times change with every entry, and a default ACL or
//! set-group-id bit must not rub off on the files being extracted.

mod attrs;
mod dirs;
mod path;
mod whiteout;

use std::collections::{HashMap, HashSet};
use std::io::BufRead;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, linkat, makedev, mkdirat, mknodat, openat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use crate::decompress::read_error;
use crate::error::{Context, Error, Result};
use crate::fsutil::{is_whiteout, lstat, open_in_root, remove_tree};
use crate::tar::{Entry, Kind, Reader, TarError, Time};

pub(crate) use attrs::{Attributes, is_opaque, is_overlay_xattr, set_opaque, xattr_path};
pub(crate) use dirs::Folder;
pub(crate) use path::{clean, clean_user_path, join, refuse, show, split};

/// What is being extracted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Purpose {
    /// A layer, for overlayfs: whiteouts, links into layers below.
    Layer,
    /// Files for a container.
    Copy { no_overwrite_dir_non_dir: bool, owner: Option<(u32, u32)> },
}

/// A hard link to a file that this layer doesn't have: one below it may.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PendingLink {
    pub path: Vec<u8>,
    pub target: Vec<u8>,
}

/// An extraction in progress.
pub(crate) struct Extractor<'a> {
    root: BorrowedFd<'a>,
    /// Where names start, below the root.
    base: Vec<u8>,
    purpose: Purpose,
    creator: attrs::Creator,
    /// Folders used last, open.
    cache: Vec<(Vec<u8>, Rc<OwnedFd>)>,
    /// Folders that appeared in or were made for the archive, by clean path.
    pub(crate) dirs: HashMap<Vec<u8>, Folder>,
    whiteouts: HashSet<Vec<u8>>,
    pub(crate) links: Vec<PendingLink>,
    /// The layer hides everything below it.
    pub(crate) root_opaque: bool,
    /// Bytes of files and links.
    pub(crate) size: u64,
}

impl<'a> Extractor<'a> {
    /// `base` is a clean path below `root` that exists and is a directory.
    pub fn new(root: BorrowedFd<'a>, base: &[u8], purpose: Purpose) -> Extractor<'a> {
        Extractor {
            root,
            base: base.to_vec(),
            purpose,
            creator: attrs::Creator::current(),
            cache: Vec::new(),
            dirs: HashMap::new(),
            whiteouts: HashSet::new(),
            links: Vec::new(),
            root_opaque: false,
            size: 0,
        }
    }

    /// Extracts everything the reader has.
    pub fn extract<R: BufRead>(&mut self, reader: &mut Reader<R>) -> Result<()> {
        while let Some(entry) = reader.next().map_err(bad_archive)? {
            // What fails at a folder on the way is this entry's failure: name it, once.
            self.entry(&entry, reader).map_err(|error| match error.to_string().starts_with("entry ") {
                true => error,
                false => error.within(&format!("entry {}", show(&entry.path))),
            })?;
        }
        Ok(())
    }

    fn entry<R: BufRead>(&mut self, entry: &Entry, reader: &mut Reader<R>) -> Result<()> {
        let path =
            clean(&entry.path).map_err(|_| refuse(&entry.path, "path leads out of the archive's root"))?;
        // The root's own attributes are not the archive's to decide (so in Docker and containerd).
        if path.is_empty() {
            return Ok(());
        }
        if self.purpose == Purpose::Layer && self.whiteout(&path)? {
            return Ok(());
        }
        let owner = match self.purpose {
            Purpose::Copy { owner, .. } => owner,
            Purpose::Layer => None,
        };
        let attributes = Attributes::of(entry, owner)
            .ok_or_else(|| refuse(&path, &format!("owner {}:{} is out of range", entry.uid, entry.gid)))?;
        let (parent, name) = split(&path);
        let dir = self.folder(parent)?;
        let dir = dir.as_fd();
        match entry.kind {
            Kind::File => self.file(&path, dir, name, entry, &attributes, reader),
            Kind::Directory => self.directory(&path, dir, name, attributes),
            Kind::Symlink => {
                let create = || symlinkat(entry.link.as_slice(), dir, name);
                self.placed(&path, dir, name, "create symbolic link", create)?;
                self.size += entry.link.len() as u64;
                self.attributes(&path, dir, name, &attributes)
            }
            Kind::HardLink => self.hard_link(&path, dir, name, entry, &attributes),
            Kind::Char | Kind::Block | Kind::Fifo => self.node(&path, dir, name, entry, &attributes),
            Kind::Other(flag) => Err(refuse(&path, &format!("unhandled tar header type {flag}"))),
        }
    }

    fn file<R: BufRead>(
        &mut self,
        path: &[u8],
        dir: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
        attributes: &Attributes,
        reader: &mut Reader<R>,
    ) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = attributes.mode & 0o777;
        let create = || openat(dir, name, flags, Mode::from_raw_mode(mode));
        let file = self.placed(path, dir, name, "create file", create)?;
        match &entry.sparse {
            None => write_data(&file, reader, path)?,
            Some(map) => write_fragments(&file, reader, path, map, entry.size)?,
        }
        self.size += entry.size;
        // In a container's folders anything may rub off (set-group-id, default ACLs): compare, don't assume.
        match self.purpose {
            Purpose::Layer => attributes.apply_to_new(file.as_fd(), mode, self.creator),
            Purpose::Copy { .. } => attributes.apply_to_open(file.as_fd()),
        }
        .context(|| format!("entry {}: set attributes", show(path)))
    }

    fn directory(
        &mut self,
        path: &[u8],
        dir: BorrowedFd<'_>,
        name: &[u8],
        attributes: Attributes,
    ) -> Result<()> {
        let created = dirs::creation_mode(attributes.mode);
        let mode = Mode::from_raw_mode(created);
        let (mut opaque, mut fresh) = (false, true);
        match mkdirat(dir, name, mode) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let stat = lstat(dir, name).context(|| format!("entry {}: stat", show(path)))?;
                if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                    opaque = self.whiteouts.contains(path) && is_whiteout(&stat);
                    self.clear(path, dir, name, true)?;
                    mkdirat(dir, name, mode).context(|| format!("entry {}: create directory", show(path)))?;
                } else {
                    fresh = false;
                }
            }
            Err(errno) => return Err(Error::io(format!("entry {}: create directory", show(path)), errno)),
        }
        let folder = self.folder_record(path);
        folder.opaque |= opaque;
        folder.attributes = Some(attributes);
        if fresh {
            folder.created = created;
        }
        Ok(())
    }

    fn hard_link(
        &mut self,
        path: &[u8],
        dir: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
        attributes: &Attributes,
    ) -> Result<()> {
        let what = format!("create hard link to {}", show(&entry.link));
        let target = clean(&entry.link).map_err(|_| {
            refuse(path, &format!("hard link to {} leads out of the archive's root", show(&entry.link)))
        })?;
        if target == path || target.is_empty() {
            return Err(refuse(path, &format!("hard link to {}, which is no file", show(&entry.link))));
        }
        let (target_parent, target_name) = split(&target);
        let missing = self.whiteouts.contains(&target);
        let found = if missing { Err(Errno::NOENT) } else { self.existing_folder(target_parent) };
        let found = found.and_then(|folder| lstat(folder.as_fd(), target_name).map(|stat| (folder, stat)));
        let (folder, stat) = match found {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::NOTDIR) if self.purpose == Purpose::Layer => {
                self.clear(path, dir, name, false)?;
                self.links.retain(|link| link.path != path);
                self.links.push(PendingLink { path: path.to_vec(), target });
                return Ok(());
            }
            Err(errno) => return Err(Error::io(format!("entry {}: {what}", show(path)), errno)),
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Err(refuse(path, &format!("hard link to {}, which is a directory", show(&entry.link))));
        }
        let create = || linkat(&folder, target_name, dir, name, AtFlags::empty());
        self.placed(path, dir, name, &what, create)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            // So in Docker: another name of a symbolic link changes its owner, not its time.
            let mtime = Time { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec as i64 };
            let atime = Time { seconds: stat.st_atime, nanoseconds: stat.st_atime_nsec as i64 };
            return self.attributes(path, dir, name, &Attributes { mtime, atime, ..attributes.clone() });
        }
        self.attributes(path, dir, name, attributes)
    }

    fn node(
        &mut self,
        path: &[u8],
        dir: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
        attributes: &Attributes,
    ) -> Result<()> {
        let kind = match entry.kind {
            Kind::Char => FileType::CharacterDevice,
            Kind::Block => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        let device = makedev(entry.device.0, entry.device.1);
        let mode = Mode::from_raw_mode(attributes.mode);
        match self.placed(path, dir, name, "create device", || mknodat(dir, name, kind, mode, device)) {
            Ok(()) => self.attributes(path, dir, name, attributes),
            // In a user namespace there are no devices to make; Docker leaves them out too.
            Err(Error::Io { source, .. })
                if source.raw_os_error() == Some(Errno::PERM.raw_os_error())
                    && self.purpose == Purpose::Layer
                    && kind != FileType::Fifo =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn attributes(
        &self,
        path: &[u8],
        dir: BorrowedFd<'_>,
        name: &[u8],
        attributes: &Attributes,
    ) -> Result<()> {
        attributes.apply_to_existing(dir, name).context(|| format!("entry {}: set attributes", show(path)))
    }

    /// Creates something; what is in its place is removed first. `what` says so in errors.
    fn placed<T>(
        &mut self,
        path: &[u8],
        dir: BorrowedFd<'_>,
        name: &[u8],
        what: &str,
        create: impl Fn() -> rustix::io::Result<T>,
    ) -> Result<T> {
        if !self.links.is_empty() {
            self.links.retain(|link| link.path != path);
        }
        let mut created = create();
        if matches!(created, Err(Errno::EXIST)) {
            self.clear(path, dir, name, false)?;
            created = create();
        }
        created.context(|| format!("entry {}: {what}", show(path)))
    }

    /// Removes what an entry replaces.
    fn clear(&mut self, path: &[u8], dir: BorrowedFd<'_>, name: &[u8], for_directory: bool) -> Result<()> {
        let context = || format!("entry {}: replace what is there", show(path));
        let stat = match lstat(dir, name) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(Error::io(context(), errno)),
        };
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if let Purpose::Copy { no_overwrite_dir_non_dir: true, .. } = self.purpose
            && is_directory != for_directory
        {
            let (old, new) = if is_directory { ("", "non-") } else { ("non-", "") };
            let path = format!("/{}", String::from_utf8_lossy(&join(&self.base, path)));
            let base = format!("/{}", String::from_utf8_lossy(&self.base));
            let text = format!("cannot overwrite {old}directory {path:?} with {new}directory {base:?}");
            return Err(Error::Invalid(text));
        }
        // Cached folders may have been reached through what goes.
        self.cache.clear();
        if is_directory {
            remove_tree(dir, name).context(context)?;
            self.forget_below(path);
        } else {
            unlinkat(dir, name, AtFlags::empty()).context(context)?;
            if stat.st_nlink == 1 {
                self.size = self.size.saturating_sub(stat.st_size as u64);
            }
        }
        self.whiteouts.remove(path);
        Ok(())
    }

    fn forget_below(&mut self, path: &[u8]) {
        let below = |known: &[u8]| {
            known.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        self.dirs.retain(|known, _| !below(known));
        self.whiteouts.retain(|known| !below(known));
        self.links.retain(|link| !below(&link.path));
    }

    /// A folder that must be there already.
    fn existing_folder(&mut self, path: &[u8]) -> rustix::io::Result<Rc<OwnedFd>> {
        if let Some(folder) = self.cached(path) {
            return Ok(folder);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let folder = Rc::new(open_in_root(self.root, &join(&self.base, path), flags, Mode::empty())?);
        self.remember(path, &folder);
        Ok(folder)
    }
}

fn bad_archive(error: TarError) -> Error {
    match error {
        TarError::Input(source) => read_error(source),
        error => Error::corrupt_by("read archive", error),
    }
}

fn write_data<R: BufRead>(file: &OwnedFd, reader: &mut Reader<R>, path: &[u8]) -> Result<()> {
    loop {
        let chunk = reader.chunk().map_err(bad_archive)?;
        if chunk.is_empty() {
            return Ok(());
        }
        let count = rustix::io::retry_on_intr(|| rustix::io::write(file, chunk))
            .context(|| format!("entry {}: write", show(path)))?;
        reader.consume(count);
    }
}

fn write_fragments<R: BufRead>(
    file: &OwnedFd,
    reader: &mut Reader<R>,
    path: &[u8],
    map: &[(u64, u64)],
    size: u64,
) -> Result<()> {
    let context = || format!("entry {}: write", show(path));
    for (offset, length) in map {
        let (mut at, mut left) = (*offset, *length);
        while left > 0 {
            let chunk = reader.chunk().map_err(bad_archive)?;
            let usable = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            if usable == 0 {
                return Err(refuse(path, "sparse map is longer than its data"));
            }
            let count = rustix::io::retry_on_intr(|| rustix::io::pwrite(file, &chunk[..usable], at))
                .context(context)?;
            reader.consume(count);
            at += count as u64;
            left -= count as u64;
        }
    }
    rustix::fs::ftruncate(file, size).context(context)
}

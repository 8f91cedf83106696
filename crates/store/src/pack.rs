//! From files to a tar: what `docker cp`, `export` and `commit` stream.
//!
//! Sorted and without anything that depends on the host, so the same tree gives the same bytes. A file that changes size
//! while it is read gets the size it had when its entry began (as GNU tar does): a container being packed may be running.

use std::collections::HashMap;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{FileType, Mode, OFlags, Stat, major, minor, openat, readlinkat};
use rustix::io::Errno;

use crate::copy::xattrs;
use crate::error::{Context, Error, Result};
use crate::extract::{is_opaque, show, split};
use crate::fsutil::{is_whiteout, list, lstat, open_plain};
use crate::tar::{Header, Kind, Time, Writer};

const BUFFER: usize = 128 * 1024;

/// Packs files into a tar.
pub(crate) struct Packer<W: Write> {
    writer: Writer<W>,
    /// Inodes with several names, and the first name in the archive.
    links: HashMap<(u64, u64), Vec<u8>>,
    /// Turn overlayfs' whiteouts into image-spec's markers.
    layer: bool,
    buffer: Vec<u8>,
}

impl<W: Write> Packer<W> {
    /// For files as a container sees them.
    pub fn new(out: W) -> Packer<W> {
        Packer { writer: Writer::new(out), links: HashMap::new(), layer: false, buffer: vec![0; BUFFER] }
    }

    /// For an upper folder, to become a layer.
    pub fn layer(out: W) -> Packer<W> {
        Packer { layer: true, ..Packer::new(out) }
    }

    /// Adds `name` in `dir`, with everything below it, as `path` (no slash at the end).
    pub fn add(&mut self, dir: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<()> {
        let context = || format!("pack {}", show(path));
        let stat = lstat(dir, name).context(context)?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::CharacterDevice if self.layer && is_whiteout(&stat) => return self.whiteout(path),
            FileType::CharacterDevice => Kind::Char,
            FileType::BlockDevice => Kind::Block,
            FileType::Fifo => Kind::Fifo,
            // Tar has no sockets; Docker leaves them out too.
            _ => return Ok(()),
        };
        if kind == Kind::Directory {
            return self.directory(dir, name, path, &stat);
        }
        if stat.st_nlink > 1 {
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&key).cloned() {
                let header =
                    Header { kind: Kind::HardLink, link: &first, size: 0, ..header(path, kind, &stat) };
                return self.write(&header, path);
            }
            self.links.insert(key, path.to_vec());
        }
        let xattrs = xattrs(dir, name).context(context)?;
        let header = Header { xattrs: &xattrs, ..header(path, kind, &stat) };
        match kind {
            Kind::File => self.file(dir, name, &header),
            Kind::Symlink => {
                let target = readlinkat(dir, name, Vec::new()).context(context)?;
                self.write(&Header { link: target.as_bytes(), ..header }, path)
            }
            _ => self.write(&header, path),
        }
    }

    fn directory(&mut self, dir: BorrowedFd<'_>, name: &[u8], path: &[u8], stat: &Stat) -> Result<()> {
        let context = || format!("pack {}", show(path));
        let slashed = [path, b"/"].concat();
        let xattrs = xattrs(dir, name).context(context)?;
        let header = Header { xattrs: &xattrs, ..header(&slashed, Kind::Directory, stat) };
        self.write(&header, path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = match openat(dir, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(()),
            folder => folder.context(context)?,
        };
        if self.layer && is_opaque(folder.as_fd()) {
            self.write(
                &Header { mode: 0, ..Header::file(&[&slashed, &b".wh..wh..opq"[..]].concat(), 0) },
                path,
            )?;
        }
        self.add_below(folder.as_fd(), &slashed)
    }

    /// Adds one path below `root` without what is below it, or the marker that it is gone.
    pub fn add_alone(&mut self, root: BorrowedFd<'_>, path: &[u8], gone: bool) -> Result<()> {
        if gone {
            return self.whiteout(path);
        }
        let context = || format!("pack {}", show(path));
        let (parent, name) = split(path);
        let folder = open_plain(root, parent, OFlags::PATH | OFlags::DIRECTORY).context(context)?;
        let stat = lstat(folder.as_fd(), name).context(context)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return self.add(folder.as_fd(), name, path);
        }
        let xattrs = xattrs(folder.as_fd(), name).context(context)?;
        let slashed = [path, b"/"].concat();
        self.write(&Header { xattrs: &xattrs, ..header(&slashed, Kind::Directory, &stat) }, path)
    }

    /// Adds what is in `dir`, each name after `prefix`.
    pub fn add_below(&mut self, dir: BorrowedFd<'_>, prefix: &[u8]) -> Result<()> {
        let mut names = list(dir).context(|| format!("list {}", show(prefix)))?;
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (name, _) in names {
            match self.add(dir, &name, &[prefix, &name].concat()) {
                // Gone since it was listed.
                Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        Ok(())
    }

    fn file(&mut self, dir: BorrowedFd<'_>, name: &[u8], header: &Header<'_>) -> Result<()> {
        let context = || format!("pack {}", show(header.path));
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(dir, name, flags, Mode::empty()).context(context)?;
        self.write(header, header.path)?;
        let mut left = header.size;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER);
            let buffer = &mut self.buffer[..want];
            let mut count =
                rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut *buffer)).context(context)?;
            if count == 0 {
                buffer.fill(0);
                count = want;
            }
            self.writer.data(&self.buffer[..count]).context(|| "write archive")?;
            left -= count as u64;
        }
        Ok(())
    }

    fn whiteout(&mut self, path: &[u8]) -> Result<()> {
        let at = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let marker = [&path[..at], b".wh.", &path[at..]].concat();
        self.write(&Header { mode: 0, ..Header::file(&marker, 0) }, path)
    }

    fn write(&mut self, header: &Header<'_>, path: &[u8]) -> Result<()> {
        self.writer.entry(header).context(|| format!("write archive at {}", show(path)))
    }

    pub fn finish(self) -> Result<W> {
        self.writer.finish().context(|| "write archive")
    }
}

fn header<'a>(path: &'a [u8], kind: Kind, stat: &Stat) -> Header<'a> {
    Header {
        path,
        link: b"",
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        // Whole seconds, as Docker: a digest should not depend on what precision a file system has.
        mtime: Time { seconds: stat.st_mtime, nanoseconds: 0 },
        size: if kind == Kind::File { stat.st_size as u64 } else { 0 },
        device: (major(stat.st_rdev), minor(stat.st_rdev)),
        xattrs: &[],
    }
}

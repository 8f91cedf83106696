//! The skeleton: a layer between an image and its containers with what the runtime needs to mount on and the image lacks.
//!
//! Without it the runtime makes these files in the container's own layer, and `diff` and `commit` show what the user never did.
//! The list is Docker's init layer (moby `daemon/initlayer/setup_unix.go`). One per image, beside its top layer, made at the
//! first container; not synced, because what a power loss takes from it the runtime makes again.
//!
//! Folders that the image has get the image's attributes: in an overlay the upper one's count.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use image::Digest;
use rustix::fs::{FileType, Mode, OFlags, RenameFlags, mkdirat, openat, renameat_with, symlinkat};
use rustix::io::Errno;

use crate::copy::attributes;
use crate::error::{Context, Result};
use crate::extract::split;
use crate::fsutil::{open_dir, open_plain, remove_tree, unique_name};
use crate::merged::Merged;
use crate::store::Store;

const NAME: &str = "skeleton";
const MODE: Mode = Mode::from_raw_mode(0o755);

enum Kind {
    Folder,
    File,
    Link(&'static str),
}

const ENTRIES: [(&[u8], Kind); 10] = [
    (b".dockerenv", Kind::File),
    (b"dev/console", Kind::File),
    (b"dev/pts", Kind::Folder),
    (b"dev/shm", Kind::Folder),
    (b"etc/hostname", Kind::File),
    (b"etc/hosts", Kind::File),
    (b"etc/mtab", Kind::Link("/proc/mounts")),
    (b"etc/resolv.conf", Kind::File),
    (b"proc", Kind::Folder),
    (b"sys", Kind::Folder),
];

impl Store {
    /// The skeleton on a stack of layers, top-most first, whose top is `top`.
    pub(crate) fn skeleton(&self, lower: &[PathBuf], top: Option<&Digest>) -> Result<PathBuf> {
        let home = match top {
            Some(chain) => self.inner.layer_dir(chain),
            None => self.root().to_owned(),
        };
        let target = home.join(NAME);
        if target.exists() {
            return Ok(target);
        }
        let name = format!("skeleton-{}", unique_name());
        let path = self.inner.tmp_path(&name);
        let context = || format!("make {}", target.display());
        std::fs::create_dir(&path).context(context)?;
        let made = build(&path, &Merged::open(lower)?).and_then(|()| {
            let cwd = rustix::fs::CWD;
            match renameat_with(cwd, &path, cwd, &target, RenameFlags::NOREPLACE) {
                // Another thread was quicker.
                Err(Errno::EXIST) => Ok(()),
                outcome => outcome.context(context),
            }
        });
        let _ = remove_tree(self.inner.tmp_fd(), name.as_bytes());
        made.map(|()| target)
    }
}

fn build(path: &Path, image: &Merged) -> Result<()> {
    let context = || format!("make {}", path.display());
    let root = open_dir(path).context(context)?;
    let root = root.as_fd();
    rustix::fs::chmodat(root, c".", MODE, rustix::fs::AtFlags::empty()).context(context)?;
    let mut folders: Vec<&[u8]> = Vec::new();
    for (path, kind) in &ENTRIES {
        let (parent, _) = split(path);
        let parent_kind = match parent.is_empty() {
            true => Some(FileType::Directory),
            false => image.find(parent)?.map(|found| found.kind()),
        };
        // The image has it, or something else where its folder should be.
        if image.find(path)?.is_some() || parent_kind.is_some_and(|kind| kind != FileType::Directory) {
            continue;
        }
        if !parent.is_empty() && !folders.contains(&parent) {
            mkdirat(root, parent, MODE).context(context)?;
            folders.push(parent);
        }
        make(root, path, kind).context(context)?;
    }
    for folder in folders {
        let made = openat(root, folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let made = made.context(context)?;
        match image.find(folder)? {
            Some(found) => {
                let (parent, name) = split(folder);
                let source = open_plain(image.layer(found.layer), parent, OFlags::PATH | OFlags::DIRECTORY);
                let source = source.context(context)?;
                attributes(source.as_fd(), name, &found.stat)
                    .and_then(|attributes| attributes.apply_to_open(made.as_fd()))
                    .context(context)?;
            }
            // The umask is not for containers.
            None => rustix::fs::fchmod(&made, MODE).context(context)?,
        }
    }
    Ok(())
}

fn make(root: BorrowedFd<'_>, path: &[u8], kind: &Kind) -> rustix::io::Result<()> {
    let made: OwnedFd = match kind {
        Kind::Link(target) => return symlinkat(*target, root, path),
        Kind::Folder => {
            mkdirat(root, path, MODE)?;
            openat(root, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?
        }
        Kind::File => openat(root, path, OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, MODE)?,
    };
    rustix::fs::fchmod(made, MODE)
}

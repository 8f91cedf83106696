//! Snapshots: the writable root of a container on an image's layers.
//!
//! On overlayfs a snapshot is two empty folders and a pin, on the image's layers and their skeleton. Where overlayfs can't be
//! used (the root lies on overlayfs, on NFS, …) the merged tree is copied into `rootfs/`, with blocks shared where the file
//! system can.
//!
//! ```text
//! containers/<id>/layer        symbolic link: pins the top layer for garbage collection as long as the folder is there
//!                 upper/ work/ overlayfs
//!                 rootfs/ rootfs.lower    plain copy, and what it was copied from
//! ```

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use image::Digest;
use rustix::fs::{FileType, Mode, OFlags, Stat, mkdirat, openat};

use crate::Rootfs;
use crate::copy::{attributes, copy_node};
use crate::error::{Context, Error, Result};
use crate::extract::{join, split};
use crate::fsutil::{open_dir, open_plain, tree_size};
use crate::merged::Merged;
use crate::store::Store;

const PIN: &str = "layer";

impl Store {
    /// Makes the writable root of a container in its folder, which exists. `None` is an image without layers.
    pub fn create_snapshot(&self, container_dir: &Path, image: Option<&Digest>) -> Result<Rootfs> {
        self.create_limited_snapshot(container_dir, image, None)
    }

    /// As [`Store::create_snapshot`]; the container can write so many bytes and no more.
    ///
    /// # Errors
    /// `Unsupported` where the file system has no project quotas; what was made by then is the caller's to remove.
    pub fn create_limited_snapshot(
        &self,
        container_dir: &Path,
        image: Option<&Digest>,
        limit: Option<u64>,
    ) -> Result<Rootfs> {
        let mut lower = Vec::new();
        if let Some(id) = image {
            self.ensure_layers(id)?;
            // A collection that runs now has seen either the image's name or this pin.
            let _use = self.inner.gc.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(top) = self.config(id)?.chain_ids().pop() {
                let pin = container_dir.join(PIN);
                std::os::unix::fs::symlink(self.inner.layer_dir(&top), &pin)
                    .context(|| format!("create {}", pin.display()))?;
                lower = self.chain_of(&top)?.into_iter().map(|layer| layer.path).collect();
                lower.insert(0, self.skeleton(&lower, Some(&top))?);
            }
        }
        if lower.is_empty() {
            lower.push(self.skeleton(&[], None)?);
        }
        if !self.overlay_works() {
            return self.copy_snapshot(container_dir, &lower, limit);
        }
        let folder = open_dir(container_dir).context(|| format!("open {}", container_dir.display()))?;
        for (name, mode) in [("upper", 0o755), ("work", 0o700)] {
            mkdirat(&folder, name, Mode::from_raw_mode(mode))
                .context(|| format!("create folder {}", container_dir.join(name).display()))?;
        }
        if let Some(limit) = limit {
            self.limit(&[&container_dir.join("upper"), &container_dir.join("work")], limit)?;
        }
        // The upper folder is the container's `/`: its mode is not the umask's to decide.
        rustix::fs::chmodat(&folder, c"upper", Mode::from_raw_mode(0o755), rustix::fs::AtFlags::empty())
            .context(|| format!("set mode of {}", container_dir.join("upper").display()))?;
        Ok(Rootfs::Overlay { lower, upper: container_dir.join("upper"), work: container_dir.join("work") })
    }

    fn copy_snapshot(&self, container_dir: &Path, lower: &[PathBuf], limit: Option<u64>) -> Result<Rootfs> {
        let path = container_dir.join("rootfs");
        let context = || format!("copy image to {}", path.display());
        std::fs::create_dir(&path).context(context)?;
        rustix::fs::chmod(&path, Mode::from_raw_mode(0o755)).context(context)?;
        if let Some(limit) = limit {
            // Here the image's files are the container's own.
            self.limit(&[&path], limit)?;
        }
        let record = serde_json::to_vec(lower).map_err(|error| Error::corrupt_by(context(), error))?;
        std::fs::write(container_dir.join("rootfs.lower"), record).context(context)?;
        let root = open_dir(&path).context(context)?;
        let merged = Merged::open(lower)?;
        copy_merged(&merged, b"", root.as_fd(), copy_node).map_err(|error| error.within(&context()))?;
        Ok(Rootfs::Directory(path))
    }

    /// Bytes of the container's own files.
    pub fn size_rw(&self, rootfs: &Rootfs) -> Result<u64> {
        match rootfs {
            Rootfs::Overlay { upper, .. } => {
                let folder = open_dir(upper).context(|| format!("open {}", upper.display()))?;
                tree_size(folder.as_fd()).context(|| format!("measure {}", upper.display()))
            }
            Rootfs::Directory(path) => {
                let folder = open_dir(path).context(|| format!("open {}", path.display()))?;
                let all = tree_size(folder.as_fd()).context(|| format!("measure {}", path.display()))?;
                let mut lower = 0;
                for layer in directory_lower(path)? {
                    let folder = open_dir(&layer).context(|| format!("open {}", layer.display()))?;
                    lower += tree_size(folder.as_fd()).context(|| format!("measure {}", layer.display()))?;
                }
                Ok(all.saturating_sub(lower))
            }
        }
    }

    /// Chain ids that containers were made from.
    pub(crate) fn pinned_layers(&self) -> Result<Vec<Digest>> {
        let folder = self.root().join("containers");
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.context(|| format!("list {}", folder.display()))?,
        };
        let pin = |entry: std::io::Result<std::fs::DirEntry>| {
            let target = std::fs::read_link(entry.ok()?.path().join(PIN)).ok()?;
            Digest::from_sha256_hex(target.file_name()?.to_str()?).ok()
        };
        Ok(entries.filter_map(pin).collect())
    }
}

/// What a plain copy was copied from.
pub(crate) fn directory_lower(rootfs: &Path) -> Result<Vec<PathBuf>> {
    let path = rootfs.with_file_name("rootfs.lower");
    let bytes = std::fs::read(&path).context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::corrupt_by(format!("read {}", path.display()), error))
}

/// How something that is no folder comes to its place: from a folder by its name, to a folder under a name.
type Place = fn(BorrowedFd<'_>, &[u8], &Stat, BorrowedFd<'_>, &[u8]) -> rustix::io::Result<()>;

/// Copies a merged tree into an empty folder. Copied hard links become files of their own.
pub(crate) fn copy_merged(merged: &Merged, path: &[u8], to: BorrowedFd<'_>, place: Place) -> Result<()> {
    for (name, found) in merged.list(path)? {
        let child = join(path, &name);
        let context = || format!("copy {}", crate::extract::show(&child));
        let (parent, _) = split(&child);
        let source = open_plain(merged.layer(found.layer), parent, OFlags::PATH | OFlags::DIRECTORY);
        let source = source.context(context)?;
        if found.kind() != FileType::Directory {
            place(source.as_fd(), &name, &found.stat, to, &name).context(context)?;
            continue;
        }
        mkdirat(to, name.as_slice(), Mode::RWXU).context(context)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat(to, name.as_slice(), flags, Mode::empty()).context(context)?;
        copy_merged(merged, &child, made.as_fd(), place)?;
        attributes(source.as_fd(), &name, &found.stat)
            .and_then(|attributes| attributes.apply_to_open(made.as_fd()))
            .context(context)?;
    }
    Ok(())
}

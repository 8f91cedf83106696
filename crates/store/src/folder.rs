//! An image's files as one folder, for whoever can't be given a mount of several layers (`--mount type=image`). Not to be written.
//!
//! The one layer of an image is that folder. Of several, `layers/<top chain id>/merged` is made at the first need, and goes with
//! the layer; its files are further names of the layers' files, so that it takes the space of its folders only.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use image::Digest;
use rustix::fs::{AtFlags, CWD, RenameFlags, Stat, linkat, renameat_with};
use rustix::io::Errno;

use crate::copy::copy_node;
use crate::error::{Context, Error, Result};
use crate::fsutil::{open_dir, remove_tree, unique_name};
use crate::merged::Merged;
use crate::snapshot::copy_merged;
use crate::store::Store;

/// Beside a layer's `diff`.
pub(crate) const MERGED: &str = "merged";

impl Store {
    /// The merged tree of an image as a folder of the host.
    pub fn image_folder(&self, id: &Digest) -> Result<PathBuf> {
        let layers = self.chain_paths(id)?;
        let top = match (&layers[..], self.config(id)?.chain_ids().pop()) {
            ([], _) | (_, None) => return self.empty_folder(),
            ([one], _) => return Ok(one.clone()),
            (_, Some(top)) => top,
        };
        let target = self.inner.layer_dir(&top).join(MERGED);
        if target.is_dir() {
            return Ok(target);
        }
        let name = format!("merged-{}", unique_name());
        let path = self.inner.tmp_path(&name);
        let context = || format!("make {}", target.display());
        std::fs::create_dir(&path).context(context)?;
        let made = rustix::fs::chmod(&path, rustix::fs::Mode::from_raw_mode(0o755))
            .context(context)
            .and_then(|()| {
                copy_merged(&Merged::open(&layers)?, b"", open_dir(&path).context(context)?.as_fd(), link)
            })
            .and_then(|()| match renameat_with(CWD, &path, CWD, &target, RenameFlags::NOREPLACE) {
                // Another thread was quicker.
                Err(Errno::EXIST) => Ok(()),
                outcome => outcome.context(context),
            });
        let _ = remove_tree(self.inner.tmp_fd(), name.as_bytes());
        made.map_err(|error: Error| error.within(&format!("put image {id} together")))?;
        Ok(target)
    }
}

/// Another name where there can be one (a file has 65,000 at most on ext4, and user namespaces may link only what is theirs).
fn link(
    from: BorrowedFd<'_>,
    from_name: &[u8],
    stat: &Stat,
    to: BorrowedFd<'_>,
    to_name: &[u8],
) -> rustix::io::Result<()> {
    match linkat(from, from_name, to, to_name, AtFlags::empty()) {
        Err(Errno::MLINK | Errno::PERM | Errno::XDEV | Errno::OPNOTSUPP) => {
            copy_node(from, from_name, stat, to, to_name)
        }
        outcome => outcome,
    }
}

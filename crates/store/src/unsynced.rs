//! What may still be in the page cache only, and what to do about it after power loss.
//!
//! An empty file `unsynced/<name>` is made before a blob or layer is renamed into place, and removed after a `syncfs` that
//! came later. Journalled file systems keep the order of such changes, so after power loss whatever was published without
//! having reached the disk still has its mark. `unsynced/boot` holds the kernel's boot id: marks of this boot are harmless
//! (the process died, the kernel kept the data); with another boot id each marked blob is hashed, each marked layer is
//! dropped (it is made again from its blob) unless it was made here and still is what it was made as, and images that are no longer whole lose their names.

use std::os::fd::AsFd;

use image::Digest;
use rustix::fs::{AtFlags, Mode, OFlags, openat, syncfs, unlinkat};

use crate::error::{Context, Result};
use crate::fsutil::{self, boot_id, list, remove_tree};
use crate::store::{Inner, Store, held};

const BOOT: &str = "boot";

impl Inner {
    pub fn mark_blob(&self, digest: &Digest) -> Result<()> {
        self.mark(&format!("{}-{}", digest.algorithm().as_str(), digest.hex()))
    }

    pub fn mark_layer(&self, chain: &Digest) -> Result<()> {
        self.mark(&format!("layer-{}", chain.hex()))
    }

    fn mark(&self, name: &str) -> Result<()> {
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        openat(&self.unsynced, name, flags, Mode::from_raw_mode(0o600))
            .context(|| format!("create mark {name}"))
            .map(drop)
    }
}

/// Syncs the store's file system and removes the marks that were there before.
pub(crate) fn flush(store: &Store) -> Result<()> {
    let inner = &store.inner;
    let marks = list(inner.unsynced.as_fd()).context(|| "list marks")?;
    let marks: Vec<_> = marks.into_iter().filter(|(name, _)| name != BOOT.as_bytes()).collect();
    if marks.is_empty() {
        return Ok(());
    }
    // syncfs wants a descriptor that is open, not one to resolve from.
    let folder = fsutil::listable(inner.root_fd.as_fd()).context(|| "open the store's folder")?;
    syncfs(&folder).context(|| format!("sync {}", inner.root.display()))?;
    for (name, _) in marks {
        let _ = unlinkat(&inner.unsynced, name.as_slice(), AtFlags::empty());
    }
    Ok(())
}

/// Run at open: drops what did not survive a power loss.
pub(crate) fn recover(store: &Store) -> Result<()> {
    let inner = &store.inner;
    let path = inner.root.join("unsynced").join(BOOT);
    let boot = boot_id();
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    if before == boot {
        return Ok(());
    }
    let marks = list(inner.unsynced.as_fd()).context(|| "list marks")?;
    let mut doubted = false;
    for (name, _) in &marks {
        doubted |= doubt(store, name)?;
    }
    if doubted {
        // Downloads of the last boot may have holes, and hashing them costs as much as it saves.
        let ingest = inner.root.join("ingest");
        let folder = fsutil::open_dir(&ingest).context(|| format!("open {}", ingest.display()))?;
        for (name, _) in list(folder.as_fd()).context(|| "list downloads")? {
            remove_tree(folder.as_fd(), &name).context(|| "remove an unfinished download")?;
        }
        store.forget_broken_images()?;
    }
    fsutil::write_durable(&path, boot.as_bytes()).context(|| format!("write {}", path.display()))?;
    for (name, _) in marks.iter().filter(|(name, _)| name != BOOT.as_bytes()) {
        let _ = unlinkat(&inner.unsynced, name.as_slice(), AtFlags::empty());
    }
    Ok(())
}

/// Checks one mark's content; whether it named any.
fn doubt(store: &Store, mark: &[u8]) -> Result<bool> {
    let inner = &store.inner;
    let Some((kind, hex)) = std::str::from_utf8(mark).ok().and_then(|mark| mark.split_once('-')) else {
        return Ok(false);
    };
    if kind == "layer" {
        let Ok(chain) = Digest::from_sha256_hex(hex) else { return Ok(false) };
        // There may be no blob to make it from again.
        let made_here = store.layer_or_damaged(&chain).filter(|layer| layer.made_here);
        if made_here.is_some_and(|layer| store.hash_folder(&layer).is_ok_and(|found| found == layer.diff_id))
        {
            return Ok(true);
        }
        held(&inner.layers).remove(&chain);
        let layers = inner.root.join("layers");
        let folder = fsutil::open_dir(&layers).context(|| format!("open {}", layers.display()))?;
        remove_tree(folder.as_fd(), chain.hex().as_bytes()).context(|| format!("remove layer {chain}"))?;
        return Ok(true);
    }
    let Ok(digest) = format!("{kind}:{hex}").parse::<Digest>() else { return Ok(false) };
    if store.has_blob(&digest) && store.verify_blob(&digest).is_err() {
        let path = inner.blob_path(&digest);
        std::fs::remove_file(&path).context(|| format!("remove damaged {}", path.display()))?;
    }
    Ok(true)
}

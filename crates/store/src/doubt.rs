//! What is known to be damaged: content that was found not to be what its digest says, until it is brought again.
//!
//! `damaged/<algorithm>-<hex>` marks a blob, `damaged/layer-<hex>` an unpacked layer. To everybody who asks, marked content is
//! not here: the next pull, load or run makes just that again and takes the mark away. Nothing is deleted before there is
//! something better, and a layer's old files stay for the containers that run on them.

use std::collections::HashSet;
use std::os::fd::AsFd;

use image::{Descriptor, Digest};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, openat, renameat_with, unlinkat};
use rustix::io::Errno;

use crate::error::{Context, Result};
use crate::folder::MERGED;
use crate::fsutil::{list, open_dir, unique_name};
use crate::layer::StagedLayer;
use crate::store::{Inner, Store, held};

/// Files of a damaged layer that containers may still run on: `layers/replaced-<chain id hex>-<unique>`.
const REPLACED: &str = "replaced-";

impl Inner {
    fn marks(&self) -> Result<rustix::fd::OwnedFd> {
        let folder = self.root.join("damaged");
        open_dir(&folder).context(|| format!("open {}", folder.display()))
    }

    fn mark_damaged(&self, name: String) -> Result<()> {
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        openat(self.marks()?, name.as_str(), flags, Mode::from_raw_mode(0o600))
            .context(|| format!("mark {name} as damaged"))?;
        held(&self.damaged).insert(name);
        Ok(())
    }

    fn unmark(&self, name: &str) -> Result<()> {
        if !held(&self.damaged).remove(name) {
            return Ok(());
        }
        match unlinkat(self.marks()?, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno).context(|| format!("remove the mark of {name}")),
        }
    }

    pub fn blob_is_damaged(&self, digest: &Digest) -> bool {
        let damaged = held(&self.damaged);
        !damaged.is_empty() && damaged.contains(&blob_mark(digest))
    }

    pub fn layer_is_damaged(&self, chain: &Digest) -> bool {
        let damaged = held(&self.damaged);
        !damaged.is_empty() && damaged.contains(&layer_mark(chain))
    }

    pub fn blob_is_sound(&self, digest: &Digest) -> Result<()> {
        self.unmark(&blob_mark(digest))
    }

    pub fn layer_is_sound(&self, chain: &Digest) -> Result<()> {
        self.unmark(&layer_mark(chain))
    }

    pub fn doubt_layer(&self, chain: &Digest) -> Result<()> {
        held(&self.layers).remove(chain);
        self.mark_damaged(layer_mark(chain))
    }

    /// Marks of earlier runs.
    pub fn known_damage(root: &std::path::Path) -> Result<HashSet<String>> {
        let folder = root.join("damaged");
        let open = open_dir(&folder).context(|| format!("open {}", folder.display()))?;
        let names = list(open.as_fd()).context(|| "list marks of damage")?;
        Ok(names.into_iter().filter_map(|(name, _)| String::from_utf8(name).ok()).collect())
    }

    /// Puts a staged layer, complete in `tmp/`, where a damaged one lies. What stands on that one (a skeleton) stays.
    pub fn replace_layer(&self, chain: &Digest, staged: &str) -> Result<()> {
        let context = || format!("replace layer {chain}");
        let (fresh, old) = (self.tmp_path(staged), self.layer_dir(chain));
        let cwd = rustix::fs::CWD;
        match renameat_with(cwd, fresh.join("diff"), cwd, old.join("diff"), RenameFlags::EXCHANGE) {
            Err(Errno::NOENT) => std::fs::rename(fresh.join("diff"), old.join("diff")).context(context)?,
            outcome => outcome.context(context)?,
        }
        std::fs::rename(fresh.join("layer.json"), old.join("layer.json")).context(context)?;
        let aside = self.root.join("layers").join(format!("{REPLACED}{}-{}", chain.hex(), unique_name()));
        std::fs::rename(&fresh, aside).context(context)?;
        self.set_merged_aside()
    }

    /// Folders put together from layers may hold what was damaged; they are made again at the next need.
    fn set_merged_aside(&self) -> Result<()> {
        let layers = self.root.join("layers");
        let folder = open_dir(&layers).context(|| format!("open {}", layers.display()))?;
        for (name, _) in list(folder.as_fd()).context(|| "list layers")? {
            let name = String::from_utf8_lossy(&name).into_owned();
            let aside = layers.join(format!("{REPLACED}{name}-{}", unique_name()));
            match std::fs::rename(layers.join(&name).join(MERGED), aside) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                outcome => outcome.context(|| format!("set files of layer {name} aside"))?,
            }
        }
        Ok(())
    }
}

fn blob_mark(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm().as_str(), digest.hex())
}

fn layer_mark(chain: &Digest) -> String {
    format!("layer-{}", chain.hex())
}

/// The layer whose old files a folder below `layers/` holds.
pub(crate) fn replaced(name: &[u8]) -> Option<Digest> {
    let rest = std::str::from_utf8(name).ok()?.strip_prefix(REPLACED)?;
    Digest::from_sha256_hex(rest.split('-').next()?).ok()
}

impl Store {
    /// Whoever reads the blob found that it is not what its digest says: from now on it is not here.
    pub fn doubt_blob(&self, digest: &Digest) -> Result<()> {
        held(&self.inner.manifests).remove(digest);
        held(&self.inner.configs).remove(digest);
        self.inner.mark_damaged(blob_mark(digest))
    }

    /// Whether a blob is here as its descriptor says. One of another size is damaged, and marked so.
    pub fn has(&self, blob: &Descriptor) -> Result<bool> {
        match self.blob_size(&blob.digest) {
            Some(size) if size == blob.size => Ok(true),
            Some(_) => self.doubt_blob(&blob.digest).map(|()| false),
            None => Ok(false),
        }
    }

    /// Whether a layer is here with its files, which somebody may have taken away.
    pub fn has_layer(&self, chain: &Digest) -> bool {
        let Some(layer) = self.layer(chain) else { return false };
        let there = layer.path.is_dir();
        if !there {
            // Where not even a mark can be made, nothing can be unpacked either, and that is said.
            let _ = self.inner.doubt_layer(chain);
        }
        there
    }
}

impl StagedLayer {
    /// Takes the place of a damaged layer.
    pub(crate) fn replace(&mut self, chain: &Digest) -> Result<()> {
        if let Some(name) = self.name.take() {
            let replaced = self.store.inner.replace_layer(chain, &name);
            if replaced.is_err() {
                self.name = Some(name);
            }
            return replaced;
        }
        Ok(())
    }
}

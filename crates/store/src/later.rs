//! Layers that are not packed yet: what a commit makes is a folder, and it is packed when its image leaves the host, is saved,
//! or when there is nothing else to do. Most committed images never leave.
//!
//! ```text
//! commit   manifest names the layer's plain tar, which is nowhere: digest = diff id
//! leaving  folder ─▶ tar ─▶ gzip ─▶ blob; names point at a manifest with that blob from then on
//! ```
//! The tar of such a folder is always the same (see `pack`), so its diff id tells whether the folder is sound.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

use image::{Compression, Descriptor, Digest, Hasher, Manifest, MediaKind, MediaType};

use crate::error::{Context, Error, Result};
use crate::fsutil::open_dir;
use crate::pack::Packer;
use crate::store::Store;
use crate::{ImageRecord, LayerInfo};

impl Store {
    /// Whether a layer of an image is here: as a blob, or as a folder to pack.
    pub fn has_layer_of(&self, manifest: &Manifest, at: usize) -> bool {
        let Some(layer) = manifest.layers.get(at) else { return false };
        self.has_blob(&layer.digest) || self.folder_of(manifest, at).is_some()
    }

    /// Whether all layers of an image that may be distributed are here.
    pub fn has_layers_of(&self, manifest: &Manifest) -> bool {
        let mut layers = manifest.layers.iter().enumerate();
        layers.all(|(at, layer)| layer.media_type.is_foreign() || self.has_layer_of(manifest, at))
    }

    /// The sound folder that stands for a layer's blob.
    fn folder_of(&self, manifest: &Manifest, at: usize) -> Option<LayerInfo> {
        self.folder_or_damaged(manifest, at).filter(|layer| !self.inner.layer_is_damaged(&layer.chain_id))
    }

    /// As `folder_of`, also when it is known to be damaged.
    pub(crate) fn folder_or_damaged(&self, manifest: &Manifest, at: usize) -> Option<LayerInfo> {
        let digest = &manifest.layers.get(at)?.digest;
        let config = self.config(&manifest.config.digest).ok()?;
        if config.rootfs.diff_ids.get(at)? != digest {
            return None;
        }
        self.layer_or_damaged(config.chain_ids().get(at)?).filter(|layer| layer.made_here)
    }

    /// Images with layers that are not packed yet.
    pub fn unpacked_images(&self) -> Result<Vec<ImageRecord>> {
        let is_unpacked = |image: &ImageRecord| {
            self.manifest(&image.manifest).is_ok_and(|manifest| !self.unpacked(&manifest).is_empty())
        };
        Ok(self.images()?.into_iter().filter(is_unpacked).collect())
    }

    /// The layers of an image that have no blob yet, and the sound folders that stand for them.
    fn unpacked(&self, manifest: &Manifest) -> Vec<(usize, LayerInfo)> {
        let layers = manifest.layers.iter().enumerate();
        let missing = layers.filter(|(_, layer)| !self.has_blob(&layer.digest));
        missing.filter_map(|(at, _)| Some((at, self.folder_of(manifest, at)?))).collect()
    }

    /// An image with all its layers packed, as it can leave the host. Its id and its names stay; its manifest may be a new one.
    pub fn packed_image(&self, record: &ImageRecord) -> Result<ImageRecord> {
        let lease = self.lease();
        lease.add_image(&record.id);
        let manifest = self.manifest(&record.manifest)?;
        let folders = self.unpacked(&manifest);
        if folders.is_empty() {
            return Ok(record.clone());
        }
        let mut packed = Manifest::clone(&manifest);
        for (at, layer) in folders {
            packed.layers[at] = self.packed_layer(&layer)?;
        }
        let bytes = packed.to_bytes();
        self.put_blob(&bytes)?;
        self.replace_manifest(record, Descriptor::of(MediaType::OCI_MANIFEST, &bytes))
    }

    /// Packs a layer, unless it was packed before.
    fn packed_layer(&self, layer: &LayerInfo) -> Result<Descriptor> {
        if let Some(blob) = self.packed_elsewhere(layer)? {
            return Ok(blob);
        }
        let what = || format!("pack layer {}", layer.diff_id);
        let folder = open_dir(&layer.path).context(|| format!("open {}", layer.path.display()))?;
        let packed = self.pack_layer(Compression::Gzip, |packer| packer.add_below(folder.as_fd(), b""));
        let (descriptor, found) = packed.map_err(|error| error.within(&what()))?;
        if found != layer.diff_id {
            self.inner.doubt_layer(&layer.chain_id)?;
            let (what, expected) = (format!("layer {}", layer.chain_id), layer.diff_id.clone());
            return Err(Error::Digest { what, expected, found });
        }
        Ok(descriptor)
    }

    /// The blob by which another image has the layer.
    fn packed_elsewhere(&self, layer: &LayerInfo) -> Result<Option<Descriptor>> {
        for image in self.images()? {
            let (Ok(manifest), Ok(config)) = (self.manifest(&image.manifest), self.config(&image.id)) else {
                continue;
            };
            let at = config.rootfs.diff_ids.iter().position(|diff_id| *diff_id == layer.diff_id);
            let Some(blob) = at.and_then(|at| manifest.layers.get(at)) else { continue };
            let MediaKind::Layer(compression) = blob.media_type.kind() else { continue };
            if self.has_blob(&blob.digest) {
                let media_type = MediaType::oci_layer(compression);
                return Ok(Some(Descriptor { media_type, ..blob.bare() }));
            }
        }
        Ok(None)
    }

    /// Whether a layer's folder is still what it was made as; the diff id that it has.
    pub(crate) fn hash_folder(&self, layer: &LayerInfo) -> Result<Digest> {
        let folder = open_dir(&layer.path).context(|| format!("open {}", layer.path.display()))?;
        Ok(hash(folder.as_fd())?.0)
    }
}

/// The diff id of a folder in overlayfs' form, and the size of its tar.
pub(crate) fn hash(folder: BorrowedFd<'_>) -> Result<(Digest, u64)> {
    let mut packer = Packer::layer(Hashing { hasher: Hasher::sha256(), size: 0 });
    packer.add_below(folder, b"")?;
    let Hashing { hasher, size } = packer.finish()?;
    Ok((hasher.finish(), size))
}

struct Hashing {
    hasher: Hasher,
    size: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

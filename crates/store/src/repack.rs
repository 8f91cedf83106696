//! An image's layers packed another way: the same tars, so the same configuration and image id, under another manifest.
//!
//! The same content packed the same way gives the same bytes, on every host: nothing of the time or the host is in them.

use std::io::{self, Write};

use image::{Compression, Descriptor, Digest, Manifest, MediaKind, MediaType};

use crate::ImageRecord;
use crate::commit::LayerWriter;
use crate::decompress::{plain, read_error};
use crate::error::{Context, Error, Result};
use crate::store::Store;

/// How layers are to be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    pub compression: Compression,
    /// The packer's own scale; `None` for its usual one.
    pub level: Option<u32>,
}

impl Store {
    /// Makes a manifest like this one whose layers are packed as told; layers that are so already stay as they are. Hold a
    /// [`crate::Lease`] as long as it is needed: no name protects it.
    pub fn repack(&self, manifest: &Digest, packed: Packed) -> Result<Descriptor> {
        self.repack_some(manifest, packed, |compression| compression != packed.compression)
    }

    /// An image as it is pushed. What came from no registry may have layers that nobody compressed (an archive of `docker save`):
    /// they are, once, and its names point at a manifest with those from then on. Anything else has its digest to keep.
    pub fn pushed_image(&self, record: &ImageRecord) -> Result<ImageRecord> {
        let record = self.packed_image(record)?;
        let target = &record.target;
        let is_known = record.repo_digests.iter().any(|name| name.digest.as_ref() == Some(&target.digest));
        let is_plain = |layer: &Descriptor| layer.media_type.kind() == MediaKind::Layer(Compression::None);
        if is_known
            || target.digest != record.manifest
            || !self.manifest(&record.manifest)?.layers.iter().any(is_plain)
        {
            return Ok(record);
        }
        let lease = self.lease();
        lease.add_image(&record.id);
        let packed = Packed { compression: Compression::Gzip, level: None };
        let target =
            self.repack_some(&record.manifest, packed, |compression| compression == Compression::None)?;
        self.replace_manifest(&record, target)
    }

    fn repack_some(
        &self,
        manifest: &Digest,
        packed: Packed,
        is_meant: impl Fn(Compression) -> bool,
    ) -> Result<Descriptor> {
        let original = self.manifest(manifest)?;
        let mut repacked = Manifest { media_type: MediaType::OCI_MANIFEST, ..(*original).clone() };
        let config = self.config(&original.config.digest)?;
        for (at, layer) in original.layers.iter().enumerate() {
            let is_meant =
                matches!(layer.media_type.kind(), MediaKind::Layer(compression) if is_meant(compression));
            let keep = !is_meant || layer.media_type.is_foreign() || !layer.media_type.is_layer();
            let annotations = layer.annotations.clone();
            let new = match keep {
                true => Descriptor { media_type: oci(&layer.media_type, packed), ..layer.clone() },
                false => Descriptor {
                    annotations,
                    ..self.repack_blob(layer, config.rootfs.diff_ids.get(at), packed)?
                },
            };
            repacked.layers[at] = new;
        }
        if repacked.config.media_type == MediaType::DOCKER_CONFIG {
            repacked.config.media_type = MediaType::OCI_CONFIG;
        }
        let bytes = repacked.to_bytes();
        self.put_blob(&bytes)?;
        Ok(Descriptor::of(MediaType::OCI_MANIFEST, &bytes))
    }

    fn repack_blob(
        &self,
        layer: &Descriptor,
        diff_id: Option<&Digest>,
        packed: Packed,
    ) -> Result<Descriptor> {
        let what = || format!("pack layer {} anew", layer.digest);
        let mut writer = LayerWriter::with_level(self.new_blob()?, packed.compression, packed.level)?;
        let found = plain(self.open_blob(&layer.digest)?, |plain| {
            io::copy(plain, &mut writer).map_err(read_error)?;
            plain.finish().map_err(read_error)
        });
        let (found, _) = found.map_err(|error| error.within(&what()))?;
        writer.flush().context(what)?;
        let (blob, _) = writer.finish().context(what)?;
        if let Some(expected) = diff_id.filter(|expected| **expected != found) {
            let (what, expected) = (format!("layer {}", layer.digest), expected.clone());
            return Err(Error::Digest { what, expected, found });
        }
        let (digest, size) = blob.commit()?;
        Ok(Descriptor::new(MediaType::oci_layer(packed.compression), digest, size))
    }
}

/// A manifest is of one family: Docker's has no zstd.
fn oci(media_type: &MediaType, packed: Packed) -> MediaType {
    match media_type.is_docker() && !media_type.is_foreign() {
        true => MediaType::oci_layer(packed.compression),
        false => media_type.clone(),
    }
}

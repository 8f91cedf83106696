//! Images for several platforms: which manifests of an index have their content here, and the image as one of those is.
//!
//! A name has one image, for one platform; what else of its index is here is content that garbage collection keeps with the
//! index. It can be saved, pushed, looked at and removed; layers are unpacked when somebody asks for them.

use image::{Descriptor, Digest, Index, Platform};

use crate::error::{Context, Error, Result};
use crate::names::Name;
use crate::store::{Store, held};
use crate::{Deleted, ImageRecord};

/// An index may name an index, but not for ever.
const MAX_DEPTH: usize = 3;

/// A manifest behind a name.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexEntry {
    /// As its index has it.
    pub descriptor: Descriptor,
    /// Whether manifest, configuration and layers are in the store.
    pub is_here: bool,
}

impl Store {
    /// The manifests that a target stands for, those of nested indexes too; the target itself if it is a manifest.
    pub fn index_entries(&self, target: &Descriptor) -> Result<Vec<IndexEntry>> {
        let mut found = Vec::new();
        self.collect_entries(target, 0, &mut found)?;
        Ok(found)
    }

    fn collect_entries(&self, at: &Descriptor, depth: usize, found: &mut Vec<IndexEntry>) -> Result<()> {
        if !at.media_type.is_index() {
            found.push(IndexEntry { descriptor: at.clone(), is_here: self.is_whole(&at.digest) });
            return Ok(());
        }
        // The outermost index must be here; a nested one may be missing as a manifest may.
        if depth > 0 && (depth > MAX_DEPTH || !self.has_blob(&at.digest)) {
            found.push(IndexEntry { descriptor: at.clone(), is_here: false });
            return Ok(());
        }
        let index = Index::parse(&self.read_blob(&at.digest)?)
            .map_err(|error| Error::corrupt_by(format!("read index {}", at.digest), error))?;
        index.manifests.iter().try_for_each(|entry| self.collect_entries(entry, depth + 1, found))
    }

    /// Whether a manifest is here with everything that it names and that may be distributed.
    pub fn is_whole(&self, manifest: &Digest) -> bool {
        let Ok(manifest) = self.manifest(manifest) else { return false };
        self.has_blob(&manifest.config.digest) && self.has_layers_of(&manifest)
    }

    /// The manifest for a platform behind a name, if its content is here.
    pub fn manifest_for(&self, record: &ImageRecord, wanted: &Platform) -> Result<Option<Descriptor>> {
        if wanted.matches(&self.config(&record.id)?.platform()) {
            let manifest = self.own_manifest(record)?;
            return Ok(Some(manifest));
        }
        if !record.target.media_type.is_index() {
            return Ok(None);
        }
        let entries = self.index_entries(&record.target)?;
        let here: Vec<Descriptor> =
            entries.into_iter().filter(|entry| entry.is_here).map(|entry| entry.descriptor).collect();
        Ok(wanted.order(&here).first().map(|entry| (*entry).clone()))
    }

    /// The descriptor of an image's manifest.
    pub fn own_manifest(&self, record: &ImageRecord) -> Result<Descriptor> {
        let document = self.manifest(&record.manifest)?;
        let media_type = match document.media_type.is_empty() {
            true => image::MediaType::OCI_MANIFEST,
            false => document.media_type.clone(),
        };
        let size = self.blob_size(&record.manifest).unwrap_or(0);
        Ok(Descriptor::new(media_type, record.manifest.clone(), size))
    }

    /// The image as it is for a platform, unpacked; `None` when that one's content is not here.
    pub fn image_for(&self, record: &ImageRecord, wanted: &Platform) -> Result<Option<ImageRecord>> {
        let Some(manifest) = self.manifest_for(record, wanted)? else { return Ok(None) };
        if manifest.digest == record.manifest {
            return Ok(Some(record.clone()));
        }
        self.unpack_manifest(&manifest.digest)?;
        let name = self.complete(&manifest, Some(&record.target))?;
        Ok(Some(ImageRecord {
            id: name.id,
            manifest: name.manifest,
            size: name.size,
            created: name.created,
            parent: None,
            ..record.clone()
        }))
    }

    /// Removes what an image has for one platform and no other name needs; the name then stands for another platform whose
    /// content is here. `None` when there is no other: the image as a whole is what would have to go.
    pub fn remove_platform(&self, record: &ImageRecord, manifest: &Digest) -> Result<Option<Vec<Deleted>>> {
        let entries = self.index_entries(&record.target)?;
        let others = entries.iter().filter(|entry| {
            entry.is_here && entry.descriptor.digest != *manifest && !entry.descriptor.is_attestation()
        });
        let others: Vec<Descriptor> = others.map(|entry| entry.descriptor.clone()).collect();
        let here = Platform::host();
        let Some(next) = here.order(&others).first().copied().or(others.first()) else { return Ok(None) };
        if record.manifest == *manifest {
            self.unpack_manifest(&next.digest)?;
            let replacement = self.complete(next, Some(&record.target))?;
            self.replace_names(record, &replacement)?;
        }
        let needed = |name: &Name| name.manifest == *manifest;
        if self.names()?.entries.iter().any(needed) {
            let text = format!("conflict: manifest {manifest} is used under another name");
            return Err(Error::Conflict(text));
        }
        let path = self.inner.blob_path(manifest);
        std::fs::remove_file(&path).context(|| format!("remove {}", path.display()))?;
        held(&self.inner.manifests).remove(manifest);
        let freed = self.gc()?;
        let gone = [manifest.clone()].into_iter().chain(freed.layers);
        Ok(Some(gone.map(Deleted::Deleted).collect()))
    }

    /// Points the names of an image that have its target at another manifest of that target.
    fn replace_names(&self, record: &ImageRecord, replacement: &Name) -> Result<()> {
        let mut names = self.names()?;
        let mut entries = names.entries.clone();
        for entry in &mut entries {
            if entry.id == record.id && entry.target.digest == record.target.digest {
                let (reference, tagged) = (entry.reference.take(), entry.tagged);
                *entry = Name { reference, tagged, ..replacement.clone() };
            }
        }
        names.store(entries)
    }
}

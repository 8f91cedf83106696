//! Images: list, find, name, forget. An image is a configuration; its id is the configuration's digest.
//!
//! Decides nothing about whether an image may be removed; it keeps index, blobs and layers consistent whatever is asked.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use image::{Descriptor, Digest, ImageConfig, Index, Manifest, MediaType, Platform, Reference};
use jiff::Timestamp;

use crate::error::{Error, Result};
use crate::names::{Name, Names};
use crate::store::{Store, held};
use crate::{Deleted, ImageRecord};

impl Store {
    /// All images, newest first (then by id).
    pub fn images(&self) -> Result<Vec<ImageRecord>> {
        let names = self.names()?;
        let mut groups: BTreeMap<&Digest, Vec<&Name>> = BTreeMap::new();
        for name in &names.entries {
            groups.entry(&name.id).or_default().push(name);
        }
        let mut records: Vec<_> = groups.into_values().map(|group| record(group[0], &group)).collect();
        records.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        Ok(records)
    }

    /// Finds an image as Docker does: full id, then name (`latest` unless it says else), then short id, each id with or
    /// without `sha256:`.
    ///
    /// # Errors
    /// `NotFound` ("No such image: …"), `Conflict` for an ambiguous short id, `Invalid` for what can be neither.
    pub fn image(&self, name_or_id: &str) -> Result<ImageRecord> {
        let names = self.names()?;
        let bare = name_or_id.strip_prefix("sha256:").unwrap_or(name_or_id);
        if let Ok(id) = Digest::from_sha256_hex(bare) {
            let found = names.entries.iter().find(|name| name.id == id);
            let found = found.or_else(|| names.entries.iter().find(|name| name.target.digest == id));
            return found
                .map(|name| names.record_of(name))
                .ok_or_else(|| Error::NotFound(format!("No such image: {name_or_id}")));
        }
        let reference = Reference::parse(name_or_id);
        if let Ok(reference) = &reference
            && let Some(name) = names.find(&reference.clone().with_default_tag())
        {
            return Ok(names.record_of(name));
        }
        if image::is_hex(bare) {
            let mut ids: Vec<&Name> =
                names.entries.iter().filter(|name| name.id.hex().starts_with(bare)).collect();
            ids.sort_by(|a, b| a.id.cmp(&b.id));
            ids.dedup_by(|a, b| a.id == b.id);
            match ids[..] {
                [] => {}
                [name] => return Ok(names.record_of(name)),
                _ => return Err(Error::Conflict(format!("multiple IDs found with provided prefix: {bare}"))),
            }
        }
        match reference {
            Ok(reference) => {
                Err(Error::NotFound(format!("No such image: {}", reference.with_default_tag().familiar())))
            }
            Err(error) => Err(Error::Invalid(error.to_string())),
        }
    }

    /// The record of an id.
    pub fn image_by_id(&self, id: &Digest) -> Result<ImageRecord> {
        let names = self.names()?;
        let name = names.entries.iter().find(|name| name.id == *id);
        name.map(|name| names.record_of(name)).ok_or_else(|| Error::NotFound(format!("No such image: {id}")))
    }

    /// Manifests and indexes by which the index knows an image.
    pub(crate) fn documents_of(&self, id: &Digest) -> Vec<Digest> {
        let Ok(names) = self.names() else { return Vec::new() };
        let entries = names.entries.iter().filter(|name| name.id == *id);
        entries.flat_map(|name| [name.target.digest.clone(), name.manifest.clone()]).collect()
    }

    /// The configuration of an image id, cached.
    pub fn config(&self, id: &Digest) -> Result<Arc<ImageConfig>> {
        if let Some(config) = held(&self.inner.configs).get(id) {
            return Ok(config.clone());
        }
        let config = ImageConfig::parse(&self.read_blob(id)?)
            .map_err(|error| Error::corrupt_by(format!("read configuration {id}"), error))?;
        let config = Arc::new(config);
        held(&self.inner.configs).insert(id.clone(), config.clone());
        Ok(config)
    }

    /// A manifest by its own digest, cached.
    pub fn manifest(&self, digest: &Digest) -> Result<Arc<Manifest>> {
        if let Some(manifest) = held(&self.inner.manifests).get(digest) {
            return Ok(manifest.clone());
        }
        let manifest = Manifest::parse(&self.read_blob(digest)?)
            .map_err(|error| Error::corrupt_by(format!("read manifest {digest}"), error))?;
        let manifest = Arc::new(manifest);
        held(&self.inner.manifests).insert(digest.clone(), manifest.clone());
        Ok(manifest)
    }

    /// Records an image whose blobs and layers are here. `index` is what `manifest` was chosen from.
    ///
    /// # Errors
    /// `NotFound` when something it needs is missing: an image is never visible half.
    pub fn add_image(
        &self,
        manifest: &Descriptor,
        index: Option<&Descriptor>,
        name: Option<&Reference>,
    ) -> Result<ImageRecord> {
        let _use = self.inner.gc.read().unwrap_or_else(PoisonError::into_inner);
        self.add_image_locked(manifest, index, None, name)
    }

    /// Makes configuration and manifest blobs of a new image and records it. The layers' blobs and folders must be here.
    pub fn create_image(
        &self,
        config: &ImageConfig,
        layers: Vec<Descriptor>,
        parent: Option<&Digest>,
        name: Option<&Reference>,
    ) -> Result<ImageRecord> {
        let _lease = self.lease();
        let config = config.to_bytes();
        self.put_blob(&config)?;
        let manifest = Manifest::new(Descriptor::of(MediaType::OCI_CONFIG, &config), layers).to_bytes();
        self.put_blob(&manifest)?;
        let _use = self.inner.gc.read().unwrap_or_else(PoisonError::into_inner);
        self.add_image_locked(&Descriptor::of(MediaType::OCI_MANIFEST, &manifest), None, parent, name)
    }

    fn add_image_locked(
        &self,
        manifest: &Descriptor,
        index: Option<&Descriptor>,
        parent: Option<&Digest>,
        name: Option<&Reference>,
    ) -> Result<ImageRecord> {
        let mut entry = self.complete(manifest, index)?;
        entry.parent = parent.cloned();
        let mut names = self.names()?;
        entry.parent = entry.parent.or_else(|| names.parent_of(&entry.id));
        let id = entry.id.clone();
        let mut entries = names.entries.clone();
        entry.tagged = Some(Timestamp::now());
        match name {
            Some(name) => put_name(&mut entries, entry, &name.clone().with_default_tag()),
            // Made again without a name: what names it had stay.
            None if entries.iter().any(|known| known.id == id) => {}
            None => entries.push(entry),
        }
        names.store(entries)?;
        let name = names.entries.iter().rev().find(|known| known.id == id);
        name.map(|name| names.record_of(name)).ok_or_else(|| Error::NotFound(format!("No such image: {id}")))
    }

    /// Looks at everything an image needs, and sums it up.
    pub(crate) fn complete(&self, manifest: &Descriptor, index: Option<&Descriptor>) -> Result<Name> {
        let document = self.manifest(&manifest.digest)?;
        let id = document.config.digest.clone();
        let config = self.config(&id)?;
        if document.layers.len() != config.rootfs.diff_ids.len() {
            return Err(Error::corrupt(format!(
                "image {id} has {} layers, but its configuration names {}",
                document.layers.len(),
                config.rootfs.diff_ids.len()
            )));
        }
        for (at, layer) in document.layers.iter().enumerate() {
            if !self.has_layer_of(&document, at) {
                return Err(Error::NotFound(format!(
                    "blob {} of image {id} is not in the store",
                    layer.digest
                )));
            }
        }
        let mut size = 0;
        for chain in config.chain_ids() {
            let layer = self.layer(&chain);
            let layer = layer
                .ok_or_else(|| Error::NotFound(format!("layer {chain} of image {id} is not unpacked")))?;
            size += layer.size;
        }
        if let Some(index) = index.filter(|index| !self.has_blob(&index.digest)) {
            return Err(Error::NotFound(format!("blob {} of image {id} is not in the store", index.digest)));
        }
        Ok(Name {
            reference: None,
            target: index.unwrap_or(manifest).bare(),
            id,
            manifest: manifest.digest.clone(),
            size,
            parent: None,
            created: config.created_at(),
            tagged: None,
        })
    }

    /// Points the names of an image at another manifest of the same configuration; the image as it is then. They never point at what a
    /// power loss could take.
    pub(crate) fn replace_manifest(&self, record: &ImageRecord, target: Descriptor) -> Result<ImageRecord> {
        self.flush()?;
        let _use = self.inner.gc.read().unwrap_or_else(PoisonError::into_inner);
        let replacement = self.complete(&target, None)?;
        let mut names = self.names()?;
        let mut entries = names.entries.clone();
        for entry in entries.iter_mut().filter(|entry| entry.manifest == record.manifest) {
            entry.target = replacement.target.clone();
            entry.manifest = replacement.manifest.clone();
        }
        names.store(entries)?;
        Ok(ImageRecord { manifest: target.digest.clone(), target, ..record.clone() })
    }

    /// Points a name at an image, taking it from any other, which may become dangling by it. A `name@digest` records a
    /// repository digest.
    pub fn tag(&self, id: &Digest, name: &Reference) -> Result<()> {
        let mut names = self.names()?;
        let source = names.entries.iter().find(|entry| entry.id == *id).cloned();
        let mut entry = source.ok_or_else(|| Error::NotFound(format!("No such image: {id}")))?;
        entry.tagged = Some(Timestamp::now());
        let mut entries = names.entries.clone();
        put_name(&mut entries, entry, &name.clone().with_default_tag());
        names.store(entries)
    }

    /// Removes one name; with a repository's last tag on the image go its digests too. The image stays, perhaps dangling.
    pub fn untag(&self, name: &Reference) -> Result<Vec<Deleted>> {
        let name = canonical(&name.clone().with_default_tag());
        let mut names = self.names()?;
        let entry = names.find(&name).cloned();
        let entry = entry.ok_or_else(|| Error::NotFound(format!("No such image: {}", name.familiar())))?;
        let same_image = |known: &&Name| known.id == entry.id && known.reference.as_ref() != Some(&name);
        let other_tag = names.entries.iter().filter(same_image).any(|known| {
            known.reference.as_ref().is_some_and(|other| other.tag.is_some() && other.same_repository(&name))
        });
        let goes = |known: &Name| match &known.reference {
            Some(reference) if *reference == name => true,
            Some(reference) => {
                known.id == entry.id
                    && name.tag.is_some()
                    && !other_tag
                    && reference.digest.is_some()
                    && reference.same_repository(&name)
            }
            None => false,
        };
        let (gone, mut entries): (Vec<_>, Vec<_>) = names.entries.iter().cloned().partition(goes);
        if !entries.iter().any(|known| known.id == entry.id) {
            entries.push(Name { reference: None, ..entry });
        }
        names.store(entries)?;
        let mut removed: Vec<_> = gone.into_iter().filter_map(|name| name.reference).collect();
        removed.sort_by_key(|reference| reference.tag.is_none());
        Ok(removed.into_iter().map(Deleted::Untagged).collect())
    }

    /// Removes an image with all its names, and the blobs and layers that nothing else uses. Whether it may be removed
    /// (containers, children, several names without force) is the caller's decision.
    pub fn delete_image(&self, id: &Digest) -> Result<Vec<Deleted>> {
        let mut done;
        {
            let mut names = self.names()?;
            let (gone, entries): (Vec<_>, Vec<_>) =
                names.entries.iter().cloned().partition(|name| name.id == *id);
            if gone.is_empty() {
                return Err(Error::NotFound(format!("No such image: {id}")));
            }
            names.store(entries)?;
            let mut removed: Vec<_> = gone.into_iter().filter_map(|name| name.reference).collect();
            removed.sort_by_key(|reference| (reference.tag.is_none(), reference.to_string()));
            done = removed.into_iter().map(Deleted::Untagged).collect::<Vec<_>>();
        }
        done.push(Deleted::Deleted(id.clone()));
        let freed = self.gc()?;
        held(&self.inner.configs).remove(id);
        done.extend(freed.layers.into_iter().map(Deleted::Deleted));
        Ok(done)
    }

    /// Images that were made from this one by commit or a classic build.
    pub fn children(&self, id: &Digest) -> Result<Vec<Digest>> {
        let names = self.names()?;
        let children = names.entries.iter().filter(|name| name.parent.as_ref() == Some(id));
        let mut children: Vec<_> = children.map(|name| name.id.clone()).collect();
        children.sort();
        children.dedup();
        Ok(children)
    }

    /// The index, read again if another tool changed it, with that tool's entries completed.
    pub(crate) fn names(&self) -> Result<MutexGuard<'_, Names>> {
        let mut names = held(&self.inner.names);
        if (names.refresh()? || !names.others.is_empty()) && !names.others.is_empty() {
            for descriptor in std::mem::take(&mut names.others) {
                match self.complete_foreign(&descriptor) {
                    Ok(name) => names.entries.push(name),
                    Err(_) => names.others.push(descriptor),
                }
            }
        }
        Ok(names)
    }

    /// An entry that another tool added: choose the manifest, unpack the layers, read the name.
    fn complete_foreign(&self, descriptor: &Descriptor) -> Result<Name> {
        let manifest = match descriptor.media_type.is_index() {
            false => descriptor.bare(),
            true => {
                let index = Index::parse(&self.read_blob(&descriptor.digest)?)
                    .map_err(|error| Error::corrupt_by(format!("read index {}", descriptor.digest), error))?;
                let here = Platform::host();
                let chosen =
                    here.order(&index.manifests).into_iter().find(|entry| self.has_blob(&entry.digest));
                chosen.ok_or_else(|| Error::NotFound(format!("no image for {here}")))?.bare()
            }
        };
        self.unpack_manifest(&manifest.digest)?;
        let mut name = self.complete(&manifest, descriptor.media_type.is_index().then_some(descriptor))?;
        let text = descriptor.annotation(image::annotation::IMAGE_NAME);
        let text = text.or_else(|| descriptor.annotation(image::annotation::REF_NAME));
        name.reference =
            text.and_then(|text| Reference::parse(text).ok()).map(|name| canonical(&name.with_default_tag()));
        Ok(name)
    }

    /// After power loss: forgets images that are not whole any more.
    pub(crate) fn forget_broken_images(&self) -> Result<()> {
        let mut names = held(&self.inner.names);
        let whole = |name: &Name| -> Result<bool> {
            let manifest = self.manifest(&name.manifest)?;
            self.config(&name.id)?;
            let target = self.read_blob(&name.target.digest);
            Ok(target.is_ok() && (0..manifest.layers.len()).all(|at| self.has_layer_of(&manifest, at)))
        };
        let entries: Vec<_> =
            names.entries.iter().filter(|name| whole(name).unwrap_or(false)).cloned().collect();
        if entries.len() == names.entries.len() {
            return Ok(());
        }
        names.store(entries)
    }
}

impl Names {
    /// The entry under exactly this name, or one of its repository with this digest as its target or manifest.
    fn find(&self, name: &Reference) -> Option<&Name> {
        let name = canonical(name);
        let exact = self.entries.iter().find(|entry| entry.reference.as_ref() == Some(&name));
        let digest = name.digest.as_ref();
        exact.or_else(|| {
            let digest = digest?;
            self.entries.iter().find(|entry| {
                let same = entry.reference.as_ref().is_some_and(|known| known.same_repository(&name));
                same && (entry.target.digest == *digest || entry.manifest == *digest)
            })
        })
    }

    fn record_of(&self, name: &Name) -> ImageRecord {
        let group: Vec<&Name> = self.entries.iter().filter(|entry| entry.id == name.id).collect();
        record(name, &group)
    }

    fn parent_of(&self, id: &Digest) -> Option<Digest> {
        self.entries.iter().find(|entry| entry.id == *id)?.parent.clone()
    }
}

/// A tag and a digest together are stored as the digest: that is what was asked for.
fn canonical(name: &Reference) -> Reference {
    match &name.digest {
        Some(digest) => name.with_digest(digest.clone()),
        None => name.clone(),
    }
}

/// Gives `entry` the name, taking it from whoever has it.
fn put_name(entries: &mut Vec<Name>, mut entry: Name, name: &Reference) {
    let name = canonical(name);
    let id = entry.id.clone();
    entry.reference = Some(name.clone());
    if let Some(at) = entries.iter().position(|known| known.reference.as_ref() == Some(&name)) {
        let old = entries.remove(at);
        if old.id != id && !entries.iter().any(|known| known.id == old.id) {
            entries.push(Name { reference: None, ..old });
        }
    }
    entries.retain(|known| known.id != id || known.reference.is_some());
    entries.push(entry);
}

fn record(name: &Name, group: &[&Name]) -> ImageRecord {
    let references = |tagged: bool| {
        let all = group.iter().filter_map(|name| name.reference.as_ref());
        let mut list: Vec<_> = all.filter(|reference| reference.tag.is_some() == tagged).cloned().collect();
        list.sort();
        list
    };
    ImageRecord {
        id: name.id.clone(),
        target: name.target.clone(),
        manifest: name.manifest.clone(),
        names: references(true),
        repo_digests: references(false),
        parent: name.parent.clone(),
        size: name.size,
        created: name.created,
        last_tagged: group.iter().filter_map(|name| name.tagged).max(),
    }
}

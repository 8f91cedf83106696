//! `docker save`: images as one tar that is both a docker-archive and an OCI layout.
//!
//! ```text
//! blobs/sha256/…   configurations, manifests, layers, exactly as they are stored
//! index.json       OCI: manifests with their names as annotations
//! manifest.json    Docker: configuration, names and layer files of each image
//! oci-layout repositories
//! ```
//! Layers are not unpacked and packed again: a saved image has the digests that were pulled, and an index is saved with
//! everything of it that is here.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, Read, Write};

use image::{Descriptor, Digest, Index, Platform, Reference, annotation};
use serde::Serialize;

use crate::ImageRecord;
use crate::error::{Context, Error, Result};
use crate::store::Store;
use crate::tar::{Header, Writer};

/// One element of `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// An image to save, and under which names.
struct Chosen {
    record: ImageRecord,
    names: Vec<Reference>,
}

/// What is written of it.
struct Part {
    /// Index or manifest: what `index.json` names.
    top: Descriptor,
    /// The manifests, with everything they name.
    manifests: Vec<Descriptor>,
    /// The one that `manifest.json` describes.
    shown: Digest,
}

impl Store {
    /// Writes images as one tar. `names` are names or ids as [`Store::image`] takes them; a name without tag stands for all
    /// tags of its repository.
    pub fn save(&self, names: &[String], platforms: &[Platform], out: impl Write) -> Result<()> {
        let lease = self.lease();
        let chosen = self.choose(names)?;
        let mut parts = Vec::new();
        for image in &chosen {
            lease.add_image(&image.record.id);
            parts.push(self.part(image, platforms)?);
        }
        let mut tar = Writer::new(BufWriter::with_capacity(256 * 1024, out));
        self.write_archive(&chosen, &parts, &mut tar)?;
        tar.finish().context(|| "write archive")?;
        Ok(())
    }

    fn part(&self, image: &Chosen, platforms: &[Platform]) -> Result<Part> {
        let record = &image.record;
        let own = self.own_manifest(record)?;
        let mut wanted: Vec<Descriptor> = Vec::new();
        for platform in platforms {
            let manifest = self.manifest_for(record, platform)?.ok_or_else(|| {
                let name = image.names.first().map_or_else(|| record.id.to_string(), Reference::familiar);
                Error::NotFound(format!("image {name} does not provide the specified platform ({platform})"))
            })?;
            if !wanted.iter().any(|known| known.digest == manifest.digest) {
                wanted.push(manifest);
            }
        }
        if !record.target.media_type.is_index() || (platforms.len() == 1) {
            let top = wanted.pop().map_or(own, |manifest| manifest.bare());
            let shown = top.digest.clone();
            return Ok(Part { manifests: vec![top.clone()], top, shown });
        }
        if wanted.is_empty() {
            let entries = self.index_entries(&record.target)?;
            wanted =
                entries.into_iter().filter(|entry| entry.is_here).map(|entry| entry.descriptor).collect();
        }
        let has_own = wanted.iter().any(|manifest| manifest.digest == own.digest);
        let first = wanted.iter().find(|manifest| !manifest.is_attestation());
        let shown = first.filter(|_| !has_own).map_or(own.digest, |first| first.digest.clone());
        Ok(Part { top: record.target.bare(), manifests: wanted, shown })
    }

    fn choose(&self, names: &[String]) -> Result<Vec<Chosen>> {
        let mut chosen: Vec<Chosen> = Vec::new();
        let mut add = |record: ImageRecord, name: Option<Reference>| {
            let at = match chosen.iter().position(|known| known.record.id == record.id) {
                Some(at) => at,
                None => {
                    chosen.push(Chosen { record, names: Vec::new() });
                    chosen.len() - 1
                }
            };
            if let Some(name) = name.filter(|name| !chosen[at].names.contains(name)) {
                chosen[at].names.push(name);
            }
        };
        for text in names {
            let Ok(reference) = Reference::parse(text) else {
                add(self.packed_image(&self.image(text)?)?, None);
                continue;
            };
            let record = self.image(text).and_then(|record| self.packed_image(&record));
            if reference.tag.is_none() && reference.digest.is_none() {
                let mut found = false;
                for record in self.images()? {
                    for name in record.names.iter().filter(|name| name.same_repository(&reference)) {
                        found = true;
                        add(self.packed_image(&self.image(&name.to_string())?)?, Some(name.clone()));
                    }
                }
                if !found {
                    add(record?, None);
                }
                continue;
            }
            let record = record?;
            let named = record.names.contains(&reference);
            add(record, named.then_some(reference));
        }
        Ok(chosen)
    }

    fn write_archive<W: Write>(&self, chosen: &[Chosen], parts: &[Part], tar: &mut Writer<W>) -> Result<()> {
        let context = || "write archive".to_owned();
        let mut blobs: BTreeSet<Digest> = BTreeSet::new();
        let mut index = Vec::new();
        let mut docker = Vec::new();
        let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (image, part) in chosen.iter().zip(parts) {
            let descriptor = part.top.clone();
            self.add_indexes(&part.top, &mut blobs)?;
            for manifest in &part.manifests {
                let document = self.manifest(&manifest.digest)?;
                blobs.extend([manifest.digest.clone(), document.config.digest.clone()]);
                let layers = document.layers.iter().map(|layer| &layer.digest);
                blobs.extend(layers.filter(|layer| self.has_blob(layer)).cloned());
            }
            let manifest = self.manifest(&part.shown)?;
            for name in &image.names {
                let mut descriptor = descriptor.clone();
                let tag = name.tag.clone().unwrap_or_default();
                descriptor.annotations.insert(annotation::IMAGE_NAME.to_owned(), name.to_string());
                descriptor.annotations.insert(annotation::REF_NAME.to_owned(), tag.clone());
                index.push(descriptor);
                let top = manifest.layers.last().map_or(image.record.id.hex(), |layer| layer.digest.hex());
                repositories.entry(name.familiar_name()).or_default().insert(tag, top.to_owned());
            }
            if image.names.is_empty() {
                index.push(descriptor);
            }
            let tags: Vec<String> = image.names.iter().map(Reference::familiar).collect();
            docker.push(DockerManifest {
                config: blob_path(&manifest.config.digest),
                repo_tags: (!tags.is_empty()).then_some(tags),
                layers: manifest.layers.iter().map(|layer| blob_path(&layer.digest)).collect(),
            });
        }
        for folder in ["blobs/", "blobs/sha256/"] {
            tar.entry(&Header::directory(folder.as_bytes(), 0o755)).context(context)?;
        }
        for digest in &blobs {
            self.write_blob(digest, tar)?;
        }
        let index = Index::new(index).to_bytes();
        let json =
            |value: serde_json::Result<Vec<u8>>| value.map_err(|error| Error::corrupt_by(context(), error));
        let documents = [
            ("index.json", index),
            ("manifest.json", json(serde_json::to_vec(&docker))?),
            ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("repositories", json(serde_json::to_vec(&repositories))?),
        ];
        for (name, bytes) in documents {
            tar.file(&Header::file(name.as_bytes(), 0), &bytes).context(context)?;
        }
        Ok(())
    }

    /// An index, and those that it names.
    fn add_indexes(&self, at: &Descriptor, blobs: &mut BTreeSet<Digest>) -> Result<()> {
        if !at.media_type.is_index() || !self.has_blob(&at.digest) || !blobs.insert(at.digest.clone()) {
            return Ok(());
        }
        let index = Index::parse(&self.read_blob(&at.digest)?)
            .map_err(|error| Error::corrupt_by(format!("read index {}", at.digest), error))?;
        index.manifests.iter().try_for_each(|entry| self.add_indexes(entry, blobs))
    }

    fn write_blob<W: Write>(&self, digest: &Digest, tar: &mut Writer<W>) -> Result<()> {
        let mut file = self.open_blob(digest)?;
        let size = file.metadata().context(|| format!("read blob {digest}"))?.len();
        let path = blob_path(digest);
        tar.entry(&Header::file(path.as_bytes(), size)).context(|| "write archive")?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match file.read(&mut buffer).context(|| format!("read blob {digest}"))? {
                0 => return Ok(()),
                count => tar.data(&buffer[..count]).context(|| "write archive")?,
            }
        }
    }
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

//! `docker load`: docker-archives (of any age) and OCI layouts, in any order of their entries.
//!
//! One pass: every file becomes a blob under the digest computed while it is read, documents stay in memory. Then the
//! documents are followed. Blobs that turn out not to belong to any image are collected as garbage afterwards.

use std::collections::HashMap;
use std::io::Read;

use image::{
    Compression, Descriptor, Digest, ImageConfig, Index, Manifest, MediaType, Platform, Reference, annotation,
};
use serde::Deserialize;

use crate::decompress::{detect, plain};
use crate::error::{Context, Error, Result};
use crate::extract::{clean, join, show, split};
use crate::store::Store;
use crate::tar::{Entry, Kind, Reader};
use crate::{ImageRecord, LoadProgress};

/// Documents are kept in memory up to this size.
const DOCUMENT_MAX: usize = 8 << 20;
const LINKS_MAX: usize = 16;

/// One element of a docker-archive's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// What the archive had, by clean path.
#[derive(Default)]
struct Contents {
    documents: HashMap<Vec<u8>, Vec<u8>>,
    blobs: HashMap<Vec<u8>, (Digest, u64)>,
    /// Old archives share layers by symbolic links.
    links: HashMap<Vec<u8>, Vec<u8>>,
}

/// An image found in the documents.
struct Candidate {
    manifest: Descriptor,
    /// What it was chosen from.
    index: Option<Descriptor>,
    names: Vec<Reference>,
}

impl Store {
    /// Reads a docker-archive or an OCI layout (packed as a whole too: gzip, zstd, bzip2, xz) and records its images. With `platforms`, images
    /// for others are left out. What is recorded survives power loss when this returns: nobody keeps an archive that was loaded.
    pub fn load(
        &self,
        archive: impl Read + Send,
        platforms: &[Platform],
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Vec<ImageRecord>> {
        let lease = self.lease();
        let contents = plain(archive, |plain| {
            let mut reader = Reader::new(plain);
            let contents = self.read_contents(&mut reader)?;
            reader.into_input().finish().map_err(crate::decompress::read_error)?;
            Ok(contents)
        });
        let loaded = contents.and_then(|contents| {
            let records = self.record_contents(&contents, platforms, progress)?;
            self.sync_blobs(contents.blobs.values().map(|(digest, _)| digest))?;
            Ok(records)
        });
        drop(lease);
        let collected = self.gc();
        let loaded = loaded?;
        collected?;
        Ok(loaded)
    }

    fn read_contents<R: std::io::BufRead>(&self, reader: &mut Reader<R>) -> Result<Contents> {
        let mut contents = Contents::default();
        let bad = |error| Error::corrupt_by("read archive", error);
        while let Some(entry) = reader.next().map_err(bad)? {
            let path = clean(&entry.path);
            let path =
                path.map_err(|_| crate::extract::refuse(&entry.path, "path leads out of the archive"))?;
            match entry.kind {
                Kind::File => self.read_file(path, &entry, reader, &mut contents)?,
                Kind::Symlink => {
                    let target = join(split(&path).0, &entry.link);
                    contents.links.insert(path, target);
                }
                Kind::HardLink => {
                    contents.links.insert(path, entry.link.clone());
                }
                _ => {}
            }
        }
        Ok(contents)
    }

    fn read_file<R: std::io::BufRead>(
        &self,
        path: Vec<u8>,
        entry: &Entry,
        reader: &mut Reader<R>,
        contents: &mut Contents,
    ) -> Result<()> {
        let (_, name) = split(&path);
        if matches!(name, b"VERSION" | b"json") {
            return Ok(());
        }
        if matches!(path.as_slice(), b"manifest.json" | b"index.json" | b"oci-layout" | b"repositories") {
            let bytes =
                reader.read_all(DOCUMENT_MAX).map_err(|error| Error::corrupt_by("read archive", error))?;
            let bytes =
                bytes.ok_or_else(|| Error::corrupt(format!("entry {}: is too large", show(&path))))?;
            contents.documents.insert(path, bytes);
            return Ok(());
        }
        let expected = named_digest(&path);
        if let Some(digest) = &expected
            && self.blob_size(digest) == Some(entry.size)
        {
            self.inner.protect_blob(digest);
            if self.has_blob(digest) {
                contents.blobs.insert(path, (digest.clone(), entry.size));
                return Ok(());
            }
        }
        let mut blob = self.new_blob()?;
        loop {
            let chunk = reader.chunk().map_err(|error| Error::corrupt_by("read archive", error))?;
            let count = chunk.len();
            if count == 0 {
                break;
            }
            std::io::Write::write_all(&mut blob, chunk)
                .context(|| format!("entry {}: write", show(&path)))?;
            reader.consume(count);
        }
        let (digest, size) = blob.commit()?;
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            return Err(Error::Digest { what: format!("entry {}", show(&path)), expected, found: digest });
        }
        contents.blobs.insert(path, (digest, size));
        Ok(())
    }

    fn record_contents(
        &self,
        contents: &Contents,
        platforms: &[Platform],
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Vec<ImageRecord>> {
        let mut records = Vec::new();
        for candidate in self.candidates(contents, platforms)? {
            let manifest = self.manifest(&candidate.manifest.digest)?;
            let config = self.config(&manifest.config.digest)?;
            if !platforms.is_empty() && !platforms.iter().any(|wanted| wanted.matches(&config.platform())) {
                continue;
            }
            self.unpack_manifest_with(&candidate.manifest.digest, &mut |diff_id, current, total| {
                progress(LoadProgress::Layer { diff_id: diff_id.clone(), current, total });
            })?;
            let mut record = None;
            for name in &candidate.names {
                record = Some(self.add_image(&candidate.manifest, candidate.index.as_ref(), Some(name))?);
                progress(LoadProgress::Loaded {
                    name: Some(name.clone()),
                    id: manifest.config.digest.clone(),
                });
            }
            let record = match record {
                Some(record) => record,
                None => {
                    progress(LoadProgress::Loaded { name: None, id: manifest.config.digest.clone() });
                    self.add_image(&candidate.manifest, candidate.index.as_ref(), None)?
                }
            };
            records.push(record);
        }
        if records.is_empty() && !platforms.is_empty() {
            let wanted: Vec<_> = platforms.iter().map(ToString::to_string).collect();
            return Err(Error::NotFound(format!("archive has no image for platform {}", wanted.join(", "))));
        }
        Ok(records)
    }

    fn candidates(&self, contents: &Contents, platforms: &[Platform]) -> Result<Vec<Candidate>> {
        let index = match contents.documents.get(b"index.json".as_slice()) {
            Some(bytes) => {
                Index::parse(bytes).map_err(|error| Error::corrupt_by("read index.json", error))?.manifests
            }
            None => Vec::new(),
        };
        let mut manifests = Vec::new();
        for entry in &index {
            self.flatten(entry, entry, platforms, &mut manifests)?;
        }
        let Some(docker) = contents.documents.get(b"manifest.json".as_slice()) else {
            if contents.documents.contains_key(b"index.json".as_slice()) {
                return Ok(manifests);
            }
            let text = "archive is no saved image: it has neither manifest.json nor index.json";
            return Err(Error::Invalid(text.to_owned()));
        };
        let docker: Vec<DockerManifest> =
            serde_json::from_slice(docker).map_err(|error| Error::corrupt_by("read manifest.json", error))?;
        docker.iter().map(|image| self.docker_candidate(image, contents, &manifests)).collect()
    }

    /// Follows an index down to the manifests that are here and run on what was asked for.
    fn flatten(
        &self,
        top: &Descriptor,
        entry: &Descriptor,
        platforms: &[Platform],
        found: &mut Vec<Candidate>,
    ) -> Result<()> {
        if !self.has_blob(&entry.digest) {
            return Ok(());
        }
        if !entry.media_type.is_index() {
            if entry.is_attestation() {
                return Ok(());
            }
            let names = name_of(top).into_iter().collect();
            let size = self.blob_size(&entry.digest).unwrap_or(entry.size);
            let manifest = Descriptor { size, ..entry.bare() };
            // Of one platform alone, that is what was asked for.
            let index = (top.media_type.is_index() && platforms.len() != 1).then(|| top.bare());
            found.push(Candidate { manifest, index, names });
            return Ok(());
        }
        let index = Index::parse(&self.read_blob(&entry.digest)?)
            .map_err(|error| Error::corrupt_by(format!("read index {}", entry.digest), error))?;
        let here: Vec<Descriptor> =
            index.manifests.into_iter().filter(|manifest| self.has_blob(&manifest.digest)).collect();
        let host = [Platform::host()];
        let wanted = if platforms.is_empty() { &host[..] } else { platforms };
        let best = wanted.iter().find_map(|platform| platform.order(&here).first().copied());
        match best.or_else(|| here.iter().find(|manifest| !manifest.is_attestation())) {
            Some(best) => self.flatten(top, best, platforms, found),
            None => Ok(()),
        }
    }

    fn docker_candidate(
        &self,
        image: &DockerManifest,
        contents: &Contents,
        manifests: &[Candidate],
    ) -> Result<Candidate> {
        let mut names = Vec::new();
        for tag in image.repo_tags.iter().flatten() {
            let name = Reference::parse(tag);
            names.push(name.map_err(|error| Error::corrupt(format!("manifest.json: tag {tag:?}: {error}")))?);
        }
        let (config, config_size) = contents.file(&image.config)?;
        // The same image as an OCI manifest keeps the digests it was pushed or pulled with.
        for known in manifests {
            let manifest = self.manifest(&known.manifest.digest)?;
            if manifest.config.digest == config
                && manifest.layers.iter().all(|layer| self.has_blob(&layer.digest))
            {
                let (manifest, index) = (known.manifest.clone(), known.index.clone());
                return Ok(Candidate { manifest, index, names });
            }
        }
        let document = ImageConfig::parse(&self.read_blob(&config)?)
            .map_err(|error| Error::corrupt_by(format!("read {}", image.config), error))?;
        let mut layers = Vec::new();
        for path in image.layers.iter().flatten() {
            let (digest, size) = contents.file(path)?;
            let media_type = MediaType::oci_layer(self.packing(&digest)?);
            layers.push(Descriptor::new(media_type, digest, size));
        }
        if layers.len() != document.rootfs.diff_ids.len() {
            return Err(Error::corrupt(format!(
                "manifest.json names {} layers for {}, which has {}",
                layers.len(),
                image.config,
                document.rootfs.diff_ids.len()
            )));
        }
        let config = Descriptor::new(MediaType::OCI_CONFIG, config, config_size);
        let manifest = Manifest::new(config, layers).to_bytes();
        self.put_blob(&manifest)?;
        Ok(Candidate { manifest: Descriptor::of(MediaType::OCI_MANIFEST, &manifest), index: None, names })
    }

    fn packing(&self, digest: &Digest) -> Result<Compression> {
        let mut start = Vec::new();
        let file = self.open_blob(digest)?;
        file.take(8).read_to_end(&mut start).context(|| format!("read blob {digest}"))?;
        let packing = detect(&start);
        let unknown = || Error::corrupt(format!("blob {digest}: a layer can't be packed with {packing:?}"));
        packing.of_layer().ok_or_else(unknown)
    }
}

impl Contents {
    /// A file that a document names, through links.
    fn file(&self, path: &str) -> Result<(Digest, u64)> {
        let missing = || Error::corrupt(format!("archive has no file {path:?}, which its manifest names"));
        let mut at = clean(path.as_bytes()).map_err(|_| missing())?;
        for _ in 0..LINKS_MAX {
            if let Some(blob) = self.blobs.get(&at) {
                return Ok(blob.clone());
            }
            let target = self.links.get(&at).ok_or_else(missing)?;
            at = clean(target).map_err(|_| missing())?;
        }
        Err(missing())
    }
}

/// The digest that a file's place in an OCI layout promises.
fn named_digest(path: &[u8]) -> Option<Digest> {
    let text = std::str::from_utf8(path).ok()?;
    let (algorithm, hex) = text.strip_prefix("blobs/")?.split_once('/')?;
    format!("{algorithm}:{hex}").parse().ok()
}

/// The name of an index entry: containerd's annotation, or the standard one if it is more than a tag.
fn name_of(entry: &Descriptor) -> Option<Reference> {
    if let Some(name) = entry.annotation(annotation::IMAGE_NAME) {
        return Reference::parse(name).ok();
    }
    let text = entry.annotation(annotation::REF_NAME).filter(|text| text.contains([':', '/']))?;
    Reference::parse(text).ok()
}

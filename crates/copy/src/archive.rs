//! Tars with images: read where they lie, without unpacking; written in one pass.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use image::{Compression, Descriptor, Digest, Hasher, Index, Manifest, MediaType, Reference};
use serde::{Deserialize, Serialize};

use crate::error::{Context as _, Error, Result};
use crate::files::{self, Blobs, DOCUMENT_LIMIT, Files};

/// Links in old docker-archives point at links, but not for ever.
const LINKS_MAX: usize = 16;

/// One element of a docker-archive's `manifest.json`.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DockerManifest {
    pub config: String,
    #[serde(default)]
    pub repo_tags: Option<Vec<String>>,
    #[serde(default)]
    pub layers: Option<Vec<String>>,
}

/// Where everything in a tar is.
struct Contents {
    file: Arc<File>,
    place: String,
    files: HashMap<String, (u64, u64)>,
    links: HashMap<String, String>,
}

impl Files {
    /// An image of a tar with an OCI layout. Blocks.
    pub fn oci_archive(path: &Path, name: Option<&str>) -> Result<Files> {
        let contents = Contents::read(path, format!("oci-archive:{}", path.display()))?;
        let bytes = contents.document("index.json")?;
        let bytes = bytes.ok_or_else(|| {
            Error::NotFound(format!("{} is no OCI image layout: it has no index.json", contents.place))
        })?;
        let index =
            Index::parse(&bytes).map_err(|error| Error::Invalid(format!("{}: {error}", contents.place)))?;
        let entry = files::choose(&index, name, &contents.place)?;
        let (root, name) = (entry.bare(), files::name_of(&entry));
        Ok(Files { root, name, blobs: contents.into_blobs(HashMap::new()) })
    }

    /// An image of a tar as `docker save` writes it, of any age. Layers keep their packing. Blocks.
    pub fn docker_archive(path: &Path, name: Option<&str>) -> Result<Files> {
        let contents = Contents::read(path, format!("docker-archive:{}", path.display()))?;
        let bytes = contents.document("manifest.json")?.ok_or_else(|| {
            Error::NotFound(format!("{} is no docker archive: it has no manifest.json", contents.place))
        })?;
        let images: Vec<DockerManifest> = serde_json::from_slice(&bytes)
            .map_err(|error| Error::Invalid(format!("{}: manifest.json: {error}", contents.place)))?;
        let (image, name) = contents.choose(&images, name)?;
        // An archive that is an OCI layout too knows the manifest that the image was pulled with.
        let config = contents.hashed(&image.config)?;
        if let Some(root) = contents.known_manifest(&config.0)? {
            return Ok(Files { root, name, blobs: contents.into_blobs(HashMap::new()) });
        }
        let mut parts = HashMap::from([config.clone()]);
        let mut layers = Vec::new();
        for layer in image.layers.iter().flatten() {
            let (digest, at) = contents.hashed(layer)?;
            let media_type = MediaType::oci_layer(contents.packing(at)?);
            layers.push(Descriptor::new(media_type, digest.clone(), at.1));
            parts.insert(digest, at);
        }
        let config = Descriptor::new(MediaType::OCI_CONFIG, config.0, config.1.1);
        let manifest = Bytes::from(Manifest::new(config, layers).to_bytes());
        let root = Descriptor::of(MediaType::OCI_MANIFEST, &manifest);
        let made = HashMap::from([(root.digest.clone(), manifest)]);
        Ok(Files { root, name, blobs: Blobs::Tar { file: contents.file, parts, made } })
    }
}

impl Contents {
    fn read(path: &Path, place: String) -> Result<Contents> {
        let context = || format!("read {}", path.display());
        let mut file = File::open(path).context(context)?;
        let mut magic = [0; 6];
        let count = file.read(&mut magic).context(context)?;
        if packing(&magic[..count]) != Compression::None
            || magic.starts_with(b"\xfd7zXZ")
            || magic.starts_with(b"BZh")
        {
            return Err(Error::Invalid(format!("{place} is compressed: unpack it first")));
        }
        file.seek(SeekFrom::Start(0)).context(context)?;
        let (mut files, mut links) = (HashMap::new(), HashMap::new());
        let mut archive = tar::Archive::new(&file);
        // What the library says of bytes that are no tar are those bytes.
        let broken = |error: std::io::Error| match error.raw_os_error() {
            Some(_) => Error::Io { what: context(), source: error },
            None => Error::Invalid(format!("{place} is no tar archive, or a damaged one")),
        };
        for entry in archive.entries_with_seek().map_err(broken)? {
            let entry = entry.map_err(broken)?;
            let name = clean(&String::from_utf8_lossy(&entry.path_bytes()));
            match entry.header().entry_type() {
                kind if kind.is_file() => {
                    files.insert(name, (entry.raw_file_position(), entry.size()));
                }
                kind if kind.is_symlink() || kind.is_hard_link() => {
                    let target = entry.link_name_bytes().unwrap_or_default();
                    let target = String::from_utf8_lossy(&target).into_owned();
                    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
                    let target = if kind.is_symlink() { format!("{folder}/{target}") } else { target };
                    links.insert(name, clean(&target));
                }
                _ => {}
            }
        }
        Ok(Contents { file: Arc::new(file), place, files, links })
    }

    fn find(&self, name: &str) -> Option<(u64, u64)> {
        let mut name = clean(name);
        for _ in 0..LINKS_MAX {
            if let Some(at) = self.files.get(&name) {
                return Some(*at);
            }
            name = self.links.get(&name)?.clone();
        }
        None
    }

    fn document(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some((start, length)) = self.find(name) else { return Ok(None) };
        if length > DOCUMENT_LIMIT {
            return Err(Error::Invalid(format!("{}: {name} has {length} bytes", self.place)));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, start).context(|| format!("{}: read {name}", self.place))?;
        Ok(Some(bytes))
    }

    /// A file that `manifest.json` names, by what it is.
    fn hashed(&self, name: &str) -> Result<(Digest, (u64, u64))> {
        let missing =
            || Error::Invalid(format!("{} has no file {name:?}, which its manifest names", self.place));
        let (start, length) = self.find(name).ok_or_else(missing)?;
        let (mut hasher, mut at) = (Hasher::sha256(), start);
        let mut buffer = vec![0; 256 << 10];
        while at < start + length {
            let want = usize::try_from(start + length - at).unwrap_or(usize::MAX).min(buffer.len());
            self.file
                .read_exact_at(&mut buffer[..want], at)
                .context(|| format!("{}: read {name}", self.place))?;
            hasher.update(&buffer[..want]);
            at += want as u64;
        }
        Ok((hasher.finish(), (start, length)))
    }

    fn packing(&self, at: (u64, u64)) -> Result<Compression> {
        let mut magic = [0; 4];
        let want = usize::try_from(at.1).unwrap_or(4).min(4);
        self.file
            .read_exact_at(&mut magic[..want], at.0)
            .context(|| format!("{}: read a layer", self.place))?;
        Ok(packing(&magic[..want]))
    }

    /// The manifest of an image with that configuration, if the tar is an OCI layout too.
    fn known_manifest(&self, config: &Digest) -> Result<Option<Descriptor>> {
        let Some(bytes) = self.document("index.json")? else { return Ok(None) };
        let Ok(index) = Index::parse(&bytes) else { return Ok(None) };
        for entry in &index.manifests {
            let Some(bytes) = self.document(&files::entry_name(&entry.digest))? else { continue };
            if Manifest::parse(&bytes).is_ok_and(|manifest| manifest.config.digest == *config) {
                return Ok(Some(entry.bare()));
            }
            let nested = Index::parse(&bytes).map(|index| index.manifests).unwrap_or_default();
            for nested in nested {
                let Some(bytes) = self.document(&files::entry_name(&nested.digest))? else { continue };
                if Manifest::parse(&bytes).is_ok_and(|manifest| manifest.config.digest == *config) {
                    return Ok(Some(entry.bare()));
                }
            }
        }
        Ok(None)
    }

    fn choose<'a>(
        &self,
        images: &'a [DockerManifest],
        name: Option<&str>,
    ) -> Result<(&'a DockerManifest, Option<Reference>)> {
        let tags = |image: &DockerManifest| -> Vec<Reference> {
            image.repo_tags.iter().flatten().filter_map(|tag| Reference::parse(tag).ok()).collect()
        };
        let Some(name) = name else {
            return match images {
                [image] => Ok((image, tags(image).into_iter().next())),
                _ => Err(Error::Invalid(format!("{} has {} images: name one", self.place, images.len()))),
            };
        };
        let wanted = Reference::parse(name).map_err(|error| Error::Invalid(format!("{name:?}: {error}")))?;
        let wanted = wanted.with_default_tag();
        let found = images.iter().find(|image| tags(image).contains(&wanted));
        let found = found.ok_or_else(|| Error::NotFound(format!("{} has no image {name:?}", self.place)))?;
        Ok((found, Some(wanted)))
    }

    fn into_blobs(self, made: HashMap<Digest, Bytes>) -> Blobs {
        let digest = |name: &str| -> Option<Digest> {
            let (algorithm, hex) = name.strip_prefix("blobs/")?.split_once('/')?;
            format!("{algorithm}:{hex}").parse().ok()
        };
        let parts = self.files.iter().filter_map(|(name, at)| Some((digest(name)?, *at))).collect();
        Blobs::Tar { file: self.file, parts, made }
    }
}

/// Without `./`, `//` and `..`.
fn clean(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn packing(magic: &[u8]) -> Compression {
    match magic {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        _ => Compression::None,
    }
}

//! An image in files: a folder or a tar, its blobs found by digest.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use distribution::BlobSource;
use image::{Descriptor, Digest, Index, Reference, annotation};

use crate::error::{Context as _, Error, Result};

/// Documents above this are refused.
pub(crate) const DOCUMENT_LIMIT: u64 = 16 << 20;

/// Where blobs are, and the one document that is meant.
pub struct Files {
    pub(crate) root: Descriptor,
    /// What the place calls it.
    pub(crate) name: Option<Reference>,
    pub(crate) blobs: Blobs,
}

/// Blobs by digest.
pub(crate) enum Blobs {
    /// An OCI layout's folder.
    Folder(PathBuf),
    /// Parts of one file: where each begins and how long it is; and documents made up for it.
    Tar { file: Arc<File>, parts: HashMap<Digest, (u64, u64)>, made: HashMap<Digest, Bytes> },
}

impl Files {
    /// A whole document.
    pub(crate) async fn document(&self, descriptor: &Descriptor) -> Result<Bytes> {
        let digest = &descriptor.digest;
        let missing = || Error::NotFound(format!("blob {digest} is not there"));
        let bytes = match &self.blobs {
            Blobs::Tar { made, .. } if made.contains_key(digest) => {
                made.get(digest).cloned().ok_or_else(missing)?
            }
            _ => {
                let (file, start, length) = self.locate(digest)?.ok_or_else(missing)?;
                if length > DOCUMENT_LIMIT {
                    return Err(Error::Invalid(format!("document {digest} has {length} bytes")));
                }
                read(file, start, length).await.context(|| format!("read blob {digest}"))?
            }
        };
        check(digest, &bytes)?;
        Ok(bytes)
    }

    pub(crate) fn has(&self, digest: &Digest) -> bool {
        match &self.blobs {
            Blobs::Folder(folder) => path(folder, digest).is_file(),
            Blobs::Tar { parts, made, .. } => parts.contains_key(digest) || made.contains_key(digest),
        }
    }

    /// A blob's bytes.
    pub(crate) fn blob(&self, descriptor: &Descriptor) -> Result<BlobSource> {
        let found = self.locate(&descriptor.digest)?;
        let (file, start, length) =
            found.ok_or_else(|| Error::NotFound(format!("blob {} is not there", descriptor.digest)))?;
        Ok(BlobSource::file(file, start, length))
    }

    fn locate(&self, digest: &Digest) -> Result<Option<(Arc<File>, u64, u64)>> {
        match &self.blobs {
            Blobs::Tar { file, parts, .. } => {
                Ok(parts.get(digest).map(|(start, length)| (Arc::clone(file), *start, *length)))
            }
            Blobs::Folder(folder) => {
                let path = path(folder, digest);
                let file = match File::open(&path) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                    file => file.context(|| format!("open {}", path.display()))?,
                };
                let length = file.metadata().context(|| format!("stat {}", path.display()))?.len();
                Ok(Some((Arc::new(file), 0, length)))
            }
        }
    }
}

async fn read(file: Arc<File>, start: u64, length: u64) -> std::io::Result<Bytes> {
    use std::os::unix::fs::FileExt as _;
    let work = move || {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    };
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}

/// Whether a document is what its digest says.
pub(crate) fn check(expected: &Digest, bytes: &[u8]) -> Result<()> {
    let mut hasher = image::Hasher::new(expected.algorithm());
    hasher.update(bytes);
    let found = hasher.finish();
    match found == *expected {
        true => Ok(()),
        false => Err(Error::Digest { what: "document", expected: expected.clone(), found }),
    }
}

/// `blobs/<algorithm>/<hex>` below a folder.
pub(crate) fn path(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join("blobs").join(digest.algorithm().as_str()).join(digest.hex())
}

/// The same in a tar.
pub(crate) fn entry_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

/// The entry of an `index.json` that a name means; the only one without a name.
pub(crate) fn choose(index: &Index, name: Option<&str>, place: &str) -> Result<Descriptor> {
    let called = |entry: &&Descriptor| {
        let names = [annotation::REF_NAME, annotation::IMAGE_NAME].map(|key| entry.annotation(key));
        names.into_iter().flatten().any(|known| Some(known) == name || same_image(known, name))
    };
    let found: Vec<&Descriptor> = match name {
        Some(_) => index.manifests.iter().filter(called).collect(),
        None => index.manifests.iter().collect(),
    };
    let known = || {
        let names = index.manifests.iter().filter_map(|entry| entry.annotation(annotation::REF_NAME));
        names.collect::<Vec<_>>().join(", ")
    };
    // The same image under several names is one image.
    let first = match found.first() {
        Some(first) if found.iter().all(|other| other.digest == first.digest) => *first,
        Some(_) => {
            return Err(Error::Invalid(format!("{place} has several images, name one of: {}", known())));
        }
        None => {
            let name = name.map(|name| format!(" {name:?}")).unwrap_or_default();
            return Err(Error::NotFound(format!("{place} has no image{name}; it has: {}", known())));
        }
    };
    Ok(first.clone())
}

fn same_image(known: &str, wanted: Option<&str>) -> bool {
    let parse = |text: &str| Reference::parse(text).ok().map(Reference::with_default_tag);
    wanted.and_then(parse).is_some_and(|wanted| parse(known) == Some(wanted))
}

/// The full name that an entry carries, if it is more than a tag.
pub(crate) fn name_of(entry: &Descriptor) -> Option<Reference> {
    if let Some(name) = entry.annotation(annotation::IMAGE_NAME) {
        return Reference::parse(name).ok();
    }
    let text = entry.annotation(annotation::REF_NAME).filter(|text| text.contains([':', '/']))?;
    Reference::parse(text).ok()
}

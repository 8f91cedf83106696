//! Where an image comes from.

use bytes::Bytes;
use distribution::{BlobSource, Document, Repository};
use image::{Descriptor, MediaType, Reference};

use crate::engine::EngineImage;
use crate::error::{Error, Result};
use crate::files::{self, Files};

/// An image at its place.
pub enum Source {
    /// A registry.
    Registry {
        /// The repository, open for reading.
        repository: Repository,
        /// Tag or digest.
        wanted: String,
    },
    /// A layout or an archive.
    Files(Box<Files>),
    /// One of our engines.
    Engine(EngineImage),
}

impl From<Files> for Source {
    fn from(files: Files) -> Self {
        Self::Files(Box::new(files))
    }
}

impl Source {
    /// What it is called there, for destinations that are given no name.
    pub fn name(&self) -> Option<Reference> {
        match self {
            Source::Registry { repository, wanted } => {
                let name =
                    Reference::parse(&format!("{}/{}", repository.registry(), repository.path())).ok()?;
                Some(name.with_tag(wanted).unwrap_or(name))
            }
            Source::Files(files) => files.name.clone(),
            Source::Engine(image) => Reference::parse(&image.name).ok().map(Reference::with_default_tag),
        }
    }

    /// Manifest or index that is to be copied.
    pub(crate) async fn root(&self) -> Result<Document> {
        let descriptor = match self {
            Source::Registry { repository, wanted } => return Ok(repository.document(wanted).await?),
            Source::Files(files) => files.root.clone(),
            Source::Engine(image) => image.root().await?,
        };
        let found = self.document_if_any(&descriptor).await?;
        found.ok_or_else(|| Error::NotFound(format!("document {} is not there", descriptor.digest)))
    }

    /// A manifest or index that another one names; `None` when it is not there.
    pub(crate) async fn document_if_any(&self, descriptor: &Descriptor) -> Result<Option<Document>> {
        let digest = &descriptor.digest;
        let bytes: Bytes = match self {
            Source::Registry { repository, .. } => {
                return match repository.document(&digest.to_string()).await {
                    Ok(document) => Ok(Some(document)),
                    Err(error) if error.refusal().is_some_and(|refusal| refusal.status == 404) => Ok(None),
                    Err(error) => Err(error.into()),
                };
            }
            Source::Files(files) if !files.has(digest) => return Ok(None),
            Source::Files(files) => files.document(descriptor).await?,
            Source::Engine(image) => match image.document(digest).await? {
                Some(bytes) => bytes,
                None => return Ok(None),
            },
        };
        files::check(digest, &bytes)?;
        let media_type = media_type(descriptor, &bytes);
        Ok(Some(Document {
            descriptor: Descriptor::new(media_type, digest.clone(), bytes.len() as u64),
            bytes,
        }))
    }

    /// A blob's bytes.
    pub(crate) fn blob(&self, blob: &Descriptor) -> Result<BlobSource> {
        match self {
            Source::Registry { repository, .. } => Ok(repository.blob(blob)),
            Source::Files(files) => files.blob(blob),
            Source::Engine(image) => Ok(image.blob(blob)),
        }
    }
}

/// What named it says what it is; some say nothing.
fn media_type(descriptor: &Descriptor, bytes: &[u8]) -> MediaType {
    if descriptor.media_type.is_index() || descriptor.media_type.is_manifest() {
        return descriptor.media_type.clone();
    }
    match image::Index::parse(bytes) {
        Ok(index) if !index.manifests.is_empty() => MediaType::OCI_INDEX,
        _ => MediaType::OCI_MANIFEST,
    }
}

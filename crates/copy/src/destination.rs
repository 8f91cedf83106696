//! Where an image goes: each kind takes what it lacks and ends with the name, so that nothing half is ever named.

use std::path::PathBuf;

use bytes::Bytes;
use distribution::{LayerStep, Repository};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use image::{Descriptor, Digest, Index, Manifest, Reference, annotation};

use crate::archive::DockerManifest;
use crate::blobs::{Entry, checked, tar, told};
use crate::engine::EngineImage;
use crate::error::{Context as _, Error, Result};
use crate::files::entry_name;
use crate::layout::{Layout, Partial};
use crate::plan::Plan;
use crate::progress::{Event, Progress};
use crate::source::Source;

/// Blobs on their way at once.
const AT_ONCE: usize = 3;

/// A place that takes an image.
pub enum Destination {
    /// A registry.
    Registry {
        /// The repository, open for writing.
        repository: Repository,
        /// The tag.
        tag: String,
        /// A repository of the same registry that has the image.
        mount_from: Option<String>,
    },
    /// An OCI layout.
    Layout {
        /// Its folder.
        folder: PathBuf,
        /// The image's name in it.
        name: Option<String>,
    },
    /// A tar with an OCI layout.
    OciArchive {
        /// The file; replaced.
        file: PathBuf,
        /// The image's name in it.
        name: Option<String>,
    },
    /// A tar as `docker save` writes it.
    DockerArchive {
        /// The file; replaced.
        file: PathBuf,
        /// The image's name in it.
        name: Option<Reference>,
    },
    /// An engine.
    Engine {
        /// The engine, and what the image is called there.
        image: EngineImage,
    },
}

impl Destination {
    /// Whether a manifest is there with everything it names.
    pub(crate) async fn has_document(&self, digest: &Digest) -> Result<bool> {
        match self {
            Destination::Registry { repository, .. } => {
                Ok(repository.has_document(&digest.to_string()).await?)
            }
            _ => Ok(false),
        }
    }

    pub(crate) async fn write(&self, source: &Source, plan: &Plan, progress: &Progress) -> Result<()> {
        match self {
            Destination::Registry { repository, tag, mount_from } => {
                to_registry(repository, tag, mount_from.as_deref(), source, plan, progress).await
            }
            Destination::Layout { folder, name } => {
                let layout = Layout::open(folder)?;
                to_layout(&layout, source, plan, progress).await?;
                layout.name(&plan.root.descriptor, name.as_deref())
            }
            Destination::OciArchive { file, name } => {
                let index = index_json(plan, |entry| {
                    if let Some(name) = name {
                        entry.annotations.insert(annotation::REF_NAME.to_owned(), name.clone());
                    }
                });
                let blobs = plan.blobs.iter().collect();
                to_file(file, entries(source, plan, blobs, vec![index], progress)?).await
            }
            Destination::DockerArchive { file, name } => {
                let documents = vec![
                    index_json(plan, |entry| annotate(entry, name.as_ref())),
                    manifest_json(plan, name.as_ref())?,
                ];
                let blobs = plan.blobs.iter().collect();
                to_file(file, entries(source, plan, blobs, documents, progress)?).await
            }
            Destination::Engine { image } => to_engine(image, source, plan, progress).await,
        }
    }
}

async fn to_registry(
    repository: &Repository,
    tag: &str,
    mount_from: Option<&str>,
    source: &Source,
    plan: &Plan,
    progress: &Progress,
) -> Result<()> {
    // A registry never has a manifest without what it names.
    let is_there = repository.has_document(&plan.root.descriptor.digest.to_string()).await?;
    if is_there {
        plan.blobs.iter().for_each(|blob| progress(Event::Exists(blob.digest.clone())));
    } else {
        let blobs = stream::iter(&plan.blobs)
            .map(|blob| to_repository(repository, blob, mount_from, source, progress));
        blobs.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    }
    let last = plan.documents.len().saturating_sub(1);
    for (at, document) in plan.documents.iter().enumerate() {
        let digest = document.descriptor.digest.to_string();
        let name = if at == last { tag } else { &digest };
        if at == last || !is_there {
            repository.put_document(name, &document.descriptor.media_type, &document.bytes).await?;
        }
    }
    Ok(())
}

async fn to_repository(
    repository: &Repository,
    blob: &Descriptor,
    mount_from: Option<&str>,
    source: &Source,
    progress: &Progress,
) -> Result<()> {
    let digest = || blob.digest.clone();
    let show = |step: LayerStep| match step {
        LayerStep::Pushing { current, total } => progress(Event::Copying { blob: digest(), current, total }),
        LayerStep::Pushed => progress(Event::Copied(digest())),
        LayerStep::LayerAlreadyExists => progress(Event::Exists(digest())),
        LayerStep::MountedFrom(from) => progress(Event::Mounted(digest(), from)),
        _ => {}
    };
    Ok(repository.put_blob(blob, &source.blob(blob)?, mount_from, &show).await?)
}

async fn to_layout(layout: &Layout, source: &Source, plan: &Plan, progress: &Progress) -> Result<()> {
    let one = |blob| async move {
        if layout.has(blob) {
            progress(Event::Exists(blob.digest.clone()));
            return Ok(());
        }
        let pieces = told(blob, checked(blob, &source.blob(blob)?), progress);
        layout.put(&blob.digest, pieces).await?;
        progress(Event::Copied(blob.digest.clone()));
        Ok::<_, Error>(())
    };
    stream::iter(&plan.blobs).map(one).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    for document in &plan.documents {
        let bytes = document.bytes.clone();
        layout.put(&document.descriptor.digest, stream::once(std::future::ready(Ok(bytes))).boxed()).await?;
    }
    Ok(())
}

/// Sends what the engine lacks as an archive that lacks what the engine has.
async fn to_engine(image: &EngineImage, source: &Source, plan: &Plan, progress: &Progress) -> Result<()> {
    let name = Reference::parse(&image.name)
        .map_err(|error| Error::Invalid(format!("{:?}: {error}", image.name)))?
        .with_default_tag();
    let all: Vec<String> = plan.blobs.iter().map(|blob| blob.digest.to_string()).collect();
    let mut missing = image.missing(all.clone()).await?;
    loop {
        let lacks = |blob: &&Descriptor| {
            missing.as_ref().is_none_or(|missing| missing.contains(&blob.digest.to_string()))
        };
        let (send, there): (Vec<&Descriptor>, Vec<&Descriptor>) = plan.blobs.iter().partition(lacks);
        there.iter().for_each(|blob| progress(Event::Exists(blob.digest.clone())));
        let mut documents = vec![index_json(plan, |entry| annotate(entry, Some(&name)))];
        // Docker's own store reads this one; ours finds the platform that is its own.
        if missing.is_none() {
            documents.push(manifest_json(plan, Some(&name))?);
        }
        let sent = send.clone();
        let outcome = image.load(tar(entries(source, plan, send, documents, progress)?)).await;
        let Err(error) = outcome else {
            sent.iter().for_each(|blob| progress(Event::Copied(blob.digest.clone())));
            return Ok(());
        };
        // Somebody may have removed there what we counted on.
        let now = image.missing(all.clone()).await?;
        match now.is_some()
            && now != missing
            && there.iter().any(|blob| now.as_ref().is_some_and(|now| now.contains(&blob.digest.to_string())))
        {
            true => missing = now,
            false => return Err(error),
        }
    }
}

fn annotate(entry: &mut Descriptor, name: Option<&Reference>) {
    if let Some(name) = name {
        entry.annotations.insert(annotation::IMAGE_NAME.to_owned(), name.to_string());
        entry.annotations.insert(annotation::REF_NAME.to_owned(), name.tag.clone().unwrap_or_default());
    }
}

fn index_json(plan: &Plan, annotate: impl FnOnce(&mut Descriptor)) -> Entry {
    let mut entry = plan.root.descriptor.bare();
    annotate(&mut entry);
    Entry::Bytes("index.json".to_owned(), Index::new(vec![entry]).to_bytes().into())
}

fn manifest_json(plan: &Plan, name: Option<&Reference>) -> Result<Entry> {
    let shown: &Manifest =
        plan.shown.as_ref().ok_or_else(|| Error::Invalid("the image has no layers to show".to_owned()))?;
    let image = DockerManifest {
        config: entry_name(&shown.config.digest),
        repo_tags: name.map(|name| vec![name.familiar()]),
        layers: Some(shown.layers.iter().map(|layer| entry_name(&layer.digest)).collect()),
    };
    let bytes = serde_json::to_vec(&[image]).map_err(|error| Error::Invalid(error.to_string()))?;
    Ok(Entry::Bytes("manifest.json".to_owned(), bytes.into()))
}

/// The files of an archive: `oci-layout`, the blobs, the manifests, and what names them.
fn entries(
    source: &Source,
    plan: &Plan,
    blobs: Vec<&Descriptor>,
    named: Vec<Entry>,
    progress: &Progress,
) -> Result<Vec<Entry>> {
    let marker = Bytes::from_static(br#"{"imageLayoutVersion":"1.0.0"}"#);
    let mut entries = vec![Entry::Bytes("oci-layout".to_owned(), marker)];
    for blob in blobs {
        let pieces = told(blob, checked(blob, &source.blob(blob)?), progress);
        entries.push(Entry::Stream(entry_name(&blob.digest), blob.size, pieces));
    }
    for document in &plan.documents {
        entries.push(Entry::Bytes(entry_name(&document.descriptor.digest), document.bytes.clone()));
    }
    entries.extend(named);
    Ok(entries)
}

/// Writes beside the file and takes its place when all is there.
async fn to_file(file: &std::path::Path, entries: Vec<Entry>) -> Result<()> {
    use std::io::Write as _;
    let context = || format!("write {}", file.display());
    let partial = Partial::create(file)?;
    let mut out = std::fs::File::create(&partial.path).context(context)?;
    let mut pieces = tar(entries);
    while let Some(piece) = pieces.next().await {
        out.write_all(&piece.context(context)?).context(context)?;
    }
    partial.finish(file)
}

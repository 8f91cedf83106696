//! What has to be at the destination in the end, in the order in which it has to arrive.

use std::collections::HashSet;

use bytes::Bytes;
use distribution::Document;
use image::{Descriptor, Digest, Index, Manifest, Platform};

use crate::Options;
use crate::destination::Destination;
use crate::error::{Error, Result};
use crate::source::Source;

/// An index may name an index, but not for ever.
const MAX_DEPTH: usize = 3;

pub(crate) struct Plan {
    /// What the name stands for.
    pub root: Document,
    /// Children before what names them; the root last.
    pub documents: Vec<Document>,
    /// Configurations and layers, each once.
    pub blobs: Vec<Descriptor>,
    /// The manifest of an image for this host, or of the first there is.
    pub shown: Option<Manifest>,
    seen: HashSet<Digest>,
}

pub(crate) async fn plan(source: &Source, destination: &Destination, options: &Options) -> Result<Plan> {
    let root = source.root().await?;
    let root = match options.all || !root.descriptor.media_type.is_index() {
        true => root,
        false => narrow(source, root, &options.platforms).await?,
    };
    let mut plan = Plan {
        root: root.clone(),
        documents: Vec::new(),
        blobs: Vec::new(),
        shown: None,
        seen: HashSet::new(),
    };
    plan.add(source, destination, root).await?;
    Ok(plan)
}

/// The manifest for one platform, or an index over those for several.
async fn narrow(source: &Source, root: Document, platforms: &[Platform]) -> Result<Document> {
    let host = [Platform::host()];
    let wanted = if platforms.is_empty() { &host[..] } else { platforms };
    let entries = entries(source, &root, 0).await?;
    let mut chosen: Vec<(Descriptor, Document)> = Vec::new();
    for platform in wanted {
        let mut found = None;
        for entry in platform.order(&entries) {
            // An engine may have the index, but not all that it names.
            if let Some(document) = source.document_if_any(entry).await? {
                found = Some((entry.clone(), document));
                break;
            }
        }
        let found =
            found.ok_or_else(|| Error::NotFound(format!("the image is not there for platform {platform}")));
        let found = found?;
        if !chosen.iter().any(|(known, _)| known.digest == found.0.digest) {
            chosen.push(found);
        }
    }
    if platforms.len() <= 1
        && let Some((_, document)) = chosen.pop()
    {
        return Ok(document);
    }
    let mut index = parse_index(&root)?;
    index.manifests = chosen.into_iter().map(|(entry, _)| entry).collect();
    let bytes = Bytes::from(index.to_bytes());
    Ok(Document { descriptor: Descriptor::of(root.descriptor.media_type.clone(), &bytes), bytes })
}

/// The manifests of an index, those of nested ones too.
async fn entries(source: &Source, index: &Document, depth: usize) -> Result<Vec<Descriptor>> {
    let mut found = Vec::new();
    for entry in parse_index(index)?.manifests {
        if !entry.media_type.is_index() {
            found.push(entry);
        } else if depth < MAX_DEPTH
            && let Some(nested) = source.document_if_any(&entry).await?
        {
            found.extend(Box::pin(entries(source, &nested, depth + 1)).await?);
        }
    }
    Ok(found)
}

fn parse_index(document: &Document) -> Result<Index> {
    Index::parse(&document.bytes)
        .map_err(|error| Error::Invalid(format!("index {}: {error}", document.descriptor.digest)))
}

impl Plan {
    async fn add(&mut self, source: &Source, destination: &Destination, document: Document) -> Result<()> {
        if !self.seen.insert(document.descriptor.digest.clone()) {
            return Ok(());
        }
        if document.descriptor.media_type.is_index() {
            for entry in parse_index(&document)?.manifests {
                match source.document_if_any(&entry).await? {
                    Some(child) => Box::pin(self.add(source, destination, child)).await?,
                    // What is there already need not come from here.
                    None if destination.has_document(&entry.digest).await? => {}
                    None => {
                        return Err(Error::NotFound(format!(
                            "the source does not have manifest {}, which the image's index names",
                            entry.digest
                        )));
                    }
                }
            }
            self.documents.push(document);
            return Ok(());
        }
        let manifest = Manifest::parse(&document.bytes)
            .map_err(|error| Error::Invalid(format!("manifest {}: {error}", document.descriptor.digest)))?;
        let layers = manifest.layers.iter().filter(|layer| !layer.media_type.is_foreign());
        for blob in [&manifest.config].into_iter().chain(layers) {
            if self.seen.insert(blob.digest.clone()) {
                self.blobs.push(blob.clone());
            }
        }
        if self.shown.is_none() && manifest.layers.iter().all(|layer| layer.media_type.is_layer()) {
            self.shown = Some(manifest);
        }
        self.documents.push(document);
        Ok(())
    }
}

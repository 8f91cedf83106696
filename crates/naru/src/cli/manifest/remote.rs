//! Manifests at their registries.

use distribution::{Document, Purpose, Repository};
use image::{Descriptor, Digest, ImageConfig, Index, Reference};

use super::super::registries::Access;
use super::super::{Context, Failure};
use super::model::ImageManifest;

/// Configurations above this are refused.
const CONFIG_LIMIT: usize = 16 << 20;

/// What a name stands for at its registry.
pub enum Found {
    /// One manifest.
    Manifest(Box<ImageManifest>),
    /// A list, with all that it names.
    List(Vec<ImageManifest>),
}

/// Access to a name's registry; with `insecure`, without (verified) TLS.
pub fn access<'a>(context: &'a Context, name: &Reference, insecure: bool) -> anyhow::Result<Access<'a>> {
    Access::new(context, if insecure { vec![name.registry.clone()] } else { Vec::new() })
}

/// Asks the registry.
pub async fn find(access: &Access<'_>, name: &Reference) -> anyhow::Result<Found> {
    let repository = access.open(name, &Purpose::default()).await?;
    let document = fetch(&repository, name).await?;
    if !document.descriptor.media_type.is_index() {
        let manifest = described(&repository, name, document).await?;
        return Ok(Found::Manifest(Box::new(manifest)));
    }
    let mut manifests = Vec::new();
    for entry in Index::parse(&document.bytes)?.manifests {
        let child = match &name.tag {
            Some(tag) => {
                Reference { digest: Some(entry.digest.clone()), tag: Some(tag.clone()), ..name.clone() }
            }
            None => name.with_digest(entry.digest.clone()),
        };
        let document = fetch(&repository, &child).await?;
        let descriptor = Descriptor { platform: entry.platform.clone(), ..document.descriptor };
        manifests.push(ImageManifest::new(&child, descriptor, &document.bytes)?);
    }
    Ok(Found::List(manifests))
}

async fn fetch(repository: &Repository, name: &Reference) -> anyhow::Result<Document> {
    let digest = name.digest.as_ref().map(Digest::to_string);
    let wanted = digest.or_else(|| name.tag.clone()).unwrap_or_default();
    repository.document(&wanted).await.map_err(|error| match error.refusal() {
        Some(refusal) if refusal.status == 404 => Failure::new(1, format!("no such manifest: {name}")).into(),
        _ => anyhow::Error::msg(error.message()),
    })
}

/// A manifest with the platform that its configuration tells.
async fn described(
    repository: &Repository,
    name: &Reference,
    document: Document,
) -> anyhow::Result<ImageManifest> {
    let manifest = image::Manifest::parse(&document.bytes)?;
    let config = repository.small_blob(&manifest.config.digest, CONFIG_LIMIT).await;
    let config = config.map_err(|error| anyhow::Error::msg(error.message()))?;
    let platform = ImageConfig::parse(&config).ok().map(|config| image::Platform {
        os: config.os,
        architecture: config.architecture,
        variant: config.variant,
        os_version: config.os_version,
        ..image::Platform::default()
    });
    let descriptor = Descriptor { platform, ..document.descriptor };
    ImageManifest::new(name, descriptor, &document.bytes)
}

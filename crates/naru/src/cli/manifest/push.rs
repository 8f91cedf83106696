//! `manifest push`: a list to its registry, after the manifests that are in other repositories there.

use distribution::{BlobSource, Purpose, Repository};
use image::{Descriptor, Reference};

use super::super::{Context, Failure, Outcome, output};
use super::model::{self, ImageManifest};
use super::remote;
use super::store::Store;

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    list: String,
    /// Allow push to an insecure registry
    #[arg(long)]
    insecure: bool,
    /// Remove the local manifest list after push
    #[arg(short, long)]
    purge: bool,
}

/// Pushes; prints the list's digest.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let list = super::reference(&args.list)?;
    let store = Store::new(context);
    let manifests = store.list(&list)?.unwrap_or_default();
    if manifests.is_empty() {
        return Err(Failure::new(1, format!("No such manifest: {list}")).into());
    }
    let mut elsewhere = Vec::new();
    for manifest in &manifests {
        elsewhere.extend(check(manifest, &list)?.map(|repository| (manifest, repository)));
    }
    let access = remote::access(context, &list, args.insecure)?;
    let mut mount_from: Vec<String> = elsewhere.iter().map(|(_, from)| from.repository.clone()).collect();
    mount_from.sort();
    mount_from.dedup();
    let repository = access.open(&list, &Purpose { write: true, mount_from, ..Purpose::default() }).await?;
    for (manifest, from) in elsewhere {
        let source = access.open(&from, &Purpose::default()).await?;
        bring(manifest, &source, &repository).await?;
        let digest = &manifest.descriptor.digest;
        output::line(&format!("Pushed ref {} with digest: {digest}", list.with_digest(digest.clone())))?;
    }
    let (media_type, bytes) = model::list(&manifests)?;
    let tag = list.digest.as_ref().map(ToString::to_string).or(list.tag.clone()).unwrap_or_default();
    let digest = repository.put_document(&tag, &media_type, &bytes).await;
    let digest = digest.map_err(|error| anyhow::Error::msg(error.message()))?;
    output::line(&digest.to_string())?;
    if args.purge {
        store.remove(&list)?;
    }
    Ok(0)
}

/// The repository that a manifest has to be brought from, if it is not in the list's own.
fn check(manifest: &ImageManifest, list: &Reference) -> anyhow::Result<Option<Reference>> {
    let name = manifest.reference()?;
    let platform = manifest.descriptor.platform.as_ref();
    if platform.is_none_or(|platform| platform.os.is_empty() || platform.architecture.is_empty()) {
        let text = format!("manifest {name} must have an OS and Architecture to be pushed to a registry");
        return Err(Failure::new(1, text).into());
    }
    if name.registry != list.registry {
        let text = format!(
            "cannot use source images from a different registry than the target image: {} != {}",
            name.registry, list.registry
        );
        return Err(Failure::new(1, text).into());
    }
    Ok((name.repository != list.repository).then_some(name))
}

/// A manifest with its blobs, mounted where the registry does that.
async fn bring(manifest: &ImageManifest, from: &Repository, to: &Repository) -> anyhow::Result<()> {
    let failed = |error: distribution::Error| anyhow::Error::msg(error.message());
    let document = manifest.manifest()?;
    let layers = document.layers.iter().filter(|layer| !layer.media_type.is_foreign());
    let blobs: Vec<&Descriptor> = layers.chain([&document.config]).collect();
    for blob in blobs {
        let source: BlobSource = from.blob(blob);
        to.put_blob(blob, &source, Some(from.path()), &|_| ()).await.map_err(failed)?;
    }
    let descriptor = &manifest.descriptor;
    let bytes = manifest.bytes()?;
    to.put_document(&descriptor.digest.to_string(), &descriptor.media_type, &bytes).await.map_err(failed)?;
    Ok(())
}

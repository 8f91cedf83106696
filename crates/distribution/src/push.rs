//! Push: layers, then configuration, then manifests, so that a manifest never names what is not there.
//!
//! Manifests and blobs go out byte for byte as they are stored: the digest of a pushed image is the digest of the pulled
//! one. An index is pushed whole where all of it is here, else the manifest of this platform.

mod upload;

use std::collections::BTreeMap;

use ::http::{Method, header};
use futures_util::future::try_join_all;
use image::{Descriptor, Digest, Index, MediaType, Platform, Reference};
use store::{ImageRecord, Store};

use crate::auth::Auth;
use crate::config::{Registries, place};
use crate::endpoint::{Endpoint, Purpose, endpoints_for};
use crate::error::{Cause, Error, Result};
use crate::http::Outgoing;
use crate::progress::{LayerStep, Progress, ProgressSink, PushedTag};
use crate::pull::{blocking, may_fall_back};
use crate::session::{Access, Session};

/// How to push.
#[derive(Debug, Clone, Default)]
pub struct PushOptions {
    /// Credentials.
    pub auth: Option<Auth>,
    /// Push every tag of the repository that is here.
    pub all_tags: bool,
    /// Push this platform's manifest only, not the index.
    pub platform: Option<Platform>,
}

/// Pushes `reference`, or with `all_tags` every local tag of its repository. Returns what was pushed, in order.
pub async fn push(
    store: &Store,
    reference: &Reference,
    options: &PushOptions,
    registries: &Registries,
    progress: &ProgressSink,
) -> Result<Vec<PushedTag>> {
    progress(Progress::PushRefersTo(reference.name()));
    let images = tagged_images(store, reference, options).await?;
    let mut last = None;
    for endpoint in endpoints_for(registries, reference, Purpose::Push).await? {
        let outcome =
            push_to(store, reference, &images, options, registries, progress, endpoint.clone()).await;
        match outcome {
            Err(error) if may_fall_back(&endpoint, &error) => last = Some(error),
            Err(Error::Refused(refusal)) => return Err(Error::Refused(refusal.first_only())),
            outcome => return outcome,
        }
    }
    let none = || Error::Configuration(format!("no endpoints found for {}", reference.familiar_name()));
    Err(last.unwrap_or_else(none))
}

async fn tagged_images(
    store: &Store,
    reference: &Reference,
    options: &PushOptions,
) -> Result<Vec<(String, ImageRecord)>> {
    let wanted = reference.clone();
    let all = options.all_tags;
    let found = blocking(store, "list images", move |store| {
        let images = store.images()?;
        let mut found = BTreeMap::new();
        for image in images {
            let names = image.names.iter().filter(|name| name.same_repository(&wanted));
            let tags: Vec<String> = names.filter_map(|name| name.tag.clone()).collect();
            for tag in
                tags.into_iter().filter(|tag| all || wanted.tag.is_none() || wanted.tag.as_ref() == Some(tag))
            {
                // Found by its name, the record's target is that name's target.
                let name = Reference { tag: Some(tag.clone()), digest: None, ..wanted.clone() };
                found.insert(tag, store.image(&name.to_string())?);
            }
        }
        Ok(found)
    });
    let found = found.await?;
    if found.is_empty() {
        return Err(match &reference.tag {
            Some(_) if !all => Error::NoSuchTag(reference.familiar()),
            _ => Error::NothingToPush(reference.familiar_name()),
        });
    }
    Ok(found.into_iter().collect())
}

async fn push_to(
    store: &Store,
    reference: &Reference,
    images: &[(String, ImageRecord)],
    options: &PushOptions,
    registries: &Registries,
    progress: &ProgressSink,
    endpoint: Endpoint,
) -> Result<Vec<PushedTag>> {
    let auth = options.auth.as_ref();
    let mut session =
        Session::open(registries, endpoint, &reference.repository, auth, Access::PullPush).await?;
    let mut plans = Vec::new();
    for (tag, image) in images {
        let (image, reference, platform) = (image.clone(), reference.clone(), options.platform.clone());
        let plan =
            blocking(store, "read image", move |store| plan(store, &image, &reference, platform.as_ref()));
        plans.push((tag, plan.await?));
    }
    let sources =
        plans.iter().flat_map(|(_, plan)| plan.layers.iter().filter_map(|layer| layer.mount_from.clone()));
    let mut sources: Vec<String> = sources.collect();
    sources.sort();
    sources.dedup();
    session.also_pull(sources.into_iter());

    let push = Push { store, session: &session, registries, progress };
    let mut pushed = Vec::new();
    for (tag, plan) in plans {
        pushed.push(push.tag(reference, tag, plan).await?);
    }
    Ok(pushed)
}

/// What one tag consists of, in the order in which it has to arrive.
#[derive(Debug)]
struct Plan {
    image: Digest,
    layers: Vec<PlannedLayer>,
    configs: Vec<Descriptor>,
    /// Children before their index; the last one gets the tag.
    manifests: Vec<(Descriptor, Vec<u8>)>,
}

#[derive(Debug, Clone)]
struct PlannedLayer {
    blob: Descriptor,
    /// Docker shows the first digits of the diff id.
    line: String,
    /// A repository at the same registry that has this blob, as far as we know.
    mount_from: Option<String>,
}

fn plan(
    store: &Store,
    image: &ImageRecord,
    reference: &Reference,
    platform: Option<&Platform>,
) -> store::Result<Plan> {
    let mut plan =
        Plan { image: image.id.clone(), layers: Vec::new(), configs: Vec::new(), manifests: Vec::new() };
    let whole = platform.is_none() && image.target.media_type.is_index();
    match whole.then(|| whole_index(store, &image.target)).transpose()?.flatten() {
        Some((bytes, entries)) => {
            for entry in &entries {
                add_manifest(store, &mut plan, entry)?;
            }
            plan.manifests.push((image.target.bare(), bytes));
        }
        None => {
            let chosen = match platform {
                Some(platform) if image.target.media_type.is_index() => {
                    entry_for(store, &image.target, platform)?.unwrap_or_else(|| image.manifest.clone())
                }
                _ => image.manifest.clone(),
            };
            let bytes = store.read_blob(&chosen)?;
            let media_type = crate::session::media_type(MediaType::OCI_MANIFEST, &bytes);
            add_manifest(store, &mut plan, &Descriptor::new(media_type, chosen, bytes.len() as u64))?;
        }
    }
    find_mounts(store, &mut plan, reference)?;
    Ok(plan)
}

/// The index and its entries, if everything they name is here.
fn whole_index(store: &Store, target: &Descriptor) -> store::Result<Option<(Vec<u8>, Vec<Descriptor>)>> {
    let bytes = store.read_blob(&target.digest)?;
    let Ok(index) = Index::parse(&bytes) else { return Ok(None) };
    for entry in &index.manifests {
        let Ok(manifest) = store.manifest(&entry.digest) else { return Ok(None) };
        let mut blobs =
            manifest.layers.iter().filter(|layer| !layer.media_type.is_foreign()).chain([&manifest.config]);
        if !blobs.all(|blob| store.has_blob(&blob.digest)) {
            return Ok(None);
        }
    }
    Ok(Some((bytes, index.manifests)))
}

fn entry_for(store: &Store, target: &Descriptor, platform: &Platform) -> store::Result<Option<Digest>> {
    let bytes = store.read_blob(&target.digest)?;
    let Ok(index) = Index::parse(&bytes) else { return Ok(None) };
    let best = platform.order(&index.manifests).first().map(|entry| entry.digest.clone());
    Ok(best.filter(|digest| store.has_blob(digest)))
}

fn add_manifest(store: &Store, plan: &mut Plan, entry: &Descriptor) -> store::Result<()> {
    let bytes = store.read_blob(&entry.digest)?;
    let manifest = store.manifest(&entry.digest)?;
    let config = store.read_blob(&manifest.config.digest)?;
    let diff_ids =
        image::ImageConfig::parse(&config).map(|config| config.rootfs.diff_ids).unwrap_or_default();
    for (index, blob) in manifest.layers.iter().enumerate() {
        let line = diff_ids.get(index).unwrap_or(&blob.digest).short().to_owned();
        plan.layers.push(PlannedLayer { blob: blob.clone(), line, mount_from: None });
    }
    plan.configs.push(manifest.config.clone());
    plan.manifests.push((entry.bare(), bytes));
    Ok(())
}

/// Where else at this registry a layer should be: in repositories that an image with it was pulled from or pushed to.
fn find_mounts(store: &Store, plan: &mut Plan, reference: &Reference) -> store::Result<()> {
    let mut known: BTreeMap<Digest, String> = BTreeMap::new();
    for image in store.images()? {
        let elsewhere = image
            .repo_digests
            .iter()
            .find(|name| name.registry == reference.registry && name.repository != reference.repository);
        let Some(name) = elsewhere else { continue };
        let Ok(manifest) = store.manifest(&image.manifest) else { continue };
        for layer in &manifest.layers {
            known.entry(layer.digest.clone()).or_insert_with(|| name.repository.clone());
        }
    }
    for layer in &mut plan.layers {
        layer.mount_from = known.get(&layer.blob.digest).cloned();
    }
    Ok(())
}

struct Push<'a> {
    store: &'a Store,
    session: &'a Session,
    registries: &'a Registries,
    progress: &'a ProgressSink,
}

impl Push<'_> {
    async fn tag(&self, reference: &Reference, tag: &str, plan: Plan) -> Result<PushedTag> {
        for layer in &plan.layers {
            (self.progress)(Progress::layer(&layer.line, LayerStep::Preparing));
        }
        let mut unique: BTreeMap<&Digest, &PlannedLayer> = BTreeMap::new();
        for layer in &plan.layers {
            unique.entry(&layer.blob.digest).or_insert(layer);
        }
        try_join_all(unique.into_values().map(|layer| self.layer(layer))).await?;
        for config in &plan.configs {
            upload::blob(self.store, self.session, config, None, &|_| ()).await?;
        }
        let mut last = None;
        for (index, (descriptor, bytes)) in plan.manifests.iter().enumerate() {
            let is_last = index + 1 == plan.manifests.len();
            let name = if is_last { tag.to_owned() } else { descriptor.digest.to_string() };
            self.manifest(&name, descriptor, bytes).await?;
            last = Some(descriptor);
        }
        let descriptor = last.ok_or_else(|| Error::NoSuchTag(reference.familiar()))?;
        let pushed =
            PushedTag { tag: tag.to_owned(), digest: descriptor.digest.clone(), size: descriptor.size };
        let (id, name) = (plan.image, reference.with_digest(descriptor.digest.clone()));
        blocking(self.store, "record digest", move |store| store.tag(&id, &name)).await?;
        (self.progress)(Progress::Pushed(pushed.clone()));
        Ok(pushed)
    }

    async fn layer(&self, layer: &PlannedLayer) -> Result<()> {
        let show = |step: LayerStep| (self.progress)(Progress::layer(&layer.line, step));
        if layer.blob.media_type.is_foreign() {
            show(LayerStep::SkippedForeign);
            return Ok(());
        }
        let _place = place(&self.registries.0.uploads, || show(LayerStep::Waiting)).await?;
        upload::blob(self.store, self.session, &layer.blob, layer.mount_from.as_deref(), &show).await
    }

    async fn manifest(&self, name: &str, descriptor: &Descriptor, bytes: &[u8]) -> Result<()> {
        let uri = self.session.uri(&format!("manifests/{name}"))?;
        let request = Outgoing::new(Method::PUT, uri)
            .header(header::CONTENT_TYPE, descriptor.media_type.as_str())
            .body(bytes.to_vec().into());
        let answer = self.session.send(request).await?;
        if !answer.status().is_success() {
            return Err(answer.refusal().await);
        }
        let stored = answer.header("docker-content-digest").and_then(|digest| digest.parse::<Digest>().ok());
        match stored {
            Some(stored) if stored != descriptor.digest => Err(answer.error(Cause::Protocol(format!(
                "the registry stored the manifest as {stored}, expected {}",
                descriptor.digest
            )))),
            _ => Ok(()),
        }
    }
}

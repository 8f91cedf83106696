//! Push: layers and configuration, then manifests, so that a manifest never names what is not there.
//!
//! Manifests and blobs go out byte for byte as they are stored: the digest of a pushed image is the digest of the pulled
//! one. An index is pushed whole where all of it is here or already there, else the manifest of this platform.

pub(crate) mod upload;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use image::{Descriptor, Digest, Index, Platform, Reference};
use store::{ImageRecord, Packed, Place, Store};

use crate::auth::Auth;
use crate::blob_source::BlobSource;
use crate::config::{Registries, place};
use crate::endpoint::{Endpoint, Purpose, endpoints_for};
use crate::error::{Error, Result};
use crate::progress::{LayerStep, Progress, ProgressSink, PushedTag};
use crate::pull::{blocking, may_fall_back};
use crate::repository::put_manifest;
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
    /// Pack the layers that way first; `None` leaves everything as it is, digests included.
    pub packed: Option<Packed>,
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
    let (all, is_packed_anew) = (options.all_tags, options.packed.is_some());
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
                let image = store.image(&name.to_string())?;
                let image = match is_packed_anew {
                    true => store.packed_image(&image)?,
                    false => store.pushed_image(&image)?,
                };
                found.insert(tag, image);
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
    // Layers that are packed anew have no name that protects them.
    let _lease = store.lease();
    let auth = options.auth.as_ref();
    let mut session =
        Session::open(registries, endpoint, &reference.repository, auth, Access::PullPush).await?;
    let mut plans = Vec::new();
    for (tag, image) in images {
        let whole = may_push_whole(store, &session, image, options).await?;
        let wanted = options.platform.as_ref().map(ToString::to_string).unwrap_or_default();
        let named = Reference { tag: Some(tag.clone()), ..reference.clone() };
        let (image, options, target) = (image.clone(), options.clone(), Target::of(&session));
        let plan = blocking(store, "read image", move |store| plan(store, &image, &target, &options, whole));
        let plan = plan
            .await?
            .ok_or_else(|| Error::PlatformNotHere { reference: named.familiar(), platform: wanted });
        plans.push((tag, plan?));
    }
    let layers = plans.iter().flat_map(|(_, plan)| &plan.layers);
    let mut sources: Vec<String> = layers.flat_map(|layer| layer.known.elsewhere.clone()).collect();
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

/// Whether an image's index can be pushed: everything it names is here, or at the registry already.
async fn may_push_whole(
    store: &Store,
    session: &Session,
    image: &ImageRecord,
    options: &PushOptions,
) -> Result<bool> {
    if options.platform.is_some() || !image.target.media_type.is_index() {
        return Ok(false);
    }
    let target = image.target.clone();
    let entries = blocking(store, "read index", move |store| store.index_entries(&target)).await?;
    for entry in entries.iter().filter(|entry| !entry.is_here) {
        if session.head_manifest(&entry.descriptor.digest.to_string()).await?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What one tag consists of, in the order in which it has to arrive.
#[derive(Debug)]
struct Plan {
    image: Digest,
    layers: Vec<PlannedLayer>,
    configs: Vec<Descriptor>,
    /// Children before their index; the last one gets the tag.
    manifests: Vec<(Descriptor, Vec<u8>)>,
    /// The index that cannot be pushed, because some of it is missing.
    instead_of: Option<Descriptor>,
}

#[derive(Debug, Clone)]
struct PlannedLayer {
    blob: Descriptor,
    /// Docker shows the first digits of the diff id.
    line: String,
    diff_id: Option<Digest>,
    known: upload::Known,
}

/// The place that is pushed to.
struct Target {
    registry: String,
    repository: String,
}

impl Target {
    fn of(session: &Session) -> Self {
        Target { registry: session.endpoint.host.clone(), repository: session.repository.clone() }
    }
}

/// A registry that answers none of so many will not answer the next one.
const MOUNTS_MAX: usize = 3;

/// `None` when the image is not here for that platform.
fn plan(
    store: &Store,
    image: &ImageRecord,
    target: &Target,
    options: &PushOptions,
    whole: bool,
) -> store::Result<Option<Plan>> {
    let mut plan = Plan {
        image: image.id.clone(),
        layers: Vec::new(),
        configs: Vec::new(),
        manifests: Vec::new(),
        instead_of: None,
    };
    match &options.platform {
        None if whole => add_index(store, &mut plan, &image.target)?,
        None => {
            plan.instead_of = image.target.media_type.is_index().then(|| image.target.bare());
            add_manifest(store, &mut plan, &store.own_manifest(image)?)?;
        }
        Some(platform) => {
            let Some(manifest) = store.manifest_for(image, platform)? else { return Ok(None) };
            add_manifest(store, &mut plan, &manifest)?;
        }
    }
    if let Some(packed) = options.packed {
        plan = repack(store, plan, packed)?;
    }
    for layer in &mut plan.layers {
        layer.known = known(store, layer, target);
    }
    Ok(Some(plan))
}

/// An index after everything that it names and that is here.
fn add_index(store: &Store, plan: &mut Plan, at: &Descriptor) -> store::Result<()> {
    let bytes = store.read_blob(&at.digest)?;
    let index = parse_index(&at.digest, &bytes)?;
    for entry in &index.manifests {
        match entry.media_type.is_index() {
            true if store.has_blob(&entry.digest) => add_index(store, plan, entry)?,
            false if store.is_whole(&entry.digest) => add_manifest(store, plan, entry)?,
            _ => {}
        }
    }
    plan.manifests.push((at.bare(), bytes));
    Ok(())
}

fn parse_index(digest: &Digest, bytes: &[u8]) -> store::Result<Index> {
    Index::parse(bytes).map_err(|error| store::Error::Invalid(format!("index {digest}: {error}")))
}

fn add_manifest(store: &Store, plan: &mut Plan, entry: &Descriptor) -> store::Result<()> {
    let bytes = store.read_blob(&entry.digest)?;
    let manifest = store.manifest(&entry.digest)?;
    let config = store.read_blob(&manifest.config.digest)?;
    let diff_ids =
        image::ImageConfig::parse(&config).map(|config| config.rootfs.diff_ids).unwrap_or_default();
    for (index, blob) in manifest.layers.iter().enumerate() {
        let diff_id = diff_ids.get(index).cloned();
        let line = diff_id.as_ref().unwrap_or(&blob.digest).short().to_owned();
        plan.layers.push(PlannedLayer { blob: blob.clone(), line, diff_id, known: upload::Known::default() });
    }
    plan.configs.push(manifest.config.clone());
    plan.manifests.push((entry.bare(), bytes));
    Ok(())
}

/// The same with every image's layers packed anew, and indexes that name the new manifests.
fn repack(store: &Store, plan: Plan, packed: Packed) -> store::Result<Plan> {
    let mut new = Plan { layers: Vec::new(), configs: Vec::new(), manifests: Vec::new(), ..plan };
    let mut replaced: BTreeMap<Digest, Descriptor> = BTreeMap::new();
    for (descriptor, bytes) in plan.manifests {
        if !descriptor.media_type.is_index() {
            let is_image =
                store.manifest(&descriptor.digest)?.layers.iter().all(|layer| layer.media_type.is_layer());
            let manifest =
                if is_image { store.repack(&descriptor.digest, packed)? } else { descriptor.clone() };
            replaced.insert(descriptor.digest, manifest.clone());
            add_manifest(store, &mut new, &manifest)?;
            continue;
        }
        let mut index = parse_index(&descriptor.digest, &bytes)?;
        for entry in &mut index.manifests {
            if let Some(manifest) = replaced.get(&entry.digest) {
                let Descriptor { media_type, digest, size, .. } = manifest.clone();
                *entry = Descriptor { media_type, digest, size, ..entry.clone() };
            }
        }
        index.media_type = image::MediaType::OCI_INDEX;
        let bytes = index.to_bytes();
        let top = Descriptor::of(image::MediaType::OCI_INDEX, &bytes);
        replaced.insert(descriptor.digest, top.clone());
        new.manifests.push((top, bytes));
    }
    Ok(new)
}

/// Where at this registry a layer should be: in repositories that it was pulled from or pushed to, the latest first.
fn known(store: &Store, layer: &PlannedLayer, target: &Target) -> upload::Known {
    let places = layer.diff_id.iter().flat_map(|diff_id| store.places(diff_id));
    let usable =
        places.filter(|place| place.registry == target.registry && place.blob.digest == layer.blob.digest);
    let (here, elsewhere): (Vec<Place>, Vec<Place>) =
        usable.partition(|place| place.repository == target.repository);
    let elsewhere = elsewhere.into_iter().map(|place| place.repository).take(MOUNTS_MAX).collect();
    upload::Known { here: !here.is_empty(), elsewhere }
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
        let layers = try_join_all(unique.into_values().map(|layer| self.layer(layer)));
        let configs = try_join_all(plan.configs.iter().map(|config| self.config(config)));
        tokio::try_join!(layers, configs)?;
        let mut last = None;
        for (index, (descriptor, bytes)) in plan.manifests.iter().enumerate() {
            let is_last = index + 1 == plan.manifests.len();
            let name = if is_last { tag.to_owned() } else { descriptor.digest.to_string() };
            put_manifest(self.session, &name, &descriptor.media_type, bytes).await?;
            last = Some(descriptor);
        }
        let descriptor: &Descriptor = last.ok_or_else(|| Error::NoSuchTag(reference.familiar()))?;
        let pushed =
            PushedTag { tag: tag.to_owned(), digest: descriptor.digest.clone(), size: descriptor.size };
        let (id, name) = (plan.image, reference.with_digest(descriptor.digest.clone()));
        blocking(self.store, "record digest", move |store| store.tag(&id, &name)).await?;
        (self.progress)(Progress::Pushed(pushed.clone()));
        if let Some(index) = plan.instead_of {
            (self.progress)(Progress::PushedInsteadOfIndex {
                index: Box::new(index),
                manifest: Box::new(descriptor.clone()),
            });
        }
        Ok(pushed)
    }

    async fn config(&self, config: &Descriptor) -> Result<()> {
        upload::blob(self.session, config, &self.source(config), &upload::Known::default(), &|_| ()).await
    }

    async fn layer(&self, layer: &PlannedLayer) -> Result<()> {
        let show = |step: LayerStep| (self.progress)(Progress::layer(&layer.line, step));
        if layer.blob.media_type.is_foreign() {
            show(LayerStep::SkippedForeign);
            return Ok(());
        }
        let _place = place(&self.registries.0.uploads, || show(LayerStep::Waiting)).await?;
        let source = self.source(&layer.blob);
        upload::blob(self.session, &layer.blob, &source, &layer.known, &show).await?;
        let diff_ids = layer.diff_id.clone().map(|diff_id| (diff_id, layer.blob.bare()));
        remember(self.store, self.session, diff_ids.into_iter().collect()).await;
        Ok(())
    }

    /// A blob of the store; opened when it is needed, which most often it is not.
    fn source(&self, blob: &Descriptor) -> BlobSource {
        let (store, blob) = (self.store.clone(), blob.clone());
        BlobSource::new(move |offset| {
            let (store, blob) = (store.clone(), blob.clone());
            let opened = async move {
                let (digest, size) = (blob.digest, blob.size);
                let file = tokio::task::spawn_blocking(move || store.open_blob(&digest)).await;
                let file = file.map_err(io::Error::other)?.map_err(io::Error::other)?;
                Ok::<_, io::Error>(BlobSource::file(Arc::new(file), 0, size).from(offset))
            };
            stream::once(opened).try_flatten().boxed()
        })
    }
}

/// Remembers that a repository has these layers (diff id, and the blob as it is there), for the next push of them to the same
/// registry.
pub(crate) async fn remember(store: &Store, session: &Session, layers: Vec<(Digest, Descriptor)>) {
    let Target { registry, repository } = Target::of(session);
    let remembered = blocking(store, "remember layers", move |store| {
        for (diff_id, blob) in layers.into_iter().filter(|(_, blob)| !blob.media_type.is_foreign()) {
            let place = Place { registry: registry.clone(), repository: repository.clone(), blob };
            store.remember_place(&diff_id, place)?;
        }
        Ok(())
    });
    if let Err(error) = remembered.await {
        tracing::warn!(error = error.message(), "a later push may send a layer that is there already");
    }
}

//! The layers of one image: which are missing, bringing those here in parallel, and publishing them bottom up.
//!
//! A layer is downloaded and unpacked at the same time: the unpacker reads the growing blob file behind the writer, so the
//! disk is the buffer between a fast network and a slow inflater, memory stays bounded, and a resumed download needs no
//! special case.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use image::{Descriptor, Digest};
use store::{StagedLayer, Store};
use tokio::sync::watch;

use super::flight::{Claim, Flight, Work, follow};
use super::{Pull, download};
use crate::error::{Error, Result};
use crate::progress::{LayerStep, Progress, ProgressSink};

/// How often a layer's bar moves.
const TICK: Duration = Duration::from_millis(100);

/// One layer's place in the image and on the screen.
#[derive(Clone)]
pub(super) struct Layer {
    pub blob: Descriptor,
    pub diff_id: Digest,
    pub chain: Digest,
    pub parent: Option<Digest>,
    pub line: Line,
}

/// The progress line of a layer.
#[derive(Clone)]
pub(super) struct Line {
    id: Arc<str>,
    sink: ProgressSink,
}

impl Line {
    pub fn new(digest: &Digest, sink: &ProgressSink) -> Self {
        Line { id: digest.short().into(), sink: sink.clone() }
    }

    pub fn show(&self, step: LayerStep) {
        (self.sink)(Progress::layer(&self.id, step));
    }
}

/// Brings all layers (lowest first) and publishes them. Dropping the future stops everything.
/// `quiet`: the very image is known, so that layers which are here are not worth a line.
pub(super) async fn fetch(
    pull: &Pull<'_>,
    blobs: &[Descriptor],
    diff_ids: &[Digest],
    quiet: bool,
) -> Result<()> {
    let chains = image::chain_ids(diff_ids);
    let layers = blobs.iter().zip(diff_ids).enumerate().map(|(index, (blob, diff_id))| Layer {
        blob: blob.clone(),
        diff_id: diff_id.clone(),
        chain: chains[index].clone(),
        parent: index.checked_sub(1).map(|below| chains[below].clone()),
        line: Line::new(&blob.digest, pull.progress),
    });
    let layers: Vec<Layer> = layers.collect();
    let wanted = layers.clone();
    let here = pull.blocking("look up layers", move |store| {
        wanted.iter().map(|layer| is_here(store, layer)).collect::<store::Result<Vec<bool>>>()
    });
    let here = here.await?;
    if quiet && here.iter().all(|here| *here) {
        return Ok(());
    }
    for (layer, here) in layers.iter().zip(&here) {
        layer.line.show(if *here { LayerStep::AlreadyExists } else { LayerStep::PullingFsLayer });
    }
    // One signal per layer: its folder is in place, so the next one can settle on it.
    let (signals, published): (Vec<_>, Vec<_>) = here.iter().map(|here| watch::channel(*here)).unzip();
    let missing = layers.iter().zip(signals).enumerate().filter(|(index, _)| !here[*index]);
    let work = missing.map(|(index, (layer, signal))| {
        // Those between are here; they may stand on one that is not.
        let below = (0..index).rev().find(|below| !here[*below]).map(|below| published[below].clone());
        async move {
            bring(pull, layer, below).await?;
            signal.send_replace(true);
            Ok::<_, Error>(())
        }
    });
    try_join_all(work).await?;
    Ok(())
}

fn is_here(store: &Store, layer: &Layer) -> store::Result<bool> {
    Ok(store.has_layer(&layer.chain) && store.has(&layer.blob)?)
}

/// Until the layer is here: does the work, or watches another pull do it.
async fn bring(pull: &Pull<'_>, layer: &Layer, below: Option<watch::Receiver<bool>>) -> Result<()> {
    loop {
        match pull.registries.0.in_flight.claim(Work::Layer(layer.chain.clone())) {
            Claim::Mine(flight) => return work(pull, layer, below, &flight).await,
            Claim::Theirs(steps) => follow(steps, |step| layer.line.show(step)).await,
        }
        let wanted = layer.clone();
        if pull.blocking("look up layer", move |store| is_here(store, &wanted)).await? {
            layer.line.show(LayerStep::PullComplete);
            return Ok(());
        }
    }
}

async fn work(
    pull: &Pull<'_>,
    layer: &Layer,
    below: Option<watch::Receiver<bool>>,
    flight: &Flight,
) -> Result<()> {
    let show = |step: LayerStep| {
        flight.step(step.clone());
        layer.line.show(step);
    };
    let wanted = layer.clone();
    let known = pull.blocking("look up layer", move |store| {
        Ok((store.has_layer(&wanted.chain), store.has(&wanted.blob)?))
    });
    let (has_layer, has_blob) = known.await?;
    let staged = match (has_layer, has_blob) {
        (true, true) => None,
        (true, false) => {
            download::blob(pull, &layer.blob, &show, |_| ()).await?;
            None
        }
        (false, true) => match stage_from_disk(pull, layer, &show).await {
            // The disk may be to blame, and not the registry.
            Err(Error::Unpack(error)) if error.is_bad_content() && doubted(pull, layer).await? => {
                Some(download_and_stage(pull, layer, &show).await?)
            }
            staged => Some(staged?),
        },
        (false, false) => Some(download_and_stage(pull, layer, &show).await?),
    };
    if let Some(staged) = staged {
        // The layer below may be published by this pull or by another one: either way the signal comes after it.
        if let Some(mut below) = below {
            below.wait_for(|published| *published).await.map_err(|_| Error::Cancelled)?;
        }
        let parent = layer.parent.clone();
        let publish = move |store: Store| store.publish_layer(parent.as_ref(), staged);
        let store = pull.store.clone();
        let published =
            tokio::task::spawn_blocking(move || publish(store)).await.map_err(|_| Error::Cancelled)?;
        published.map_err(Error::Unpack)?;
    }
    show(LayerStep::PullComplete);
    Ok(())
}

/// Whether a layer's blob is not what its digest says; then it counts as not here.
async fn doubted(pull: &Pull<'_>, layer: &Layer) -> Result<bool> {
    let digest = layer.blob.digest.clone();
    pull.blocking("verify blob", move |store| match store.verify_blob(&digest) {
        Err(error) if error.is_bad_content() => store.doubt_blob(&digest).map(|()| true),
        outcome => outcome.map(|()| false),
    })
    .await
}

async fn download_and_stage(
    pull: &Pull<'_>,
    layer: &Layer,
    show: &impl Fn(LayerStep),
) -> Result<StagedLayer> {
    let mut staging = None;
    let outcome = download::blob(pull, &layer.blob, show, |reader| {
        // A second call means that the first download was thrown away, and its unpacker with it.
        staging = Some(Staging::start(pull, layer, reader));
    });
    outcome.await?;
    match staging {
        Some(mut staging) => staging.finish(show, layer.blob.size).await,
        None => stage_from_disk(pull, layer, show).await,
    }
}

async fn stage_from_disk(pull: &Pull<'_>, layer: &Layer, show: &impl Fn(LayerStep)) -> Result<StagedLayer> {
    let digest = layer.blob.digest.clone();
    let blob = pull.blocking("open blob", move |store| store.open_blob(&digest)).await?;
    Staging::start(pull, layer, blob).finish(show, layer.blob.size).await
}

/// An unpacker at work on its own thread.
struct Staging {
    task: tokio::task::JoinHandle<store::Result<StagedLayer>>,
    read: Arc<AtomicU64>,
}

impl Staging {
    fn start(pull: &Pull<'_>, layer: &Layer, blob: impl Read + Send + 'static) -> Self {
        let read = Arc::new(AtomicU64::new(0));
        let (store, diff_id, media_type) =
            (pull.store.clone(), layer.diff_id.clone(), layer.blob.media_type.clone());
        let permits = pull.registries.0.unpacks.clone();
        let counted = Counted { inner: blob, read: read.clone() };
        let task = tokio::spawn(async move {
            let permit = permits.acquire_owned().await;
            let work = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                store.stage_layer(&diff_id, &media_type, counted)
            });
            match work.await {
                Ok(outcome) => outcome,
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            }
        });
        Staging { task, read }
    }

    async fn finish(&mut self, show: &impl Fn(LayerStep), total: u64) -> Result<StagedLayer> {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                outcome = &mut self.task => {
                    let staged = outcome.map_err(|_| Error::Cancelled)?.map_err(Error::Unpack)?;
                    show(LayerStep::Extracting { current: total, total });
                    return Ok(staged);
                }
                _ = tick.tick() => {
                    let current = self.read.load(Ordering::Relaxed).min(total);
                    show(LayerStep::Extracting { current, total });
                }
            }
        }
    }
}

impl Drop for Staging {
    /// The unpacker itself ends when its reader fails; what has not begun never begins.
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Lets a step through at most once a [`TICK`].
pub(crate) struct Throttle(Option<Instant>);

impl Throttle {
    pub fn new() -> Self {
        Throttle(None)
    }

    pub fn ready(&mut self) -> bool {
        let now = Instant::now();
        if self.0.is_some_and(|last| now.duration_since(last) < TICK) {
            return false;
        }
        self.0 = Some(now);
        true
    }
}

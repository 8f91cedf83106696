//! One blob from the registry to the store, resumed wherever it broke off.
//!
//! ```text
//! network ─ pieces ─▶ bounded channel ─▶ writer thread (file + hash) ─▶ commit (digest checked)
//! ```
//! A broken connection is continued by a Range request. Attempts are counted since the last real progress, so that a
//! flaky line gets through a large blob while a dead one fails soon.

use std::sync::Arc;

use ::http::header;
use ::http::{StatusCode, Uri};
use bytes::Bytes;
use image::Descriptor;
use store::{Ingest, IngestReader};
use tokio::sync::mpsc;

use super::Pull;
use super::flight::{Claim, Work, follow};
use super::layers::Throttle;
use crate::config::place;
use crate::error::{Cause, Error, Result};
use crate::http::{Answer, Http, Outgoing};
use crate::progress::LayerStep;
use crate::session::Session;

/// Pieces of up to 64 KiB that may wait for the writer.
const PIECES: usize = 16;
/// Progress that makes earlier failures forgotten.
const REAL_PROGRESS: u64 = 1 << 20;

/// Brings a blob here. `on_reader` gets a reader that follows the download, each time one begins.
pub(super) async fn blob(
    pull: &Pull<'_>,
    blob: &Descriptor,
    show: &impl Fn(LayerStep),
    mut on_reader: impl FnMut(IngestReader),
) -> Result<()> {
    loop {
        let flight = match pull.registries.0.in_flight.claim(Work::Blob(blob.digest.clone())) {
            Claim::Mine(flight) => flight,
            Claim::Theirs(steps) => {
                follow(steps, show).await;
                if here(pull, blob).await? {
                    return Ok(());
                }
                continue;
            }
        };
        if here(pull, blob).await? {
            return Ok(());
        }
        let show = |step: LayerStep| {
            flight.step(step.clone());
            show(step);
        };
        let _place = place(&pull.registries.0.downloads, || show(LayerStep::Waiting)).await?;
        let resumed = match attempt(pull, blob, &show, &mut on_reader).await? {
            Outcome::Done => return Ok(()),
            Outcome::Damaged { resumed } => resumed,
        };
        // What was on disk from an earlier pull may be to blame: once more, from the start.
        if !resumed {
            return Err(Error::WrongDigest { what: "filesystem layer", digest: blob.digest.clone() });
        }
    }
}

async fn here(pull: &Pull<'_>, blob: &Descriptor) -> Result<bool> {
    let blob = blob.clone();
    pull.blocking("look up blob", move |store| store.has(&blob)).await
}

enum Outcome {
    Done,
    /// Whole, but not what the digest says. `resumed`: part of it was here before.
    Damaged {
        resumed: bool,
    },
}

async fn attempt(
    pull: &Pull<'_>,
    blob: &Descriptor,
    show: &impl Fn(LayerStep),
    on_reader: &mut impl FnMut(IngestReader),
) -> Result<Outcome> {
    let (digest, size) = (blob.digest.clone(), blob.size);
    let (ingest, reader) = pull
        .blocking("begin blob", move |store| {
            let ingest = store.ingest(&digest, Some(size))?;
            let reader = ingest.reader()?;
            Ok((ingest, reader))
        })
        .await?;
    let start = ingest.offset();
    on_reader(reader);
    let ingest = if ingest.is_complete() { ingest } else { receive(pull, blob, ingest, show).await? };
    show(LayerStep::VerifyingChecksum);
    let commit = tokio::task::spawn_blocking(move || ingest.commit()).await.map_err(|_| Error::Cancelled)?;
    match commit {
        Ok(()) => {
            show(LayerStep::DownloadComplete);
            Ok(Outcome::Done)
        }
        Err(error) if error.is_bad_content() => {
            tracing::warn!(blob = %blob.digest, %error, "downloaded blob is damaged");
            Ok(Outcome::Damaged { resumed: start > 0 })
        }
        Err(source) => Err(Error::Store { what: format!("blob {}", blob.digest), source }),
    }
}

/// Receives the rest of a blob.
async fn receive(
    pull: &Pull<'_>,
    blob: &Descriptor,
    ingest: Ingest,
    show: &impl Fn(LayerStep),
) -> Result<Ingest> {
    let mut transfer = Transfer {
        session: pull.session,
        blob,
        offset: ingest.offset(),
        pieces: None,
        throttle: Throttle::new(),
    };
    let (sender, receiver) = mpsc::channel(PIECES);
    transfer.pieces = Some(sender);
    let writer = tokio::task::spawn_blocking(move || write(ingest, receiver));
    let outcome = transfer.run(show).await;
    // The writer ends with the channel; its error (a full disk) is the cause of ours (a closed channel).
    drop(transfer);
    let written = writer.await.map_err(|_| Error::Cancelled)?;
    let ingest = written.map_err(|source| Error::Store { what: format!("blob {}", blob.digest), source })?;
    outcome.map(|()| ingest)
}

fn write(mut ingest: Ingest, mut pieces: mpsc::Receiver<Bytes>) -> store::Result<Ingest> {
    while let Some(piece) = pieces.blocking_recv() {
        ingest.write(&piece)?;
    }
    Ok(ingest)
}

struct Transfer<'a> {
    session: &'a Session,
    blob: &'a Descriptor,
    /// Bytes handed to the writer, counting those that were here before.
    offset: u64,
    pieces: Option<mpsc::Sender<Bytes>>,
    throttle: Throttle,
}

impl Transfer<'_> {
    async fn run(&mut self, show: &impl Fn(LayerStep)) -> Result<()> {
        let retry = self.session.http.retry;
        let mut failures = 0;
        let mut mark = self.offset;
        while self.offset < self.blob.size {
            let Err(error) = self.once(show).await else { continue };
            if self.offset >= mark + REAL_PROGRESS {
                mark = self.offset;
                failures = 0;
            }
            failures += 1;
            if failures >= retry.attempts || !error.is_transient() {
                return Err(error);
            }
            tracing::info!(blob = %self.blob.digest, offset = self.offset, error = error.message(), "resuming download");
            let asked = error.refusal().and_then(|refusal| refusal.retry_after);
            let delay = asked.unwrap_or_else(|| retry.delay(failures)).min(retry.max);
            let seconds = delay.as_secs();
            for left in (1..=seconds).rev() {
                show(LayerStep::Retrying { seconds: left });
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            tokio::time::sleep(delay - std::time::Duration::from_secs(seconds)).await;
        }
        Ok(())
    }

    /// One connection's worth.
    async fn once(&mut self, show: &impl Fn(LayerStep)) -> Result<()> {
        let mut answer = self.open().await?;
        let mut skip = match answer.status() {
            StatusCode::PARTIAL_CONTENT => {
                check_range(&answer, self.offset)?;
                0
            }
            // The whole blob, although we asked for its end: pass over what we have.
            StatusCode::OK => self.offset,
            _ => return Err(answer.refusal().await),
        };
        self.show(show);
        while self.offset < self.blob.size {
            let Some(mut piece) = answer.chunk().await? else {
                return Err(answer.error(Cause::Broken("unexpected EOF".to_owned())));
            };
            let passed = skip.min(piece.len() as u64);
            skip -= passed;
            let _ = piece.split_to(passed as usize);
            if self.offset + piece.len() as u64 > self.blob.size {
                return Err(Error::WrongDigest {
                    what: "filesystem layer",
                    digest: self.blob.digest.clone(),
                });
            }
            self.offset += piece.len() as u64;
            let Some(pieces) = &self.pieces else { return Err(Error::Cancelled) };
            if !piece.is_empty() {
                pieces.send(piece).await.map_err(|_| Error::Cancelled)?;
            }
            if self.throttle.ready() {
                self.show(show);
            }
        }
        self.show(show);
        Ok(())
    }

    fn show(&self, show: &impl Fn(LayerStep)) {
        show(LayerStep::Downloading { current: self.offset, total: self.blob.size });
    }

    /// Asks the registry; for a layer that its publisher keeps elsewhere, asks there first.
    async fn open(&self) -> Result<Answer> {
        if self.blob.media_type.is_foreign() {
            for url in &self.blob.urls {
                let Ok(uri) = url.parse::<Uri>() else { continue };
                if !matches!(uri.scheme_str(), Some("http" | "https")) {
                    continue;
                }
                if let Some(answer) = elsewhere(&self.session.http, self.ranged(Outgoing::get(uri))).await {
                    return Ok(answer);
                }
            }
        }
        let uri = self.session.uri(&format!("blobs/{}", self.blob.digest))?;
        self.session.send_once(self.ranged(Outgoing::get(uri))).await
    }

    fn ranged(&self, request: Outgoing) -> Outgoing {
        match self.offset {
            0 => request,
            offset => request.header(header::RANGE, format!("bytes={offset}-")),
        }
    }
}

async fn elsewhere(http: &Arc<Http>, request: Outgoing) -> Option<Answer> {
    let answer = http.send(request).await.ok()?;
    answer.status().is_success().then_some(answer)
}

/// A proxy that answers with another part than the one asked for would corrupt the blob unnoticed until its end.
fn check_range(answer: &Answer, offset: u64) -> Result<()> {
    let range = answer.header("content-range").unwrap_or_default();
    let start =
        range.strip_prefix("bytes ").and_then(|range| range.split('-').next()?.trim().parse::<u64>().ok());
    match start == Some(offset) {
        true => Ok(()),
        false => Err(Session::protocol_error(answer, format!("could not find expected range in {range:?}"))),
    }
}

//! One blob to the registry: skipped, mounted or uploaded.
//!
//! ```text
//! HEAD ─ 200 ─▶ there already                                         (after the mounts, where there are some to try)
//! POST uploads/[?mount=&from=] ─ 201 ─▶ mounted                       (each place that may have it, then without)
//!                              ─ 202 ─▶ PATCH body ─▶ PUT ?digest= ─ 201 ─▶ done
//!                                        │ broken
//!                                        ├▶ GET upload → Range: 0-n ─▶ PATCH the rest
//!                                        │ 413
//!                                        └▶ anew, with PATCHes of limited length
//! ```
//! What is small goes with the PUT. One request carries all of it unless something on the way (a proxy, most often) refuses so much at once.
//! Source: OCI distribution-spec 1.1, "Push".

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::http::{Method, StatusCode, Uri, header};
use futures_util::StreamExt as _;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use image::Descriptor;

use crate::blob_source::BlobSource;
use crate::error::{Cause, Error, Result};
use crate::http::{Answer, Body, Outgoing, Stream};
use crate::progress::LayerStep;
use crate::session::Session;
use crate::url;

/// The length of a request's body once a larger one was refused; halved as long as it is refused again.
const CHUNK: u64 = 64 << 20;
const SMALLEST_CHUNK: u64 = 1 << 20;
/// A blob up to here goes with the request that ends its upload.
const SMALL: u64 = 64 << 10;
/// How often a layer's bar moves.
const TICK: Duration = Duration::from_millis(100);

/// Where the registry has a blob, as far as is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// In the repository that is pushed to.
    pub here: bool,
    /// In others of it.
    pub elsewhere: Vec<String>,
}

/// Makes sure that the registry has the blob. Whether it has is asked by the mount itself where one is likely to do.
pub(crate) async fn blob(
    session: &Session,
    blob: &Descriptor,
    source: &BlobSource,
    known: &Known,
    show: &impl Fn(LayerStep),
) -> Result<()> {
    let mut is_asked = known.here || known.elsewhere.is_empty();
    if is_asked && exists(session, blob).await? {
        show(LayerStep::LayerAlreadyExists);
        return Ok(());
    }
    let mut failures = 0;
    let mut limit = u64::MAX;
    let mut upload: Option<Uri> = None;
    let mut mount_from = known.elsewhere.iter();
    loop {
        let outcome = match upload.take() {
            None => begin(session, blob, mount_from.next()).await,
            Some(location) => match offset(session, location).await {
                Err(error) if is_lost(&error) => begin(session, blob, None).await,
                outcome => outcome,
            },
        };
        let error = match outcome {
            Ok(Begun::Mounted(from)) => {
                show(LayerStep::MountedFrom(from));
                return Ok(());
            }
            // It is not there, or not for us; another place may have it.
            Ok(Begun::At { location, .. }) if mount_from.len() > 0 => {
                let _ = session.send_once(Outgoing::new(Method::DELETE, location)).await;
                continue;
            }
            Ok(Begun::At { location, offset }) => {
                if !std::mem::replace(&mut is_asked, true) && exists(session, blob).await? {
                    let _ = session.send_once(Outgoing::new(Method::DELETE, location)).await;
                    show(LayerStep::LayerAlreadyExists);
                    return Ok(());
                }
                let sending = Sending { session, blob, source, limit };
                match sending.run(location.clone(), offset, show).await {
                    Ok(()) => {
                        show(LayerStep::Pushed);
                        return Ok(());
                    }
                    Err(error) if is_too_large(&error) && limit > SMALLEST_CHUNK => {
                        limit = (limit.min(2 * CHUNK) / 2).min(blob.size.next_power_of_two() / 2);
                        limit = limit.max(SMALLEST_CHUNK);
                        tracing::info!(blob = %blob.digest, limit, "uploading in smaller parts");
                        continue;
                    }
                    Err(error) => {
                        // The registry may have kept what arrived; ask it.
                        upload = matches!(error, Error::Request { .. }).then_some(location);
                        error
                    }
                }
            }
            Err(error) => error,
        };
        failures += 1;
        if failures >= session.http.retry.attempts || !(error.is_transient() || is_lost(&error)) {
            return Err(error);
        }
        tracing::info!(blob = %blob.digest, error = error.message(), "resuming upload");
        let delay = session.http.retry.delay(failures);
        show(LayerStep::Retrying { seconds: delay.as_secs().max(1) });
        tokio::time::sleep(delay).await;
    }
}

/// Whether the registry can't go on with an upload. `distribution` never can with one that broke off inside a request: its
/// URLs carry the offset, and the one we have is that of before (`BLOB_UPLOAD_INVALID`).
fn is_lost(error: &Error) -> bool {
    error.refusal().is_some_and(|refusal| {
        refusal.has_code("BLOB_UPLOAD_UNKNOWN")
            || refusal.has_code("BLOB_UPLOAD_INVALID")
            || refusal.status == StatusCode::RANGE_NOT_SATISFIABLE
    })
}

/// Whether a request had too long a body for somebody on the way.
fn is_too_large(error: &Error) -> bool {
    error.refusal().is_some_and(|refusal| refusal.status == StatusCode::PAYLOAD_TOO_LARGE)
}

pub(crate) async fn exists(session: &Session, blob: &Descriptor) -> Result<bool> {
    let request = Outgoing::new(Method::HEAD, session.uri(&format!("blobs/{}", blob.digest))?);
    let answer = session.send(request).await?;
    match answer.status() {
        status if status.is_success() => Ok(true),
        StatusCode::NOT_FOUND => Ok(false),
        _ => Err(answer.refusal().await),
    }
}

enum Begun {
    /// The registry took the blob from this repository.
    Mounted(String),
    /// An upload to go on with.
    At { location: Uri, offset: u64 },
}

async fn begin(session: &Session, blob: &Descriptor, mount_from: Option<&String>) -> Result<Begun> {
    let mut uri = session.uri("blobs/uploads/")?;
    if let Some(from) = mount_from {
        let digest = blob.digest.to_string();
        uri = url::with_query(&uri, &[("mount", &digest), ("from", from)]).map_err(Error::Configuration)?;
    }
    let answer = session.send_once(Outgoing::new(Method::POST, uri)).await?;
    match (answer.status(), mount_from) {
        (StatusCode::CREATED, Some(from)) => Ok(Begun::Mounted(from.clone())),
        (StatusCode::ACCEPTED, _) => Ok(Begun::At { location: location(&answer)?, offset: 0 }),
        _ => Err(answer.refusal().await),
    }
}

/// How much of an interrupted upload the registry has.
async fn offset(session: &Session, upload: Uri) -> Result<Begun> {
    let answer = session.send_once(Outgoing::get(upload)).await?;
    if answer.status() != StatusCode::NO_CONTENT {
        return Err(answer.refusal().await);
    }
    let range = answer.header("range").unwrap_or_default();
    let last =
        range.trim_start_matches("bytes=").strip_prefix("0-").and_then(|last| last.parse::<u64>().ok());
    // An empty upload is `0-0` as well as one of a single byte: then the registry says so by refusing the range.
    let offset = last.filter(|last| *last > 0).map_or(0, |last| last + 1);
    Ok(Begun::At { location: location(&answer)?, offset })
}

/// What one upload needs all the time.
struct Sending<'a> {
    session: &'a Session,
    blob: &'a Descriptor,
    source: &'a BlobSource,
    /// The most that one request may carry.
    limit: u64,
}

impl Sending<'_> {
    async fn run(&self, mut upload: Uri, mut offset: u64, show: &impl Fn(LayerStep)) -> Result<()> {
        let blob = self.blob;
        let digest = blob.digest.to_string();
        let ending =
            |upload: &Uri| url::with_query(upload, &[("digest", &digest)]).map_err(Error::Configuration);
        if offset == 0 && blob.size <= SMALL {
            let answer = self.part(Method::PUT, ending(&upload)?, 0, blob.size, show).await?;
            return match answer.status().is_success() {
                true => Ok(()),
                false => Err(answer.refusal().await),
            };
        }
        while offset < blob.size {
            let end = blob.size.min(offset.saturating_add(self.limit));
            let answer = self.part(Method::PATCH, upload, offset, end, show).await?;
            if !answer.status().is_success() {
                return Err(answer.refusal().await);
            }
            upload = location(&answer)?;
            offset = end;
        }
        let answer = self.session.send_once(Outgoing::new(Method::PUT, ending(&upload)?)).await?;
        match answer.status().is_success() {
            true => Ok(()),
            false => Err(answer.refusal().await),
        }
    }

    async fn part(
        &self,
        method: Method,
        upload: Uri,
        offset: u64,
        end: u64,
        show: &impl Fn(LayerStep),
    ) -> Result<Answer> {
        let total = self.blob.size;
        let sent = Arc::new(AtomicU64::new(0));
        let mut request = Outgoing::new(method, upload)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .stream(body(self.source.clone(), offset, end, sent.clone()));
        // Registries take one whole body without a range; some take no range with it.
        if offset > 0 || end < total {
            request = request.header(header::CONTENT_RANGE, format!("{offset}-{}", end - 1));
        }
        watched(self.session, request, &sent, |sent| {
            show(LayerStep::Pushing { current: (offset + sent).min(total), total });
        })
        .await
    }
}

/// Sends, and shows the progress of sending meanwhile.
async fn watched(
    session: &Session,
    request: Outgoing,
    sent: &AtomicU64,
    show: impl Fn(u64),
) -> Result<Answer> {
    let sending = session.send_once(request);
    tokio::pin!(sending);
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            answer = &mut sending => {
                show(sent.load(Ordering::Relaxed));
                return answer;
            }
            _ = tick.tick() => show(sent.load(Ordering::Relaxed)),
        }
    }
}

/// The upload's next URL. Relative ones are allowed (spec), and change with every step (they carry state).
fn location(answer: &Answer) -> Result<Uri> {
    let location = answer.header("location").unwrap_or_default();
    if location.is_empty() {
        return Err(answer.error(Cause::Protocol("the registry names no upload location".to_owned())));
    }
    url::join(&answer.uri, location).map_err(|text| answer.error(Cause::Protocol(text)))
}

fn body(source: BlobSource, start: u64, end: u64, sent: Arc<AtomicU64>) -> Stream {
    let counter = sent.clone();
    let open = move || -> Body {
        let sent = counter.clone();
        let pieces = source.from(start).scan(end - start, move |left, piece| {
            let piece = piece.map(|mut piece| {
                piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= piece.len() as u64;
                sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
                piece
            });
            // Nothing of a part's last piece is left over for a next one.
            let is_rest = piece.as_ref().is_ok_and(bytes::Bytes::is_empty);
            std::future::ready((!is_rest).then_some(piece))
        });
        let frames = pieces.map(|piece: io::Result<bytes::Bytes>| piece.map(Frame::data));
        StreamBody::new(frames).boxed_unsync()
    };
    Stream { length: end - start, sent, open: Box::new(open) }
}

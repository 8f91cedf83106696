//! One blob from the store to the registry: skipped, mounted or uploaded.
//!
//! ```text
//! HEAD ─ 200 ─▶ there already
//! POST uploads/[?mount=&from=] ─ 201 ─▶ mounted
//!                              ─ 202 ─▶ PATCH body ─▶ PUT ?digest= ─ 201 ─▶ done
//!                                        │ broken
//!                                        └▶ GET upload → Range: 0-n ─▶ PATCH the rest
//! ```
//! Source: OCI distribution-spec 1.1, "Push".

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::http::{Method, StatusCode, Uri, header};
use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use image::Descriptor;
use store::Store;

use crate::error::{Cause, Error, Result};
use crate::http::{Answer, Body, Outgoing, Stream};
use crate::progress::LayerStep;
use crate::pull::blocking;
use crate::session::Session;
use crate::url;

/// Bytes read from disk at a time.
const PIECE: usize = 256 << 10;
/// How often a layer's bar moves.
const TICK: Duration = Duration::from_millis(100);

/// Makes sure that the registry has the blob.
pub(super) async fn blob(
    store: &Store,
    session: &Session,
    blob: &Descriptor,
    mount_from: Option<&str>,
    show: &impl Fn(LayerStep),
) -> Result<()> {
    if exists(session, blob).await? {
        show(LayerStep::LayerAlreadyExists);
        return Ok(());
    }
    let digest = blob.digest.clone();
    let file = Arc::new(blocking(store, "open blob", move |store| store.open_blob(&digest)).await?);
    let mut failures = 0;
    let mut upload: Option<Uri> = None;
    let mut mount_from = mount_from;
    loop {
        let outcome = match upload.take() {
            None => begin(session, blob, mount_from.take()).await,
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
            Ok(Begun::At { location, offset }) => {
                match send(session, blob, &file, location.clone(), offset, show).await {
                    Ok(()) => {
                        show(LayerStep::Pushed);
                        return Ok(());
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

async fn exists(session: &Session, blob: &Descriptor) -> Result<bool> {
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

async fn begin(session: &Session, blob: &Descriptor, mount_from: Option<&str>) -> Result<Begun> {
    let mut uri = session.uri("blobs/uploads/")?;
    if let Some(from) = mount_from {
        let digest = blob.digest.to_string();
        uri = url::with_query(&uri, &[("mount", &digest), ("from", from)]).map_err(Error::Configuration)?;
    }
    let answer = session.send_once(Outgoing::new(Method::POST, uri)).await?;
    match (answer.status(), mount_from) {
        (StatusCode::CREATED, Some(from)) => Ok(Begun::Mounted(from.to_owned())),
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

async fn send(
    session: &Session,
    blob: &Descriptor,
    file: &Arc<File>,
    upload: Uri,
    offset: u64,
    show: &impl Fn(LayerStep),
) -> Result<()> {
    let mut upload = upload;
    if offset < blob.size {
        let sent = Arc::new(AtomicU64::new(0));
        let mut request = Outgoing::new(Method::PATCH, upload)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .stream(body(file.clone(), offset, blob.size, sent.clone()));
        if offset > 0 {
            request = request.header(header::CONTENT_RANGE, format!("{offset}-{}", blob.size - 1));
        }
        let answer = watched(session, request, &sent, |sent| {
            show(LayerStep::Pushing { current: (offset + sent).min(blob.size), total: blob.size });
        })
        .await?;
        if !answer.status().is_success() {
            return Err(answer.refusal().await);
        }
        upload = location(&answer)?;
    }
    let digest = blob.digest.to_string();
    let commit = url::with_query(&upload, &[("digest", &digest)]).map_err(Error::Configuration)?;
    let answer = session.send_once(Outgoing::new(Method::PUT, commit)).await?;
    match answer.status().is_success() {
        true => Ok(()),
        false => Err(answer.refusal().await),
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

fn body(file: Arc<File>, start: u64, end: u64, sent: Arc<AtomicU64>) -> Stream {
    let counter = sent.clone();
    let open = move || -> Body {
        let (file, sent) = (file.clone(), counter.clone());
        let pieces = stream::try_unfold(start, move |at| {
            let (file, sent) = (file.clone(), sent.clone());
            async move {
                let length = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
                if length == 0 {
                    return Ok(None);
                }
                let piece = tokio::task::spawn_blocking(move || read_at(&file, at, length)).await;
                let piece = piece.map_err(io::Error::other)??;
                sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
                let next = at + piece.len() as u64;
                Ok::<_, io::Error>(Some((Frame::data(piece), next)))
            }
        });
        StreamBody::new(pieces).boxed_unsync()
    };
    Stream { length: end - start, sent, open: Box::new(open) }
}

fn read_at(file: &File, at: u64, length: usize) -> io::Result<Bytes> {
    let mut piece = vec![0; length];
    file.read_exact_at(&mut piece, at)?;
    Ok(piece.into())
}

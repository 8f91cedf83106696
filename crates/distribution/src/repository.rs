//! One repository read and written piece by piece: for copies between places and for manifest lists, which move documents
//! and blobs without a store in between.

use std::io;
use std::sync::Arc;

use ::http::{Method, StatusCode, header};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use image::{Descriptor, Digest, MediaType, Reference};

use crate::auth::Auth;
use crate::blob_source::BlobSource;
use crate::config::Registries;
use crate::error::{Cause, Result};
use crate::http::{Answer, Outgoing};
use crate::progress::LayerStep;
use crate::push::upload;
use crate::session::{Access, Session};
use crate::sessions::Sessions;

/// A repository at its registry, read by way of its mirrors. Cheap to clone.
#[derive(Clone)]
pub struct Repository {
    sessions: Arc<Sessions>,
    registry: String,
    path: String,
}

/// A manifest or index as the registry has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Media type, digest and size.
    pub descriptor: Descriptor,
    /// The document.
    pub bytes: Bytes,
}

/// What a repository is opened for.
#[derive(Debug, Clone, Default)]
pub struct Purpose {
    /// Writing needs more rights, and no mirror will do.
    pub write: bool,
    /// Repositories of the same registry that blobs may be mounted from.
    pub mount_from: Vec<String>,
    /// The user's own logins at hosts in the registry's place ([`crate::hosts_in_place`]): nobody sees another one's.
    pub logins: Vec<Auth>,
}

impl Repository {
    /// Makes contact with the registry of a reference.
    pub async fn open(
        registries: &Registries,
        reference: &Reference,
        auth: Option<&Auth>,
        purpose: &Purpose,
    ) -> Result<Repository> {
        let access = if purpose.write { Access::PullPush } else { Access::Pull };
        let auths = (auth.cloned(), purpose.logins.clone());
        let sessions = Sessions::open(registries, reference, auths, access, &purpose.mount_from).await?;
        Ok(Repository {
            sessions: Arc::new(sessions),
            registry: reference.registry.clone(),
            path: reference.repository.clone(),
        })
    }

    /// The registry's name, as references have it.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository's path at its registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A manifest or index by tag or digest, checked.
    pub async fn document(&self, tag_or_digest: &str) -> Result<Document> {
        let by_tag = tag_or_digest.parse::<Digest>().is_err();
        let fetch = |session: Arc<Session>| async move { session.manifest(tag_or_digest).await };
        let fetched = self.sessions.with(by_tag, fetch).await?;
        let size = fetched.bytes.len() as u64;
        let descriptor = Descriptor::new(fetched.media_type, fetched.digest, size);
        Ok(Document { descriptor, bytes: fetched.bytes })
    }

    /// Whether there is a manifest under this tag or digest.
    pub async fn has_document(&self, tag_or_digest: &str) -> Result<bool> {
        let (_, session) = self.sessions.current().await?;
        Ok(session.head_manifest(tag_or_digest).await?.is_some())
    }

    /// Stores a manifest or index under a tag or its digest; whatever it names must be there.
    pub async fn put_document(
        &self,
        tag_or_digest: &str,
        media_type: &MediaType,
        bytes: &[u8],
    ) -> Result<Digest> {
        let (_, session) = self.sessions.current().await?;
        put_manifest(&session, tag_or_digest, media_type, bytes).await
    }

    /// A small blob, checked.
    pub async fn small_blob(&self, digest: &Digest, limit: usize) -> Result<Bytes> {
        let fetch = |session: Arc<Session>| async move { session.small_blob(digest, limit).await };
        self.sessions.with(false, fetch).await
    }

    /// Whether a blob is there.
    pub async fn has_blob(&self, blob: &Descriptor) -> Result<bool> {
        let (_, session) = self.sessions.current().await?;
        upload::exists(&session, blob).await
    }

    /// Makes sure that a blob is there: mounted from another repository of this registry, or uploaded.
    pub async fn put_blob(
        &self,
        blob: &Descriptor,
        source: &BlobSource,
        mount_from: Option<&str>,
        show: &(dyn Fn(LayerStep) + Sync),
    ) -> Result<()> {
        let elsewhere = mount_from.map(str::to_owned).into_iter().collect();
        let (_, session) = self.sessions.current().await?;
        let known = upload::Known { here: false, elsewhere };
        upload::blob(&session, blob, source, &known, &|step| show(step)).await
    }

    /// A blob's bytes. Not checked: whoever takes them has to hash them anyway.
    pub fn blob(&self, blob: &Descriptor) -> BlobSource {
        let (repository, blob) = (self.clone(), blob.clone());
        BlobSource::new(move |offset| repository.stream(blob.clone(), offset))
    }

    /// Goes on where a connection broke, as long as there is progress in between or another place to ask.
    fn stream(&self, blob: Descriptor, offset: u64) -> BoxStream<'static, io::Result<Bytes>> {
        let sessions = Arc::clone(&self.sessions);
        let reading = Reading { sessions, at: 0, blob, offset, answer: None, failures: 0 };
        stream::try_unfold(reading, |mut reading| async move {
            let piece = reading.next().await.map_err(|error| io::Error::other(error.message()))?;
            Ok(piece.map(|piece| (piece, reading)))
        })
        .boxed()
    }
}

/// Stores a manifest; its digest at the registry must be the one it has here.
pub(crate) async fn put_manifest(
    session: &Session,
    name: &str,
    media_type: &MediaType,
    bytes: &[u8],
) -> Result<Digest> {
    let uri = session.uri(&format!("manifests/{}", session.there(name)))?;
    let request = Outgoing::new(Method::PUT, uri)
        .header(header::CONTENT_TYPE, media_type.as_str())
        .body(bytes.to_vec().into());
    let answer = session.send(request).await?;
    if !answer.status().is_success() {
        return Err(answer.refusal().await);
    }
    let digest = Digest::sha256(bytes);
    let stored = answer.header("docker-content-digest").and_then(|digest| digest.parse::<Digest>().ok());
    match stored {
        Some(stored) if stored.algorithm() == digest.algorithm() && stored != digest => Err(answer.error(
            Cause::Protocol(format!("the registry stored the manifest as {stored}, expected {digest}")),
        )),
        _ => Ok(digest),
    }
}

/// A download under way.
struct Reading {
    sessions: Arc<Sessions>,
    /// The place that was asked last.
    at: usize,
    blob: Descriptor,
    offset: u64,
    answer: Option<Answer>,
    /// Since the last piece.
    failures: u32,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.offset >= self.blob.size {
                return Ok(None);
            }
            let error = match self.piece().await {
                Ok(Some(piece)) => {
                    (self.offset, self.failures) = (self.offset + piece.len() as u64, 0);
                    return Ok(Some(piece));
                }
                Ok(None) => match &self.answer {
                    Some(answer) => answer.error(Cause::Broken("unexpected EOF".to_owned())),
                    None => return Ok(None),
                },
                Err(error) => error,
            };
            self.answer = None;
            self.failures += 1;
            let retry = self.sessions.retry();
            if self.failures < retry.attempts && error.is_transient() {
                tokio::time::sleep(retry.delay(self.failures)).await;
            } else if self.sessions.leave(self.at, &error) {
                self.failures = 0;
            } else {
                return Err(error);
            }
        }
    }

    async fn piece(&mut self) -> Result<Option<Bytes>> {
        if self.answer.is_none() {
            self.answer = Some(self.request().await?);
        }
        match &mut self.answer {
            Some(answer) => answer.chunk().await,
            None => Ok(None),
        }
    }

    async fn request(&mut self) -> Result<Answer> {
        let (at, session) = self.sessions.current().await?;
        self.at = at;
        let uri = session.uri(&format!("blobs/{}", self.blob.digest))?;
        let mut request = Outgoing::get(uri);
        if self.offset > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", self.offset));
        }
        let mut answer = session.send(request).await?;
        match answer.status() {
            StatusCode::PARTIAL_CONTENT => Ok(answer),
            status if status.is_success() => {
                skip(&mut answer, self.offset).await?;
                Ok(answer)
            }
            _ => Err(answer.refusal().await),
        }
    }
}

/// A registry that knows no ranges sends everything; what is here already is read away.
async fn skip(answer: &mut Answer, mut count: u64) -> Result<()> {
    while count > 0 {
        let Some(mut piece) = answer.chunk().await? else { return Ok(()) };
        let take = usize::try_from(count).unwrap_or(usize::MAX).min(piece.len());
        count -= take as u64;
        let rest = piece.split_off(take);
        if !rest.is_empty() {
            answer.push_back(rest);
        }
    }
    Ok(())
}

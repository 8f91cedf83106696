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
use crate::endpoint::{self, endpoints_for};
use crate::error::{Cause, Error, Result};
use crate::http::{Answer, Outgoing};
use crate::progress::LayerStep;
use crate::pull::may_fall_back;
use crate::push::upload;
use crate::session::{Access, Session};

/// A repository at its registry. Cheap to clone.
#[derive(Clone)]
pub struct Repository {
    session: Arc<Session>,
    registry: String,
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
        let mut last = None;
        let wanted = if purpose.write { endpoint::Purpose::Push } else { endpoint::Purpose::Pull };
        let all = endpoints_for(registries, reference, wanted).await?;
        // What a mirror lacks would look as if it were nowhere: one place has to answer for all of it.
        let has_own = all.iter().any(|endpoint| endpoint.own);
        for endpoint in all.into_iter().filter(|endpoint| endpoint.own || !has_own) {
            match Session::open(registries, endpoint.clone(), &reference.repository, auth, access).await {
                Ok(mut session) => {
                    session.also_pull(purpose.mount_from.iter().cloned());
                    let registry = reference.registry.clone();
                    return Ok(Repository { session: Arc::new(session), registry });
                }
                Err(error) if may_fall_back(&endpoint, &error) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        let none = || Error::Configuration(format!("no endpoints found for {}", reference.familiar_name()));
        Err(last.unwrap_or_else(none))
    }

    /// The registry's name, as references have it.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository's path at its registry.
    pub fn path(&self) -> &str {
        &self.session.repository
    }

    /// A manifest or index by tag or digest, checked.
    pub async fn document(&self, tag_or_digest: &str) -> Result<Document> {
        let fetched = self.session.manifest(tag_or_digest).await?;
        let size = fetched.bytes.len() as u64;
        let descriptor = Descriptor::new(fetched.media_type, fetched.digest, size);
        Ok(Document { descriptor, bytes: fetched.bytes })
    }

    /// Whether there is a manifest under this tag or digest.
    pub async fn has_document(&self, tag_or_digest: &str) -> Result<bool> {
        Ok(self.session.head_manifest(tag_or_digest).await?.is_some())
    }

    /// Stores a manifest or index under a tag or its digest; whatever it names must be there.
    pub async fn put_document(
        &self,
        tag_or_digest: &str,
        media_type: &MediaType,
        bytes: &[u8],
    ) -> Result<Digest> {
        put_manifest(&self.session, tag_or_digest, media_type, bytes).await
    }

    /// A small blob, checked.
    pub async fn small_blob(&self, digest: &Digest, limit: usize) -> Result<Bytes> {
        self.session.small_blob(digest, limit).await
    }

    /// Whether a blob is there.
    pub async fn has_blob(&self, blob: &Descriptor) -> Result<bool> {
        upload::exists(&self.session, blob).await
    }

    /// Makes sure that a blob is there: mounted from another repository of this registry, or uploaded.
    pub async fn put_blob(
        &self,
        blob: &Descriptor,
        source: &BlobSource,
        mount_from: Option<&str>,
        show: &(dyn Fn(LayerStep) + Sync),
    ) -> Result<()> {
        let mount_from: Vec<String> = mount_from.map(str::to_owned).into_iter().collect();
        upload::blob(&self.session, blob, source, &mount_from, &|step| show(step)).await
    }

    /// A blob's bytes. Not checked: whoever takes them has to hash them anyway.
    pub fn blob(&self, blob: &Descriptor) -> BlobSource {
        let (repository, blob) = (self.clone(), blob.clone());
        BlobSource::new(move |offset| repository.stream(blob.clone(), offset))
    }

    /// Goes on where a connection broke, as long as there is progress in between.
    fn stream(&self, blob: Descriptor, offset: u64) -> BoxStream<'static, io::Result<Bytes>> {
        let reading = Reading { session: Arc::clone(&self.session), blob, offset, answer: None, failures: 0 };
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
    let uri = session.uri(&format!("manifests/{name}"))?;
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
    session: Arc<Session>,
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
            if self.failures >= self.session.http.retry.attempts || !error.is_transient() {
                return Err(error);
            }
            tokio::time::sleep(self.session.http.retry.delay(self.failures)).await;
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

    async fn request(&self) -> Result<Answer> {
        let uri = self.session.uri(&format!("blobs/{}", self.blob.digest))?;
        let mut request = Outgoing::get(uri);
        if self.offset > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", self.offset));
        }
        let mut answer = self.session.send(request).await?;
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

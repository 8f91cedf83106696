//! Images of an engine, through its API: ours gives and takes single blobs, Docker's whole archives.

use std::collections::HashSet;
use std::io;

use api::{BlobDigests, BlobQuery, ImageInspect, ImageInspectQuery, ImageLoadQuery, JsonMessage};
use bytes::Bytes;
use client::{Body, Client, Lines, Method, escape};
use distribution::BlobSource;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use image::{Descriptor, Digest};

use crate::error::{Error, Result};

/// An image of an engine.
#[derive(Clone)]
pub struct EngineImage {
    /// The engine.
    pub client: Client,
    /// Name or id.
    pub name: String,
}

impl EngineImage {
    /// What the name stands for.
    pub(crate) async fn root(&self) -> Result<Descriptor> {
        let path = format!("/images/{}/json", escape(&self.name));
        let query = ImageInspectQuery { packed: true, ..ImageInspectQuery::default() };
        let image: ImageInspect = self.client.request(Method::GET, path).parameters(&query).json().await?;
        let unknown = || Error::Invalid(format!("the engine does not tell what {:?} stands for", self.name));
        let descriptor = image.descriptor.ok_or_else(unknown)?;
        let digest = descriptor.digest.parse().map_err(|_| unknown())?;
        let size = u64::try_from(descriptor.size).map_err(|_| unknown())?;
        Ok(Descriptor::new(descriptor.media_type.into(), digest, size))
    }

    /// A whole blob; `None` when it is not there.
    pub(crate) async fn document(&self, digest: &Digest) -> Result<Option<Bytes>> {
        match self.client.request(Method::GET, format!("/naru/blobs/{digest}")).bytes().await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn blob(&self, blob: &Descriptor) -> BlobSource {
        let (client, digest) = (self.client.clone(), blob.digest.clone());
        BlobSource::new(move |offset| stream_blob(client.clone(), digest.clone(), offset))
    }

    /// Which of these the engine lacks; `None` when it can't say.
    pub(crate) async fn missing(&self, digests: Vec<String>) -> Result<Option<HashSet<String>>> {
        let request = self.client.request(Method::POST, "/naru/blobs/missing");
        match request.json_body(&BlobDigests { digests }).json::<BlobDigests>().await {
            Ok(missing) => Ok(Some(missing.digests.into_iter().collect())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets the engine read an archive.
    pub(crate) async fn load(&self, archive: BoxStream<'static, io::Result<Bytes>>) -> Result<()> {
        let query = ImageLoadQuery { quiet: true, ..ImageLoadQuery::default() };
        let request = self.client.request(Method::POST, "/images/load").parameters(&query);
        let request = request.header("content-type", "application/x-tar");
        let response =
            request.body(Body::reader(Reader { pieces: archive, piece: Bytes::new() })).send().await?;
        let mut lines: Lines<JsonMessage> = Lines::new(response);
        while let Some(line) = lines.next().await? {
            if let Some(error) = line
                .error_detail
                .map(|detail| detail.message)
                .or(Some(line.error))
                .filter(|text| !text.is_empty())
            {
                return Err(Error::Invalid(error));
            }
        }
        Ok(())
    }
}

fn stream_blob(client: Client, digest: Digest, offset: u64) -> BoxStream<'static, io::Result<Bytes>> {
    let query = BlobQuery { offset: i64::try_from(offset).unwrap_or(i64::MAX) };
    let opened = async move {
        let request = client.request(Method::GET, format!("/naru/blobs/{digest}"));
        let response = request.parameters(&query).send().await.map_err(io::Error::other)?;
        Ok::<_, io::Error>(stream::try_unfold(response, |mut response| async move {
            let piece = response.chunk().await.map_err(io::Error::other)?;
            Ok(piece.map(|piece| (piece, response)))
        }))
    };
    stream::once(opened).try_flatten().boxed()
}

/// A stream of pieces as a reader.
struct Reader {
    pieces: BoxStream<'static, io::Result<Bytes>>,
    piece: Bytes,
}

impl tokio::io::AsyncRead for Reader {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.piece.is_empty() {
            match std::task::ready!(this.pieces.poll_next_unpin(cx)) {
                Some(piece) => this.piece = piece?,
                None => return std::task::Poll::Ready(Ok(())),
            }
        }
        let count = this.piece.len().min(buffer.remaining());
        buffer.put_slice(&this.piece.split_to(count));
        std::task::Poll::Ready(Ok(()))
    }
}

/// Whether an engine has Naru's API.
pub async fn is_naru(client: &Client) -> Result<bool> {
    let nothing = EngineImage { client: client.clone(), name: String::new() };
    Ok(nothing.missing(Vec::new()).await?.is_some())
}

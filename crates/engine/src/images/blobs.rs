//! Blobs by their digests, for copies between engines and other places that take only what they don't have.

use std::io::{Seek as _, SeekFrom};

use ::image::Digest;
use api::*;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::Engine;
use crate::blocking::blocking;
use crate::error::{Error, Result};
use crate::pipe::PipeWriter;

impl Engine {
    /// The bytes of a blob from an offset on.
    pub async fn blob(&self, digest: &str, query: BlobQuery) -> Result<mpsc::Receiver<Result<Bytes>>> {
        let digest: Digest = parse(digest)?;
        let offset = u64::try_from(query.offset).map_err(|_| Error::invalid("offset: is negative"))?;
        let store = self.store.clone();
        let mut file = blocking(move || Ok(store.open_blob(&digest)?)).await?;
        let (mut writer, pieces) = PipeWriter::new();
        tokio::task::spawn_blocking(move || {
            let read = file.seek(SeekFrom::Start(offset)).and_then(|_| std::io::copy(&mut file, &mut writer));
            writer.finish(read.map(|_| ()).map_err(|error| Error::host("read a blob", error)));
        });
        Ok(pieces)
    }

    /// Which of these are not here.
    pub async fn blobs_missing(&self, asked: BlobDigests) -> Result<BlobDigests> {
        let digests = asked.digests.iter().map(|text| parse(text)).collect::<Result<Vec<Digest>>>()?;
        let store = self.store.clone();
        let missing =
            move || Ok(digests.into_iter().filter(|digest| !store.has_blob(digest)).collect::<Vec<_>>());
        let missing = blocking(missing).await?;
        Ok(BlobDigests { digests: missing.iter().map(Digest::to_string).collect() })
    }
}

fn parse(text: &str) -> Result<Digest> {
    text.parse().map_err(|error| Error::invalid(format!("{text:?}: {error}")))
}

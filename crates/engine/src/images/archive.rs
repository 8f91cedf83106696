//! `docker save`, `load` and `import`: the store's archives between blocking threads and a client's stream.

use std::sync::Arc;

use ::image::Platform;
use api::*;
use bytes::Bytes;
use store::LoadProgress;
use tokio::sync::mpsc;

use super::{LoadSink, platforms, repository_and_tag};
use crate::Engine;
use crate::blocking::blocking;
use crate::error::{Error, Result};
use crate::pipe::{PipeReader, PipeWriter};

impl Engine {
    /// A tar of these images. Unknown names are the stream's first item.
    pub async fn image_save(&self, query: ImageSaveQuery) -> Result<mpsc::Receiver<Result<Bytes>>> {
        if query.names.is_empty() {
            return Err(Error::invalid("no images to save"));
        }
        let platforms = platforms(&query.platform)?;
        let (store, names) = (self.store.clone(), query.names);
        let wanted = (store.clone(), names.clone());
        let ids = blocking(move || {
            let ids: Result<Vec<_>> = wanted.1.iter().map(|name| Ok(wanted.0.image(name)?.id)).collect();
            ids
        });
        for (id, name) in ids.await?.iter().zip(&names) {
            self.image_event("save", id, name);
        }
        let (mut writer, pieces) = PipeWriter::new();
        tokio::task::spawn_blocking(move || {
            let outcome = store.save(&names, &platforms, &mut writer);
            writer.finish(outcome.map_err(Error::from));
        });
        Ok(pieces)
    }

    pub async fn image_load(
        &self,
        query: ImageLoadQuery,
        body: mpsc::Receiver<std::io::Result<Bytes>>,
        lines: LoadSink,
    ) -> Result<()> {
        let platforms = platforms(&query.platform)?;
        let (store, sink, quiet) = (self.store.clone(), Arc::clone(&lines), query.quiet);
        let loaded = blocking(move || {
            let mut loaded = Vec::new();
            let records = store.load(PipeReader::new(body), &platforms, &mut |step| match step {
                LoadProgress::Layer { .. } if quiet => {}
                LoadProgress::Layer { diff_id, current, total } => {
                    sink(layer(diff_id.short(), current, total))
                }
                LoadProgress::Loaded { name, id } => {
                    let text = match &name {
                        Some(name) => format!("Loaded image: {}\n", name.familiar()),
                        None => format!("Loaded image ID: {id}\n"),
                    };
                    sink(JsonMessage { stream: text, ..JsonMessage::default() });
                    loaded.push((id, name.map(|name| name.familiar()).unwrap_or_default()));
                }
            })?;
            drop(records);
            Ok(loaded)
        });
        for (id, name) in loaded.await? {
            let name = if name.is_empty() { id.to_string() } else { name };
            self.image_event("load", &id, &name);
        }
        Ok(())
    }

    /// The new image's id.
    pub async fn image_import(
        &self,
        query: ImageCreateQuery,
        body: mpsc::Receiver<std::io::Result<Bytes>>,
    ) -> Result<String> {
        let name = repository_and_tag(&query.repo, &query.tag)?;
        let platform = match query.platform.as_str() {
            "" => Platform::host(),
            text => Platform::parse(text).map_err(|error| Error::invalid(error.to_string()))?,
        };
        let store = self.store.clone();
        let shown = name.as_ref().map(|name| name.familiar()).unwrap_or_default();
        let message = match query.message.is_empty() {
            true => format!("Imported from {}", query.from_src),
            false => query.message,
        };
        let id = blocking(move || {
            Ok(store.import(PipeReader::new(body), &query.changes, &message, &platform, name.as_ref())?)
        })
        .await?;
        self.image_event("import", &id, &shown);
        Ok(id.to_string())
    }
}

impl Engine {
    /// As [`Engine::image_import`], from a web server.
    pub async fn image_import_from(&self, query: ImageCreateQuery, lines: LoadSink) -> Result<String> {
        let mut download = distribution::fetch(&self.registries, &query.from_src).await?;
        let status = format!("Downloading from {}", query.from_src);
        lines(JsonMessage { status, ..JsonMessage::default() });
        let total = download.length().unwrap_or(0);
        let (sender, pieces) = mpsc::channel(1);
        let pump = async move {
            let mut current = 0;
            loop {
                let piece = match download.chunk().await {
                    Ok(Some(piece)) => {
                        current += piece.len() as u64;
                        lines(bar("Importing", "", current, total));
                        Ok(piece)
                    }
                    Ok(None) => return,
                    Err(error) => Err(std::io::Error::other(error.message())),
                };
                // The import has failed: it says why.
                if sender.send(piece).await.is_err() {
                    return;
                }
            }
        };
        let (id, ()) = tokio::join!(self.image_import(query, pieces), pump);
        id
    }
}

fn layer(id: &str, current: u64, total: u64) -> JsonMessage {
    bar("Loading layer", id, current, total)
}

fn bar(status: &str, id: &str, current: u64, total: u64) -> JsonMessage {
    let number = |value: u64| value.try_into().unwrap_or(i64::MAX);
    JsonMessage {
        status: status.to_owned(),
        id: id.to_owned(),
        progress_detail: Some(ProgressDetail {
            current: number(current),
            total: number(total),
            ..ProgressDetail::default()
        }),
        ..JsonMessage::default()
    }
}

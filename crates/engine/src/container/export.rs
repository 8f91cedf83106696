//! A container's file system as one tar archive: its own files, not those of its volumes.

use std::os::fd::AsFd;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::root;
use super::status::Status;
use crate::Engine;
use crate::blocking::blocking;
use crate::error::{Error, Result};
use crate::pipe::PipeWriter;

impl Engine {
    pub async fn container_export(&self, id: &str) -> Result<mpsc::Receiver<Result<Bytes>>> {
        let container = self.containers.find(id)?;
        if matches!(container.status(), Status::Removing | Status::Dead) {
            return Err(Error::conflict(format!(
                "You cannot export container {} which is Dead or Removing",
                container.id
            )));
        }
        let (store, record) = (self.store.clone(), container.record());
        let source = std::sync::Arc::clone(&container);
        let root = blocking(move || match root::bare(&source)? {
            Some(root) => Ok(root),
            None => Ok(store.mount_to_read(&record.rootfs)?),
        })
        .await?;
        let (mut writer, receiver) = PipeWriter::new();
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || {
            let outcome = store.export(root.as_fd(), &mut writer);
            writer.finish(outcome.map_err(Error::from));
        });
        self.container_event(&container, "export", &[]);
        Ok(receiver)
    }
}

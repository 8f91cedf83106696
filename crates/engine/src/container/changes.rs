//! What a container has changed in its file system.

use api::*;

use crate::Engine;
use crate::blocking::blocking;
use crate::error::Result;

impl Engine {
    pub async fn container_changes(&self, id: &str) -> Result<Vec<FilesystemChange>> {
        let container = self.containers.find(id)?;
        let store = self.store.clone();
        blocking(move || {
            let changes = store.diff(&container.record().rootfs)?;
            let shown = changes.into_iter().map(|change| FilesystemChange {
                kind: change.kind as i64,
                path: change.path.to_string_lossy().into_owned(),
            });
            Ok(shown.collect())
        })
        .await
    }
}

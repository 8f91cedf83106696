//! What a container has changed in its file system.

use api::*;

use crate::Engine;
use crate::error::Result;

impl Engine {
    pub async fn container_changes(&self, _id: &str) -> Result<Vec<FilesystemChange>> {
        unreachable!("in progress")
    }
}

//! A container's file system as one tar archive.

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::Engine;
use crate::error::Result;

impl Engine {
    pub async fn container_export(&self, _id: &str) -> Result<mpsc::Receiver<Result<Bytes>>> {
        unreachable!("in progress")
    }
}

//! What a container has written.

use api::*;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::Engine;
use crate::error::Result;

/// Output of `logs`.
pub struct Logs {
    /// The container has a terminal: pieces are raw, not frames.
    pub tty: bool,
    pub frames: mpsc::Receiver<Result<Bytes>>,
}

impl Engine {
    pub async fn container_logs(&self, _id: &str, _query: ContainerLogsQuery) -> Result<Logs> {
        unreachable!("in progress")
    }
}

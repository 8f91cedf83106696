//! How much a container uses, once or every second.

use api::*;
use tokio::sync::mpsc;

use crate::Engine;
use crate::error::Result;

impl Engine {
    pub async fn container_stats(
        &self,
        _id: &str,
        _stream: bool,
        _one_shot: bool,
    ) -> Result<mpsc::Receiver<Result<ContainerStatsResponse>>> {
        unreachable!("in progress")
    }
}

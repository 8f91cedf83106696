//! `docker cp`: files in and out as tar archives.

use api::*;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::Engine;
use crate::error::Result;

impl Engine {
    pub async fn container_archive_stat(&self, _id: &str, _path: &str) -> Result<PathStat> {
        unreachable!("in progress")
    }
    pub async fn container_archive_get(
        &self,
        _id: &str,
        _path: &str,
    ) -> Result<(PathStat, mpsc::Receiver<Result<Bytes>>)> {
        unreachable!("in progress")
    }
    pub async fn container_archive_put(
        &self,
        _id: &str,
        _query: ContainerArchiveQuery,
        _body: mpsc::Receiver<std::io::Result<Bytes>>,
    ) -> Result<()> {
        unreachable!("in progress")
    }
}

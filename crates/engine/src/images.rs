//! Images as users see them: list, inspect, history, tag, remove, prune, save, load, import, pull and push.

use std::sync::Arc;

use api::*;
use bytes::Bytes;
use distribution::ProgressSink;
use tokio::sync::mpsc;

use crate::Engine;
use crate::error::Result;

/// Receives the lines of `load`. Called from any thread; must not block.
pub type LoadSink = Arc<dyn Fn(JsonMessage) + Send + Sync>;

impl Engine {
    pub async fn image_list(&self, _query: ImageListQuery) -> Result<Vec<ImageSummary>> {
        unreachable!("in progress")
    }
    pub async fn image_inspect(&self, _name: &str, _query: ImageInspectQuery) -> Result<ImageInspect> {
        unreachable!("in progress")
    }
    pub async fn image_history(
        &self,
        _name: &str,
        _query: ImagePlatformQuery,
    ) -> Result<Vec<ImageHistoryResponseItem>> {
        unreachable!("in progress")
    }
    pub async fn image_pull(
        &self,
        _query: ImageCreateQuery,
        _auth: Option<AuthConfig>,
        _progress: ProgressSink,
    ) -> Result<()> {
        unreachable!("in progress")
    }
    /// The new image's id.
    pub async fn image_import(
        &self,
        _query: ImageCreateQuery,
        _body: mpsc::Receiver<std::io::Result<Bytes>>,
    ) -> Result<String> {
        unreachable!("in progress")
    }
    pub async fn image_push(
        &self,
        _name: &str,
        _query: ImagePushQuery,
        _auth: Option<AuthConfig>,
        _progress: ProgressSink,
    ) -> Result<()> {
        unreachable!("in progress")
    }
    pub async fn image_load(
        &self,
        _query: ImageLoadQuery,
        _body: mpsc::Receiver<std::io::Result<Bytes>>,
        _lines: LoadSink,
    ) -> Result<()> {
        unreachable!("in progress")
    }
    pub async fn image_save(&self, _query: ImageSaveQuery) -> Result<mpsc::Receiver<Result<Bytes>>> {
        unreachable!("in progress")
    }
    pub async fn image_tag(&self, _name: &str, _query: ImageTagQuery) -> Result<()> {
        unreachable!("in progress")
    }
    pub async fn image_remove(
        &self,
        _name: &str,
        _query: ImageRemoveQuery,
    ) -> Result<Vec<ImageDeleteResponseItem>> {
        unreachable!("in progress")
    }
    pub async fn image_prune(&self, _filters: Filters) -> Result<ImagePruneResponse> {
        unreachable!("in progress")
    }
    pub async fn image_search(
        &self,
        _query: ImageSearchQuery,
        _auth: Option<AuthConfig>,
    ) -> Result<Vec<ImageSearchResponseItem>> {
        unreachable!("in progress")
    }
    pub async fn distribution_inspect(
        &self,
        _name: &str,
        _auth: Option<AuthConfig>,
    ) -> Result<DistributionInspect> {
        unreachable!("in progress")
    }
}

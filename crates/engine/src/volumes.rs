//! Volumes as users see them: create, list, inspect, remove, prune.

use api::*;

use crate::Engine;
use crate::error::Result;

impl Engine {
    pub async fn volume_list(&self, _filters: Filters) -> Result<VolumeListResponse> {
        unreachable!("in progress")
    }
    pub async fn volume_inspect(&self, _name: &str) -> Result<Volume> {
        unreachable!("in progress")
    }
    pub async fn volume_create(&self, _options: VolumeCreateOptions) -> Result<Volume> {
        unreachable!("in progress")
    }
    pub async fn volume_remove(&self, _name: &str, _force: bool) -> Result<()> {
        unreachable!("in progress")
    }
    pub async fn volume_prune(&self, _filters: Filters) -> Result<VolumePruneResponse> {
        unreachable!("in progress")
    }
}

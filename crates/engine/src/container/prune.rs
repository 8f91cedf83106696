//! Removing stopped containers.

use api::*;

use crate::Engine;
use crate::error::Result;

impl Engine {
    pub async fn container_prune(&self, _filters: Filters) -> Result<ContainerPruneResponse> {
        unreachable!("in progress")
    }
}

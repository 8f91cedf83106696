//! Containers as `ps` shows them.

use api::*;

use crate::Engine;
use crate::error::Result;

impl Engine {
    pub async fn container_list(&self, _query: ContainerListQuery) -> Result<Vec<ContainerSummary>> {
        unreachable!("in progress")
    }
}

//! Removing a container.

use api::*;

use crate::Engine;
use crate::error::Result;

impl Engine {
    pub async fn container_remove(&self, _id: &str, _query: ContainerRemoveQuery) -> Result<()> {
        unreachable!("in progress")
    }
}

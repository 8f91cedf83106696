//! Starting a container.

use api::*;

use crate::Engine;
use crate::error::Result;

impl Engine {
    pub async fn container_start(&self, _id: &str, _query: ContainerStartQuery) -> Result<()> {
        unreachable!("in progress")
    }
}

//! Everything about one container.

use api::*;

use crate::Engine;
use crate::error::Result;

impl Engine {
    pub async fn container_inspect(&self, _id: &str, _size: bool) -> Result<ContainerInspectResponse> {
        unreachable!("in progress")
    }
}

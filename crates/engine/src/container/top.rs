//! Processes of a container.

use api::*;

use crate::Engine;
use crate::error::Result;

impl Engine {
    pub async fn container_top(&self, _id: &str, _ps_args: &str) -> Result<ContainerTopResponse> {
        unreachable!("in progress")
    }
}

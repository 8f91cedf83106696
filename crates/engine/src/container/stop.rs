//! Stopping and restarting.

use api::*;

use crate::Engine;
use crate::error::Result;

impl Engine {
    pub async fn container_stop(&self, _id: &str, _query: ContainerStopQuery) -> Result<()> {
        unreachable!("in progress")
    }
    pub async fn container_restart(&self, _id: &str, _query: ContainerStopQuery) -> Result<()> {
        unreachable!("in progress")
    }
}

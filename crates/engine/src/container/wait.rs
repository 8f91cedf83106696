//! Waiting for an exit.

use api::*;

use crate::Engine;
use crate::error::Result;

impl Engine {
    /// Registered when this returns; the future inside resolves with the exit.
    pub async fn container_wait(
        &self,
        _id: &str,
        _condition: &str,
    ) -> Result<impl Future<Output = Result<ContainerWaitResponse>> + Send + use<>> {
        Ok(async { unreachable!("in progress") })
    }
}

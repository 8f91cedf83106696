//! New limits and restart policy.

use api::*;

use crate::Engine;
use crate::error::Result;

impl Engine {
    pub async fn container_update(
        &self,
        _id: &str,
        _request: ContainerUpdateRequest,
    ) -> Result<ContainerUpdateResponse> {
        unreachable!("in progress")
    }
}

//! A container's changes as a new image.

use api::*;

use crate::Engine;
use crate::error::Result;

impl Engine {
    pub async fn commit(&self, _query: CommitQuery, _config: Option<ContainerConfig>) -> Result<IdResponse> {
        unreachable!("in progress")
    }
}

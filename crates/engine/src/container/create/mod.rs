//! Making a container.

pub(crate) mod merge;
pub(crate) mod ports;
pub(crate) mod validate;

use api::*;

use crate::Engine;
use crate::error::Result;

impl Engine {
    pub async fn container_create(
        &self,
        _name: Option<&str>,
        _platform: Option<&str>,
        _request: ContainerCreateRequest,
    ) -> Result<ContainerCreateResponse> {
        unreachable!("in progress")
    }
}

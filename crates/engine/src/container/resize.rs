//! The size of a container's terminal.

use api::*;

use crate::Engine;
use crate::error::Result;

impl Engine {
    pub async fn container_resize(&self, _id: &str, _size: ResizeQuery) -> Result<()> {
        unreachable!("in progress")
    }
}

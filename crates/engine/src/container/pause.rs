//! Freezing and thawing.

use crate::Engine;
use crate::error::Result;

impl Engine {
    pub async fn container_pause(&self, _id: &str) -> Result<()> {
        unreachable!("in progress")
    }
    pub async fn container_unpause(&self, _id: &str) -> Result<()> {
        unreachable!("in progress")
    }
}

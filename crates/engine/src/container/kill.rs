//! Signals.

use crate::Engine;
use crate::error::Result;

impl Engine {
    pub async fn container_kill(&self, _id: &str, _signal: &str) -> Result<()> {
        unreachable!("in progress")
    }
}

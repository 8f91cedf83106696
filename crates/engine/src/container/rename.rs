//! A new name.

use crate::Engine;
use crate::error::Result;

impl Engine {
    pub async fn container_rename(&self, _id: &str, _name: &str) -> Result<()> {
        unreachable!("in progress")
    }
}

//! The engine about itself: info, version, disk usage, and checking credentials of a registry.

use api::*;

use crate::Engine;
use crate::error::Result;

impl Engine {
    pub async fn info(&self) -> Result<SystemInfo> {
        unreachable!("in progress")
    }
    pub async fn version(&self) -> Result<SystemVersion> {
        unreachable!("in progress")
    }
    pub async fn disk_usage(&self, _query: SystemDataUsageQuery) -> Result<SystemDataUsageResponse> {
        unreachable!("in progress")
    }
    pub async fn auth(&self, _credentials: AuthConfig) -> Result<SystemAuthResponse> {
        unreachable!("in progress")
    }
}

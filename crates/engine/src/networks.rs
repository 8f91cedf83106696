//! Networks as users see them: create, list, inspect, remove, prune, and connecting containers while they run.

use api::*;

use crate::Engine;
use crate::error::Result;

impl Engine {
    pub async fn network_list(&self, _filters: Filters) -> Result<Vec<Network>> {
        unreachable!("in progress")
    }
    pub async fn network_inspect(&self, _id: &str, _query: NetworkInspectQuery) -> Result<Network> {
        unreachable!("in progress")
    }
    pub async fn network_create(&self, _request: NetworkCreateRequest) -> Result<NetworkCreateResponse> {
        unreachable!("in progress")
    }
    pub async fn network_remove(&self, _id: &str) -> Result<()> {
        unreachable!("in progress")
    }
    pub async fn network_connect(&self, _id: &str, _request: NetworkConnectRequest) -> Result<()> {
        unreachable!("in progress")
    }
    pub async fn network_disconnect(&self, _id: &str, _request: NetworkDisconnectRequest) -> Result<()> {
        unreachable!("in progress")
    }
    pub async fn network_prune(&self, _filters: Filters) -> Result<NetworkPruneResponse> {
        unreachable!("in progress")
    }
}

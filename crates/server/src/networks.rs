//! `/networks/…`.

use std::sync::Arc;

use api::*;
use engine::Engine;
use http::StatusCode;

use crate::request::Request;
use crate::response::{self, Answer};

pub(crate) async fn list(engine: &Arc<Engine>, request: Request) -> Answer {
    let query: NetworkListQuery = request.query()?;
    let mut networks = engine.network_list(query.filters).await?;
    if request.at_least(28) {
        // Who is in a network is for inspect since then.
        networks.iter_mut().for_each(|network| network.containers = Some(Default::default()));
    }
    response::json(&networks)
}

pub(crate) async fn inspect(engine: &Arc<Engine>, request: Request, id: &str) -> Answer {
    response::json(&engine.network_inspect(id, request.query()?).await?)
}

/// `/naru/networks/doctor` (see docs/extensions.md).
pub(crate) async fn doctor(engine: &Arc<Engine>, request: Request) -> Answer {
    response::json(&engine.network_doctor(request.query()?).await?)
}

pub(crate) async fn create(engine: &Arc<Engine>, mut request: Request) -> Answer {
    let mut body: NetworkCreateRequest = request.json().await?;
    if !request.at_least(44) {
        // Until then a missing or false CheckDuplicate allowed two networks of one name; that is gone for everybody.
        body.check_duplicate = None;
    }
    if !request.at_least(48) {
        body.enable_ipv4 = None;
    }
    response::json_with(StatusCode::CREATED, &engine.network_create(body).await?)
}

pub(crate) async fn remove(engine: &Arc<Engine>, id: &str) -> Answer {
    engine.network_remove(id).await?;
    response::empty(StatusCode::NO_CONTENT)
}

pub(crate) async fn connect(engine: &Arc<Engine>, mut request: Request, id: &str) -> Answer {
    let mut body: NetworkConnectRequest = request.json().await?;
    if let Some(endpoint) = body.endpoint_config.as_mut() {
        if !request.at_least(44) {
            endpoint.mac_address.clear();
        }
        if !request.at_least(48) {
            endpoint.gw_priority = 0;
        }
    }
    engine.network_connect(id, body).await?;
    response::empty(StatusCode::OK)
}

pub(crate) async fn disconnect(engine: &Arc<Engine>, mut request: Request, id: &str) -> Answer {
    let body: NetworkDisconnectRequest = request.json().await?;
    engine.network_disconnect(id, body).await?;
    response::empty(StatusCode::OK)
}

pub(crate) async fn prune(engine: &Arc<Engine>, request: Request) -> Answer {
    let query: PruneQuery = request.query()?;
    response::json(&engine.network_prune(query.filters).await?)
}

//! `/volumes/…`.

use std::sync::Arc;

use api::*;
use engine::Engine;
use http::StatusCode;

use crate::request::Request;
use crate::response::{self, Answer};

pub(crate) async fn list(engine: &Arc<Engine>, request: Request) -> Answer {
    let query: VolumeListQuery = request.query()?;
    response::json(&engine.volume_list(query.filters).await?)
}

pub(crate) async fn inspect(engine: &Arc<Engine>, name: &str) -> Answer {
    response::json(&engine.volume_inspect(name).await?)
}

pub(crate) async fn create(engine: &Arc<Engine>, mut request: Request) -> Answer {
    let body: VolumeCreateOptions = request.json().await?;
    response::json_with(StatusCode::CREATED, &engine.volume_create(body).await?)
}

pub(crate) async fn remove(engine: &Arc<Engine>, request: Request, name: &str) -> Answer {
    let query: VolumeRemoveQuery = request.query()?;
    engine.volume_remove(name, query.force).await?;
    response::empty(StatusCode::NO_CONTENT)
}

pub(crate) async fn prune(engine: &Arc<Engine>, request: Request) -> Answer {
    let mut query: PruneQuery = request.query()?;
    if !request.at_least(42) {
        // Anonymous volumes only, since 1.42; older clients mean all.
        query.filters.add("all", "true");
    }
    response::json(&engine.volume_prune(query.filters).await?)
}

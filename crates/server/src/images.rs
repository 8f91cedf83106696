//! `/images/…` and `/distribution/…`.

use std::sync::Arc;

use api::*;
use engine::Engine;
use http::StatusCode;

use crate::error::Error;
use crate::request::Request;
use crate::response::{self, Answer, Receiver};
use crate::{jsonmessage, registry_auth, shape, transfer};

/// The header that carries a registry's credentials.
const AUTH: &str = "x-registry-auth";

pub(crate) async fn list(engine: &Arc<Engine>, request: Request) -> Answer {
    let mut query: ImageListQuery = request.query()?;
    if !request.at_least(41) && !query.filter.is_empty() {
        query.filters.add("reference", std::mem::take(&mut query.filter));
    }
    query.shared_size &= request.at_least(42);
    query.manifests &= request.at_least(47);
    let mut images = engine.image_list(query).await?;
    images.iter_mut().for_each(|image| shape::image_summary(request.version, image));
    response::json(&images)
}

pub(crate) async fn inspect(engine: &Arc<Engine>, request: Request, name: &str) -> Answer {
    let mut query: ImageInspectQuery = request.query()?;
    query.manifests &= request.at_least(48);
    if !request.at_least(49) {
        query.platform.clear();
    }
    if query.manifests && !query.platform.is_empty() {
        return Err(Error::invalid("conflicting options: manifests and platform options cannot both be set"));
    }
    let mut image = engine.image_inspect(name, query).await?;
    shape::image_inspect(request.version, &mut image);
    response::json(&image)
}

pub(crate) async fn history(engine: &Arc<Engine>, request: Request, name: &str) -> Answer {
    let mut query: ImagePlatformQuery = request.query()?;
    if !request.at_least(48) {
        query.platform.clear();
    }
    response::json(&engine.image_history(name, query).await?)
}

/// Pull, or import from the body.
pub(crate) async fn create(engine: &Arc<Engine>, request: Request) -> Answer {
    let query: ImageCreateQuery = request.query()?;
    let engine = Arc::clone(engine);
    if !query.from_image.is_empty() {
        let auth = registry_auth::one(request.header(AUTH));
        return jsonmessage::stream(
            |lines| async move { engine.image_pull(query, auth, lines.sink()).await },
        )
        .await;
    }
    if query.from_src.is_empty() {
        return Err(Error::invalid("either fromImage or fromSrc is needed"));
    }
    if query.from_src != "-" {
        return jsonmessage::stream(|lines| async move {
            let sink = lines.clone();
            let id = engine.image_import_from(query, Arc::new(move |line| sink.send(line))).await?;
            lines.send(jsonmessage::status(id));
            Ok(())
        })
        .await;
    }
    let body = transfer::pieces(&request.body);
    jsonmessage::stream(|lines| async move {
        let id = engine.image_import(query, body).await?;
        lines.send(jsonmessage::status(id));
        Ok(())
    })
    .await
}

pub(crate) async fn push(engine: &Arc<Engine>, request: Request, name: &str) -> Answer {
    let mut query: ImagePushQuery = request.query()?;
    if !request.at_least(46) {
        query.platform.clear();
    }
    let auth = registry_auth::one(request.header(AUTH));
    let (engine, name) = (Arc::clone(engine), name.to_owned());
    jsonmessage::stream(|lines| async move { engine.image_push(&name, query, auth, lines.sink()).await })
        .await
}

pub(crate) async fn load(engine: &Arc<Engine>, request: Request) -> Answer {
    let mut query: ImageLoadQuery = request.query()?;
    if !request.at_least(48) {
        query.platform.clear();
    }
    let body = transfer::pieces(&request.body);
    let engine = Arc::clone(engine);
    jsonmessage::stream(|lines| async move {
        let sink = lines.clone();
        engine.image_load(query, body, Arc::new(move |line| sink.send(line))).await
    })
    .await
}

pub(crate) async fn save(engine: &Arc<Engine>, request: Request) -> Answer {
    let query: ImageSaveQuery = request.query()?;
    export(engine, request, query).await
}

pub(crate) async fn save_one(engine: &Arc<Engine>, request: Request, name: &str) -> Answer {
    let query = ImageSaveQuery { names: vec![name.to_owned()], ..request.query()? };
    export(engine, request, query).await
}

async fn export(engine: &Arc<Engine>, request: Request, mut query: ImageSaveQuery) -> Answer {
    if !request.at_least(48) {
        query.platform.clear();
    }
    let bytes = engine.image_save(query).await?;
    response::stream(response::TAR, response::fail_early(Receiver(bytes)).await?)
}

pub(crate) async fn tag(engine: &Arc<Engine>, request: Request, name: &str) -> Answer {
    engine.image_tag(name, request.query()?).await?;
    response::empty(StatusCode::CREATED)
}

pub(crate) async fn remove(engine: &Arc<Engine>, request: Request, name: &str) -> Answer {
    if name.trim().is_empty() {
        return Err(Error::invalid("image name cannot be blank"));
    }
    let mut query: ImageRemoveQuery = request.query()?;
    if !request.at_least(50) {
        query.platforms.clear();
    }
    response::json(&engine.image_remove(name, query).await?)
}

pub(crate) async fn prune(engine: &Arc<Engine>, request: Request) -> Answer {
    let query: PruneQuery = request.query()?;
    response::json(&engine.image_prune(query.filters).await?)
}

pub(crate) async fn search(engine: &Arc<Engine>, request: Request) -> Answer {
    let query: ImageSearchQuery = request.query()?;
    if request.pairs.first("limit").is_some_and(|text| !text.is_empty() && text.parse::<i64>().is_err()) {
        return Err(Error::invalid("invalid limit specified"));
    }
    let auth = registry_auth::one(request.header(AUTH));
    response::json(&engine.image_search(query, auth).await?)
}

pub(crate) async fn distribution(engine: &Arc<Engine>, request: Request, name: &str) -> Answer {
    let auth = registry_auth::one(request.header(AUTH));
    response::json(&engine.distribution_inspect(name, auth).await?)
}

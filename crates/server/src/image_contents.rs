//! `/naru/images/…`: images looked into and compared, which Docker's API has nothing for (see docs/extensions.md).

use std::sync::Arc;

use api::*;
use engine::Engine;

use crate::error::Error;
use crate::request::Request;
use crate::response::{self, Answer, Receiver};

pub(crate) async fn tree(engine: &Arc<Engine>) -> Answer {
    response::json(&engine.image_tree().await?)
}

pub(crate) async fn log(engine: &Arc<Engine>, request: Request, name: &str) -> Answer {
    let query: ImageLogQuery = request.query()?;
    response::json(&engine.image_log(name, query).await?)
}

pub(crate) async fn diff(engine: &Arc<Engine>, request: Request, name: &str) -> Answer {
    let query: ImageDiffQuery = request.query()?;
    if query.to.is_empty() {
        return Err(Error::invalid("to: the image to compare with is missing"));
    }
    response::json(&engine.image_diff(name, query).await?)
}

pub(crate) async fn files(engine: &Arc<Engine>, request: Request, name: &str) -> Answer {
    let query: ImagePathQuery = request.query()?;
    response::json(&engine.image_files(name, query).await?)
}

pub(crate) async fn file(engine: &Arc<Engine>, request: Request, name: &str) -> Answer {
    let bytes = engine.image_file(name, request.query()?).await?;
    response::stream(response::OCTETS, response::fail_early(Receiver(bytes)).await?)
}

pub(crate) async fn verify(engine: &Arc<Engine>, name: &str) -> Answer {
    response::json(&engine.image_verify(name).await?)
}

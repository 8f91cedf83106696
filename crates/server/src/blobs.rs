//! `/naru/blobs/…`: blobs by their digests, which Docker's API has nothing for (see docs/extensions.md).

use std::sync::Arc;

use engine::Engine;

use crate::request::Request;
use crate::response::{self, Answer, Receiver};

pub(crate) async fn get(engine: &Arc<Engine>, request: Request, digest: &str) -> Answer {
    let bytes = engine.blob(digest, request.query()?).await?;
    response::stream(response::OCTETS, response::fail_early(Receiver(bytes)).await?)
}

pub(crate) async fn missing(engine: &Arc<Engine>, mut request: Request) -> Answer {
    response::json(&engine.blobs_missing(request.json().await?).await?)
}

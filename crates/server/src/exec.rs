//! `/containers/{id}/exec` and `/exec/…`.

use std::sync::Arc;

use api::*;
use engine::Engine;
use http::StatusCode;

use crate::error::Error;
use crate::request::Request;
use crate::response::{self, Answer};
use crate::{containers, hijack, shape};

pub(crate) async fn create(engine: &Arc<Engine>, mut request: Request, id: &str) -> Answer {
    let mut body: ExecConfig = request.json().await?;
    if body.cmd.as_ref().is_none_or(|cmd| cmd.is_empty()) {
        return Err(Error::invalid("No exec command specified"));
    }
    shape::exec_request(request.version, &mut body);
    response::json_with(StatusCode::CREATED, &engine.exec_create(id, body).await?)
}

pub(crate) async fn start(engine: &Arc<Engine>, mut request: Request, id: &str) -> Answer {
    let mut body: ExecStartConfig = request.json().await?;
    if !request.at_least(42) {
        body.console_size = None;
    }
    // Unknown ids and execs of stopped containers are statuses, not lines in a stream.
    engine.exec_check(id).await?;
    if body.detach {
        engine.exec_start(id, body, None).await?;
        return response::empty(StatusCode::OK);
    }
    let content_type = containers::content_type(&request, body.tty);
    let (engine, id) = (Arc::clone(engine), id.to_owned());
    hijack::hijack(&mut request, content_type, |stream| async move {
        // The engine has told the client through the stream.
        if let Err(error) = engine.exec_start(&id, body, Some(stream)).await {
            tracing::debug!(message = %error.message, exec = %id, "exec did not start");
        }
    })
}

pub(crate) async fn resize(engine: &Arc<Engine>, request: Request, id: &str) -> Answer {
    let size = containers::size(&request)?;
    engine.exec_resize(id, size).await?;
    response::empty(StatusCode::OK)
}

pub(crate) async fn inspect(engine: &Arc<Engine>, id: &str) -> Answer {
    response::json(&engine.exec_inspect(id).await?)
}

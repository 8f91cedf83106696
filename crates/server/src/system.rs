//! `/_ping`, `/info`, `/version`, `/events`, `/system/df`, `/auth`.

use std::sync::Arc;

use api::*;
use axum::body::Body;
use axum::response::Response;
use engine::Engine;
use http::{HeaderValue, Method, header};

use crate::error::Error;
use crate::request::Request;
use crate::response::{self, Answer, Receiver};
use crate::shape;

/// The cheap answer that clients negotiate from.
pub(crate) fn ping(request: &Request) -> Answer {
    let mut response = Response::new(match request.method == Method::HEAD {
        true => Body::empty(),
        false => Body::from("OK"),
    });
    for (name, value) in [
        (header::CACHE_CONTROL.as_str(), "no-cache, no-store, must-revalidate"),
        (header::PRAGMA.as_str(), "no-cache"),
        // The classic builder: with 2, a CLI without buildx refuses to build at all.
        ("builder-version", "1"),
        ("swarm", "inactive"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response.headers_mut().insert(header::CONTENT_TYPE, response::TEXT);
    if request.method == Method::HEAD {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(response)
}

pub(crate) async fn info(engine: &Arc<Engine>, request: Request) -> Answer {
    let mut info = engine.info().await?;
    shape::info(request.version, &mut info);
    response::json(&info)
}

pub(crate) async fn version(engine: &Arc<Engine>) -> Answer {
    response::json(&engine.version().await?)
}

pub(crate) async fn events(engine: &Arc<Engine>, request: Request) -> Answer {
    let events = engine.events(request.query()?).await?;
    response::json_lines(Receiver(events))
}

pub(crate) async fn disk_usage(engine: &Arc<Engine>, request: Request) -> Answer {
    let mut query: SystemDataUsageQuery = request.query()?;
    if !request.at_least(42) {
        query.types.clear();
    }
    if let Some(unknown) = query
        .types
        .iter()
        .find(|kind| !["container", "image", "volume", "build-cache"].contains(&kind.as_str()))
    {
        return Err(Error::invalid(format!("unknown object type: {unknown}")));
    }
    let mut usage = engine.disk_usage(query).await?;
    shape::disk_usage(request.version, &mut usage);
    response::json(&usage)
}

pub(crate) async fn auth(engine: &Arc<Engine>, mut request: Request) -> Answer {
    let credentials: AuthConfig = request.json().await?;
    response::json(&engine.auth(credentials).await?)
}

//! The Engine API over HTTP: from bytes on a socket to a call of the engine, and back.
//!
//! ```text
//! connection ─▶ version (/v1.NN) ─▶ routes ─▶ handler by area ─▶ engine
//!                                              shape (older versions) · jsonmessage, hijack (streams) · error (kind → status)
//! ```
//! Everything that is HTTP, JSON or a version of the API is here; what a container is, is not. Touches no file, cgroup or
//! mount. Every route of moby's answers: what the engine does not do says so in Docker's words.
#![forbid(unsafe_code)]

mod absent;
mod blobs;
mod connection;
mod containers;
mod error;
mod exec;
mod hijack;
mod image_contents;
mod images;
mod jsonmessage;
mod networks;
mod registry_auth;
mod request;
mod response;
mod routes;
mod shape;
mod system;
mod transfer;
mod version;
mod volumes;

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::response::Response;
use engine::Engine;
use http::{HeaderValue, header};
use hyper::body::Incoming;

pub use connection::Listener;

/// `Server`, as moby's `Docker/28.2.2 (linux)`.
const SERVER: HeaderValue = HeaderValue::from_static(concat!("Naru/", env!("CARGO_PKG_VERSION"), " (linux)"));

/// Serves the Engine API on `listeners` until `shutdown` is ready, then finishes what is under way (see
/// [`Listener`]). Fails only on listeners that cannot be used.
pub async fn serve(
    listeners: Vec<Listener>,
    engine: Arc<Engine>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    connection::serve(listeners, Arc::new(Server { engine }), shutdown).await
}

/// What all connections share.
struct Server {
    engine: Arc<Engine>,
}

impl Server {
    /// Answers one request; whatever happens, with a response.
    async fn answer(&self, request: http::Request<Incoming>) -> Response {
        // Held until the last byte of the answer is out: an engine with a client is not idle.
        let activity = self.engine.activity();
        let (mut parts, body) = request.into_parts();
        let body = request::Body::new(body);
        let expects_continue = parts.headers.contains_key(header::EXPECT);
        let outcome = match version::split(parts.uri.path()) {
            Ok((version, path)) => {
                let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned();
                let request = request::Request::new(version, &mut parts, body.clone());
                routes::route(&self.engine, request, path).await
            }
            Err(error) => Err(error),
        };
        let mut response = match outcome {
            Ok(response) => response,
            Err(error) => {
                if error.status().is_server_error() {
                    tracing::warn!(method = %parts.method, path = parts.uri.path(), message = %error.message, "request failed");
                }
                if !expects_continue {
                    body.drain().await;
                }
                error.into_response()
            }
        };
        tracing::debug!(method = %parts.method, path = parts.uri.path(), status = response.status().as_u16(), "answered");
        let headers = response.headers_mut();
        headers.insert("Api-Version", HeaderValue::from_static("1.51"));
        headers.insert("Docker-Experimental", HeaderValue::from_static("false"));
        headers.insert("Ostype", HeaderValue::from_static("linux"));
        headers.insert(header::SERVER, SERVER);
        response.map(|body| axum::body::Body::new(response::Held { body, _guard: activity }))
    }
}

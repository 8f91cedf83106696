//! The Engine API client: where the engine is (hosts, contexts), how to reach it (unix, TCP, TLS, ssh), requests and their
//! answers, connections that stop being HTTP, and starting the engine when nobody listens.
//!
//! ```text
//! Settings (flags, environment, config.json) ─▶ Endpoint ─▶ Client ─▶ Request ─▶ Response │ Lines │ Upgraded
//!                                                             └▶ autostart, when the socket is the engine's own
//! ```
//! Speaks to Naru and to Docker alike. Reads no environment: the caller passes values in. Knows nothing of verbs.
#![forbid(unsafe_code)]

mod autostart;
mod body;
mod config_file;
mod context;
mod endpoint;
mod error;
mod lines;
mod pool;
mod request;
mod response;
mod transport;
mod upgrade;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use api::ApiVersion;

pub use autostart::{AutoStart, prepare_listener, retire_listener};
pub use body::Body;
pub use config_file::ConfigFile;
pub use context::{Context, Settings};
pub use endpoint::{Endpoint, TlsFiles};
pub use error::{Error, Result};
pub use http::Method;
pub use lines::Lines;
pub use request::{Request, escape};
pub use response::Response;
pub use upgrade::Upgraded;

/// What a client needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the engine is.
    pub endpoint: Endpoint,
    /// The version to speak (`DOCKER_API_VERSION`); `None` = the newest that both sides know.
    pub version: Option<ApiVersion>,
    /// Headers of every request (`HttpHeaders` of config.json).
    pub headers: Vec<(String, String)>,
    /// How to start the engine when its socket is not there.
    pub autostart: Option<AutoStart>,
    /// `User-Agent`.
    pub user_agent: String,
}

/// A client of one engine. Cheap to make: it connects with the first request.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    pool: pool::Pool,
    /// The version that the engine agreed to; empty until one had to be agreed on.
    agreed: OnceLock<ApiVersion>,
    /// Whether this client has started the engine, or waited for somebody who did.
    started: AtomicBool,
}

impl Client {
    /// A client with these options.
    pub fn new(options: Options) -> Self {
        Self {
            shared: Arc::new(Shared {
                options,
                pool: pool::Pool::default(),
                agreed: OnceLock::new(),
                started: AtomicBool::new(false),
            }),
        }
    }

    /// The options this client was made with.
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// A request for a path below the version, such as `/containers/json`. Parts of the path that come from users go
    /// through [`escape`].
    pub fn request(&self, method: Method, path: impl Into<String>) -> Request {
        Request::new(self.clone(), method, path.into())
    }

    /// A connection on which nothing has been said yet, for whoever speaks HTTP himself.
    pub async fn raw(&self) -> Result<Upgraded> {
        self.dial().await.map(Upgraded::raw)
    }

    /// The version that requests are sent with. Asks the engine for it where that is not known yet.
    pub async fn version(&self) -> Result<ApiVersion> {
        if let Some(version) = self.shared.options.version.or(self.shared.agreed.get().copied()) {
            return Ok(version);
        }
        let answer = self.request(Method::HEAD, "/_ping").unversioned().send().await?;
        let theirs = answer.header("api-version").and_then(|text| text.parse().ok());
        Ok(self.agree(theirs.unwrap_or(ApiVersion::v1(24))))
    }

    /// The version to put into a path without asking anybody: engines refuse one that is too new, and say which they speak.
    pub(crate) fn assumed_version(&self) -> ApiVersion {
        self.shared.options.version.or(self.shared.agreed.get().copied()).unwrap_or(ApiVersion::MAX)
    }

    /// Remembers what the engine speaks.
    pub(crate) fn agree(&self, theirs: ApiVersion) -> ApiVersion {
        *self.shared.agreed.get_or_init(|| theirs.min(ApiVersion::MAX))
    }

    /// Makes a new connection; starts the engine first where that is allowed and needed.
    pub(crate) async fn dial(&self) -> Result<transport::Stream> {
        let options = &self.shared.options;
        match transport::dial(&options.endpoint).await {
            Err(error) if error.is_absent() => match &options.autostart {
                Some(autostart) => {
                    self.shared.started.store(true, Ordering::Relaxed);
                    autostart::start_and_dial(autostart).await
                }
                None => Err(error),
            },
            outcome => outcome,
        }
    }

    /// A connection that broke: an engine that was started just now has said why in its log.
    pub(crate) fn broken(&self, doing: String, reason: impl ToString) -> Error {
        match &self.shared.options.autostart {
            Some(autostart) if self.shared.started.load(Ordering::Relaxed) => {
                autostart::failed(autostart, reason.to_string())
            }
            _ => Error::protocol(doing, reason),
        }
    }

    /// Whether a connection broke before its request was read: a unix socket is reset only where bytes were left in it, or
    /// where nobody had accepted it.
    pub(crate) fn left_unread(&self, error: &std::io::Error) -> bool {
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
        matches!(self.shared.options.endpoint, Endpoint::Unix(_))
            && matches!(error.kind(), ConnectionReset | BrokenPipe)
    }

    pub(crate) fn pool(&self) -> &pool::Pool {
        &self.shared.pool
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Client").field(&self.shared.options.endpoint).finish()
    }
}

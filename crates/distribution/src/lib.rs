//! The registry client: resolve, pull, push, search and log in, by the OCI distribution protocol and Docker's ways of it.
//!
//! ```text
//! reference ─▶ endpoints (mirrors, https, http) ─▶ session (auth, retries) ─▶ blobs ─▶ store
//! ```
//! Every name lookup, connection, TLS handshake, redirect, token and retry of the engine's registry traffic happens here.
//! It never prints, reads the environment or decides where images live: the `store` crate keeps them, and the caller says
//! through [`RegistriesConfig`] which registries are mirrored, insecure or behind a proxy.
#![forbid(unsafe_code)]

mod auth;
pub mod aws;
mod blob_source;
mod config;
pub mod credentials;
mod dial;
mod endpoint;
mod error;
mod fetch;
mod http;
mod inspect;
mod login;
mod network;
mod progress;
mod proxy;
mod pull;
mod push;
mod refusal;
mod repository;
pub mod resolve;
mod search;
mod session;
mod sessions;
#[doc(hidden)]
pub mod texts;
mod tls;
mod url;

pub use auth::{Auth, Challenge};
pub use blob_source::BlobSource;
pub use config::{Proxies, Registries, RegistriesConfig, Retry};
pub use dial::DialError;
pub use error::{Cause, Error, ErrorKind, Result};
pub use fetch::{Download, fetch};
pub use inspect::{Resolved, resolve};
pub use login::{LoggedIn, login};
pub use progress::{LayerStep, Progress, ProgressSink, PushedTag};
pub use pull::{PullOptions, PullStatus, Pulled, pull};
pub use push::{PushOptions, push};
pub use refusal::{Refusal, RefusalItem};
pub use repository::{Document, Purpose, Repository};
pub use search::{SearchHit, search};
pub use sessions::hosts_in_place;

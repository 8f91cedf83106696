//! Verbs about contexts (the engines a user knows by name), one file each. Files are those of Docker's client:
//! `contexts/meta/<sha256 of the name>/meta.json`, `contexts/tls/<the same>/docker/{ca,cert,key}.pem`.

pub mod create;
pub mod export;
pub mod import;
pub mod inspect;
pub mod ls;
pub mod rm;
pub mod show;
mod store;
pub mod update;
pub mod use_;

use super::Context;

/// Where the engine is when no context is meant.
fn default_host(context: &Context) -> String {
    let settings = &context.globals().settings;
    let host = settings.host.clone().or_else(|| settings.host_variable.clone());
    host.unwrap_or_else(|| format!("unix://{}", settings.default_socket.display()))
}

//! The user's credentials, read on this side and sent with the requests that need them.

use distribution::Auth;
use distribution::credentials::Credentials;

use super::{Context, variable};

/// The header that carries them.
pub const HEADER: &str = "X-Registry-Auth";

/// What the user's files and helpers know.
pub fn credentials(context: &Context) -> anyhow::Result<Credentials> {
    let given = variable("DOCKER_AUTH_CONFIG");
    Ok(Credentials::load(context.config_dir(), given.as_deref())?)
}

/// The header's value for a registry (`docker.io`, `localhost:5000`).
pub fn header(context: &Context, registry: &str) -> anyhow::Result<String> {
    // Without credentials it says so: engines refuse a push that has no header.
    Ok(super::pull_image::registry_auth(context, registry)?.unwrap_or_else(|| Auth::default().to_header()))
}

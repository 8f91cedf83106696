//! The user's credentials, read on this side and sent with the requests that need them.
//!
//! What the user logged in with comes first (config.json, its helpers, `DOCKER_AUTH_CONFIG`), then what he logged in with by
//! podman (auth.json); for Amazon ECR the user's AWS credentials are the fallback.

use std::path::PathBuf;

use client::Endpoint;
use distribution::aws::{self, EcrRegistry};
use distribution::credentials::{Credentials, lookup_in};
use distribution::{Auth, Registries, RegistriesConfig};

use super::{Context, home, variable};

/// The header that carries them.
pub const HEADER: &str = "X-Registry-Auth";

/// What the credentials are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Public registries need none.
    Read,
    /// They do.
    Write,
}

/// What the user's files and helpers know.
pub fn credentials(context: &Context) -> anyhow::Result<Credentials> {
    let given = variable("DOCKER_AUTH_CONFIG");
    Ok(Credentials::load(context.config_dir(), given.as_deref())?)
}

/// The header's value for a registry (`docker.io`, `localhost:5000`).
pub async fn header(context: &Context, registry: &str, purpose: Purpose) -> anyhow::Result<String> {
    // Without credentials it says so: engines refuse a push that has no header.
    Ok(find(context, registry, purpose).await?.unwrap_or_default().to_header())
}

/// The user's credentials for a registry; `None` when there are none.
pub async fn find(context: &Context, registry: &str, purpose: Purpose) -> anyhow::Result<Option<Auth>> {
    let auth = credentials(context)?.lookup(registry)?;
    if !auth.is_empty() {
        return Ok(Some(auth));
    }
    if let Some(auth) = lookup_in(&files_of_podman(), registry)? {
        return Ok(Some(auth));
    }
    match EcrRegistry::parse(registry) {
        Some(ecr) if purpose == Purpose::Write || !ecr.is_public() => by_aws(context, registry).await,
        _ => Ok(None),
    }
}

/// Where podman keeps logins, in its order; a file that the user names is the only one.
fn files_of_podman() -> Vec<PathBuf> {
    if let Some(file) = variable("REGISTRY_AUTH_FILE") {
        return vec![file.into()];
    }
    let user = rustix::process::getuid().as_raw();
    let runtime = match variable("XDG_RUNTIME_DIR") {
        Some(folder) => PathBuf::from(folder).join("containers"),
        None => PathBuf::from(format!("/run/containers/{user}")),
    };
    let config = variable("XDG_CONFIG_HOME").map_or_else(|| home().join(".config"), PathBuf::from);
    vec![runtime.join("auth.json"), config.join("containers/auth.json")]
}

async fn by_aws(context: &Context, registry: &str) -> anyhow::Result<Option<Auth>> {
    // This machine's role is the engine's business, if the engine is here.
    let engine = context.globals().settings.endpoint(context.config())?;
    let is_elsewhere = !matches!(engine, Endpoint::Unix(_));
    let mut config =
        RegistriesConfig { aws: Some(crate::aws::of_user(is_elsewhere)), ..RegistriesConfig::default() };
    let either = |name: &str| variable(name).or_else(|| variable(&name.to_lowercase()));
    config.proxies.http = either("HTTP_PROXY");
    config.proxies.https = either("HTTPS_PROXY");
    config.proxies.no_proxy = either("NO_PROXY");
    Ok(aws::registry_auth(&Registries::new(config), registry).await?)
}

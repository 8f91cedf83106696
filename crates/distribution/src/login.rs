//! `docker login`: tries credentials at a registry, and trades a password for an identity token where the registry can.
//!
//! Nothing is stored: the client decides where credentials are kept ([`crate::credentials`]).

use ::http::header;

use crate::auth::Auth;
use crate::config::Registries;
use crate::endpoint::{Endpoint, HUB, endpoints};
use crate::error::{Error, Result};
use crate::http::Outgoing;
use crate::refusal::status_line;
use crate::session::{Access, Session};

/// A successful login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedIn {
    /// What to show: `Login Succeeded`.
    pub status: String,
    /// Refresh token to keep instead of the password; empty when the registry has none.
    pub identity_token: String,
}

/// Tries `auth` at `auth.server_address` (Docker Hub when empty).
pub async fn login(registries: &Registries, auth: &Auth) -> Result<LoggedIn> {
    let registry = registry_of(&auth.server_address);
    let mut last = None;
    for endpoint in endpoints(registries, &registry).await? {
        let can_fall_back = !endpoint.verify && endpoint.is_https();
        match login_at(registries, endpoint, auth).await {
            Err(error) if can_fall_back && matches!(error, Error::Request { .. }) => last = Some(error),
            outcome => return outcome,
        }
    }
    Err(last.unwrap_or_else(|| Error::Configuration(format!("no endpoints found for {registry}"))))
}

async fn login_at(registries: &Registries, endpoint: Endpoint, auth: &Auth) -> Result<LoggedIn> {
    let session = Session::open(registries, endpoint, "", Some(auth), Access::Pull).await?;
    let mut request = Outgoing::get(session.root()?);
    let offline = session.authorizer().offline_token(&session.http).await;
    let mut identity_token = String::new();
    match offline.map_err(|cause| request.error(cause))? {
        Some((token, refresh)) => {
            request.headers.insert(header::AUTHORIZATION, token);
            identity_token = refresh;
        }
        None => {
            let authorization = session.authorizer().header(&session.http, &[], None).await;
            let authorization = authorization.map_err(|cause| request.error(cause))?;
            request.headers.extend(authorization.map(|value| (header::AUTHORIZATION, value)));
        }
    }
    let answer = session.http.send_with_retries(request).await?;
    if !answer.status().is_success() {
        let (url, status) = (answer.uri.to_string(), status_line(answer.status()));
        return Err(Error::LoginFailed { url, status });
    }
    Ok(LoggedIn { status: "Login Succeeded".to_owned(), identity_token })
}

/// The registry that a login's server address means: `https://index.docker.io/v1/` is the Hub.
fn registry_of(address: &str) -> String {
    let host = crate::credentials::hostname(address);
    match host {
        "" | "index.docker.io" | "docker.io" | HUB => image::DEFAULT_REGISTRY.to_owned(),
        host => host.to_owned(),
    }
}

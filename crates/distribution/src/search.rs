//! `docker search`: the index API of Docker Hub (`/v1/search`), which a few private registries also speak.

use ::http::header;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::auth::Auth;
use crate::config::Registries;
use crate::endpoint::{Endpoint, endpoints};
use crate::error::{Error, Result};
use crate::http::{Http, Outgoing};
use crate::url;

const INDEX: &str = "index.docker.io";
const ANSWER_LIMIT: usize = 4 << 20;

/// One repository found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SearchHit {
    /// Name to pull.
    #[serde(default)]
    pub name: String,
    /// First line of its description.
    #[serde(default)]
    pub description: String,
    /// How many people starred it.
    #[serde(default)]
    pub star_count: i64,
    /// Whether it is a Docker Official Image.
    #[serde(default)]
    pub is_official: bool,
    /// Always false nowadays; kept in the API.
    #[serde(default)]
    pub is_automated: bool,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    results: Option<Vec<SearchHit>>,
}

/// Up to `limit` (1–100, default 25) repositories for `[registry/]term`.
pub async fn search(
    registries: &Registries,
    term: &str,
    limit: Option<u32>,
    auth: Option<&Auth>,
) -> Result<Vec<SearchHit>> {
    if term.contains("://") {
        return Err(Error::InvalidArgument(format!(
            "invalid repository name: repository name ({term}) should not have a scheme"
        )));
    }
    let limit = limit.filter(|limit| *limit > 0).unwrap_or(25);
    if limit > 100 {
        return Err(Error::InvalidArgument(format!("limit {limit} is outside the range of [1, 100]")));
    }
    let (registry, term) = split_registry(term);
    let endpoints = if registry == INDEX {
        vec![Endpoint::new("https", INDEX)]
    } else {
        endpoints(registries, registry).await?
    };
    let mut last = None;
    for endpoint in endpoints {
        let can_fall_back = !endpoint.verify && endpoint.is_https();
        match search_at(registries, endpoint, term, limit, auth).await {
            Err(error) if can_fall_back && matches!(error, Error::Request { .. }) => last = Some(error),
            outcome => return outcome,
        }
    }
    Err(last.unwrap_or_else(|| Error::Configuration(format!("no endpoints found for {registry}"))))
}

async fn search_at(
    registries: &Registries,
    endpoint: Endpoint,
    term: &str,
    limit: u32,
    auth: Option<&Auth>,
) -> Result<Vec<SearchHit>> {
    let http = Http::to(registries, &endpoint)?;
    let base = format!("{}/v1/search", endpoint.base);
    let base = base.parse().map_err(|_| Error::Configuration(format!("{base:?} is not a valid URL")))?;
    let uri =
        url::with_query(&base, &[("q", term), ("n", &limit.to_string())]).map_err(Error::InvalidArgument)?;
    let mut request = Outgoing::get(uri);
    if let Some(auth) = auth.filter(|auth| !auth.username.is_empty() && !auth.password.is_empty()) {
        let pair = STANDARD.encode(format!("{}:{}", auth.username, auth.password));
        request = request.header(header::AUTHORIZATION, format!("Basic {pair}"));
    }
    let answer = http.send_with_retries(request).await?;
    if !answer.status().is_success() {
        let status = answer.status().as_u16();
        return Err(Error::Manifest(format!("Unexpected status code {status}")));
    }
    let (_, body) = answer.collect(ANSWER_LIMIT).await?;
    let found: Found = serde_json::from_slice(&body)
        .map_err(|error| Error::Manifest(format!("error decoding registry search results: {error}")))?;
    Ok(found.results.unwrap_or_default())
}

/// `host/term` has a registry in front if the first part looks like a host; `library/x` has none.
fn split_registry(term: &str) -> (&str, &str) {
    match term.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => match host {
            "docker.io" => (INDEX, rest),
            host => (host, rest),
        },
        _ => (INDEX, term.strip_prefix("library/").unwrap_or(term)),
    }
}

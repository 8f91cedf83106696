//! One repository at one endpoint, for one caller: authorised requests, manifests, and the first contact (`GET /v2/`).
//!
//! ```text
//! open: GET /v2/ ─▶ 200, or 401 with challenges ─▶ requests carry what the challenge asks for; a 401 is answered once
//! ```
//! Source: OCI distribution-spec 1.1, "Pull"; distribution `docs/spec/api.md`.

use std::sync::Arc;

use ::http::header::{self, HeaderValue};
use ::http::{Method, StatusCode, Uri};
use bytes::Bytes;
use image::{Digest, MediaType};

use crate::auth::{Auth, Authorizer, Challenge};
use crate::config::Registries;
use crate::credentials::{hostname, lookup_in};
use crate::endpoint::Endpoint;
use crate::error::{Cause, Error, Result};
use crate::http::{Answer, Http, Outgoing};
use crate::url;

/// Manifests above this are refused (distribution-spec: registries may limit them to 4 MiB).
const MANIFEST_LIMIT: usize = 8 << 20;

/// What is wanted from a repository; decides the token's scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Pull,
    PullPush,
}

pub(crate) struct Session {
    pub http: Arc<Http>,
    pub endpoint: Endpoint,
    pub repository: String,
    authorizer: Authorizer,
    scopes: Vec<String>,
}

/// A manifest or index, as the registry sent it.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    pub bytes: Bytes,
    pub media_type: MediaType,
    pub digest: Digest,
}

impl Session {
    /// Makes contact. Any answer will do: what matters is that somebody speaks HTTP there, and what they want to be told.
    pub async fn open(
        registries: &Registries,
        endpoint: Endpoint,
        repository: &str,
        auth: Option<&Auth>,
        access: Access,
    ) -> Result<Session> {
        let http = Arc::new(Http::to(registries, &endpoint)?);
        // A mirror must not be handed the password for the registry it stands in for.
        let auth = auth.filter(|auth| endpoint.own || hostname(&auth.server_address) == endpoint.host);
        let auth = match auth {
            None if !endpoint.own => own_login(registries, &endpoint).await,
            auth => auth.cloned(),
        };
        let needed = access == Access::PullPush;
        let authorizer = Authorizer::new(registries.clone(), auth, &endpoint.host, needed);
        let repository = endpoint.repository.clone().unwrap_or_else(|| repository.to_owned());
        let scopes = if repository.is_empty() { Vec::new() } else { vec![scope(&repository, access)] };
        let session = Session { http, endpoint, repository, authorizer, scopes };
        let mut ping = Outgoing::get(session.root()?);
        ping.headers.clone_from(&session.endpoint.headers);
        // Where plain HTTP comes next, a failure of HTTPS is no reason to wait.
        let answer = match session.endpoint.is_https() && !session.endpoint.verify {
            true => session.http.send(ping).await?,
            false => session.http.send_with_retries(ping).await?,
        };
        if answer.status() == StatusCode::UNAUTHORIZED {
            session.authorizer.challenge(Challenge::all(answer.headers()));
        }
        // Leaves the connection usable for the next request.
        let _ = answer.collect(64 << 10).await;
        Ok(session)
    }

    /// Also asks for pull access to these repositories, so that blobs can be mounted from them.
    pub fn also_pull(&mut self, repositories: impl Iterator<Item = String>) {
        self.scopes.extend(repositories.map(|repository| scope(&repository, Access::Pull)));
    }

    pub fn authorizer(&self) -> &Authorizer {
        &self.authorizer
    }

    /// `…/v2/`: who is there, and what do they want to be told?
    pub fn root(&self) -> Result<Uri> {
        self.below_root("")
    }

    /// `…/v2/<repository>/<path>`.
    pub fn uri(&self, path: &str) -> Result<Uri> {
        self.below_root(&format!("{}/{path}", self.repository))
    }

    fn below_root(&self, path: &str) -> Result<Uri> {
        let text = format!("{}{}/{path}", self.endpoint.base, self.endpoint.api);
        let invalid = || Error::Configuration(format!("{text:?} is not a valid URL"));
        let uri: Uri = text.parse().map_err(|_| invalid())?;
        match &self.endpoint.namespace {
            Some(namespace) => url::with_query(&uri, &[("ns", namespace)]).map_err(|_| invalid()),
            None => Ok(uri),
        }
    }

    /// Sends with authorisation, repeating on transient failures. For requests that may be repeated.
    pub async fn send(&self, request: Outgoing) -> Result<Answer> {
        self.authorised(request, true).await
    }

    /// Sends with authorisation, once. For uploads, where only the caller knows how to go on.
    pub async fn send_once(&self, request: Outgoing) -> Result<Answer> {
        self.authorised(request, false).await
    }

    async fn authorised(&self, request: Outgoing, retry: bool) -> Result<Answer> {
        let mut scopes = self.scopes.clone();
        let (mut retried, mut refused) = (false, None);
        loop {
            let mut attempt = request.clone();
            for (name, value) in &self.endpoint.headers {
                attempt.headers.append(name, value.clone());
            }
            let authorization = self.authorizer.header(&self.http, &scopes, refused.as_ref()).await;
            let authorization = authorization.map_err(|cause| request.error(cause))?;
            let by_password = authorization.as_ref().is_some_and(is_basic);
            if let Some(value) = authorization.clone() {
                attempt.headers.insert(header::AUTHORIZATION, value);
            }
            let answer = match retry {
                true => self.http.send_with_retries(attempt).await?,
                false => self.http.send(attempt).await?,
            };
            // ECR says 403 to a password that has ended.
            let renewable = self.authorizer.is_renewable();
            let is_refused = answer.status() == StatusCode::UNAUTHORIZED
                || (answer.status() == StatusCode::FORBIDDEN && renewable);
            if !is_refused
                || retried
                || (by_password && !renewable)
                || !url::same_origin(&request.uri, &answer.uri)
            {
                return Ok(answer);
            }
            let challenges = Challenge::all(answer.headers());
            retried = true;
            refused = authorization;
            if by_password {
                self.authorizer.challenge(challenges);
                continue;
            }
            let asked = challenges.iter().filter_map(|challenge| challenge.parameter("scope"));
            let asked: Vec<String> = asked.flat_map(|scopes| scopes.split(' ')).map(str::to_owned).collect();
            let too_little =
                challenges.iter().any(|challenge| challenge.parameter("error") == Some("insufficient_scope"));
            // The token server gave what it gives; asking for the same again changes nothing.
            if too_little && asked.iter().all(|scope| scopes.contains(scope)) {
                return Ok(answer);
            }
            scopes.extend(asked);
            if !self.authorizer.challenge(challenges) {
                return Ok(answer);
            }
        }
    }

    /// What a tag or digest is called at this endpoint.
    pub fn there<'a>(&'a self, reference: &'a str) -> &'a str {
        match &self.endpoint.version {
            Some(version) if reference.parse::<Digest>().is_err() => version,
            _ => reference,
        }
    }

    /// The digest behind a tag, where the registry tells it without sending the manifest (Docker Hub does not count that).
    pub async fn head_manifest(&self, tag: &str) -> Result<Option<Digest>> {
        let request = self.manifest_request(Method::HEAD, self.there(tag))?;
        let answer = self.send(request).await?;
        if !answer.status().is_success() {
            return Ok(None);
        }
        Ok(answer.header("docker-content-digest").and_then(|digest| digest.parse().ok()))
    }

    /// A manifest or index by tag or digest. Bytes asked for by digest are checked against it.
    pub async fn manifest(&self, reference: &str) -> Result<Fetched> {
        let reference = self.there(reference);
        let request = self.manifest_request(Method::GET, reference)?;
        let answer = self.send(request).await?;
        if !answer.status().is_success() {
            return Err(answer.refusal().await);
        }
        let said = answer.header("content-type").unwrap_or_default();
        let said = MediaType::from(said.split(';').next().unwrap_or_default().trim().to_owned());
        let promised =
            answer.header("docker-content-digest").and_then(|digest| digest.parse::<Digest>().ok());
        let (_, bytes) = answer.collect(MANIFEST_LIMIT).await?;
        let wanted: Option<Digest> = reference.parse().ok();
        let digest = match wanted.or(promised) {
            Some(digest) => {
                let mut hasher = image::Hasher::new(digest.algorithm());
                hasher.update(&bytes);
                if hasher.finish() != digest {
                    return Err(Error::WrongDigest { what: "manifest", digest });
                }
                digest
            }
            None => Digest::sha256(&bytes),
        };
        Ok(Fetched { media_type: media_type(said, &bytes), bytes, digest })
    }

    fn manifest_request(&self, method: Method, reference: &str) -> Result<Outgoing> {
        let manifests = MediaType::MANIFESTS;
        let accept: Vec<&str> = manifests.iter().map(MediaType::as_str).collect();
        let request = Outgoing::new(method, self.uri(&format!("manifests/{reference}"))?);
        Ok(request.header(header::ACCEPT, accept.join(", ")))
    }

    /// A small blob, in memory, checked against its digest.
    pub async fn small_blob(&self, digest: &Digest, limit: usize) -> Result<Bytes> {
        let answer = self.send(Outgoing::get(self.uri(&format!("blobs/{digest}"))?)).await?;
        if !answer.status().is_success() {
            return Err(answer.refusal().await);
        }
        let (_, bytes) = answer.collect(limit).await?;
        let mut hasher = image::Hasher::new(digest.algorithm());
        hasher.update(&bytes);
        match hasher.finish() == *digest {
            true => Ok(bytes),
            false => Err(Error::WrongDigest { what: "image config", digest: digest.clone() }),
        }
    }

    /// The error for an answer that breaks the protocol.
    pub fn protocol_error(answer: &Answer, text: impl Into<String>) -> Error {
        answer.error(Cause::Protocol(text.into()))
    }
}

fn is_basic(value: &HeaderValue) -> bool {
    value.as_bytes().starts_with(b"Basic ")
}

/// What whoever runs this has logged in with at a host that stands in for a registry.
async fn own_login(registries: &Registries, endpoint: &Endpoint) -> Option<Auth> {
    if endpoint.headers.iter().any(|(name, _)| name == header::AUTHORIZATION) {
        return None;
    }
    let (files, host) = (registries.config().logins.clone(), endpoint.host.clone());
    let found = tokio::task::spawn_blocking(move || lookup_in(&files, &host)).await.ok()?;
    found.unwrap_or_else(|error| {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, host = endpoint.host, "no login is used");
        None
    })
}

fn scope(repository: &str, access: Access) -> String {
    let actions = match access {
        Access::Pull => "pull",
        Access::PullPush => "pull,push",
    };
    format!("repository:{repository}:{actions}")
}

/// The document's own word on its type, else the header's. Some registries and every static file server say
/// `application/json` or `application/octet-stream`.
pub(crate) fn media_type(header: MediaType, bytes: &[u8]) -> MediaType {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape {
        #[serde(default)]
        media_type: Option<String>,
        #[serde(default)]
        manifests: Option<serde::de::IgnoredAny>,
        #[serde(default)]
        config: Option<serde::de::IgnoredAny>,
    }
    let Ok(shape) = serde_json::from_slice::<Shape>(bytes) else { return header };
    if let Some(own) = shape.media_type.filter(|own| !own.is_empty()) {
        return MediaType::from(own);
    }
    match header.is_manifest() || header.is_index() {
        true => header,
        false if shape.manifests.is_some() => MediaType::OCI_INDEX,
        false if shape.config.is_some() => MediaType::OCI_MANIFEST,
        false => header,
    }
}

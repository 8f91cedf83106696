//! Who we are to a registry: credentials, the challenges a registry poses, and the bearer tokens fetched to answer them.
//!
//! ```text
//! 401 WWW-Authenticate: Basic …   → Authorization: Basic
//! 401 WWW-Authenticate: Bearer …  → GET realm?service&scope (Basic or nobody)   → token
//!                                   POST realm grant_type=refresh_token         (identity token)
//! ```
//! Sources: distribution `docs/spec/auth/{token,oauth}.md`, RFC 6750, RFC 7235 section 4.1.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::Digest;
use serde::Deserialize;

use crate::aws::{self, EcrRegistry};
use crate::error::{Cause, Error, Result};
use crate::http::{Http, Outgoing};
use crate::url;

/// Credentials for one registry, as in the `X-Registry-Auth` header. Empty strings mean "not given".
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Auth {
    /// User name for Basic and for token servers.
    pub username: String,
    /// Password or access key.
    pub password: String,
    /// OAuth2 refresh token from an earlier login.
    pub identity_token: String,
    /// A ready bearer token: sent as it is.
    pub registry_token: String,
    /// The registry this is for, as the client wrote it.
    pub server_address: String,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("username", &self.username)
            .field("server_address", &self.server_address)
            .finish_non_exhaustive()
    }
}

impl Auth {
    fn basic(&self) -> Option<HeaderValue> {
        (!self.username.is_empty()).then(|| basic(&self.username, &self.password))
    }

    /// Keeps tokens of different callers apart without keeping their secrets.
    fn principal(&self) -> String {
        let text = format!("{}\0{}\0{}", self.username, self.password, self.identity_token);
        Digest::sha256(text.as_bytes()).to_string()
    }
}

fn basic(username: &str, password: &str) -> HeaderValue {
    let mut value =
        HeaderValue::try_from(format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))))
            .unwrap_or_else(|_| HeaderValue::from_static("Basic"));
    value.set_sensitive(true);
    value
}

fn bearer(token: &str) -> Result<HeaderValue, Cause> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| Cause::Protocol("the token holds characters that no header may hold".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// One `WWW-Authenticate` challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// All challenges of an answer. A header that makes no sense ends the list: what stands before it counts.
    pub(crate) fn all(headers: &HeaderMap) -> Vec<Challenge> {
        let values = headers.get_all(header::WWW_AUTHENTICATE).into_iter();
        values.filter_map(|value| value.to_str().ok()).flat_map(parse_challenges).collect()
    }

    /// The challenges in one header.
    pub fn parse(text: &str) -> Vec<Challenge> {
        parse_challenges(text)
    }

    /// A token from elsewhere is wanted.
    pub fn is_bearer(&self) -> bool {
        self.scheme == "bearer"
    }

    /// Name and password are wanted.
    pub fn is_basic(&self) -> bool {
        self.scheme == "basic"
    }

    /// `realm`, `service`, `scope`, … in lower case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// RFC 7235: `scheme [ 1*SP ( token68 / #auth-param ) ] *( , challenge )`.
fn parse_challenges(text: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = token(rest);
        if word.is_empty() {
            return challenges;
        }
        let spaceless = after.trim_start_matches([' ', '\t']);
        match spaceless.strip_prefix('=') {
            Some(value) if !challenges.is_empty() => {
                let Some((value, after)) = parameter_value(value.trim_start_matches([' ', '\t'])) else {
                    return challenges;
                };
                if let Some(last) = challenges.last_mut() {
                    last.parameters.push((word.to_ascii_lowercase(), value));
                }
                rest = after;
            }
            Some(_) => return challenges,
            None => {
                challenges.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
                rest = after;
            }
        }
    }
}

fn token(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(c)));
    text.split_at(end.unwrap_or(text.len()))
}

fn parameter_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            _ => value.push(c),
        }
    }
    None
}

/// Bearer tokens by realm, service, scopes and caller.
#[derive(Default)]
pub(crate) struct TokenCache(Mutex<HashMap<TokenKey, Token>>);

#[derive(Clone, PartialEq, Eq, Hash)]
struct TokenKey {
    realm: String,
    service: String,
    scopes: Vec<String>,
    principal: String,
}

#[derive(Clone)]
struct Token {
    value: HeaderValue,
    until: Instant,
}

impl TokenCache {
    fn get(&self, key: &TokenKey) -> Option<HeaderValue> {
        let tokens = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        tokens.get(key).filter(|token| token.until > Instant::now()).map(|token| token.value.clone())
    }

    fn put(&self, key: TokenKey, token: Token) {
        let mut tokens = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let now = Instant::now();
        tokens.retain(|_, token| token.until > now);
        tokens.insert(key, token);
    }
}

/// Answers the challenges of one registry for one caller. Shared by all requests of an operation.
pub(crate) struct Authorizer {
    /// What the caller gave.
    auth: Auth,
    /// Whose password we can fetch ourselves, when the caller gave none.
    ecr: Option<EcrRegistry>,
    /// The ECR password in use.
    fetched: Mutex<Option<Auth>>,
    registries: crate::Registries,
    challenges: Mutex<Arc<[Challenge]>>,
    /// One token request at a time: the second caller finds the first one's token in the cache.
    fetching: tokio::sync::Mutex<()>,
}

impl Authorizer {
    /// `registry` is the host that is spoken to. A public registry gets a password only where one is `needed`.
    pub fn new(registries: crate::Registries, auth: Option<Auth>, registry: &str, needed: bool) -> Self {
        let auth = auth.unwrap_or_default();
        let ecr = EcrRegistry::parse(registry).filter(|ecr| {
            auth.is_empty() && registries.config().aws.is_some() && (needed || !ecr.is_public())
        });
        Authorizer {
            auth,
            ecr,
            fetched: Mutex::new(None),
            registries,
            challenges: Mutex::new(Arc::new([])),
            fetching: tokio::sync::Mutex::new(()),
        }
    }

    /// Remembers what the registry asked for. Returns false when it asked for nothing we understand.
    pub fn challenge(&self, challenges: Vec<Challenge>) -> bool {
        let known = challenges.iter().any(|challenge| challenge.is_bearer() || challenge.is_basic());
        if known {
            *self.challenges.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = challenges.into();
        }
        known
    }

    /// The `Authorization` header for a request that needs `scopes`; `None` where the registry wants none.
    /// `refused` is one that the registry did not take: it is not given out again.
    pub async fn header(
        &self,
        http: &Http,
        scopes: &[String],
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, Cause> {
        if !self.auth.registry_token.is_empty() {
            return bearer(&self.auth.registry_token).map(Some);
        }
        let challenges = self.challenges.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        if let Some(challenge) = challenges.iter().find(|challenge| challenge.is_bearer()) {
            return self.token(http, challenge, scopes, refused).await.map(Some);
        }
        if challenges.iter().any(Challenge::is_basic) {
            return self.caller(refused).await?.basic().map(Some).ok_or(Cause::NoCredentials);
        }
        Ok(None)
    }

    /// Whether a password that is refused can be replaced by a new one.
    pub fn is_renewable(&self) -> bool {
        self.ecr.is_some()
    }

    /// Who asks: as the caller said, else by AWS credentials where the registry is ECR's.
    async fn caller(&self, refused: Option<&HeaderValue>) -> Result<Auth, Cause> {
        let Some(ecr) = &self.ecr else { return Ok(self.auth.clone()) };
        let known = self.fetched.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        let refused = known.as_ref().filter(|known| refused.is_some() && known.basic().as_ref() == refused);
        if let (Some(known), None) = (&known, refused) {
            return Ok(known.clone());
        }
        let found = aws::password(&self.registries, ecr, refused.map(|auth| auth.password.as_str())).await;
        let found = found.map_err(|error| Cause::Aws(Box::new(error)))?.unwrap_or_default();
        *self.fetched.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(found.clone());
        Ok(found)
    }

    async fn token(
        &self,
        http: &Http,
        challenge: &Challenge,
        scopes: &[String],
        refused: Option<&HeaderValue>,
    ) -> Result<HeaderValue, Cause> {
        let caller = self.caller(refused).await?;
        let realm = challenge.parameter("realm").unwrap_or_default();
        let mut scopes = scopes.to_vec();
        scopes.sort();
        scopes.dedup();
        let key = TokenKey {
            realm: realm.to_owned(),
            service: challenge.parameter("service").unwrap_or_default().to_owned(),
            scopes,
            principal: caller.principal(),
        };
        let usable = || self.registries.0.tokens.get(&key).filter(|token| Some(token) != refused);
        if let Some(token) = usable() {
            return Ok(token);
        }
        let _turn = self.fetching.lock().await;
        if let Some(token) = usable() {
            return Ok(token);
        }
        let (token, _) = fetch_token(http, &caller, &key, false).await?;
        self.registries.0.tokens.put(key, token.clone());
        Ok(token.value)
    }

    /// For `login`: a token with a refresh token beside it, if the server gives one.
    pub async fn offline_token(&self, http: &Http) -> Result<Option<(HeaderValue, String)>, Cause> {
        let challenges = self.challenges.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        let Some(challenge) = challenges.iter().find(|challenge| challenge.is_bearer()) else {
            return Ok(None);
        };
        let key = TokenKey {
            realm: challenge.parameter("realm").unwrap_or_default().to_owned(),
            service: challenge.parameter("service").unwrap_or_default().to_owned(),
            scopes: Vec::new(),
            principal: String::new(),
        };
        let (token, refresh) = fetch_token(http, &self.auth, &key, true).await?;
        Ok(Some((token.value, refresh)))
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    refresh_token: Option<String>,
    #[serde(default)]
    expires_in: Option<i64>,
}

/// How this client calls itself to token servers.
const CLIENT_ID: &str = "docker";
/// A token is never trusted for less than this (token.md, `expires_in`) …
const MIN_LIFE: Duration = Duration::from_secs(60);
/// … and is renewed this long before its end, so that it does not expire on the way.
const MARGIN: Duration = Duration::from_secs(10);

async fn fetch_token(
    http: &Http,
    auth: &Auth,
    key: &TokenKey,
    offline: bool,
) -> Result<(Token, String), Cause> {
    let realm: Uri = key.realm.parse().ok().filter(|uri: &Uri| uri.host().is_some()).ok_or_else(|| {
        Cause::Protocol(format!("the registry names no usable token server: {:?}", key.realm))
    })?;
    let asked = Instant::now();
    let request = if auth.identity_token.is_empty() {
        password_request(&realm, auth, key, offline)?
    } else {
        refresh_request(realm.clone(), auth, key)
    };
    let mut answer = http.send_with_retries(request).await.map_err(|error| Cause::Token(Box::new(error)))?;
    let takes_no_post = matches!(answer.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED);
    if !auth.identity_token.is_empty() && !auth.username.is_empty() && takes_no_post {
        // Older token servers take the identity token for a password.
        let auth = Auth { password: auth.identity_token.clone(), ..auth.clone() };
        let request = password_request(&realm, &auth, key, offline)?;
        answer = http.send_with_retries(request).await.map_err(|error| Cause::Token(Box::new(error)))?;
    }
    let (method, uri) = (answer.method.clone(), answer.uri.clone());
    let (parts, body) = answer.collect(1 << 20).await.map_err(|error| Cause::Token(Box::new(error)))?;
    if !parts.status.is_success() {
        return Err(Cause::Refused(crate::Refusal::parse(parts.status, &parts.headers, &body)));
    }
    let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|error| {
        let cause = Cause::Protocol(format!("unable to decode token response: {error}"));
        Cause::Token(Box::new(Error::request(&method, &url::without_query(&uri), cause)))
    })?;
    let value =
        answer.token.or(answer.access_token).filter(|token| !token.is_empty()).ok_or(Cause::NoToken)?;
    let life = Duration::from_secs(answer.expires_in.unwrap_or(0).try_into().unwrap_or(0)).max(MIN_LIFE);
    let token = Token { value: bearer(&value)?, until: asked + life - MARGIN };
    Ok((token, answer.refresh_token.unwrap_or_default()))
}

fn password_request(realm: &Uri, auth: &Auth, key: &TokenKey, offline: bool) -> Result<Outgoing, Cause> {
    let mut query: Vec<(&str, &str)> = Vec::new();
    if !auth.username.is_empty() {
        query.push(("account", &auth.username));
    }
    if offline {
        query.extend([("client_id", CLIENT_ID), ("offline_token", "true")]);
    }
    query.extend(key.scopes.iter().map(|scope| ("scope", scope.as_str())));
    if !key.service.is_empty() {
        query.push(("service", &key.service));
    }
    let uri = url::with_query(realm, &query).map_err(Cause::Protocol)?;
    let mut request = Outgoing::new(Method::GET, uri);
    if let Some(basic) = auth.basic() {
        request.headers.insert(header::AUTHORIZATION, basic);
    }
    Ok(request)
}

fn refresh_request(realm: Uri, auth: &Auth, key: &TokenKey) -> Outgoing {
    let scope = key.scopes.join(" ");
    let mut form = vec![
        ("grant_type", "refresh_token"),
        ("refresh_token", auth.identity_token.as_str()),
        ("client_id", CLIENT_ID),
        ("service", key.service.as_str()),
    ];
    if !scope.is_empty() {
        form.push(("scope", &scope));
    }
    let mut request = Outgoing::new(Method::POST, realm).secret_body(url::form(&form).into_bytes().into());
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers.insert(header::CONTENT_TYPE, kind);
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &[(&str, &str)])]) {
        let parsed = parse_challenges(text);
        let parsed: Vec<_> = parsed
            .iter()
            .map(|challenge| {
                let parameters: Vec<_> =
                    challenge.parameters.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
                (challenge.scheme.as_str(), parameters)
            })
            .collect();
        let expected: Vec<_> =
            expected.iter().map(|(scheme, parameters)| (*scheme, parameters.to_vec())).collect();
        assert_eq!(parsed, expected);
    }

    #[test]
    fn challenges() {
        check(r#"Basic realm="Registry""#, &[("basic", &[("realm", "Registry")])]);
        check(
            r#"Bearer realm="https://auth.example/token",service="registry",scope="repository:a/b:pull,push""#,
            &[(
                "bearer",
                &[
                    ("realm", "https://auth.example/token"),
                    ("service", "registry"),
                    ("scope", "repository:a/b:pull,push"),
                ],
            )],
        );
        check(
            r#"Basic realm=x, Bearer realm="a \"b\""  "#,
            &[("basic", &[("realm", "x")]), ("bearer", &[("realm", "a \"b\"")])],
        );
        check("Negotiate", &[("negotiate", &[])]);
        check(r#"Bearer realm="unclosed"#, &[("bearer", &[])]);
        check("=,=\"", &[]);
        check("", &[]);
    }

    #[test]
    fn secrets_are_not_printed() {
        let auth = Auth { username: "u".to_owned(), password: "hunter2".to_owned(), ..Auth::default() };
        assert!(!format!("{auth:?}").contains("hunter2"));
    }
}

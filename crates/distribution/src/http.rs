//! HTTP/1.1 towards one registry: redirects, time-outs, retries, and errors in the words Go's client uses.
//!
//! HTTP/1.1 on purpose: each layer gets a TCP connection of its own, as with Docker, instead of one shared HTTP/2 window.
//! `Authorization` and every other header marked as sensitive are dropped for good at the first redirect to another scheme,
//! host or port: blob storage must never see a registry's token. This module knows nothing of repositories or of what a 401 means.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::http::header::{self, HeaderMap, HeaderValue};
use ::http::{Method, Request, Response, StatusCode, Uri, response};
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::config::{Registries, Retry};
use crate::dial::{DialError, Dialer};
use crate::endpoint::Endpoint;
use crate::error::{Cause, Error, Result, go_errno};
use crate::proxy::{ProxyKind, ProxyRules};
use crate::{tls, url};

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Largest piece of a body, in bytes.
const READ_BUFFER: usize = 64 << 10;
const MAX_REDIRECTS: usize = 10;
/// How long a registry may think once it has all of an upload (it hashes the blob, or copies it to object storage), as a
/// multiple of the stall limit.
const COMMIT_PATIENCE: u32 = 10;

/// A pool of connections with one TLS configuration: a registry, what it redirects to, and its token server.
pub(crate) struct Http {
    client: Client<HttpsConnector<Dialer>, Body>,
    proxies: Arc<ProxyRules>,
    user_agent: HeaderValue,
    pub retry: Retry,
}

/// A request that can be sent again.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    payload: Payload,
    /// The body is a secret between us and the host that is addressed.
    confidential: bool,
}

#[derive(Clone)]
enum Payload {
    Empty,
    Bytes(Bytes),
    Stream(Arc<Stream>),
}

/// A body made anew for each try.
pub(crate) struct Stream {
    pub length: u64,
    /// Bytes handed to the network so far; the time-out of an upload looks at it.
    pub sent: Arc<AtomicU64>,
    pub open: Box<dyn Fn() -> Body + Send + Sync>,
}

impl Outgoing {
    pub fn new(method: Method, uri: Uri) -> Self {
        Outgoing { method, uri, headers: HeaderMap::new(), payload: Payload::Empty, confidential: false }
    }

    pub fn get(uri: Uri) -> Self {
        Outgoing::new(Method::GET, uri)
    }

    pub fn body(mut self, bytes: Bytes) -> Self {
        self.payload = Payload::Bytes(bytes);
        self
    }

    /// A body that follows no redirect to another host.
    pub fn secret_body(self, bytes: Bytes) -> Self {
        Outgoing { confidential: true, ..self.body(bytes) }
    }

    pub fn stream(mut self, stream: Stream) -> Self {
        self.payload = Payload::Stream(Arc::new(stream));
        self
    }

    pub fn header(mut self, name: header::HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        if let Ok(value) = value.try_into() {
            self.headers.insert(name, value);
        }
        self
    }

    pub fn error(&self, cause: Cause) -> Error {
        Error::request(&self.method, &self.uri, cause)
    }
}

impl Payload {
    fn open(&self) -> Body {
        match self {
            Payload::Empty => Empty::new().map_err(|never| match never {}).boxed_unsync(),
            Payload::Bytes(bytes) => Full::new(bytes.clone()).map_err(|never| match never {}).boxed_unsync(),
            Payload::Stream(stream) => {
                stream.sent.store(0, Ordering::Relaxed);
                (stream.open)()
            }
        }
    }

    fn length(&self, method: &Method) -> Option<u64> {
        match self {
            Payload::Empty => matches!(*method, Method::POST | Method::PUT | Method::PATCH).then_some(0),
            Payload::Bytes(bytes) => Some(bytes.len() as u64),
            Payload::Stream(stream) => Some(stream.length),
        }
    }
}

impl Http {
    /// `certs` are those of the registry, `verify` is false for an insecure one.
    pub fn new(registries: &Registries, certs: tls::HostCerts, verify: bool) -> Result<Self> {
        let proxies = registries.0.proxies.clone();
        Self::with(registries, certs, verify, proxies, registries.0.config.retry)
    }

    /// For one endpoint of a registry.
    pub fn to(registries: &Registries, endpoint: &Endpoint) -> Result<Self> {
        let certs = tls::HostCerts::read(&registries.config().certs_dirs, &endpoint.host)?;
        let mut retry = registries.config().retry;
        retry.connect = endpoint.connect.unwrap_or(retry.connect);
        let proxies = registries.0.proxies.clone();
        Self::with(registries, certs.with(&endpoint.certs)?, endpoint.verify, proxies, retry)
    }

    /// For what is on this machine or beside it: never through a proxy.
    pub fn direct(registries: &Registries, retry: Retry) -> Result<Self> {
        let proxies = Arc::new(ProxyRules::default());
        Self::with(registries, tls::HostCerts::default(), true, proxies, retry)
    }

    fn with(
        registries: &Registries,
        certs: tls::HostCerts,
        verify: bool,
        proxies: Arc<ProxyRules>,
        retry: Retry,
    ) -> Result<Self> {
        let inner = &registries.0;
        let mut proxy_certs = tls::HostCerts::default();
        for proxy in proxies.over_tls() {
            let host = proxy.uri.authority().map_or("", |authority| authority.as_str());
            proxy_certs = proxy_certs.and(tls::HostCerts::read(&inner.config.certs_dirs, host)?);
        }
        let proxy_tls = match proxies.over_tls().next() {
            Some(_) => Some(Arc::new(tls::client_config(&inner.roots, proxy_certs, true)?)),
            None => None,
        };
        let dialer = Dialer {
            resolver: inner.resolver.clone(),
            proxies: proxies.clone(),
            proxy_tls,
            timeout: retry.connect,
        };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::client_config(&inner.roots, certs, verify)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(dialer);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_timer(TokioTimer::new())
            // A fixed buffer: hyper's own grows to 400 KiB a connection, and the pieces wait in channels.
            .http1_read_buf_exact_size(READ_BUFFER)
            .build(connector);
        let user_agent = HeaderValue::from_str(&inner.config.user_agent).map_err(|_| {
            Error::Configuration("the user agent holds characters that no header may hold".to_owned())
        })?;
        Ok(Http { client, proxies, user_agent, retry })
    }

    /// Sends again after transient failures, with growing delays. For requests that may be repeated.
    pub async fn send_with_retries(&self, request: Outgoing) -> Result<Answer> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match self.send(request.clone()).await {
                Ok(answer) if attempt < self.retry.attempts && self.is_worth_a_wait(&answer) => {
                    self.wait(attempt, named_delay(answer.headers())).await;
                    continue;
                }
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            // A refused connection is reported at once: the registry is not there, and the user waits.
            if attempt >= self.retry.attempts || !error.is_transient() || never_connected(&error) {
                return Err(error);
            }
            self.wait(attempt, None).await;
        }
    }

    /// Not where a limit is used up for hours: the user waits, and wants to know.
    fn is_worth_a_wait(&self, answer: &Answer) -> bool {
        let is_used_up =
            answer.header("ratelimit-remaining").is_some_and(|left| left.split(';').next() == Some("0"));
        let is_late = named_delay(answer.headers()).is_some_and(|delay| delay > self.retry.max);
        is_transient(answer.status())
            && !(answer.status() == StatusCode::TOO_MANY_REQUESTS && (is_used_up || is_late))
    }

    async fn wait(&self, attempt: u32, named: Option<Duration>) {
        tokio::time::sleep(named.unwrap_or_else(|| self.retry.delay(attempt)).min(self.retry.max)).await;
    }

    /// Sends once, following redirects. Any status is an answer.
    pub async fn send(&self, mut request: Outgoing) -> Result<Answer> {
        let origin = request.uri.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send_once(&request).await?;
            let Some(target) = redirect(&request, &response).map_err(|cause| request.error(cause))? else {
                let (method, uri) = (request.method, request.uri);
                return Ok(Answer { response, method, uri, stall: self.retry.stall, pushed_back: None });
            };
            tracing::debug!(from = %url::without_query(&request.uri), to = %url::without_query(&target), "redirected");
            if !url::same_origin(&origin, &target) {
                if request.confidential && !matches!(request.payload, Payload::Empty) {
                    let text = format!("refused to take a secret along to {}", url::without_query(&target));
                    return Err(request.error(Cause::Redirect(text)));
                }
                drop_secrets(&mut request.headers);
            }
            if response.status() == StatusCode::SEE_OTHER && request.method != Method::HEAD {
                request.method = Method::GET;
                request.payload = Payload::Empty;
            }
            request.uri = target;
        }
        let shown = Outgoing { uri: origin, ..request };
        Err(shown.error(Cause::Redirect(format!("stopped after {MAX_REDIRECTS} redirects"))))
    }

    async fn send_once(&self, outgoing: &Outgoing) -> Result<Response<Incoming>> {
        let mut request = Request::new(outgoing.payload.open());
        *request.method_mut() = outgoing.method.clone();
        *request.uri_mut() = outgoing.uri.clone();
        let headers = request.headers_mut();
        headers.clone_from(&outgoing.headers);
        headers.insert(header::USER_AGENT, self.user_agent.clone());
        if let Some(length) = outgoing.payload.length(&outgoing.method) {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        if outgoing.uri.scheme_str() == Some("http")
            && let Some(proxy) = self.proxies.find(&outgoing.uri)
            && proxy.kind != ProxyKind::Socks5
            && let Some(auth) = proxy.basic()
        {
            headers.insert(header::PROXY_AUTHORIZATION, auth);
        }
        let response = self.client.request(request);
        tokio::pin!(response);
        let mut sent_before = None;
        let mut idle = 0;
        loop {
            let outcome = tokio::time::timeout(self.retry.stall, &mut response).await;
            match outcome {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) => return Err(outgoing.error(cause_of(&error, &outgoing.uri))),
                Err(_) => {}
            }
            let Payload::Stream(stream) = &outgoing.payload else {
                return Err(outgoing.error(Cause::Timeout("response headers")));
            };
            let sent = stream.sent.load(Ordering::Relaxed);
            idle = if sent_before == Some(sent) { idle + 1 } else { 0 };
            let patience = if sent >= stream.length { COMMIT_PATIENCE } else { 1 };
            if idle >= patience {
                return Err(outgoing.error(Cause::Timeout("response headers")));
            }
            sent_before = Some(sent);
        }
    }
}

impl Retry {
    /// The wait before try number `attempt + 1`.
    pub(crate) fn delay(&self, attempt: u32) -> Duration {
        self.base.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(self.max)
    }
}

/// `Retry-After` in seconds.
fn named_delay(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// What only the host that was addressed may see.
fn drop_secrets(headers: &mut HeaderMap) {
    let secret = |name: &header::HeaderName| {
        matches!(*name, header::AUTHORIZATION | header::COOKIE)
            || headers.get_all(name).iter().any(HeaderValue::is_sensitive)
    };
    let names: Vec<_> = headers.keys().filter(|name| secret(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

fn is_transient(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

fn never_connected(error: &Error) -> bool {
    matches!(error, Error::Request { cause, .. } if matches!(**cause, Cause::Dial(_)))
}

/// Where the answer sends us, if it does.
fn redirect(request: &Outgoing, response: &Response<Incoming>) -> Result<Option<Uri>, Cause> {
    let follow = match response.status() {
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => {
            matches!(request.method, Method::GET | Method::HEAD)
        }
        _ => false,
    };
    let location = response.headers().get(header::LOCATION);
    let Some(location) = location.filter(|_| follow) else { return Ok(None) };
    let location = String::from_utf8_lossy(location.as_bytes());
    url::join(&request.uri, &location).map(Some).map_err(Cause::Redirect)
}

/// An answer whose body is still on the wire.
pub(crate) struct Answer {
    response: Response<Incoming>,
    pub method: Method,
    /// Where it came from after redirects.
    pub uri: Uri,
    stall: Duration,
    /// Read already, and wanted again.
    pushed_back: Option<Bytes>,
}

impl Answer {
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    pub fn error(&self, cause: Cause) -> Error {
        Error::request(&self.method, &url::without_query(&self.uri), cause)
    }

    /// The next piece of the body; `None` at its end. A body that ends early is an error.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        if let Some(bytes) = self.pushed_back.take() {
            return Ok(Some(bytes));
        }
        loop {
            let frame = match tokio::time::timeout(self.stall, self.response.body_mut().frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(self.error(broken(&error))),
                Ok(None) => return Ok(None),
                Err(_) => return Err(self.error(Cause::Timeout("response body"))),
            };
            if let Ok(bytes) = frame.into_data()
                && !bytes.is_empty()
            {
                return Ok(Some(bytes));
            }
        }
    }

    /// Makes these bytes the next piece.
    pub fn push_back(&mut self, bytes: Bytes) {
        self.pushed_back = Some(bytes);
    }

    /// The whole body, which may have up to `limit` bytes.
    pub async fn collect(mut self, limit: usize) -> Result<(response::Parts, Bytes)> {
        let mut whole = Vec::new();
        while let Some(bytes) = self.chunk().await? {
            if whole.len() + bytes.len() > limit {
                return Err(self.error(Cause::Protocol(format!("the answer has more than {limit} bytes"))));
            }
            whole.extend_from_slice(&bytes);
        }
        let (parts, _) = self.response.into_parts();
        Ok((parts, whole.into()))
    }

    /// What the registry says where it did not say what we hoped for.
    pub async fn refusal(self) -> Error {
        /// Enough for every error body; a longer one is somebody's web page.
        const LIMIT: usize = 64 << 10;
        let (status, headers) = (self.status(), self.headers().clone());
        let body = match self.collect(LIMIT).await {
            Ok((_, body)) => body,
            Err(_) => Bytes::new(),
        };
        Error::Refused(crate::Refusal::parse(status, &headers, &body))
    }
}

/// The cause that tells most, somewhere in the client's error.
fn cause_of(error: &ClientError, uri: &Uri) -> Cause {
    let chain = causes(error);
    if let Some(dial) = chain.iter().find_map(|error| error.downcast_ref::<DialError>()) {
        return Cause::Dial(dial.clone());
    }
    match chain.iter().find_map(|error| error.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(_)) => return Cause::PlainHttp,
        Some(error) => return Cause::Tls(tls::describe(error, uri.host().unwrap_or_default())),
        None => {}
    }
    if let Some(error) = chain.iter().rev().find_map(|error| error.downcast_ref::<io::Error>()) {
        return Cause::Broken(broken_io(error));
    }
    let hyper = chain.iter().find_map(|error| error.downcast_ref::<hyper::Error>());
    hyper.map_or_else(|| Cause::Broken(error.to_string()), broken)
}

/// An error and everything below it. `io::Error` hides what it wraps from `source()`.
fn causes<'a>(error: &'a (dyn std::error::Error + 'static)) -> Vec<&'a (dyn std::error::Error + 'static)> {
    let mut chain = Vec::new();
    let mut next = Some(error);
    while let Some(current) = next {
        chain.push(current);
        let wrapped = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|wrapped| wrapped as _).or_else(|| current.source());
    }
    chain
}

fn broken(error: &hyper::Error) -> Cause {
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    Cause::Broken(match io {
        Some(io) => broken_io(io),
        None if error.is_incomplete_message() => "EOF".to_owned(),
        None if error.is_parse() => {
            "net/http: HTTP/1.x transport connection broken: malformed HTTP response".to_owned()
        }
        None => "unexpected EOF".to_owned(),
    })
}

fn broken_io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "unexpected EOF".to_owned(),
        io::ErrorKind::ConnectionReset => "read: connection reset by peer".to_owned(),
        _ => go_errno(error),
    }
}

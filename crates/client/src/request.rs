//! One request: built by a chain, ended by what is expected back. A status of 400 and more is an error with the engine's
//! message, whatever the ending.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Client;
use crate::body::Body;
use crate::error::{Error, Result};
use crate::lines::Lines;
use crate::pool::Busy;
use crate::response::Response;
use crate::transport::ATTEMPTS;
use crate::upgrade::{self, Upgraded};

/// Left as they are in a path: `/`, `:` and `@` belong to image references.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b':')
    .remove(b'@');

/// A user's word as part of a path.
pub fn escape(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

/// A request being built.
pub struct Request {
    client: Client,
    method: Method,
    path: String,
    versioned: bool,
    query: api::query::Pairs,
    headers: Vec<(String, String)>,
    body: Result<Body>,
}

impl Request {
    pub(crate) fn new(client: Client, method: Method, path: String) -> Self {
        Self {
            client,
            method,
            path,
            versioned: true,
            query: api::query::Pairs::default(),
            headers: Vec::new(),
            body: Ok(Body::Empty),
        }
    }

    /// Without `/v1.NN` before the path.
    pub fn unversioned(mut self) -> Self {
        self.versioned = false;
        self
    }

    /// Adds a query parameter.
    pub fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push(name, value.to_string());
        self
    }

    /// Adds the parameters of an endpoint, such as `api::ContainerListQuery`.
    pub fn parameters(mut self, query: &impl api::query::Query) -> Self {
        let pairs = query.to_pairs();
        pairs.iter().for_each(|(name, value)| self.query.push(name, value));
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// A JSON body.
    pub fn json_body(mut self, value: &impl Serialize) -> Self {
        self.body = serde_json::to_vec(value)
            .map(Body::from)
            .map_err(|error| Error::protocol(format!("write the body of {}", self.path), error));
        self.header("content-type", "application/json")
    }

    /// A body of bytes or a stream.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = Ok(body.into());
        self
    }

    /// Sends it; the body of the answer is yet to be read.
    pub async fn send(mut self) -> Result<Response> {
        let mut body = std::mem::replace(&mut self.body, Ok(Body::Empty))?;
        // A stream goes out once, and an answer to HEAD does not say what is wrong: the version must be right the first time.
        if self.versioned && (matches!(body, Body::Reader(_)) || self.method == Method::HEAD) {
            Box::pin(self.client.version()).await?;
        }
        loop {
            let again = body.again();
            let sent = self.client.assumed_version();
            let response = self.send_once(body).await?;
            if response.status().as_u16() < 400 {
                return Ok(response);
            }
            let theirs = response.header("api-version").and_then(|text| text.parse().ok());
            let error = response.into_error().await;
            match (again, theirs) {
                (Some(again), Some(theirs)) if self.is_too_new(&error) && theirs < sent => {
                    self.client.agree(theirs);
                    body = again;
                }
                _ => return Err(error),
            }
        }
    }

    /// Sends it and reads a JSON answer.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T> {
        let doing = format!("read the answer to {} {}", self.method, self.path);
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|error| Error::protocol(doing, error))
    }

    /// Sends it; the answer's body is not interesting.
    pub async fn empty(self) -> Result<()> {
        self.bytes().await.map(drop)
    }

    /// Sends it and reads the whole answer.
    pub async fn bytes(self) -> Result<Bytes> {
        self.send().await?.bytes().await
    }

    /// Sends it and reads JSON values as they arrive.
    pub async fn lines<T: DeserializeOwned>(self) -> Result<Lines<T>> {
        Ok(Lines::new(self.send().await?))
    }

    /// Sends it and takes the connection over: what follows the answer's head is raw bytes in both directions.
    pub async fn upgrade(mut self) -> Result<Upgraded> {
        let body = match std::mem::replace(&mut self.body, Ok(Body::Empty))? {
            Body::Empty => Bytes::new(),
            Body::Bytes(bytes) => bytes,
            Body::Reader(_) => {
                return Err(Error::protocol(self.path, "a hijacked request cannot carry a stream"));
            }
        };
        let mut unread = 0;
        loop {
            let stream = self.client.dial().await?;
            let headers = self.all_headers()?;
            let sent = self.client.assumed_version();
            match upgrade::upgrade(stream, &self.method, &self.target(), &headers, &body).await {
                Ok(upgrade::Outcome::Upgraded(upgraded)) => return Ok(upgraded),
                Ok(upgrade::Outcome::Refused(error, Some(theirs)))
                    if self.is_too_new(&error) && theirs < sent =>
                {
                    self.client.agree(theirs);
                }
                Ok(upgrade::Outcome::Refused(error, _)) => return Err(error),
                Err(error) if self.client.left_unread(&error) && unread + 1 < ATTEMPTS => unread += 1,
                Err(error) => {
                    return Err(self.client.broken(format!("{} {}", self.method, self.path), error));
                }
            }
        }
    }

    /// Whether the engine refused our version and nobody demanded it.
    fn is_too_new(&self, error: &Error) -> bool {
        let refused =
            matches!(error, Error::Daemon { status: 400, message } if message.contains("is too new"));
        refused && self.versioned && self.client.options().version.is_none()
    }

    fn target(&self) -> String {
        let query = self.query.encode();
        let mark = if query.is_empty() { "" } else { "?" };
        match self.versioned {
            true => format!("/v{}{}{mark}{query}", self.client.assumed_version(), self.path),
            false => format!("{}{mark}{query}", self.path),
        }
    }

    /// Everything but the framing.
    fn all_headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>> {
        let options = self.client.options();
        let fixed = [("host", "naru"), ("user-agent", options.user_agent.as_str())];
        let own =
            options.headers.iter().chain(&self.headers).map(|(name, value)| (name.as_str(), value.as_str()));
        fixed
            .into_iter()
            .chain(own)
            .map(|(name, value)| {
                let wrong = |error: http::Error| Error::protocol(format!("header {name}"), error);
                let name = HeaderName::try_from(name).map_err(|error| wrong(error.into()))?;
                let value = HeaderValue::try_from(value).map_err(|error| wrong(error.into()))?;
                Ok((name, value))
            })
            .collect()
    }

    /// Sends it until an engine reads it: one that was killed a moment ago still takes connections, and one that goes idle
    /// closes those that were kept.
    async fn send_once(&self, mut body: Body) -> Result<Response> {
        let mut kept = self.client.pool().take();
        for _ in 1..ATTEMPTS {
            let again = body.again();
            let sender = match kept.take() {
                Some(sender) => sender,
                None => self.connect().await?,
            };
            match (self.send_over(sender, body).await, again) {
                (Err((true, _)), Some(again)) => body = again,
                (outcome, _) => return outcome.map_err(|(_, error)| error),
            }
        }
        let sender = self.connect().await?;
        self.send_over(sender, body).await.map_err(|(_, error)| error)
    }

    /// The error says whether no engine has read the request.
    async fn send_over(
        &self,
        mut sender: http1::SendRequest<Body>,
        body: Body,
    ) -> Result<Response, (bool, Error)> {
        // An engine may answer before it has read a stream to its end, and then never do so.
        let is_kept = !matches!(body, Body::Reader(_));
        let mut request = http::Request::new(body);
        *request.method_mut() = self.method.clone();
        let doing = || format!("{} {}", self.method, self.path);
        let wrong = |error: http::uri::InvalidUri| (false, Error::protocol(doing(), error));
        *request.uri_mut() = self.target().try_into().map_err(wrong)?;
        for (name, value) in self.all_headers().map_err(|error| (false, error))? {
            request.headers_mut().insert(name, value);
        }
        // Go's servers want a length on an empty POST.
        if self.method == Method::POST && http_body::Body::is_end_stream(request.body()) {
            request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let outcome = sender.send_request(request).await;
        let response = outcome.map_err(|error| {
            let source = std::error::Error::source(&error);
            let reason = source.map_or_else(|| error.to_string(), ToString::to_string);
            let unread = source
                .and_then(|source| source.downcast_ref())
                .is_some_and(|error| self.client.left_unread(error));
            (error.is_canceled() || error.is_closed() || unread, self.client.broken(doing(), reason))
        })?;
        let connection = is_kept.then(|| Busy::new(self.client.clone(), sender));
        Ok(Response::new(response, connection, doing()))
    }

    async fn connect(&self) -> Result<http1::SendRequest<Body>> {
        let stream = self.client.dial().await?;
        let (sender, connection) = http1::Builder::new()
            .max_headers(200)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Error::protocol("open an HTTP connection", error))?;
        // Ends when the sender and the last answer are dropped; its errors reach whoever waits for an answer.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// Whether an answer means that the connection has stopped being HTTP.
pub(crate) fn is_hijacked(status: StatusCode) -> bool {
    status == StatusCode::SWITCHING_PROTOCOLS || status == StatusCode::OK
}

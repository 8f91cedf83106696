//! Calls to AWS services: where they are, how a request is sent, and what an error answer says.
//!
//! `AWS_ENDPOINT_URL_<SERVICE>` and `AWS_ENDPOINT_URL` (and the profile's `endpoint_url`) put something else in a service's
//! place; `AWS_CA_BUNDLE` names the authority that vouches for it.

use ::http::{Method, Uri};
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::sign::{self, Scope};
use super::{Environment, Error, Keys};
use crate::config::Registries;
use crate::http::{Http, Outgoing};
use crate::tls::{CertFiles, HostCerts};

/// Answers are small.
const LIMIT: usize = 1 << 20;

/// The way to AWS for one process.
pub(super) struct Aws<'a> {
    pub environment: &'a Environment,
    pub registries: &'a Registries,
    http: Http,
    /// The profile's `endpoint_url`.
    pub endpoint_url: Option<String>,
}

/// How a request is proved to be ours.
pub(super) enum Proof<'a> {
    /// Not at all: what is sent proves itself.
    None,
    Signed {
        keys: &'a Keys,
        region: &'a str,
        service: &'a str,
    },
}

impl<'a> Aws<'a> {
    pub fn new(registries: &'a Registries, environment: &'a Environment) -> Result<Self, Error> {
        let authorities = environment.get("AWS_CA_BUNDLE").into_iter().map(Into::into).collect();
        let certs = HostCerts::default().with(&CertFiles { authorities, client: Vec::new() });
        let http = certs.and_then(|certs| Http::new(registries, certs, true));
        let http = http.map_err(|source| Error::Request { call: "set-up", source: Box::new(source) })?;
        Ok(Self { environment, registries, http, endpoint_url: None })
    }

    /// Where a service is: `usual`, unless somebody put another one in its place.
    pub fn endpoint(&self, variable: &'static str, usual: &str) -> Result<Uri, Error> {
        let own = self.environment.get(variable).or_else(|| self.environment.get("AWS_ENDPOINT_URL"));
        let text = own.or(self.endpoint_url.as_deref()).unwrap_or(usual);
        parse_url(text)
            .ok_or_else(|| Error::Variable { name: variable, reason: format!("{text:?} is no URL") })
    }

    /// One call by POST; the answer's body if it is a yes.
    pub async fn post(
        &self,
        call: &'static str,
        uri: Uri,
        headers: &[(&'static str, &str)],
        body: String,
        proof: Proof<'_>,
    ) -> Result<Bytes, Error> {
        let mut request = Outgoing::new(Method::POST, uri);
        for (name, value) in headers {
            request = request.header(::http::HeaderName::from_static(name), *value);
        }
        if let Proof::Signed { keys, region, service } = proof {
            let scope = Scope { region, service, time: Timestamp::now() };
            sign::sign(&scope, keys, &Method::POST, &request.uri, &mut request.headers, body.as_bytes());
        }
        self.send(call, request.secret_body(body.into())).await
    }

    pub async fn send(&self, call: &'static str, request: Outgoing) -> Result<Bytes, Error> {
        send(&self.http, call, request).await
    }
}

/// An address with a path, which every request needs.
pub(super) fn parse_url(text: &str) -> Option<Uri> {
    let text = text.trim_end_matches('/');
    let uri: Uri = format!("{text}/").parse().ok()?;
    (matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()).then_some(uri)
}

pub(super) async fn send(http: &Http, call: &'static str, request: Outgoing) -> Result<Bytes, Error> {
    let failed = |source| Error::Request { call, source: Box::new(source) };
    let answer = http.send_with_retries(request).await.map_err(failed)?;
    let (status, kind) = (answer.status(), answer.header("x-amzn-errortype").map(str::to_owned));
    let (_, body) = answer.collect(LIMIT).await.map_err(failed)?;
    if status.is_success() {
        return Ok(body);
    }
    let text = String::from_utf8_lossy(&body);
    let json: ErrorBody = serde_json::from_slice(&body).unwrap_or_default();
    let code = kind.or(json.kind).or(json.code).or_else(|| element(&text, "Code"));
    let code = code.as_deref().unwrap_or_else(|| status.as_str());
    // `prefix#Name:http://…` is the longest form.
    let code = code.rsplit('#').next().unwrap_or_default().split(':').next().unwrap_or_default().to_owned();
    let message = json.message.or(json.upper_message).or_else(|| element(&text, "Message"));
    let message = message.unwrap_or_else(|| crate::refusal::status_line(status));
    Err(Error::Refused { call, code, message })
}

#[derive(Default, Deserialize)]
struct ErrorBody {
    #[serde(rename = "__type")]
    kind: Option<String>,
    code: Option<String>,
    message: Option<String>,
    #[serde(rename = "Message")]
    upper_message: Option<String>,
}

pub(super) fn json<T: DeserializeOwned>(call: &'static str, body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Answer { call, reason: error.to_string() })
}

/// The text of the first `<name>…</name>` of an answer of the Query protocol. None of the texts we want nests or holds markup.
pub(super) fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let text = text.trim().replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    Some(text.replace("&apos;", "'").replace("&amp;", "&"))
}

/// The headers of a form.
pub(super) const FORM: (&str, &str) = (CONTENT_TYPE_NAME, "application/x-www-form-urlencoded; charset=utf-8");
/// The headers of the JSON protocol.
pub(super) const JSON: (&str, &str) = (CONTENT_TYPE_NAME, "application/x-amz-json-1.1");
const CONTENT_TYPE_NAME: &str = "content-type";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_and_unescaped() {
        let xml = "<R><Credentials>\n<AccessKeyId> A&amp;lt; </AccessKeyId></Credentials></R>";
        assert_eq!(element(xml, "AccessKeyId").as_deref(), Some("A&lt;"));
        assert_eq!(element(xml, "SecretAccessKey"), None);
        assert_eq!(element("<A>unclosed", "A"), None);
    }

    #[test]
    fn urls_get_a_path() {
        assert_eq!(parse_url("http://127.0.0.1:5000").unwrap().to_string(), "http://127.0.0.1:5000/");
        assert_eq!(parse_url("https://x/api/").unwrap().to_string(), "https://x/api/");
        assert!(parse_url("ftp://x").is_none() && parse_url("nonsense").is_none());
    }
}

//! A registry's "no": the error body of the distribution specification, and how Docker prints it.
//!
//! Format: OCI distribution-spec, "Error Codes"; the `WWW-Authenticate: … error=` part: RFC 6750 section 3.1.

use std::fmt;
use std::time::Duration;

use ::http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::auth::Challenge;

/// A 4xx or 5xx answer of a registry or token server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Status of the answer.
    pub status: StatusCode,
    /// The errors in the body; never empty unless the body was of no known form.
    pub items: Vec<RefusalItem>,
    /// What to print when there are no items.
    text: String,
    /// `Retry-After`, when the server named a delay.
    pub retry_after: Option<Duration>,
    /// The figures that Docker Hub sends: `limit: 100 per 6h, remaining: 0`.
    pub rate_limit: Option<String>,
}

/// One error of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalItem {
    /// Upper-case code, such as `MANIFEST_UNKNOWN`.
    pub code: String,
    /// The registry's words.
    pub message: String,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    errors: Option<Vec<BodyItem>>,
    #[serde(default)]
    details: Option<String>,
}

#[derive(Deserialize)]
struct BodyItem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: Option<String>,
}

impl Refusal {
    /// Reads an answer. The order of the rules is that of Docker's client, because its texts depend on it: an OAuth error in
    /// the challenge, then the body, then what the status alone says.
    pub(crate) fn parse(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let mut refusal = Refusal {
            status,
            items: Vec::new(),
            text: String::new(),
            retry_after: retry_after(headers),
            rate_limit: rate_limit(headers),
        };
        if !status.is_client_error() {
            refusal.text = format!("received unexpected HTTP status: {}", status_line(status));
            return refusal;
        }
        let oauth = Challenge::all(headers)
            .into_iter()
            .filter(|challenge| challenge.is_bearer())
            .find_map(oauth_error);
        let had_oauth = oauth.is_some();
        refusal.items.extend(oauth);
        match serde_json::from_slice::<Body>(body) {
            Ok(Body { details: Some(details), .. }) if !details.is_empty() => {
                let code = match status {
                    StatusCode::UNAUTHORIZED => "UNAUTHORIZED",
                    StatusCode::FORBIDDEN => "DENIED",
                    StatusCode::TOO_MANY_REQUESTS => "TOOMANYREQUESTS",
                    _ => "UNKNOWN",
                };
                refusal.items.push(RefusalItem { code: code.to_owned(), message: details });
            }
            Ok(Body { errors: Some(errors), .. }) if !errors.is_empty() => {
                refusal.items.extend(errors.into_iter().map(|item| {
                    let message = item.message.filter(|message| !message.is_empty());
                    let message = message.unwrap_or_else(|| default_message(&item.code).to_owned());
                    RefusalItem { code: item.code, message }
                }));
            }
            _ if had_oauth => {}
            _ if status == StatusCode::UNAUTHORIZED => refusal.items.push(RefusalItem {
                code: "UNAUTHORIZED".to_owned(),
                message: default_message("UNAUTHORIZED").to_owned(),
            }),
            parsed => {
                let why = match parsed {
                    Ok(_) => "no error details found in HTTP response body".to_owned(),
                    Err(_) if body.is_empty() => "unexpected end of JSON input".to_owned(),
                    Err(error) => error.to_string(),
                };
                let shown = String::from_utf8_lossy(&body[..body.len().min(512)]).into_owned();
                refusal.text =
                    format!("error parsing HTTP {} response body: {why}: {shown:?}", status.as_u16());
            }
        }
        refusal
    }

    /// Whether any item has this code.
    pub fn has_code(&self, code: &str) -> bool {
        self.items.iter().any(|item| item.code == code)
    }

    /// The code that decides, as Docker's client sees it: the first.
    pub(crate) fn first_code(&self) -> &str {
        self.items.first().map_or("", |item| item.code.as_str())
    }

    pub(crate) fn is_transient(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS
            || self.status == StatusCode::REQUEST_TIMEOUT
            || (self.status.is_server_error() && self.status != StatusCode::NOT_IMPLEMENTED)
    }

    /// Only the first error, which is what Docker shows where it knows the code.
    pub(crate) fn first_only(mut self) -> Self {
        self.items.truncate(1);
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.items.as_slice() {
            [] => f.write_str(&self.text)?,
            [item] => write!(f, "{item}")?,
            items => {
                f.write_str("errors:")?;
                for item in items {
                    write!(f, "\n{item}")?;
                }
                f.write_str("\n")?;
            }
        }
        match &self.rate_limit {
            Some(limit) if self.status == StatusCode::TOO_MANY_REQUESTS => write!(f, " ({limit})"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for RefusalItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.to_lowercase().replace('_', " "), self.message)
    }
}

impl std::error::Error for Refusal {}

fn oauth_error(challenge: Challenge) -> Option<RefusalItem> {
    let code = match challenge.parameter("error")? {
        "invalid_token" => "UNAUTHORIZED",
        "insufficient_scope" => "DENIED",
        _ => return None,
    };
    let description = challenge.parameter("error_description").filter(|text| !text.is_empty());
    Some(RefusalItem {
        code: code.to_owned(),
        message: description.unwrap_or(default_message(code)).to_owned(),
    })
}

fn default_message(code: &str) -> &'static str {
    match code {
        "UNAUTHORIZED" => "authentication required",
        "DENIED" => "requested access to the resource is denied",
        "MANIFEST_UNKNOWN" => "manifest unknown",
        "NAME_UNKNOWN" => "repository name not known to registry",
        "BLOB_UNKNOWN" => "blob unknown to registry",
        "TOOMANYREQUESTS" => "too many requests",
        "UNSUPPORTED" => "The operation is unsupported.",
        "UNAVAILABLE" => "service unavailable",
        _ => "unknown error",
    }
}

/// `404 Not Found`, as Go prints a status.
pub(crate) fn status_line(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(::http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn rate_limit(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let mut figures = format!("limit: {}", figure(text("ratelimit-limit")?));
    if let Some(remaining) = text("ratelimit-remaining") {
        let number = remaining.split(';').next().unwrap_or_default();
        figures.push_str(&format!(", remaining: {number}"));
    }
    // Whose limit it is: an address, or an account's id.
    if let Some(source) = text("docker-ratelimit-source") {
        figures.push_str(&format!(", counted for: {source}"));
    }
    Some(figures)
}

/// `100;w=21600` → `100 per 6h`; anything else as it is.
fn figure(value: &str) -> String {
    let window =
        value.split_once(";w=").and_then(|(count, seconds)| Some((count, seconds.parse::<u64>().ok()?)));
    match window {
        Some((count, seconds)) if seconds > 0 && seconds % 3600 == 0 => {
            format!("{count} per {}h", seconds / 3600)
        }
        Some((count, seconds)) if seconds > 0 && seconds % 60 == 0 => {
            format!("{count} per {}m", seconds / 60)
        }
        Some((count, seconds)) => format!("{count} per {seconds}s"),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, header: Option<(&'static str, &str)>, body: &str, expected: &str) {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = header {
            headers.insert(name, value.parse().unwrap());
        }
        let refusal = Refusal::parse(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes());
        assert_eq!(refusal.to_string(), expected);
    }

    #[test]
    fn texts_are_dockers() {
        check(
            404,
            None,
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#,
            "manifest unknown: manifest unknown",
        );
        check(
            401,
            Some(("www-authenticate", r#"Bearer realm="r",service="s",error="insufficient_scope""#)),
            "",
            "denied: requested access to the resource is denied",
        );
        check(401, None, "", "unauthorized: authentication required");
        check(
            401,
            None,
            r#"{"details":"incorrect username or password"}"#,
            "unauthorized: incorrect username or password",
        );
        check(500, None, "oops", "received unexpected HTTP status: 500 Internal Server Error");
        check(
            429,
            Some(("ratelimit-limit", "100;w=21600")),
            r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}"#,
            "toomanyrequests: You have reached your pull rate limit. (limit: 100 per 6h)",
        );
        check(
            400,
            None,
            r#"{"errors":[{"code":"NAME_INVALID","message":"a"},{"code":"TAG_INVALID","message":"b"}]}"#,
            "errors:\nname invalid: a\ntag invalid: b\n",
        );
        check(404, None, "", "error parsing HTTP 404 response body: unexpected end of JSON input: \"\"");
    }
}

//! AWS Signature Version 4: a request's `Authorization` header from its method, path, headers and body.
//!
//! ```text
//! canonical request ─ sha256 ─▶ string to sign ─ HMAC by key(secret, date, region, service) ─▶ signature
//! ```
//! Source: IAM User Guide, "Create a signed AWS API request"; tested with AWS's own vectors (aws-sig-v4-test-suite).

use std::fmt::Write as _;

use ::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use ::http::{Method, Uri};
use jiff::Timestamp;
use ring::{digest, hmac};

use super::Keys;
use crate::url;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const SESSION: HeaderName = HeaderName::from_static("x-amz-security-token");

/// What a signature is made for.
pub(super) struct Scope<'a> {
    pub region: &'a str,
    pub service: &'a str,
    pub time: Timestamp,
}

/// Adds date, session token and signature. Every header that is there already is signed with them.
pub(super) fn sign(
    scope: &Scope<'_>,
    keys: &Keys,
    method: &Method,
    uri: &Uri,
    headers: &mut HeaderMap,
    body: &[u8],
) {
    let stamp = scope.time.strftime("%Y%m%dT%H%M%SZ").to_string();
    insert(headers, DATE, &stamp);
    if let Some(session) = &keys.session {
        insert(headers, SESSION, session);
    }
    let (day, _) = stamp.split_once('T').unwrap_or((&stamp, ""));
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let (canonical, signed) = canonical(method, uri.path(), uri.query(), authority, headers, body);
    let area = format!("{day}/{}/{}/aws4_request", scope.region, scope.service);
    let text = format!("{ALGORITHM}\n{stamp}\n{area}\n{}", hex(&sha256(canonical.as_bytes())));
    let mut key = hmac_of(format!("AWS4{}", keys.secret).as_bytes(), day);
    for part in [scope.region, scope.service, "aws4_request"] {
        key = hmac_of(&key, part);
    }
    let signature = hex(&hmac_of(&key, &text));
    let id = &keys.id;
    insert(
        headers,
        AUTHORIZATION,
        &format!("{ALGORITHM} Credential={id}/{area}, SignedHeaders={signed}, Signature={signature}"),
    );
}

/// Secrets: dropped at a redirect to another host, and not printed.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(mut value) = HeaderValue::from_str(value) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

/// The canonical request, and the names of its headers.
fn canonical(
    method: &Method,
    path: &str,
    query: Option<&str>,
    authority: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> (String, String) {
    let mut lines: Vec<(String, String)> = headers
        .keys()
        .map(|name| {
            let values = headers.get_all(name).iter().map(|value| folded(value.as_bytes()));
            (name.as_str().to_owned(), values.collect::<Vec<_>>().join(","))
        })
        .filter(|(name, _)| name != AUTHORIZATION.as_str())
        .collect();
    if !headers.contains_key("host") {
        lines.push(("host".to_owned(), authority.to_owned()));
    }
    lines.sort();
    let signed = lines.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
    let mut text = format!("{method}\n{}\n{}\n", encode_path(path), sort_query(query.unwrap_or_default()));
    for (name, value) in &lines {
        let _ = writeln!(text, "{name}:{value}");
    }
    let _ = write!(text, "\n{signed}\n{}", hex(&sha256(body)));
    (text, signed)
}

/// Trimmed, and runs of spaces made one.
fn folded(value: &[u8]) -> String {
    let value = String::from_utf8_lossy(value);
    value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn encode_path(path: &str) -> String {
    let path = if path.is_empty() { "/" } else { path };
    path.split('/').map(url::encode).collect::<Vec<_>>().join("/")
}

/// The query's pairs in order; they are encoded already, but for characters that a URL should not hold at all.
fn sort_query(query: &str) -> String {
    let clean = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii() { c.to_string() } else { url::encode(&c.to_string()) }).collect()
    };
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (clean(key), clean(value)))
        .collect();
    pairs.sort();
    pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

fn hmac_of(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One case of AWS's suite: request line, headers, body, and the `authz` file's end.
    #[track_caller]
    fn check(request: &str, headers: &[(&str, &str)], body: &str, session: Option<&str>, expected: &str) {
        let keys = Keys {
            id: "AKIDEXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session: session.map(str::to_owned),
        };
        let time: Timestamp = "2015-08-30T12:36:00Z".parse().unwrap();
        let scope = Scope { region: "us-east-1", service: "service", time };
        let (method, target) = request.split_once(' ').unwrap();
        let uri: Uri = format!("https://example.amazonaws.com{target}").parse().unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        sign(&scope, &keys, &method.parse().unwrap(), &uri, &mut map, body.as_bytes());
        let got = map[AUTHORIZATION].to_str().unwrap();
        let area =
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=";
        assert_eq!(got, format!("{area}{expected}"), "{request}");
    }

    #[test]
    fn the_published_vectors() {
        let plain = |request: &str, signature: &str| {
            check(request, &[], "", None, &format!("host;x-amz-date, Signature={signature}"));
        };
        plain("GET /", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
        plain("POST /", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
        plain("GET /?Param1=value1", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb");
        plain("POST /?Param1=value1", "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11");
        plain(
            "GET /?Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        );
        plain(
            "GET /?Param1=value2&Param1=Value1",
            "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1",
        );
        plain(
            "GET /?Param1=value2&Param1=value1",
            "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694",
        );
        let unreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        plain(
            &format!("GET /{unreserved}"),
            "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
        );
        plain(
            &format!("GET /?{unreserved}={unreserved}"),
            "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
        );
        plain("GET /\u{1234}", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85");
        plain("GET /?\u{1234}=bar", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04");
    }

    #[test]
    fn the_published_vectors_with_headers_and_bodies() {
        let one = "host;my-header1;x-amz-date, Signature=";
        check(
            "GET /",
            &[("My-Header1", "value2"), ("My-Header1", "value2"), ("My-Header1", "value1")],
            "",
            None,
            &format!("{one}c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"),
        );
        check(
            "GET /",
            &[("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")],
            "",
            None,
            "host;my-header1;my-header2;x-amz-date, \
             Signature=acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        );
        check(
            "POST /",
            &[("My-Header1", "VALUE1")],
            "",
            None,
            &format!("{one}cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"),
        );
        check(
            "POST /",
            &[("Content-Type", "application/x-www-form-urlencoded")],
            "Param1=value1",
            None,
            "content-type;host;x-amz-date, \
             Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        );
        // post-sts-header-before
        let session = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIe\
                       oIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5V\
                       SXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc\
                       8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
        check(
            "POST /",
            &[],
            "",
            Some(session),
            "host;x-amz-date;x-amz-security-token, \
             Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
        );
    }
}

//! The little of URLs that a registry client needs: joining a `Location`, adding a query, percent-encoding.
//!
//! `http::Uri` is the parsed form; nothing here looks anything up. Join rules: RFC 3986 section 5.2, without dot segments
//! (no registry sends them, and a server that gets one may do with it what it likes).

use ::http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// RFC 3986 unreserved characters stay; so do those that Go's and Docker's servers expect to see in a scope or digest.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

/// `application/x-www-form-urlencoded` pairs.
pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        pairs.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
    pairs.join("&")
}

/// `uri` with these pairs added to its query.
pub(crate) fn with_query(uri: &Uri, pairs: &[(&str, &str)]) -> Result<Uri, String> {
    if pairs.is_empty() {
        return Ok(uri.clone());
    }
    let old = uri.query().map(|query| format!("{query}&")).unwrap_or_default();
    let path = if uri.path().is_empty() { "/" } else { uri.path() };
    replace_path(uri, &format!("{path}?{old}{}", form(pairs)))
}

/// What may be shown and logged: a signed URL's query is a secret.
pub(crate) fn without_query(uri: &Uri) -> Uri {
    match uri.query() {
        Some(_) => replace_path(uri, uri.path()).unwrap_or_else(|_| uri.clone()),
        None => uri.clone(),
    }
}

/// Where a `Location` header of an answer to `base` leads.
pub(crate) fn join(base: &Uri, location: &str) -> Result<Uri, String> {
    let location = location.split('#').next().unwrap_or_default();
    let scheme = base.scheme_str().unwrap_or("https");
    if has_scheme(location) {
        return parse(location);
    }
    if location.starts_with("//") {
        return parse(&format!("{scheme}:{location}"));
    }
    if location.starts_with('/') {
        return replace_path(base, location);
    }
    if location.starts_with('?') {
        return replace_path(base, &format!("{}{location}", base.path()));
    }
    let folder = base.path().rfind('/').map_or("/", |end| &base.path()[..=end]);
    replace_path(base, &format!("{folder}{location}"))
}

fn has_scheme(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once("://") else { return false };
    !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn parse(text: &str) -> Result<Uri, String> {
    // `Uri` refuses characters that servers do send unescaped; escape those and nothing else.
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' ' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' => {
                clean.push_str(&encode(c.encode_utf8(&mut [0; 4])))
            }
            c if c.is_ascii_graphic() => clean.push(c),
            c if c.is_ascii() => return Err(format!("failed to parse Location header {text:?}")),
            c => clean.push_str(&encode(c.encode_utf8(&mut [0; 4]))),
        }
    }
    let uri: Uri = clean.parse().map_err(|_| format!("failed to parse Location header {text:?}"))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(uri),
        (Some(scheme), Some(_)) => Err(format!("unsupported protocol scheme {scheme:?}")),
        _ => Err(format!("failed to parse Location header {text:?}")),
    }
}

fn replace_path(base: &Uri, path_and_query: &str) -> Result<Uri, String> {
    let scheme = base.scheme_str().unwrap_or("https");
    let authority = base.authority().map(|authority| authority.as_str()).unwrap_or_default();
    parse(&format!("{scheme}://{authority}{path_and_query}"))
}

/// Scheme, host and port: two URLs with the same origin may see the same credentials.
pub(crate) fn same_origin(a: &Uri, b: &Uri) -> bool {
    let port = |uri: &Uri| uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
    let host = |uri: &Uri| uri.host().unwrap_or_default().to_ascii_lowercase();
    a.scheme_str() == b.scheme_str() && host(a) == host(b) && port(a) == port(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_join_their_base() {
        let check = |base: &str, location: &str, want: &str| {
            let joined = join(&base.parse().unwrap(), location).map(|uri| uri.to_string());
            assert_eq!(joined.as_deref(), Ok(want), "{location}");
        };
        let base = "https://r.example:5000/v2/a/blobs/uploads/?digest=x";
        check(base, "https://cdn.example/x?sig=1#part", "https://cdn.example/x?sig=1");
        check(base, "//cdn.example/x", "https://cdn.example/x");
        check(
            base,
            "/v2/a/blobs/uploads/7?_state=abc",
            "https://r.example:5000/v2/a/blobs/uploads/7?_state=abc",
        );
        check(base, "7", "https://r.example:5000/v2/a/blobs/uploads/7");
        check(base, "?x=y", "https://r.example:5000/v2/a/blobs/uploads/?x=y");
        check(base, "/a b|c", "https://r.example:5000/a%20b%7Cc");
        for bad in ["ftp://x/y", "http://", "https:///x", "/\u{1}"] {
            assert!(join(&base.parse().unwrap(), bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn queries_are_added_and_hidden() {
        let uri: Uri = "https://auth.example/token?a=b".parse().unwrap();
        let full = with_query(&uri, &[("scope", "repository:a/b:pull,push")]).unwrap();
        assert_eq!(full, "https://auth.example/token?a=b&scope=repository%3Aa%2Fb%3Apull%2Cpush");
        assert_eq!(without_query(&full), "https://auth.example/token");
    }

    #[test]
    fn origins_differ_by_scheme_host_and_port() {
        let same = |a: &str, b: &str| same_origin(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(same("https://a/x", "https://A:443/y"));
        assert!(!same("https://a/x", "http://a/x"));
        assert!(!same("https://a/x", "https://a:444/x"));
        assert!(!same("https://a/x", "https://b/x"));
    }
}

//! IAM Identity Center: the token that `aws sso login` left in its cache, traded for a role's keys.
//!
//! The cache file's name is the SHA-1 of the session's name (or of the start URL, in profiles of the old form). Source: AWS SSO
//! Portal API Reference, `GetRoleCredentials`; AWS SDKs and Tools Reference Guide, "IAM Identity Center credential provider".

use ::http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use ring::digest;
use serde::Deserialize;

use super::call::{Aws, json};
use super::profile::Settings;
use super::sign::hex;
use super::{Error, Keys};
use crate::http::Outgoing;
use crate::url;

const CALL: &str = "GetRoleCredentials";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cached {
    access_token: String,
    expires_at: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    role_credentials: RoleCredentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoleCredentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
}

/// `session` is the `sso-session` section that the profile names, where it names one.
pub(super) async fn keys(
    aws: &Aws<'_>,
    name: &str,
    profile: &Settings,
    session: Option<&Settings>,
) -> Result<Keys, Error> {
    let failed = |reason: String| Error::Profile { profile: name.to_owned(), reason };
    let setting = |key: &str| {
        let found = profile.get(key).or_else(|| session?.get(key));
        found.cloned().ok_or_else(|| failed(format!("{key} is missing")))
    };
    let region = setting("sso_region")?;
    let account = setting("sso_account_id")?;
    let role = setting("sso_role_name")?;
    let cache_key = match profile.get("sso_session") {
        Some(session) => session.clone(),
        None => setting("sso_start_url")?,
    };
    let login = || failed(format!("not logged in; run `aws sso login --profile {name}`"));
    let file = hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, cache_key.as_bytes()).as_ref());
    let home = aws.environment.home.as_ref().ok_or_else(login)?;
    let cached = std::fs::read(home.join(".aws/sso/cache").join(format!("{file}.json")));
    let cached: Cached = cached.ok().and_then(|text| serde_json::from_slice(&text).ok()).ok_or_else(login)?;
    if cached.expires_at <= Timestamp::now() {
        return Err(failed(format!("the login has expired; run `aws sso login --profile {name}`")));
    }
    let usual = format!("https://portal.sso.{region}.amazonaws.com");
    let base = aws.endpoint("AWS_ENDPOINT_URL_SSO", &usual)?;
    let base = url::join(&base, "federation/credentials").map_err(failed)?;
    let uri = url::with_query(&base, &[("role_name", &role), ("account_id", &account)]).map_err(failed)?;
    let mut token = HeaderValue::from_str(&cached.access_token).map_err(|_| login())?;
    token.set_sensitive(true);
    let mut request = Outgoing::get(uri);
    request.headers.insert(HeaderName::from_static("x-amz-sso_bearer_token"), token);
    let answer: Answer = json(CALL, &aws.send(CALL, request).await?)?;
    let RoleCredentials { access_key_id: id, secret_access_key: secret, session_token } =
        answer.role_credentials;
    Ok(Keys { id, secret, session: Some(session_token) })
}

//! Registry passwords: fetched by GetAuthorizationToken, shared by all pulls, renewed before they end or when refused.
//!
//! ECR's passwords live for twelve hours; they are renewed when an eleventh of that is left. Source: Amazon ECR API Reference
//! and Amazon ECR Public API Reference, `GetAuthorizationToken`.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::Value;

use super::call::{Aws, JSON, Proof, json};
use super::{EcrRegistry, Error, chain};
use crate::auth::Auth;
use crate::config::Registries;

const CALL: &str = "GetAuthorizationToken";

/// The passwords of this process.
#[derive(Default)]
pub(crate) struct Tokens {
    kept: Mutex<HashMap<String, Kept>>,
    /// One at a time: the second caller finds what the first one fetched.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Kept {
    auth: Auth,
    renew_at: SystemTime,
}

impl Tokens {
    fn get(&self, host: &str, refused: Option<&str>) -> Option<Auth> {
        let kept = self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let found = kept.get(host).filter(|kept| kept.renew_at > SystemTime::now())?;
        (refused != Some(found.auth.password.as_str())).then(|| found.auth.clone())
    }

    fn put(&self, host: &str, kept: Kept) {
        let mut all = self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        all.insert(host.to_owned(), kept);
    }
}

pub(super) async fn password(
    registries: &Registries,
    registry: &EcrRegistry,
    refused: Option<&str>,
) -> Result<Option<Auth>, Error> {
    let Some(environment) = &registries.config().aws else { return Ok(None) };
    let tokens = &registries.0.ecr;
    if let Some(auth) = tokens.get(&registry.host, refused) {
        return Ok(Some(auth));
    }
    let _turn = tokens.fetching.lock().await;
    if let Some(auth) = tokens.get(&registry.host, refused) {
        return Ok(Some(auth));
    }
    let mut aws = Aws::new(registries, environment)?;
    let Some(keys) = chain::find(&mut aws, &registry.region).await? else { return Ok(None) };
    tracing::debug!(registry = registry.host, key = keys.id, "asking for a registry password");
    let (variable, service, target) = match registry.is_public() {
        false => {
            ("AWS_ENDPOINT_URL_ECR", "ecr", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
        }
        true => ("AWS_ENDPOINT_URL_ECR_PUBLIC", "ecr-public", "SpencerFrontendService.GetAuthorizationToken"),
    };
    let uri = aws.endpoint(variable, &registry.api)?;
    let proof = Proof::Signed { keys: &keys, region: &registry.region, service };
    let body = aws.post(CALL, uri, &[JSON, ("x-amz-target", target)], "{}".to_owned(), proof).await?;
    let kept = read(&body, &registry.host)?;
    tokens.put(&registry.host, kept.clone());
    Ok(Some(kept.auth))
}

/// A list for private registries, a single one for public ones.
#[derive(Deserialize)]
#[serde(untagged)]
enum Data {
    Many(Vec<Authorization>),
    One(Authorization),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    authorization_data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authorization {
    authorization_token: String,
    /// Seconds since 1970, with a fraction; SDK stand-ins write text.
    #[serde(default)]
    expires_at: Value,
}

fn read(body: &[u8], host: &str) -> Result<Kept, Error> {
    let wrong = |reason: &str| Error::Answer { call: CALL, reason: reason.to_owned() };
    let answer: Answer = json(CALL, body)?;
    let first = match answer.authorization_data {
        Data::One(one) => Some(one),
        Data::Many(many) => many.into_iter().next(),
    };
    let first = first.ok_or_else(|| wrong("the answer holds no token"))?;
    let (username, password) = crate::credentials::decode_pair(&first.authorization_token)
        .ok_or_else(|| wrong("the token is not base64 of user and password"))?;
    let now = SystemTime::now();
    let left = first.expires_at.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let left = left.and_then(|at| SystemTime::UNIX_EPOCH.checked_add(at)?.duration_since(now).ok());
    // Without a word on its end it is used for what it was fetched for.
    let left = left.unwrap_or_default();
    let auth = Auth { username, password, server_address: host.to_owned(), ..Auth::default() };
    Ok(Kept { auth, renew_at: now + left.saturating_sub(left / 11) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `AWS:secret`.
    const TOKEN: &str = "QVdTOnNlY3JldA==";

    fn now() -> f64 {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
    }

    #[test]
    fn answers_of_both_services_and_when_to_renew() {
        let many = format!(
            r#"{{"authorizationData":[{{"authorizationToken":"{TOKEN}","expiresAt":{},"proxyEndpoint":"https://x"}}]}}"#,
            now() + 43200.0
        );
        let kept = read(many.as_bytes(), "h").unwrap();
        assert_eq!((kept.auth.username.as_str(), kept.auth.password.as_str()), ("AWS", "secret"));
        let after = |hours: u64| SystemTime::now() + Duration::from_secs(hours * 3600);
        assert!(kept.renew_at > after(10) && kept.renew_at < after(11));

        let one = format!(r#"{{"authorizationData":{{"authorizationToken":"{TOKEN}","expiresAt":"?"}}}}"#);
        let kept = read(one.as_bytes(), "h").unwrap();
        assert!(kept.renew_at <= SystemTime::now(), "used once");
        assert!(read(br#"{"authorizationData":[]}"#, "h").is_err());
        assert!(read(br#"{"authorizationData":[{"authorizationToken":"?"}]}"#, "h").is_err());
    }

    #[test]
    fn a_refused_password_is_not_handed_out_again() {
        let tokens = Tokens::default();
        let auth = Auth { password: "old".to_owned(), ..Auth::default() };
        tokens.put("h", Kept { auth, renew_at: SystemTime::now() + Duration::from_secs(60) });
        assert!(tokens.get("h", None).is_some());
        assert!(tokens.get("h", Some("another")).is_some());
        assert!(tokens.get("h", Some("old")).is_none());
    }
}

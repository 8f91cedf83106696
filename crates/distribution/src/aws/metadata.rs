//! Keys from the place we run in: the metadata service of a container (ECS, EKS Pod Identity) or of an EC2 instance (IMDSv2).
//!
//! These addresses are asked directly, never through a proxy, and never for long: on every other machine nobody answers there.
//! Sources: AWS SDKs and Tools Reference Guide, "Container credential provider" and "IMDS credential provider"; EC2 User Guide,
//! "Use the Instance Metadata Service".

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, Method, Uri, header};
use serde::Deserialize;

use super::call::{json, parse_url, send};
use super::{Environment, Error, Keys};
use crate::config::{Registries, Retry};
use crate::http::{Http, Outgoing};
use crate::url;

/// Where relative URIs lead.
const TASK_HOST: &str = "http://169.254.170.2";
/// Hosts that may be asked without TLS, besides loopback: ECS, and EKS Pod Identity.
const CONTAINER_HOSTS: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
];
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
const IMDS_TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
const IMDS_LIFE: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
}

fn keys(call: &'static str, body: &[u8]) -> Result<Keys, Error> {
    let answer: Answer = json(call, body)?;
    Ok(Keys { id: answer.access_key_id, secret: answer.secret_access_key, session: answer.token })
}

/// The role of the task or pod we run in, when variables say that there is one.
pub(super) async fn container(
    registries: &Registries,
    environment: &Environment,
) -> Result<Option<Keys>, Error> {
    const CALL: &str = "container credentials";
    let (relative, full) = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    let (name, text) = match (environment.get(relative), environment.get(full)) {
        (Some(path), _) => (relative, format!("{TASK_HOST}{path}")),
        (None, Some(uri)) => (full, uri.to_owned()),
        (None, None) => return Ok(None),
    };
    let invalid = |reason: String| Error::Variable { name, reason };
    let uri: Uri = text.parse().map_err(|_| invalid(format!("{text:?} is no URL")))?;
    if uri.scheme_str() != Some("https") && !may_be_plain(&uri) {
        return Err(invalid(format!("{text:?} is neither HTTPS nor on this machine")));
    }
    let mut request = Outgoing::get(uri);
    if let Some(token) = authorization(environment)? {
        let value = HeaderValue::from_str(&token);
        let mut value = value.map_err(|_| invalid("the authorization token fits no header".to_owned()))?;
        value.set_sensitive(true);
        request.headers.insert(header::AUTHORIZATION, value);
    }
    let http = direct(CALL, registries, 3)?;
    keys(CALL, &send(&http, CALL, request).await?).map(Some)
}

fn may_be_plain(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let address: Option<IpAddr> = host.parse().ok();
    host == "localhost" || address.is_some_and(|ip| ip.is_loopback() || CONTAINER_HOSTS.contains(&ip))
}

/// The token of the file, read anew each time, or of the variable.
fn authorization(environment: &Environment) -> Result<Option<String>, Error> {
    if let Some(path) = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        let path = Path::new(path);
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
        return Ok(Some(text.trim().to_owned()));
    }
    Ok(environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(str::to_owned))
}

/// The role of the instance. `None` where there is no such service, or the instance has no role.
pub(super) async fn instance(
    registries: &Registries,
    environment: &Environment,
) -> Result<Option<Keys>, Error> {
    const CALL: &str = "instance metadata";
    if environment.is_true("AWS_EC2_METADATA_DISABLED") {
        return Ok(None);
    }
    const VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    let is_v6 = environment
        .get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE")
        .is_some_and(|mode| mode.eq_ignore_ascii_case("ipv6"));
    let usual = if is_v6 { "http://[fd00:ec2::254]" } else { "http://169.254.169.254" };
    let text = environment.get(VARIABLE).unwrap_or(usual);
    let base = parse_url(text)
        .ok_or_else(|| Error::Variable { name: VARIABLE, reason: format!("{text:?} is no URL") })?;
    let at = |path: &str| url::join(&base, path).map_err(|reason| Error::Answer { call: CALL, reason });
    let http = direct(CALL, registries, 1)?;

    let ask = Outgoing::new(Method::PUT, at("/latest/api/token")?).header(IMDS_LIFE, "21600");
    let token = match send(&http, CALL, ask).await {
        Ok(token) => token,
        Err(Error::Request { source, .. }) => {
            tracing::debug!(error = source.message(), "no instance metadata service here");
            return Ok(None);
        }
        Err(_) => return Ok(None),
    };
    let mut value = HeaderValue::from_bytes(token.trim_ascii())
        .map_err(|_| Error::Answer { call: CALL, reason: "the token fits no header".to_owned() })?;
    value.set_sensitive(true);
    let get = |path: &str| {
        let mut request = Outgoing::get(at(path)?);
        request.headers.insert(IMDS_TOKEN, value.clone());
        Ok::<_, Error>(request)
    };
    let roles = match send(&http, CALL, get(ROLES)?).await {
        Ok(roles) => String::from_utf8_lossy(&roles).into_owned(),
        // 404: an instance without a role.
        Err(Error::Refused { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(role) = roles.lines().next().map(str::trim).filter(|role| !role.is_empty()) else {
        return Ok(None);
    };
    let body = send(&http, CALL, get(&format!("{ROLES}{}", url::encode(role)))?).await?;
    keys(CALL, &body).map(Some)
}

fn direct(call: &'static str, registries: &Registries, attempts: u32) -> Result<Http, Error> {
    let retry = Retry {
        attempts,
        base: Duration::from_millis(200),
        max: Duration::from_secs(1),
        connect: Duration::from_secs(1),
        stall: Duration::from_secs(2),
    };
    Http::direct(registries, retry).map_err(|source| Error::Request { call, source: Box::new(source) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_only_on_this_machine() {
        let plain = |uri: &str| may_be_plain(&uri.parse().unwrap());
        for local in [
            "http://localhost/x",
            "http://127.0.0.2:80/x",
            "http://[::1]/x",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/x",
        ] {
            assert!(plain(local), "{local}");
        }
        for other in ["http://169.254.169.254/x", "http://example.com/x", "http://10.0.0.1/x"] {
            assert!(!plain(other), "{other}");
        }
    }
}

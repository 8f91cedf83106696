//! The security token service: a role's keys for somebody's keys, or for an identity token of another provider.
//!
//! Source: AWS STS API Reference, `AssumeRole` and `AssumeRoleWithWebIdentity` (Query protocol: form in, XML out).

use std::path::Path;

use jiff::Timestamp;

use super::call::{Aws, FORM, Proof, element};
use super::{Error, Keys};
use crate::url;

/// A role to take on.
pub(super) struct Role<'a> {
    pub arn: &'a str,
    pub session_name: Option<&'a str>,
    pub external_id: Option<&'a str>,
    /// Seconds, as written.
    pub duration: Option<&'a str>,
}

/// `sts:AssumeRole` by `keys`.
pub(super) async fn assume_role(
    aws: &Aws<'_>,
    region: &str,
    role: &Role<'_>,
    keys: &Keys,
) -> Result<Keys, Error> {
    let proof = Proof::Signed { keys, region, service: "sts" };
    call(aws, "AssumeRole", region, role, &[], proof).await
}

/// `sts:AssumeRoleWithWebIdentity` by the token in a file, which its provider replaces now and then.
pub(super) async fn assume_role_with_web_identity(
    aws: &Aws<'_>,
    region: &str,
    role: &Role<'_>,
    token: &Path,
) -> Result<Keys, Error> {
    let text =
        std::fs::read_to_string(token).map_err(|source| Error::File { path: token.to_owned(), source })?;
    let form = [("WebIdentityToken", text.trim())];
    call(aws, "AssumeRoleWithWebIdentity", region, role, &form, Proof::None).await
}

async fn call(
    aws: &Aws<'_>,
    action: &'static str,
    region: &str,
    role: &Role<'_>,
    more: &[(&str, &str)],
    proof: Proof<'_>,
) -> Result<Keys, Error> {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let uri = aws.endpoint("AWS_ENDPOINT_URL_STS", &format!("https://sts.{region}.{domain}"))?;
    let own_name = format!("naru-{}", Timestamp::now().as_second());
    let name = role.session_name.unwrap_or(&own_name);
    let mut form =
        vec![("Action", action), ("Version", "2011-06-15"), ("RoleArn", role.arn), ("RoleSessionName", name)];
    form.extend(role.external_id.map(|id| ("ExternalId", id)));
    form.extend(role.duration.map(|seconds| ("DurationSeconds", seconds)));
    form.extend_from_slice(more);
    let body = aws.post(action, uri, &[FORM], url::form(&form), proof).await?;
    let xml = String::from_utf8_lossy(&body);
    let part = |name: &str| {
        let reason = || Error::Answer { call: action, reason: format!("no {name} in the answer") };
        element(&xml, name).filter(|text| !text.is_empty()).ok_or_else(reason)
    };
    Ok(Keys {
        id: part("AccessKeyId")?,
        secret: part("SecretAccessKey")?,
        session: Some(part("SessionToken")?),
    })
}

//! The credential chain: where AWS keys may come from, in the order of the AWS SDKs; the first place that has something counts.
//!
//! ```text
//! AWS_ACCESS_KEY_ID… ─▶ AWS_WEB_IDENTITY_TOKEN_FILE ─▶ profile ─▶ container metadata ─▶ instance metadata
//!                                                        ├─ role_arn + source_profile | credential_source | web_identity_token_file
//!                                                        ├─ aws_access_key_id
//!                                                        └─ sso_session, sso_start_url
//! ```
//! A place that is configured and does not work ends the search with its error: trying the next would hide it.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use super::call::Aws;
use super::profile::{Files, Settings};
use super::sts::{self, Role};
use super::{Error, Keys, metadata, sso};

/// Roles that lead to roles; more is a mistake.
const MAX_DEPTH: usize = 5;

/// Keys, and the profile's word on where services are. `region` is where to ask for roles when nothing says so.
pub(super) async fn find(aws: &mut Aws<'_>, region: &str) -> Result<Option<Keys>, Error> {
    let environment = aws.environment;
    let files = Files::read(environment)?;
    let named = environment.get("AWS_PROFILE").or_else(|| environment.get("AWS_DEFAULT_PROFILE"));
    let name = named.unwrap_or("default");
    let profile = files.profile(name);
    aws.endpoint_url = profile.and_then(|profile| profile.get("endpoint_url").cloned());
    let own_region = environment.get("AWS_REGION").or_else(|| environment.get("AWS_DEFAULT_REGION"));
    let own_region = own_region.or_else(|| Some(profile?.get("region")?.as_str())).unwrap_or(region);
    let chain = Chain { aws, files: &files, region: own_region };

    if let Some(keys) = chain.variables() {
        return Ok(Some(keys));
    }
    if let Some(keys) = chain.web_identity().await? {
        return Ok(Some(keys));
    }
    match profile {
        Some(profile) => {
            if let Some(keys) = chain.profile(name, profile, 0).await? {
                return Ok(Some(keys));
            }
        }
        None if named.is_some() => {
            let reason = "not in the shared config and credentials files".to_owned();
            return Err(Error::Profile { profile: name.to_owned(), reason });
        }
        None => {}
    }
    if let Some(keys) = metadata::container(aws.registries, environment).await? {
        return Ok(Some(keys));
    }
    match environment.instance_metadata {
        true => metadata::instance(aws.registries, environment).await,
        false => Ok(None),
    }
}

struct Chain<'a> {
    aws: &'a Aws<'a>,
    files: &'a Files,
    region: &'a str,
}

impl Chain<'_> {
    fn variables(&self) -> Option<Keys> {
        let environment = self.aws.environment;
        Some(Keys {
            id: environment.get("AWS_ACCESS_KEY_ID")?.to_owned(),
            secret: environment.get("AWS_SECRET_ACCESS_KEY")?.to_owned(),
            session: environment.get("AWS_SESSION_TOKEN").map(str::to_owned),
        })
    }

    async fn web_identity(&self) -> Result<Option<Keys>, Error> {
        let environment = self.aws.environment;
        let Some(token) = environment.get("AWS_WEB_IDENTITY_TOKEN_FILE") else { return Ok(None) };
        let missing = || Error::Variable {
            name: "AWS_ROLE_ARN",
            reason: "not set, although AWS_WEB_IDENTITY_TOKEN_FILE is".to_owned(),
        };
        let role = Role {
            arn: environment.get("AWS_ROLE_ARN").ok_or_else(missing)?,
            session_name: environment.get("AWS_ROLE_SESSION_NAME"),
            external_id: None,
            duration: None,
        };
        sts::assume_role_with_web_identity(self.aws, self.region, &role, Path::new(token)).await.map(Some)
    }

    fn profile<'a>(
        &'a self,
        name: &'a str,
        profile: &'a Settings,
        depth: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Keys>, Error>> + Send + 'a>> {
        Box::pin(async move {
            let failed =
                |reason: &str| Error::Profile { profile: name.to_owned(), reason: reason.to_owned() };
            let get = |key: &str| profile.get(key).map(String::as_str).filter(|value| !value.is_empty());
            if depth > MAX_DEPTH {
                return Err(failed("source_profile leads in a circle"));
            }
            if let Some(arn) = get("role_arn") {
                if get("mfa_serial").is_some() {
                    return Err(failed("mfa_serial is not supported: nobody is there to type the code"));
                }
                let role = Role {
                    arn,
                    session_name: get("role_session_name"),
                    external_id: get("external_id"),
                    duration: get("duration_seconds"),
                };
                if let Some(token) = get("web_identity_token_file") {
                    let token = Path::new(token);
                    return sts::assume_role_with_web_identity(self.aws, self.region, &role, token)
                        .await
                        .map(Some);
                }
                let keys = self.source(name, profile, depth).await?;
                return sts::assume_role(self.aws, self.region, &role, &keys).await.map(Some);
            }
            if let Some(keys) = static_keys(profile) {
                return Ok(Some(keys));
            }
            if get("sso_session").is_some() || get("sso_start_url").is_some() {
                let session = match get("sso_session") {
                    Some(session) => Some(
                        self.files
                            .sso_session(session)
                            .ok_or_else(|| failed(&format!("there is no [sso-session {session}]")))?,
                    ),
                    None => None,
                };
                return sso::keys(self.aws, name, profile, session).await.map(Some);
            }
            if get("credential_process").is_some() {
                return Err(failed(
                    "credential_process is not supported: no other program is run. Use `login` with a token, or a \
                     credential helper",
                ));
            }
            Ok(None)
        })
    }

    /// By whose keys a role is taken on.
    async fn source(&self, name: &str, profile: &Settings, depth: usize) -> Result<Keys, Error> {
        let failed = |reason: String| Error::Profile { profile: name.to_owned(), reason };
        let none = |place: &str| failed(format!("{place} has no credentials"));
        match (profile.get("source_profile"), profile.get("credential_source").map(String::as_str)) {
            // A profile may name itself: then its own keys are meant.
            (Some(source), _) if source == name => {
                static_keys(profile).ok_or_else(|| none(&format!("source_profile {source:?}")))
            }
            (Some(source), _) => {
                let missing = || failed(format!("source_profile {source:?} is not in the files"));
                let settings = self.files.profile(source).ok_or_else(missing)?;
                let keys = self.profile(source, settings, depth + 1).await?;
                keys.ok_or_else(|| none(&format!("source_profile {source:?}")))
            }
            (None, Some("Environment")) => self.variables().ok_or_else(|| none("the environment")),
            (None, Some("EcsContainer")) => {
                let keys = metadata::container(self.aws.registries, self.aws.environment).await?;
                keys.ok_or_else(|| none("the container"))
            }
            (None, Some("Ec2InstanceMetadata")) => {
                let keys = metadata::instance(self.aws.registries, self.aws.environment).await?;
                keys.ok_or_else(|| none("the instance"))
            }
            (None, Some(other)) => Err(failed(format!("credential_source {other:?} is not known"))),
            (None, None) => Err(failed(
                "role_arn needs source_profile, credential_source or web_identity_token_file".into(),
            )),
        }
    }
}

fn static_keys(profile: &Settings) -> Option<Keys> {
    let get = |key: &str| profile.get(key).filter(|value| !value.is_empty()).cloned();
    Some(Keys {
        id: get("aws_access_key_id")?,
        secret: get("aws_secret_access_key")?,
        session: get("aws_session_token"),
    })
}

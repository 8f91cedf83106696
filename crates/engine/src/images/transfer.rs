//! `docker pull`, `push`, `search`, `login` and `manifest inspect`'s question to the registry: parameters in, events out;
//! the work is done by `distribution`.

use ::image::{Compression, Digest, Platform, Reference};
use api::*;
use distribution::{Auth, ProgressSink, PullOptions, PushOptions};
use store::Packed;

use super::list::{descriptor, oci_platform};
use super::platform;
use crate::Engine;
use crate::error::{Error, ErrorKind, Result};

impl Engine {
    /// Pulls `from_image`; all tags of it when neither it nor `tag` names one.
    pub async fn image_pull(
        &self,
        query: ImageCreateQuery,
        auth: Option<AuthConfig>,
        progress: ProgressSink,
    ) -> Result<()> {
        let mut reference = Reference::parse(&query.from_image)?;
        if !query.tag.is_empty() {
            // The tag may be a digest.
            reference = match query.tag.parse::<Digest>() {
                Ok(digest) => reference.with_digest(digest),
                Err(_) => reference.with_tag(&query.tag)?,
            };
        }
        let platform = match query.platform.as_str() {
            "" => None,
            text => Some(Platform::parse(text).map_err(|error| Error::invalid(error.to_string()))?),
        };
        let options = PullOptions {
            platform,
            auth: auth.map(registry_auth),
            all_tags: reference.tag.is_none() && reference.digest.is_none(),
        };
        let _busy = self.activity();
        let pulled =
            distribution::pull(&self.store, &reference, &options, &self.registries, &progress).await?;
        let (actor, name) = (reference.familiar(), reference.familiar_name());
        let config = self.store.config(&pulled.record.id).ok();
        let labels = config.as_ref().and_then(|config| config.config.as_ref()?.labels.clone());
        self.image_event_with("pull", &actor, &name, labels.unwrap_or_default());
        Ok(())
    }

    /// Pushes one tag, or all tags of the repository.
    pub async fn image_push(
        &self,
        name: &str,
        query: ImagePushQuery,
        auth: Option<AuthConfig>,
        progress: ProgressSink,
    ) -> Result<()> {
        let mut reference = Reference::parse(name)?;
        if reference.digest.is_some() {
            return Err(Error::invalid("cannot push a digest reference"));
        }
        if !query.tag.is_empty() {
            reference = reference.with_tag(&query.tag)?;
        }
        let options = PushOptions {
            auth: auth.map(registry_auth),
            all_tags: reference.tag.is_none(),
            platform: platform(&query.platform)?,
            packed: packed(&query.compression)?,
        };
        let _busy = self.activity();
        distribution::push(&self.store, &reference, &options, &self.registries, &progress).await?;
        let (actor, name) = (reference.familiar(), reference.familiar_name());
        self.image_event_with("push", &actor, &name, Default::default());
        Ok(())
    }

    pub async fn image_search(
        &self,
        query: ImageSearchQuery,
        auth: Option<AuthConfig>,
    ) -> Result<Vec<ImageSearchResponseItem>> {
        query.filters.validate(&["is-automated", "is-official", "stars"])?;
        let wanted = |key: &str| -> Result<Option<bool>> {
            query
                .filters
                .contains(key)
                .then(|| query.filters.boolean(key, false))
                .transpose()
                .map_err(Error::from)
        };
        let (official, automated) = (wanted("is-official")?, wanted("is-automated")?);
        let mut stars = 0;
        for text in query.filters.get("stars") {
            let count: i64 =
                text.parse().map_err(|_| Error::invalid(format!("invalid filter 'stars=[{text}]'")))?;
            stars = stars.max(count);
        }
        let limit = match query.limit {
            0 => None,
            limit => Some(
                u32::try_from(limit)
                    .map_err(|_| Error::invalid(format!("limit {limit} is outside the range of [1, 100]")))?,
            ),
        };
        let auth = auth.map(registry_auth);
        let found = distribution::search(&self.registries, &query.term, limit, auth.as_ref()).await?;
        let found = found.into_iter().filter(|hit| {
            official.is_none_or(|official| hit.is_official == official)
                && automated.is_none_or(|automated| hit.is_automated == automated)
                && hit.star_count >= stars
        });
        Ok(found
            .map(|hit| ImageSearchResponseItem {
                star_count: hit.star_count,
                is_official: hit.is_official,
                name: hit.name,
                is_automated: hit.is_automated,
                description: hit.description,
            })
            .collect())
    }

    /// What a name stands for at its registry.
    pub async fn distribution_inspect(
        &self,
        name: &str,
        auth: Option<AuthConfig>,
    ) -> Result<DistributionInspect> {
        let reference = Reference::parse(name)?;
        let auth = auth.map(registry_auth);
        let found = distribution::resolve(&self.registries, &reference, auth.as_ref()).await?;
        Ok(DistributionInspect {
            descriptor: descriptor(&found.descriptor),
            platforms: Some(found.platforms.iter().map(oci_platform).collect()),
        })
    }

    /// Tries credentials at a registry.
    pub async fn auth(&self, credentials: AuthConfig) -> Result<SystemAuthResponse> {
        let done = distribution::login(&self.registries, &registry_auth(credentials)).await?;
        Ok(SystemAuthResponse { identity_token: done.identity_token, status: done.status })
    }
}

/// `zstd[:level]` or `gzip[:level]`.
fn packed(text: &str) -> Result<Option<Packed>> {
    if text.is_empty() {
        return Ok(None);
    }
    let (name, level) = text.split_once(':').map_or((text, None), |(name, level)| (name, Some(level)));
    let invalid = |why: &str| Error::invalid(format!("invalid compression {text:?}: {why}"));
    let (compression, levels) = match name {
        "gzip" => (Compression::Gzip, 1..=9),
        "zstd" => (Compression::Zstd, 1..=22),
        _ => return Err(invalid("it is zstd[:LEVEL] or gzip[:LEVEL]")),
    };
    let level = level.map(|level| level.parse().ok().filter(|level| levels.contains(level)));
    match level {
        Some(None) => Err(invalid(&format!("the level is between {} and {}", levels.start(), levels.end()))),
        level => Ok(Some(Packed { compression, level: level.flatten() })),
    }
}

/// Credentials from the wire. Old clients send `auth` (base64 of `user:password`) instead of the two.
pub(crate) fn registry_auth(auth: AuthConfig) -> Auth {
    let mut own = Auth {
        username: auth.username,
        password: auth.password,
        identity_token: auth.identity_token,
        registry_token: auth.registry_token,
        server_address: auth.server_address,
    };
    if own.is_empty()
        && let Some((username, password)) = distribution::credentials::decode_pair(&auth.auth)
    {
        (own.username, own.password) = (username, password);
    }
    own
}

impl From<distribution::Error> for Error {
    fn from(error: distribution::Error) -> Self {
        let kind = match error.kind() {
            distribution::ErrorKind::NotFound => ErrorKind::NotFound,
            distribution::ErrorKind::Unauthorized => ErrorKind::Unauthorized,
            distribution::ErrorKind::InvalidParameter => ErrorKind::InvalidParameter,
            distribution::ErrorKind::Cancelled => ErrorKind::Cancelled,
            distribution::ErrorKind::Unknown => ErrorKind::Internal,
        };
        Self { kind, message: error.message(), source: Some(Box::new(error)) }
    }
}

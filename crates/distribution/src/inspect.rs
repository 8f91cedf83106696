//! What a name stands for at its registry, without pulling it: `GET /distribution/{name}/json`.

use image::{Descriptor, ImageConfig, Index, Manifest, Platform, Reference};

use crate::auth::Auth;
use crate::config::Registries;
use crate::endpoint::{Endpoint, Purpose, endpoints_for};
use crate::error::{Error, Result};
use crate::pull::{in_dockers_words, may_fall_back};
use crate::session::{Access, Session};

const CONFIG_LIMIT: usize = 16 << 20;

/// A manifest or index at a registry.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// Media type, digest and size of what the name points to.
    pub descriptor: Descriptor,
    /// The platforms it is for, in the order of its index.
    pub platforms: Vec<Platform>,
    /// The document itself.
    pub bytes: Vec<u8>,
}

/// Asks the registry about `reference` (its default tag when it has neither tag nor digest).
pub async fn resolve(
    registries: &Registries,
    reference: &Reference,
    auth: Option<&Auth>,
) -> Result<Resolved> {
    let reference = reference.clone().with_default_tag();
    let mut last = None;
    let endpoints = endpoints_for(registries, &reference, Purpose::Pull).await?;
    let by_digest = reference.digest.is_some();
    for endpoint in endpoints.into_iter().filter(|endpoint| endpoint.resolves || by_digest) {
        match resolve_at(registries, endpoint.clone(), &reference, auth).await {
            Err(error) if may_fall_back(&endpoint, &error) => last = Some(error),
            outcome => return outcome.map_err(|error| in_dockers_words(error, &reference)),
        }
    }
    let none = || Error::Configuration(format!("no endpoints found for {}", reference.familiar()));
    Err(in_dockers_words(last.unwrap_or_else(none), &reference))
}

async fn resolve_at(
    registries: &Registries,
    endpoint: Endpoint,
    reference: &Reference,
    auth: Option<&Auth>,
) -> Result<Resolved> {
    let session = Session::open(registries, endpoint, &reference.repository, auth, Access::Pull).await?;
    let wanted = match (&reference.digest, &reference.tag) {
        (Some(digest), _) => digest.to_string(),
        (None, Some(tag)) => tag.clone(),
        (None, None) => image::DEFAULT_TAG.to_owned(),
    };
    let document = session.manifest(&wanted).await?;
    let descriptor =
        Descriptor::new(document.media_type.clone(), document.digest.clone(), document.bytes.len() as u64);
    let platforms = if document.media_type.is_index() {
        let index = Index::parse(&document.bytes).map_err(|error| Error::Manifest(error.to_string()))?;
        index.manifests.into_iter().filter_map(|entry| entry.platform).collect()
    } else if document.media_type.is_manifest() {
        let manifest =
            Manifest::parse(&document.bytes).map_err(|error| Error::Manifest(error.to_string()))?;
        let config = session.small_blob(&manifest.config.digest, CONFIG_LIMIT).await?;
        // An artifact's configuration is no image configuration: it has no platform, which is no error.
        let platform = ImageConfig::parse(&config).ok().map(|config| config.platform());
        platform
            .filter(|platform| !platform.os.is_empty() || !platform.architecture.is_empty())
            .into_iter()
            .collect()
    } else {
        Vec::new()
    };
    Ok(Resolved { descriptor, platforms, bytes: document.bytes.to_vec() })
}

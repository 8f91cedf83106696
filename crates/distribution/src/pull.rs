//! Pull: reference → manifest → configuration → layers in parallel → names, in that order.
//!
//! ```text
//! endpoints ─▶ HEAD tag ─▶ GET manifest (index → platform) ─▶ config ─┬▶ layer 0 ─ download ═▶ stage ─▶ publish ┐
//!                                                                      ├▶ layer 1 ─ download ═▶ stage ─────────▶ ┴ publish …
//!                                                                      └▶ …                    (═▶ tails the growing blob)
//! all published ─▶ image and names recorded: only now is anything visible
//! ```
//! Dropping the future stops the work; blobs that are partly here stay for the next pull to resume.

mod download;
mod flight;
mod layers;

pub(crate) use flight::Downloads;

use ::http::header;
use image::{Descriptor, Digest, ImageConfig, Index, Manifest, MediaType, Platform, Reference};
use serde::Deserialize;
use store::{ImageRecord, Store};

use crate::auth::Auth;
use crate::config::Registries;
use crate::endpoint::{Endpoint, Purpose, endpoints_for};
use crate::error::{Cause, Error, Result};
use crate::http::Outgoing;
use crate::progress::{Progress, ProgressSink};
use crate::push::remember;
use crate::session::{Access, Fetched, Session};
use crate::url;

/// Configurations above this are refused.
const CONFIG_LIMIT: usize = 16 << 20;
/// Schema 1, signed or not.
const SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+";
/// An index may name an index; more levels than this are a joke or an attack.
const MAX_DEPTH: usize = 3;

/// How to pull.
#[derive(Debug, Clone, Default)]
pub struct PullOptions {
    /// Which entry of an index to take; the host's platform when `None`.
    pub platform: Option<Platform>,
    /// Credentials.
    pub auth: Option<Auth>,
    /// Pull every tag of the repository.
    pub all_tags: bool,
}

/// What a pull came to.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// The image, as the store knows it now. With `all_tags`, the last one.
    pub record: ImageRecord,
    /// Digest of what the name stands for: the index if there is one, else the manifest.
    pub digest: Digest,
    /// Whether anything changed.
    pub status: PullStatus,
}

/// Whether a pull changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullStatus {
    /// The name points to something else than before, or is new.
    Newer,
    /// The name pointed to this image already.
    UpToDate,
}

/// Pulls `reference` (its default tag when it has neither tag nor digest) into the store.
pub async fn pull(
    store: &Store,
    reference: &Reference,
    options: &PullOptions,
    registries: &Registries,
    progress: &ProgressSink,
) -> Result<Pulled> {
    let mut last = None;
    let asked = match options.all_tags {
        true => reference.clone(),
        false => reference.clone().with_default_tag(),
    };
    let endpoints = endpoints_for(registries, &asked, Purpose::Pull).await?;
    for endpoint in &endpoints {
        let from = From { endpoint: endpoint.clone(), others: &endpoints };
        match pull_from(store, reference, options, registries, progress, from).await {
            Err(error) if may_fall_back(endpoint, &error) => {
                tracing::info!(endpoint = endpoint.base, error = error.message(), "trying the next endpoint");
                last = Some(error);
            }
            outcome => return outcome.map_err(|error| in_dockers_words(error, reference)),
        }
    }
    let none = || Error::Configuration(format!("no endpoints found for {}", reference.familiar()));
    Err(in_dockers_words(last.unwrap_or_else(none), reference))
}

/// Whether an endpoint's failure leads to the next: any failure of a mirror, and no HTTPS where HTTP is allowed.
pub(crate) fn may_fall_back(endpoint: &Endpoint, error: &Error) -> bool {
    let local = matches!(error, Error::Store { .. } | Error::Unpack(_) | Error::Cancelled);
    let no_https = matches!(error, Error::Request { cause, .. }
        if matches!(**cause, Cause::Dial(_) | Cause::Tls(_) | Cause::PlainHttp | Cause::Broken(_) | Cause::Timeout(_)));
    !local && (endpoint.mirror || (endpoint.is_https() && !endpoint.verify && no_https))
}

/// The registry's refusals as Docker reports them for a pull.
pub(crate) fn in_dockers_words(error: Error, reference: &Reference) -> Error {
    let Error::Refused(refusal) = error else { return error };
    let refusal = refusal.first_only();
    match refusal.first_code() {
        "DENIED" => Error::PullDenied { name: reference.familiar_name(), refusal },
        "MANIFEST_UNKNOWN" => {
            Error::ManifestUnknown { reference: reference.clone().with_default_tag().familiar(), refusal }
        }
        "NAME_UNKNOWN" => Error::RepositoryUnknown { name: reference.familiar_name(), refusal },
        _ => Error::Refused(refusal),
    }
}

async fn pull_from(
    store: &Store,
    reference: &Reference,
    options: &PullOptions,
    registries: &Registries,
    progress: &ProgressSink,
    from: From<'_>,
) -> Result<Pulled> {
    let auth = options.auth.as_ref();
    // One that may be asked for content only has to be told the digest.
    let told = match from.endpoint.resolves || reference.digest.is_some() {
        true => None,
        false => Some(resolve_elsewhere(registries, reference, options, from.others).await?),
    };
    let session = Session::open(registries, from.endpoint, &reference.repository, auth, Access::Pull).await?;
    let platform = options.platform.clone();
    let pull = Pull { store, session: &session, registries, progress, platform, told };
    if !options.all_tags {
        return pull.one(&reference.clone().with_default_tag()).await;
    }
    let mut last = None;
    for tag in tags(&session).await? {
        let tagged = reference.with_tag(&tag).map_err(|error| Error::Manifest(error.to_string()))?;
        last = Some(pull.one(&tagged).await?);
    }
    last.ok_or_else(|| Error::Manifest(format!("no tags found for {}", reference.familiar_name())))
}

/// An endpoint to pull from, and all there are.
struct From<'a> {
    endpoint: Endpoint,
    others: &'a [Endpoint],
}

/// What a tag stands for, by the first endpoint that may be asked and knows.
async fn resolve_elsewhere(
    registries: &Registries,
    reference: &Reference,
    options: &PullOptions,
    endpoints: &[Endpoint],
) -> Result<Digest> {
    let nobody = || Error::Configuration(format!("no host may resolve {}", reference.familiar()));
    if options.all_tags {
        return Err(nobody());
    }
    let tagged = reference.clone().with_default_tag();
    let tag = tagged.tag.as_deref().unwrap_or(image::DEFAULT_TAG);
    let mut last = None;
    for endpoint in endpoints.iter().filter(|endpoint| endpoint.resolves) {
        let auth = options.auth.as_ref();
        let opened = Session::open(registries, endpoint.clone(), &reference.repository, auth, Access::Pull);
        let found = match opened.await {
            Ok(session) => session.head_manifest(tag).await,
            Err(error) => Err(error),
        };
        match found {
            Ok(Some(digest)) => return Ok(digest),
            Ok(None) => {}
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(nobody))
}

/// Everything that the parts of one pull share.
#[derive(Clone)]
struct Pull<'a> {
    store: &'a Store,
    session: &'a Session,
    registries: &'a Registries,
    progress: &'a ProgressSink,
    platform: Option<Platform>,
    /// What the tag stands for, where this registry is not to be asked.
    told: Option<Digest>,
}

/// What a reference turned out to be.
struct Chosen {
    manifest: Manifest,
    manifest_bytes: Fetched,
    /// The index that it was chosen from, outermost first.
    indexes: Vec<Fetched>,
}

impl Pull<'_> {
    async fn one(&self, reference: &Reference) -> Result<Pulled> {
        let wanted = match (&reference.digest, &reference.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => image::DEFAULT_TAG.to_owned(),
        };
        let top = match reference.digest {
            Some(_) => self.session.manifest(&wanted).await?,
            None => self.manifest_of_tag(&wanted).await?,
        };
        let digest = top.digest.clone();
        let repository = reference.repository.clone();
        (self.progress)(Progress::PullingFrom { reference: wanted, repository });
        let chosen = self.choose(top).await?;
        let before = self.blocking("look up image", {
            let name = reference.to_string();
            move |store| Ok(store.image(&name).ok())
        });
        let before = before.await?;
        let record = self.fetch(&chosen, reference).await?;
        self.warn_of_other_platform(&record, reference).await?;
        let newer = before.is_none_or(|before| before.id != record.id);
        (self.progress)(Progress::Digest(digest.clone()));
        (self.progress)(Progress::Status { newer, reference: reference.familiar() });
        let status = if newer { PullStatus::Newer } else { PullStatus::UpToDate };
        Ok(Pulled { record, digest, status })
    }

    /// HEAD first: where the manifest is here already, that is all the registry is asked for.
    async fn manifest_of_tag(&self, tag: &str) -> Result<Fetched> {
        let digest = match &self.told {
            Some(digest) => digest.clone(),
            None => match self.session.head_manifest(tag).await? {
                Some(digest) => digest,
                None => return self.session.manifest(tag).await,
            },
        };
        let known = digest.clone();
        let bytes = self.blocking("read manifest", move |store| Ok(store.read_blob(&known).ok())).await?;
        match bytes {
            Some(bytes) => {
                let media_type = crate::session::media_type(MediaType::default(), &bytes);
                Ok(Fetched { bytes: bytes.into(), media_type, digest })
            }
            None => self.session.manifest(&digest.to_string()).await,
        }
    }

    /// Follows indexes down to the manifest for the wanted platform.
    async fn choose(&self, top: Fetched) -> Result<Chosen> {
        let platform = self.platform.clone().unwrap_or_else(Platform::host);
        let mut indexes = Vec::new();
        let mut current = top;
        while current.media_type.is_index() {
            let index = Index::parse(&current.bytes).map_err(|error| invalid_document(&error))?;
            indexes.push(current);
            if indexes.len() > MAX_DEPTH {
                return Err(Error::Manifest("the image's indexes are nested too deeply".to_owned()));
            }
            let best = platform.order(&index.manifests).first().map(|entry| entry.digest.clone());
            let best = best.ok_or_else(|| Error::NoMatchingPlatform { platform: shown(&platform) })?;
            current = self.session.manifest(&best.to_string()).await?;
        }
        if current.media_type.as_str().starts_with(SCHEMA1) {
            return Err(Error::Manifest(
                "Docker Image Format v1 and Docker Image manifest version 2, schema 1 are not supported. Suggest the author \
                 of the image to upgrade it to the OCI Format or Docker Image manifest v2, schema 2"
                    .to_owned(),
            ));
        }
        if !current.media_type.is_manifest() {
            return Err(Error::Manifest(format!(
                "unsupported manifest media type: {:?}",
                current.media_type.as_str()
            )));
        }
        let manifest = Manifest::parse(&current.bytes).map_err(|error| invalid_document(&error))?;
        check_is_image(&manifest.config.media_type)?;
        Ok(Chosen { manifest, manifest_bytes: current, indexes })
    }

    /// Brings everything here and gives it its names.
    async fn fetch(&self, chosen: &Chosen, reference: &Reference) -> Result<ImageRecord> {
        let lease = self.store.lease();
        let config = self.config(&chosen.manifest.config).await?;
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != chosen.manifest.layers.len() {
            return Err(Error::Manifest("layers from manifest don't match image configuration".to_owned()));
        }
        let id = chosen.manifest.config.digest.to_string();
        let known = self.blocking("look up image", move |store| Ok(store.image(&id).is_ok())).await?;
        layers::fetch(self, &chosen.manifest.layers, diff_ids, known).await?;
        let layers = diff_ids.iter().cloned().zip(chosen.manifest.layers.iter().map(Descriptor::bare));
        remember(self.store, self.session, layers.collect()).await;

        let documents: Vec<Fetched> =
            chosen.indexes.iter().chain([&chosen.manifest_bytes]).cloned().collect();
        let manifest = descriptor(&chosen.manifest_bytes);
        let index = chosen.indexes.first().map(descriptor);
        let reference = reference.clone();
        self.blocking("record image", move |store| {
            for document in &documents {
                put(store, &document.digest, &document.bytes)?;
            }
            let name = reference.digest.is_none().then_some(&reference);
            let record = store.add_image(&manifest, index.as_ref(), name)?;
            let digest = index.as_ref().unwrap_or(&manifest).digest.clone();
            store.tag(&record.id, &reference.with_digest(digest))?;
            let record = store.image(&record.id.to_string())?;
            drop(lease);
            Ok(record)
        })
        .await
    }

    async fn config(&self, descriptor: &Descriptor) -> Result<ImageConfig> {
        let digest = descriptor.digest.clone();
        let known =
            self.blocking("read image config", move |store| Ok(store.read_blob(&digest).ok())).await?;
        let bytes = match known {
            Some(bytes) => bytes,
            None => {
                let bytes = self.session.small_blob(&descriptor.digest, CONFIG_LIMIT).await?;
                let (digest, copy) = (descriptor.digest.clone(), bytes.clone());
                self.blocking("write image config", move |store| put(store, &digest, &copy)).await?;
                bytes.to_vec()
            }
        };
        let config = ImageConfig::parse(&bytes).map_err(|error| invalid_document(&error))?;
        if config.os == "windows" {
            return Err(Error::Manifest(
                "image operating system \"windows\" cannot be used on this platform".to_owned(),
            ));
        }
        Ok(config)
    }

    /// A single-platform image is pulled whatever its platform, but not silently.
    async fn warn_of_other_platform(&self, record: &ImageRecord, reference: &Reference) -> Result<()> {
        let Some(wanted) = &self.platform else { return Ok(()) };
        let id = record.id.clone();
        let config = self.blocking("read image config", move |store| store.config(&id)).await?;
        let actual = config.platform();
        if !wanted.matches(&actual) {
            (self.progress)(Progress::Warning(format!(
                "image with reference {} was found but its platform ({actual}) does not match the specified platform \
                 ({wanted})",
                reference.familiar()
            )));
        }
        Ok(())
    }

    /// Runs blocking work of the store on a thread that may block.
    async fn blocking<T, F>(&self, what: &str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> store::Result<T> + Send + 'static,
    {
        blocking(self.store, what, work).await
    }
}

pub(crate) async fn blocking<T, F>(store: &Store, what: &str, work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce(&Store) -> store::Result<T> + Send + 'static,
{
    let store = store.clone();
    let outcome = tokio::task::spawn_blocking(move || work(&store)).await.map_err(|_| Error::Cancelled)?;
    outcome.map_err(|source| Error::Store { what: what.to_owned(), source })
}

/// Stores a document under the digest it was fetched by, whatever the algorithm.
fn put(store: &Store, digest: &Digest, bytes: &[u8]) -> store::Result<()> {
    if store.has_blob(digest) {
        if store.read_blob(digest).is_ok() {
            return Ok(());
        }
        store.doubt_blob(digest)?;
    }
    let mut ingest = store.ingest(digest, Some(bytes.len() as u64))?;
    if !ingest.is_complete() {
        ingest.restart()?;
        ingest.write(bytes)?;
    }
    ingest.commit()
}

fn descriptor(document: &Fetched) -> Descriptor {
    Descriptor::new(document.media_type.clone(), document.digest.clone(), document.bytes.len() as u64)
}

fn invalid_document(error: &dyn std::error::Error) -> Error {
    let mut text = error.to_string();
    if let Some(source) = error.source() {
        text = format!("{text}: {source}");
    }
    Error::Manifest(text)
}

/// Docker's error names arm64's variant even where nobody asked for one.
fn shown(platform: &Platform) -> String {
    match (platform.architecture.as_str(), platform.variant.as_str()) {
        ("arm64", "") => format!("{platform}/v8"),
        _ => platform.to_string(),
    }
}

/// Plugins, charts and other artifacts are manifests too. The odd types at the end are what early registries said of images.
fn check_is_image(config: &MediaType) -> Result<()> {
    let class = match config.as_str() {
        "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json" => {
            return Ok(());
        }
        "application/octet-stream" | "application/json" | "text/html" | "" => return Ok(()),
        "application/vnd.docker.plugin.v1+json" => "plugin",
        _ => "unknown",
    };
    Err(Error::Manifest(format!("Encountered remote {:?}({class}) when fetching", config.as_str())))
}

#[derive(Deserialize)]
struct TagList {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

/// All tags of the repository, page by page (distribution-spec, "Listing tags").
async fn tags(session: &Session) -> Result<Vec<String>> {
    const LIMIT: usize = 16 << 20;
    let mut tags = Vec::new();
    let mut next = Some(session.uri("tags/list")?);
    while let Some(uri) = next.take() {
        let answer = session.send(Outgoing::get(uri.clone())).await?;
        if !answer.status().is_success() {
            return Err(answer.refusal().await);
        }
        let link =
            answer.headers().get(header::LINK).and_then(|value| value.to_str().ok()).and_then(next_link);
        let link = link.map(|link| url::join(&uri, link));
        let (_, body) = answer.collect(LIMIT).await?;
        let page: TagList = serde_json::from_slice(&body)
            .map_err(|error| Error::Manifest(format!("unable to decode tags list: {error}")))?;
        let page = page.tags.unwrap_or_default();
        let more = !page.is_empty();
        tags.extend(page);
        next = link.filter(|_| more).transpose().map_err(Error::Manifest)?;
        if next.as_ref() == Some(&uri) {
            break;
        }
    }
    Ok(tags)
}

/// `</v2/a/tags/list?last=x&n=100>; rel="next"`.
fn next_link(value: &str) -> Option<&str> {
    value.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let next =
            parameters.split(';').any(|parameter| matches!(parameter.trim(), "rel=\"next\"" | "rel=next"));
        next.then_some(target)
    })
}

//! `docker images`: filters, order, and the summary of one image.

use std::collections::BTreeMap;

use ::image::{Descriptor, Digest, ImageConfig, Index, Reference};
use api::*;
use jiff::Timestamp;
use store::{DiskUsage, ImageRecord, Store};

use super::references;
use crate::blocking::blocking;
use crate::error::{Error, Result};
use crate::{ContainerUse, Engine, when};

const FILTERS: [&str; 6] = ["dangling", "label", "before", "since", "reference", "until"];

impl Engine {
    pub async fn image_list(&self, query: ImageListQuery) -> Result<Vec<ImageSummary>> {
        query.filters.validate(&FILTERS)?;
        let (store, uses) = (self.store.clone(), self.container_uses());
        blocking(move || {
            let wanted = Wanted::new(&store, &query)?;
            let usage = if query.shared_size { Some(store.disk_usage()?) } else { None };
            let mut found = Vec::new();
            for record in store.images()? {
                let config = store.config(&record.id)?;
                let Some(shown) = wanted.shown(&store, &record, &config)? else { continue };
                let mut summary = summary(&record, &config, &shown, usage.as_ref());
                summary.containers = count(&uses, &record.id);
                if query.manifests {
                    summary.manifests = Some(manifests(&store, &record, &config, &uses)?);
                }
                found.push(summary);
            }
            found.sort_by_key(|summary| std::cmp::Reverse(summary.created));
            Ok(found)
        })
        .await
    }
}

/// What a list asks for.
struct Wanted<'a> {
    query: &'a ImageListQuery,
    dangling: bool,
    before: Option<Timestamp>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl<'a> Wanted<'a> {
    fn new(store: &Store, query: &'a ImageListQuery) -> Result<Self> {
        let filters = &query.filters;
        let created = |key: &str| -> Result<Option<Timestamp>> {
            let mut edge: Option<Timestamp> = None;
            for name in filters.get(key) {
                let created = store.image(name)?.created.unwrap_or(Timestamp::UNIX_EPOCH);
                edge = Some(edge.map_or(created, |edge| {
                    if key == "before" { edge.min(created) } else { edge.max(created) }
                }));
            }
            Ok(edge)
        };
        Ok(Wanted {
            query,
            dangling: filters.boolean("dangling", false)?,
            before: created("before")?,
            since: created("since")?,
            until: until(filters)?,
        })
    }

    /// The references to show, or `None` when the image is not in the list.
    fn shown(
        &self,
        store: &Store,
        record: &ImageRecord,
        config: &ImageConfig,
    ) -> Result<Option<Vec<Reference>>> {
        let filters = &self.query.filters;
        let created = record.created.unwrap_or(Timestamp::UNIX_EPOCH);
        let labels = config.config.as_ref().and_then(|config| config.labels.as_ref());
        if self.before.is_some_and(|before| created >= before)
            || self.since.is_some_and(|since| created <= since)
            || self.until.is_some_and(|until| created > until)
            || !filters.matches_labels("label", labels)
        {
            return Ok(None);
        }
        let by_pattern = filters.contains("reference");
        let matches = |name: &&Reference| {
            !by_pattern || filters.get("reference").any(|pattern| matches_pattern(pattern, name))
        };
        let shown: Vec<Reference> = references(record).filter(matches).cloned().collect();
        if shown.is_empty() {
            let intermediate = !self.query.all && !store.children(&record.id)?.is_empty();
            let only_tagged = filters.contains("dangling") && !self.dangling;
            return Ok((!intermediate && !only_tagged && !by_pattern).then_some(shown));
        }
        let tagged = shown.iter().any(|name| name.tag.is_some());
        Ok((!self.dangling || !tagged).then_some(shown))
    }
}

/// The `until` filter: one point in time.
pub(crate) fn until(filters: &Filters) -> Result<Option<Timestamp>> {
    let values: Vec<&str> = filters.get("until").collect();
    match values.as_slice() {
        [] => Ok(None),
        [text] => when::parse(text, Timestamp::now())
            .map(Some)
            .ok_or_else(|| Error::invalid(format!("invalid value for filter 'until': {text:?}"))),
        _ => Err(Error::invalid("more than one until filter specified")),
    }
}

/// Whether a reference matches a pattern, by its familiar form with or without the tag (`reference.FamiliarMatch`).
fn matches_pattern(pattern: &str, name: &Reference) -> bool {
    glob(pattern, &name.familiar()) || glob(pattern, &name.familiar_name())
}

/// Go's `path.Match`: `*` and `?` stop at slashes, `[a-z]`, `\x`.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    glob_chars(&pattern, &text)
}

fn glob_chars(pattern: &[char], text: &[char]) -> bool {
    let Some((first, rest)) = pattern.split_first() else { return text.is_empty() };
    match first {
        '*' => {
            let end = text.iter().position(|c| *c == '/').unwrap_or(text.len());
            (0..=end).any(|skip| glob_chars(rest, &text[skip..]))
        }
        '?' => text.first().is_some_and(|c| *c != '/') && glob_chars(rest, &text[1..]),
        '[' => {
            let Some(end) = rest.iter().skip(1).position(|c| *c == ']').map(|at| at + 1) else {
                return false;
            };
            let (negated, set) = match rest[..end].split_first() {
                Some(('^', set)) => (true, set),
                _ => (false, &rest[..end]),
            };
            let Some(c) = text.first().filter(|c| **c != '/') else { return false };
            in_set(set, *c) != negated && glob_chars(&rest[end + 1..], &text[1..])
        }
        '\\' => match rest.split_first() {
            Some((literal, rest)) => text.first() == Some(literal) && glob_chars(rest, &text[1..]),
            None => false,
        },
        literal => text.first() == Some(literal) && glob_chars(rest, &text[1..]),
    }
}

fn in_set(set: &[char], c: char) -> bool {
    match set {
        [low, '-', high, rest @ ..] => (*low..=*high).contains(&c) || in_set(rest, c),
        [one, rest @ ..] => *one == c || in_set(rest, c),
        [] => false,
    }
}

/// How many containers use an image.
pub(super) fn count(uses: &[ContainerUse], id: &Digest) -> i64 {
    let id = id.to_string();
    uses.iter().filter(|container| container.image_id == id).count() as i64
}

/// The summary with these references; sizes shared with other images only where they were counted.
pub(crate) fn summary(
    record: &ImageRecord,
    config: &ImageConfig,
    shown: &[Reference],
    usage: Option<&DiskUsage>,
) -> ImageSummary {
    let familiar = |digests: bool| {
        let names = shown.iter().filter(|name| name.digest.is_some() == digests);
        Some(names.map(Reference::familiar).collect())
    };
    let shared = usage.and_then(|usage| usage.images.get(&record.id)).map(|usage| usage.shared);
    ImageSummary {
        containers: -1,
        created: record.created.map_or(0, Timestamp::as_second),
        id: record.id.to_string(),
        labels: config.config.as_ref().and_then(|config| config.labels.clone()),
        parent_id: record.parent.as_ref().map(Digest::to_string).unwrap_or_default(),
        descriptor: Some(descriptor(&record.target)),
        manifests: None,
        repo_digests: familiar(true),
        repo_tags: familiar(false),
        shared_size: shared.map_or(-1, |shared| shared.try_into().unwrap_or(i64::MAX)),
        size: record.size.try_into().unwrap_or(i64::MAX),
        virtual_size: 0,
    }
}

/// A descriptor on the wire.
pub(crate) fn descriptor(descriptor: &Descriptor) -> OciDescriptor {
    OciDescriptor {
        media_type: descriptor.media_type.to_string(),
        digest: descriptor.digest.to_string(),
        size: descriptor.size.try_into().unwrap_or(i64::MAX),
        urls: Some(descriptor.urls.clone()).filter(|urls| !urls.is_empty()),
        annotations: Some(descriptor.annotations.clone()).filter(|annotations| !annotations.is_empty()),
        data: descriptor.data.clone().unwrap_or_default(),
        platform: descriptor.platform.as_ref().map(oci_platform),
        artifact_type: descriptor.artifact_type.to_string(),
    }
}

/// A platform on the wire.
pub(crate) fn oci_platform(platform: &::image::Platform) -> OciPlatform {
    OciPlatform {
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        os_version: platform.os_version.clone(),
        os_features: Some(platform.os_features.clone()).filter(|features| !features.is_empty()),
        variant: platform.variant.clone(),
    }
}

/// The manifests behind an image: the entries of its index, or its only one.
pub(super) fn manifests(
    store: &Store,
    record: &ImageRecord,
    config: &ImageConfig,
    uses: &[ContainerUse],
) -> Result<Vec<ImageManifestSummary>> {
    let entries = match record.target.media_type.is_index() {
        true => Index::parse(&store.read_blob(&record.target.digest)?)
            .map(|index| index.manifests)
            .unwrap_or_default(),
        false => vec![record.target.clone()],
    };
    Ok(entries.iter().map(|entry| manifest(store, record, config, entry, uses)).collect())
}

fn manifest(
    store: &Store,
    record: &ImageRecord,
    config: &ImageConfig,
    entry: &Descriptor,
    uses: &[ContainerUse],
) -> ImageManifestSummary {
    let content = store.manifest(&entry.digest).ok();
    let blobs: Vec<&Descriptor> =
        content.iter().flat_map(|manifest| manifest.layers.iter().chain([&manifest.config])).collect();
    let available = content.is_some() && store.is_whole(&entry.digest);
    let size: u64 = blobs.iter().filter(|blob| store.has_blob(&blob.digest)).map(|blob| blob.size).sum();
    let size = (size + if content.is_some() { entry.size } else { 0 }).try_into().unwrap_or(i64::MAX);
    let is_ours = entry.digest == record.manifest;
    let unpacked = if is_ours { record.size.try_into().unwrap_or(i64::MAX) } else { 0 };
    let attestation = entry.is_attestation();
    let subject = entry.annotation(::image::annotation::REFERENCE_DIGEST).unwrap_or_default();
    let platform = match (&entry.platform, is_ours) {
        (Some(platform), _) => oci_platform(platform),
        (None, true) => oci_platform(&config.platform()),
        (None, false) => OciPlatform::default(),
    };
    let id = record.id.to_string();
    let containers = uses.iter().filter(|container| is_ours && container.image_id == id);
    ImageManifestSummary {
        id: entry.digest.to_string(),
        descriptor: descriptor(entry),
        available,
        size: ImageManifestSize { content: size, total: size + unpacked },
        kind: if attestation { "attestation" } else { "image" }.to_owned(),
        image_data: (!attestation).then(|| ImageManifestImageData {
            platform,
            size: ImageManifestUnpackedSize { unpacked },
            containers: Some(containers.map(|container| container.id.clone()).collect()),
        }),
        attestation_data: attestation.then(|| ImageManifestAttestationData { subject: subject.to_owned() }),
    }
}

/// For `system df`: every image, with what it shares and who uses it.
pub(crate) fn all_summaries(
    store: &Store,
    usage: &DiskUsage,
    uses: &[ContainerUse],
) -> Result<Vec<ImageSummary>> {
    let mut all = Vec::new();
    for record in store.images()? {
        let config = store.config(&record.id)?;
        let shown: Vec<Reference> = references(&record).cloned().collect();
        let mut summary = summary(&record, &config, &shown, Some(usage));
        summary.containers = count(uses, &record.id);
        all.push(summary);
    }
    let order: BTreeMap<String, i64> = all.iter().map(|image| (image.id.clone(), image.created)).collect();
    all.sort_by_key(|image| std::cmp::Reverse(order.get(&image.id).copied()));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_go_does() {
        let check = |pattern: &str, text: &str, want: bool| {
            let name = Reference::parse(text).unwrap();
            assert_eq!(matches_pattern(pattern, &name), want, "{pattern} {text}");
        };
        check("busybox", "busybox:latest", true);
        check("busy*", "busybox:latest", true);
        check("busy*:l*t", "busybox:latest", true);
        check("*", "team/app:1", false);
        check("*/*", "team/app:1", true);
        check("team/?pp", "team/app:1", true);
        check("team/[a-c]pp", "team/app:1", true);
        check("team/[^a-c]pp", "team/app:1", false);
        check("box", "busybox:latest", false);
        check("[", "busybox", false);
        check("localhost:5000/*", "localhost:5000/app:1", true);
    }
}

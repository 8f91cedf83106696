//! Images as users see them: list, inspect, history, tag, remove, prune, save, load, import, pull and push.
//!
//! What an image is belongs to the store, how it travels to `distribution`; here is who may remove what, which names are
//! shown, and what happened is told to the events. Texts and orders are moby's (`daemon/images`).

mod archive;
mod blobs;
mod contents;
mod inspect;
mod list;
mod prune;
mod remove;
mod transfer;

use std::collections::BTreeMap;
use std::sync::Arc;

use api::JsonMessage;
use image::{Digest, Platform, Reference};
use store::{ImageRecord, Store};

use crate::Engine;
use crate::error::{Error, Result};

pub(crate) use list::{all_summaries, until};
pub(crate) use prune::labels_match;

/// Receives the lines of `load`. Called from any thread; must not block.
pub type LoadSink = Arc<dyn Fn(JsonMessage) + Send + Sync>;

impl Engine {
    /// Tells the events about an image: its labels and `name` are the attributes.
    pub(crate) fn image_event(&self, action: &str, id: &Digest, name: &str) {
        let config = self.store.config(id).ok();
        let labels = config.as_ref().and_then(|config| config.config.as_ref()?.labels.clone());
        self.image_event_with(action, &id.to_string(), name, labels.unwrap_or_default());
    }

    fn image_event_with(
        &self,
        action: &str,
        actor: &str,
        name: &str,
        mut attributes: BTreeMap<String, String>,
    ) {
        if !name.is_empty() {
            attributes.insert("name".to_owned(), name.to_owned());
        }
        self.events.emit("image", action, actor, attributes);
    }
}

/// `repo` and `tag` of a query as a reference with a tag (moby's `RepoTagReference`); `None` when there is no repository.
pub(crate) fn repository_and_tag(repository: &str, tag: &str) -> Result<Option<Reference>> {
    if repository.is_empty() {
        return Ok(None);
    }
    let reference = Reference::parse(repository)?;
    if reference.digest.is_some() {
        return Err(Error::invalid("cannot import digest reference"));
    }
    Ok(Some(match tag {
        "" => reference.with_default_tag(),
        tag => reference.with_tag(tag)?,
    }))
}

/// A platform from a query: JSON of an OCI platform; `None` when empty.
fn platform(json: &str) -> Result<Option<Platform>> {
    if json.is_empty() {
        return Ok(None);
    }
    let platform: Platform = serde_json::from_str(json)
        .map_err(|error| Error::invalid(format!("failed to parse platform: {error}")))?;
    if platform.os.is_empty() || platform.architecture.is_empty() {
        return Err(Error::invalid("both OS and Architecture must be provided"));
    }
    Ok(Some(platform.normalized()))
}

fn platforms(texts: &[String]) -> Result<Vec<Platform>> {
    texts.iter().filter_map(|text| platform(text).transpose()).collect()
}

/// The image, if it is for the wanted platform.
fn image_for(store: &Store, name: &str, wanted: Option<&Platform>) -> Result<ImageRecord> {
    let record = store.image(name)?;
    let Some(wanted) = wanted else { return Ok(record) };
    if let Some(found) = store.image_for(&record, wanted)? {
        return Ok(found);
    }
    Err(Error::not_found(match record.target.media_type.is_index() {
        true => format!(
            "image with reference {name} was found but does not provide the specified platform ({wanted})"
        ),
        false => {
            let actual = store.config(&record.id)?.platform();
            format!(
                "image with reference {name} was found but its platform ({actual}) does not match the specified platform ({wanted})"
            )
        }
    }))
}

/// Names and repository digests together, as moby's reference store has them.
fn references(record: &ImageRecord) -> impl Iterator<Item = &Reference> {
    record.names.iter().chain(&record.repo_digests)
}

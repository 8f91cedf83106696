//! `manifest`: indexes made and pushed by hand, kept under `~/.docker/manifests` until then, in the stock client's files.

pub mod annotate;
pub mod create;
pub mod inspect;
mod model;
pub mod push;
mod remote;
pub mod rm;
mod store;

use image::Reference;

use super::Failure;

/// A name as the verbs take it: with a tag or a digest, the default tag where it has neither.
fn reference(text: &str) -> anyhow::Result<Reference> {
    let reference = Reference::parse(text)
        .map_err(|error| Failure::new(1, format!("error parsing name for manifest {text:?}: {error}")))?;
    Ok(reference.with_default_tag())
}

//! What a pull or push has to say while it runs, typed; and the strings that Docker prints for it.
//!
//! The server turns each value into one `jsonmessage` object; clients match these strings, so they are Docker's to the letter.

use std::sync::Arc;

use image::{Descriptor, Digest};

/// Receives progress. Called from many tasks; must not block.
pub type ProgressSink = Arc<dyn Fn(Progress) + Send + Sync>;

/// One step. `id` is the layer's short digest, or the tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// `latest: Pulling from library/busybox`.
    PullingFrom {
        /// Tag or digest that is being pulled.
        reference: String,
        /// The repository's path, without the registry.
        repository: String,
    },
    /// A layer's step.
    Layer {
        /// First twelve hex digits of the layer's digest (pull) or diff id (push).
        id: String,
        /// Which step.
        step: LayerStep,
    },
    /// `Digest: sha256:…`.
    Digest(Digest),
    /// `Status: Downloaded newer image for …` or `Status: Image is up to date for …`.
    Status {
        /// Whether anything changed.
        newer: bool,
        /// Familiar form of what was asked for.
        reference: String,
    },
    /// `WARNING: …`: the image was pulled, but may not be what was meant.
    Warning(String),
    /// `The push refers to repository […]`.
    PushRefersTo(String),
    /// `latest: digest: sha256:… size: 528`, with the same values as an `aux` object.
    Pushed(PushedTag),
    /// Of an index only the manifest for one platform was pushed, because nothing else of it is here.
    PushedInsteadOfIndex {
        /// What could not be pushed.
        index: Box<Descriptor>,
        /// What was.
        manifest: Box<Descriptor>,
    },
}

/// What was pushed under one tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedTag {
    /// The tag.
    pub tag: String,
    /// Digest of the manifest, as stored by the registry.
    pub digest: Digest,
    /// Bytes of the manifest.
    pub size: u64,
}

/// Steps of one layer, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum LayerStep {
    PullingFsLayer,
    Waiting,
    Downloading { current: u64, total: u64 },
    Retrying { seconds: u64 },
    VerifyingChecksum,
    DownloadComplete,
    Extracting { current: u64, total: u64 },
    PullComplete,
    AlreadyExists,
    Preparing,
    Pushing { current: u64, total: u64 },
    Pushed,
    LayerAlreadyExists,
    MountedFrom(String),
    SkippedForeign,
}

impl Progress {
    pub(crate) fn layer(id: &str, step: LayerStep) -> Self {
        Progress::Layer { id: id.to_owned(), step }
    }

    /// The `id` field of the message, if it has one.
    pub fn id(&self) -> Option<&str> {
        match self {
            Progress::PullingFrom { reference, .. } => Some(reference),
            Progress::Layer { id, .. } => Some(id),
            _ => None,
        }
    }

    /// The `status` field of the message.
    pub fn status(&self) -> String {
        match self {
            Progress::PullingFrom { repository, .. } => format!("Pulling from {repository}"),
            Progress::Layer { step, .. } => step.status(),
            Progress::Digest(digest) => format!("Digest: {digest}"),
            Progress::Status { newer: true, reference } => {
                format!("Status: Downloaded newer image for {reference}")
            }
            Progress::Status { newer: false, reference } => {
                format!("Status: Image is up to date for {reference}")
            }
            Progress::Warning(text) => format!("WARNING: {text}"),
            Progress::PushedInsteadOfIndex { .. } => String::new(),
            Progress::PushRefersTo(name) => format!("The push refers to repository [{name}]"),
            Progress::Pushed(PushedTag { tag, digest, size }) => {
                format!("{tag}: digest: {digest} size: {size}")
            }
        }
    }

    /// `progressDetail`: bytes done and bytes in all. Docker sends an empty object for layer steps without numbers.
    pub fn detail(&self) -> Option<(u64, u64)> {
        match self {
            Progress::Layer {
                step:
                    LayerStep::Downloading { current, total }
                    | LayerStep::Extracting { current, total }
                    | LayerStep::Pushing { current, total },
                ..
            } => Some((*current, *total)),
            _ => None,
        }
    }
}

impl LayerStep {
    fn status(&self) -> String {
        match self {
            LayerStep::PullingFsLayer => "Pulling fs layer".to_owned(),
            LayerStep::Waiting => "Waiting".to_owned(),
            LayerStep::Downloading { .. } => "Downloading".to_owned(),
            LayerStep::Retrying { seconds: 1 } => "Retrying in 1 second".to_owned(),
            LayerStep::Retrying { seconds } => format!("Retrying in {seconds} seconds"),
            LayerStep::VerifyingChecksum => "Verifying Checksum".to_owned(),
            LayerStep::DownloadComplete => "Download complete".to_owned(),
            LayerStep::Extracting { .. } => "Extracting".to_owned(),
            LayerStep::PullComplete => "Pull complete".to_owned(),
            LayerStep::AlreadyExists => "Already exists".to_owned(),
            LayerStep::Preparing => "Preparing".to_owned(),
            LayerStep::Pushing { .. } => "Pushing".to_owned(),
            LayerStep::Pushed => "Pushed".to_owned(),
            LayerStep::LayerAlreadyExists => "Layer already exists".to_owned(),
            LayerStep::SkippedForeign => "Skipped foreign layer".to_owned(),
            LayerStep::MountedFrom(name) => format!("Mounted from {name}"),
        }
    }
}

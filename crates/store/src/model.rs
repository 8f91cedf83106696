//! Plain data that the store answers with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use image::{Descriptor, Digest, Reference};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An image: a configuration with its layers, under any number of names.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageRecord {
    /// The id users see: digest of the configuration.
    pub id: Digest,
    /// What was pulled or made: a manifest, or the index it was chosen from. Found by a name, it is that name's target.
    pub target: Descriptor,
    /// Digest of the manifest (of this platform).
    pub manifest: Digest,
    /// Names with a tag, sorted.
    pub names: Vec<Reference>,
    /// `repository@digest` under which the image was pulled from or pushed to a registry, sorted.
    pub repo_digests: Vec<Reference>,
    /// The image it was made from by commit or a classic build on this host.
    pub parent: Option<Digest>,
    /// Bytes of all its unpacked layers, as `docker images` shows it.
    pub size: u64,
    /// When the image was made, from its configuration.
    pub created: Option<Timestamp>,
    /// When a name was last pointed at it here.
    pub last_tagged: Option<Timestamp>,
}

impl ImageRecord {
    /// No tag points at it (`<none>`).
    pub fn is_dangling(&self) -> bool {
        self.names.is_empty()
    }
}

/// One line of what deleting an image did, in Docker's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// A name was removed (familiar form is what is shown).
    Untagged(Reference),
    /// An image id or a layer's chain id is gone.
    Deleted(Digest),
}

/// What garbage collection removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    pub blobs: Vec<Digest>,
    /// Chain ids.
    pub layers: Vec<Digest>,
    /// Bytes of blobs and unpacked layers.
    pub bytes: u64,
}

/// An unpacked layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerInfo {
    pub chain_id: Digest,
    pub diff_id: Digest,
    pub parent: Option<Digest>,
    /// The folder to give to overlayfs.
    pub path: PathBuf,
    /// Bytes of its files.
    pub size: u64,
    /// It was made from a container's files, not unpacked from a blob: packing it gives its diff id.
    pub made_here: bool,
}

/// What a container's root is made of. All paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rootfs {
    Overlay {
        /// Top-most layer first.
        lower: Vec<PathBuf>,
        upper: PathBuf,
        work: PathBuf,
    },
    /// A plain copy, where overlayfs can't be used.
    Directory(PathBuf),
}

/// One path that differs from the image, as `docker diff` lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Absolute path in the container.
    pub path: PathBuf,
    pub kind: ChangeKind,
}

/// Docker's numbers: 0 modified, 1 added, 2 deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    Modified = 0,
    Added = 1,
    Deleted = 2,
}

/// A volume of the local driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    pub name: String,
    pub driver: String,
    /// RFC 3339.
    pub created: String,
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// Label on volumes that got a random name.
pub const ANONYMOUS_VOLUME: &str = "com.docker.volume.anonymous";

/// Bytes used, for `system df`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Bytes of all unpacked layers, each counted once.
    pub layers: u64,
    /// Bytes of all blobs.
    pub blobs: u64,
    /// Per image id: bytes of the layers that no other image uses, and of those shared.
    pub images: BTreeMap<Digest, ImageUsage>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageUsage {
    pub unique: u64,
    pub shared: u64,
}

/// What `load` tells while it works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadProgress {
    /// A layer is being unpacked: bytes of its blob read, of all.
    Layer { diff_id: Digest, current: u64, total: u64 },
    /// An image is complete under this name.
    Loaded { name: Option<Reference>, id: Digest },
}

/// A file in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Absolute path in the image.
    pub path: PathBuf,
    pub kind: FileKind,
    /// Permission bits, with set-id and sticky.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Bytes; 0 for folders.
    pub size: u64,
    pub modified: Timestamp,
    /// What a symbolic link says, as it says it.
    pub link_target: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    File,
    Directory,
    Symlink,
    /// Major and minor number.
    CharDevice(u32, u32),
    /// Major and minor number.
    BlockDevice(u32, u32),
    Fifo,
    Socket,
}

/// One step of an image's history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageStep {
    pub created: Option<Timestamp>,
    /// The command, as the builder wrote it down.
    pub created_by: String,
    pub comment: String,
    /// The layer it made, if it made one.
    pub layer: Option<LayerInfo>,
    /// What that layer changed, sorted by path.
    pub changes: Vec<LayerChange>,
}

/// One path that a layer changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerChange {
    /// Absolute path in the image.
    pub path: PathBuf,
    pub kind: ChangeKind,
    /// Bytes of the file in this layer.
    pub size: u64,
}

/// A file that differs between two images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// Absolute path in the images.
    pub path: PathBuf,
    pub kind: ChangeKind,
    /// `None` for what was added.
    pub before: Option<FileInfo>,
    /// `None` for what was deleted.
    pub after: Option<FileInfo>,
    /// Whether the content differs, and not mode or owner alone.
    pub content: bool,
}

/// A layer with what is made of it.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNode {
    pub layer: LayerInfo,
    /// Images whose top-most layer it is.
    pub images: Vec<ImageRecord>,
    /// Layers on top of it.
    pub children: Vec<LayerNode>,
}

/// Something on disk that is missing or not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub part: DamagedPart,
    /// Reads on from the part's name.
    pub problem: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DamagedPart {
    Blob(Digest),
    /// A whole unpacked layer, by chain id.
    Layer(Digest),
    /// A file of an unpacked layer: the layer's chain id, the file's absolute path in the image.
    File {
        layer: Digest,
        path: PathBuf,
    },
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let problem = &self.problem;
        match &self.part {
            DamagedPart::Blob(digest) => write!(f, "blob {digest} {problem}"),
            DamagedPart::Layer(chain) => write!(f, "layer {chain} {problem}"),
            DamagedPart::File { layer, path } => write!(f, "layer {layer}: {} {problem}", path.display()),
        }
    }
}

//! What Naru tells about images beside Docker's API (`/naru/images/…`): steps, differences, shared layers, files, damage.
//!
//! Paths are absolute in the image; bytes in them that are not UTF-8 are shown as U+FFFD. Kinds of changes are Docker's
//! numbers: 0 modified, 1 added, 2 deleted.

use crate::go::model;

model! {
    /// Digests, in and out of `POST /naru/blobs/missing`: those asked about, and those of them that are not here.
    pub struct BlobDigests {
        "Digests" => digests: Vec<String>,
    }

    /// Answer to `GET /naru/images/{name}/log`: one for each step, newest first.
    pub struct ImageLogStep {
        /// RFC 3339.
        "Created" omitempty => created: String,
        "CreatedBy" => created_by: String,
        "Comment" omitempty => comment: String,
        /// The layer it made, if it made one.
        "Layer" omitempty => layer: Option<ImageLayer>,
        "Added" => added: u64,
        "Modified" => modified: u64,
        "Deleted" => deleted: u64,
        /// On request only.
        "Changes" omitempty => changes: Option<Vec<ImageLayerChange>>,
    }

    /// An unpacked layer.
    pub struct ImageLayer {
        "ChainID" => chain_id: String,
        "DiffID" => diff_id: String,
        /// Chain id of the layer below; empty for the lowest.
        "Parent" omitempty => parent: String,
        /// Bytes of its files.
        "Size" => size: u64,
    }

    /// A path that a layer changes.
    pub struct ImageLayerChange {
        "Path" => path: String,
        "Kind" => kind: u64,
        /// Bytes of the file in this layer.
        "Size" => size: u64,
    }

    /// Answer to `GET /naru/images/{name}/diff`: one for each path that differs, sorted.
    pub struct ImageFileChange {
        "Path" => path: String,
        "Kind" => kind: u64,
        /// Whether the content differs, and not mode or owner alone.
        "Content" => content: bool,
        "Before" omitempty => before: Option<ImageFile>,
        "After" omitempty => after: Option<ImageFile>,
    }

    /// A file in an image; answer to `GET /naru/images/{name}/files`, one for each entry, sorted.
    pub struct ImageFile {
        "Path" => path: String,
        /// `file`, `directory`, `symlink`, `char`, `block`, `fifo` or `socket`.
        "Type" => typ: String,
        /// Permission bits, with set-id and sticky.
        "Mode" => mode: u32,
        "UID" => uid: u32,
        "GID" => gid: u32,
        /// Bytes; 0 for folders.
        "Size" => size: u64,
        /// RFC 3339.
        "Modified" => modified: String,
        "LinkTarget" omitempty => link_target: String,
        /// `major:minor` of a device.
        "Device" omitempty => device: String,
    }

    /// Answer to `GET /naru/images/tree`: one for each layer, each before those on top of it.
    pub struct ImageTreeLayer {
        .. layer: ImageLayer,
        /// The images whose top-most layer it is.
        "Images" => images: Vec<ImageName>,
    }

    /// An image and its names.
    pub struct ImageName {
        "Id" => id: String,
        "RepoTags" => repo_tags: Vec<String>,
    }

    /// Answer to `GET /naru/images/{name}/verify`: one for each thing that is missing or not what it should be.
    pub struct ImageDamage {
        /// Digest of a blob.
        "Blob" omitempty => blob: String,
        /// Chain id of a layer.
        "Layer" omitempty => layer: String,
        /// A file of that layer.
        "Path" omitempty => path: String,
        /// Reads on from the name of the damaged part.
        "Problem" => problem: String,
    }
}

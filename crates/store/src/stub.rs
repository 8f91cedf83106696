//! Signatures while the bodies are being written.
#![allow(unused_variables, missing_docs)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{Compression, Descriptor, Digest, ImageConfig, Manifest, MediaType, Platform, Reference};

use crate::*;

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<PathBuf>,
}

/// A download in progress. Dropped without `commit`, what was written stays for a later resume.
pub struct Ingest {}

/// Reads what an [`Ingest`] has written, waiting for more until it is committed; fails if it is dropped before.
pub struct IngestReader {}

/// An unpacked layer that has no place yet; dropped, it is removed.
pub struct StagedLayer {}

/// Protects from garbage collection: everything named, and everything that appears while it is held.
pub struct Lease {}

impl Ingest {
    /// Bytes already here: the caller asks the registry for the rest.
    pub fn offset(&self) -> u64 {
        unreachable!("in progress")
    }
    /// The blob is whole already; `commit` is then a no-op.
    pub fn is_complete(&self) -> bool {
        unreachable!("in progress")
    }
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        unreachable!("in progress")
    }
    /// Forgets what is here, because the other side can't resume. Readers fail.
    pub fn restart(&mut self) -> Result<()> {
        unreachable!("in progress")
    }
    pub fn reader(&self) -> Result<IngestReader> {
        unreachable!("in progress")
    }
    /// Verifies size and digest and makes the blob visible. Bad content is removed and an error.
    pub fn commit(self) -> Result<()> {
        unreachable!("in progress")
    }
}

impl Read for IngestReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        unreachable!("in progress")
    }
}

impl StagedLayer {
    pub fn diff_id(&self) -> &Digest {
        unreachable!("in progress")
    }
    pub fn size(&self) -> u64 {
        unreachable!("in progress")
    }
}

impl Lease {
    pub fn add_blob(&self, digest: &Digest) {}
    pub fn add_layer(&self, chain: &Digest) {}
    pub fn add_image(&self, id: &Digest) {}
}

impl Store {
    pub fn open(root: &Path) -> Result<Store> {
        unreachable!("in progress")
    }
    pub fn root(&self) -> &Path {
        &self.inner
    }
    /// Makes everything published so far survive power loss. Publishing itself survives `kill -9` without it; after power
    /// loss, what was not flushed is found at open and dropped. Call it after a pull has been answered and before exit.
    pub fn flush(&self) -> Result<()> {
        unreachable!("in progress")
    }

    // blobs
    pub fn has_blob(&self, digest: &Digest) -> bool {
        unreachable!("in progress")
    }
    pub fn blob_size(&self, digest: &Digest) -> Option<u64> {
        unreachable!("in progress")
    }
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        unreachable!("in progress")
    }
    /// The whole blob, verified. For documents, not for layers.
    pub fn read_blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        unreachable!("in progress")
    }
    /// Begins or resumes writing a blob. Waits while another ingest of the same digest is at work in this process.
    pub fn ingest(&self, digest: &Digest, size: Option<u64>) -> Result<Ingest> {
        unreachable!("in progress")
    }
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest> {
        unreachable!("in progress")
    }

    // images
    pub fn images(&self) -> Result<Vec<ImageRecord>> {
        unreachable!("in progress")
    }
    /// By tag, `name@digest`, or full or unambiguous short id with or without `sha256:`. Error: `No such image: …`.
    pub fn image(&self, name_or_id: &str) -> Result<ImageRecord> {
        unreachable!("in progress")
    }
    /// The configuration of an image id, cached.
    pub fn config(&self, id: &Digest) -> Result<Arc<ImageConfig>> {
        unreachable!("in progress")
    }
    /// A manifest by its own digest.
    pub fn manifest(&self, digest: &Digest) -> Result<Manifest> {
        unreachable!("in progress")
    }
    /// Records an image whose blobs and layers are here. `index` = what `manifest` was chosen from.
    pub fn add_image(
        &self,
        manifest: &Descriptor,
        index: Option<&Descriptor>,
        name: Option<&Reference>,
    ) -> Result<ImageRecord> {
        unreachable!("in progress")
    }
    /// Makes config and manifest blobs of a new image from `config` and its layers' descriptors, and records it.
    pub fn create_image(
        &self,
        config: &ImageConfig,
        layers: Vec<Descriptor>,
        parent: Option<&Digest>,
        name: Option<&Reference>,
    ) -> Result<ImageRecord> {
        unreachable!("in progress")
    }
    /// Points a name at an image, taking it from any other. `name@digest` records a repository digest.
    pub fn tag(&self, id: &Digest, name: &Reference) -> Result<()> {
        unreachable!("in progress")
    }
    /// Removes one name; the image stays, perhaps dangling.
    pub fn untag(&self, name: &Reference) -> Result<Deleted> {
        unreachable!("in progress")
    }
    /// Removes an image with all its names, and the blobs and layers that nothing else uses. Whether it may be deleted
    /// (containers, children, several names without force) is the caller's decision.
    pub fn delete_image(&self, id: &Digest) -> Result<Vec<Deleted>> {
        unreachable!("in progress")
    }
    /// Images whose recorded parent is `id`.
    pub fn children(&self, id: &Digest) -> Result<Vec<Digest>> {
        unreachable!("in progress")
    }
    pub fn gc(&self) -> Result<Freed> {
        unreachable!("in progress")
    }
    pub fn lease(&self) -> Lease {
        unreachable!("in progress")
    }
    pub fn disk_usage(&self) -> Result<DiskUsage> {
        unreachable!("in progress")
    }

    // layers
    /// Unpacks a layer without needing its parents: several layers of an image can be staged at once, in any order.
    pub fn stage_layer(
        &self,
        diff_id: &Digest,
        media_type: &MediaType,
        compressed: impl Read + Send,
    ) -> Result<StagedLayer> {
        unreachable!("in progress")
    }
    /// Settles a staged layer on its (published) parent and makes it visible. Losing a race to the same layer is fine.
    pub fn publish_layer(&self, parent: Option<&Digest>, staged: StagedLayer) -> Result<LayerInfo> {
        unreachable!("in progress")
    }
    /// Both steps; the parent must be here.
    pub fn unpack_layer(
        &self,
        parent: Option<&Digest>,
        diff_id: &Digest,
        media_type: &MediaType,
        compressed: impl Read + Send,
    ) -> Result<LayerInfo> {
        unreachable!("in progress")
    }
    pub fn layer(&self, chain: &Digest) -> Option<LayerInfo> {
        unreachable!("in progress")
    }
    /// Unpacks from their blobs whichever layers of an image are missing.
    pub fn ensure_layers(&self, id: &Digest) -> Result<()> {
        unreachable!("in progress")
    }
    /// Layer folders of an image, top-most first, ready for overlayfs.
    pub fn chain_paths(&self, id: &Digest) -> Result<Vec<PathBuf>> {
        unreachable!("in progress")
    }

    // snapshots
    /// Makes `upper/` and `work/` in the container's folder (or a plain copy, where overlayfs is not possible) and pins the
    /// image's layers for as long as the folder exists.
    pub fn create_snapshot(&self, container_dir: &Path, image: Option<&Digest>) -> Result<Rootfs> {
        unreachable!("in progress")
    }
    /// A detached mount (or the plain folder) of a container's root, for a container that is not running.
    pub fn mount(&self, rootfs: &Rootfs) -> Result<OwnedFd> {
        unreachable!("in progress")
    }
    /// A detached read-only mount of an image.
    pub fn mount_image(&self, id: &Digest) -> Result<OwnedFd> {
        unreachable!("in progress")
    }
    pub fn diff(&self, rootfs: &Rootfs) -> Result<Vec<Change>> {
        unreachable!("in progress")
    }
    /// Packs what a container changed into a layer blob.
    pub fn commit_layer(
        &self,
        rootfs: &Rootfs,
        compression: Compression,
    ) -> Result<(Descriptor, Digest /* diff id */)> {
        unreachable!("in progress")
    }
    /// Bytes of the container's own files.
    pub fn size_rw(&self, rootfs: &Rootfs) -> Result<u64> {
        unreachable!("in progress")
    }

    // archives
    pub fn export(&self, root: BorrowedFd<'_>, out: impl Write) -> Result<()> {
        unreachable!("in progress")
    }
    /// Makes an image from a root file system tar. `changes` are Dockerfile instructions.
    pub fn import(
        &self,
        archive: impl Read + Send,
        changes: &[String],
        message: &str,
        platform: &Platform,
        name: Option<&Reference>,
    ) -> Result<Digest> {
        unreachable!("in progress")
    }
    /// Writes images as docker-archive and OCI layout in one tar. `names` are names or ids as `image` takes them.
    pub fn save(&self, names: &[String], platforms: &[Platform], out: impl Write) -> Result<()> {
        unreachable!("in progress")
    }
    /// Reads a docker-archive or an OCI layout (outer gzip and zstd too).
    pub fn load(
        &self,
        archive: impl Read + Send,
        platforms: &[Platform],
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Vec<ImageRecord>> {
        unreachable!("in progress")
    }

    // volumes
    /// Creates a volume, or returns the existing one of that name. `None` makes an anonymous one.
    pub fn create_volume(
        &self,
        name: Option<&str>,
        driver: &str,
        options: &BTreeMap<String, String>,
        labels: &BTreeMap<String, String>,
    ) -> Result<Volume> {
        unreachable!("in progress")
    }
    pub fn volume(&self, name: &str) -> Result<Volume> {
        unreachable!("in progress")
    }
    pub fn volumes(&self) -> Result<Vec<Volume>> {
        unreachable!("in progress")
    }
    /// Whether containers use it is the caller's to know.
    pub fn remove_volume(&self, name: &str) -> Result<()> {
        unreachable!("in progress")
    }
    /// Its `_data` folder.
    pub fn volume_path(&self, name: &str) -> PathBuf {
        unreachable!("in progress")
    }
    pub fn volume_size(&self, name: &str) -> Result<u64> {
        unreachable!("in progress")
    }
    /// First use: if the volume is empty, copies what the image has at `path`, with owner and mode of that folder.
    pub fn copy_up(&self, name: &str, image_root: BorrowedFd<'_>, path: &str) -> Result<()> {
        unreachable!("in progress")
    }

    /// The image `hello:latest`, made from the running binary; cheap when it is there already.
    pub fn builtin_hello(&self, exe: &Path) -> Result<ImageRecord> {
        unreachable!("in progress")
    }
}

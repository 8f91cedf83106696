//! Unpacked layers: `layers/<chain id>/diff`, one folder for each layer on each parent, in overlayfs' form.
//!
//! ```text
//! stage    tar ─▶ tmp/layer-…/diff        needs no parent: all layers of an image at once
//! publish  settle on the parent ─▶ rename to layers/<chain id>     bottom-up
//! ```
//! Settling gives folders that no entry named the attributes they have below, and copies what hard links point at in lower
//! layers. A layer appears by one rename with everything in it; nothing is synced here (see `unsynced`).

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Mutex;

use image::{Digest, MediaType, chain_id};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, linkat, renameat_with, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::LayerInfo;
use crate::copy::{attributes, copy_node};
use crate::decompress::{plain, read_error};
use crate::error::{Context, Error, Result};
use crate::extract::{Attributes, Extractor, PendingLink, Purpose, join, set_opaque, show, split};
use crate::fsutil::{is_whiteout, lstat, make_whiteout, open_dir, open_plain, remove_tree, unique_name};
use crate::merged::Merged;
use crate::store::{Store, held};
use crate::tar::Reader;

/// `layer.json`.
#[derive(Serialize, Deserialize)]
struct Record {
    diff_id: Digest,
    parent: Option<Digest>,
    /// Bytes of its files.
    size: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    made_here: bool,
}

/// An unpacked layer that has no place yet; dropped, it is removed.
pub struct StagedLayer {
    pub(crate) store: Store,
    /// Below `tmp/`; `None` once it has its place.
    pub(crate) name: Option<String>,
    diff_id: Digest,
    size: u64,
    made_here: bool,
    /// Folders that no entry named.
    implied: Vec<Vec<u8>>,
    links: Vec<PendingLink>,
    /// Folders that pending links go into, with the attributes that creating them disturbs.
    disturbed: Vec<(Vec<u8>, Attributes)>,
    root_opaque: bool,
}

impl StagedLayer {
    pub fn diff_id(&self) -> &Digest {
        &self.diff_id
    }

    /// Bytes of its files.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Drop for StagedLayer {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = remove_tree(self.store.inner.tmp_fd(), name.as_bytes());
        }
    }
}

impl Store {
    /// Unpacks a layer without needing its parents: several layers of an image can be staged at once, in any order.
    ///
    /// What the stream is packed with is told by its first bytes; `media_type` may be wrong.
    ///
    /// # Errors
    /// `Digest` when the tar is not the one of `diff_id`, `Corrupt` for damaged streams and entries that must not be,
    /// `Io` (see [`Error::is_no_space`]) when the disk says no. Nothing is left behind.
    pub fn stage_layer(
        &self,
        diff_id: &Digest,
        _media_type: &MediaType,
        compressed: impl Read + Send,
    ) -> Result<StagedLayer> {
        self.stage(Some(diff_id), compressed)
            .map_err(|error| error.within(&format!("unpack layer {diff_id}")))
    }

    /// Stages a tar whose diff id is found out by it.
    pub(crate) fn stage(
        &self,
        expected: Option<&Digest>,
        compressed: impl Read + Send,
    ) -> Result<StagedLayer> {
        let (mut staged, root) = self.empty_stage()?;
        let (found, _) = plain(compressed, |plain| {
            let mut extractor = Extractor::new(root.as_fd(), b"", Purpose::Layer);
            let mut reader = Reader::new(plain);
            extractor.extract(&mut reader)?;
            let digest = reader.into_input().finish().map_err(read_error)?;
            extractor.finish()?;
            staged.take(extractor);
            Ok(digest)
        })?;
        if let Some(expected) = expected.filter(|expected| **expected != found) {
            return Err(Error::Digest { what: "tar".to_owned(), expected: expected.clone(), found });
        }
        staged.diff_id = found;
        Ok(staged)
    }

    /// Stages a folder that is filled otherwise; `fill` tells its diff id and the bytes of its files. Made so that packing it
    /// always gives that diff id.
    pub(crate) fn stage_made(
        &self,
        fill: impl FnOnce(BorrowedFd<'_>) -> Result<(Digest, u64)>,
    ) -> Result<StagedLayer> {
        let (mut staged, root) = self.empty_stage()?;
        (staged.diff_id, staged.size) = fill(root.as_fd())?;
        staged.made_here = true;
        Ok(staged)
    }

    fn empty_stage(&self) -> Result<(StagedLayer, OwnedFd)> {
        let name = format!("layer-{}", unique_name());
        let path = self.inner.tmp_path(&name);
        let staged = StagedLayer {
            store: self.clone(),
            name: Some(name),
            diff_id: Digest::sha256(b""),
            size: 0,
            made_here: false,
            implied: Vec::new(),
            links: Vec::new(),
            disturbed: Vec::new(),
            root_opaque: false,
        };
        let root = make_folders(&path)?;
        Ok((staged, root))
    }

    /// Settles a staged layer on its parent, which must be published, and makes it visible. If the same layer was published
    /// meanwhile, that one is used.
    pub fn publish_layer(&self, parent: Option<&Digest>, mut staged: StagedLayer) -> Result<LayerInfo> {
        let chain = chain_id(parent, &staged.diff_id);
        let what = format!("publish layer {}", staged.diff_id);
        let context = || what.clone();
        self.inner.protect_layer(&chain);
        if let Some(layer) = self.layer(&chain) {
            return Ok(layer);
        }
        let parents = match parent {
            Some(parent) => self.chain_of(parent).map_err(|error| error.within(&context()))?,
            None => Vec::new(),
        };
        let path = staged.settle_in_place(&parents).map_err(|error| error.within(&context()))?;
        let (diff_id, parent) = (staged.diff_id.clone(), parent.cloned());
        let record = Record { diff_id, parent, size: staged.size, made_here: staged.made_here };
        let record = serde_json::to_vec(&record).map_err(|error| Error::corrupt_by(context(), error))?;
        std::fs::write(path.join("layer.json"), record).context(context)?;
        self.inner.mark_layer(&chain)?;
        let target = self.inner.layer_dir(&chain);
        let cwd = rustix::fs::CWD;
        match renameat_with(cwd, &path, cwd, &target, RenameFlags::NOREPLACE) {
            Ok(()) => staged.name = None,
            // Another thread was quicker; ours is removed by the drop.
            Err(Errno::EXIST) if self.layer(&chain).is_some() => {}
            Err(Errno::EXIST) => staged.replace(&chain)?,
            Err(errno) => return Err(Error::io(context(), errno)),
        }
        self.inner.layer_is_sound(&chain)?;
        self.layer(&chain).ok_or_else(|| Error::corrupt(format!("layer {chain} has no readable record")))
    }

    /// Stages and publishes; the parent must be here.
    pub fn unpack_layer(
        &self,
        parent: Option<&Digest>,
        diff_id: &Digest,
        media_type: &MediaType,
        compressed: impl Read + Send,
    ) -> Result<LayerInfo> {
        let chain = chain_id(parent, diff_id);
        self.inner.protect_layer(&chain);
        if let Some(layer) = self.layer(&chain) {
            return Ok(layer);
        }
        let staged = self.stage_layer(diff_id, media_type, compressed)?;
        self.publish_layer(parent, staged)
    }

    /// A layer that is here, by its chain id.
    pub fn layer(&self, chain: &Digest) -> Option<LayerInfo> {
        if self.inner.layer_is_damaged(chain) { None } else { self.layer_or_damaged(chain) }
    }

    /// As [`Store::layer`], also when it is known to be damaged: for whoever must know what is below it.
    pub(crate) fn layer_or_damaged(&self, chain: &Digest) -> Option<LayerInfo> {
        if let Some(layer) = held(&self.inner.layers).get(chain) {
            return Some(layer.clone());
        }
        let folder = self.inner.layer_dir(chain);
        let record: Record = serde_json::from_slice(&std::fs::read(folder.join("layer.json")).ok()?).ok()?;
        let layer = LayerInfo {
            chain_id: chain.clone(),
            diff_id: record.diff_id,
            parent: record.parent,
            path: folder.join("diff"),
            size: record.size,
            made_here: record.made_here,
        };
        held(&self.inner.layers).insert(chain.clone(), layer.clone());
        Some(layer)
    }

    /// A layer and those below it, top-most first.
    pub(crate) fn chain_of(&self, chain: &Digest) -> Result<Vec<LayerInfo>> {
        self.stack(chain, Store::layer)
    }

    /// As [`Store::chain_of`], also when some are known to be damaged.
    pub(crate) fn chain_or_damaged(&self, chain: &Digest) -> Result<Vec<LayerInfo>> {
        self.stack(chain, Store::layer_or_damaged)
    }

    fn stack(
        &self,
        chain: &Digest,
        look: fn(&Store, &Digest) -> Option<LayerInfo>,
    ) -> Result<Vec<LayerInfo>> {
        let mut layers: Vec<LayerInfo> = Vec::new();
        let mut next = Some(chain.clone());
        while let Some(chain) = next {
            let layer = look(self, &chain);
            let layer = layer.ok_or_else(|| Error::NotFound(format!("layer {chain} is not unpacked")))?;
            next = layer.parent.clone();
            layers.push(layer);
        }
        Ok(layers)
    }

    /// Unpacks from their blobs whichever layers of an image are missing.
    pub fn ensure_layers(&self, id: &Digest) -> Result<()> {
        let config = self.config(id)?;
        let chains = config.chain_ids();
        if chains.iter().all(|chain| self.has_layer(chain)) {
            return Ok(());
        }
        self.unpack_manifest(&self.image_by_id(id)?.manifest)
    }

    /// As [`Store::ensure_layers`], for an image that has no name yet.
    pub(crate) fn unpack_manifest(&self, manifest: &Digest) -> Result<()> {
        self.unpack_manifest_with(manifest, &mut |_, _, _| {})
    }

    /// Unpacks the missing layers, several at once; tells layer, bytes read and bytes in all.
    pub(crate) fn unpack_manifest_with(
        &self,
        manifest: &Digest,
        progress: &mut dyn FnMut(&Digest, u64, u64),
    ) -> Result<()> {
        let manifest = self.manifest(manifest)?;
        let config = self.config(&manifest.config.digest)?;
        let chains = config.chain_ids();
        for chain in &chains {
            self.inner.protect_layer(chain);
        }
        let missing: Vec<usize> =
            (0..chains.len().min(manifest.layers.len())).filter(|at| !self.has_layer(&chains[*at])).collect();
        let jobs = missing.iter().map(|at| {
            let (layer, diff_id) = (&manifest.layers[*at], &config.rootfs.diff_ids[*at]);
            move |tell: &Tell<'_>| {
                let blob =
                    Counted { inner: self.open_blob(&layer.digest)?, total: layer.size, read: 0, tell };
                self.stage_layer(diff_id, &layer.media_type, blob)
            }
        });
        let staged = in_parallel(jobs.collect(), &mut |job, current, total| {
            progress(&config.rootfs.diff_ids[missing[job]], current, total);
        })?;
        for (at, staged) in missing.iter().zip(staged) {
            self.publish_layer(at.checked_sub(1).map(|below| &chains[below]), staged)?;
        }
        Ok(())
    }

    /// Layer folders of an image, top-most first, ready for overlayfs.
    pub fn chain_paths(&self, id: &Digest) -> Result<Vec<PathBuf>> {
        self.ensure_layers(id)?;
        let config = self.config(id)?;
        let Some(top) = config.chain_ids().pop() else { return Ok(Vec::new()) };
        Ok(self.chain_of(&top)?.into_iter().map(|layer| layer.path).collect())
    }
}

/// How a job tells its bytes read and in all.
type Tell<'a> = dyn Fn(u64, u64) + Sync + 'a;

/// Runs jobs on as many threads as there are processors; results in the order of the jobs. The first error ends it.
fn in_parallel<T: Send, J: FnOnce(&Tell<'_>) -> Result<T> + Send>(
    jobs: Vec<J>,
    progress: &mut dyn FnMut(usize, u64, u64),
) -> Result<Vec<T>> {
    let workers = std::thread::available_parallelism().map_or(2, usize::from).min(jobs.len());
    let count = jobs.len();
    let queue = Mutex::new(jobs.into_iter().enumerate());
    let (results, finished) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (queue, results) = (&queue, results.clone());
            scope.spawn(move || {
                loop {
                    let Some((at, job)) = held(queue).next() else { return };
                    // Nobody listening any more: another job has failed.
                    let tell = |current, total| drop(results.send((at, Event::Progress(current, total))));
                    if results.send((at, Event::Done(job(&tell)))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(results);
        let mut done: Vec<Option<T>> = (0..count).map(|_| None).collect();
        let mut failed = None;
        for (at, event) in finished {
            match event {
                Event::Progress(current, total) => progress(at, current, total),
                Event::Done(Ok(value)) => done[at] = Some(value),
                Event::Done(Err(error)) => {
                    // No new jobs; those at work end by themselves.
                    held(&queue).by_ref().for_each(drop);
                    failed.get_or_insert(error);
                }
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(done.into_iter().flatten().collect()),
        }
    })
}

enum Event<T> {
    Progress(u64, u64),
    Done(Result<T>),
}

/// Tells how far a blob has been read, every few hundred kilobytes.
struct Counted<'a> {
    inner: std::fs::File,
    total: u64,
    read: u64,
    tell: &'a Tell<'a>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        const STEP: u64 = 512 * 1024;
        let count = self.inner.read(buffer)?;
        let before = self.read / STEP;
        self.read += count as u64;
        if self.read / STEP != before || (count == 0 && self.read > 0) {
            (self.tell)(self.read, self.total);
        }
        Ok(count)
    }
}

/// Makes `path/diff` with nothing inherited from where it lies.
fn make_folders(path: &std::path::Path) -> Result<OwnedFd> {
    let context = || format!("create folder {}", path.display());
    std::fs::create_dir(path).context(context)?;
    let diff = path.join("diff");
    std::fs::create_dir(&diff).context(context)?;
    let _ = rustix::fs::removexattr(&diff, c"system.posix_acl_default");
    // 0755 and root's, as on every engine: the set-group-id bit and the umask are the host's business.
    rustix::fs::chmod(&diff, Mode::from_raw_mode(0o755)).context(context)?;
    open_dir(&diff).context(context)
}

impl StagedLayer {
    fn take(&mut self, extractor: Extractor<'_>) {
        self.size = extractor.size;
        self.root_opaque = extractor.root_opaque;
        for (path, folder) in &extractor.dirs {
            if folder.attributes.is_none() && folder.plain {
                self.implied.push(path.clone());
            }
        }
        self.implied.sort();
        for link in &extractor.links {
            let (parent, _) = split(&link.path);
            let attributes = extractor.dirs.get(parent).and_then(|folder| folder.attributes.clone());
            if let Some(attributes) = attributes {
                self.disturbed.push((parent.to_vec(), attributes));
            }
        }
        self.links = extractor.links;
    }

    /// Settles the layer where it is; its folder below `tmp/`.
    fn settle_in_place(&mut self, parents: &[LayerInfo]) -> Result<PathBuf> {
        let name = self.name.as_ref().ok_or_else(|| Error::corrupt("the layer has its place already"))?;
        let path = self.store.inner.tmp_path(name);
        self.settle(&path.join("diff"), parents)?;
        Ok(path)
    }

    /// Settles a layer that is not to be published; its files, which go when it is dropped.
    pub(crate) fn files_on(&mut self, parents: &[LayerInfo]) -> Result<PathBuf> {
        Ok(self.settle_in_place(parents)?.join("diff"))
    }

    fn settle(&mut self, diff: &std::path::Path, parents: &[LayerInfo]) -> Result<()> {
        if self.implied.is_empty() && self.links.is_empty() && !self.root_opaque {
            return Ok(());
        }
        let paths: Vec<PathBuf> = parents.iter().map(|layer| layer.path.clone()).collect();
        let below = Merged::open(&paths)?;
        let root = open_dir(diff).context(|| format!("open {}", diff.display()))?;
        if self.root_opaque {
            hide_all(&root, &below)?;
        }
        let links = std::mem::take(&mut self.links);
        for link in &links {
            self.size += settle_link(&root, &below, link, self.root_opaque)?;
        }
        for path in self.implied.iter().filter(|_| !self.root_opaque) {
            inherit(&root, &below, path)?;
        }
        for (path, attributes) in &self.disturbed {
            let folder = open_plain(root.as_fd(), path, OFlags::RDONLY | OFlags::DIRECTORY);
            folder
                .and_then(|folder| attributes.apply_to_open(folder.as_fd()))
                .context(|| format!("entry {}: set attributes", show(path)))?;
        }
        Ok(())
    }
}

/// Overlayfs does not look for an opaque mark on a layer's root: write the whiteouts out.
fn hide_all(root: &OwnedFd, below: &Merged) -> Result<()> {
    for (name, _) in below.list(b"")? {
        let context = || format!("entry {}: create whiteout", show(&name));
        match make_whiteout(root.as_fd(), &name) {
            Ok(()) => continue,
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::io(context(), errno)),
        }
        let stat = lstat(root.as_fd(), &name).context(context)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let folder = open_plain(root.as_fd(), &name, OFlags::RDONLY | OFlags::DIRECTORY);
            folder.and_then(|folder| set_opaque(folder.as_fd())).context(context)?;
        }
    }
    Ok(())
}

/// Makes the file that a hard link into a lower layer needs; the bytes it adds.
fn settle_link(root: &OwnedFd, below: &Merged, link: &PendingLink, opaque: bool) -> Result<u64> {
    let (parent, name) = split(&link.path);
    let context = || format!("entry {}: create hard link to {}", show(&link.path), show(&link.target));
    let folder = open_plain(root.as_fd(), parent, OFlags::PATH | OFlags::DIRECTORY).context(context)?;
    match lstat(folder.as_fd(), name) {
        Ok(stat) if is_whiteout(&stat) => unlinkat(&folder, name, AtFlags::empty()).context(context)?,
        _ => {}
    }
    // A link before this one may have brought the file into this layer.
    let (target_parent, target_name) = split(&link.target);
    if let Ok(own) = open_plain(root.as_fd(), target_parent, OFlags::PATH | OFlags::DIRECTORY)
        && let Ok(stat) = lstat(own.as_fd(), target_name)
        && !is_whiteout(&stat)
    {
        linkat(&own, target_name, &folder, name, AtFlags::empty()).context(context)?;
        return Ok(0);
    }
    let found = if opaque { None } else { below.find(&link.target)? };
    let found = match found {
        Some(found) if found.kind() != FileType::Directory => found,
        Some(_) => return Err(Error::corrupt(format!("{}: that is a directory", context()))),
        None => return Err(Error::corrupt(format!("{}: there is no such file in any layer", context()))),
    };
    let source = open_plain(below.layer(found.layer), target_parent, OFlags::PATH | OFlags::DIRECTORY);
    let source = source.context(context)?;
    copy_node(source.as_fd(), target_name, &found.stat, folder.as_fd(), name).context(context)?;
    Ok(found.stat.st_size as u64)
}

/// Gives a folder that no entry named the attributes it has below.
fn inherit(root: &OwnedFd, below: &Merged, path: &[u8]) -> Result<()> {
    let context = || format!("entry {}: set attributes", show(path));
    let Some(found) = below.find(path)?.filter(|found| found.kind() == FileType::Directory) else {
        return Ok(());
    };
    let lower =
        open_plain(below.layer(found.layer), path, OFlags::RDONLY | OFlags::DIRECTORY).context(context)?;
    let attributes = attributes(lower.as_fd(), b".", &found.stat).context(context)?;
    let (parent, name) = split(path);
    let folder = open_plain(root.as_fd(), &join(parent, name), OFlags::RDONLY | OFlags::DIRECTORY);
    folder.and_then(|folder| attributes.apply_to_open(folder.as_fd())).context(context)
}

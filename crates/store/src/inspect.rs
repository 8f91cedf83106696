//! Images looked at like commits: what each layer brought, what differs between two images, which images share layers.
//!
//! Everything is told from the unpacked layers and the configurations; nothing is mounted and nothing is written.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::AsFd;

use image::Digest;
use rustix::fs::FileType;

use crate::browse::info;
use crate::diff::overlay_changes;
use crate::error::{Context, Result};
use crate::extract::{join, show};
use crate::fsutil::open_dir;
use crate::merged::{Found, Merged, host_path};
use crate::store::Store;
use crate::{
    ChangeKind, FileChange, FileInfo, FileKind, ImageRecord, ImageStep, LayerChange, LayerInfo, LayerNode,
};

const BUFFER: usize = 128 * 1024;

impl Store {
    /// The steps an image was made by, newest first, each with the layer it made and what that changed.
    pub fn image_log(&self, id: &Digest) -> Result<Vec<ImageStep>> {
        self.ensure_layers(id)?;
        let config = self.config(id)?;
        let mut layers = Vec::new();
        for chain in config.chain_ids() {
            layers.extend(self.chain_of(&chain)?.into_iter().next());
        }
        let mut layers = layers.into_iter();
        let mut steps = Vec::new();
        for step in &config.history {
            let layer = if step.empty_layer { None } else { layers.next() };
            steps.push(ImageStep {
                created: step.created.as_ref().and_then(|time| time.parse().ok()),
                created_by: step.created_by.clone(),
                comment: step.comment.clone(),
                changes: layer.as_ref().map_or(Ok(Vec::new()), |layer| self.layer_changes(layer))?,
                layer,
            });
        }
        // A configuration may tell less than there is.
        for layer in layers {
            let changes = self.layer_changes(&layer)?;
            steps.push(ImageStep { layer: Some(layer), changes, ..ImageStep::default() });
        }
        steps.reverse();
        Ok(steps)
    }

    /// What one layer changes of those below it, sorted by path.
    fn layer_changes(&self, layer: &LayerInfo) -> Result<Vec<LayerChange>> {
        let below = match &layer.parent {
            Some(parent) => self.chain_of(parent)?.into_iter().map(|layer| layer.path).collect(),
            None => Vec::new(),
        };
        let folder = open_dir(&layer.path).context(|| format!("open {}", layer.path.display()))?;
        let changes = overlay_changes(&Merged::open(&below)?, folder.as_fd())?;
        let own = Merged::open(std::slice::from_ref(&layer.path))?;
        let change = |(path, kind): (Vec<u8>, ChangeKind)| {
            let found = if kind == ChangeKind::Deleted { None } else { own.find(&path)? };
            let size = found.filter(|found| found.kind() == FileType::RegularFile);
            let size = size.map_or(0, |found| found.stat.st_size as u64);
            Ok(LayerChange { path: host_path("/".as_ref(), &path), kind, size })
        };
        changes.into_iter().map(change).collect()
    }

    /// Files that differ between two images, sorted by path.
    pub fn image_diff(&self, before: &Digest, after: &Digest) -> Result<Vec<FileChange>> {
        let before = Merged::open(&self.chain_paths(before)?)?;
        let after = Merged::open(&self.chain_paths(after)?)?;
        let mut changes = Vec::new();
        Comparison { before: &before, after: &after, changes: &mut changes }.folder(b"")?;
        Ok(changes)
    }

    /// The layers of all images as a forest: a layer's children are the layers that were put on it.
    pub fn layer_tree(&self) -> Result<Vec<LayerNode>> {
        let mut on_top: BTreeMap<Option<Digest>, Vec<ImageRecord>> = BTreeMap::new();
        let mut layers: BTreeMap<Option<Digest>, BTreeMap<Digest, LayerInfo>> = BTreeMap::new();
        for record in self.images()? {
            let chains = self.config(&record.id)?.chain_ids();
            for layer in chains.iter().filter_map(|chain| self.layer(chain)) {
                layers.entry(layer.parent.clone()).or_default().insert(layer.chain_id.clone(), layer);
            }
            on_top.entry(chains.last().cloned()).or_default().push(record);
        }
        Ok(nodes(None, &mut layers, &mut on_top))
    }
}

fn nodes(
    parent: Option<&Digest>,
    layers: &mut BTreeMap<Option<Digest>, BTreeMap<Digest, LayerInfo>>,
    on_top: &mut BTreeMap<Option<Digest>, Vec<ImageRecord>>,
) -> Vec<LayerNode> {
    let children = layers.remove(&parent.cloned()).unwrap_or_default();
    let node = |(chain, layer): (Digest, LayerInfo)| {
        let children = nodes(Some(&chain), layers, on_top);
        LayerNode { layer, images: on_top.remove(&Some(chain)).unwrap_or_default(), children }
    };
    children.into_iter().map(node).collect()
}

/// Two merged trees walked side by side.
struct Comparison<'a> {
    before: &'a Merged,
    after: &'a Merged,
    changes: &'a mut Vec<FileChange>,
}

impl Comparison<'_> {
    fn folder(&mut self, path: &[u8]) -> Result<()> {
        let mut names: BTreeMap<Vec<u8>, (Option<Found>, Option<Found>)> = BTreeMap::new();
        for (name, found) in self.before.list(path)? {
            names.entry(name).or_default().0 = Some(found);
        }
        for (name, found) in self.after.list(path)? {
            names.entry(name).or_default().1 = Some(found);
        }
        for (name, (before, after)) in names {
            self.entry(&join(path, &name), before, after)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &[u8], before: Option<Found>, after: Option<Found>) -> Result<()> {
        let is_folder =
            |found: &Option<Found>| found.as_ref().is_some_and(|found| found.kind() == FileType::Directory);
        let (was_folder, is_now) = (is_folder(&before), is_folder(&after));
        let kind = match (&before, &after) {
            (None, Some(_)) => ChangeKind::Added,
            (Some(_), None) => ChangeKind::Deleted,
            _ => ChangeKind::Modified,
        };
        // The very same inode, out of a layer that both have.
        let same_inode = match (&before, &after) {
            (Some(a), Some(b)) => (a.stat.st_dev, a.stat.st_ino) == (b.stat.st_dev, b.stat.st_ino),
            _ => false,
        };
        if !same_inode {
            let describe = |merged: &Merged, found: Option<Found>| {
                found.map(|found| info(merged, &found, path)).transpose()
            };
            let content = match (&before, &after) {
                (Some(a), Some(b)) if !was_folder && !is_now => !self.same_content(path, a, b)?,
                _ => !(was_folder && is_now),
            };
            let before = describe(self.before, before)?;
            let after = describe(self.after, after)?;
            if content || !same_attributes(&before, &after) {
                let path = host_path("/".as_ref(), path);
                self.changes.push(FileChange { path, kind, before, after, content });
            }
        }
        if was_folder || is_now {
            self.folder(path)?;
        }
        Ok(())
    }

    fn same_content(&self, path: &[u8], before: &Found, after: &Found) -> Result<bool> {
        if before.kind() != after.kind() || before.stat.st_size != after.stat.st_size {
            return Ok(false);
        }
        match before.kind() {
            FileType::RegularFile => {
                let a = self.before.open_found(before, path)?;
                let b = self.after.open_found(after, path)?;
                same_bytes(a.into(), b.into()).context(|| format!("read {}", show(path)))
            }
            FileType::Symlink => {
                Ok(self.before.read_link(before, path)? == self.after.read_link(after, path)?)
            }
            _ => Ok(before.stat.st_rdev == after.stat.st_rdev),
        }
    }
}

/// Whether owner and mode are the same too. Times of files don't count: two builds of the same file are the same file.
fn same_attributes(before: &Option<FileInfo>, after: &Option<FileInfo>) -> bool {
    let shown = |file: &FileInfo| (file.kind, file.mode, file.uid, file.gid);
    before.as_ref().map(shown) == after.as_ref().map(shown)
}

/// Compares two files of one length.
pub(crate) fn same_bytes(mut a: std::fs::File, mut b: std::fs::File) -> std::io::Result<bool> {
    let (mut left, mut right) = (vec![0; BUFFER], vec![0; BUFFER]);
    loop {
        let count = a.read(&mut left)?;
        if count == 0 {
            return Ok(b.read(&mut right)? == 0);
        }
        match b.read_exact(&mut right[..count]) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
            other => other?,
        }
        if left[..count] != right[..count] {
            return Ok(false);
        }
    }
}

impl FileInfo {
    /// Whether it has bytes that can be compared line by line.
    pub fn is_regular(&self) -> bool {
        self.kind == FileKind::File
    }
}

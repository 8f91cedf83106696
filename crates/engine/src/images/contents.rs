//! Images looked into and compared, without a container: steps, differences, shared layers, files, damage. The store finds it
//! out; here it becomes what goes over the wire.

use std::path::Path;

use ::image::{Digest, Reference};
use api::*;
use bytes::Bytes;
use store::{ChangeKind, Damage, DamagedPart, FileInfo, FileKind, ImageStep, LayerInfo, LayerNode, Store};
use tokio::sync::mpsc;

use crate::Engine;
use crate::blocking::blocking;
use crate::error::{Error, Result};
use crate::pipe::PipeWriter;

impl Engine {
    /// The steps an image was made by, newest first.
    pub async fn image_log(&self, name: &str, query: ImageLogQuery) -> Result<Vec<ImageLogStep>> {
        let steps = self.of_image(name, |store, id| Ok(store.image_log(id)?)).await?;
        Ok(steps.into_iter().map(|each| step(each, query.changes)).collect())
    }

    /// What differs in another image.
    pub async fn image_diff(&self, name: &str, query: ImageDiffQuery) -> Result<Vec<ImageFileChange>> {
        let ImageDiffQuery { to, path } = query;
        let changes = self.of_image(name, move |store, id| {
            let mut changes = store.image_diff(id, &store.image(&to)?.id)?;
            let below = Path::new("/").join(path);
            changes.retain(|change| change.path.starts_with(&below));
            Ok(changes)
        });
        let change = |change: store::FileChange| ImageFileChange {
            path: text(&change.path),
            kind: change.kind as u64,
            content: change.content,
            before: change.before.map(file),
            after: change.after.map(file),
        };
        Ok(changes.await?.into_iter().map(change).collect())
    }

    /// The layers of all images, each before those on top of it.
    pub async fn image_tree(&self) -> Result<Vec<ImageTreeLayer>> {
        let store = self.store.clone();
        let forest = blocking(move || Ok(store.layer_tree()?)).await?;
        let mut layers = Vec::new();
        flatten(forest, &mut layers);
        Ok(layers)
    }

    /// What is in a folder of an image, or the one file.
    pub async fn image_files(&self, name: &str, query: ImagePathQuery) -> Result<Vec<ImageFile>> {
        let files = self.of_image(name, move |store, id| Ok(store.list_files(id, &query.path)?));
        Ok(files.await?.into_iter().map(file).collect())
    }

    /// The bytes of a file in an image.
    pub async fn image_file(
        &self,
        name: &str,
        query: ImagePathQuery,
    ) -> Result<mpsc::Receiver<Result<Bytes>>> {
        let mut file = self.of_image(name, move |store, id| Ok(store.open_file(id, &query.path)?)).await?;
        let (mut writer, pieces) = PipeWriter::new();
        tokio::task::spawn_blocking(move || {
            let outcome = std::io::copy(&mut file, &mut writer);
            writer
                .finish(outcome.map(|_| ()).map_err(|error| Error::host("read a file of the image", error)));
        });
        Ok(pieces)
    }

    /// Everything of an image that is missing or not what it should be.
    pub async fn image_verify(&self, name: &str) -> Result<Vec<ImageDamage>> {
        let damage = self.of_image(name, |store, id| Ok(store.verify_image(id)?)).await?;
        Ok(damage.into_iter().map(damaged).collect())
    }

    async fn of_image<T: Send + 'static>(
        &self,
        name: &str,
        look: impl FnOnce(&Store, &Digest) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (store, name) = (self.store.clone(), name.to_owned());
        blocking(move || look(&store, &store.image(&name)?.id)).await
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn step(step: ImageStep, with_changes: bool) -> ImageLogStep {
    let count = |kind| step.changes.iter().filter(|change| change.kind == kind).count() as u64;
    let change = |change: &store::LayerChange| ImageLayerChange {
        path: text(&change.path),
        kind: change.kind as u64,
        size: change.size,
    };
    ImageLogStep {
        created: step.created.map(|time| time.to_string()).unwrap_or_default(),
        added: count(ChangeKind::Added),
        modified: count(ChangeKind::Modified),
        deleted: count(ChangeKind::Deleted),
        changes: with_changes.then(|| step.changes.iter().map(change).collect()),
        created_by: step.created_by,
        comment: step.comment,
        layer: step.layer.map(layer),
    }
}

fn layer(layer: LayerInfo) -> ImageLayer {
    ImageLayer {
        chain_id: layer.chain_id.to_string(),
        diff_id: layer.diff_id.to_string(),
        parent: layer.parent.map(|parent| parent.to_string()).unwrap_or_default(),
        size: layer.size,
    }
}

fn flatten(nodes: Vec<LayerNode>, layers: &mut Vec<ImageTreeLayer>) {
    for node in nodes {
        let images = node.images.into_iter().map(|record| ImageName {
            id: record.id.to_string(),
            repo_tags: record.names.iter().map(Reference::familiar).collect(),
        });
        layers.push(ImageTreeLayer { images: images.collect(), layer: layer(node.layer) });
        flatten(node.children, layers);
    }
}

fn file(file: FileInfo) -> ImageFile {
    let (typ, device) = match file.kind {
        FileKind::File => ("file", None),
        FileKind::Directory => ("directory", None),
        FileKind::Symlink => ("symlink", None),
        FileKind::CharDevice(major, minor) => ("char", Some((major, minor))),
        FileKind::BlockDevice(major, minor) => ("block", Some((major, minor))),
        FileKind::Fifo => ("fifo", None),
        FileKind::Socket => ("socket", None),
    };
    ImageFile {
        path: text(&file.path),
        typ: typ.to_owned(),
        mode: file.mode,
        uid: file.uid,
        gid: file.gid,
        size: file.size,
        modified: file.modified.to_string(),
        link_target: file.link_target.as_deref().map(text).unwrap_or_default(),
        device: device.map(|(major, minor)| format!("{major}:{minor}")).unwrap_or_default(),
    }
}

fn damaged(damage: Damage) -> ImageDamage {
    let problem = damage.problem;
    match damage.part {
        DamagedPart::Blob(blob) => ImageDamage { blob: blob.to_string(), problem, ..ImageDamage::default() },
        DamagedPart::Layer(chain) => {
            ImageDamage { layer: chain.to_string(), problem, ..ImageDamage::default() }
        }
        DamagedPart::File { layer, path } => {
            ImageDamage { layer: layer.to_string(), path: text(&path), problem, ..ImageDamage::default() }
        }
    }
}

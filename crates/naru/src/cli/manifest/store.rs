//! Lists in the making: a folder for each, a file for each manifest, named as the stock client names them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use image::Reference;

use super::super::{Context, Failure};
use super::model::ImageManifest;

/// All lists of a user.
pub struct Store {
    folder: PathBuf,
}

impl Store {
    pub fn new(context: &Context) -> Self {
        Self { folder: context.config_dir().join("manifests") }
    }

    /// The manifests of a list, by the names of their files; `None` when there is no such list.
    pub fn list(&self, list: &Reference) -> anyhow::Result<Option<Vec<ImageManifest>>> {
        let folder = self.list_folder(list);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries.with_context(|| format!("read {}", folder.display()))?,
        };
        let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        paths.iter().map(|path| read(path)).collect::<anyhow::Result<_>>().map(Some)
    }

    /// One manifest of a list.
    pub fn get(&self, list: &Reference, manifest: &Reference) -> anyhow::Result<Option<ImageManifest>> {
        let path = self.list_folder(list).join(safe(&manifest.to_string()));
        match path.exists() {
            true => read(&path).map(Some),
            false => Ok(None),
        }
    }

    /// Adds a manifest to a list, or replaces it.
    pub fn save(&self, list: &Reference, manifest: &Reference, value: &ImageManifest) -> anyhow::Result<()> {
        let folder = self.list_folder(list);
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let path = folder.join(safe(&manifest.to_string()));
        let partial = folder.with_extension(format!("{}.partial", std::process::id()));
        fs::write(&partial, serde_json::to_vec(value)?)
            .and_then(|()| fs::rename(&partial, &path))
            .with_context(|| format!("write {}", path.display()))
    }

    /// Forgets a list.
    pub fn remove(&self, list: &Reference) -> anyhow::Result<()> {
        let folder = self.list_folder(list);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Failure::new(1, format!("No such manifest: {list}")).into())
            }
            done => done.with_context(|| format!("remove {}", folder.display())),
        }
    }

    fn list_folder(&self, list: &Reference) -> PathBuf {
        self.folder.join(safe(&list.to_string()))
    }
}

fn read(path: &Path) -> anyhow::Result<ImageManifest> {
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("read {}", path.display()))
}

/// A name without what file names should not have.
fn safe(name: &str) -> String {
    name.replace(':', "-").replace('/', "_")
}

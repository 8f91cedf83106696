//! The state root: one folder for each container, named by its id.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::container::Container;
use super::error::{Error, Result};
use super::record::Record;
use crate::Outside;

/// See the module.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    /// Who runs hooks where this process came from.
    pub(super) outside: Option<Arc<Outside>>,
}

pub(super) const RECORD: &str = "state.json";

impl Store {
    /// The state root at `root`, made when the first container is.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), outside: None }
    }

    /// The same one, for a process that has left the runtime's namespaces.
    pub fn with_outside(&self, outside: Option<Outside>) -> Self {
        Self { root: self.root.clone(), outside: outside.map(Arc::new) }
    }

    pub(super) fn outside(&self) -> Option<&Outside> {
        self.outside.as_deref()
    }

    /// The folder of a container, whether it exists or not.
    pub(super) fn folder(&self, id: &str) -> Result<PathBuf> {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_+-.".contains(letter);
        if id.is_empty() || id == "." || id == ".." || !id.chars().all(is_plain) {
            return Err(Error::InvalidId);
        }
        Ok(self.root.join(id))
    }

    /// Takes an id: nobody else can have it from now on.
    pub(super) fn claim(&self, id: &str) -> Result<PathBuf> {
        let folder = self.folder(id)?;
        let doing = || Error::io(format!("create {}", folder.display()));
        match make_private(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                std::fs::create_dir_all(&self.root).map_err(doing())?;
                make_private(&folder).map_err(doing())?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Err(Error::Exists),
            result => result.map_err(doing())?,
        }
        Ok(folder)
    }

    /// The container `id`.
    pub fn open(&self, id: &str) -> Result<Container> {
        let folder = self.folder(id)?;
        let record = read(&folder)?;
        Ok(Container { folder, record })
    }

    /// Whether something is left of a container that was never written down.
    pub(super) fn is_claimed(&self, id: &str) -> bool {
        self.folder(id).is_ok_and(|folder| folder.is_dir())
    }

    /// All containers, by id. One that goes while we look is left out.
    pub fn list(&self) -> Result<Vec<Container>> {
        let entries = match std::fs::read_dir(&self.root) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result.map_err(Error::io(format!("read {}", self.root.display())))?,
        };
        let mut ids: Vec<String> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        ids.sort();
        Ok(ids.iter().filter_map(|id| self.open(id).ok()).collect())
    }
}

fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(folder)
}

fn read(folder: &Path) -> Result<Record> {
    let file = folder.join(RECORD);
    let text = match std::fs::read(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Error::NotFound),
        result => result.map_err(Error::io(format!("read {}", file.display())))?,
    };
    serde_json::from_slice(&text).map_err(|error| Error::Io {
        doing: format!("read {}", file.display()),
        source: std::io::Error::new(std::io::ErrorKind::InvalidData, error.to_string()),
    })
}

/// Writes the record for every reader at once. Not for the next boot, which no container survives.
pub(super) fn write(folder: &Path, record: &Record) -> Result<()> {
    let file = folder.join(RECORD);
    serde_json::to_vec(record)
        .map_err(std::io::Error::from)
        .and_then(|bytes| sys::fsutil::write_atomic(&file, &bytes))
        .map_err(Error::io(format!("write {}", file.display())))
}

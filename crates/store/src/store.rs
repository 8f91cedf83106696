//! The store's root: its folders, its lock, what it keeps in memory, and what it does when it is opened.
//!
//! ```text
//! images/   OCI image layout: oci-layout, index.json, blobs/<algorithm>/<hex>
//! layers/   <chain id hex>/{layer.json, diff/}
//! ingest/   <algorithm>-<hex>: downloads that can be resumed
//! unsynced/ one empty file per blob and layer that may still be in the page cache only
//! damaged/  one empty file per blob and layer that was found to be damaged
//! places/   <diff id hex>: which repositories have a layer, see `places`
//! tmp/      everything in the making; emptied when the store is opened
//! volumes/  <name>/{volume.json, _data/}
//! lock      held by the one process that has the store open
//! ```

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use image::{Digest, ImageConfig, Manifest};
use rustix::fs::FlockOperation;

use crate::error::{Context, Error, Result};
use crate::fsutil::{self, open_dir, remove_tree};
use crate::lease::Leases;
use crate::names::Names;
use crate::{LayerInfo, unsynced};

/// The store. Cheap to clone; every method blocks and may be called from any thread.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub root: PathBuf,
    pub root_fd: OwnedFd,
    pub tmp: OwnedFd,
    pub unsynced: OwnedFd,
    pub names: Mutex<Names>,
    pub configs: Mutex<HashMap<Digest, Arc<ImageConfig>>>,
    pub manifests: Mutex<HashMap<Digest, Arc<Manifest>>>,
    pub layers: Mutex<HashMap<Digest, LayerInfo>>,
    /// Marks of damage, see `doubt`.
    pub damaged: Mutex<HashSet<String>>,
    /// Digests that an [`crate::Ingest`] of this process writes.
    pub ingests: Mutex<HashSet<Digest>>,
    pub ingest_done: Condvar,
    pub leases: Mutex<Leases>,
    /// Garbage collection writes; whoever relies on content that no name protects yet reads.
    pub gc: RwLock<()>,
    /// Held while a project number is being chosen.
    pub projects: Mutex<()>,
    /// Serialises changes to `places/`; how many there are, once that was asked.
    pub places: Mutex<Option<usize>>,
    /// Serialises changes to volumes.
    pub volumes: Mutex<()>,
    /// Whether overlayfs works on this root; found out at the first need.
    pub overlay: OnceLock<bool>,
    _lock: File,
}

/// How long to wait for a process that has the store open and is leaving.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

impl Store {
    /// Opens the store below `root`, creating it if need be, and clears away what a crash left behind.
    ///
    /// # Errors
    /// `Conflict` when another process has it open; `Io` when the folder can't be used.
    pub fn open(root: &Path) -> Result<Store> {
        let root = std::path::absolute(root).context(|| format!("resolve {}", root.display()))?;
        let make = |path: &Path, mode: u32| {
            use std::os::unix::fs::DirBuilderExt;
            let mut builder = std::fs::DirBuilder::new();
            builder
                .recursive(true)
                .mode(mode)
                .create(path)
                .context(|| format!("create folder {}", path.display()))
        };
        make(&root, 0o710)?;
        for folder in ["layers", "ingest", "unsynced", "damaged", "places", "tmp", "volumes"] {
            make(&root.join(folder), 0o700)?;
        }
        make(&root.join("images/blobs/sha256"), 0o755)?;
        let lock = lock(&root)?;
        let open = |path: PathBuf| open_dir(&path).context(|| format!("open folder {}", path.display()));
        let layout = root.join("images/oci-layout");
        if !layout.exists() {
            fsutil::write_atomic(&layout, br#"{"imageLayoutVersion":"1.0.0"}"#)
                .context(|| format!("write {}", layout.display()))?;
        }
        let store = Store {
            inner: Arc::new(Inner {
                root_fd: open(root.clone())?,
                tmp: open(root.join("tmp"))?,
                unsynced: open(root.join("unsynced"))?,
                names: Mutex::new(Names::load(&root.join("images/index.json"))?),
                damaged: Mutex::new(Inner::known_damage(&root)?),
                root,
                configs: Mutex::default(),
                manifests: Mutex::default(),
                layers: Mutex::default(),
                ingests: Mutex::default(),
                ingest_done: Condvar::new(),
                leases: Mutex::default(),
                gc: RwLock::new(()),
                projects: Mutex::default(),
                places: Mutex::default(),
                volumes: Mutex::default(),
                overlay: OnceLock::new(),
                _lock: lock,
            }),
        };
        store.inner.empty_tmp()?;
        unsynced::recover(&store)?;
        Ok(store)
    }

    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// Makes everything published so far survive power loss.
    ///
    /// Publishing a blob or layer survives `kill -9` at once, but syncs nothing: syncing is most of the time of a pull.
    /// What was not flushed before a power loss is found by the next [`Store::open`] and dropped, so that it is pulled
    /// again rather than used half. A commit ends with this; what was pulled can wait.
    pub fn flush(&self) -> Result<()> {
        unsynced::flush(self)
    }
}

impl Inner {
    pub fn images_dir(&self) -> PathBuf {
        self.root.join("images")
    }

    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("images/blobs").join(digest.algorithm().as_str()).join(digest.hex())
    }

    pub fn layer_dir(&self, chain: &Digest) -> PathBuf {
        self.root.join("layers").join(chain.hex())
    }

    pub fn tmp_path(&self, name: &str) -> PathBuf {
        self.root.join("tmp").join(name)
    }

    pub fn tmp_fd(&self) -> BorrowedFd<'_> {
        self.tmp.as_fd()
    }

    fn empty_tmp(&self) -> Result<()> {
        for (name, _) in fsutil::list(self.tmp_fd()).context(|| "list temporary files")? {
            remove_tree(self.tmp_fd(), &name)
                .context(|| format!("remove left-over {}", String::from_utf8_lossy(&name)))?;
        }
        // A rewrite of the index that did not come to its rename.
        let images = open_dir(&self.images_dir()).context(|| "open images folder")?;
        for (name, _) in fsutil::list(images.as_fd()).context(|| "list images folder")? {
            if name.starts_with(b".index.json.") {
                let _ = remove_tree(images.as_fd(), &name);
            }
        }
        Ok(())
    }
}

/// Locks even when a thread panicked with the lock: every value here is valid between statements.
pub(crate) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Two processes emptying each other's `tmp/` would be the end of both; an engine that is about to exit is waited for.
fn lock(root: &Path) -> Result<File> {
    let path = root.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.context(|| format!("open {}", path.display()))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Error::Conflict(format!("{} is in use by another process", root.display())));
            }
            Err(errno) => return Err(Error::io(format!("lock {}", path.display()), errno)),
        }
    }
}

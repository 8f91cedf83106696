//! Blobs: bytes under their digest, in the OCI layout's `blobs/`.
//!
//! A blob appears whole or not at all: it is written elsewhere, verified and renamed. Downloads go through
//! [`crate::Ingest`].

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use image::{Digest, Hasher};

use crate::error::{Context, Error, Result};
use crate::fsutil::unique_name;
use crate::store::Store;

const COPY_BUFFER: usize = 256 * 1024;

impl Store {
    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.blob_size(digest).is_some()
    }

    /// Bytes of a blob that is here.
    pub fn blob_size(&self, digest: &Digest) -> Option<u64> {
        if self.inner.blob_is_damaged(digest) {
            return None;
        }
        let meta = std::fs::metadata(self.inner.blob_path(digest)).ok()?;
        meta.is_file().then_some(meta.len())
    }

    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        if self.inner.blob_is_damaged(digest) {
            return Err(Error::corrupt(format!("blob {digest} is damaged: pull or load its image again")));
        }
        self.open_whatever(digest)
    }

    /// As [`Store::open_blob`], also when it is known to be damaged.
    fn open_whatever(&self, digest: &Digest) -> Result<File> {
        let path = self.inner.blob_path(digest);
        File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NotFound(format!("blob {digest} is not in the store")),
            _ => Error::io(format!("open {}", path.display()), error),
        })
    }

    /// The whole blob, its digest verified. For documents, not for layers.
    pub fn read_blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open_blob(digest)?.read_to_end(&mut bytes).context(|| format!("read blob {digest}"))?;
        let mut hasher = Hasher::new(digest.algorithm());
        hasher.update(&bytes);
        check(digest, hasher)?;
        Ok(bytes)
    }

    /// Reads a blob through and compares its digest.
    pub fn verify_blob(&self, digest: &Digest) -> Result<()> {
        let mut file = self.open_whatever(digest)?;
        let mut hasher = Hasher::new(digest.algorithm());
        let mut buffer = vec![0; COPY_BUFFER];
        loop {
            match file.read(&mut buffer).context(|| format!("read blob {digest}"))? {
                0 => return check(digest, hasher),
                count => hasher.update(&buffer[..count]),
            }
        }
    }

    /// Stores bytes under their sha256.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::sha256(bytes);
        self.inner.protect_blob(&digest);
        if self.has_blob(&digest) {
            return Ok(digest);
        }
        let mut blob = self.new_blob()?;
        blob.write_all(bytes).context(|| format!("write blob {digest}"))?;
        blob.commit()?;
        Ok(digest)
    }

    /// A blob whose digest is not known before it is written.
    pub(crate) fn new_blob(&self) -> Result<NewBlob> {
        let path = self.inner.tmp_path(&format!("blob-{}", unique_name()));
        let file = File::options().write(true).create_new(true).open(&path);
        let file = file.context(|| format!("create {}", path.display()))?;
        let (store, buffer) = (self.clone(), Vec::new());
        Ok(NewBlob { store, path: Some(path), file, buffer, hasher: Hasher::sha256(), size: 0 })
    }

    /// Makes blobs survive power loss. What was unpacked from them need not: it is unpacked again.
    pub(crate) fn sync_blobs<'a>(&self, blobs: impl IntoIterator<Item = &'a Digest>) -> Result<()> {
        let mut folders = std::collections::BTreeSet::new();
        for digest in blobs {
            let path = self.inner.blob_path(digest);
            let synced = match File::open(&path) {
                // Of no image that was taken: collected.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file.and_then(|file| file.sync_all()),
            };
            synced.context(|| format!("sync {}", path.display()))?;
            folders.extend(path.parent().map(Path::to_owned));
        }
        for folder in folders {
            let synced = File::open(&folder).and_then(|folder| folder.sync_all());
            synced.context(|| format!("sync {}", folder.display()))?;
        }
        Ok(())
    }

    /// Makes a finished, verified file the blob of that digest.
    pub(crate) fn adopt_blob(&self, path: &Path, digest: &Digest) -> Result<()> {
        self.inner.mark_blob(digest)?;
        let target = self.inner.blob_path(digest);
        if digest.algorithm() != image::Algorithm::Sha256
            && let Some(folder) = target.parent()
        {
            std::fs::create_dir_all(folder).context(|| format!("create folder {}", folder.display()))?;
        }
        self.inner.protect_blob(digest);
        std::fs::rename(path, &target)
            .context(|| format!("rename {} to {}", path.display(), target.display()))?;
        self.inner.blob_is_sound(digest)
    }
}

fn check(digest: &Digest, hasher: Hasher) -> Result<()> {
    let found = hasher.finish();
    if found == *digest {
        return Ok(());
    }
    Err(Error::Digest { what: format!("blob {digest}"), expected: digest.clone(), found })
}

/// A blob being written; dropped without `commit`, nothing stays.
pub(crate) struct NewBlob {
    store: Store,
    path: Option<PathBuf>,
    file: File,
    /// Not written yet: tar headers are small.
    buffer: Vec<u8>,
    hasher: Hasher,
    size: u64,
}

impl NewBlob {
    /// Makes it visible under its digest.
    pub fn commit(mut self) -> Result<(Digest, u64)> {
        self.flush().context(|| "write blob")?;
        let digest = std::mem::replace(&mut self.hasher, Hasher::sha256()).finish();
        // Much is done with it before anybody waits for it to be there.
        sys::fsutil::start_writing(self.file.as_fd());
        if let Some(path) = &self.path {
            self.store.adopt_blob(path, &digest)?;
            self.path = None;
        }
        Ok((digest, self.size))
    }
}

impl Write for NewBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > COPY_BUFFER {
            self.flush()?;
        }
        if bytes.len() >= COPY_BUFFER {
            self.file.write_all(bytes)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

impl Drop for NewBlob {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

//! Downloads: a partial blob that survives the process, is verified before it becomes visible, and can be read by the
//! unpacker while it still grows.
//!
//! ```text
//! ingest/<algorithm>-<hex> ── write… ──▶ commit: size and digest ──▶ blobs/<algorithm>/<hex>
//!                     └── reader(): follows the writer, ends when it commits, fails when it is dropped
//! ```

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use image::{Digest, Hasher};

use crate::error::{Context, Error, Result};
use crate::store::{Store, held};

const READ_BACK: usize = 256 * 1024;

/// A download in progress. Dropped without [`Ingest::commit`], what was written stays for a later resume.
pub struct Ingest {
    store: Store,
    digest: Digest,
    size: Option<u64>,
    path: PathBuf,
    /// `None` when the blob was here already.
    open: Option<Open>,
}

struct Open {
    file: Arc<File>,
    hasher: Hasher,
    shared: Arc<Shared>,
}

/// What writer and readers share.
struct Shared {
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Clone, Copy)]
struct Progress {
    written: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Writing,
    Done,
    Abandoned,
}

/// Reads what an [`Ingest`] has written so far and waits for more until it is committed; fails if it never is.
pub struct IngestReader {
    file: Arc<File>,
    shared: Option<Arc<Shared>>,
    offset: u64,
    /// Where it ends, if known: the reader need not wait for the commit.
    size: Option<u64>,
}

impl Store {
    /// Begins or resumes a download. Waits while another one of the same digest is at work in this process; the blob may be
    /// here afterwards, see [`Ingest::is_complete`].
    pub fn ingest(&self, digest: &Digest, size: Option<u64>) -> Result<Ingest> {
        self.take_ingest_slot(digest);
        let name = format!("{}-{}", digest.algorithm().as_str(), digest.hex());
        let path = self.inner.root.join("ingest").join(name);
        let mut ingest = Ingest { store: self.clone(), digest: digest.clone(), size, path, open: None };
        self.inner.protect_blob(digest);
        if !self.has_blob(digest) {
            ingest.open = Some(open(&ingest.path, digest, size)?);
        }
        Ok(ingest)
    }

    fn take_ingest_slot(&self, digest: &Digest) {
        let mut busy = held(&self.inner.ingests);
        while !busy.insert(digest.clone()) {
            busy = self.inner.ingest_done.wait(busy).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Opens the partial file and hashes what it holds.
fn open(path: &PathBuf, digest: &Digest, size: Option<u64>) -> Result<Open> {
    let context = || format!("open download {}", path.display());
    let options = || File::options().read(true).write(true).create(true).truncate(false).open(path);
    let file = options().context(context)?;
    let mut written = 0;
    let mut hasher = Hasher::new(digest.algorithm());
    let mut buffer = Vec::new();
    loop {
        if buffer.is_empty() && file.metadata().context(context)?.len() == 0 {
            break;
        }
        buffer.resize(READ_BACK, 0);
        match file.read_at(&mut buffer, written).context(context)? {
            0 => break,
            count => {
                hasher.update(&buffer[..count]);
                written += count as u64;
            }
        }
    }
    if size.is_some_and(|size| written > size) {
        // More than there can be: not this blob's.
        file.set_len(0).context(context)?;
        written = 0;
        hasher = Hasher::new(digest.algorithm());
    }
    let progress = Mutex::new(Progress { written, state: State::Writing });
    Ok(Open { file: Arc::new(file), hasher, shared: Arc::new(Shared { progress, changed: Condvar::new() }) })
}

impl Ingest {
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Bytes already here: ask the other side for the rest.
    pub fn offset(&self) -> u64 {
        match &self.open {
            Some(open) => held(&open.shared.progress).written,
            None => self.store.blob_size(&self.digest).unwrap_or(0),
        }
    }

    /// The blob is whole and verified already; `write` and `commit` do nothing.
    pub fn is_complete(&self) -> bool {
        self.open.is_none()
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// `Size` as soon as there is more than the descriptor promised; `Io` when the disk is full.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let offset = held(&open.shared.progress).written;
        let end = offset + bytes.len() as u64;
        if let Some(expected) = self.size.filter(|size| end > *size) {
            return Err(Error::Size { what: format!("blob {}", self.digest), expected, found: end });
        }
        open.file.write_all_at(bytes, offset).context(|| format!("write blob {}", self.digest))?;
        open.hasher.update(bytes);
        held(&open.shared.progress).written = end;
        open.shared.changed.notify_all();
        Ok(())
    }

    /// Forgets what is here, because the other side can't resume or the content was bad. Readers fail.
    pub fn restart(&mut self) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.file.set_len(0).context(|| format!("empty download {}", self.path.display()))?;
        open.hasher = Hasher::new(self.digest.algorithm());
        open.shared.finish(State::Abandoned);
        let progress = Mutex::new(Progress { written: 0, state: State::Writing });
        open.shared = Arc::new(Shared { progress, changed: Condvar::new() });
        Ok(())
    }

    /// A reader from the first byte on; any number of them.
    pub fn reader(&self) -> Result<IngestReader> {
        match &self.open {
            Some(open) => {
                let (file, shared) = (open.file.clone(), Some(open.shared.clone()));
                Ok(IngestReader { file, shared, offset: 0, size: self.size })
            }
            None => {
                let file = Arc::new(self.store.open_blob(&self.digest)?);
                Ok(IngestReader { file, shared: None, offset: 0, size: self.size })
            }
        }
    }

    /// Verifies size and digest and makes the blob visible.
    ///
    /// # Errors
    /// `Size` when it is too short (what is here stays, to be resumed); `Digest` when it is not what it should be (what is
    /// here is removed).
    pub fn commit(mut self) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let found = held(&open.shared.progress).written;
        if let Some(expected) = self.size.filter(|size| *size != found) {
            return Err(Error::Size { what: format!("blob {}", self.digest), expected, found });
        }
        let hasher = std::mem::replace(&mut open.hasher, Hasher::new(self.digest.algorithm()));
        let found = hasher.finish();
        if found != self.digest {
            std::fs::remove_file(&self.path)
                .context(|| format!("remove bad download {}", self.path.display()))?;
            let expected = self.digest.clone();
            return Err(Error::Digest { what: format!("blob {expected}"), expected, found });
        }
        self.store.adopt_blob(&self.path, &self.digest)?;
        open.shared.finish(State::Done);
        Ok(())
    }
}

impl Shared {
    fn finish(&self, state: State) {
        let mut progress = held(&self.progress);
        if progress.state == State::Writing {
            progress.state = state;
        }
        drop(progress);
        self.changed.notify_all();
    }
}

impl Write for Ingest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ingest::write(self, bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        if let Some(open) = &self.open {
            open.shared.finish(State::Abandoned);
            if held(&open.shared.progress).written == 0 {
                let _ = std::fs::remove_file(&self.path);
            }
        }
        held(&self.store.inner.ingests).remove(&self.digest);
        self.store.inner.ingest_done.notify_all();
    }
}

impl Read for IngestReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(shared) = &self.shared else {
            let count = self.file.read_at(buffer, self.offset)?;
            self.offset += count as u64;
            return Ok(count);
        };
        if self.size == Some(self.offset) {
            return Ok(0);
        }
        let mut progress = held(&shared.progress);
        while progress.written <= self.offset && progress.state == State::Writing && !buffer.is_empty() {
            progress = shared.changed.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
        let Progress { written, state } = *progress;
        drop(progress);
        if state == State::Abandoned {
            return Err(io::Error::other(Abandoned));
        }
        let left = usize::try_from(written.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// The error a reader gets when its download ends without having been committed.
#[derive(Debug, thiserror::Error)]
#[error("download was given up")]
struct Abandoned;

//! `images/index.json`: which names point at which images. One atomic, durable rewrite per change.
//!
//! One entry per name. A `name@digest` entry records a repository digest; an entry without a name keeps an image that has
//! lost its last one (dangling). Each carries what listing needs, so that listing reads nothing else:
//!
//! ```text
//! io.containerd.image.name           docker.io/library/busybox:latest
//! org.opencontainers.image.ref.name  busybox:latest      (what `skopeo … oci:images:busybox:latest` looks for)
//! naru.image.{id,manifest,size,parent,created,tagged}
//! ```
//! Entries that another tool wrote have only the second; they are completed from their blobs when the file is read by
//! [`crate::Store`]. Entries that can't be completed are kept as they are.

use std::path::{Path, PathBuf};

use image::{Descriptor, Digest, Index, Reference, annotation};
use jiff::Timestamp;

use crate::error::{Context, Error, Result};
use crate::fsutil;

const ID: &str = "naru.image.id";
const MANIFEST: &str = "naru.image.manifest";
const SIZE: &str = "naru.image.size";
const PARENT: &str = "naru.image.parent";
const CREATED: &str = "naru.image.created";
const TAGGED: &str = "naru.image.tagged";

/// One entry of the index.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Name {
    /// With a tag or with a digest; `None` for a dangling image.
    pub reference: Option<Reference>,
    pub target: Descriptor,
    pub id: Digest,
    pub manifest: Digest,
    pub size: u64,
    pub parent: Option<Digest>,
    pub created: Option<Timestamp>,
    pub tagged: Option<Timestamp>,
}

/// The parsed index.
pub(crate) struct Names {
    path: PathBuf,
    pub entries: Vec<Name>,
    /// Entries of other tools that have not been completed (yet).
    pub others: Vec<Descriptor>,
    stamp: Stamp,
}

/// Tells whether the file on disk is the one that was read.
#[derive(Clone, Copy, Default, PartialEq)]
struct Stamp(u64, i64, i64, u64);

impl Names {
    pub fn load(path: &Path) -> Result<Names> {
        let mut names =
            Names { path: path.to_owned(), entries: Vec::new(), others: Vec::new(), stamp: Stamp::default() };
        names.reload()?;
        Ok(names)
    }

    /// Reads the file again if something else has replaced it; whether it had.
    pub fn refresh(&mut self) -> Result<bool> {
        if stamp(&self.path) == self.stamp {
            return Ok(false);
        }
        self.reload()?;
        Ok(true)
    }

    fn reload(&mut self) -> Result<()> {
        let context = || format!("read {}", self.path.display());
        let before = stamp(&self.path);
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.entries.clear();
                self.others.clear();
                return self.store(Vec::new());
            }
            Err(error) => return Err(Error::io(context(), error)),
        };
        let index = Index::parse(&bytes).map_err(|error| Error::corrupt_by(context(), error))?;
        self.entries.clear();
        self.others.clear();
        for descriptor in index.manifests {
            match from_descriptor(&descriptor) {
                Some(name) => self.entries.push(name),
                None => self.others.push(descriptor),
            }
        }
        self.stamp = before;
        Ok(())
    }

    /// Writes these entries, durably, and only then takes them over.
    pub fn store(&mut self, entries: Vec<Name>) -> Result<()> {
        let mut manifests: Vec<Descriptor> = entries.iter().map(to_descriptor).collect();
        manifests.extend(self.others.iter().cloned());
        let index = Index::new(manifests);
        fsutil::write_durable(&self.path, &index.to_bytes())
            .context(|| format!("write {}", self.path.display()))?;
        self.stamp = stamp(&self.path);
        self.entries = entries;
        Ok(())
    }
}

fn stamp(path: &Path) -> Stamp {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path)
        .map(|meta| Stamp(meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.size()))
        .unwrap_or_default()
}

fn to_descriptor(name: &Name) -> Descriptor {
    let mut descriptor = name.target.bare();
    let mut put = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            descriptor.annotations.insert(key.to_owned(), value);
        }
    };
    put(annotation::IMAGE_NAME, name.reference.as_ref().map(ToString::to_string));
    let tagged = name.reference.as_ref().filter(|reference| reference.tag.is_some());
    put(annotation::REF_NAME, tagged.map(Reference::familiar));
    put(ID, Some(name.id.to_string()));
    put(MANIFEST, Some(name.manifest.to_string()));
    put(SIZE, Some(name.size.to_string()));
    put(PARENT, name.parent.as_ref().map(ToString::to_string));
    put(CREATED, name.created.map(|time| time.to_string()));
    put(TAGGED, name.tagged.map(|time| time.to_string()));
    descriptor
}

fn from_descriptor(descriptor: &Descriptor) -> Option<Name> {
    let text = |key: &str| descriptor.annotation(key);
    let reference = match text(annotation::IMAGE_NAME) {
        Some(name) => Some(Reference::parse(name).ok()?),
        None => None,
    };
    Some(Name {
        reference,
        target: descriptor.bare(),
        id: text(ID)?.parse().ok()?,
        manifest: text(MANIFEST)?.parse().ok()?,
        size: text(SIZE)?.parse().ok()?,
        parent: text(PARENT).and_then(|digest| digest.parse().ok()),
        created: text(CREATED).and_then(|time| time.parse().ok()),
        tagged: text(TAGGED).and_then(|time| time.parse().ok()),
    })
}

//! Verification: is what lies on disk what the digests say? Names every blob and every file of a layer that is not.
//!
//! A blob is hashed. An unpacked layer has no digest of its own: it is unpacked once more from its blob, beside the first
//! one, and the two are compared file by file. What is found damaged is marked (see `doubt`), so that the next pull brings
//! it again.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};

use image::{Descriptor, Digest};
use rustix::fs::{FileType, Mode, OFlags, Stat, openat, readlinkat};

use crate::copy::xattrs;
use crate::error::{Context, Result};
use crate::extract::{is_opaque, join};
use crate::fsutil::{is_whiteout, list, lstat, open_dir};
use crate::inspect::same_bytes;
use crate::merged::host_path;
use crate::store::Store;
use crate::{Damage, DamagedPart, LayerInfo};

impl Store {
    /// Everything of an image that is missing or not what it should be; empty when it is sound.
    ///
    /// Reads all of it, and for a moment needs the space of its largest layer again.
    pub fn verify_image(&self, id: &Digest) -> Result<Vec<Damage>> {
        let lease = self.lease();
        lease.add_image(id);
        let record = self.image_by_id(id)?;
        let mut damage = Vec::new();
        for digest in BTreeSet::from([&record.target.digest, &record.manifest, id]) {
            self.check_blob(digest, &mut damage);
        }
        if !damage.is_empty() {
            // What they name can't be believed.
            return Ok(damage);
        }
        let manifest = self.manifest(&record.manifest)?;
        let config = self.config(id)?;
        let mut parent = None;
        let layers = manifest.layers.iter().zip(&config.rootfs.diff_ids).zip(config.chain_ids());
        for (at, ((blob, diff_id), chain)) in layers.enumerate() {
            if !self.has_blob(&blob.digest)
                && let Some(layer) = self.folder_or_damaged(&manifest, at)
            {
                self.check_folder(&layer, &mut damage)?;
                parent = Some(chain);
                continue;
            }
            let sound = self.check_blob(&blob.digest, &mut damage);
            match self.layer_or_damaged(&chain) {
                None => damage.push(Damage {
                    part: DamagedPart::Layer(chain.clone()),
                    problem: "is not unpacked".to_owned(),
                }),
                Some(layer) if !layer.path.is_dir() => {
                    damage.push(Damage {
                        part: DamagedPart::Layer(chain.clone()),
                        problem: "is missing".to_owned(),
                    });
                    self.inner.doubt_layer(&chain)?;
                }
                Some(layer) if sound => {
                    let before = damage.len();
                    self.check_layer(blob, diff_id, &layer, parent.as_ref(), &mut damage)?;
                    match damage.len() == before {
                        true => self.inner.layer_is_sound(&chain)?,
                        false => self.inner.doubt_layer(&chain)?,
                    }
                }
                Some(_) => {}
            }
            parent = Some(chain);
        }
        Ok(damage)
    }

    fn check_blob(&self, digest: &Digest, damage: &mut Vec<Damage>) -> bool {
        let Err(error) = self.verify_blob(digest) else {
            // Somebody may have put it right.
            let _ = self.inner.blob_is_sound(digest);
            return true;
        };
        if matches!(error, crate::Error::Digest { .. }) {
            let _ = self.doubt_blob(digest);
        }
        let problem = match error {
            crate::Error::Digest { found, .. } => format!("content has digest {found}"),
            crate::Error::NotFound(_) => "is missing".to_owned(),
            error => crate::error::chain(&error),
        };
        damage.push(Damage { part: DamagedPart::Blob(digest.clone()), problem });
        false
    }

    /// A layer that is not packed yet: packing it has to give what it was made as.
    fn check_folder(&self, layer: &LayerInfo, damage: &mut Vec<Damage>) -> Result<()> {
        let problem = match self.hash_folder(layer) {
            Ok(found) if found == layer.diff_id => return self.inner.layer_is_sound(&layer.chain_id),
            Ok(found) => format!("content has digest {found}, expected {}", layer.diff_id),
            Err(error) => crate::error::chain(&error),
        };
        damage.push(Damage { part: DamagedPart::Layer(layer.chain_id.clone()), problem });
        self.inner.doubt_layer(&layer.chain_id)
    }

    fn check_layer(
        &self,
        blob: &Descriptor,
        diff_id: &Digest,
        layer: &LayerInfo,
        parent: Option<&Digest>,
        damage: &mut Vec<Damage>,
    ) -> Result<()> {
        let part = DamagedPart::Layer(layer.chain_id.clone());
        let mut fresh = match self.stage_layer(diff_id, &blob.media_type, self.open_blob(&blob.digest)?) {
            Err(error) if error.is_bad_content() => {
                damage.push(Damage { part, problem: crate::error::chain(&error) });
                return Ok(());
            }
            fresh => fresh?,
        };
        let parents = match parent {
            Some(parent) => self.chain_or_damaged(parent)?,
            None => Vec::new(),
        };
        let path = fresh.files_on(&parents)?;
        let context = || format!("open layer {}", layer.chain_id);
        let (wanted, found) = (open_dir(&path).context(context)?, open_dir(&layer.path).context(context)?);
        compare(wanted.as_fd(), found.as_fd(), b"", &mut |path, problem| {
            let path = host_path("/".as_ref(), path);
            let part = DamagedPart::File { layer: layer.chain_id.clone(), path };
            damage.push(Damage { part, problem: problem.to_owned() });
        })
        .context(|| format!("compare layer {}", layer.chain_id))
    }
}

/// Tells every difference between two folders.
fn compare(
    wanted: BorrowedFd<'_>,
    found: BorrowedFd<'_>,
    path: &[u8],
    tell: &mut dyn FnMut(&[u8], &str),
) -> rustix::io::Result<()> {
    let names = |dir| Ok(list(dir)?.into_iter().map(|(name, _)| name).collect::<BTreeSet<_>>());
    let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) = (names(wanted)?, names(found)?);
    for name in ours.union(&theirs) {
        let child = join(path, name);
        if !theirs.contains(name) {
            tell(&child, "is missing");
            continue;
        }
        if !ours.contains(name) {
            tell(&child, "does not belong there");
            continue;
        }
        let (a, b) = (lstat(wanted, name)?, lstat(found, name)?);
        if let Some(problem) = difference((wanted, &a), (found, &b), name)? {
            tell(&child, problem);
            continue;
        }
        if FileType::from_raw_mode(a.st_mode) == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let open = |dir| openat(dir, name.as_slice(), flags, Mode::empty());
            let (a, b) = (open(wanted)?, open(found)?);
            if is_opaque(a.as_fd()) != is_opaque(b.as_fd()) {
                tell(&child, "hides what is below it, or should");
            }
            compare(a.as_fd(), b.as_fd(), &child, tell)?;
        }
    }
    Ok(())
}

fn difference(
    (wanted, a): (BorrowedFd<'_>, &Stat),
    (found, b): (BorrowedFd<'_>, &Stat),
    name: &[u8],
) -> rustix::io::Result<Option<&'static str>> {
    let kind = FileType::from_raw_mode(a.st_mode);
    if kind != FileType::from_raw_mode(b.st_mode) {
        return Ok(Some("is of another kind"));
    }
    if (a.st_mode, a.st_uid, a.st_gid) != (b.st_mode, b.st_uid, b.st_gid) {
        return Ok(Some("has another mode or owner"));
    }
    // Whiteouts, and folders that no entry named, have the time they were unpacked at.
    let same_time = (a.st_mtime, a.st_mtime_nsec) == (b.st_mtime, b.st_mtime_nsec);
    if !same_time && kind != FileType::Directory && !is_whiteout(a) {
        return Ok(Some("has another time"));
    }
    let sorted = |dir| {
        xattrs(dir, name).map(|mut attributes| {
            attributes.sort();
            attributes
        })
    };
    if sorted(wanted)? != sorted(found)? {
        return Ok(Some("has other extended attributes"));
    }
    let same = match kind {
        FileType::Directory => true,
        FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let open = |dir| openat(dir, name, flags, Mode::empty());
            // A block that the disk refuses to read is damage, not a reason to stop looking.
            a.st_size == b.st_size && same_bytes(open(wanted)?.into(), open(found)?.into()).unwrap_or(false)
        }
        FileType::Symlink => readlinkat(wanted, name, Vec::new())? == readlinkat(found, name, Vec::new())?,
        _ => a.st_rdev == b.st_rdev,
    };
    Ok((!same).then_some("has other content"))
}

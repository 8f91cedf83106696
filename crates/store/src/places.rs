//! Where packed layers lie: for each layer, by its diff id, the repositories of registries that are known to have it, and as
//! which blob. Outlives the image: what is removed, or loaded from an archive, need not be sent again to a registry that has it.
//!
//! ```text
//! places/<diff id hex>   JSON: registry, repository, blob; the latest first
//! ```
//! A memory, not a promise: registries forget, too. Losing a file of it costs an upload, so nothing here is synced.

use std::path::PathBuf;
use std::time::SystemTime;

use image::{Descriptor, Digest};
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};
use crate::fsutil::write_atomic;
use crate::store::{Store, held};

/// How many places of one layer are kept.
const PLACES_MAX: usize = 8;
/// How many layers are remembered; past that the oldest quarter is forgotten.
const LAYERS_MAX: usize = 2048;

/// One repository that has a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The registry's host, as it is connected to.
    pub registry: String,
    pub repository: String,
    /// The layer as it is packed there.
    pub blob: Descriptor,
}

impl Place {
    fn is_at(&self, other: &Place) -> bool {
        (&self.registry, &self.repository, &self.blob.digest)
            == (&other.registry, &other.repository, &other.blob.digest)
    }
}

impl Store {
    /// Remembers where a layer lies: it was just read from there, or written there.
    pub fn remember_place(&self, diff_id: &Digest, place: Place) -> Result<()> {
        let mut count = held(&self.inner.places);
        let mut places = self.places(diff_id);
        if places.first() == Some(&place) {
            return Ok(());
        }
        let is_new = places.is_empty();
        places.retain(|known| !known.is_at(&place));
        places.insert(0, place);
        places.truncate(PLACES_MAX);
        let context = || format!("remember where layer {diff_id} lies");
        let bytes = serde_json::to_vec(&places).map_err(|error| Error::corrupt_by(context(), error))?;
        write_atomic(self.place_path(diff_id), &bytes).context(context)?;
        if is_new {
            let known = match *count {
                Some(known) => known + 1,
                None => self.remembered()?.len(),
            };
            *count = Some(if known > LAYERS_MAX { self.forget_oldest()? } else { known });
        }
        Ok(())
    }

    /// Where a layer lies, as far as is known; the latest first.
    pub fn places(&self, diff_id: &Digest) -> Vec<Place> {
        let bytes = std::fs::read(self.place_path(diff_id)).unwrap_or_default();
        // Half a file, or somebody else's: as good as none.
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    fn place_path(&self, diff_id: &Digest) -> PathBuf {
        self.inner.root.join("places").join(diff_id.hex())
    }

    /// Every file there, with its age; those that a crash left half-written too.
    fn remembered(&self) -> Result<Vec<(SystemTime, PathBuf)>> {
        let folder = self.inner.root.join("places");
        let entries = std::fs::read_dir(&folder).context(|| format!("list {}", folder.display()))?;
        let aged = |entry: std::io::Result<std::fs::DirEntry>| {
            let entry = entry.ok()?;
            Some((entry.metadata().ok()?.modified().ok()?, entry.path()))
        };
        Ok(entries.filter_map(aged).collect())
    }

    /// Makes room; how many are left.
    fn forget_oldest(&self) -> Result<usize> {
        let mut all = self.remembered()?;
        all.sort();
        let goes = all.len() / 4;
        for (_, path) in &all[..goes] {
            let _ = std::fs::remove_file(path);
        }
        Ok(all.len() - goes)
    }
}

#[cfg(test)]
mod tests {
    use image::MediaType;

    use super::*;

    fn place(repository: &str) -> Place {
        let blob = Descriptor::new(MediaType::OCI_LAYER_GZIP, Digest::sha256(b"blob"), 4);
        Place { registry: "host".to_owned(), repository: repository.to_owned(), blob }
    }

    #[test]
    fn the_latest_places_come_first_and_the_memory_is_bounded() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        let layer = Digest::sha256(b"layer");
        for number in (0..PLACES_MAX + 3).chain([5]) {
            store.remember_place(&layer, place(&format!("r{number}"))).unwrap();
        }
        let names: Vec<String> = store.places(&layer).into_iter().map(|place| place.repository).collect();
        assert_eq!(names, ["r5", "r10", "r9", "r8", "r7", "r6", "r4", "r3"]);

        for number in 0..=LAYERS_MAX as u64 {
            store.remember_place(&Digest::sha256(number.to_le_bytes()), place("r")).unwrap();
        }
        let count = store.remembered().unwrap().len();
        assert!(count <= LAYERS_MAX && count > LAYERS_MAX / 2, "{count}");
        assert!(store.places(&Digest::sha256((LAYERS_MAX as u64).to_le_bytes())).len() == 1);
    }

    #[test]
    fn what_is_no_memory_is_none() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        let layer = Digest::sha256(b"layer");
        std::fs::write(store.place_path(&layer), b"[{\"registry\":").unwrap();
        assert!(store.places(&layer).is_empty());
        store.remember_place(&layer, place("r")).unwrap();
        drop(store);
        assert_eq!(Store::open(home.path()).unwrap().places(&layer), [place("r")]);
    }
}

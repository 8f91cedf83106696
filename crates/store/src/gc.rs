//! Garbage collection: removes what no name, lease or container needs.
//!
//! Mark and sweep over one snapshot of the index, under a lock that keeps leases from being extended meanwhile. Layers that
//! containers were made from are found by the pins in the containers' folders (see `snapshot`), not by asking the engine.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use image::{Algorithm, Descriptor, Digest, Index};

use crate::discard::remove_large_tree;
use crate::error::{Context, Result};
use crate::fsutil::{self, list};
use crate::store::{Store, held};
use crate::{DiskUsage, Freed, ImageUsage};

/// Downloads that nobody resumed for this long are given up.
const INGEST_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

#[derive(Default)]
struct Needed {
    blobs: HashSet<Digest>,
    layers: HashSet<Digest>,
}

impl Store {
    /// Removes every blob and layer that is not needed, and downloads abandoned long ago.
    pub fn gc(&self) -> Result<Freed> {
        let collecting = self.inner.gc.write().unwrap_or_else(PoisonError::into_inner);
        let needed = self.needed()?;
        let mut freed = Freed::default();
        let mut doomed = self.sweep_layers(&needed, &mut freed)?;
        doomed.extend(self.sweep_replaced()?);
        self.sweep_blobs(&needed, &mut freed)?;
        self.sweep_ingests()?;
        drop(collecting);
        // Out of sight already; deleting trees takes time that nobody else has to wait for.
        for name in doomed {
            remove_large_tree(self.inner.tmp_fd(), name.as_bytes()).context(|| "remove a layer's files")?;
        }
        Ok(freed)
    }

    fn needed(&self) -> Result<Needed> {
        let mut needed = Needed::default();
        let names = self.names()?;
        for name in &names.entries {
            self.need_document(&mut needed, &name.target);
            let manifest = Descriptor::new(image::MediaType::OCI_MANIFEST, name.manifest.clone(), 0);
            self.need_document(&mut needed, &manifest);
        }
        for descriptor in &names.others {
            self.need_document(&mut needed, descriptor);
        }
        let documents: Vec<Digest> = held(&self.inner.leases).documents().cloned().collect();
        for digest in documents {
            self.need_document(&mut needed, &Descriptor::new(image::MediaType::OCI_MANIFEST, digest, 0));
        }
        let images: Vec<Digest> = held(&self.inner.leases).images().cloned().collect();
        for id in images {
            needed.blobs.insert(id.clone());
            if let Ok(config) = self.config(&id) {
                needed.layers.extend(config.chain_ids());
            }
        }
        drop(names);
        let leases = held(&self.inner.leases);
        needed.blobs.extend(leases.blobs().cloned());
        let mut chains: Vec<Digest> = leases.layers().cloned().collect();
        drop(leases);
        chains.extend(self.pinned_layers()?);
        for chain in chains {
            let mut next = Some(chain);
            while let Some(chain) = next {
                next = self.layer_or_damaged(&chain).and_then(|layer| layer.parent);
                needed.layers.insert(chain);
            }
        }
        Ok(needed)
    }

    /// Everything below a manifest or index, as far as it is here.
    fn need_document(&self, needed: &mut Needed, descriptor: &Descriptor) {
        if !needed.blobs.insert(descriptor.digest.clone()) {
            return;
        }
        if let Ok(manifest) = self.manifest(&descriptor.digest) {
            needed.blobs.insert(manifest.config.digest.clone());
            needed.blobs.extend(manifest.layers.iter().map(|layer| layer.digest.clone()));
            if let Ok(config) = self.config(&manifest.config.digest) {
                needed.layers.extend(config.chain_ids());
            }
            return;
        }
        let index = self.read_blob(&descriptor.digest).ok().and_then(|bytes| Index::parse(&bytes).ok());
        for entry in index.map(|index| index.manifests).unwrap_or_default() {
            if self.has_blob(&entry.digest) {
                self.need_document(needed, &entry);
            }
        }
    }

    /// Moves layers out of sight; their names below `tmp/`.
    fn sweep_layers(&self, needed: &Needed, freed: &mut Freed) -> Result<Vec<String>> {
        let mut doomed = Vec::new();
        for chain in self.layer_ids()? {
            if needed.layers.contains(&chain) {
                continue;
            }
            freed.bytes += self.layer_or_damaged(&chain).map_or(0, |layer| layer.size);
            let name = format!("dead-{}", chain.hex());
            held(&self.inner.layers).remove(&chain);
            std::fs::rename(self.inner.layer_dir(&chain), self.inner.tmp_path(&name))
                .context(|| format!("remove layer {chain}"))?;
            doomed.push(name);
            freed.layers.push(chain);
        }
        Ok(doomed)
    }

    /// Old files of layers that were replaced: they go with the last container made from the layer.
    fn sweep_replaced(&self) -> Result<Vec<String>> {
        let layers = self.inner.root.join("layers");
        let folder = fsutil::open_dir(&layers).context(|| format!("open {}", layers.display()))?;
        let mut doomed = Vec::new();
        let mut in_use = None;
        for (name, _) in list(folder.as_fd()).context(|| "list layers")? {
            let Some(chain) = crate::doubt::replaced(&name) else { continue };
            if in_use.is_none() {
                in_use = Some(self.layers_of_containers()?);
            }
            if in_use.as_ref().is_some_and(|in_use| in_use.contains(&chain)) {
                continue;
            }
            let name = String::from_utf8_lossy(&name).into_owned();
            std::fs::rename(layers.join(&name), self.inner.tmp_path(&name))
                .context(|| format!("remove {name}"))?;
            doomed.push(name);
        }
        Ok(doomed)
    }

    fn layers_of_containers(&self) -> Result<HashSet<Digest>> {
        let mut layers = HashSet::new();
        for chain in self.pinned_layers()? {
            let mut next = Some(chain);
            while let Some(chain) = next {
                next = self.layer_or_damaged(&chain).and_then(|layer| layer.parent);
                layers.insert(chain);
            }
        }
        Ok(layers)
    }

    fn sweep_blobs(&self, needed: &Needed, freed: &mut Freed) -> Result<()> {
        for algorithm in Algorithm::ALL {
            let folder = self.inner.images_dir().join("blobs").join(algorithm.as_str());
            let Ok(folder) = fsutil::open_dir(&folder) else { continue };
            for (name, _) in list(folder.as_fd()).context(|| "list blobs")? {
                let hex = String::from_utf8_lossy(&name);
                let Ok(digest) = Digest::new(algorithm, &hex) else { continue };
                if needed.blobs.contains(&digest) {
                    continue;
                }
                let size = self.blob_size(&digest).unwrap_or(0);
                rustix::fs::unlinkat(&folder, name.as_slice(), rustix::fs::AtFlags::empty())
                    .context(|| format!("remove blob {digest}"))?;
                held(&self.inner.manifests).remove(&digest);
                freed.bytes += size;
                freed.blobs.push(digest);
            }
        }
        Ok(())
    }

    fn sweep_ingests(&self) -> Result<()> {
        let folder = self.inner.root.join("ingest");
        for entry in std::fs::read_dir(&folder).context(|| format!("list {}", folder.display()))? {
            let Ok(entry) = entry else { continue };
            let name = entry.file_name().to_string_lossy().replacen('-', ":", 1);
            let busy = name.parse().is_ok_and(|digest| held(&self.inner.ingests).contains(&digest));
            let modified = entry.metadata().and_then(|meta| meta.modified());
            let age = modified.ok().and_then(|time| SystemTime::now().duration_since(time).ok());
            if !busy && age.is_some_and(|age| age > INGEST_AGE) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    /// Chain ids of all unpacked layers, sorted.
    pub(crate) fn layer_ids(&self) -> Result<Vec<Digest>> {
        let folder = self.inner.root.join("layers");
        let folder = fsutil::open_dir(&folder).context(|| format!("open {}", folder.display()))?;
        let names = list(folder.as_fd()).context(|| "list layers")?;
        let mut ids: Vec<Digest> = names
            .iter()
            .filter_map(|(name, _)| Digest::from_sha256_hex(std::str::from_utf8(name).ok()?).ok())
            .collect();
        ids.sort();
        Ok(ids)
    }

    /// Bytes used by layers, blobs and each image.
    pub fn disk_usage(&self) -> Result<DiskUsage> {
        let mut usage = DiskUsage::default();
        let mut users: std::collections::HashMap<Digest, u32> = std::collections::HashMap::new();
        let images = self.images()?;
        let mut chains = Vec::new();
        for image in &images {
            let ids = self.config(&image.id)?.chain_ids();
            for chain in &ids {
                *users.entry(chain.clone()).or_default() += 1;
            }
            chains.push((image.id.clone(), ids));
        }
        for chain in self.layer_ids()? {
            usage.layers += self.layer(&chain).map_or(0, |layer| layer.size);
        }
        for (id, ids) in chains {
            let mut of_image = ImageUsage::default();
            for chain in ids {
                let size = self.layer(&chain).map_or(0, |layer| layer.size);
                match users.get(&chain) {
                    Some(1) => of_image.unique += size,
                    _ => of_image.shared += size,
                }
            }
            usage.images.insert(id, of_image);
        }
        for algorithm in Algorithm::ALL {
            let folder = self.inner.images_dir().join("blobs").join(algorithm.as_str());
            if let Ok(folder) = fsutil::open_dir(&folder) {
                usage.blobs += fsutil::tree_size(folder.as_fd()).context(|| "measure blobs")?;
            }
        }
        Ok(usage)
    }
}

//! Leases: what garbage collection must leave alone although no name protects it yet.
//!
//! While a lease is held, everything that appears in the store stays, and so does everything named to the lease. Pulls,
//! loads and builds hold one from before their first look at what is here until their image has its name.

use std::collections::{BTreeMap, HashSet};
use std::sync::PoisonError;

use image::Digest;

use crate::store::{Inner, Store, held};

/// All leases that are held.
#[derive(Default)]
pub(crate) struct Leases {
    next: u64,
    active: BTreeMap<u64, Held>,
}

#[derive(Default)]
struct Held {
    blobs: HashSet<Digest>,
    layers: HashSet<Digest>,
    images: HashSet<Digest>,
    /// Manifests and indexes, to be protected with all they name.
    documents: HashSet<Digest>,
}

/// Protects from garbage collection until it is dropped.
pub struct Lease {
    store: Store,
    number: u64,
}

impl Store {
    pub fn lease(&self) -> Lease {
        let mut leases = held(&self.inner.leases);
        leases.next += 1;
        let number = leases.next;
        leases.active.insert(number, Held::default());
        Lease { store: self.clone(), number }
    }
}

impl Lease {
    /// Protects a blob; ask [`Store::has_blob`] afterwards, not before.
    pub fn add_blob(&self, digest: &Digest) {
        self.add(|held| held.blobs.insert(digest.clone()));
    }

    /// Protects a layer (by chain id) and those below it; ask [`Store::layer`] afterwards.
    pub fn add_layer(&self, chain: &Digest) {
        self.add(|held| held.layers.insert(chain.clone()));
    }

    /// Protects an image with all it needs, should it lose its names.
    pub fn add_image(&self, id: &Digest) {
        // Only the names lead from an image to its manifests and blobs: ask while there are any.
        let documents = self.store.documents_of(id);
        self.add(|held| {
            held.documents.extend(documents);
            held.images.insert(id.clone())
        });
    }

    fn add(&self, insert: impl FnOnce(&mut Held) -> bool) {
        // A collection that has decided already must finish before the caller looks whether the content is here.
        let _collecting = self.store.inner.gc.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held(&self.store.inner.leases).active.get_mut(&self.number) {
            insert(held);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        held(&self.store.inner.leases).active.remove(&self.number);
    }
}

impl Leases {
    pub fn blobs(&self) -> impl Iterator<Item = &Digest> {
        self.active.values().flat_map(|held| &held.blobs)
    }

    pub fn layers(&self) -> impl Iterator<Item = &Digest> {
        self.active.values().flat_map(|held| &held.layers)
    }

    pub fn documents(&self) -> impl Iterator<Item = &Digest> {
        self.active.values().flat_map(|held| &held.documents)
    }

    pub fn images(&self) -> impl Iterator<Item = &Digest> {
        self.active.values().flat_map(|held| &held.images)
    }
}

impl Inner {
    /// A blob is about to appear, or to be looked for: every lease held now protects it. A collection that has decided already
    /// ends first, so what is found afterwards stays. Not for holders of the collection lock.
    pub fn protect_blob(&self, digest: &Digest) {
        let _collecting = self.gc.read().unwrap_or_else(PoisonError::into_inner);
        for held in held(&self.leases).active.values_mut() {
            held.blobs.insert(digest.clone());
        }
    }

    /// As [`Inner::protect_blob`], for a layer.
    pub fn protect_layer(&self, chain: &Digest) {
        let _collecting = self.gc.read().unwrap_or_else(PoisonError::into_inner);
        for held in held(&self.leases).active.values_mut() {
            held.layers.insert(chain.clone());
        }
    }
}

//! All containers of the engine, by id, by the beginning of an id, and by name. A name is taken from the moment a container
//! is being made until its record is gone.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::exec::Exec;
use super::model::Container;
use crate::error::{Error, Result};

/// The containers.
#[derive(Default)]
pub(crate) struct Registry {
    index: RwLock<Index>,
}

#[derive(Default)]
struct Index {
    /// Ordered, so that the beginning of an id is a range.
    by_id: BTreeMap<String, Arc<Container>>,
    /// Names in use and reserved, to ids.
    names: HashMap<String, String>,
    execs: HashMap<String, Arc<Exec>>,
}

impl Registry {
    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// All containers, in no meaningful order.
    pub(crate) fn all(&self) -> Vec<Arc<Container>> {
        self.read().by_id.values().cloned().collect()
    }

    /// By full id, name (with or without slash), or unambiguous beginning of an id, in this order.
    pub(crate) fn find(&self, reference: &str) -> Result<Arc<Container>> {
        let missing = || Error::not_found(format!("No such container: {reference}"));
        if reference.is_empty() {
            return Err(missing());
        }
        let index = self.read();
        if let Some(container) = index.by_id.get(reference) {
            return Ok(Arc::clone(container));
        }
        let name = reference.strip_prefix('/').unwrap_or(reference);
        if let Some(container) = index.names.get(name).and_then(|id| index.by_id.get(id)) {
            return Ok(Arc::clone(container));
        }
        let mut found =
            index.by_id.range(reference.to_owned()..).take_while(|(id, _)| id.starts_with(reference));
        match (found.next(), found.next()) {
            (Some((_, container)), None) => Ok(Arc::clone(container)),
            (Some(_), Some(_)) => {
                Err(Error::invalid(format!("multiple IDs found with provided prefix: {reference}")))
            }
            (None, _) => Err(missing()),
        }
    }

    /// Takes a name for an id that is being made or renamed.
    pub(crate) fn reserve(self: &Arc<Self>, name: &str, id: &str) -> Result<Reservation> {
        let mut index = self.write();
        match index.names.get(name) {
            Some(owner) => Err(Error::conflict(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". You have to remove (or rename) that container to be able to reuse that name."
            ))),
            None => {
                index.names.insert(name.to_owned(), id.to_owned());
                Ok(Reservation { registry: Arc::clone(self), name: Some(name.to_owned()) })
            }
        }
    }

    /// Makes a container visible. Its name must be reserved, or free.
    pub(crate) fn insert(&self, container: Arc<Container>) {
        let mut index = self.write();
        index.names.insert(container.name(), container.id.clone());
        index.by_id.insert(container.id.clone(), container);
    }

    /// Takes a container out, with its names and execs.
    pub(crate) fn remove(&self, id: &str) {
        let mut index = self.write();
        index.by_id.remove(id);
        index.names.retain(|_, owner| owner != id);
        index.execs.retain(|_, exec| exec.container.id != id);
    }

    /// Gives a name back after a rename.
    pub(crate) fn release_name(&self, name: &str, id: &str) {
        let mut index = self.write();
        if index.names.get(name).is_some_and(|owner| owner == id) {
            index.names.remove(name);
        }
    }

    /// An exec by its id.
    pub(crate) fn exec(&self, id: &str) -> Result<Arc<Exec>> {
        let index = self.read();
        index.execs.get(id).cloned().ok_or_else(|| Error::not_found(format!("No such exec instance: {id}")))
    }

    pub(crate) fn insert_exec(&self, exec: Arc<Exec>) {
        self.write().execs.insert(exec.id.clone(), exec);
    }

    /// Forgets execs that `gone` picks.
    pub(crate) fn forget_execs(&self, gone: impl Fn(&Exec) -> bool) {
        self.write().execs.retain(|_, exec| !gone(exec));
    }
}

/// A name that goes back unless it is kept.
pub(crate) struct Reservation {
    registry: Arc<Registry>,
    name: Option<String>,
}

impl Reservation {
    /// What was reserved.
    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The name belongs to a container now.
    pub(crate) fn keep(mut self) {
        self.name = None;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            self.registry.write().names.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::record::Record;

    fn container(id: &str, name: &str) -> Arc<Container> {
        let record = Record::new(
            id.into(),
            name.into(),
            String::new(),
            String::new(),
            "linux".into(),
            Default::default(),
            Default::default(),
            store::Rootfs::Directory("/".into()),
        );
        Arc::new(Container::new(&crate::EngineConfig::new("/r", "/run"), record))
    }

    #[test]
    fn containers_are_found_by_id_name_and_beginning() {
        let registry = Arc::new(Registry::default());
        registry.insert(container("abc1", "web"));
        registry.insert(container("abd2", "abc"));
        let find = |reference: &str| registry.find(reference).map(|container| container.id.clone());
        assert_eq!(find("abc1").unwrap(), "abc1");
        assert_eq!(find("/web").unwrap(), "abc1");
        // A name wins over the beginning of an id.
        assert_eq!(find("abc").unwrap(), "abd2");
        assert_eq!(find("abd").unwrap(), "abd2");
        assert_eq!(find("ab").unwrap_err().message, "multiple IDs found with provided prefix: ab");
        for missing in ["x", "", "/"] {
            assert_eq!(find(missing).unwrap_err().message, format!("No such container: {missing}"));
        }
    }

    #[test]
    fn a_name_is_taken_while_reserved_and_free_again_after() {
        let registry = Arc::new(Registry::default());
        let reservation = registry.reserve("web", "one").unwrap();
        let conflict = registry.reserve("web", "two").err().unwrap();
        assert_eq!(
            conflict.message,
            "Conflict. The container name \"/web\" is already in use by container \"one\". You have to remove (or rename) that container to be able to reuse that name."
        );
        drop(reservation);
        registry.reserve("web", "two").unwrap().keep();
        assert!(registry.reserve("web", "three").is_err());
        registry.release_name("web", "other");
        assert!(registry.reserve("web", "three").is_err());
        registry.release_name("web", "two");
        assert!(registry.reserve("web", "three").is_ok());
    }
}

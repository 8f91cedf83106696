//! `docker tag` and `docker rmi`: which names go, and when an image may go with them.
//!
//! The rules are moby's (`daemon/images/image_delete.go`): a name is removed first; the image goes with its last name;
//! conflicts are hard (a running container, child images) or soft (a stopped container, several repositories) and only soft
//! ones yield to force.

use std::collections::BTreeSet;

use ::image::{Digest, Platform, Reference, is_hex};
use api::*;
use store::{Deleted, ImageRecord, Store};

use super::{platforms, references, repository_and_tag};
use crate::blocking::blocking;
use crate::error::{Error, Result};
use crate::{ContainerUse, Engine};

impl Engine {
    pub async fn image_tag(&self, name: &str, query: ImageTagQuery) -> Result<()> {
        let target = repository_and_tag(&query.repo, &query.tag)?;
        let target = target.ok_or_else(|| Error::invalid("invalid reference format"))?;
        let (store, name, shown) = (self.store.clone(), name.to_owned(), target.familiar());
        let id = blocking(move || {
            let id = store.image(&name)?.id;
            store.tag(&id, &target)?;
            Ok(id)
        });
        self.image_event("tag", &id.await?, &shown);
        Ok(())
    }

    pub async fn image_remove(
        &self,
        name: &str,
        query: ImageRemoveQuery,
    ) -> Result<Vec<ImageDeleteResponseItem>> {
        let removal = Removal {
            store: self.store.clone(),
            uses: self.container_uses(),
            force: query.force,
            prune: !query.noprune,
        };
        if !query.platforms.is_empty() {
            return self.remove_platforms(removal, name, &platforms(&query.platforms)?).await;
        }
        let removed = self.remove_and_tell(removal, name.to_owned()).await?;
        Ok(removed.iter().map(item).collect())
    }

    /// Removes what an image has for some platforms; all of it when nothing is left then.
    async fn remove_platforms(
        &self,
        removal: Removal,
        name: &str,
        platforms: &[Platform],
    ) -> Result<Vec<ImageDeleteResponseItem>> {
        let mut removed = Vec::new();
        for platform in platforms {
            let (one, asked, platform) = (removal.clone(), name.to_owned(), platform.clone());
            match blocking(move || one.remove_platform(&asked, &platform)).await? {
                Some(done) => removed.extend(done),
                None => {
                    removed.extend(self.remove_and_tell(removal, name.to_owned()).await?);
                    break;
                }
            }
        }
        Ok(removed.iter().map(item).collect())
    }

    /// Removes, and tells the events in the order in which it happened.
    pub(super) async fn remove_and_tell(&self, removal: Removal, name: String) -> Result<Vec<Deleted>> {
        let known = self.store.clone();
        let asked = name.clone();
        let (outcome, image) = blocking(move || {
            let image = known.image(&asked)?;
            let labels =
                known.config(&image.id).ok().and_then(|config| config.config.as_ref()?.labels.clone());
            Ok((removal.remove(&asked), (image.id, labels.unwrap_or_default())))
        })
        .await?;
        let removed = outcome?;
        let (id, labels) = image;
        for done in &removed {
            match done {
                Deleted::Untagged(_) => {
                    self.image_event_with("untag", &id.to_string(), &id.to_string(), labels.clone())
                }
                Deleted::Deleted(gone) if *gone == id => {
                    self.image_event_with("delete", &id.to_string(), &id.to_string(), labels.clone());
                }
                Deleted::Deleted(_) => {}
            }
        }
        Ok(removed)
    }
}

pub(super) fn item(done: &Deleted) -> ImageDeleteResponseItem {
    match done {
        Deleted::Untagged(name) => {
            ImageDeleteResponseItem { untagged: name.familiar(), ..ImageDeleteResponseItem::default() }
        }
        Deleted::Deleted(digest) => {
            ImageDeleteResponseItem { deleted: digest.to_string(), ..ImageDeleteResponseItem::default() }
        }
    }
}

/// One removal: the store, who uses what, and how determined the caller is.
#[derive(Clone)]
pub(super) struct Removal {
    pub store: Store,
    pub uses: Vec<ContainerUse>,
    pub force: bool,
    /// Parents that nobody else needs go too.
    pub prune: bool,
}

impl Removal {
    pub(super) fn remove(&self, name: &str) -> Result<Vec<Deleted>> {
        let record = self.store.image(name)?;
        let mut done = Vec::new();
        let mut by_name = false;
        if is_id_prefix(&record.id, name) {
            if is_single(&record) {
                self.check(&self.ids(&record)?, self.force, false)?;
            }
        } else {
            self.remove_name(name, &record, &mut done)?;
            let Ok(now) = self.store.image(&record.id.to_string()) else { return Ok(done) };
            if references(&now).next().is_some() {
                return Ok(done);
            }
            by_name = true;
        }
        self.remove_image(&record.id, self.force, by_name, &mut done)?;
        Ok(done)
    }

    /// `None` when the image has nothing else.
    fn remove_platform(&self, name: &str, platform: &Platform) -> Result<Option<Vec<Deleted>>> {
        let record = self.store.image(name)?;
        let manifest = self.store.manifest_for(&record, platform)?.ok_or_else(|| {
            Error::not_found(format!("image {name} does not provide the specified platform ({platform})"))
        })?;
        let id = self.store.manifest(&manifest.digest)?.config.digest.clone();
        self.check(&[id], self.force, false)?;
        Ok(self.store.remove_platform(&record, &manifest.digest)?)
    }

    fn remove_name(&self, name: &str, record: &ImageRecord, done: &mut Vec<Deleted>) -> Result<()> {
        if !self.force
            && is_single(record)
            && let Some(container) = self.users(&self.ids(record)?).next()
        {
            return Err(Error::conflict(format!(
                "conflict: unable to remove repository reference {name:?} (must force) - container {} is using its referenced \
                 image {}",
                short(&container.id),
                record.id.short()
            )));
        }
        let mut reference = Reference::parse(name)?.with_default_tag();
        if reference.digest.is_some() {
            reference.tag = None;
        }
        done.extend(self.store.untag(&reference)?);
        let by_tag = reference.digest.is_none();
        let left = self.store.image(&record.id.to_string())?;
        // The last tag of a repository takes the repository's digests with it.
        if by_tag && !left.names.iter().any(|name| name.same_repository(&reference)) {
            for digest in left.repo_digests.iter().filter(|name| name.same_repository(&reference)) {
                done.extend(self.store.untag(digest)?);
            }
        }
        Ok(())
    }

    /// `quiet`: a conflict ends the removal without an error, unless the user would wonder.
    fn remove_image(&self, id: &Digest, force: bool, quiet: bool, done: &mut Vec<Deleted>) -> Result<()> {
        let record = self.store.image(&id.to_string())?;
        let ids = self.ids(&record)?;
        if let Err(conflict) = self.check(&ids, force, true) {
            let dangling = references(&record).next().is_none();
            let used = self.users(&ids).next().is_some();
            return if quiet && (!dangling || used) { Ok(()) } else { Err(conflict) };
        }
        done.extend(self.store.delete_image(id)?);
        match record.parent.filter(|parent| self.prune && self.store.image(&parent.to_string()).is_ok()) {
            Some(parent) => self.remove_image(&parent, false, true, done),
            None => Ok(()),
        }
    }

    /// The image's id, and those of what goes with it: other platforms of its index that have no entry of their own.
    fn ids(&self, record: &ImageRecord) -> Result<Vec<Digest>> {
        let mut ids = vec![record.id.clone()];
        if !record.target.media_type.is_index() {
            return Ok(ids);
        }
        for entry in self.store.index_entries(&record.target)? {
            if !entry.is_here || entry.descriptor.is_attestation() {
                continue;
            }
            let id = self.store.manifest(&entry.descriptor.digest)?.config.digest.clone();
            if self.store.image_by_id(&id).is_err() {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    /// Whether an image may go, the first of `ids`. `names`: names pointing to it count as a (soft) conflict.
    fn check(&self, ids: &[Digest], force: bool, names: bool) -> Result<()> {
        let Some(id) = ids.first() else { return Ok(()) };
        let conflict = |how: &str, why: String| {
            Err(Error::conflict(format!("conflict: unable to delete {} ({how}) - {why}", id.short())))
        };
        if !self.store.children(id)?.is_empty() {
            return conflict("cannot be forced", "image has dependent child images".to_owned());
        }
        if let Some(container) = self.users(ids).find(|container| container.is_running) {
            let why = format!("image is being used by running container {}", short(&container.id));
            return conflict("cannot be forced", why);
        }
        if force {
            return Ok(());
        }
        if names && !is_single(&self.store.image(&id.to_string())?) {
            return conflict("must be forced", "image is referenced in multiple repositories".to_owned());
        }
        if let Some(container) = self.users(ids).next() {
            let why = format!("image is being used by stopped container {}", short(&container.id));
            return conflict("must be forced", why);
        }
        Ok(())
    }

    fn users(&self, ids: &[Digest]) -> impl Iterator<Item = &ContainerUse> {
        let ids: Vec<String> = ids.iter().map(Digest::to_string).collect();
        self.uses.iter().filter(move |container| {
            ids.iter().any(|id| container.image_id == *id || container.image_mounts.contains(id))
        })
    }
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Whether a name is (the beginning of) the image's id rather than a reference.
fn is_id_prefix(id: &Digest, name: &str) -> bool {
    let bare = name.strip_prefix("sha256:").unwrap_or(name);
    is_hex(bare) && id.hex().starts_with(bare)
}

/// At most one tag, and every digest in that tag's repository (moby's `isSingleReference`).
fn is_single(record: &ImageRecord) -> bool {
    let repositories: BTreeSet<String> = references(record).map(Reference::name).collect();
    record.names.len() <= 1 && repositories.len() <= 1
}

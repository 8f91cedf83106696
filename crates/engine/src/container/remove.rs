//! `docker rm`. A container is gone with one rename to `.removing-<id>`; what is left of it after that is cleared away then, or
//! by the next engine.

use std::path::Path;
use std::sync::Arc;

use api::*;

use super::model::Container;
use super::mounts::Kind;
use super::record::Record;
use super::status::Status;
use crate::Engine;
use crate::blocking::blocking;
use crate::error::{Error, Result};

/// Before the id of a container that is being removed.
pub(crate) const REMOVING: &str = ".removing-";

impl Engine {
    pub async fn container_remove(&self, id: &str, query: ContainerRemoveQuery) -> Result<()> {
        if query.link {
            return self.unlink(id).await;
        }
        let container = self.containers.find(id)?;
        let engine = self.arc()?;
        let removed = tokio::spawn(async move {
            if query.force {
                engine.kill_for_removal(&container).await?;
            }
            engine.remove(&container, query.volumes).await
        });
        removed.await.map_err(|error| Error::internal(format!("internal error: {error}")))?
    }

    /// Removes a container that removes itself, in a task of its own.
    pub(crate) fn remove_later(self: &Arc<Self>, container: &Arc<Container>) {
        let (engine, container) = (Arc::clone(self), Arc::clone(container));
        let activity = self.activity();
        tokio::spawn(async move {
            if let Err(error) = engine.remove(&container, true).await {
                tracing::error!(%error, container = %container.id, "remove a container after its exit");
            }
            drop(activity);
        });
    }

    async fn kill_for_removal(&self, container: &Container) -> Result<()> {
        if !container.status().is_up() {
            return Ok(());
        }
        match self.signal(container, sys::signal::KILL).await {
            Ok(()) => container.until_down().await,
            // It may have ended by itself meanwhile.
            Err(_) if !container.status().is_up() => {}
            Err(error) => {
                return Err(error.context(format!(
                    "cannot remove container \"/{}\": could not kill container",
                    container.name()
                )));
            }
        }
        Ok(())
    }

    /// Removes a container that is down.
    pub(crate) async fn remove(self: &Arc<Self>, container: &Arc<Container>, volumes: bool) -> Result<()> {
        let _turn = self.turn(container).await;
        let name = container.name();
        let refuse =
            |what: &str| Err(Error::conflict(format!("cannot remove container \"/{name}\": {what}")));
        let before = container.status();
        match before {
            // Somebody else was faster, perhaps the container itself.
            _ if container.life().removed => return Ok(()),
            Status::Removing => {
                return Err(Error::conflict(format!(
                    "removal of container {} is already in progress",
                    container.id
                )));
            }
            Status::Paused(_) => return refuse("container is paused and must be unpaused first"),
            status if status.is_up() => {
                return refuse(&format!(
                    "container is {}: stop the container before removing or force remove",
                    status.name()
                ));
            }
            _ => {}
        }
        container.change(|life| life.status = Status::Removing);
        let grave = container.folder.with_file_name(format!("{REMOVING}{}", container.id));
        let (engine, folder, to, id) =
            (Arc::clone(self), container.folder.clone(), grave.clone(), container.id.clone());
        let record = container.record();
        let moved = blocking(move || {
            // What a failed start may have left.
            engine.leave_networks(&id);
            engine.release_volumes(&record);
            std::fs::rename(&folder, &to)
                .map_err(|error| Error::host(format!("remove {}", folder.display()), error))
        });
        if let Err(error) = moved.await {
            container.change(|life| {
                life.status = Status::Dead;
                life.error.clone_from(&error.message);
            });
            return Err(
                error.context(format!("container {}: driver failed to remove root filesystem", container.id))
            );
        }
        let record = container.record();
        self.containers.remove(&container.id);
        container.streams.hang_up();
        self.container_event(container, "destroy", &[]);
        container.change(|life| life.removed = true);
        let engine = Arc::clone(self);
        blocking(move || {
            clear_away(&grave);
            if volumes {
                engine.remove_volumes_of(&record);
            }
            Ok(())
        })
        .await
    }

    /// Removes the volumes that were made for a container alone and that nobody else has come to use.
    fn remove_volumes_of(&self, record: &Record) {
        let uses = self.container_uses();
        for mount in record.mounts.iter().filter(|mount| mount.kind == Kind::Volume && mount.anonymous) {
            if crate::volumes::users(&uses, &mount.name).next().is_some() {
                continue;
            }
            match self.erase_volume(&mount.name) {
                Ok(()) => self.volume_event("destroy", &mount.name, &mount.driver),
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => tracing::warn!(%error, volume = %mount.name, "remove a container's volume"),
            }
        }
    }
}

/// Deletes what is left of a container.
pub(crate) fn clear_away(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder) {
        // The next engine tries again.
        tracing::warn!(%error, folder = %folder.display(), "clear away a removed container");
    }
}

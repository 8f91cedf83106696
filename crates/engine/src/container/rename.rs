//! `docker rename`.

use monitor::protocol::Body;

use super::launch::log;
use super::name;
use super::record::Record;
use super::status::Status;
use crate::Engine;
use crate::blocking::blocking;
use crate::error::{Error, Result};

impl Engine {
    pub async fn container_rename(&self, id: &str, to: &str) -> Result<()> {
        if id.is_empty() || to.is_empty() {
            return Err(Error::invalid("Neither old nor new names may be empty"));
        }
        let container = self.containers.find(id)?;
        let _turn = self.turn(&container).await;
        if matches!(container.status(), Status::Removing | Status::Dead) {
            return Err(Error::conflict("container is marked for removal and cannot be renamed"));
        }
        let to = name::check(to)?;
        let old = container.record();
        if old.name == to {
            return Err(Error::invalid("Renaming a container with the same name as its current name"));
        }
        let reservation = self.containers.reserve(&to, &container.id)?;
        let mut record = Record::clone(&old);
        record.name.clone_from(&to);
        let (engine, folder, written) = (self.arc()?, container.folder.clone(), record.clone());
        blocking(move || {
            written.write(&folder)?;
            for error in engine.networks.rename(&written.id, &written.name) {
                tracing::warn!(%error, container = %written.id, "rename in networks");
            }
            Ok(())
        })
        .await?;
        let tag = log::tag_of(&record);
        container.set_record(record);
        reservation.keep();
        self.containers.release_name(&old.name, &container.id);
        if let Some(monitor) = container.monitor() {
            monitor.tell(Body::Rename { name: to, tag }).await;
        }
        self.container_event(&container, "rename", &[("oldName", format!("/{}", old.name))]);
        Ok(())
    }
}

//! `docker start`.

use std::sync::Arc;

use api::*;

use super::model::Container;
use super::status::Status;
use crate::Engine;
use crate::blocking::blocking;
use crate::error::{Error, Result};

impl Engine {
    pub async fn container_start(&self, id: &str, query: ContainerStartQuery) -> Result<()> {
        super::detach_keys::parse(&query.detach_keys)?;
        let container = self.containers.find(id)?;
        let engine = self.arc()?;
        // In a task of its own: a client that hangs up must not leave a start half-way.
        let started = tokio::spawn(async move {
            let _gate = container.gate.lock().await;
            engine.start_held(&container).await
        });
        started.await.map_err(|error| Error::internal(format!("internal error: {error}")))?
    }

    /// Starts a container whose gate the caller holds.
    pub(crate) async fn start_held(self: &Arc<Self>, container: &Arc<Container>) -> Result<()> {
        match container.status() {
            Status::Running(_) | Status::Restarting => return Err(Error::not_modified()),
            Status::Paused(_) => {
                return Err(Error::conflict("cannot start a paused container, try unpause instead"));
            }
            Status::Removing | Status::Dead => {
                return Err(Error::conflict("container is marked for removal and cannot be started"));
            }
            Status::Created | Status::Exited => {}
        }
        let Err(failure) = self.launch(container).await else { return Ok(()) };
        let (engine, record) = (Arc::clone(self), container.record());
        let undone = blocking(move || {
            engine.left_networks(&engine.leave_networks(&record.id));
            engine.drop_shared_memory(&record.id);
            engine.release_volumes(&record);
            Ok(())
        });
        if let Err(error) = undone.await {
            tracing::error!(%error, container = %container.id, "undo a start");
        }
        container.change(|life| {
            life.exit_code = failure.code;
            life.last_exit = failure.code;
            life.error.clone_from(&failure.error.message);
        });
        if container.record().host.auto_remove {
            self.remove_later(container);
        }
        Err(failure.error)
    }
}

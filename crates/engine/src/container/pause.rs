//! `docker pause` and `docker unpause`.

use monitor::protocol::Body;

use super::kill::not_running;
use super::status::Status;
use crate::Engine;
use crate::error::{Error, Result};

impl Engine {
    pub async fn container_pause(&self, id: &str) -> Result<()> {
        let container = self.containers.find(id)?;
        let monitor = match container.status() {
            Status::Running(_) => container.running_monitor()?,
            Status::Paused(_) => {
                return Err(Error::conflict(format!("container {} is already paused", container.id)));
            }
            Status::Restarting => {
                return Err(Error::conflict(format!(
                    "container {} is restarting, wait until the container is running",
                    container.id
                )));
            }
            _ => return Err(not_running(&container.id)),
        };
        monitor
            .request(Body::Pause)
            .await
            .map_err(|error| error.context(format!("cannot pause container {}", container.id)))?;
        self.paused(&container, true);
        Ok(())
    }

    pub async fn container_unpause(&self, id: &str) -> Result<()> {
        let container = self.containers.find(id)?;
        if !matches!(container.status(), Status::Paused(_)) {
            return Err(Error::internal(format!("Container {} is not paused", container.id)));
        }
        container
            .running_monitor()?
            .request(Body::Unpause)
            .await
            .map_err(|error| error.context(format!("cannot unpause container {}", container.id)))?;
        self.paused(&container, false);
        Ok(())
    }
}

//! `docker kill`: a signal for a container's first process.

use monitor::protocol::Body;

use super::model::Container;
use crate::Engine;
use crate::error::{Error, Result};

impl Engine {
    pub async fn container_kill(&self, id: &str, signal: &str) -> Result<()> {
        let number = match signal {
            "" => sys::signal::KILL,
            text => signal_number(text)?,
        };
        let container = self.containers.find(id)?;
        self.signal(&container, number)
            .await
            .map_err(|error| error.context(format!("cannot kill container: {id}")))?;
        if number == sys::signal::KILL {
            container.until_down().await;
        }
        Ok(())
    }

    /// Sends a signal to a running container, and tells the events.
    pub(crate) async fn signal(&self, container: &Container, signal: i32) -> Result<()> {
        let monitor = container.running_monitor()?;
        monitor.request(Body::Signal { signal }).await?;
        self.container_event(container, "kill", &[("signal", signal.to_string())]);
        Ok(())
    }
}

/// A signal as users write it.
pub(crate) fn signal_number(text: &str) -> Result<i32> {
    sys::signal::parse(text).ok_or_else(|| Error::invalid(format!("Invalid signal: {text}")))
}

/// What every operation on a stopped container says.
pub(crate) fn not_running(id: &str) -> Error {
    Error::conflict(format!("container {id} is not running"))
}

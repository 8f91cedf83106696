//! `docker stop` and `docker restart`.

use std::sync::atomic::Ordering;

use api::*;
use monitor::protocol::Body;

use super::kill::signal_number;
use super::launch::prepare::stop_signal;
use super::model::Container;
use crate::Engine;
use crate::error::{Error, Result};

impl Engine {
    pub async fn container_stop(&self, id: &str, query: ContainerStopQuery) -> Result<()> {
        let container = self.containers.find(id)?;
        if !container.status().is_up() {
            return Err(Error::not_modified());
        }
        self.stop(&container, &query)
            .await
            .map_err(|error| error.context(format!("cannot stop container: {id}")))
    }

    pub async fn container_restart(&self, id: &str, query: ContainerStopQuery) -> Result<()> {
        let container = self.containers.find(id)?;
        let wrap = |error: Error| match error.kind {
            ErrorKind::NotModified => error,
            _ => error.context(format!("Cannot restart container {id}")),
        };
        let engine = self.arc()?;
        let restarted = tokio::spawn(async move {
            // The exit in between is not its end: it does not remove itself.
            container.keep.store(true, Ordering::Relaxed);
            let stopped = match container.status().is_up() {
                true => engine.stop(&container, &query).await,
                false => Ok(()),
            };
            container.keep.store(false, Ordering::Relaxed);
            stopped?;
            let _gate = container.gate.lock().await;
            engine.start_held(&container).await.or_else(|error| match error.kind {
                ErrorKind::NotModified => Ok(()),
                _ => Err(error),
            })?;
            engine.container_event(&container, "restart", &[]);
            Ok(())
        });
        let restarted =
            restarted.await.map_err(|error| Error::internal(format!("internal error: {error}")))?;
        restarted.map_err(wrap)
    }

    /// Stops a container that is up; returns when it is down.
    async fn stop(&self, container: &Container, query: &ContainerStopQuery) -> Result<()> {
        let record = container.record();
        let signal = match query.signal.as_str() {
            "" => None,
            text => Some(signal_number(text)?),
        };
        let Some(monitor) = container.monitor() else {
            container.until_down().await;
            return Ok(());
        };
        if container.status().run().is_some() {
            let number = signal.unwrap_or_else(|| stop_signal(&record));
            self.container_event(container, "kill", &[("signal", number.to_string())]);
        }
        let body = Body::Stop { signal, timeout: query.timeout.map(|seconds| seconds.max(-1)) };
        // The answer may be lost with the monitor, which leaves when the container is down.
        let asked = monitor.request(body).await;
        if container.status().is_up() && container.has_monitor(&monitor) {
            asked?;
        }
        container.until_down().await;
        container.change(|life| life.user_stopped = true);
        self.container_event(container, "stop", &[]);
        Ok(())
    }
}

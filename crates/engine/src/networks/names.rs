//! Names for a container that comes to a network with names while it runs: its monitor begins to answer at 127.0.0.11, and its
//! `/etc/resolv.conf` leads there. One that had names from its start needs none of this; one that leaves its last such network
//! keeps what it has, which forwards everything then.

use std::path::Path;

use jiff::Timestamp;
use monitor::protocol::Body;
use network::files::{host_resolv_conf, resolv_conf_with_names};

use super::hosts;
use crate::Engine;
use crate::blocking::blocking;
use crate::container::launch::prepare::RESOLV_CONF;
use crate::container::model::Container;
use crate::error::{Error, Result};

impl Engine {
    /// Gives names to a running container that has just been connected. The network works without them, so a failure is logged
    /// and undoes nothing.
    pub(super) async fn give_names(&self, container: &Container) {
        if let Err(error) = self.try_give_names(container).await {
            tracing::warn!(container = container.id, %error, "a container has no names in its networks");
        }
    }

    async fn try_give_names(&self, container: &Container) -> Result<()> {
        let record = container.record();
        let Some(spec) = self.names_spec(&record) else { return Ok(()) };
        container.running_monitor()?.request(Body::Names(spec)).await?;
        let path = container.folder.join(RESOLV_CONF);
        let (options, started) = (self.dns_options(&record, false), container.life().started);
        blocking(move || {
            let wrap = |error| Error::host(format!("write {}", path.display()), error);
            if changed_since(&path, started).map_err(wrap)? {
                // Whoever wrote a resolver of their own into it means it.
                return Ok(());
            }
            hosts::rewrite(&path, |_| resolv_conf_with_names(&host_resolv_conf(), &options)).map_err(wrap)
        })
        .await
    }
}

/// Whether somebody has written to a file since the container's start, which is when the engine writes it.
fn changed_since(path: &Path, started: Option<Timestamp>) -> std::io::Result<bool> {
    let modified = Timestamp::try_from(std::fs::metadata(path)?.modified()?);
    Ok(started.is_some_and(|started| modified.is_ok_and(|modified| modified > started)))
}

//! Names for a container that comes to a network with names while it runs: its monitor begins to answer at 127.0.0.11, and its
//! `/etc/resolv.conf` leads there. When it leaves its last such network the file leads to the host's servers again; the monitor
//! goes on to forward for processes that have read it.

use std::path::Path;

use jiff::Timestamp;
use monitor::protocol::Body;
use network::files::{DnsOptions, host_resolv_conf, resolv_conf, resolv_conf_with_names};

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
            let changed = changed_since(&path, started).map_err(wrap)?;
            let host = host_resolv_conf();
            hosts::rewrite(&path, |before| {
                // Whoever wrote a resolver of their own into it means it.
                let ours =
                    !changed || [false, true].iter().any(|ipv6| before == without(&host, &options, *ipv6));
                if ours { resolv_conf_with_names(&host, &options) } else { before.to_owned() }
            })
            .map_err(wrap)
        })
        .await
    }

    /// Leads a container that has just left a network to the host's servers, if no network with names is left. A failure is
    /// logged: the monitor answers still.
    pub(super) async fn take_names(&self, container: &Container) {
        let record = container.record();
        if self.networks.has_names(&record.id) {
            return;
        }
        let path = container.folder.join(RESOLV_CONF);
        let ipv6 =
            self.networks.attachment(&record.id).endpoints.iter().any(|endpoint| endpoint.ipv6.is_some());
        let options = self.dns_options(&record, false);
        let written = blocking(move || {
            let host = host_resolv_conf();
            hosts::rewrite(&path, |before| {
                let ours = before == resolv_conf_with_names(&host, &options);
                if ours { without(&host, &options, ipv6) } else { before.to_owned() }
            })
            .map_err(|error| Error::host(format!("write {}", path.display()), error))
        });
        if let Err(error) = written.await {
            tracing::warn!(container = container.id, %error, "a container's resolv.conf is not up to date");
        }
    }
}

/// The file of a container that is in no network with names.
fn without(host: &str, options: &DnsOptions, ipv6: bool) -> String {
    resolv_conf(host, &DnsOptions { ipv6, ..options.clone() })
}

/// Whether somebody has written to a file since the container's start, which is when the engine writes it.
fn changed_since(path: &Path, started: Option<Timestamp>) -> std::io::Result<bool> {
    let modified = Timestamp::try_from(std::fs::metadata(path)?.modified()?);
    Ok(started.is_some_and(|started| modified.is_ok_and(|modified| modified > started)))
}

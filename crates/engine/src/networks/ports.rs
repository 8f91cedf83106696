//! Published ports of a container that joins or leaves networks while it runs: those that its first network with a way out
//! makes possible, and the monitor's share in those that follow the container to another address.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use ::network::Binding;
use monitor::protocol::{Body, Reply};

use crate::Engine;
use crate::blocking::blocking;
use crate::container::launch;
use crate::container::model::Container;
use crate::error::Result;
use crate::monitors;

impl Engine {
    /// Publishes the ports of a container that could publish none at its start: no network of it had a way out.
    pub(super) async fn publish_late(&self, container: &Arc<Container>) -> Result<()> {
        let record = container.record();
        let asks = record.host.publish_all_ports
            || record.host.port_bindings.as_ref().is_some_and(|b| !b.is_empty());
        if !asks || !self.networks.attachment(&container.id).bindings.is_empty() {
            return Ok(());
        }
        let (engine, id) = (self.arc()?, container.id.clone());
        let published = blocking(move || engine.publish_ports(&id, &record)).await?;
        if published.sockets.is_empty() {
            return Ok(());
        }
        let relays = published.relays.iter().filter_map(launch::relay).collect();
        let sockets: Vec<BorrowedFd<'_>> = published.sockets.iter().map(AsFd::as_fd).collect();
        match container
            .running_monitor()?
            .ask(Body::Publish { sockets: sockets.len(), relays }, &sockets)
            .await?
        {
            Reply::Error { kind, message } => Err(monitors::refusal(kind, message)),
            _ => Ok(()),
        }
    }

    /// Tells the monitor where published ports lead that it serves, after they moved to another of the container's addresses.
    pub(super) async fn redirect_relays(&self, container: &Container, before: &[Binding]) {
        let after = self.networks.attachment(&container.id).bindings;
        let moves: Vec<(SocketAddr, SocketAddr)> = before
            .iter()
            .zip(&after)
            .map(|(before, after)| (before.relay, after.relay))
            .filter(|(before, after)| before != after)
            .collect();
        if !moves.is_empty()
            && let Some(monitor) = container.monitor()
        {
            monitor.tell(Body::Redirect(moves)).await;
        }
    }
}

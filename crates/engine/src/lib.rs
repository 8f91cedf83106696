//! The domain: containers with their execs, logs and statistics, and around them images, networks, volumes and events.
//!
//! ```text
//! server ─▶ Engine ─▶ containers ─▶ monitors (one process per running container)
//!                  ├▶ store (images, snapshots, volumes)      blocking, behind spawn_blocking
//!                  ├▶ networks (sandboxes, addresses, ports)  blocking, behind spawn_blocking
//!                  └▶ events (ring + events.jsonl)
//! ```
//! Methods are the operations of the Engine API, one each, in its vocabulary (`api` types), but nothing here knows HTTP or a
//! version of that API. The engine is crash-only: whatever it must remember is on disk or in a monitor before a method
//! returns. It never forks and never writes a container's run state: the container's monitor does.
#![forbid(unsafe_code)]

mod blocking;
mod boot;
mod config;
mod container;
mod error;
mod events;
mod executable;
mod facts;
mod idle;
mod images;
mod monitors;
mod networks;
mod pattern;
mod pipe;
mod spares;
mod system;
#[cfg(test)]
mod testing;
mod time;
mod volumes;
mod when;

use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use container::registry::Registry;
use distribution::Registries;
use network::Networks;
use store::Store;

pub use config::{EngineConfig, Rootless};
pub use container::{AttachOptions, Attachment, ClientStream, ContainerUse, Logs};
pub use error::{Error, Result};
pub use events::Events;
pub use idle::Activity;
pub use images::LoadSink;

/// How long after the last request memory is given back.
const QUIET: std::time::Duration = std::time::Duration::from_secs(1);
/// How long nobody must have wanted anything before pulled images are made durable and committed ones packed: most that leave or
/// go do so by then.
const QUIET_FOR_SETTLING: std::time::Duration = std::time::Duration::from_secs(20);

/// One engine: everything below one root folder. Made by [`Engine::start`], shared by `Arc`.
pub struct Engine {
    pub(crate) config: EngineConfig,
    pub(crate) store: Store,
    pub(crate) networks: Networks,
    pub(crate) registries: Registries,
    pub(crate) events: Events,
    pub(crate) idle: idle::Idle,
    /// Where containers' mounts begin; none where that is not to be had.
    pub(crate) bare_mounts: Option<OwnedFd>,
    pub(crate) containers: Arc<Registry>,
    /// Itself, for tasks that outlive a request. They hold it weakly, or an engine would never end.
    pub(crate) me: Weak<Engine>,
    pub(crate) facts: facts::Facts,
    pub(crate) executable: executable::Executable,
    pub(crate) spares: spares::Spares,
    pub(crate) held: container::launch::held::HeldStarts,
    pub(crate) volume_holds: volumes::Holds,
}

impl Engine {
    /// The options this engine was started with.
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// Held while somebody needs the engine: a request, a pull. An engine without is idle.
    pub fn activity(&self) -> Activity {
        self.idle.hold()
    }

    /// Resolves when nothing has been going on for the configured idle time; never when that is not set.
    pub async fn until_idle(&self) {
        match self.config.idle_timeout {
            Some(timeout) => drop(self.idle.wait(timeout).await),
            None => std::future::pending().await,
        }
    }

    /// Gives memory that requests needed back to the host, whenever there has been none for a moment. Never resolves.
    pub async fn keep_small(&self) {
        loop {
            let since = self.idle.wait(QUIET).await;
            sys::memory::trim_heap();
            self.idle.used(since).await;
        }
    }

    /// When there is nothing else to do: makes durable what was pulled, and packs committed images, so that the images folder
    /// is whole for other tools, too, and a later push need not wait. Never resolves.
    pub async fn settle_when_quiet(&self) {
        loop {
            let since = self.idle.wait(QUIET_FOR_SETTLING).await;
            self.flush().await;
            let store = self.store.clone();
            let waiting = blocking::blocking(move || Ok(store.unpacked_images()?)).await.unwrap_or_default();
            for image in waiting {
                let (store, activity) = (self.store.clone(), self.activity());
                if let Err(error) = blocking::blocking(move || Ok(store.packed_image(&image)?)).await {
                    tracing::warn!(%error, "pack a committed image");
                }
                drop(activity);
            }
            self.idle.used(since).await;
        }
    }

    /// Makes everything durable before an orderly exit. Containers go on running.
    pub async fn shutdown(&self) {
        self.flush().await;
    }

    async fn flush(&self) {
        let store = self.store.clone();
        if let Err(error) = blocking::blocking(move || Ok(store.flush()?)).await {
            tracing::error!(%error, "flush the store");
        }
    }

    /// Itself, for a task of its own.
    pub(crate) fn arc(&self) -> Result<Arc<Engine>> {
        self.me.upgrade().ok_or_else(|| Error::internal("the engine is going away"))
    }
}

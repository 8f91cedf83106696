//! Containers whose first process waits for the start request: `docker run` creates and starts, one right after the other, so
//! whatever a start can do is done as soon as the container is there, while its creator still reads the answer.
//!
//! ```text
//!   create ─▶ hold: a spare monitor, Prepare, Hold ─┬─▶ start: networks, Start
//!                                                   └─▶ no start for a while, or something else wants the container: all of it goes
//! ```
//! Nothing of it can be seen in what the engine says of a container. Only what depends on nothing that may change until the start is
//! held ([`Engine::can_prepare_early`]); who changes the container, or looks into its files, takes it by [`Engine::turn`].

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::network::Sandbox;
use monitor::protocol::{self, Body, FdRole, MonitorSpec, Request};
use tokio::sync::{MutexGuard, OwnedMutexGuard};

use super::super::model::{Container, lock};
use super::super::modes::Network;
use super::super::record::Record;
use super::super::status::Status;
use super::Ahead;
use crate::Engine;
use crate::error::{Error, Result};
use crate::spares::Spawned;

/// So long a container waits for its start.
const PATIENCE: Duration = Duration::from_secs(5);
/// Who has not started it by then creates more of them first: the next one is to be held as well.
const MORE: Duration = Duration::from_millis(20);
/// So many wait at a time.
const MOST: usize = 4;

/// One that waits. Dropped, nothing is left of it; that blocks.
pub(crate) struct Held {
    begun: Option<Parts>,
    /// The container's, see [`Container::listener`]: a start that comes too late for this one comes after its end.
    listener: Option<OwnedMutexGuard<()>>,
}

/// What a start goes on with.
pub(super) struct Parts {
    pub spawned: Spawned,
    pub cgroup: Option<Ahead>,
    pub sandbox: Option<Sandbox>,
}

/// All that wait, by container.
#[derive(Default)]
pub(crate) struct HeldStarts(Mutex<BTreeMap<String, Held>>);

impl HeldStarts {
    fn put(&self, id: &str, held: Held) {
        lock(&self.0).insert(id.to_owned(), held);
    }

    fn take(&self, id: &str) -> Option<Held> {
        lock(&self.0).remove(id)
    }

    /// Whether this one waits, and there is room for more.
    fn wants_more(&self, id: &str) -> bool {
        let held = lock(&self.0);
        held.contains_key(id) && held.len() < MOST
    }

    /// Ends all of them, which gives back what they have taken and others need, such as addresses; whether there were any. Blocking.
    pub(super) fn end(&self) -> bool {
        let ended = std::mem::take(&mut *lock(&self.0));
        !ended.is_empty()
    }
}

impl Held {
    /// What waits, and its container's listener; None when it has come to its end.
    fn into_parts(mut self) -> Option<(Parts, OwnedMutexGuard<()>)> {
        let child = &mut self.begun.as_mut()?.spawned.child;
        if !matches!(child.try_wait(), Ok(None)) {
            return None;
        }
        self.begun.take().zip(self.listener.take())
    }
}

impl Parts {
    /// Has the monitor make the process.
    fn begin(&self, spec: Box<MonitorSpec>, bare_mounts: Option<&OwnedFd>) -> Result<()> {
        let mut roles = Vec::new();
        let mut fds: Vec<BorrowedFd<'_>> = Vec::new();
        if let Some(sandbox) = &self.sandbox {
            roles.push(FdRole::Netns);
            fds.push(sandbox.as_fd());
        }
        if let Some(bare) = bare_mounts {
            roles.push(FdRole::BareMounts);
            fds.push(bare.as_fd());
        }
        self.tell(Body::Prepare(spec), &[])?;
        self.tell(Body::Hold(roles), &fds)
    }

    fn tell(&self, body: Body, fds: &[BorrowedFd<'_>]) -> Result<()> {
        // Nothing is answered, so no number is needed.
        let bytes = protocol::encode(&Request { seq: 0, body })
            .map_err(|error| Error::host("encode a request to a monitor", error))?;
        sys::fdpass::send(self.spawned.socket.as_fd(), &bytes, fds)
            .map_err(|error| Error::host("send a request to a container's monitor", error))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(Parts { spawned: Spawned { socket, mut child }, cgroup, .. }) = self.begun.take() else {
            return;
        };
        // The monitor sees the end, ends the process, removes its cgroup and leaves.
        let _ = socket.shutdown(std::net::Shutdown::Both);
        let left = child.wait().is_ok_and(|status| status.code().is_some());
        if let (false, Some(cgroup)) = (left, cgroup) {
            cgroup.undo();
        }
    }
}

impl Engine {
    /// Has a new container's process made, which waits for its start: where that is likely to come, and a monitor is at hand.
    /// Blocking.
    pub(crate) fn hold(&self, container: &Container) {
        // Who is faster than we are has it.
        let Ok(_turn) = container.gate.try_lock() else { return };
        let Ok(listener) = Arc::clone(&container.listener).try_lock_owned() else { return };
        if container.status() != Status::Created {
            return;
        }
        let mut prepared = lock(&container.prepared);
        let can_be_held =
            prepared.as_ref().is_some_and(|spec| spec.plan.scope.is_none() && spec.plan.hooks.is_none());
        if !can_be_held {
            return;
        }
        let Some(spawned) = self.spares.take() else { return };
        let parts = Parts { spawned, cgroup: None, sandbox: None };
        let mut held = Held { begun: Some(parts), listener: Some(listener) };
        // What does not work now is tried again, and told, when the container is started.
        let Ok(sandbox) = self.sandbox_of(&container.record()) else { return };
        let (Some(spec), Some(parts)) = (prepared.take(), &mut held.begun) else { return };
        drop(prepared);
        (parts.cgroup, parts.sandbox) = (Ahead::of(&spec, &self.facts), sandbox);
        if parts.begin(spec, self.bare_mounts.as_ref()).is_err() {
            return;
        }
        self.held.put(&container.id, held);
        self.give_up_later(container.id.clone());
    }

    /// What waits for the start of a container, and its listener.
    pub(super) fn take_held(&self, container: &Container) -> Option<(Parts, OwnedMutexGuard<()>)> {
        self.held.take(&container.id).and_then(Held::into_parts)
    }

    /// The namespace that the container's first network will be connected in; None where it has none of its own.
    fn sandbox_of(&self, record: &Record) -> Result<Option<Sandbox>> {
        let sandbox = match Network::parse(&record.host.network_mode) {
            Network::Host | Network::Container(_) => return Ok(None),
            Network::Named(name) if !record.config.network_disabled => self.networks.sandbox(Some(&name)),
            Network::None | Network::Named(_) => self.networks.sandbox(None),
        };
        Ok(Some(sandbox?))
    }

    fn give_up_later(&self, id: String) {
        let engine = self.me.clone();
        tokio::runtime::Handle::current().spawn(async move {
            tokio::time::sleep(MORE).await;
            if let Some(engine) = engine.upgrade().filter(|engine| engine.held.wants_more(&id)) {
                engine.make_ready_for_the_next();
            }
            tokio::time::sleep(PATIENCE).await;
            let Some(engine) = engine.upgrade() else { return };
            let Some(held) = engine.held.take(&id) else { return };
            // Nobody waits for it.
            tokio::task::spawn_blocking(move || drop(held));
            engine.make_ready_for_the_next();
        });
    }

    /// The turn to change a container, or what is in its files: its process does not wait for a start then.
    pub(crate) async fn turn<'a>(&self, container: &'a Container) -> MutexGuard<'a, ()> {
        let turn = container.gate.lock().await;
        if let Some(held) = self.held.take(&container.id) {
            tokio::task::spawn_blocking(move || drop(held));
        }
        if container.status() == Status::Created {
            // One that is coming to its end, whoever has seen to that, has its listener until then.
            drop(container.listener.lock().await);
        }
        turn
    }
}

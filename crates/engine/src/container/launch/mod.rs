//! From a record to a running container.
//!
//! ```text
//!            ┌─ prepare: record → OCI spec → launch plan → monitor's spec (at create where that is possible)
//! launch ────┴─ spawn: socket pair, monitor (one that waits, where there is one)
//!    │
//!    ├─ Prepare{spec} ──▶ monitor: mounts                                }
//!    ├─ network: namespace, endpoints, ports, /etc/hosts                 } at the same time
//!    └─ cgroup: its folders                                              }
//!        then Start{descriptors} ──▶ Started: events and state are the listener's
//! ```
//! Mostly all but the networks is done before, right after the creation ([`held`]).
//! A launch that fails leaves nothing: networks are given back, the monitor leaves when its socket closes.

pub(crate) mod files;
pub(crate) mod health;
pub(crate) mod held;
pub(crate) mod log;
pub(crate) mod network;
pub(crate) mod prepare;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use ::network::Sandbox;
use cgroup::{Cgroup, Resources};
use monitor::protocol::{
    Body, ErrorKind as Refusal, FdRole, MonitorSpec, Relay, RelayProto, Reply, StartSpec,
};

use tokio::sync::oneshot;

use self::held::Parts;
use super::model::{Container, lock};
use crate::Engine;
use crate::blocking::blocking;
use crate::error::{Error, ErrorKind, Result};
use crate::facts::Facts;
use crate::monitors::Monitor;
use crate::spares::Spawned;

/// What runc's callers put before the reason.
const CREATE_FAILED: &str = "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: ";

/// Why a container did not start.
pub(crate) struct Failure {
    pub error: Error,
    /// The container's exit code.
    pub code: i64,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, code: 128 }
    }
}

impl Engine {
    /// Starts a container that does not run. The caller holds its gate.
    pub(crate) async fn launch(self: &Arc<Self>, container: &Arc<Container>) -> Result<(), Failure> {
        let launched = self.launch_now(container).await;
        self.make_ready_for_the_next();
        launched
    }

    /// Has what a start took, network namespace and monitor, replaced for the next one. Not before this one is over: it would
    /// compete with it.
    fn make_ready_for_the_next(self: &Arc<Self>) {
        let engine = Arc::clone(self);
        // Nobody waits for it, and a blocking task cannot be cut short.
        tokio::task::spawn_blocking(move || {
            engine.networks.refill();
            engine.spares.refill(engine.executable.path(), engine.config.spare_monitors);
        });
    }

    async fn launch_now(self: &Arc<Self>, container: &Arc<Container>) -> Result<(), Failure> {
        let (Parts { spawned, cgroup, sandbox }, listener, spec) = match self.take_held(container) {
            Some((parts, listener)) => (parts, listener, Ok(None)),
            None => {
                // The monitor of the run before must have left its folder.
                let listener = Arc::clone(&container.listener).lock_owned().await;
                let (spec, spawned) =
                    tokio::join!(self.take_prepared(container), self.take_monitor(&container.id));
                let cgroup = spec.as_ref().ok().and_then(|spec| Ahead::of(spec, &self.facts));
                (Parts { spawned: spawned?, cgroup, sandbox: None }, listener, spec.map(Some))
            }
        };
        // What has been prepared goes with its value; the monitor has somebody who waits for its end first of all.
        let Spawned { socket, child } = spawned;
        let (connection, incoming) = Monitor::new(socket)?;
        let connection = Arc::new(connection);
        self.listen(container, &connection, incoming, Some(child), listener);
        let sent = match spec {
            Ok(spec) => self.start_in(container, &connection, Begun { spec, cgroup, sandbox }).await,
            Err(error) => Err(error.into()),
        };
        if sent.is_err() {
            container.set_monitor(None);
            connection.hang_up();
            container.streams.keep();
            container.streams.hang_up();
        }
        sent
    }

    async fn take_prepared(self: &Arc<Self>, container: &Arc<Container>) -> Result<Box<MonitorSpec>> {
        if let Some(spec) = lock(&container.prepared).take() {
            return Ok(spec);
        }
        let (engine, container) = (Arc::clone(self), Arc::clone(container));
        blocking(move || engine.prepare(&container)).await
    }

    /// A monitor that waits, or a new one.
    async fn take_monitor(self: &Arc<Self>, id: &str) -> Result<Spawned> {
        if let Some(spare) = self.spares.take() {
            return Ok(spare);
        }
        let (engine, id) = (Arc::clone(self), id.to_owned());
        blocking(move || {
            Spawned::spawn(engine.executable.path(), &id)
                .map_err(|error| Error::host("start the container's monitor", error))
        })
        .await
    }

    /// Has a monitor start a container.
    async fn start_in(
        self: &Arc<Self>,
        container: &Arc<Container>,
        monitor: &Arc<Monitor>,
        begun: Begun,
    ) -> Result<(), Failure> {
        let Begun { spec, cgroup: ahead, sandbox } = begun;
        let runtime = tokio::runtime::Handle::current();
        let (engine, monitor, group) = (Arc::clone(self), Arc::clone(monitor), ahead.clone());
        let started = Arc::clone(container);
        // All of it on one thread. The monitor then wakes up on another processor than this thread's; a thread that was woken beside it
        // would be put on the monitor's own, and nothing would happen at the same time.
        let sent = blocking(move || {
            let is_held = spec.is_none();
            if let Some(spec) = spec {
                runtime.block_on(monitor.announce(Body::Prepare(spec), &[]))?;
            }
            let mut joined = engine.join_networks(&started, sandbox)?;
            if is_held {
                // It is there already.
                joined.netns = None;
            } else if let Some(ahead) = &group {
                ahead.make();
            }
            started.set_monitor(Some(Arc::clone(&monitor)));
            runtime.block_on(engine.send_start(&started, &monitor, joined, is_held))
        });
        let answered = match sent.await {
            Ok(answer) => Monitor::answer(answer).await,
            Err(error) => Err(error),
        };
        let started = match answered {
            Ok(Reply::Error { kind, message }) => Err(refused(kind, &message)),
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        };
        if let (Err(_), Some(ahead)) = (&started, ahead) {
            // The monitor does so, too, unless it did not come that far.
            let undone = blocking(move || {
                ahead.undo();
                Ok(())
            });
            let _ = undone.await;
        }
        started
    }

    async fn send_start(
        &self,
        container: &Container,
        monitor: &Monitor,
        joined: network::Joined,
        is_held: bool,
    ) -> Result<oneshot::Receiver<Reply>> {
        let mut start = StartSpec {
            names: self.names_spec(&container.record()),
            relays: joined.published.relays.iter().filter_map(relay).collect(),
            fds: Vec::new(),
        };
        let mut fds: Vec<OwnedFd> = Vec::new();
        let mut give = |role: FdRole, fd: OwnedFd| {
            start.fds.push(role);
            fds.push(fd);
        };
        if let Some(netns) = joined.netns {
            give(FdRole::Netns, netns);
        }
        if let Some(lease) = joined.lease {
            give(FdRole::Home, lease.netns);
            give(FdRole::Lease, lease.hold);
        }
        for (number, socket) in joined.published.sockets.into_iter().enumerate() {
            give(FdRole::Port(number), socket);
        }
        for client in container.streams.take().await {
            give(FdRole::Attach(client.spec), client.socket);
        }
        let mut borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        if let Some(bare) = self.bare_mounts.as_ref().filter(|_| !is_held) {
            start.fds.push(FdRole::BareMounts);
            borrowed.push(bare.as_fd());
        }
        monitor.send(Body::Start(start), &borrowed).await
    }
}

/// How far a launch has come before its container has the engine's attention.
struct Begun {
    /// What the monitor is to be told; None where it was, and the container's process waits ([`held`]).
    spec: Option<Box<MonitorSpec>>,
    cgroup: Option<Ahead>,
    /// Where that process is.
    sandbox: Option<Sandbox>,
}

/// A container's cgroup whose folders the engine makes, while the monitor is busy with the mounts.
#[derive(Clone)]
struct Ahead {
    cgroup: Cgroup,
    resources: Resources,
}

impl Ahead {
    /// None where systemd makes it.
    fn of(spec: &MonitorSpec, facts: &Facts) -> Option<Self> {
        let path = spec.plan.cgroup.as_deref().filter(|_| spec.plan.scope.is_none())?;
        Some(Self { cgroup: facts.cgroup(path), resources: spec.plan.resources.clone() })
    }

    fn make(&self) {
        self.cgroup.make_ahead(&self.resources);
    }

    fn undo(&self) {
        let _ = self.cgroup.remove();
    }
}

/// A published port as the monitor serves it.
pub(crate) fn relay(relay: &::network::RelaySpec) -> Option<Relay> {
    let proto = match relay.proto {
        ::network::Proto::Tcp => RelayProto::Tcp,
        ::network::Proto::Udp => RelayProto::Udp,
        ::network::Proto::Sctp => return None,
    };
    Some(Relay { proto, socket: relay.socket, target: relay.target })
}

fn refused(kind: Refusal, message: &str) -> Failure {
    let (kind, code) = cannot_run(kind);
    Failure { error: Error::new(kind, format!("{CREATE_FAILED}{message}: unknown")), code }
}

/// What a process that did not start means for clients, and its exit code.
pub(crate) fn cannot_run(kind: Refusal) -> (ErrorKind, i64) {
    match kind {
        Refusal::ProgramNotFound => (ErrorKind::InvalidParameter, 127),
        Refusal::NotExecutable => (ErrorKind::InvalidParameter, 126),
        _ => (ErrorKind::Internal, 128),
    }
}

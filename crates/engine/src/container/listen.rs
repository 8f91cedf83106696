//! Listening to a container's monitor: what it answers and tells becomes the container's life and events, in its order.
//!
//! ```text
//!  Started ─▶ Running, "start"      Exited, to be restarted ─▶ Restarting, "die"
//!                                   Exited for good ─▶ networks given back ─▶ Exited, "die" ─▶ monitor may leave
//!                                                                          └▶ removed, if it removes itself
//!  end of the stream while it runs ─▶ the monitor was killed: what is left is killed too, and the restart policy decides
//! ```

use std::process::Child;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::Ordering;

use ::network::Endpoint;
use jiff::Timestamp;
use monitor::protocol::{Body, Event, HealthStatus, Message, Reply, StatusReply};
use tokio::sync::OwnedMutexGuard;

use super::exec;
use super::launch::health::has_check;
use super::model::{Container, Exit, health_entry, health_word};
use super::status::{Run, Status};
use crate::Engine;
use crate::blocking::blocking;
use crate::monitors::{Incoming, Monitor};

/// As many probes are kept.
const PROBES: usize = 5;

impl Engine {
    /// Starts the task that listens until the monitor has left, and reaps it if it is our child. `turn` is held that long.
    pub(crate) fn listen(
        &self,
        container: &Arc<Container>,
        monitor: &Arc<Monitor>,
        incoming: Incoming,
        child: Option<Child>,
        turn: OwnedMutexGuard<()>,
    ) {
        // Weakly: an engine that is dropped stops listening.
        let engine = self.me.clone();
        let (container, monitor) = (Arc::clone(container), Arc::clone(monitor));
        tokio::spawn(async move {
            listen(&engine, &container, &monitor, incoming).await;
            if let Some(mut child) = child {
                // It has closed its end: it is leaving.
                let _ = tokio::task::spawn_blocking(move || child.wait()).await;
            }
            drop(turn);
            let is_lost = container.status().is_up() && container.has_monitor(&monitor);
            if let (true, Some(engine)) = (is_lost, engine.upgrade()) {
                tracing::warn!(container = %container.id, "the container's monitor ended before the container");
                engine.lost(&container, 137).await;
                engine.bring_back(&container);
            }
        });
    }

    /// The end of a container for good: gives back what it had, then tells those who wait.
    pub(crate) async fn finish(self: &Arc<Self>, container: &Arc<Container>, exit: Exit) {
        let (engine, record) = (Arc::clone(self), container.record());
        // Before anybody hears of the exit: who waited for it may take the same ports.
        let left = blocking(move || {
            let left = engine.leave_networks(&record.id);
            engine.drop_shared_memory(&record.id);
            engine.release_volumes(&record);
            Ok(left)
        });
        let left = left.await.unwrap_or_else(|error| {
            tracing::error!(%error, container = %container.id, "clean up after a container");
            Vec::new()
        });
        container.streams.keep();
        container.set_monitor(None);
        exec::end_all(container);
        // As its state is told, so that nobody who sees it exited finds it waiting for its removal.
        let removes_itself = container.record().host.auto_remove && !container.keep.load(Ordering::Relaxed);
        self.died(container, Status::Exited, &exit, &left);
        if removes_itself {
            self.remove_later(container);
        }
    }

    /// Whoever was to look after the container is gone: ends what is left of it.
    pub(crate) async fn lost(self: &Arc<Self>, container: &Arc<Container>, code: i32) {
        let path = container.cgroup_path(&self.config);
        let (cgroup, run_dir) =
            (self.facts.cgroup(&path).kept_by(container.scope(&self.config)), container.run_dir.clone());
        let killed = blocking(move || {
            // Its monitor's socket; gone after a reboot.
            let _ = std::fs::remove_dir_all(run_dir);
            cgroup.remove().map_err(|error| crate::Error::host(format!("remove cgroup {path}"), error))
        });
        if let Err(error) = killed.await {
            tracing::error!(%error, container = %container.id, "end a container without monitor");
        }
        let exit = Exit { code, finished_at: Timestamp::now().to_string(), ..Exit::default() };
        self.finish(container, exit).await;
        let state = super::state::of(&container.life());
        if let Err(error) = super::state::write(&container.folder, &state) {
            tracing::error!(%error, container = %container.id, "record the end of a container");
        }
    }

    /// Changes its life and tells the events in one step: nobody sees the one without the other having been told.
    fn died(&self, container: &Container, status: Status, exit: &Exit, left: &[Endpoint]) {
        container.change(|life| {
            life.end(status, exit);
            let lived = match (life.started, life.finished) {
                (Some(started), Some(finished)) => finished.duration_since(started).as_secs().max(0),
                _ => 0,
            };
            let attributes = [("execDuration", lived.to_string()), ("exitCode", exit.code.to_string())];
            self.container_event(container, "die", &attributes);
            self.left_networks(left);
        });
    }

    pub(crate) fn paused(&self, container: &Container, paused: bool) {
        container.change(|life| {
            life.status = match (life.status, paused) {
                (Status::Running(run), true) => Status::Paused(run),
                (Status::Paused(run), false) => Status::Running(run),
                // The monitor's answer and its event say the same.
                _ => return,
            };
            self.container_event(container, if paused { "pause" } else { "unpause" }, &[]);
        });
    }

    fn started(&self, container: &Container, run: Run, started_at: &str, restarts: i64) {
        let probed = has_check(&container.record().config);
        container.change(|life| {
            life.begin(run, started_at, restarts, probed);
            self.container_event(container, "start", &[]);
        });
    }

    async fn hear(self: &Arc<Self>, container: &Arc<Container>, monitor: &Arc<Monitor>, event: Event) {
        match event {
            Event::Started { pid, start_ticks, started_at, restart_count } => {
                self.started(container, Run { pid, start_ticks }, &started_at, restart_count.into());
            }
            Event::Exited { code, oom_killed, finished_at, error, restart_in } => {
                let exit = Exit { code, oom_killed, finished_at, error };
                match restart_in {
                    Some(_) => {
                        exec::end_all(container);
                        self.died(container, Status::Restarting, &exit, &[]);
                    }
                    None => {
                        self.finish(container, exit).await;
                        monitor.tell(Body::Shutdown).await;
                    }
                }
            }
            Event::ExecExited { id, code } => self.exec_exited(container, &id, code.into()),
            Event::Oom => {
                container.change(|life| life.oom_killed = true);
                self.container_event(container, "oom", &[]);
            }
            Event::Health { status, changed, entry } => {
                let grace =
                    container.record().config.healthcheck.as_ref().map_or(0, |health| health.start_period);
                container.change(|life| {
                    let is_excused =
                        status == HealthStatus::Starting && life.is_younger_than(grace, &entry.start);
                    let health = life.health.get_or_insert_default();
                    health_word(status).clone_into(&mut health.status);
                    health.failing_streak = match entry.exit_code {
                        0 => 0,
                        _ if is_excused => health.failing_streak,
                        _ => health.failing_streak + 1,
                    };
                    let log = health.log.get_or_insert_default();
                    log.push(health_entry(&entry));
                    log.drain(..log.len().saturating_sub(PROBES));
                });
                if changed {
                    self.container_event(container, &format!("health_status: {}", health_word(status)), &[]);
                }
            }
            Event::Killed => {
                self.container_event(container, "kill", &[("signal", sys::signal::KILL.to_string())]);
            }
            Event::Paused => self.paused(container, true),
            Event::Unpaused => self.paused(container, false),
            Event::Detached { exec: None } => self.container_event(container, "detach", &[]),
            Event::Detached { exec: Some(id) } => {
                self.container_event(container, "exec_detach", &[("execID", id)]);
            }
        }
    }

    fn adopt_status(&self, container: &Container, status: &StatusReply) {
        container.change(|life| life.adopt(&status.state));
    }
}

async fn listen(
    engine: &Weak<Engine>,
    container: &Arc<Container>,
    monitor: &Arc<Monitor>,
    mut incoming: Incoming,
) {
    while let Some(message) = monitor.next(&mut incoming).await {
        // Without an engine only the end of the stream is of interest.
        let Some(engine) = engine.upgrade() else { continue };
        match message {
            Message::Reply { seq, reply } => {
                match &reply {
                    Reply::Started { pid, start_ticks, started_at } => {
                        // A child of ours, of this very program.
                        monitor.holds(true);
                        let run = Run { pid: *pid, start_ticks: *start_ticks };
                        engine.started(container, run, started_at, 0);
                    }
                    Reply::Status(status) => {
                        monitor.holds(status.holds);
                        engine.adopt_status(container, status);
                    }
                    _ => {}
                }
                monitor.deliver(seq, reply);
            }
            Message::Event(event) => engine.hear(container, monitor, event).await,
        }
    }
}

//! Signals, stopping, freezing, limits: what is done to a running container on request.

use std::time::{Duration, Instant};

use cgroup::{Cgroup, Resources};
use serde_json::Value;

use crate::connections::Asker;
use crate::container::{Container, Phase};
use crate::event_loop::Monitor;
use crate::protocol::{ErrorKind, Event, Reply, RestartPolicy, Status};
use crate::requests::Refusal;
use crate::timers::Timer;

impl Monitor {
    /// Sends a signal. Whoever sends the one that ends the container means it to stay down.
    pub fn signal(&mut self, signal: i32) -> Result<(), Refusal> {
        let ends =
            |container: &Container| signal == sys::signal::KILL || signal == container.spec.stop_signal;
        let container = self.started()?;
        if matches!(container.phase, Phase::Restarting) {
            // There is no process: all that a signal can do is to keep it from coming back.
            if ends(container) {
                container.state.user_stopped = true;
                self.end(String::new());
            }
            return Ok(());
        }
        let (container, task) = self.running()?;
        let ends = ends(container);
        sys::signal::send(&task.pidfd, signal)
            .map_err(|error| Refusal::system(&format!("send signal {signal} to the container"), error))?;
        if ends {
            container.state.user_stopped = true;
            self.wake();
        }
        Ok(())
    }

    /// Frozen processes do not see signals, with cgroup v1 not even `SIGKILL`.
    fn wake(&mut self) {
        if self.container.as_ref().is_some_and(|container| container.state.status == Status::Paused) {
            let _ = self.unpause();
        }
    }

    /// The stop request; answered when the container has come to its final end.
    pub fn stop(
        &mut self,
        asker: Asker,
        signal: Option<i32>,
        timeout: Option<i64>,
    ) -> Result<Option<Reply>, Refusal> {
        let container = self.started()?;
        container.state.user_stopped |= !matches!(container.phase, Phase::Ended);
        match container.phase {
            Phase::Ended => return Ok(Some(Reply::Done)),
            Phase::Restarting => {
                self.end(String::new());
                return Ok(Some(Reply::Done));
            }
            Phase::Running(_) => container.stopping.push(asker),
        }
        let signal = signal.unwrap_or(container.spec.stop_signal);
        let timeout = timeout.unwrap_or(container.spec.stop_timeout);
        // A process that has ended already needs no signal, only its output has to be read.
        let Ok((_, task)) = self.running() else { return Ok(None) };
        let _ = sys::signal::send(&task.pidfd, signal);
        self.wake();
        if let Ok(seconds) = u64::try_from(timeout) {
            let wait = Duration::from_secs(seconds);
            let sooner = self.timers.at(Timer::Kill).is_some_and(|at| at <= Instant::now() + wait);
            if !sooner {
                self.timers.set(Timer::Kill, wait);
            }
        }
        Ok(None)
    }

    /// The time to end by itself is over.
    pub fn kill(&mut self) {
        if let Ok((_, task)) = self.running() {
            let _ = sys::signal::send(&task.pidfd, sys::signal::KILL);
            self.wake();
            self.tell(Event::Killed);
        }
    }

    pub fn pause(&mut self) -> Result<(), Refusal> {
        let (container, _) = self.running()?;
        if container.state.status == Status::Paused {
            let message = format!("container {} is already paused", container.spec.id);
            return Err(Refusal::new(ErrorKind::Conflict, message));
        }
        cgroup_of(container)?.freeze()?;
        container.state.status = Status::Paused;
        container.note();
        self.pause_health();
        self.tell(Event::Paused);
        Ok(())
    }

    pub fn unpause(&mut self) -> Result<(), Refusal> {
        let (container, _) = self.running()?;
        if container.state.status != Status::Paused {
            let message = format!("container {} is not paused", container.spec.id);
            return Err(Refusal::new(ErrorKind::Conflict, message));
        }
        cgroup_of(container)?.thaw()?;
        container.state.status = Status::Running;
        container.note();
        self.resume_health();
        self.tell(Event::Unpaused);
        Ok(())
    }

    /// Changes limits, of the running container and of its later runs, and the restart policy.
    pub fn update(
        &mut self,
        resources: Option<Box<Resources>>,
        restart: Option<RestartPolicy>,
    ) -> Result<(), Refusal> {
        let container = self.started()?;
        if let Some(change) = resources {
            let merged = merge(&container.spec.plan.resources, &change)
                .map_err(|error| Refusal::system("merge limits", error))?;
            if let Some(cgroup) = container.run().and_then(|run| run.cgroup.as_ref()) {
                cgroup.apply(&change)?;
            }
            container.spec.plan.resources = merged;
        }
        if let Some(policy) = restart {
            container.spec.restart = policy;
        }
        Ok(())
    }
}

fn cgroup_of(container: &Container) -> Result<&Cgroup, Refusal> {
    container.run().and_then(|run| run.cgroup.as_ref()).ok_or_else(|| {
        Refusal::new(ErrorKind::Invalid, format!("container {} has no cgroup to freeze", container.spec.id))
    })
}

/// The limits with those replaced that the change names. Absent ones are not in their serialized form, so that decides.
fn merge(old: &Resources, change: &Resources) -> Result<Resources, serde_json::Error> {
    fn put(old: &mut Value, change: Value) {
        match (old, change) {
            (Value::Object(old), Value::Object(change)) => {
                for (name, value) in change {
                    put(old.entry(name).or_insert(Value::Null), value);
                }
            }
            (old, change) => *old = change,
        }
    }
    let mut merged = serde_json::to_value(old)?;
    put(&mut merged, serde_json::to_value(change)?);
    serde_json::from_value(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_replaces_what_it_names_and_nothing_else() {
        let mut old = Resources { pids: Some(10), ..Resources::default() };
        old.memory.limit = Some(1 << 20);
        old.cpu.cpus = Some("0-1".into());
        let mut change = Resources::default();
        change.memory.swap = Some(-1);
        change.cpu.cpus = Some("0".into());
        let mut expected = old.clone();
        expected.memory.swap = Some(-1);
        expected.cpu.cpus = Some("0".into());
        assert_eq!(merge(&old, &change).unwrap(), expected);
    }
}

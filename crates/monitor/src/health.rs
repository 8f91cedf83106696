//! The health check: a program run in the container again and again, whose exit codes say how the container is.
//!
//! Docker's rules (moby `daemon/health.go`): the next probe starts one interval after the last one ended; a success makes the
//! container healthy; `retries` failures in a row make it unhealthy, but failures of a container that was never healthy do not
//! count in the start period, during which the interval is another. A frozen container is not probed.

use std::time::{Duration, Instant};

use crate::connections::Asker;
use crate::container::Container;
use crate::event_loop::Monitor;
use crate::exec::Execution;
use crate::protocol::{ErrorKind, Event, Health, HealthEntry, HealthSpec, HealthStatus, Reply, Status};
use crate::requests::Refusal;
use crate::streams::{Kind, Sink};
use crate::tasks::{Owner, Task};
use crate::time::{Stamp, go_duration};
use crate::timers::Timer;

/// So much of a probe's output is kept.
const OUTPUT: usize = 4096;
/// So many probes are remembered.
const LOG: usize = 5;

/// What is going on.
#[derive(Default)]
pub(crate) struct HealthCheck {
    probe: Option<Probe>,
    /// Who waits for the end of the running probe.
    askers: Vec<Asker>,
}

/// A running probe.
struct Probe {
    task: u32,
    start: Stamp,
    since: Instant,
}

impl Monitor {
    /// The container was started.
    pub fn begin_health(&mut self) {
        let Some(Container { spec, state, .. }) = &mut self.container else { return };
        if spec.health.is_some() {
            let health = state.health.get_or_insert_default();
            health.status = HealthStatus::Starting;
            health.failing_streak = 0;
            self.schedule_probe();
        }
    }

    /// The container ended.
    pub fn end_health(&mut self) {
        self.timers.cancel(Timer::Probe);
        self.timers.cancel(Timer::ProbeTimeout);
        let Some(container) = &mut self.container else { return };
        container.health.probe = None;
        for asker in std::mem::take(&mut container.health.askers) {
            let message = "the container ended during the health check".to_owned();
            self.reply(asker, Reply::Error { kind: ErrorKind::NotRunning, message });
        }
    }

    pub fn pause_health(&mut self) {
        self.timers.cancel(Timer::Probe);
        self.timers.cancel(Timer::ProbeTimeout);
    }

    pub fn resume_health(&mut self) {
        let Some(Container { spec, health, .. }) = &self.container else { return };
        match (&health.probe, &spec.health) {
            (Some(_), Some(check)) => {
                self.timers.set(Timer::ProbeTimeout, Duration::from_nanos(check.timeout));
            }
            _ => self.schedule_probe(),
        }
    }

    fn schedule_probe(&mut self) {
        let Some(Container { spec, state, phase: crate::container::Phase::Running(run), .. }) =
            &self.container
        else {
            return;
        };
        let (Some(check), Some(health)) = (&spec.health, &state.health) else { return };
        let starting = health.status == HealthStatus::Starting
            && run.since.elapsed() < Duration::from_nanos(check.start_period);
        let interval = if starting { check.start_interval } else { check.interval };
        self.timers.set(Timer::Probe, Duration::from_nanos(interval));
    }

    /// The request: a probe at once, answered when it has ended.
    pub fn check_health_now(&mut self, asker: Asker) -> Result<Option<Reply>, Refusal> {
        let (container, _) = self.active("a health check")?;
        if container.spec.health.is_none() {
            let message = format!("container {} has no health check", container.spec.id);
            return Err(Refusal::new(ErrorKind::Invalid, message));
        }
        container.health.askers.push(asker);
        self.probe();
        Ok(None)
    }

    /// Starts a probe, unless one is running.
    pub fn probe(&mut self) {
        let Some(Container { spec, state, health, .. }) = &self.container else { return };
        let Some(check) = &spec.health else { return };
        if health.probe.is_some() || state.status != Status::Running {
            return;
        }
        self.timers.cancel(Timer::Probe);
        let HealthSpec { plan, timeout, .. } = check.as_ref().clone();
        let (start, since) = (Stamp::now(), Instant::now());
        let started = self.execute(Execution {
            owner: Owner::Probe,
            plan: &plan,
            kind: Kind::Pipes { input: false },
            console_size: None,
            sink: Sink::Capture { bytes: Vec::new(), limit: OUTPUT, more: false },
            client: None,
            held: None,
        });
        match started {
            Ok(task) => {
                if let Some(container) = &mut self.container {
                    container.health.probe = Some(Probe { task, start, since });
                }
                self.timers.set(Timer::ProbeTimeout, Duration::from_nanos(timeout));
            }
            Err(refusal) => self.judge(start, since, -1, refusal.into_message()),
        }
    }

    /// A probe's process has ended and its output is read.
    pub fn probe_finished(&mut self, key: u32, mut task: Task) {
        let Some(container) = &mut self.container else { return };
        let Some(probe) = container.health.probe.take_if(|probe| probe.task == key) else { return };
        self.timers.cancel(Timer::ProbeTimeout);
        self.judge(probe.start, probe.since, task.exit.unwrap_or(-1), output(&mut task));
    }

    /// The probe takes too long: that is its result, whatever becomes of the process.
    pub fn probe_timed_out(&mut self) {
        let Some(Container { health, spec, .. }) = &mut self.container else { return };
        let (Some(probe), Some(check)) = (health.probe.take(), &spec.health) else { return };
        let mut text = format!("Health check exceeded timeout ({})", go_duration(check.timeout));
        if let Some(task) = self.tasks.get_mut(&probe.task) {
            let _ = sys::signal::send(&task.pidfd, sys::signal::KILL);
            let output = output(task);
            if !output.is_empty() {
                text = format!("{text}: {output}");
            }
        }
        self.judge(probe.start, probe.since, -1, text);
    }

    /// Takes note of a probe's result.
    fn judge(&mut self, start: Stamp, since: Instant, exit_code: i32, output: String) {
        let Some(container) = &mut self.container else { return };
        let (Some(check), Some(run)) = (&container.spec.health, container.run()) else { return };
        let in_start_period =
            since.saturating_duration_since(run.since) < Duration::from_nanos(check.start_period);
        let retries = check.retries;
        let Some(health) = &mut container.state.health else { return };
        let entry =
            HealthEntry { start: start.to_string(), end: Stamp::now().to_string(), exit_code, output };
        let before = health.status;
        health.take(entry.clone(), in_start_period, retries);
        let status = health.status;
        self.tell(Event::Health { status, changed: status != before, entry });
        let askers = self.container.as_mut().map(|container| std::mem::take(&mut container.health.askers));
        for asker in askers.unwrap_or_default() {
            self.reply(asker, Reply::Done);
        }
        self.schedule_probe();
    }
}

impl Health {
    fn take(&mut self, entry: HealthEntry, in_start_period: bool, retries: u32) {
        if entry.exit_code == 0 {
            self.failing_streak = 0;
            self.status = HealthStatus::Healthy;
        } else if self.status != HealthStatus::Starting || !in_start_period {
            self.failing_streak += 1;
            if self.failing_streak >= retries {
                self.status = HealthStatus::Unhealthy;
            }
        }
        if self.log.len() >= LOG {
            self.log.drain(..=self.log.len() - LOG);
        }
        self.log.push(entry);
    }
}

fn output(task: &mut Task) -> String {
    let (bytes, more) = task.session.captured();
    let text = String::from_utf8_lossy(&bytes);
    if more { format!("{text}...") } else { text.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_judged_by_docker_s_rules() {
        use HealthStatus::*;
        let mut health = Health::default();
        for (exit_code, in_start_period, status, streak) in [
            (1, true, Starting, 0),
            (1, true, Starting, 0),
            (1, false, Starting, 1),
            (0, false, Healthy, 0),
            // A container that was healthy once gets no grace any more.
            (1, true, Healthy, 1),
            (1, true, Unhealthy, 2),
            (-1, false, Unhealthy, 3),
            (0, false, Healthy, 0),
        ] {
            let entry =
                HealthEntry { start: String::new(), end: String::new(), exit_code, output: String::new() };
            health.take(entry, in_start_period, 2);
            assert_eq!((health.status, health.failing_streak), (status, streak));
        }
        assert_eq!(health.log.iter().map(|entry| entry.exit_code).collect::<Vec<_>>(), [0, 1, 1, -1, 0]);
    }
}

//! A container in memory: its record, its life as told by the monitor, and what waits for it. Locks here are held for a
//! look or a change and never across an await; `gate` alone serialises whole operations.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use jiff::Timestamp;
use monitor::protocol::{self, MonitorSpec};
use tokio::sync::watch;

use super::attach::Streams;
use super::exec::Exec;
use super::record::Record;
use super::status::{Life, Run, Status};
use crate::config::EngineConfig;
use crate::error::Result;
use crate::monitors::Monitor;

/// A lock whose holder panicked is taken all the same: no change under one is left half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One container.
pub(crate) struct Container {
    pub id: String,
    /// `<root>/containers/<id>`.
    pub folder: PathBuf,
    /// `<run_dir>/<id>`: the monitor's socket.
    pub run_dir: PathBuf,
    record: RwLock<Arc<Record>>,
    life: watch::Sender<Life>,
    /// One change of its life at a time: start, remove, rename, update.
    pub gate: tokio::sync::Mutex<()>,
    monitor: Mutex<Option<Arc<Monitor>>>,
    /// Clients that attached before the start.
    pub streams: Streams,
    /// Held by the task that listens to the monitor until that has left: the next one must not be started before.
    pub listener: Arc<tokio::sync::Mutex<()>>,
    /// The next start, worked out ahead; gone with every change of the record.
    pub prepared: Mutex<Option<Box<MonitorSpec>>>,
    /// An exit does not remove it, whatever its record says: it is being restarted.
    pub keep: AtomicBool,
    pub execs: Mutex<BTreeMap<String, Arc<Exec>>>,
}

impl Container {
    pub(crate) fn new(config: &EngineConfig, record: Record) -> Self {
        Self {
            folder: config.containers_dir().join(&record.id),
            run_dir: config.run_dir.join(&record.id),
            id: record.id.clone(),
            record: RwLock::new(Arc::new(record)),
            life: watch::Sender::new(Life::default()),
            gate: tokio::sync::Mutex::new(()),
            monitor: Mutex::new(None),
            streams: Streams::default(),
            listener: Arc::default(),
            prepared: Mutex::new(None),
            keep: AtomicBool::new(false),
            execs: Mutex::new(BTreeMap::new()),
        }
    }

    /// The record as it is now.
    pub(crate) fn record(&self) -> Arc<Record> {
        Arc::clone(&self.record.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a changed record, already written, in place.
    pub(crate) fn set_record(&self, record: Record) {
        *lock(&self.prepared) = None;
        *self.record.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(record);
    }

    /// Its name, without the slash.
    pub(crate) fn name(&self) -> String {
        self.record().name.clone()
    }

    /// Its life as it is now.
    pub(crate) fn life(&self) -> Life {
        self.life.borrow().clone()
    }

    pub(crate) fn status(&self) -> Status {
        self.life.borrow().status
    }

    /// For those who wait.
    pub(crate) fn watch(&self) -> watch::Receiver<Life> {
        self.life.subscribe()
    }

    /// Changes its life and wakes those who wait.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Life) -> T) -> T {
        let mut result = None;
        self.life.send_modify(|life| result = Some(change(life)));
        // `send_modify` always calls its closure.
        match result {
            Some(result) => result,
            None => unreachable!("watch did not run the change"),
        }
    }

    /// The connection to its monitor, while it has one.
    pub(crate) fn monitor(&self) -> Option<Arc<Monitor>> {
        lock(&self.monitor).clone()
    }

    pub(crate) fn set_monitor(&self, monitor: Option<Arc<Monitor>>) {
        *lock(&self.monitor) = monitor;
    }

    /// Whether this connection is to its present monitor.
    pub(crate) fn has_monitor(&self, monitor: &Arc<Monitor>) -> bool {
        lock(&self.monitor).as_ref().is_some_and(|own| Arc::ptr_eq(own, monitor))
    }

    /// The monitor of a container that runs, or Docker's words for one that does not.
    pub(crate) fn running_monitor(&self) -> Result<Arc<Monitor>> {
        match self.monitor() {
            Some(monitor) if self.status().is_up() => Ok(monitor),
            _ => Err(super::kill::not_running(&self.id)),
        }
    }

    /// Resolves when it has no monitor that looks after it.
    pub(crate) async fn until_down(&self) {
        // The sender is ours.
        let _ = self.watch().wait_for(|life| !life.status.is_up()).await;
    }
}

impl Life {
    /// A run has begun.
    pub(crate) fn begin(&mut self, run: Run, started_at: &str, restart_count: i64, probed: bool) {
        self.status = Status::Running(run);
        self.started = super::status::parse_time(started_at).or_else(|| Some(Timestamp::now()));
        self.exit_code = 0;
        self.oom_killed = false;
        self.error.clear();
        self.restart_count = restart_count;
        self.user_stopped = false;
        self.health = probed.then(|| api::Health {
            status: "starting".to_owned(),
            log: Some(Vec::new()),
            ..Default::default()
        });
    }

    /// A run has ended; `status` is what comes after it.
    pub(crate) fn end(&mut self, status: Status, exit: &Exit) {
        self.status = status;
        self.finished = super::status::parse_time(&exit.finished_at).or_else(|| Some(Timestamp::now()));
        self.exit_code = i64::from(exit.code);
        self.last_exit = self.exit_code;
        self.oom_killed = exit.oom_killed;
        self.error.clone_from(&exit.error);
        self.exits += 1;
    }

    /// Whether at a time (RFC 3339) its run was not yet so many nanoseconds old.
    pub(crate) fn is_younger_than(&self, nanoseconds: i64, at: &str) -> bool {
        match (self.started, super::status::parse_time(at)) {
            (Some(started), Some(at)) => at.duration_since(started).as_nanos() < i128::from(nanoseconds),
            _ => false,
        }
    }

    /// Takes over what the monitor has written or tells.
    pub(crate) fn adopt(&mut self, state: &protocol::State) {
        let run = Run { pid: state.pid, start_ticks: state.start_ticks };
        self.status = match state.status {
            protocol::Status::Created => Status::Created,
            protocol::Status::Running => Status::Running(run),
            protocol::Status::Paused => Status::Paused(run),
            protocol::Status::Restarting => Status::Restarting,
            protocol::Status::Exited => Status::Exited,
            protocol::Status::Dead => Status::Dead,
        };
        let time = |text: &Option<String>| text.as_deref().and_then(super::status::parse_time);
        self.started = time(&state.started_at);
        self.finished = time(&state.finished_at);
        self.exit_code = i64::from(state.exit_code);
        self.last_exit = self.exit_code;
        self.oom_killed = state.oom_killed;
        self.error.clone_from(&state.error);
        self.restart_count = i64::from(state.restart_count);
        self.user_stopped = state.user_stopped;
        self.health = state.health.as_ref().map(health);
    }
}

/// How a run ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exit {
    pub code: i32,
    pub oom_killed: bool,
    /// RFC 3339; anything else is now.
    pub finished_at: String,
    pub error: String,
}

/// A health check's state on the wire.
pub(crate) fn health(health: &protocol::Health) -> api::Health {
    api::Health {
        status: health_word(health.status).to_owned(),
        failing_streak: i64::from(health.failing_streak),
        log: Some(health.log.iter().map(health_entry).collect()),
    }
}

pub(crate) fn health_word(status: protocol::HealthStatus) -> &'static str {
    match status {
        protocol::HealthStatus::Starting => "starting",
        protocol::HealthStatus::Healthy => "healthy",
        protocol::HealthStatus::Unhealthy => "unhealthy",
    }
}

pub(crate) fn health_entry(entry: &protocol::HealthEntry) -> api::HealthcheckResult {
    api::HealthcheckResult {
        start: entry.start.clone(),
        end: entry.end.clone(),
        exit_code: i64::from(entry.exit_code),
        output: entry.output.clone(),
    }
}

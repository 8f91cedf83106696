//! The state of a container as the engine sees it, told by its monitor.
//!
//! ```text
//! Created ─start─▶ Running ⇄ Paused
//!    ▲                │ exit
//!    │ start failed   ├─▶ Restarting ─▶ Running   (the monitor's doing, by the restart policy)
//!    └────────────────┤
//!                     ▼
//!                   Exited ─start─▶ Running          any ─remove─▶ Removing ─▶ (gone) or Dead
//! ```
//! One `Life` per container travels in a watch channel: whoever waits for a container waits there.

use api::ContainerState;
use jiff::Timestamp;

/// Go's zero time, which stands for "never" on the wire.
pub(crate) const NEVER: &str = "0001-01-01T00:00:00Z";

/// Where a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Created,
    Running(Run),
    Paused(Run),
    /// Between two runs; the monitor waits.
    Restarting,
    Removing,
    Exited,
    /// Removal failed half-way.
    Dead,
}

/// A live process tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub pid: i32,
    /// Field 22 of `/proc/<pid>/stat`: tells a recycled pid apart.
    pub start_ticks: u64,
}

/// Everything that changes while a container lives.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Life {
    pub status: Status,
    pub started: Option<Timestamp>,
    pub finished: Option<Timestamp>,
    pub exit_code: i64,
    /// Code of the last exit; a new run leaves it, so that those who waited for the exit still find it.
    pub last_exit: i64,
    pub oom_killed: bool,
    /// Why the last start failed, or what went wrong at the end.
    pub error: String,
    pub restart_count: i64,
    pub health: Option<api::Health>,
    /// How often it has exited since the engine knows it: what `wait` waits for.
    pub exits: u64,
    /// The record is gone.
    pub removed: bool,
    /// A user stopped it: `unless-stopped` must not bring it back.
    pub user_stopped: bool,
}

impl Default for Life {
    fn default() -> Self {
        Self {
            status: Status::Created,
            started: None,
            finished: None,
            exit_code: 0,
            last_exit: 0,
            oom_killed: false,
            error: String::new(),
            restart_count: 0,
            health: None,
            exits: 0,
            removed: false,
            user_stopped: false,
        }
    }
}

impl Status {
    /// Docker's word.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running(_) => "running",
            Self::Paused(_) => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }

    /// The live process, if there is one.
    pub(crate) fn run(&self) -> Option<Run> {
        match self {
            Self::Running(run) | Self::Paused(run) => Some(*run),
            _ => None,
        }
    }

    /// What Docker's `Running` flag means: the container has a monitor.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self, Self::Running(_) | Self::Paused(_) | Self::Restarting)
    }
}

impl Life {
    /// `State` of inspect.
    pub(crate) fn wire(&self) -> ContainerState {
        ContainerState {
            status: self.status.name().to_owned(),
            running: self.status.is_up(),
            paused: matches!(self.status, Status::Paused(_)),
            restarting: self.status == Status::Restarting,
            oom_killed: self.oom_killed,
            dead: self.status == Status::Dead,
            pid: self.status.run().map_or(0, |run| i64::from(run.pid)),
            exit_code: self.exit_code,
            error: self.error.clone(),
            started_at: time(self.started),
            finished_at: time(self.finished),
            health: self.health.clone(),
        }
    }

    /// The `STATUS` column: `Up 3 minutes (healthy)`, `Exited (0) 2 hours ago`.
    pub(crate) fn text(&self, now: Timestamp) -> String {
        let since = |time: Option<Timestamp>| human_duration(seconds_since(time, now));
        match self.status {
            Status::Paused(_) => format!("Up {} (Paused)", since(self.started)),
            Status::Restarting => format!("Restarting ({}) {} ago", self.exit_code, since(self.finished)),
            Status::Running(_) => match self.health_word() {
                Some(word) => format!("Up {} ({word})", since(self.started)),
                None => format!("Up {}", since(self.started)),
            },
            Status::Removing => "Removal In Progress".to_owned(),
            Status::Dead => "Dead".to_owned(),
            Status::Created => "Created".to_owned(),
            Status::Exited if self.finished.is_none() => String::new(),
            Status::Exited => format!("Exited ({}) {} ago", self.exit_code, since(self.finished)),
        }
    }

    fn health_word(&self) -> Option<&'static str> {
        match self.health.as_ref()?.status.as_str() {
            "starting" => Some("health: starting"),
            "healthy" => Some("healthy"),
            "unhealthy" => Some("unhealthy"),
            _ => None,
        }
    }
}

/// RFC 3339 with as many digits as are needed, as Go's RFC3339Nano; the zero time for "never".
pub(crate) fn time(time: Option<Timestamp>) -> String {
    time.map_or_else(|| NEVER.to_owned(), |time| time.to_string())
}

/// Reads a time of the wire; "never" is None.
pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(|_| text != NEVER)
}

fn seconds_since(time: Option<Timestamp>, now: Timestamp) -> i64 {
    time.map_or(0, |time| now.as_second().saturating_sub(time.as_second()).max(0))
}

/// go-units' `HumanDuration`.
pub(crate) fn human_duration(seconds: i64) -> String {
    let minutes = seconds / 60;
    let hours = (seconds as f64 / 3600.0).round() as i64;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    const RUN: Run = Run { pid: 7, start_ticks: 0 };

    #[test]
    fn durations_read_as_docker_writes_them() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (47, "47 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (180, "3 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (2 * 3600, "2 hours"),
            (47 * 3600, "47 hours"),
            (49 * 3600, "2 days"),
            (15 * 86400, "2 weeks"),
            (90 * 86400, "3 months"),
            (800 * 86400, "2 years"),
        ] {
            assert_eq!(human_duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn status_texts_are_what_scripts_parse() {
        let life = |status, finished, code, health: Option<&str>| Life {
            status,
            started: Some(at(0)),
            finished,
            exit_code: code,
            health: health.map(|word| api::Health { status: word.into(), ..Default::default() }),
            ..Default::default()
        };
        let check = |life: Life, text: &str| assert_eq!(life.text(at(200)), text);
        check(life(Status::Running(RUN), None, 0, None), "Up 3 minutes");
        check(life(Status::Running(RUN), None, 0, Some("healthy")), "Up 3 minutes (healthy)");
        check(life(Status::Running(RUN), None, 0, Some("starting")), "Up 3 minutes (health: starting)");
        check(life(Status::Running(RUN), None, 0, Some("none")), "Up 3 minutes");
        check(life(Status::Paused(RUN), None, 0, Some("healthy")), "Up 3 minutes (Paused)");
        check(life(Status::Exited, Some(at(190)), 137, None), "Exited (137) 10 seconds ago");
        check(life(Status::Restarting, Some(at(199)), 1, None), "Restarting (1) 1 second ago");
        check(Life::default(), "Created");
        check(life(Status::Dead, None, 0, None), "Dead");
        check(life(Status::Removing, None, 0, None), "Removal In Progress");
    }

    #[test]
    fn never_is_gos_zero_time() {
        assert_eq!(time(None), NEVER);
        assert_eq!(parse_time(NEVER), None);
        assert_eq!(time(Some(at(0))), "2023-11-14T22:13:20Z");
        assert_eq!(parse_time("2023-11-14T22:13:20Z"), Some(at(0)));
    }
}

//! What can be done to a container that exists. Each command first asks the kernel how the container is.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};

use super::error::{Error, Result};
use super::processes;
use super::record::Record;
use crate::hooks::{self, Kind};
use crate::{ExecTarget, gate};

/// A container.
#[derive(Debug, Clone)]
pub struct Container {
    pub(super) folder: PathBuf,
    pub(super) record: Record,
}

/// How a container is (runtime.md, "State", and runc's "paused").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Its process is not known yet.
    Creating,
    /// Its process waits to be started.
    Created,
    /// The user's program runs.
    Running,
    /// It is frozen.
    Paused,
    /// Its process has ended.
    Stopped,
}

impl Status {
    /// The specification's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl Container {
    /// What is written down about it.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// How it is now.
    pub fn status(&self) -> Status {
        if self.record.pid == 0 {
            return Status::Creating;
        }
        if !self.is_alive() {
            return Status::Stopped;
        }
        if self.is_frozen() {
            return Status::Paused;
        }
        if gate::is_closed(&self.folder) { Status::Created } else { Status::Running }
    }

    fn is_frozen(&self) -> bool {
        self.record.cgroup.as_ref().is_some_and(|group| group.frozen().unwrap_or(false))
    }

    /// A pid may have been given to somebody else; together with its start time it cannot.
    fn is_alive(&self) -> bool {
        sys::process::stat(self.record.pid).is_ok_and(|stat| {
            stat.start_ticks == self.record.start_ticks && !matches!(stat.state, b'Z' | b'X')
        })
    }

    /// Its first process; `None` when it has ended.
    pub fn process(&self) -> Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.record.pid) else { return Ok(None) };
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            // Who it is can be asked now that the pid is held.
            Ok(pidfd) => Ok(self.is_alive().then_some(pidfd)),
            Err(Errno::SRCH) => Ok(None),
            Err(error) => Err(Error::io(format!("open process {pid}"))(error.into())),
        }
    }

    /// The user who created it.
    pub fn owner(&self) -> u32 {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(&self.folder).map_or(0, |folder| folder.uid())
    }

    /// Lets the program of a created container run.
    pub fn start(&self) -> Result<()> {
        let opened = match self.status() {
            Status::Created => gate::open_up(&self.folder)?,
            Status::Stopped => return Err(status("cannot start a container that has stopped")),
            Status::Creating => return Err(status("cannot start a container that is being created")),
            Status::Running | Status::Paused => None,
        };
        if opened.is_none() {
            return Err(status("cannot start an already running container"));
        }
        gate::remove(&self.folder);
        if let Some(planned) = &self.record.hooks {
            // The specification: a failure of these changes nothing.
            let _ = hooks::run_all(Kind::Poststart, planned, "running", self.record.pid);
        }
        Ok(())
    }

    /// Sends a signal to the first process, or to all.
    pub fn kill(&self, signal: i32, all: bool) -> Result<()> {
        let not_running = || status("container not running");
        if all && let Some(group) = &self.record.cgroup {
            return signal_all(group, signal);
        }
        let pidfd = self.process()?.ok_or_else(not_running)?;
        match sys::signal::send(&pidfd, signal) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {
                return Err(not_running());
            }
            Err(error) => return Err(Error::io(format!("signal process {}", self.record.pid))(error)),
        }
        if signal == sys::signal::KILL
            && let Some(group) = &self.record.cgroup
            && self.is_frozen()
        {
            // A frozen process of cgroup v1 does not even die.
            group.thaw()?;
        }
        Ok(())
    }

    /// Stops all its processes where they are.
    pub fn pause(&self) -> Result<()> {
        match self.status() {
            Status::Running | Status::Created => Ok(self.group()?.freeze()?),
            other => Err(status(format!("container not running or created: {}", other.name()))),
        }
    }

    /// Lets the processes of a paused container go on.
    pub fn resume(&self) -> Result<()> {
        match self.status() {
            Status::Paused => Ok(self.group()?.thaw()?),
            _ => Err(status("container not paused")),
        }
    }

    /// Its cgroup.
    pub fn group(&self) -> Result<&cgroup::Cgroup> {
        self.record.cgroup.as_ref().ok_or_else(|| status("the container has no cgroup"))
    }

    /// Its processes, in the order of their pids where it has no cgroup.
    pub fn pids(&self) -> Result<Vec<i32>> {
        match &self.record.cgroup {
            Some(group) => Ok(group.pids()?),
            None if self.is_alive() => Ok(processes::of(self.record.pid)),
            None => Ok(Vec::new()),
        }
    }

    /// Where [`crate::exec`] starts a process.
    pub fn exec_target(&self, ignore_paused: bool) -> Result<ExecTarget> {
        match self.status() {
            Status::Running | Status::Created => {}
            Status::Paused if ignore_paused => {}
            Status::Paused => {
                return Err(status("cannot exec in a paused container (use --ignore-paused to override)"));
            }
            Status::Stopped => return Err(status("cannot exec in a stopped container")),
            Status::Creating => return Err(status("cannot exec in a container that is being created")),
        }
        Ok(ExecTarget { pid: self.record.pid, cgroup: self.record.cgroup.clone() })
    }
}

pub(super) fn status(message: impl Into<String>) -> Error {
    Error::Status(message.into())
}

fn signal_all(group: &cgroup::Cgroup, signal: i32) -> Result<()> {
    if signal == sys::signal::KILL {
        return Ok(group.kill_all()?);
    }
    for pid in group.pids()? {
        match sys::signal::kill(pid, signal) {
            Err(error) if error.raw_os_error() != Some(Errno::SRCH.raw_os_error()) => {
                return Err(Error::io(format!("signal process {pid}"))(error));
            }
            _ => {}
        }
    }
    Ok(())
}

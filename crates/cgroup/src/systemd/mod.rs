//! Cgroups that systemd keeps: it makes the scope of a container, knows its limits, and forgets it when it is empty. It is asked
//! over D-Bus (org.freedesktop.systemd1(5)), synchronously. A scope begins with a process in it; ours is born into its cgroup
//! later, so a process that only waits stands in until then.
//!
//! ```text
//! connect ─ Subscribe ─ StartTransientUnit(unit, PIDs=[stand-in], Delegate, limits) ─ JobRemoved ─ where is it? ─▶ clone into it
//! ```

mod bus;
mod properties;
mod wire;

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::pipe::PipeFlags;
use rustix::process::{WaitId, WaitIdOptions};
use serde::{Deserialize, Serialize};

use crate::{Error, Resources, Result};
use bus::{Connection, Failure};
use wire::{Property, Reader, Value, Writer};

/// Where a service manager is reached: the system's or a user's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manager {
    /// The socket of the message bus.
    pub bus: PathBuf,
    /// It is a user's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_user: bool,
}

/// A unit with a cgroup of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Who keeps it.
    pub manager: Manager,
    /// Its name, "docker-….scope".
    pub unit: String,
    /// The slice that it lies in, "system.slice".
    pub slice: String,
    /// What `systemctl status` says about it.
    pub description: String,
}

impl Manager {
    /// The system's. `address` is `DBUS_SYSTEM_BUS_ADDRESS`, if set.
    pub fn system(address: Option<&str>) -> Self {
        let bus = address.and_then(socket).unwrap_or_else(|| "/run/dbus/system_bus_socket".into());
        Self { bus, is_user: false }
    }

    /// A user's. `address` is `DBUS_SESSION_BUS_ADDRESS`, if set; `folder` is `XDG_RUNTIME_DIR`.
    pub fn user(address: Option<&str>, folder: &std::path::Path) -> Self {
        let bus = address.and_then(socket).unwrap_or_else(|| folder.join("bus"));
        Self { bus, is_user: true }
    }

    /// Where units lie that nobody has named a slice for.
    pub fn default_slice(&self) -> &'static str {
        if self.is_user { "user.slice" } else { "system.slice" }
    }

    fn connect(&self) -> Result<Connection> {
        Connection::open(&self.bus).map_err(|failure| match failure {
            Failure::Io(error) => Error::Manager {
                doing: format!("connect to {}", self.bus.display()),
                reason: format!(
                    "systemd not running on this host, cannot use systemd cgroups manager ({error})"
                ),
            },
            failure => told("connect to", &self.bus.display().to_string(), failure),
        })
    }
}

/// `unix:path=/run/dbus/system_bus_socket,guid=…;…`: the first socket that has a path.
fn socket(address: &str) -> Option<PathBuf> {
    address.split(';').find_map(|one| {
        let options = one.strip_prefix("unix:")?;
        options.split(',').find_map(|option| option.strip_prefix("path=")).map(PathBuf::from)
    })
}

fn told(doing: &str, unit: &str, failure: Failure) -> Error {
    let reason = match failure {
        Failure::Io(error) if error.kind() == io::ErrorKind::WouldBlock => "no answer in time".to_owned(),
        Failure::Io(error) => error.to_string(),
        Failure::Refused(name, said) => format!("{said} ({name})"),
    };
    Error::Manager { doing: format!("{doing} {unit}"), reason }
}

/// The process that stands in for the first one of a scope. It goes when this is dropped.
#[derive(Debug)]
pub struct StandIn {
    child: sys::clone::Child,
    line: Option<OwnedFd>,
}

impl StandIn {
    fn new() -> io::Result<Self> {
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let mut writer = Some(writer);
        let child = sys::clone3(0, None, || {
            drop(writer.take());
            // Until the launcher closes its end, or is gone.
            let _ = rustix::io::read(&reader, &mut [0; 1]);
            0
        })?;
        Ok(Self { child, line: writer })
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        use std::os::fd::AsFd;
        drop(self.line.take());
        // It may be frozen or throttled with all the others.
        let _ = sys::signal::send(&self.child.pidfd, sys::signal::KILL);
        while let Err(rustix::io::Errno::INTR) =
            rustix::process::waitid(WaitId::PidFd(self.child.pidfd.as_fd()), WaitIdOptions::EXITED)
        {}
    }
}

const EXISTS: &str = "org.freedesktop.systemd1.UnitExists";
const MISSING: &str = "org.freedesktop.systemd1.NoSuchUnit";

impl Scope {
    /// Starts it; its cgroup's path inside the cgroup file systems.
    pub(crate) fn start(&self, resources: &Resources, is_v2: bool) -> Result<(String, StandIn)> {
        let fail = |failure| told("start the unit", &self.unit, failure);
        let stand_in = StandIn::new().map_err(|error| fail(error.into()))?;
        let properties = self.properties(&stand_in, resources, is_v2);
        let mut manager = self.manager.connect()?;
        manager.listen().map_err(fail)?;
        let job = match self.ask_to_start(&mut manager, &properties) {
            // What is left of an earlier one of this name.
            Err(Failure::Refused(name, _)) if name == EXISTS => {
                self.stop_with(&mut manager)?;
                self.ask_to_start(&mut manager, &properties)
            }
            result => result,
        };
        let result = job.and_then(|job| manager.job(&job)).map_err(fail)?;
        if result != "done" {
            let reason = format!("the job's result is {result:?}");
            return Err(Error::Manager { doing: format!("start the unit {}", self.unit), reason });
        }
        let path = self.control_group(&mut manager).map_err(fail)?;
        Ok((path, stand_in))
    }

    fn properties(&self, stand_in: &StandIn, resources: &Resources, is_v2: bool) -> Vec<Property> {
        let io = if is_v2 { "IOAccounting" } else { "BlockIOAccounting" };
        let mut properties = vec![
            ("Description", Value::Text(self.description.clone())),
            ("Slice", Value::Text(self.slice.clone())),
            ("PIDs", Value::Numbers(vec![stand_in.child.pid.unsigned_abs()])),
            ("DefaultDependencies", Value::Switch(false)),
            // The container's cgroup, and what is below it, is ours to change.
            ("Delegate", Value::Switch(true)),
            ("CollectMode", Value::Text("inactive-or-failed".into())),
            ("CPUAccounting", Value::Switch(true)),
            ("MemoryAccounting", Value::Switch(true)),
            ("TasksAccounting", Value::Switch(true)),
            (io, Value::Switch(true)),
        ];
        properties.extend(properties::of(resources, is_v2));
        properties
    }

    /// The path of the job.
    fn ask_to_start(&self, manager: &mut Connection, properties: &[Property]) -> Result<String, Failure> {
        let mut body = Writer::default();
        body.text(&self.unit).text("replace").properties(properties).array(8, |_| ());
        let answer = manager.manager("StartTransientUnit", "ssa(sv)a(sa(sv))", body)?;
        Ok(Reader::new(&answer.body).text()?)
    }

    fn control_group(&self, manager: &mut Connection) -> Result<String, Failure> {
        let mut body = Writer::default();
        body.text(&self.unit);
        let answer = manager.manager("GetUnit", "s", body)?;
        let unit = Reader::new(&answer.body).text()?;
        manager.property(&unit, "org.freedesktop.systemd1.Scope", "ControlGroup")
    }

    /// Has a process of ours put into it. Who comes from a session has no power over what lies between that and the scope, and a user's
    /// manager asks the system's.
    pub(crate) fn attach(&self, pid: u32) -> Result<()> {
        let mut body = Writer::default();
        body.text(&self.unit).text("").array(4, |pids| {
            pids.number(pid);
        });
        let mut manager = self.manager.connect()?;
        let answer = manager.manager("AttachProcessesToUnit", "ssau", body);
        answer.map(drop).map_err(|failure| told("put a process into the unit", &self.unit, failure))
    }

    /// Tells systemd of changed limits.
    pub(crate) fn change(&self, resources: &Resources, is_v2: bool) -> Result<()> {
        let properties = properties::of(resources, is_v2);
        if properties.is_empty() {
            return Ok(());
        }
        let mut body = Writer::default();
        // Until the next boot only: the scope does not live longer.
        body.text(&self.unit).number(1).properties(&properties);
        let mut manager = self.manager.connect()?;
        let answer = manager.manager("SetUnitProperties", "sba(sv)", body);
        answer.map(drop).map_err(|failure| told("change the unit", &self.unit, failure))
    }

    /// Ends it. That it is gone already, by itself or with its manager, is fine.
    pub(crate) fn stop(&self) -> Result<()> {
        match self.manager.connect() {
            Ok(mut manager) => {
                manager.listen().map_err(|failure| told("stop the unit", &self.unit, failure))?;
                self.stop_with(&mut manager)
            }
            Err(_) => Ok(()),
        }
    }

    fn stop_with(&self, manager: &mut Connection) -> Result<()> {
        let mut ask = || -> Result<(), Failure> {
            let mut body = Writer::default();
            body.text(&self.unit).text("replace");
            let answer = manager.manager("StopUnit", "ss", body)?;
            let job = Reader::new(&answer.body).text()?;
            manager.job(&job)?;
            let mut body = Writer::default();
            body.text(&self.unit);
            manager.manager("ResetFailedUnit", "s", body).map(drop)
        };
        match ask() {
            Err(Failure::Refused(name, _)) if name == MISSING => Ok(()),
            result => result.map_err(|failure| told("stop the unit", &self.unit, failure)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let system = |address| Manager::system(address).bus;
        assert_eq!(system(None), PathBuf::from("/run/dbus/system_bus_socket"));
        assert_eq!(
            system(Some("tcp:host=x;unix:abstract=/y,guid=1;unix:guid=2,path=/z")),
            PathBuf::from("/z")
        );
        assert_eq!(Manager::user(None, "/run/user/7".as_ref()).bus, PathBuf::from("/run/user/7/bus"));
    }
}

//! The end of a container: its processes, its cgroup, its hooks, its folder, in this order, so that what is left after an
//! interruption can still be found.

use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec};

use super::container::{Container, Status, status};
use super::error::{Error, Result};
use super::store::Store;
use crate::Outside;
use crate::hooks::{self, Kind};

impl Store {
    /// Removes a stopped or a merely created container; with `force` any, and it is fine if there is none. An error of the
    /// poststop hooks is returned when all is removed.
    pub fn delete(&self, id: &str, force: bool) -> Result<()> {
        match self.open(id) {
            Ok(container) => container.delete(force, self.outside()),
            Err(Error::NotFound) if force && self.is_claimed(id) => remove(&self.folder(id)?),
            Err(Error::NotFound) if force => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Container {
    fn delete(&self, force: bool, outside: Option<&Outside>) -> Result<()> {
        match self.status() {
            Status::Stopped => {}
            Status::Created => self.end()?,
            _ if force => self.end()?,
            other => {
                let message = format!(
                    "cannot delete container {} that is not stopped: {}",
                    self.record.id,
                    other.name()
                );
                return Err(status(message));
            }
        }
        if let Some(group) = &self.record.cgroup {
            group.remove()?;
        }
        let hooks = self.record.hooks.as_ref();
        let hooked =
            hooks.map_or(Ok(()), |hooks| hooks::run_outer(outside, Kind::Poststop, hooks, "stopped", 0));
        remove(&self.folder)?;
        Ok(hooked?)
    }

    /// Kills the first process and waits until it is gone, with all of its pid namespace.
    fn end(&self) -> Result<()> {
        let Some(pidfd) = self.process()? else { return Ok(()) };
        // It may go by itself meanwhile.
        let _ = self.kill(sys::signal::KILL, false);
        let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
        let mut poll = [PollFd::new(&pidfd, PollFlags::IN)];
        loop {
            match rustix::event::poll(&mut poll, Some(&patience)) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(0) => return Err(status("container init still running")),
                Ok(_) => return Ok(()),
                Err(error) => {
                    return Err(Error::io(format!("wait for process {}", self.record.pid))(error.into()));
                }
            }
        }
    }
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", folder.display()))(error))
        }
        _ => Ok(()),
    }
}

//! Hooks in the runtime's own namespaces, for a launcher that has left them ([`rootless`](crate::rootless)): a process stays behind and
//! runs them when asked to (config.md, "POSIX-platform Hooks": all but createContainer and startContainer).
//!
//! ```text
//!   launcher ─ clone ─▶ one who stays     before it goes
//!   launcher ── kind, status, pid ──▶     hooks of that kind
//!   launcher ◀── ready, or failed ──
//! ```
//! It ends with the launcher.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use crate::channel::{self, Channel, Message};
use crate::error::{During, LaunchError, Result};
use crate::hooks::{self, Kind};
use crate::plan::Hooks;

const STEP: &str = "hooks";

/// The line to the one who stays.
#[derive(Debug)]
pub struct Outside(OwnedFd);

#[derive(Serialize, Deserialize)]
struct Request {
    kind: Kind,
    status: String,
    pid: i32,
}

impl Outside {
    /// Leaves somebody behind who knows these hooks. The line's descriptor has a number from `first` on.
    pub fn leave_behind(hooks: &Hooks, first: i32) -> Result<Self> {
        let what = || "leave a process behind for the hooks".to_owned();
        let (ours, theirs) = channel::pair().during(STEP, what)?;
        let line = rustix::io::fcntl_dupfd_cloexec(&ours, first).during(STEP, what)?;
        let mut ends = Some((ours, line));
        let launcher = getpid();
        sys::clone3(0, None, || {
            drop(ends.take());
            let bound = set_parent_process_death_signal(Some(Signal::KILL));
            if bound.is_err() || getppid() != Some(launcher) {
                return 1;
            }
            // A terminal's signals are for the program.
            let _ = rustix::process::setpgid(None, None);
            serve(&theirs, hooks);
            0
        })
        .during(STEP, what)?;
        match ends {
            Some((_, line)) => Ok(Self(line)),
            None => Err(LaunchError::other(STEP, what())),
        }
    }

    /// The line by its number, in a program that was executed since.
    pub fn handed_over(number: i32) -> Result<Self> {
        sys::process::inherited_fd(number)
            .map(Self)
            .during(STEP, || "take over the line to the hooks".to_owned())
    }

    /// Lets the line outlive an `execve`; returns its number.
    pub fn hand_over(&self) -> Result<i32> {
        rustix::io::fcntl_setfd(&self.0, rustix::io::FdFlags::empty())
            .during(STEP, || "keep the line to the hooks".to_owned())?;
        Ok(self.0.as_raw_fd())
    }

    /// Has hooks run.
    pub(crate) fn run(&self, kind: Kind, status: &str, pid: i32) -> Result<()> {
        let gone = || "the process that runs the hooks is gone".to_owned();
        let request = serde_json::to_vec(&Request { kind, status: status.to_owned(), pid });
        let request = request.map_err(std::io::Error::from).during(STEP, gone)?;
        sys::fdpass::send(&self.0, &request, &[]).during(STEP, gone)?;
        let line = Channel::new(self.0.try_clone().during(STEP, gone)?);
        match line.receive().during(STEP, gone)? {
            Some(Message::Ready) => Ok(()),
            Some(Message::Failed(error)) => Err(error),
            _ => Err(LaunchError::other(STEP, gone())),
        }
    }
}

impl AsFd for Outside {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn serve(line: &Channel, planned: &Hooks) {
    let mut buffer = [0; 4096];
    while let Ok((count @ 1.., _)) = sys::fdpass::recv(line, &mut buffer) {
        let Ok(request) = serde_json::from_slice::<Request>(&buffer[..count]) else { return };
        match hooks::run_all(request.kind, planned, &request.status, request.pid) {
            Ok(()) if line.ready().is_ok() => {}
            Ok(()) => return,
            Err(error) => line.failed(&error),
        }
    }
}

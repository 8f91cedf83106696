//! Exec sessions: more processes in the running container, each with streams of its own.

use std::os::fd::OwnedFd;

use runtime::{Entering, ExecPlan, ExecTarget, LaunchError, Launcher, Target};

use crate::container::{Container, Phase};
use crate::event_loop::Monitor;
use crate::protocol::{AttachSpec, ErrorKind, ExecSpec, ExpectedStreams, Reply};
use crate::requests::Refusal;
use crate::streams::{Ends, Kind, Session, Sink};
use crate::tasks::{Owner, Task};

/// As many processes are kept that are expected.
const MAX_EXPECTED: usize = 4;

/// A process that is likely to be started soon.
pub(crate) struct Expected {
    id: String,
    plan: ExecPlan,
    held: Option<Held>,
}

/// A process that waits until the engine lets it go, or gives it up by closing its line, and our ends of its streams.
pub(crate) struct Held {
    entering: Entering,
    ends: Ends,
    /// It was let go, and has ended, with this code.
    exit: Option<i32>,
}

/// What [`Monitor::execute`] starts.
pub(crate) struct Execution<'a> {
    pub owner: Owner,
    pub plan: &'a ExecPlan,
    pub kind: Kind,
    pub console_size: Option<(u16, u16)>,
    pub sink: Sink,
    pub client: Option<(AttachSpec, OwnedFd)>,
    pub held: Option<Held>,
}

impl Monitor {
    /// The request. On an error the client's socket is closed here but not shut down: the engine may still say why.
    pub fn exec(&mut self, spec: ExecSpec, socket: Option<OwnedFd>) -> Result<Reply, Refusal> {
        // Whatever keeps it from being started ends a process that waits for it.
        let expected = self.expected(&spec.id);
        self.active("exec")?;
        let taken = |task: &Task| matches!(&task.owner, Owner::Exec(id) if *id == spec.id);
        if self.tasks.values().any(taken) {
            let message = format!("exec instance {} is already running", spec.id);
            return Err(Refusal::new(ErrorKind::Conflict, message));
        }
        let (expected, held) = match expected {
            Some(Expected { plan, held, .. }) => (Some(plan), held.filter(|_| spec.let_go)),
            None => (None, None),
        };
        let plan = spec.plan.or(expected).ok_or_else(|| {
            Refusal::new(ErrorKind::NoSuchExec, format!("No such exec instance: {}", spec.id))
        })?;
        let kind = match (spec.tty, &spec.attach) {
            (true, _) => Kind::Terminal { input: spec.open_stdin },
            (false, Some(_)) => Kind::Pipes { input: spec.open_stdin },
            (false, None) => Kind::Null,
        };
        let pid = self.execute(Execution {
            owner: Owner::Exec(spec.id),
            plan: &plan,
            kind,
            console_size: spec.console_size,
            sink: Sink::Nowhere,
            client: spec.attach.zip(socket),
            held,
        })?;
        Ok(Reply::ExecStarted { pid: self.tasks.get(&pid).map_or(0, |task| task.pid) })
    }

    /// Starts a process in the running container; returns the task's key.
    pub fn execute(&mut self, execution: Execution<'_>) -> Result<u32, Refusal> {
        let Execution { owner, plan, kind, console_size, sink, client, held } = execution;
        self.active("exec")?;
        let Some((launcher, target)) = self.target()? else {
            return Err(Refusal::new(ErrorKind::NotRunning, "the container is not running"));
        };
        let went = match held {
            Some(Held { entering, ends, exit }) => {
                entering.finish_held()?.map(|launched| (launched, ends, exit))
            }
            None => None,
        };
        let (launched, ends, exit) = match went {
            Some(went) => went,
            None => {
                let (stdio, ends) = Ends::open(kind).map_err(|error| Refusal::system("make pipes", error))?;
                (launcher.exec(target, plan, stdio, console_size)?, ends, None)
            }
        };
        self.next_key += 1;
        let key = self.next_key;
        let session = ends
            .with_terminal(launched.terminal, kind)
            .and_then(|ends| Session::new(&self.poller, key, ends, sink, true));
        let mut session = session.map_err(|error| {
            // It is reaped as an orphan.
            let _ = sys::signal::send(&launched.pidfd, sys::signal::KILL);
            Refusal::system("watch a process's streams", error)
        })?;
        if let Some((attach, socket)) = client {
            session.attach(socket, attach, &mut self.buffer);
        }
        let task = Task { owner, pid: launched.pid, pidfd: launched.pidfd, exit: None, session };
        self.tasks.insert(key, task);
        self.early.extend(exit.map(|code| (key, code)));
        Ok(key)
    }

    /// Keeps what is likely to be started soon; makes its process, and lets it wait, if its streams and line are known.
    pub fn expect(&mut self, id: String, plan: ExecPlan, wait: Option<(ExpectedStreams, OwnedFd)>) {
        if self.expected.len() >= MAX_EXPECTED {
            // One that waits is the engine's to give up.
            let Some(oldest) = self.expected.iter().rposition(|expected| expected.held.is_none()) else {
                return;
            };
            self.expected.remove(oldest);
        }
        self.expect_processes();
        let held = wait.and_then(|(streams, line)| self.hold_process(&plan, streams, line));
        self.expected.push_front(Expected { id, plan, held });
    }

    /// None where that does not work: the start says why.
    fn hold_process(&mut self, plan: &ExecPlan, streams: ExpectedStreams, line: OwnedFd) -> Option<Held> {
        self.active("exec").ok()?;
        let (launcher, target) = self.target().ok()??;
        let kind = match streams {
            ExpectedStreams::Null => Kind::Null,
            ExpectedStreams::Pipes { stdin } => Kind::Pipes { input: stdin },
        };
        let (stdio, ends) = Ends::open(kind).ok()?;
        let entering = launcher.hold(target, plan, stdio, line).ok()??;
        Some(Held { entering, ends, exit: None })
    }

    fn expected(&mut self, id: &str) -> Option<Expected> {
        let index = self.expected.iter().position(|expected| expected.id == id)?;
        self.expected.remove(index)
    }

    /// What was expected has not come: all but processes that wait is forgotten.
    pub fn forget_expected(&mut self) {
        self.expected.retain(|expected| expected.held.is_some());
    }

    /// A process has ended that may be one that waited.
    pub fn held_ended(&mut self, pid: i32, code: i32) {
        let is_it = |held: &Held| held.entering.pid() == pid;
        let Some(index) = self.expected.iter().position(|expected| expected.held.as_ref().is_some_and(is_it))
        else {
            return;
        };
        match &mut self.expected[index].held {
            // Its start is about to be heard of.
            Some(held) if held.entering.has_left() => held.exit = Some(code),
            _ => drop(self.expected.remove(index)),
        }
    }

    /// The running container, opened for further processes.
    fn target(&mut self) -> Result<Option<(&Launcher, &Target)>, LaunchError> {
        let (Some(launcher), Some(Container { phase: Phase::Running(run), .. })) =
            (&self.launcher, &mut self.container)
        else {
            return Ok(None);
        };
        let target = match run.target.take() {
            Some(target) => target,
            None => launcher.target(&ExecTarget { pid: run.pid, cgroup: run.cgroup.clone() })?,
        };
        Ok(Some((launcher, run.target.insert(target))))
    }

    /// Opens the container ahead of the first process that comes to it.
    pub fn expect_processes(&mut self) {
        // If it cannot be, that process's start says why.
        let _ = self.target();
    }

    pub fn signal_exec(&mut self, id: &str, signal: i32) -> Result<(), Refusal> {
        let task = self.session(Some(id))?;
        sys::signal::send(&task.pidfd, signal)
            .map_err(|error| Refusal::system("signal a process of the container", error))
    }
}

//! The container's life: starting it, what happens when it ends, starting it again.
//!
//! ```text
//!      Prepare, (Hold,) Start         ended, policy says again
//!   (nothing) ─────▶ Running ─────────────────────────────▶ Restarting
//!                    │  ▲                                    │   │
//!                    │  └────────── after the back-off ──────┘   │
//!                    │ ended for good                            │ stopped, or it cannot be started
//!                    └────────────────▶ Ended ◀──────────────────┘
//! ```
//! A start that fails leaves nothing but the record. Every transition writes `state.json` before anybody is told.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use cgroup::{Cgroup, OomWatch};
use runtime::{
    Begun, Extras, Gate, Launch, LaunchError, LaunchErrorKind, Launched, Launcher, Namespace, Prepared,
    Target,
};

use crate::client::SPARE;
use crate::connections::Asker;
use crate::dns::NameServer;
use crate::event_loop::Monitor;
use crate::health::HealthCheck;
use crate::log::Log;
use crate::poller::{EventFlags, Token, Watched};
use crate::protocol::{
    AttachSpec, ErrorKind, Event, FdRole, HealthStatus, MonitorSpec, NamesSpec, Reply, RestartPolicy,
    StartSpec, State, Status,
};
use crate::requests::Refusal;
use crate::restart::Backoff;
use crate::state;
use crate::streams::{Ends, Kind, Session, Sink};
use crate::tasks::{Owner, Task};
use crate::time::Stamp;
use crate::timers::Timer;

pub(crate) struct Container {
    pub spec: MonitorSpec,
    pub state: State,
    pub phase: Phase,
    pub health: HealthCheck,
    /// Who waits for its end.
    pub stopping: Vec<Asker>,
    netns: Option<OwnedFd>,
    bare_mounts: Option<OwnedFd>,
    /// Keeps what it has from the end of the world around it.
    lease: Option<OwnedFd>,
    backoff: Backoff,
}

/// A container that is to be started.
pub(crate) struct Coming {
    spec: Box<MonitorSpec>,
    prepared: Result<Progress, LaunchError>,
    netns: Option<OwnedFd>,
    bare_mounts: Option<OwnedFd>,
}

/// How far a launch has come.
enum Progress {
    Nothing,
    Prepared(Prepared),
    Underway(Underway),
}

/// A process on its way, with our ends of its streams.
struct Underway {
    begun: Begun,
    ends: Ends,
}

impl Underway {
    fn begin(
        launcher: &Launcher,
        spec: &MonitorSpec,
        prepared: Option<Prepared>,
        [netns, bare_mounts]: [&Option<OwnedFd>; 2],
        gate: Option<Gate>,
    ) -> Result<Self, LaunchError> {
        let (stdio, ends) =
            Ends::open(kind(spec)).map_err(|error| failure("streams", format!("make pipes: {error}")))?;
        let copy = |fd: &Option<OwnedFd>| {
            let copy = fd.as_ref().map(OwnedFd::try_clone).transpose();
            copy.map_err(|error| failure("namespaces", format!("duplicate a descriptor: {error}")))
        };
        let options = Launch {
            netns: copy(netns)?,
            bare_mounts: copy(bare_mounts)?,
            console_size: spec.console_size,
            extras: Extras { gate, ..Extras::default() },
            ..Launch::with(stdio)
        };
        Ok(Self { begun: launcher.begin(&spec.plan, prepared, options)?, ends })
    }
}

/// The container's streams.
fn kind(spec: &MonitorSpec) -> Kind {
    match (spec.tty, spec.open_stdin) {
        (true, input) => Kind::Terminal { input },
        (false, input) => Kind::Pipes { input },
    }
}

/// Where the container stands.
pub(crate) enum Phase {
    Running(Box<Run>),
    Restarting,
    Ended,
}

/// One run: from a launch until all output is read.
pub(crate) struct Run {
    /// The first process.
    pub task: u32,
    pub pid: i32,
    pub cgroup: Option<Cgroup>,
    /// For processes that come later; opened with the first of them.
    pub target: Option<Target>,
    pub since: Instant,
    oom: Option<Watched<OomWatch>>,
}

impl Container {
    /// Replaces the record; a record that cannot be written (a full disk) must not keep the container from running or ending.
    fn write(&self, durable: bool) {
        let _ = state::write(&self.spec.container_dir, &self.state, durable);
    }

    /// Writes a change that a reboot makes obsolete.
    pub fn note(&self) {
        self.write(false);
    }

    pub fn run(&self) -> Option<&Run> {
        match &self.phase {
            Phase::Running(run) => Some(run),
            _ => None,
        }
    }
}

impl Monitor {
    /// Makes ready what can be before the start request.
    pub fn prepare(&mut self, spec: Box<MonitorSpec>) {
        let prepared = self.launcher().and_then(|launcher| launcher.prepare(&spec.plan));
        let prepared = prepared.map(Progress::Prepared);
        self.coming = Some(Coming { spec, prepared, netns: None, bare_mounts: None });
    }

    /// Makes the process that the start request will let go.
    pub fn hold(&mut self, roles: Vec<FdRole>, fds: Vec<OwnedFd>) {
        let (Some(launcher), Some(coming)) = (&self.launcher, &mut self.coming) else { return };
        for (role, fd) in roles.into_iter().zip(fds) {
            match role {
                FdRole::Netns => coming.netns = Some(fd),
                FdRole::BareMounts => coming.bare_mounts = Some(fd),
                _ => {}
            }
        }
        let Ok(Progress::Prepared(prepared)) = std::mem::replace(&mut coming.prepared, Ok(Progress::Nothing))
        else {
            return;
        };
        let places = [&coming.netns, &coming.bare_mounts];
        let underway = Underway::begin(launcher, &coming.spec, Some(prepared), places, Some(Gate::Launcher));
        coming.prepared = Ok(underway.map_or(Progress::Nothing, Progress::Underway));
    }

    /// The start request. After an error the monitor leaves.
    pub fn start(&mut self, start: StartSpec, fds: Vec<OwnedFd>) -> Result<Reply, Refusal> {
        if let Some(container) = &self.container {
            let message = format!("container {} is already started", container.spec.id);
            return Err(Refusal::new(ErrorKind::Conflict, message));
        }
        let Some(coming) = self.coming.take() else {
            return Err(Refusal::new(ErrorKind::Invalid, "nothing was said about the container to start"));
        };
        let folder = coming.spec.container_dir.clone();
        let started = self.begin(coming, start, fds);
        if let Err(error) = &started {
            record_failure(&folder, error);
            self.container = None;
            self.leaving = Some(1);
        }
        Ok(started?)
    }

    fn launcher(&mut self) -> Result<&Launcher, LaunchError> {
        let launcher = match self.launcher.take() {
            Some(launcher) => launcher,
            None => Launcher::detect()?,
        };
        Ok(self.launcher.insert(launcher))
    }

    fn begin(&mut self, coming: Coming, start: StartSpec, fds: Vec<OwnedFd>) -> Result<Reply, LaunchError> {
        let Coming { spec, prepared, mut netns, mut bare_mounts } = coming;
        let prepared = prepared?;
        let (mut clients, mut ports) = (Vec::new(), Vec::new());
        let (mut home, mut lease) = (None, None);
        for (role, fd) in start.fds.into_iter().zip(fds) {
            match role {
                FdRole::BareMounts => bare_mounts = Some(fd),
                FdRole::Netns => netns = Some(fd),
                FdRole::Home => home = Some(fd),
                FdRole::Lease => lease = Some(fd),
                FdRole::Attach(attach) => clients.push((attach, fd)),
                FdRole::Port(number) => ports.push((number, fd)),
            }
        }
        if let (Some(names), Some(netns)) = (&start.names, &netns) {
            // Before anything in the container can ask.
            self.names = Some(self.serve_names(names, netns)?);
        }
        let state = State { restart_count: spec.restart_count, ..State::default() };
        self.container = Some(Container {
            spec: *spec,
            state,
            phase: Phase::Ended,
            health: HealthCheck::default(),
            stopping: Vec::new(),
            netns,
            bare_mounts,
            lease,
            backoff: Backoff::default(),
        });
        self.launch(prepared, clients)?;
        self.relays.begin_at(home);
        self.relays.start(&start.relays, ports);
        if let Some(container) = &self.container {
            // One that was made for this container has it already.
            let _ = sys::process::replace_argument(SPARE, &container.spec.id);
        }
        let state = self.container.as_ref().map(|container| container.state.clone()).unwrap_or_default();
        Ok(Reply::Started {
            pid: state.pid,
            start_ticks: state.start_ticks,
            started_at: state.started_at.unwrap_or_default(),
        })
    }

    fn serve_names(&self, spec: &NamesSpec, netns: &OwnedFd) -> Result<NameServer, LaunchError> {
        netns
            .try_clone()
            .and_then(|netns| NameServer::start(&self.poller, spec.clone(), netns))
            .map_err(|error| failure("names", format!("serve names at 127.0.0.11: {error}")))
    }

    /// Begins to answer names in a container that runs.
    pub fn begin_names(&mut self, spec: NamesSpec) -> Result<(), Refusal> {
        let container = self.started()?;
        if matches!(container.phase, Phase::Ended) {
            let message = format!("container {} is not running", container.spec.id);
            return Err(Refusal::new(ErrorKind::NotRunning, message));
        }
        if self.names.is_some() {
            return Ok(());
        }
        let container = self.container.as_ref();
        let Some(netns) = container.and_then(|container| container.netns.as_ref()) else {
            return Err(Refusal::new(ErrorKind::Invalid, "the container has no network of its own"));
        };
        self.names = Some(self.serve_names(&spec, netns)?);
        Ok(())
    }

    /// Starts the container's process and everything that goes with a run.
    fn launch(&mut self, progress: Progress, clients: Vec<(AttachSpec, OwnedFd)>) -> Result<(), LaunchError> {
        self.launcher()?;
        let Some(launcher) = &self.launcher else { return Ok(()) };
        let Some(container) = &mut self.container else { return Ok(()) };
        let spec = &container.spec;
        let kind = kind(spec);
        let places = [&container.netns, &container.bare_mounts];
        let Underway { begun, ends } = match progress {
            Progress::Underway(underway) if !underway.begun.is_over() => underway,
            Progress::Prepared(prepared) => Underway::begin(launcher, spec, Some(prepared), places, None)?,
            lost => {
                // Its cgroup goes with it, before there is another.
                drop(lost);
                Underway::begin(launcher, spec, None, places, None)?
            }
        };
        let connections = &mut self.connections;
        let meanwhile = |cgroup: &Cgroup| {
            if !connections.is_listening() {
                connections.listen(&spec.run_dir).map_err(|error| {
                    failure("listen", format!("listen in {}: {error}", spec.run_dir.display()))
                })?;
            }
            let log = Log::open(&spec.log)
                .map_err(|error| failure("log", format!("open log {}: {error}", spec.log.path.display())))?;
            // Without it shortages of memory go unreported.
            let oom = Some(cgroup).filter(|cgroup| !cgroup.path().is_empty());
            let oom = oom.and_then(|cgroup| cgroup.oom_watch().ok());
            Ok((log, oom))
        };
        let (launched, (log, oom)) = begun.finish(&spec.plan, meanwhile)?;
        let Launched { pid, pidfd, terminal, cgroup, start_ticks } = launched;
        self.next_key += 1;
        let key = self.next_key;
        let sink = log.map_or(Sink::Nowhere, |log| Sink::Log(Box::new(log)));
        let session = ends
            .with_terminal(terminal, kind)
            .and_then(|ends| Session::new(&self.poller, key, ends, sink, spec.stdin_once));
        let cgroup = Some(cgroup).filter(|cgroup| !cgroup.path().is_empty());
        let mut session = match session {
            Ok(session) => session,
            Err(error) => {
                undo(pid, &pidfd, cgroup.as_ref());
                return Err(failure("streams", format!("watch the container's streams: {error}")));
            }
        };
        for (attach, socket) in clients {
            session.attach(socket, attach, &mut self.buffer);
        }
        let oom = oom.map(|watch| {
            let mut watched = Watched::new(&self.poller, watch, Token::Oom);
            let _ = watched.watch(Some(EventFlags::IN));
            watched
        });
        container.phase = Phase::Running(Box::new(Run {
            task: key,
            pid,
            cgroup,
            target: None,
            since: Instant::now(),
            oom,
        }));
        container.state = State {
            status: Status::Running,
            pid,
            start_ticks,
            started_at: Some(Stamp::now().to_string()),
            restart_count: container.state.restart_count,
            finished_at: container.state.finished_at.take(),
            health: container.state.health.take(),
            ..State::default()
        };
        self.tasks.insert(key, Task { owner: Owner::Container, pid, pidfd, exit: None, session });
        self.begin_health();
        if let Some(container) = &self.container {
            // After a reboot the engine starts again what ran: it has to know.
            container.write(container.spec.restart != RestartPolicy::No);
        }
        self.settle(key);
        Ok(())
    }

    /// Memory of the container's cgroup ran out.
    pub fn memory_ran_out(&mut self) {
        let Some(Container { phase: Phase::Running(run), state, .. }) = &mut self.container else { return };
        let Some(watch) = &mut run.oom else { return };
        match watch.get().take() {
            Ok(0) => {}
            Ok(_) => {
                state.oom_killed = true;
                self.tell(Event::Oom);
            }
            // The cgroup is gone.
            Err(_) => run.oom = None,
        }
    }

    /// The container's first process has ended; its output may still be in the pipes.
    pub fn container_ended(&mut self) {
        self.memory_ran_out();
        self.timers.cancel(Timer::Kill);
        let Some(container) = &mut self.container else { return };
        container.state.finished_at = Some(Stamp::now().to_string());
        // The end of a pid namespace is the end of all its processes. Where there is none, the others have to be ended.
        if container.spec.plan.namespaces.pid != Namespace::New
            && let Some(cgroup) = container.run().and_then(|run| run.cgroup.as_ref())
        {
            let _ = cgroup.kill_all();
        }
    }

    /// The container's output is read and its clients are gone: the run is over.
    pub fn container_finished(&mut self, task: Task) {
        self.end_health();
        let Some(container) = &mut self.container else { return };
        let Phase::Running(run) = std::mem::replace(&mut container.phase, Phase::Ended) else { return };
        let run_time = run.since.elapsed();
        drop(run.oom);
        if let Some(cgroup) = run.cgroup {
            // What keeps a cgroup from going away is a process that does not die: nothing that waiting longer would help.
            let _ = cgroup.remove();
        }
        // The OCI specification: a failure of these changes nothing.
        let _ = runtime::run_poststop_hooks(&container.spec.plan);
        let state = &mut container.state;
        state.pid = 0;
        state.exit_code = task.exit.unwrap_or_default();
        let wait = if state.user_stopped {
            None
        } else {
            container.backoff.next(container.spec.restart, state.exit_code, state.restart_count, run_time)
        };
        match wait {
            Some(wait) => self.wait_for_restart(wait),
            None => self.end(String::new()),
        }
    }

    fn wait_for_restart(&mut self, wait: Duration) {
        let Some(container) = &mut self.container else { return };
        container.phase = Phase::Restarting;
        container.state.status = Status::Restarting;
        container.state.restart_count += 1;
        container.note();
        let event = exited(&container.state, String::new(), Some(wait));
        self.timers.set(Timer::Restart, wait);
        self.tell(event);
    }

    /// The back-off is over.
    pub fn restart(&mut self) {
        match self.launch(Progress::Nothing, Vec::new()) {
            Ok(()) => {
                let Some(container) = &self.container else { return };
                let state = &container.state;
                let event = Event::Started {
                    pid: state.pid,
                    start_ticks: state.start_ticks,
                    started_at: state.started_at.clone().unwrap_or_default(),
                    restart_count: state.restart_count,
                };
                self.tell(event);
            }
            Err(error) => {
                if let Some(container) = &mut self.container {
                    container.state.exit_code = exit_code(error.kind);
                }
                self.end(error.message);
            }
        }
    }

    /// The final exit: writes the record, tells everybody, and waits to be dismissed.
    pub fn end(&mut self, error: String) {
        self.timers.cancel(Timer::Restart);
        self.timers.cancel(Timer::Kill);
        self.relays.stop(&mut self.timers);
        // Its sockets, and the descriptor itself, would keep the network namespace alive.
        self.names = None;
        self.timers.cancel(Timer::Names);
        let Some(container) = &mut self.container else { return };
        container.netns = None;
        container.lease = None;
        container.phase = Phase::Ended;
        container.state.status = Status::Exited;
        container.state.error.clone_from(&error);
        if let Some(health) = &mut container.state.health {
            // As Docker leaves it.
            health.status = HealthStatus::Unhealthy;
        }
        container.write(!container.spec.auto_remove);
        let event = exited(&container.state, error, None);
        let stopping = std::mem::take(&mut container.stopping);
        self.tell(event);
        for asker in stopping {
            self.reply(asker, Reply::Done);
        }
    }
}

fn exited(state: &State, error: String, wait: Option<Duration>) -> Event {
    Event::Exited {
        code: state.exit_code,
        oom_killed: state.oom_killed,
        finished_at: state.finished_at.clone().unwrap_or_default(),
        error,
        restart_in: wait.map(|wait| wait.as_millis() as u64),
    }
}

/// Docker's exit code for a container that could not be started.
fn exit_code(kind: LaunchErrorKind) -> i32 {
    match kind {
        LaunchErrorKind::NotFound => 127,
        LaunchErrorKind::NotExecutable => 126,
        LaunchErrorKind::InvalidUser | LaunchErrorKind::Other => 128,
    }
}

/// A start that failed changes what is known about the last run as little as possible.
fn record_failure(folder: &std::path::Path, error: &LaunchError) {
    let last = state::read(folder).ok().flatten().unwrap_or_default();
    let state = State {
        status: if last.status == Status::Created { Status::Created } else { Status::Exited },
        pid: 0,
        start_ticks: 0,
        exit_code: exit_code(error.kind),
        error: error.message.clone(),
        ..last
    };
    let _ = state::write(folder, &state, false);
}

fn failure(step: &str, message: String) -> LaunchError {
    LaunchError { kind: LaunchErrorKind::Other, step: step.to_owned(), message }
}

/// Ends a process that was launched but cannot be looked after.
fn undo(pid: i32, pidfd: &OwnedFd, cgroup: Option<&Cgroup>) {
    let _ = sys::signal::send(pidfd, sys::signal::KILL);
    let _ =
        rustix::process::waitpid(rustix::process::Pid::from_raw(pid), rustix::process::WaitOptions::empty());
    if let Some(cgroup) = cgroup {
        let _ = cgroup.remove();
    }
}

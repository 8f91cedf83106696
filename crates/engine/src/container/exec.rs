//! `docker exec`: more processes in a running container. An exec is created, started once, and remembered for a while after its
//! end so that its exit code can be asked for. Nothing of it is on disk: it cannot outlive its container's run.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use api::stream::StreamKind;
use api::*;
use monitor::protocol::{AttachSpec, Body, ErrorKind as Refusal, ExecSpec, ExpectedStreams, Reply};
use runtime::{Line, UserSpec};
use tokio::sync::Notify;

use super::attach::{ClientStream, write_all};
use super::kill::not_running;
use super::launch::cannot_run;
use super::launch::prepare::console_size;
use super::model::{Container, lock};
use super::resize::resize;
use super::spec::{oci_capabilities, override_environment};
use super::status::Status;
use super::{detach_keys, name};
use crate::Engine;
use crate::error::{Error, ErrorKind, Result};

/// How long an exec can be asked about after its end.
const REMEMBERED: Duration = Duration::from_secs(300);
/// How long a request about a process waits for its start.
const START: Duration = Duration::from_secs(10);
/// A monitor that was told a plan has it for as long; in truth somewhat longer.
const EXPECTED: Duration = Duration::from_millis(500);
const START_FAILED: &str = "OCI runtime exec failed: exec failed: unable to start container process: ";

/// One exec: what was asked for, and where it is.
pub(crate) struct Exec {
    pub id: String,
    pub container: Arc<Container>,
    pub config: ExecConfig,
    detach_keys: Vec<u8>,
    /// Made when it was created, taken when it starts.
    plan: Mutex<Option<runtime::ExecPlan>>,
    /// When the monitor was told the plan.
    expected: Mutex<Option<Instant>>,
    /// Its process waits for this; gone, it ends.
    line: Mutex<Option<Line>>,
    /// The events know of its start.
    told: Mutex<bool>,
    state: Mutex<State>,
    /// Told when it has started, or has not and never will.
    changed: Notify,
}

/// Where an exec is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Created(Instant),
    /// Handed to the monitor.
    Starting,
    Running {
        pid: i32,
    },
    Exited {
        code: i64,
        pid: i32,
        at: Instant,
    },
}

impl Exec {
    /// The command in one line, as events show it.
    fn line(&self) -> String {
        self.config
            .cmd
            .iter()
            .flat_map(|words| words.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Who creates an exec without naming a stream to attach starts it detached. None: it has a terminal, whose size comes with the
    /// start.
    fn expected_streams(&self) -> Option<ExpectedStreams> {
        let ExecConfig { attach_stdin, attach_stdout, attach_stderr, .. } = self.config;
        let is_attached = attach_stdin || attach_stdout || attach_stderr;
        (!self.config.tty).then(|| self.streams(is_attached))
    }

    fn streams(&self, is_attached: bool) -> ExpectedStreams {
        match is_attached {
            true => ExpectedStreams::Pipes { stdin: self.config.attach_stdin },
            false => ExpectedStreams::Null,
        }
    }

    /// Whether the monitor knows its plan.
    fn is_expected(&self) -> bool {
        lock(&self.expected).is_some_and(|at| at.elapsed() < EXPECTED)
    }

    /// Lets its process go, if one waits that has the streams it is started with; true if it runs now, or will.
    fn let_go(&self, is_attached: bool) -> bool {
        // Dropped, it ends.
        let Some(line) = lock(&self.line).take() else { return false };
        self.is_expected() && self.expected_streams() == Some(self.streams(is_attached)) && line.go()
    }

    /// Ends it with a code; false if it had ended before.
    fn end(&self, code: i64) -> bool {
        let mut state = lock(&self.state);
        let pid = match *state {
            State::Exited { .. } => return false,
            State::Running { pid } => pid,
            State::Created(_) | State::Starting => 0,
        };
        *state = State::Exited { code, pid, at: Instant::now() };
        self.changed.notify_waiters();
        true
    }

    fn is_forgotten(&self) -> bool {
        match *lock(&self.state) {
            State::Exited { at, .. } => at.elapsed() > REMEMBERED,
            State::Created(at) => at.elapsed() > REMEMBERED && !self.container.status().is_up(),
            _ => false,
        }
    }
}

/// The run is over: whatever exec the monitor has not told about has ended with it.
pub(crate) fn end_all(container: &Container) {
    for exec in std::mem::take(&mut *lock(&container.execs)).into_values() {
        if matches!(*lock(&exec.state), State::Starting | State::Running { .. }) {
            exec.end(137);
        }
    }
}

impl Engine {
    pub async fn exec_create(&self, id: &str, config: ExecConfig) -> Result<IdResponse> {
        let container = self.containers.find(id)?;
        can_exec(&container)?;
        let detach_keys = detach_keys::parse(&config.detach_keys)?;
        if let Some(line) = config.env.iter().flatten().find(|line| line.is_empty() || line.starts_with('='))
        {
            return Err(Error::invalid(format!("invalid environment variable: {line}")));
        }
        self.containers.forget_execs(Exec::is_forgotten);
        let exec = Arc::new(Exec {
            id: name::new_id(),
            container: Arc::clone(&container),
            config,
            detach_keys,
            plan: Mutex::new(None),
            expected: Mutex::new(None),
            line: Mutex::new(None),
            told: Mutex::new(false),
            state: Mutex::new(State::Created(Instant::now())),
            changed: Notify::new(),
        });
        // What is wrong with it is told at the start.
        *lock(&exec.plan) = self.exec_plan(&exec).ok();
        lock(&container.execs).insert(exec.id.clone(), Arc::clone(&exec));
        self.containers.insert_exec(Arc::clone(&exec));
        self.exec_event(&exec, &format!("exec_create: {}", exec.line()), &[]);
        self.expect_exec(&exec).await;
        Ok(IdResponse { id: exec.id.clone() })
    }

    /// Most are started at once: what the monitor has made by then it need not make then.
    async fn expect_exec(&self, exec: &Arc<Exec>) {
        let Some(plan) = lock(&exec.plan).clone() else { return };
        let Ok(monitor) = exec.container.running_monitor() else { return };
        let line = exec.expected_streams().zip(Line::new().ok());
        let wait = line.as_ref().map(|(streams, (_, theirs))| (*streams, theirs));
        if !monitor.expect(&exec.id, &plan, wait).await {
            return;
        }
        *lock(&exec.expected) = Some(Instant::now());
        if let Some((_, (ours, _))) = line {
            *lock(&exec.line) = Some(ours);
            let exec = Arc::downgrade(exec);
            tokio::spawn(async move {
                tokio::time::sleep(2 * EXPECTED).await;
                // Not started: its process ends.
                drop(exec.upgrade().and_then(|exec| lock(&exec.line).take()));
            });
        }
    }

    /// Whether the exec exists and can be started: the errors that have a status of their own.
    pub async fn exec_check(&self, id: &str) -> Result<()> {
        let exec = self.containers.exec(id)?;
        match *lock(&exec.state) {
            State::Exited { .. } => Err(Error::conflict(format!("Error: Exec command {id} has already run"))),
            State::Starting | State::Running { .. } => {
                Err(Error::conflict(format!("Error: Exec command {id} is already running")))
            }
            State::Created(_) => can_exec(&exec.container),
        }
    }

    /// Starts an exec; with a stream, the error has been told the client through it too.
    pub async fn exec_start(
        &self,
        id: &str,
        config: ExecStartConfig,
        client: Option<ClientStream>,
    ) -> Result<()> {
        self.exec_check(id).await?;
        let exec = self.containers.exec(id)?;
        let (socket, leftover) = match client {
            Some(ClientStream::Socket { fd, leftover }) => (Some(fd), leftover),
            None => (None, Vec::new()),
        };
        let outcome = self.start_exec(&exec, &config, socket.as_ref(), leftover).await;
        if let (Err(error), Some(socket)) = (&outcome, &socket) {
            let line = format!("{}\r\n", error.message);
            let bytes = match config.tty {
                true => line.into_bytes(),
                false => stream::frame(StreamKind::Stdout, line.as_bytes()),
            };
            // A client that has gone needs no telling.
            let _ = write_all(socket, &bytes).await;
        }
        outcome
    }

    async fn start_exec(
        &self,
        exec: &Arc<Exec>,
        start: &ExecStartConfig,
        socket: Option<&OwnedFd>,
        leftover: Vec<u8>,
    ) -> Result<()> {
        let config = &exec.config;
        let monitor = exec.container.running_monitor()?;
        let attach = socket.map(|_| AttachSpec {
            stdin: config.attach_stdin,
            stdout: config.attach_stdout,
            stderr: config.attach_stderr,
            detach_keys: exec.detach_keys.clone(),
            mux: !start.tty,
            leftover,
            exec: Some(exec.id.clone()),
        });
        let planned = lock(&exec.plan).take();
        let plan = planned.map_or_else(|| self.exec_plan(exec), Ok)?;
        let is_expected = exec.is_expected();
        let spec = |plan: Option<runtime::ExecPlan>, let_go| ExecSpec {
            id: exec.id.clone(),
            plan,
            let_go,
            tty: config.tty,
            open_stdin: config.attach_stdin,
            attach: attach.clone(),
            console_size: start.console_size.or(config.console_size).and_then(console_size),
        };
        {
            let mut state = lock(&exec.state);
            match *state {
                State::Created(_) => *state = State::Starting,
                _ => {
                    return Err(Error::conflict(format!(
                        "Error: Exec command {} is already running",
                        exec.id
                    )));
                }
            }
        }
        let fds: Vec<_> = socket.iter().map(|socket| socket.as_fd()).collect();
        let ask = async |plan, let_go| monitor.ask(Body::Exec(Box::new(spec(plan, let_go))), &fds).await;
        let let_go = exec.let_go(socket.is_some());
        let answer = match is_expected {
            true => match ask(None, let_go).await {
                // It has forgotten.
                Ok(Reply::Error { kind: Refusal::NoSuchExec, .. }) => ask(Some(plan), false).await,
                answer => answer,
            },
            false => ask(Some(plan), false).await,
        };
        self.tell_start(exec);
        match answer {
            Ok(Reply::Error { kind, message }) => {
                let (error, code) = match kind {
                    Refusal::NotRunning => (not_running(&exec.container.id), 128),
                    kind => {
                        let (status, code) = cannot_run(kind);
                        (Error::new(status, format!("{START_FAILED}{message}: unknown")), code)
                    }
                };
                exec.end(code);
                lock(&exec.container.execs).remove(&exec.id);
                Err(error)
            }
            Ok(Reply::ExecStarted { pid }) => {
                let mut state = lock(&exec.state);
                match &mut *state {
                    State::Starting => *state = State::Running { pid },
                    // It has ended already.
                    State::Exited { pid: known, .. } => *known = pid,
                    _ => {}
                }
                exec.changed.notify_waiters();
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) => {
                exec.end(128);
                Err(error)
            }
        }
    }

    fn exec_plan(&self, exec: &Exec) -> Result<runtime::ExecPlan> {
        let (record, config) = (exec.container.record(), &exec.config);
        let user = match config.user.as_str() {
            "" => record.config.user.clone(),
            user => user.to_owned(),
        };
        let user = UserSpec::Name { spec: user, groups: record.host.group_add.clone().unwrap_or_default() };
        self.plan_exec(&record, user, |process| {
            process.set_args(config.cmd.clone().map(Vec::from)).set_terminal(Some(config.tty));
            let mut env = process.env().clone().unwrap_or_default();
            // TERM is the container's terminal's; an exec has its own.
            env.retain(|line| line != "TERM=xterm" || config.tty);
            if config.tty && !env.iter().any(|line| line.starts_with("TERM=")) {
                env.push("TERM=xterm".to_owned());
            }
            override_environment(&mut env, config.env.as_deref().unwrap_or_default());
            process.set_env(Some(env));
            if !config.working_dir.is_empty() {
                process.set_cwd(config.working_dir.clone().into());
            }
            if config.privileged {
                let all = sys::caps::ALL & (u64::MAX >> (63 - self.facts.runtime.last_capability.min(63)));
                process.set_capabilities(Some(oci_capabilities(all))).set_apparmor_profile(None);
            }
        })
    }

    /// An exec session has ended.
    pub(crate) fn exec_exited(&self, container: &Container, id: &str, code: i64) {
        lock(&container.execs).remove(id);
        // Sessions of an engine before this one are not known.
        let Ok(exec) = self.containers.exec(id) else { return };
        self.tell_start(&exec);
        if exec.end(code) {
            self.exec_event(&exec, "exec_die", &[("exitCode", code.to_string())]);
        }
    }

    /// Tells of its start, once: whoever hears first of what the monitor has made of it. Before, nothing is to keep the monitor waiting.
    fn tell_start(&self, exec: &Exec) {
        let mut told = lock(&exec.told);
        if !std::mem::replace(&mut *told, true) {
            self.exec_event(exec, &format!("exec_start: {}", exec.line()), &[]);
        }
    }

    pub async fn exec_resize(&self, id: &str, size: ResizeQuery) -> Result<()> {
        let exec = self.containers.exec(id)?;
        // A client that has just been told of its start may be faster than the start.
        let ready = async {
            loop {
                let changed = exec.changed.notified();
                if !matches!(*lock(&exec.state), State::Starting | State::Created(_)) {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(START, ready).await.is_err() {
            return Err(Error::internal("timeout waiting for exec session ready"));
        }
        let not_running = || Error::conflict(format!("exec process {id} is not running"));
        if !matches!(*lock(&exec.state), State::Running { .. }) {
            return Err(not_running());
        }
        let answer = exec.container.running_monitor()?.request(resize(Some(id.to_owned()), &size)?).await;
        match answer {
            // Its end has not been told yet.
            Err(error) if error.kind == ErrorKind::NotFound => Err(not_running()),
            answer => answer.map(drop),
        }
    }

    pub async fn exec_inspect(&self, id: &str) -> Result<ExecInspectResponse> {
        let exec = self.containers.exec(id)?;
        let config = &exec.config;
        // Who has seen the end of its stream asks for the exit code, and may be faster than the monitor's event: whatever the
        // monitor has told is heard before it answers.
        if matches!(*lock(&exec.state), State::Starting | State::Running { .. })
            && let Ok(monitor) = exec.container.running_monitor()
        {
            let _ = monitor.request(Body::Status).await;
        }
        let (running, exit_code, pid) = match *lock(&exec.state) {
            State::Created(_) => (false, None, 0),
            State::Starting => (true, None, 0),
            State::Running { pid } => (true, None, pid),
            State::Exited { code, pid, .. } => (false, Some(code), pid),
        };
        let words = config.cmd.clone().map(Vec::from).unwrap_or_default();
        let (entrypoint, arguments) =
            words.split_first().map(|(first, rest)| (first.clone(), rest.to_vec())).unwrap_or_default();
        Ok(ExecInspectResponse {
            id: exec.id.clone(),
            running,
            exit_code,
            process_config: Some(ProcessConfig {
                tty: config.tty,
                entrypoint,
                arguments: Some(arguments),
                privileged: Some(config.privileged),
                user: config.user.clone(),
            }),
            open_stdin: config.attach_stdin,
            open_stderr: config.attach_stderr,
            open_stdout: config.attach_stdout,
            can_remove: false,
            container_id: exec.container.id.clone(),
            detach_keys: base64_of(if config.detach_keys.is_empty() { &[] } else { &exec.detach_keys }),
            pid: pid.into(),
        })
    }

    fn exec_event(&self, exec: &Exec, action: &str, more: &[(&str, String)]) {
        let mut attributes: BTreeMap<&str, String> = more.iter().cloned().collect();
        attributes.insert("execID", exec.id.clone());
        let attributes: Vec<(&str, String)> = attributes.into_iter().collect();
        self.container_event(&exec.container, action, &attributes);
    }
}

fn can_exec(container: &Container) -> Result<()> {
    match container.status() {
        Status::Running(_) => Ok(()),
        Status::Paused(_) => Err(Error::conflict(format!(
            "Container {} is paused, unpause the container before exec",
            container.id
        ))),
        Status::Restarting => Err(Error::conflict(format!(
            "Container {} is restarting, wait until the container is running",
            container.id
        ))),
        _ => Err(not_running(&container.id)),
    }
}

/// Go's `[]byte` in JSON.
fn base64_of(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let value =
            chunk.iter().fold(0u32, |value, byte| value << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            match place <= chunk.len() {
                true => text.push(char::from(ALPHABET[(value >> (18 - 6 * place) & 63) as usize])),
                false => text.push('='),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64_of;

    #[test]
    fn detach_keys_are_shown_as_base64() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"\x10\x11", "EBE="),
            (b"a", "YQ=="),
            (b"abc", "YWJj"),
            (b"\xff\xff\xff\xff", "/////w=="),
        ] {
            assert_eq!(base64_of(bytes), text);
        }
    }
}

//! What engine and monitor say to each other: requests from the engine, replies and events from the monitor, and the record of a
//! container's run (`state.json`). Pure data; the framing is in [`wire`](crate::wire) and re-exported here. Nothing in this file
//! does I/O.
//!
//! ```text
//!   engine ── Request{seq, body} (+ descriptors) ──▶ monitor
//!   engine ◀── Message::Reply{seq, reply} ────────── monitor     one for each request, not always in order
//!   engine ◀── Message::Event(event) ─────────────── monitor     to every connection
//! ```
//!
//! The same protocol is spoken on the socket pair that the monitor is spawned with and on `monitor.sock`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use cgroup::Resources;
use runtime::{ExecPlan, LaunchErrorKind, LaunchPlan};
use serde::{Deserialize, Serialize};

pub use crate::wire::{Decoder, Frame, ProtocolError, encode};

/// One question to the monitor.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the asker, repeated in the reply.
    pub seq: u64,
    /// What is asked.
    pub body: Body,
}

/// What can be asked of a monitor. Descriptors travel with the request in the order in which the body names them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// What the container is: the first request. The monitor makes ready what needs nothing else, while the engine sees to the rest.
    /// No answer: what goes wrong is the answer to the start.
    Prepare(Box<MonitorSpec>),
    /// Make the container's process, which goes all its way and waits before its program: the start is expected soon, and will be sure
    /// to bring no other namespaces than these. Descriptors: as named here, [`FdRole::Netns`] and [`FdRole::BareMounts`]. No answer: a
    /// process that cannot be made is made again by the start, which says what is wrong. If no start comes, it ends with the monitor.
    Hold(Vec<FdRole>),
    /// Start the container: the only request of its kind. Descriptors: as in [`StartSpec::fds`].
    /// Answer: [`Reply::Started`], or an error after which the monitor leaves.
    Start(StartSpec),
    /// Connect a client to the container's (or an exec session's) streams. One descriptor: the client's socket.
    Attach(AttachSpec),
    /// A process that is likely to be started soon, by an [`Body::Exec`] of that name without a plan, which is kept for a moment. With
    /// streams the process is made, too, and waits before its program. One descriptor then: the end of a [`runtime::Line`] at which it
    /// waits. No answer: what cannot be made is made by the start, which says what is wrong.
    Expect {
        /// Name of the session.
        id: String,
        /// The process.
        plan: Box<ExecPlan>,
        /// Its standard streams.
        streams: Option<ExpectedStreams>,
    },
    /// Start another process in the container. One descriptor if `attach` is there. Answer: [`Reply::ExecStarted`].
    Exec(Box<ExecSpec>),
    /// Send a signal to the container's first process. `SIGKILL` and the stop signal count as "stopped by the user".
    Signal {
        /// 1 to 64.
        signal: i32,
    },
    /// Send a signal to an exec session's process.
    SignalExec {
        /// The session.
        id: String,
        /// 1 to 64.
        signal: i32,
    },
    /// Set a terminal's size.
    Resize {
        /// The session; `None` is the container.
        exec: Option<String>,
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// Freeze all processes.
    Pause,
    /// Let them run again.
    Unpause,
    /// Send the stop signal, wait, kill. The answer comes when the container has exited and is not going to be restarted.
    Stop {
        /// In place of the container's own stop signal.
        signal: Option<i32>,
        /// Seconds before `SIGKILL`, -1 for never; `None` is the container's own.
        timeout: Option<i64>,
    },
    /// Change limits and restart policy; both stay for later restarts.
    Update {
        /// Limits to change.
        resources: Option<Box<Resources>>,
        /// The new policy.
        restart: Option<RestartPolicy>,
    },
    /// The container got another name. The log's tag changes with the next restart, as Docker's does.
    Rename {
        /// The new name.
        name: String,
        /// The tag made from it.
        tag: Option<String>,
    },
    /// The container has come to a network with names: begin to answer at 127.0.0.11. Where that is done already nothing
    /// changes: who is asked was settled at create.
    Names(NamesSpec),
    /// The container has other addresses: relays to the first of each pair lead to the second from now on.
    Redirect(Vec<(SocketAddr, SocketAddr)>),
    /// The container has come to a network by which its ports can be published: serve them. Descriptors: the sockets that
    /// [`Relay::socket`] counts.
    Publish {
        /// How many sockets.
        sockets: usize,
        /// Those of them that are to be served.
        relays: Vec<Relay>,
    },
    /// Ask for the state. Answer: [`Reply::Status`].
    Status,
    /// Run the health check at once.
    HealthCheckNow,
    /// The engine has taken note of the exit: the monitor may leave. Before the final exit it changes nothing.
    Shutdown,
}

/// The streams of a process that is not started yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpectedStreams {
    /// Nobody is going to be attached.
    Null,
    /// Somebody is.
    Pipes {
        /// He writes to standard input.
        stdin: bool,
    },
}

/// What a descriptor of a start request is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FdRole {
    /// A mount namespace with next to nothing in it, to make the container's from ([`runtime::bare_mounts`]).
    BareMounts,
    /// The network namespace to start in, kept for restarts.
    Netns,
    /// The network namespace from which the container's addresses are reached, where that is not the host's own.
    Home,
    /// What keeps that namespace and its way out there while it is open; kept for as long as the container lives.
    Lease,
    /// A client's socket, attached before the process starts.
    Attach(AttachSpec),
    /// A socket that holds a published port for as long as the monitor lives; [`Relay::socket`] names it by this number.
    Port(usize),
}

/// All that a monitor knows about its container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MonitorSpec {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without the slash.
    pub name: String,
    /// Where `state.json` is written.
    pub container_dir: PathBuf,
    /// The container's own folder for `monitor.sock` (`<run_dir>/<id>`); made if missing, removed at the end.
    pub run_dir: PathBuf,
    /// How to start the container.
    pub plan: LaunchPlan,
    /// The container has a terminal.
    #[serde(default)]
    pub tty: bool,
    /// Standard input is a pipe (or the terminal) that clients can write to; otherwise it is /dev/null.
    #[serde(default)]
    pub open_stdin: bool,
    /// Standard input ends with the first client's.
    #[serde(default)]
    pub stdin_once: bool,
    /// Size of the terminal at the start: rows, columns.
    #[serde(default)]
    pub console_size: Option<(u16, u16)>,
    /// Where output is kept.
    #[serde(default)]
    pub log: LogSpec,
    /// When the container is started again.
    #[serde(default)]
    pub restart: RestartPolicy,
    /// Restarts so far.
    #[serde(default)]
    pub restart_count: u32,
    /// The signal that asks the container to end.
    pub stop_signal: i32,
    /// Seconds between that signal and `SIGKILL`, -1 for ever.
    pub stop_timeout: i64,
    /// The health check.
    #[serde(default)]
    pub health: Option<Box<HealthSpec>>,
    /// The container is removed when it exits: nothing is worth an fsync.
    #[serde(default)]
    pub auto_remove: bool,
}

/// What is known about a container only when its networks are there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StartSpec {
    /// Published ports that are served by the monitor.
    pub relays: Vec<Relay>,
    /// Names are answered at 127.0.0.11 in the namespace that comes as [`FdRole::Netns`].
    pub names: Option<NamesSpec>,
    /// What the descriptors of the request are.
    pub fds: Vec<FdRole>,
}

/// How a client is connected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttachSpec {
    /// The client's bytes go to standard input.
    pub stdin: bool,
    /// The client gets standard output.
    pub stdout: bool,
    /// The client gets standard error.
    pub stderr: bool,
    /// The bytes that disconnect the client when it types them; empty for none. Looked for on terminals only, as Docker does: on a
    /// pipe they may be data.
    pub detach_keys: Vec<u8>,
    /// Output goes in frames with Docker's 8-byte header, unless there is a terminal.
    pub mux: bool,
    /// What was already read from the client.
    pub leftover: Vec<u8>,
    /// The session; `None` is the container.
    pub exec: Option<String>,
}

/// Another process for the container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecSpec {
    /// Name of the session.
    pub id: String,
    /// The process. `None`: the one that was to be expected; a monitor that does not know it (any more) answers
    /// [`ErrorKind::NoSuchExec`], and has done nothing.
    #[serde(default)]
    pub plan: Option<ExecPlan>,
    /// It was expected, with the streams that it is to have now, and its line has been told to let it go: it runs, or will run, and must
    /// not be started twice.
    #[serde(default)]
    pub let_go: bool,
    /// It has a terminal.
    #[serde(default)]
    pub tty: bool,
    /// Standard input is the client's; otherwise it is /dev/null.
    #[serde(default)]
    pub open_stdin: bool,
    /// The client. Without one, and without a terminal, the streams are /dev/null.
    #[serde(default)]
    pub attach: Option<AttachSpec>,
    /// Rows, columns.
    #[serde(default)]
    pub console_size: Option<(u16, u16)>,
}

/// Where output is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogSpec {
    /// The format.
    pub driver: LogDriver,
    /// The file; rotated ones are beside it with `.1`, `.2`, … behind their names.
    pub path: PathBuf,
    /// Bytes after which the file is rotated; `None` for no rotation.
    pub max_size: Option<u64>,
    /// How many files there are, the current one included; 0 and 1 are one.
    pub max_file: u32,
    /// Labels and variables that go into each entry (json-file's `attrs`).
    pub attrs: BTreeMap<String, String>,
    /// The tag, already expanded; goes into `attrs` as well.
    pub tag: Option<String>,
}

/// A log's format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    /// Docker's json-file: one JSON object for each line.
    JsonFile,
    /// Docker's local: length-prefixed protocol buffers.
    Local,
    /// Nothing is kept.
    #[default]
    None,
}

/// When a container is started again after it exited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// When the exit code is not 0.
    OnFailure {
        /// So many times; 0 for no limit.
        max: u32,
    },
    /// Always, unless a user stops it.
    Always,
    /// As `Always` for the monitor; the engine does not start it at boot if a user stopped it.
    UnlessStopped,
}

/// A health check, with Docker's defaults filled in. Times in nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthSpec {
    /// The probe, as an exec session without streams.
    pub plan: ExecPlan,
    /// Between probes.
    pub interval: u64,
    /// After which a probe has failed.
    pub timeout: u64,
    /// After the start, during which failures do not count.
    pub start_period: u64,
    /// Between probes in the start period.
    pub start_interval: u64,
    /// How many failures in a row make the container unhealthy.
    pub retries: u32,
}

/// Where the container's name server finds what it answers. The files are written by `network` and read again when they change;
/// `Networks::names_files` says where they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamesSpec {
    /// Which networks the container is in (`network::Attachment`).
    pub attachment: PathBuf,
    /// The folder with the networks' names (`network::files::Zone`), in `<network id>.json`.
    pub zones: PathBuf,
    /// Name servers that the user named, to be asked from within the container's network; without any, the host's are asked.
    pub servers: Vec<String>,
    /// The host's addresses; empty where it is the gateway of the container's network.
    #[serde(default)]
    pub host: Vec<IpAddr>,
}

/// A published port that the monitor serves itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// Protocol.
    pub proto: RelayProto,
    /// The number in [`FdRole::Port`].
    pub socket: usize,
    /// Where to connect to, from the host's network namespace or that which came as [`FdRole::Home`].
    pub target: SocketAddr,
}

/// A relay's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelayProto {
    /// A listening socket; each connection is passed on.
    Tcp,
    /// A bound socket; each peer gets a socket of its own to the target.
    Udp,
}

/// What comes back from a monitor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// The answer to a request.
    Reply {
        /// The request's number.
        seq: u64,
        /// The answer.
        reply: Reply,
    },
    /// Something happened.
    Event(Event),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It is done.
    Done,
    /// The container's program runs.
    Started {
        /// Its pid in the monitor's pid namespace.
        pid: i32,
        /// With `pid` its name for good: clock ticks since boot.
        start_ticks: u64,
        /// RFC 3339.
        started_at: String,
    },
    /// The session's program runs.
    ExecStarted {
        /// Its pid in the monitor's pid namespace.
        pid: i32,
    },
    /// The container as it is now.
    Status(Box<StatusReply>),
    /// It was not done.
    Error {
        /// What it means.
        kind: ErrorKind,
        /// For users.
        message: String,
    },
}

/// The container and its exec sessions as they are now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusReply {
    /// As in `state.json`.
    pub state: State,
    /// Running sessions: name, pid.
    pub execs: BTreeMap<String, i32>,
    /// Knows [`Body::Expect`] and holds processes: an engine may be newer than the monitors that it finds.
    #[serde(default)]
    pub holds: bool,
}

/// What a failed request means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The program does not exist in the container (127).
    ProgramNotFound,
    /// The program cannot be executed (126).
    NotExecutable,
    /// The user or group does not exist in the container.
    InvalidUser,
    /// The container could not be started for another reason.
    Launch,
    /// There is no such exec session.
    NoSuchExec,
    /// The container does not run.
    NotRunning,
    /// Not in this state: paused, not paused, already started.
    Conflict,
    /// The request makes no sense.
    Invalid,
    /// The kernel refused.
    System,
}

impl From<LaunchErrorKind> for ErrorKind {
    fn from(kind: LaunchErrorKind) -> Self {
        match kind {
            LaunchErrorKind::NotFound => Self::ProgramNotFound,
            LaunchErrorKind::NotExecutable => Self::NotExecutable,
            LaunchErrorKind::InvalidUser => Self::InvalidUser,
            LaunchErrorKind::Other => Self::Launch,
        }
    }
}

/// Something that happened, told to every connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The container was started again.
    Started {
        /// The new pid.
        pid: i32,
        /// Clock ticks since boot.
        start_ticks: u64,
        /// RFC 3339.
        started_at: String,
        /// Restarts so far.
        restart_count: u32,
    },
    /// The container exited: its output is in the log, its clients are disconnected. Unless it is going to be restarted, the
    /// record is written and the cgroup is gone; the monitor waits for [`Body::Shutdown`].
    Exited {
        /// 128 + n for a signal.
        code: i32,
        /// A process of the container was killed for want of memory.
        oom_killed: bool,
        /// RFC 3339.
        finished_at: String,
        /// Why it could not be restarted; mostly empty.
        error: String,
        /// Milliseconds until it is started again; `None`: this was the end.
        restart_in: Option<u64>,
    },
    /// An exec session's process exited and its output is with the client, whose socket is closed after this.
    ExecExited {
        /// The session.
        id: String,
        /// 128 + n for a signal.
        code: i32,
    },
    /// A process was killed for want of memory.
    Oom,
    /// A probe ended.
    Health {
        /// What the container is now.
        status: HealthStatus,
        /// The status is another than before.
        changed: bool,
        /// The probe.
        entry: HealthEntry,
    },
    /// The time that a stop left the container was over: it was sent `SIGKILL`.
    Killed,
    /// All processes are frozen.
    Paused,
    /// They run again.
    Unpaused,
    /// A client typed the detach keys.
    Detached {
        /// The session; `None` is the container.
        exec: Option<String>,
    },
}

/// What a container does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not started, or the start failed.
    #[default]
    Created,
    /// Runs.
    Running,
    /// Frozen.
    Paused,
    /// Exited, and waits to be started again.
    Restarting,
    /// Exited.
    Exited,
    /// Could not be removed (written by nobody but the engine's recovery).
    Dead,
}

/// The record of a container's run: `state.json`, written by its monitor only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// What it does.
    pub status: Status,
    /// Its first process in the monitor's pid namespace; 0 when there is none.
    pub pid: i32,
    /// With `pid` that process's name for good.
    pub start_ticks: u64,
    /// RFC 3339.
    pub started_at: Option<String>,
    /// RFC 3339.
    pub finished_at: Option<String>,
    /// Of the last run; 128 + n for a signal; 126, 127 or 128 when it could not be started.
    pub exit_code: i32,
    /// In the last run.
    pub oom_killed: bool,
    /// Why the start failed, as the runtime says it (the engine puts Docker's prefixes before it).
    pub error: String,
    /// Restarts by the policy.
    pub restart_count: u32,
    /// A user stopped or killed it.
    pub user_stopped: bool,
    /// The health check, if there is one.
    pub health: Option<Health>,
}

/// What probes say about a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// No probe has succeeded yet.
    #[default]
    Starting,
    /// The last probes succeeded.
    Healthy,
    /// Too many failed in a row.
    Unhealthy,
}

/// A health check's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// What the probes say.
    pub status: HealthStatus,
    /// Failures in a row.
    pub failing_streak: u32,
    /// The last five probes, oldest first.
    pub log: Vec<HealthEntry>,
}

/// One probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthEntry {
    /// RFC 3339.
    pub start: String,
    /// RFC 3339.
    pub end: String,
    /// Of the probe's process; -1 when it did not run or took too long.
    pub exit_code: i32,
    /// At most 4096 bytes of its output.
    pub output: String,
}

impl Frame for Request {
    fn fds(&self) -> usize {
        match &self.body {
            Body::Hold(roles) => roles.len(),
            Body::Start(spec) => spec.fds.len(),
            Body::Publish { sockets, .. } => *sockets,
            Body::Attach(_) => 1,
            Body::Exec(spec) => usize::from(spec.attach.is_some()),
            Body::Expect { streams, .. } => usize::from(streams.is_some()),
            _ => 0,
        }
    }
}

impl Frame for Message {}

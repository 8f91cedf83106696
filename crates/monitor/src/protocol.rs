//! What engine and monitor say to each other.
//!
//! ```text
//! frame = u32 length (little endian) + JSON; descriptors travel by SCM_RIGHTS with the first byte of their frame
//! engine ── Request{seq, body} ──▶ monitor
//! engine ◀── Message::Reply{seq} ── monitor        one for each request
//! engine ◀── Message::Event ────── monitor         to every connection, unasked
//! ```
//! The same protocol runs over the socket that the monitor inherits as descriptor 0 and over its `monitor.sock`. This file only
//! encodes and decodes: whoever reads the socket feeds [`Decoder`] with bytes and descriptors.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use cgroup::Resources;
use runtime::{ExecPlan, LaunchErrorKind, LaunchPlan};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::state::{HealthEntry, HealthStatus, State};

/// Longest frame that is accepted. A plan is a few KiB; one with thousands of mounts is still far below.
pub const MAX_FRAME: usize = 16 << 20;

/// Something the engine asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// Comes back in the reply.
    pub seq: u64,
    /// What is asked.
    pub body: Body,
}

/// The requests.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Body {
    /// Launch the container. Descriptors: `spec.fds`, in order. Once, and first.
    Start(Box<MonitorSpec>),
    /// Connect a client. One descriptor: the client's socket.
    Attach(AttachSpec),
    /// Run another process in the container. One descriptor if `attach` is given.
    Exec(Box<ExecSpec>),
    /// Send a signal to the container's first process.
    Signal { signal: i32 },
    /// Send a signal to an exec session's process.
    SignalExec { id: String, signal: i32 },
    /// Set a terminal's size: the container's, or an exec session's.
    Resize { exec: Option<String>, width: u16, height: u16 },
    /// Freeze all processes.
    Pause,
    /// Let them run again.
    Unpause,
    /// Stop signal, then after the timeout SIGKILL; the restart policy does not bring the container back. Answered when the
    /// signal is sent: the end is told by [`Event::Exited`].
    Stop { signal: Option<i32>, timeout: Option<i64> },
    /// Change limits and restart policy.
    Update { resources: Box<Resources>, restart: Option<RestartPolicy> },
    /// The container's new name.
    Rename { name: String },
    /// Tell the state.
    Status,
    /// Run the health check now.
    HealthCheckNow,
    /// The engine has recorded the exit: the monitor may go.
    Shutdown,
}

/// Everything the monitor needs to know about its container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MonitorSpec {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without the slash.
    pub name: String,
    /// Holds `state.json` and the log.
    pub container_dir: PathBuf,
    /// `<run dir>/<id>`, holds `monitor.sock`. Made by the engine.
    pub run_dir: PathBuf,
    pub plan: LaunchPlan,
    pub tty: bool,
    /// Keep standard input open.
    pub open_stdin: bool,
    /// The first client's end of input is the container's.
    pub stdin_once: bool,
    /// Terminal size at the start: width, height.
    #[serde(default)]
    pub console_size: Option<(u16, u16)>,
    pub log: LogSpec,
    pub restart: RestartPolicy,
    /// Restarts so far.
    #[serde(default)]
    pub restart_count: u64,
    pub stop_signal: i32,
    /// Seconds; negative waits for ever.
    pub stop_timeout: i64,
    #[serde(default)]
    pub health: Option<HealthSpec>,
    /// Published ports that the firewall cannot serve.
    #[serde(default)]
    pub relays: Vec<Relay>,
    /// The container is removed when it ends: its records need not survive a power failure.
    pub auto_remove: bool,
    /// What the descriptors of the request are.
    #[serde(default)]
    pub fds: Vec<FdRole>,
}

/// The purpose of a descriptor that comes with [`Body::Start`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum FdRole {
    /// The container's network namespace.
    Netns,
    /// A client's socket, attached before the container starts.
    Attach(AttachSpec),
    /// A bound socket that reserves a published port, held as long as the container runs.
    Port(u32),
}

/// How a client's socket is connected.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AttachSpec {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// Key sequence that detaches; empty: none.
    #[serde(default)]
    pub detach_keys: Vec<u8>,
    /// Docker's 8-byte stream headers, where there is no terminal.
    pub mux: bool,
    /// Bytes that were read from the client before its socket was handed over.
    #[serde(default)]
    pub leftover: Vec<u8>,
    /// An exec session's id; `None` is the container.
    #[serde(default)]
    pub exec: Option<String>,
}

/// Another process in the container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExecSpec {
    pub id: String,
    pub plan: ExecPlan,
    pub tty: bool,
    pub open_stdin: bool,
    #[serde(default)]
    pub attach: Option<AttachSpec>,
    /// Width, height.
    #[serde(default)]
    pub console_size: Option<(u16, u16)>,
}

/// Where output is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogSpec {
    pub driver: LogDriver,
    /// The log file; rotated files are `<path>.1`, `<path>.2`, ….
    pub path: PathBuf,
    /// Bytes after which a new file begins; `None`: never.
    #[serde(default)]
    pub max_size: Option<u64>,
    /// Files kept, the present one included.
    pub max_files: u32,
    /// `attrs` of every line.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// The log formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogDriver {
    /// Docker's json-file: one JSON object a line.
    JsonFile,
    /// No log.
    None,
}

/// Docker's restart policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    No,
    /// After a failure, at most so many times (0: no limit).
    OnFailure {
        max: u64,
    },
    Always,
    UnlessStopped,
}

/// A health check, times in milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HealthSpec {
    /// The probe, ready to run.
    pub plan: ExecPlan,
    pub interval: u64,
    pub timeout: u64,
    pub start_period: u64,
    pub start_interval: u64,
    pub retries: u32,
}

/// A published port that is served by copying bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Relay {
    /// The [`FdRole::Port`] whose socket clients come to: listening for TCP, bound for UDP.
    pub port: u32,
    pub udp: bool,
    /// Where to, in the host's network.
    pub target: SocketAddr,
}

/// What the monitor says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Message {
    /// The answer to the request with this number.
    Reply { seq: u64, reply: Reply },
    /// Something happened.
    Event(Event),
}

/// The answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Reply {
    /// Done.
    Done,
    /// [`Body::Start`]: the program runs.
    Started { pid: i32, start_ticks: u64, started_at: String },
    /// [`Body::Exec`]: the program runs.
    ExecStarted { pid: i32 },
    /// [`Body::Status`].
    Status(Box<State>),
    /// It did not work.
    Error { kind: ErrorKind, message: String },
}

/// What went wrong, as far as callers care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The program does not exist (exit code 127).
    NotFound,
    /// The program cannot be executed (126).
    NotExecutable,
    /// The user does not exist (126).
    InvalidUser,
    /// No such exec session.
    NoSuchExec,
    /// Not possible in this state (not running, paused).
    Conflict,
    /// Anything else.
    Other,
}

impl From<LaunchErrorKind> for ErrorKind {
    fn from(kind: LaunchErrorKind) -> Self {
        match kind {
            LaunchErrorKind::NotFound => Self::NotFound,
            LaunchErrorKind::NotExecutable => Self::NotExecutable,
            LaunchErrorKind::InvalidUser => Self::InvalidUser,
            _ => Self::Other,
        }
    }
}

/// What happened, told to every connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Event {
    /// Started again by the restart policy.
    Started { pid: i32, start_ticks: u64, started_at: String, restart_count: u64 },
    /// The container ended; its output is written and its clients are served. `restart_in`: milliseconds until it comes back.
    Exited { code: i32, oom_killed: bool, finished_at: String, error: String, restart_in: Option<u64> },
    /// An exec session ended.
    ExecExited { id: String, code: i32 },
    /// A process was killed for want of memory.
    Oom,
    /// A health probe ended.
    Health { status: HealthStatus, failing_streak: u32, entry: HealthEntry },
    /// A client left by its detach keys.
    Detached { exec: Option<String> },
}

/// A frame with this value. Descriptors, if any, are sent with its first byte.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut frame = vec![0; 4];
    // Writing to memory, with string keys only: serde_json has no reason to fail.
    if serde_json::to_writer(&mut frame, value).is_err() {
        frame.truncate(4);
    }
    let length = (frame.len() - 4) as u32;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame
}

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("frame of {0} bytes is longer than {MAX_FRAME}")]
    TooLong(usize),
    #[error("frame is not what was expected")]
    Json(#[from] serde_json::Error),
}

/// Takes frames out of a stream of bytes and descriptors.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    fds: VecDeque<OwnedFd>,
}

impl Decoder {
    /// What was received, in order.
    pub fn push(&mut self, bytes: &[u8], fds: impl IntoIterator<Item = OwnedFd>) {
        self.bytes.extend_from_slice(bytes);
        self.fds.extend(fds);
    }

    /// The next complete frame, or `None` until more has come.
    pub fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, DecodeError> {
        let Some(header) = self.bytes.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*header) as usize;
        if length > MAX_FRAME {
            return Err(DecodeError::TooLong(length));
        }
        let Some(frame) = self.bytes.get(4..4 + length) else { return Ok(None) };
        let value = serde_json::from_slice(frame)?;
        self.bytes.drain(..4 + length);
        if self.bytes.is_empty() {
            // A plan's buffer is not kept for the status requests that follow.
            self.bytes = Vec::new();
        }
        Ok(Some(value))
    }

    /// The oldest descriptor that nobody has taken yet.
    pub fn take_fd(&mut self) -> Option<OwnedFd> {
        self.fds.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut() {
        let frames =
            [encode(&Request { seq: 1, body: Body::Status }), encode(&Request { seq: 2, body: Body::Pause })]
                .concat();
        let mut decoder = Decoder::default();
        let mut seen = Vec::new();
        for byte in frames {
            decoder.push(&[byte], []);
            while let Some(request) = decoder.next::<Request>().unwrap() {
                seen.push(request.seq);
            }
        }
        assert_eq!(seen, [1, 2]);
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_at_once() {
        let mut decoder = Decoder::default();
        decoder.push(&u32::MAX.to_le_bytes(), []);
        assert!(matches!(decoder.next::<Request>(), Err(DecodeError::TooLong(_))));
    }
}

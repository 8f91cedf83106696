//! Execs on the wire.

use crate::go::model;
use crate::host_config::{ConsoleSize, StrSlice};

model! {
    /// Body of `POST /containers/{id}/exec`.
    pub struct ExecConfig {
        "User" => user: String,
        "Privileged" => privileged: bool,
        "Tty" => tty: bool,
        "ConsoleSize" omitempty => console_size: Option<ConsoleSize>,
        "AttachStdin" => attach_stdin: bool,
        "AttachStderr" => attach_stderr: bool,
        "AttachStdout" => attach_stdout: bool,
        /// Sent by older clients, without effect here: [`ExecStartConfig::detach`] decides.
        "Detach" => detach: bool,
        "DetachKeys" => detach_keys: String,
        "Env" => env: Option<Vec<String>>,
        "WorkingDir" => working_dir: String,
        "Cmd" => cmd: Option<StrSlice>,
    }

    /// Body of `POST /exec/{id}/start`.
    pub struct ExecStartConfig {
        "Detach" => detach: bool,
        "Tty" => tty: bool,
        "ConsoleSize" omitempty => console_size: Option<ConsoleSize>,
    }

    /// Answer to `GET /exec/{id}/json`.
    pub struct ExecInspectResponse {
        "ID" => id: String,
        "Running" => running: bool,
        /// `None` while it runs.
        "ExitCode" => exit_code: Option<i64>,
        "ProcessConfig" => process_config: Option<ProcessConfig>,
        "OpenStdin" => open_stdin: bool,
        "OpenStderr" => open_stderr: bool,
        "OpenStdout" => open_stdout: bool,
        "CanRemove" => can_remove: bool,
        "ContainerID" => container_id: String,
        /// Base64 (Go's `[]byte`).
        "DetachKeys" => detach_keys: String,
        "Pid" => pid: i64,
    }

    /// The process of an exec.
    pub struct ProcessConfig {
        "tty" => tty: bool,
        "entrypoint" => entrypoint: String,
        "arguments" => arguments: Option<Vec<String>>,
        "privileged" omitempty => privileged: Option<bool>,
        "user" omitempty => user: String,
    }
}

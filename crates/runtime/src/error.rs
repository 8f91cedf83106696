//! Errors of planning and launching. Messages are those that Docker's users know (runc's wording), without the prefixes that the
//! engine puts before them.

use std::io;

use serde::{Deserialize, Serialize};

/// Why an OCI configuration cannot become a plan: what the user asked for is wrong or unknown.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct PlanError {
    /// What is wrong with which field.
    pub message: String,
}

impl PlanError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// What a failed launch means for the one who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaunchErrorKind {
    /// The program does not exist in the container (exit code 127).
    NotFound,
    /// The program cannot be executed (exit code 126).
    NotExecutable,
    /// The user or group does not exist in the container.
    InvalidUser,
    /// Anything else: the host, the configuration.
    Other,
}

/// Why a container or a process did not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct LaunchError {
    /// What it means.
    pub kind: LaunchErrorKind,
    /// The step of the launch that failed, a short fixed name.
    pub step: String,
    /// The whole message.
    pub message: String,
}

impl LaunchError {
    pub(crate) fn new(kind: LaunchErrorKind, step: &str, message: impl Into<String>) -> Self {
        Self { kind, step: step.to_owned(), message: message.into() }
    }

    pub(crate) fn other(step: &str, message: impl Into<String>) -> Self {
        Self::new(LaunchErrorKind::Other, step, message)
    }
}

/// Short for this crate's results.
pub(crate) type Result<T, E = LaunchError> = std::result::Result<T, E>;

/// Adds to a system call's error which step of the launch it was and what it was about.
pub(crate) trait During<T> {
    /// The message is `doing` and the kernel's answer.
    fn during(self, step: &str, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> During<T> for Result<T, E> {
    fn during(self, step: &str, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| LaunchError::other(step, format!("{}: {}", doing(), reason(&error.into()))))
    }
}

/// An error as Go (and so Docker) words it: "no such file or directory".
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

//! Errors of planning and launching. Messages are those that Docker's users know (runc's wording), without the prefixes that the
//! engine puts before them.

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

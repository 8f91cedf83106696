//! More processes in a running container.

use std::sync::{Arc, Mutex};

use api::*;

use super::attach::ClientStream;
use super::model::Container;
use crate::Engine;
use crate::error::Result;

/// One exec: what was asked for, and where it is.
pub(crate) struct Exec {
    pub id: String,
    pub container: Arc<Container>,
    pub config: ExecConfig,
    pub state: Mutex<State>,
}

/// Where an exec is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Created,
    /// Handed to the monitor.
    Starting,
    Running {
        pid: i32,
    },
    Exited {
        code: i64,
        pid: i32,
    },
}

impl Engine {
    pub async fn exec_create(&self, _id: &str, _config: ExecConfig) -> Result<IdResponse> {
        unreachable!("in progress")
    }
    /// Whether the exec exists and can be started: the errors that have a status of their own.
    pub async fn exec_check(&self, _id: &str) -> Result<()> {
        unreachable!("in progress")
    }
    /// Starts an exec; with a stream, the error has been told the client through it too.
    pub async fn exec_start(
        &self,
        _id: &str,
        _config: ExecStartConfig,
        _client: Option<ClientStream>,
    ) -> Result<()> {
        unreachable!("in progress")
    }
    pub async fn exec_resize(&self, _id: &str, _size: ResizeQuery) -> Result<()> {
        unreachable!("in progress")
    }
    pub async fn exec_inspect(&self, _id: &str) -> Result<ExecInspectResponse> {
        unreachable!("in progress")
    }
}

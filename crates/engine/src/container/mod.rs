//! Containers: one file per operation.

pub(crate) mod create;
pub(crate) mod modes;
pub(crate) mod mounts;
pub(crate) mod name;
pub(crate) mod record;
pub(crate) mod security;
pub(crate) mod spec;
pub(crate) mod status;

use std::os::fd::OwnedFd;

use api::*;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::Engine;
use crate::error::Result;

/// What to attach to.
#[derive(Debug, Clone, Default)]
pub struct AttachOptions {
    /// Replay what was written before.
    pub logs: bool,
    /// Stay attached.
    pub stream: bool,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// `ctrl-p,ctrl-q` style; empty = the default.
    pub detach_keys: String,
    /// Frame stdout and stderr (8-byte headers) where there is no terminal.
    pub mux: bool,
}

/// A client's connection that has stopped being HTTP.
#[derive(Debug)]
pub enum ClientStream {
    /// The raw socket, with what was read from it past the request.
    Socket { fd: OwnedFd, leftover: Vec<u8> },
}

/// A registered attach: [`Attachment::run`] goes on with the client's connection.
pub struct Attachment {
    /// The container has a terminal: its output is raw.
    pub tty: bool,
}

impl Attachment {
    /// Ends when the connection has been handed over, or with it.
    pub async fn run(self, _client: ClientStream) {
        unreachable!("in progress")
    }
}

/// Output of `logs`.
pub struct Logs {
    /// The container has a terminal: pieces are raw, not frames.
    pub tty: bool,
    pub frames: mpsc::Receiver<Result<Bytes>>,
}

/// What others need to know about a container: which image, volumes and networks it uses.
#[derive(Debug, Clone)]
pub struct ContainerUse {
    pub id: String,
    /// Without the slash.
    pub name: String,
    /// Image id, `sha256:…`; empty without one.
    pub image_id: String,
    /// The image as it was asked for.
    pub image: String,
    /// created, running, paused, restarting, removing, exited or dead.
    pub status: String,
    /// Running, paused or restarting.
    pub is_running: bool,
    /// Names of its volumes.
    pub volumes: Vec<String>,
    /// Ids of the images it mounts.
    pub image_mounts: Vec<String>,
    /// Networks it asks for, by name or id.
    pub networks: Vec<String>,
}

impl Engine {
    /// Every container as its users' owners see it: for "in use" decisions of images, volumes and networks.
    pub(crate) fn container_uses(&self) -> Vec<ContainerUse> {
        unreachable!("in progress")
    }
    pub async fn container_list(&self, _query: ContainerListQuery) -> Result<Vec<ContainerSummary>> {
        unreachable!("in progress")
    }
    pub async fn container_create(
        &self,
        _name: Option<&str>,
        _platform: Option<&str>,
        _request: ContainerCreateRequest,
    ) -> Result<ContainerCreateResponse> {
        unreachable!("in progress")
    }
    pub async fn container_inspect(&self, _id: &str, _size: bool) -> Result<ContainerInspectResponse> {
        unreachable!("in progress")
    }
    pub async fn container_top(&self, _id: &str, _ps_args: &str) -> Result<ContainerTopResponse> {
        unreachable!("in progress")
    }
    pub async fn container_logs(&self, _id: &str, _query: ContainerLogsQuery) -> Result<Logs> {
        unreachable!("in progress")
    }
    pub async fn container_changes(&self, _id: &str) -> Result<Vec<FilesystemChange>> {
        unreachable!("in progress")
    }
    pub async fn container_export(&self, _id: &str) -> Result<mpsc::Receiver<Result<Bytes>>> {
        unreachable!("in progress")
    }
    pub async fn container_stats(
        &self,
        _id: &str,
        _stream: bool,
        _one_shot: bool,
    ) -> Result<mpsc::Receiver<Result<ContainerStatsResponse>>> {
        unreachable!("in progress")
    }
    pub async fn container_start(&self, _id: &str, _query: ContainerStartQuery) -> Result<()> {
        unreachable!("in progress")
    }
    pub async fn container_stop(&self, _id: &str, _query: ContainerStopQuery) -> Result<()> {
        unreachable!("in progress")
    }
    pub async fn container_restart(&self, _id: &str, _query: ContainerStopQuery) -> Result<()> {
        unreachable!("in progress")
    }
    pub async fn container_kill(&self, _id: &str, _signal: &str) -> Result<()> {
        unreachable!("in progress")
    }
    pub async fn container_pause(&self, _id: &str) -> Result<()> {
        unreachable!("in progress")
    }
    pub async fn container_unpause(&self, _id: &str) -> Result<()> {
        unreachable!("in progress")
    }
    pub async fn container_rename(&self, _id: &str, _name: &str) -> Result<()> {
        unreachable!("in progress")
    }
    pub async fn container_update(
        &self,
        _id: &str,
        _request: ContainerUpdateRequest,
    ) -> Result<ContainerUpdateResponse> {
        unreachable!("in progress")
    }
    pub async fn container_resize(&self, _id: &str, _size: ResizeQuery) -> Result<()> {
        unreachable!("in progress")
    }
    /// Registered when this returns; the future inside resolves with the exit.
    pub async fn container_wait(
        &self,
        _id: &str,
        _condition: &str,
    ) -> Result<impl Future<Output = Result<ContainerWaitResponse>> + Send + use<>> {
        Ok(async { unreachable!("in progress") })
    }
    pub async fn container_remove(&self, _id: &str, _query: ContainerRemoveQuery) -> Result<()> {
        unreachable!("in progress")
    }
    pub async fn container_prune(&self, _filters: Filters) -> Result<ContainerPruneResponse> {
        unreachable!("in progress")
    }
    pub async fn container_attach(&self, _id: &str, _options: AttachOptions) -> Result<Attachment> {
        unreachable!("in progress")
    }
    pub async fn container_archive_stat(&self, _id: &str, _path: &str) -> Result<PathStat> {
        unreachable!("in progress")
    }
    pub async fn container_archive_get(
        &self,
        _id: &str,
        _path: &str,
    ) -> Result<(PathStat, mpsc::Receiver<Result<Bytes>>)> {
        unreachable!("in progress")
    }
    pub async fn container_archive_put(
        &self,
        _id: &str,
        _query: ContainerArchiveQuery,
        _body: mpsc::Receiver<std::io::Result<Bytes>>,
    ) -> Result<()> {
        unreachable!("in progress")
    }
    pub async fn commit(&self, _query: CommitQuery, _config: Option<ContainerConfig>) -> Result<IdResponse> {
        unreachable!("in progress")
    }
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

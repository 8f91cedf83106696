//! What is written down about a container: `state.json` in its folder. Nothing that the kernel knows better.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::plan::{Hooks, Process};

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The container's id.
    pub id: String,
    /// The version of the specification that its configuration names.
    pub oci_version: String,
    /// The bundle's folder.
    pub bundle: PathBuf,
    /// The root file system's folder.
    pub rootfs: PathBuf,
    /// When it was created: nanoseconds since 1970.
    pub created: i64,
    /// The configuration's annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Its first process; 0 while it is being created.
    pub pid: i32,
    /// When that process started, see [`sys::process::start_ticks`].
    pub start_ticks: u64,
    /// Its cgroup.
    pub cgroup: Option<cgroup::Cgroup>,
    /// The first process's plan: what later ones take over.
    pub process: Process,
    /// Hooks that come after its creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
}

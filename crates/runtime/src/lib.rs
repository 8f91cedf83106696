//! The OCI runtime as a library: an OCI configuration becomes a [`LaunchPlan`] (pure), a plan becomes a running container (one
//! clone, one exec). The caller of [`launch`] and [`exec`] is a single-threaded process, which becomes the container's parent and
//! reaps it. Keeps no state on disk.
#![forbid(unsafe_code)]

mod error;
mod plan;

use std::os::fd::OwnedFd;
use std::path::PathBuf;

pub use error::{LaunchError, LaunchErrorKind, PlanError};
pub use oci_spec::runtime::Spec;
pub use plan::*;

/// What planning needs to know about the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct HostFacts {
    /// Kernel version: major, minor.
    pub kernel: (u32, u32),
    /// The cgroup layout.
    pub cgroup: cgroup::Host,
    /// The kernel's highest capability.
    pub last_capability: u32,
}

impl HostFacts {
    /// Asks this machine.
    pub fn detect() -> Result<Self, cgroup::Error> {
        unreachable!("in progress")
    }
}

/// What a plan takes from elsewhere than the OCI configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanOptions {
    /// The root file system (the configuration's `root.path` is not looked at, `root.readonly` is).
    pub rootfs: RootFs,
    /// The cgroup's path, "/naru/<id>"; `None` takes `linux.cgroupsPath`, and without that there is no cgroup.
    pub cgroup_path: Option<String>,
    /// Takes the place of `process.user`.
    pub user: Option<UserSpec>,
    /// Takes the place of `linux.seccomp`.
    pub seccomp: Option<seccomp::Program>,
    /// Where relative paths of bind mounts start, and what hooks are told.
    pub bundle: PathBuf,
    /// The container's id, for hooks.
    pub id: String,
    /// The machine.
    pub host: HostFacts,
}

/// Docker's default container as an OCI configuration: capabilities, mounts, masked and read-only paths, namespaces, devices and
/// their rules. Has no arguments, no seccomp (give [`PlanOptions::seccomp`]) and a private cgroup namespace only on cgroup v2.
pub fn spec_default(_host: &HostFacts) -> Spec {
    unreachable!("in progress")
}

/// Turns an OCI configuration into a plan. Looks at nothing but its arguments.
pub fn plan(_spec: &Spec, _options: &PlanOptions) -> Result<LaunchPlan, PlanError> {
    unreachable!("in progress")
}

/// A process's own part of a configuration, for [`exec`]: `process.user` is replaced by `user` if given, the filter is `seccomp`.
pub fn plan_process(
    _process: &oci_spec::runtime::Process,
    _user: Option<UserSpec>,
    _seccomp: Option<seccomp::Program>,
) -> Result<ExecPlan, PlanError> {
    unreachable!("in progress")
}

/// The standard streams of a new process.
#[derive(Debug)]
pub enum Stdio {
    /// These descriptors; without stdin it is `/dev/null`.
    Pipes {
        /// Standard input.
        stdin: Option<OwnedFd>,
        /// Standard output.
        stdout: OwnedFd,
        /// Standard error.
        stderr: OwnedFd,
    },
    /// A new terminal of the container (the plan must say so too); its master is in [`Launched::terminal`].
    Terminal,
    /// The caller's own.
    Inherit,
    /// `/dev/null`.
    Null,
}

/// What [`launch`] takes besides the plan.
#[derive(Debug)]
pub struct Launch {
    /// Standard streams.
    pub stdio: Stdio,
    /// A ready network namespace in place of a new one.
    pub netns: Option<OwnedFd>,
    /// Rows and columns of the terminal.
    pub console_size: Option<(u16, u16)>,
}

/// A started process.
#[derive(Debug)]
pub struct Launched {
    /// Its pid in the caller's pid namespace. The caller is its parent.
    pub pid: i32,
    /// Its pidfd.
    pub pidfd: OwnedFd,
    /// The terminal's master.
    pub terminal: Option<OwnedFd>,
    /// Its cgroup (an empty path without one).
    pub cgroup: cgroup::Cgroup,
    /// When it started, in clock ticks since boot: with the pid its name for good.
    pub start_ticks: u64,
}

/// Starts a container. Returns when its program runs (`execve` succeeded). On an error nothing is left: the cgroup is removed,
/// the child is reaped.
pub fn launch(_plan: &LaunchPlan, _options: Launch) -> Result<Launched, LaunchError> {
    unreachable!("in progress")
}

/// A running container, for [`exec`].
#[derive(Debug, Clone)]
pub struct ExecTarget {
    /// Its first process, in the caller's pid namespace.
    pub pid: i32,
    /// Its cgroup; `None`: the new process stays in the caller's.
    pub cgroup: Option<cgroup::Cgroup>,
}

/// Starts a process in a running container.
pub fn exec(
    _target: &ExecTarget,
    _plan: &ExecPlan,
    _stdio: Stdio,
    _console_size: Option<(u16, u16)>,
) -> Result<Launched, LaunchError> {
    unreachable!("in progress")
}

/// A small first process for containers that ask for one (`--init`): runs `args` as its child, passes signals on, reaps orphans and
/// returns the child's exit code (128 + n for a signal). Must be pid 1 or a subreaper.
pub fn init(_args: &[String]) -> i32 {
    unreachable!("in progress")
}

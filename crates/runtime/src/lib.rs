//! The OCI runtime as a library: an OCI configuration becomes a [`LaunchPlan`] (pure), a plan becomes a running container (one
//! clone, one exec). The caller of [`launch`] and [`exec`] is a single-threaded process, which becomes the container's parent and
//! reaps it. Keeps no state on disk; [`bundle`] does, for those who drive it as they drive runc.
//!
//! ```text
//!   Spec ─ plan ─▶ LaunchPlan ─ launch ─▶ prepare (launcher) ─ clone3 ─▶ child ─ process::run ─▶ execve
//!                  ExecPlan ─── exec ─────────────────────── clone3 ─▶ setns ─ process::run ─▶ execve
//! ```
#![forbid(unsafe_code)]

mod bare;
mod birth;
pub mod bundle;
mod cgroup_view;
mod channel;
mod child;
mod copy_up;
mod defaults;
mod devices;
mod error;
mod exec;
mod filesystem;
mod gate;
mod hidden;
mod hooks;
mod host_mount;
mod id_maps;
mod identity;
mod init;
mod join;
mod launch;
mod launcher;
mod line;
mod listener;
mod masks;
mod mount_options;
mod outside;
mod plan;
mod planning;
mod prepare;
mod process;
mod program;
mod refusal;
mod root;
pub mod rootless;
mod streams;
mod terminal;
mod user_namespace;

use std::os::fd::OwnedFd;

pub use bare::bare_mounts;
pub use defaults::{
    DEFAULT_CAPABILITIES, DEFAULT_PATH, HostFacts, MASKED_PATHS, NETWORK_SYSCTLS, READONLY_PATHS,
    spec_default,
};
pub use error::{LaunchError, LaunchErrorKind, PlanError};
pub use exec::{Entering, Target, exec, exec_preserving};
pub use host_mount::mount_on_host;
pub use init::init;
pub use launch::{Begun, Prepared, launch};
pub use launcher::Launcher;
pub use line::Line;
pub use oci_spec::runtime::Spec;
pub use outside::Outside;
pub use plan::*;
pub use planning::{PlanOptions, compile, plan, plan_process, plan_resources};
pub use refusal::refusal;

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
    /// A mount namespace from [`bare_mounts`] to make the container's from, in place of the caller's own, which may have many mounts.
    /// Not used where the caller's mounts are needed. The caller's current folder is its root.
    pub bare_mounts: Option<OwnedFd>,
    /// Rows and columns of the terminal.
    pub console_size: Option<(u16, u16)>,
    /// What only some callers ask for.
    pub extras: Extras,
}

impl Launch {
    /// With these streams, and nothing else that is special.
    pub fn with(stdio: Stdio) -> Self {
        Self { stdio, netns: None, bare_mounts: None, console_size: None, extras: Extras::default() }
    }
}

/// What runc's command line adds to a launch.
#[derive(Debug, Default)]
pub struct Extras {
    /// What the process waits for, with everything done but the startContainer hooks, `execve`, and a filter that would not let it
    /// wait.
    pub gate: Option<Gate>,
    /// This many of the caller's descriptors, from 3 on, are the program's too.
    pub preserve_fds: u32,
    /// Change the root by `chroot`: for a host whose root is the initial ramfs, where `pivot_root` cannot be.
    pub no_pivot: bool,
    /// Stay in the caller's session keyring.
    pub keep_keyring: bool,
    /// The caller has entered the container's user namespace by [`rootless`], and is perhaps not root in it.
    pub entered: bool,
    /// Who runs hooks where he came from.
    pub outside: Option<std::sync::Arc<Outside>>,
}

/// See [`Extras::gate`].
#[derive(Debug)]
pub enum Gate {
    /// That [`bundle::Container::start`] connects to this listening socket (sequenced packets). [`launch`] returns when it waits.
    Socket(OwnedFd),
    /// [`Begun::finish`].
    Launcher,
    /// The other end of a [`Line`].
    Line(OwnedFd),
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

/// Runs the hooks that follow a container's end. All are tried; the first error is returned.
pub fn run_poststop_hooks(plan: &LaunchPlan) -> Result<(), LaunchError> {
    match &plan.hooks {
        Some(planned) => hooks::run_all(hooks::Kind::Poststop, planned, "stopped", 0),
        None => Ok(()),
    }
}

/// A running container, for [`exec`].
#[derive(Debug, Clone)]
pub struct ExecTarget {
    /// Its first process, in the caller's pid namespace.
    pub pid: i32,
    /// Its cgroup; `None`: the new process stays in the caller's.
    pub cgroup: Option<cgroup::Cgroup>,
}

//! The launch plan: all that is needed to start a container, as plain data. Made once from an OCI configuration ([`crate::plan`]),
//! stored and sent to the monitor, executed by [`crate::launch`], which decides nothing.
//!
//! Serialized it leaves out what is absent, so that the plan of a default container stays a few KiB.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cgroup::Resources;
use seccomp::Program;
use serde::{Deserialize, Serialize};

/// How to start a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LaunchPlan {
    /// The container's first process.
    pub process: Process,
    /// Its root file system.
    pub rootfs: RootFs,
    /// The root mount is read-only (mounts below keep their own flags).
    #[serde(default, skip_serializing_if = "is_default")]
    pub rootfs_readonly: bool,
    /// Propagation of the root mount, set at the end.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rootfs_propagation: Option<Propagation>,
    /// Host name inside a new UTS namespace.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hostname: Option<String>,
    /// NIS domain name inside a new UTS namespace.
    #[serde(default, skip_serializing_if = "is_default")]
    pub domainname: Option<String>,
    /// Namespaces.
    pub namespaces: Namespaces,
    /// Mounts in order.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mounts: Vec<Mount>,
    /// /dev is the container's own: it gets nodes, links and a console. (Not so when the host's is mounted there.)
    pub populate_dev: bool,
    /// Device nodes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub devices: Vec<Device>,
    /// Paths covered by nothing: files by the null device, folders by an empty read-only one. Missing ones are passed over.
    #[serde(default, skip_serializing_if = "is_default")]
    pub masked_paths: Vec<String>,
    /// Paths made read-only with all below. Missing ones are passed over.
    #[serde(default, skip_serializing_if = "is_default")]
    pub readonly_paths: Vec<String>,
    /// Kernel parameters: path below /proc/sys with slashes, value.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sysctls: Vec<(String, String)>,
    /// The cgroup's path inside the cgroup file systems; `None`: stay in the launcher's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cgroup: Option<String>,
    /// systemd keeps the cgroup, as this scope, and says where it is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scope: Option<cgroup::Scope>,
    /// Its limits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resources: Resources,
    /// Programs to run at points of the container's life.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hooks: Option<Hooks>,
}

/// How to start a process in a container: its first one, or another by [`crate::exec`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Program and arguments; the program is looked up in the environment's PATH.
    pub args: Vec<String>,
    /// `NAME=value`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub env: Vec<String>,
    /// Absolute path inside the container.
    pub cwd: String,
    /// Missing folders of `cwd` are made.
    #[serde(default, skip_serializing_if = "is_default")]
    pub create_cwd: bool,
    /// Who runs it.
    pub user: UserSpec,
    /// File mode creation mask (0022 if absent).
    #[serde(default, skip_serializing_if = "is_default")]
    pub umask: Option<u32>,
    /// Capabilities.
    #[serde(default, skip_serializing_if = "is_default")]
    pub capabilities: Capabilities,
    /// Resource limits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rlimits: Vec<Rlimit>,
    /// Set-user-id programs gain nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub no_new_privs: bool,
    /// `/proc/self/oom_score_adj`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub oom_score_adj: Option<i32>,
    /// System call filter.
    #[serde(default, skip_serializing_if = "is_default")]
    pub seccomp: Option<Program>,
    /// Who is given the filter's notifications.
    #[serde(default, skip_serializing_if = "is_default")]
    pub seccomp_listener: Option<SeccompListener>,
    /// AppArmor profile.
    #[serde(default, skip_serializing_if = "is_default")]
    pub apparmor: Option<String>,
    /// SELinux label.
    #[serde(default, skip_serializing_if = "is_default")]
    pub selinux: Option<String>,
    /// The process gets a new terminal of the container as its controlling terminal and standard streams.
    #[serde(default, skip_serializing_if = "is_default")]
    pub terminal: bool,
    /// Less common settings.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scheduling: Scheduling,
}

/// Who decides about system calls for which the filter says `SCMP_ACT_NOTIFY` (config-linux.md, "Seccomp"), and what is told to
/// him about the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SeccompListener {
    /// A listening socket (a stream of bytes) on the host.
    pub path: PathBuf,
    /// Passed on as it is.
    #[serde(skip_serializing_if = "is_default")]
    pub metadata: String,
    /// The container's id.
    pub id: String,
    /// The bundle's path.
    pub bundle: PathBuf,
    /// The configuration's annotations.
    #[serde(skip_serializing_if = "is_default")]
    pub annotations: BTreeMap<String, String>,
}

/// What [`crate::exec`] executes.
pub type ExecPlan = Process;

/// Scheduling and placement of a process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scheduling {
    /// I/O class (1 real-time, 2 best effort, 3 idle) and level 0 to 7.
    #[serde(skip_serializing_if = "is_default")]
    pub io: Option<(u32, u32)>,
    /// `sched_setattr(2)`.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu: Option<SchedulerPlan>,
    /// Processors it may run on at first.
    #[serde(skip_serializing_if = "is_default")]
    pub affinity: Vec<u32>,
    /// `personality(2)`.
    #[serde(skip_serializing_if = "is_default")]
    pub personality: Option<u64>,
    /// `set_mempolicy(2)`: mode with flags, nodes.
    #[serde(skip_serializing_if = "is_default")]
    pub memory_policy: Option<(i32, Vec<u32>)>,
}

/// `struct sched_attr` without its size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct SchedulerPlan {
    pub policy: u32,
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
}

/// The root file system of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootFs {
    /// An overlay that exists only inside the container's mount namespace.
    Overlay {
        /// Read-only layers, top-most first.
        lower: Vec<PathBuf>,
        /// Where changes go.
        upper: PathBuf,
        /// overlayfs's own folder, on the same file system as `upper`.
        work: PathBuf,
    },
    /// A folder as it is.
    Directory {
        /// The folder.
        path: PathBuf,
    },
}

/// Who runs a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserSpec {
    /// Numbers, taken as they are.
    Ids {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
        /// Supplementary groups.
        #[serde(default, skip_serializing_if = "is_default")]
        additional: Vec<u32>,
    },
    /// As users write it, looked up in the container's own /etc/passwd and /etc/group at launch. Also sets HOME if the
    /// environment lacks it.
    Name {
        /// `user[:group]`, names or numbers; empty is root.
        spec: String,
        /// More groups, names or numbers (`--group-add`).
        #[serde(default, skip_serializing_if = "is_default")]
        groups: Vec<String>,
    },
}

impl Default for UserSpec {
    fn default() -> Self {
        Self::Ids { uid: 0, gid: 0, additional: Vec::new() }
    }
}

/// Capability sets as bit masks (`sys::caps`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Capabilities {
    #[serde(skip_serializing_if = "is_default")]
    pub bounding: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub effective: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub permitted: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub inheritable: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub ambient: u64,
}

/// One `setrlimit(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// `RLIMIT_*` number.
    pub resource: u32,
    /// `u64::MAX` is no limit.
    pub soft: u64,
    /// `u64::MAX` is no limit.
    pub hard: u64,
}

/// Where a namespace comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Namespace {
    /// The launcher's own.
    #[default]
    Host,
    /// A new one.
    New,
    /// An existing one, by path (`/proc/<pid>/ns/…` or a bind mount of it).
    Path(PathBuf),
}

/// All namespaces. A descriptor given to [`crate::launch`] takes the place of a new network namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Namespaces {
    #[serde(skip_serializing_if = "is_default")]
    pub mount: Namespace,
    #[serde(skip_serializing_if = "is_default")]
    pub network: Namespace,
    #[serde(skip_serializing_if = "is_default")]
    pub uts: Namespace,
    #[serde(skip_serializing_if = "is_default")]
    pub ipc: Namespace,
    #[serde(skip_serializing_if = "is_default")]
    pub pid: Namespace,
    #[serde(skip_serializing_if = "is_default")]
    pub cgroup: Namespace,
    #[serde(skip_serializing_if = "is_default")]
    pub user: Namespace,
    #[serde(skip_serializing_if = "is_default")]
    pub time: Namespace,
    /// For a new user namespace.
    #[serde(skip_serializing_if = "is_default")]
    pub uid_mappings: Vec<IdMapping>,
    /// For a new user namespace.
    #[serde(skip_serializing_if = "is_default")]
    pub gid_mappings: Vec<IdMapping>,
    /// For a new time namespace: clock name ("monotonic", "boottime"), seconds, nanoseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub time_offsets: Vec<(String, i64, u32)>,
}

/// A range of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMapping {
    /// First id inside.
    pub container: u32,
    /// First id outside.
    pub host: u32,
    /// How many.
    pub size: u32,
}

/// Mount propagation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PropagationKind {
    /// Nothing goes in or out.
    Private,
    /// Later mounts of the host appear inside.
    Slave,
    /// Both ways.
    Shared,
    /// Private and cannot be bind-mounted.
    Unbindable,
}

/// Mount propagation, of one mount or of the tree below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Propagation {
    /// Which.
    pub kind: PropagationKind,
    /// With all below.
    #[serde(default, skip_serializing_if = "is_default")]
    pub recursive: bool,
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path inside the container. Made if missing: a folder, or a file for the bind mount of a file.
    pub target: String,
    /// What is mounted.
    pub source: MountSource,
    /// `MOUNT_ATTR_*` of this mount.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attributes: u64,
    /// `MOUNT_ATTR_*` to take off a bind mount ("rw", "dev", …).
    #[serde(default, skip_serializing_if = "is_default")]
    pub clear: u64,
    /// `MOUNT_ATTR_*` for the whole tree ("rro", …).
    #[serde(default, skip_serializing_if = "is_default")]
    pub recursive_attributes: u64,
    /// `MOUNT_ATTR_*` to take off the whole tree ("rrw", …).
    #[serde(default, skip_serializing_if = "is_default")]
    pub recursive_clear: u64,
    /// Propagation changes, in order.
    #[serde(default, skip_serializing_if = "is_default")]
    pub propagation: Vec<Propagation>,
    /// Id mapping of a bind mount ("idmap", "ridmap").
    #[serde(default, skip_serializing_if = "is_default")]
    pub idmap: Option<IdMap>,
    /// A tmpfs begins with a copy of what the target held ("tmpcopyup").
    #[serde(default, skip_serializing_if = "is_default")]
    pub copy_up: bool,
}

/// An id-mapped mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMap {
    /// `container`: id on the file system; `host`: id that users see. Empty: the container's own user namespace.
    #[serde(default, skip_serializing_if = "is_default")]
    pub uid: Vec<IdMapping>,
    /// As `uid`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub gid: Vec<IdMapping>,
    /// The whole tree.
    #[serde(default, skip_serializing_if = "is_default")]
    pub recursive: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// A file or folder of the host.
    Bind {
        /// Absolute path on the host.
        path: PathBuf,
        /// With the mounts below it.
        #[serde(default, skip_serializing_if = "is_default")]
        recursive: bool,
        /// Leave the target's final symbolic link alone and do not follow the source's.
        #[serde(default, skip_serializing_if = "is_default")]
        nofollow: bool,
    },
    /// A new file system.
    New {
        /// "proc", "tmpfs", …
        fstype: String,
        /// Its device or source text.
        #[serde(default, skip_serializing_if = "is_default")]
        source: Option<String>,
        /// Its options: name, and value unless it is a flag.
        #[serde(default, skip_serializing_if = "is_default")]
        options: Vec<(String, Option<String>)>,
    },
    /// The container's view of its cgroups, in the host's layout.
    Cgroup,
}

/// A device node in /dev.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Absolute path inside the container.
    pub path: String,
    /// Which kind of node.
    pub kind: DeviceNode,
    /// Permission bits.
    pub mode: u32,
    /// Owner inside the container.
    #[serde(default, skip_serializing_if = "is_default")]
    pub uid: u32,
    /// Group inside the container.
    #[serde(default, skip_serializing_if = "is_default")]
    pub gid: u32,
}

/// A node's kind and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceNode {
    /// Character device (major, minor).
    Character(u32, u32),
    /// Block device (major, minor).
    Block(u32, u32),
    /// Named pipe.
    Fifo,
}

/// Hooks of the OCI runtime specification (config.md, "POSIX-platform Hooks") and what their state document says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Hooks {
    /// The container's id.
    pub id: String,
    /// The bundle's path.
    pub bundle: PathBuf,
    #[serde(skip_serializing_if = "is_default")]
    pub annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_default")]
    pub prestart: Vec<Hook>,
    #[serde(skip_serializing_if = "is_default")]
    pub create_runtime: Vec<Hook>,
    #[serde(skip_serializing_if = "is_default")]
    pub create_container: Vec<Hook>,
    #[serde(skip_serializing_if = "is_default")]
    pub start_container: Vec<Hook>,
    #[serde(skip_serializing_if = "is_default")]
    pub poststart: Vec<Hook>,
    #[serde(skip_serializing_if = "is_default")]
    pub poststop: Vec<Hook>,
}

/// One program to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Absolute path.
    pub path: PathBuf,
    /// argv, with the program's name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub args: Vec<String>,
    /// The whole environment.
    #[serde(default, skip_serializing_if = "is_default")]
    pub env: Vec<String>,
    /// Seconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeout: Option<u64>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

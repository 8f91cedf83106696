//! The child between clone and `execve`: from a copy of the launcher to the container's first process. Never logs, never unwinds,
//! takes no lock, leaves by `_exit` only; an error goes over the [`Channel`](crate::channel::Channel).
//!
//! ```text
//!   v1 cgroups ─ (user namespace: wait) ─ private mounts ─ root ─ mounts ─ /dev ─ (hooks: wait) ─ pivot_root ─ names, sysctls ─
//!   read-only and masked paths ─ [process::run] user, capabilities, filter, execve
//! ```

use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags};

use crate::birth::{self, Birth};
use crate::error::{During, LaunchError, Result};
use crate::filesystem::{self, New, Overlay};
use crate::launch::{cgroup_error, set_oom_score};
use crate::plan::{LaunchPlan, Mount, MountSource, Namespace};
use crate::prepare::{self, Prepared, Ready, describe};
use crate::process::{self, Surroundings};
use crate::root::{Root, keep};
use crate::streams::{self, Streams};
use crate::{cgroup_view, copy_up, devices, hooks, masks, terminal};

/// What the child was given.
pub struct Setup<'a> {
    pub plan: &'a LaunchPlan,
    pub prepared: Prepared,
    pub streams: Streams,
    pub console_size: Option<(u16, u16)>,
    pub around: Surroundings,
    /// The cgroup.
    pub entry: Option<cgroup::Entry>,
    /// The out-of-memory score, if it is another than the launcher's.
    pub oom_score: Option<i32>,
    /// Change the root without `pivot_root`.
    pub no_pivot: bool,
    /// Stay in the launcher's session keyring.
    pub keep_keyring: bool,
    /// The process comes into its user namespace as somebody else.
    pub become_root: bool,
}

/// Does all of it; returns only on failure.
pub fn run(setup: &mut Setup<'_>) -> Result<Infallible> {
    let (plan, channel) = (setup.plan, &setup.around.channel);
    if let Some(entry) = &setup.entry {
        // While we are who the launcher is, and before a cgroup namespace begins.
        entry.join().map_err(cgroup_error)?;
    }
    if plan.namespaces.user != Namespace::Host {
        // It writes who is who.
        channel.wait()?;
    } else if let Some(score) = setup.oom_score {
        set_oom_score(&setup.around.proc, score)?;
    }
    if setup.become_root {
        become_root()?;
    }
    if !setup.keep_keyring {
        new_keyring()?;
    }
    if plan.namespaces.cgroup == Namespace::New {
        // Its root is the cgroup that we are in now.
        sys::namespace::unshare(sys::clone::NEWCGROUP)
            .during("namespaces", || "make a cgroup namespace".to_owned())?;
    }
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .during("rootfs", || "make mounts private".to_owned())?;
    let root = Root::new(attach_root(setup.prepared.rootfs.take())?);
    let late = mounts(plan, &setup.prepared, setup.around.birth.as_ref(), &root)?;
    devices::rest(plan, &root, setup.prepared.populated_dev.is_some(), &setup.prepared.host_nodes)?;
    let terminal = match setup.streams {
        Streams::Terminal => Some(terminal::open(&root, setup.console_size)?),
        _ => None,
    };
    if let Some(terminal) = &terminal {
        channel.terminal(&terminal.master).during("terminal", || "hand over the terminal".to_owned())?;
        console(plan, &root, terminal)?;
    }
    for (mount, fd) in late {
        set_read_only(fd).during("mount", || describe(mount))?;
    }
    if let Some(planned) = &plan.hooks {
        channel.ready()?;
        channel.wait()?;
        hooks::run(
            &planned.create_container,
            "createContainer",
            planned,
            "creating",
            rustix::process::getpid().as_raw_pid(),
        )?;
    }
    if setup.no_pivot {
        change_root(&root)?
    } else {
        pivot(&root)?
    }
    names(plan)?;
    for (name, value) in &plan.sysctls {
        process::write_proc(&setup.around.proc, &format!("sys/{name}"), value)
            .during("sysctl", || format!("write sysctl key {}", name.replace('/', ".")))?;
    }
    if let Some(propagation) = plan.rootfs_propagation {
        prepare::set_propagation(root.fd(), propagation)
            .during("rootfs", || "set the propagation of the root".to_owned())?;
    }
    if plan.rootfs_readonly {
        set_read_only(root.fd()).during("rootfs", || "make the root read-only".to_owned())?;
    }
    masks::read_only(&plan.readonly_paths, &root)?;
    let null = std::mem::take(&mut setup.prepared.null);
    if let Some(empty) = setup.prepared.empty.take() {
        masks::mask(&plan.masked_paths, &root, null, empty)?;
    }
    streams::install(&setup.streams, terminal.as_ref())?;
    if setup.around.birth.is_none() {
        streams::begin_session(terminal.is_some())?;
    }
    drop(terminal);
    process::run(&plan.process, &root, &mut setup.around, plan.hooks.as_ref())
}

/// Inside a new user namespace nobody is anybody until told so.
pub fn become_root() -> Result<()> {
    use rustix::thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    let what = || "become root in the user namespace".to_owned();
    set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).during("user namespace", what)?;
    match set_thread_groups(&[]) {
        Ok(()) | Err(Errno::PERM) => {}
        Err(error) => return Err(error).during("user namespace", what),
    }
    set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).during("user namespace", what)
}

/// The launcher's keys are none of the container's business.
pub fn new_keyring() -> Result<()> {
    match sys::process::new_session_keyring() {
        // A kernel, or a filter above us, without keys.
        Err(error) if !matches!(error.raw_os_error(), Some(NOSYS | PERM)) => {
            Err(error).during("keyring", || "join a new session keyring".to_owned())
        }
        _ => Ok(()),
    }
}

const NOSYS: i32 = Errno::NOSYS.raw_os_error();
const PERM: i32 = Errno::PERM.raw_os_error();

/// Attaches the root somewhere in our mount namespace, which `pivot_root` demands: on top of the old root.
fn attach_root(overlay: Option<Overlay>) -> Result<OwnedFd> {
    match overlay {
        Some(Overlay::Mount(mount)) => {
            filesystem::attach_at(&mount, rustix::fs::CWD, "/")
                .during("rootfs", || "attach the container's root".to_owned())?;
            Ok(mount)
        }
        Some(Overlay::Legacy(overlay)) => overlay.mount(),
        None => Err(LaunchError::other("rootfs", "the container has no root")),
    }
}

/// Attaches all mounts; returns those that become read-only at the end.
fn mounts<'a>(
    plan: &'a LaunchPlan,
    prepared: &Prepared,
    birth: Option<&Birth>,
    root: &Root,
) -> Result<Vec<(&'a Mount, OwnedFd)>> {
    let mut late = Vec::new();
    let mut dev = None;
    for (index, (mount, ready)) in plan.mounts.iter().zip(&prepared.mounts).enumerate() {
        let made = match (ready, &mount.source) {
            (Ready::InChild, MountSource::New { fstype, source, options }) => {
                let new = New {
                    fstype,
                    source: source.as_deref(),
                    options,
                    attributes: prepare::first_attributes(mount),
                    what: &describe(mount),
                };
                let made = match birth.and_then(Birth::namespace).filter(|_| fstype == "proc") {
                    Some(namespace) => birth::procfs(&new, namespace, root),
                    None => new.create_in_child(),
                };
                Some(match made {
                    // The namespace that it would show is not the user namespace's own.
                    Err(_) if prepared.in_user_namespace && host_view(fstype).is_some() => {
                        borrow_view(fstype, mount)?
                    }
                    Err(_) if prepared.in_user_namespace && fstype == "devpts" => without_group(new)?,
                    result => result?,
                })
            }
            _ => None,
        };
        let fd = match (&made, ready) {
            (Some(fd), _) | (None, Ready::Detached { mount: fd, .. }) => fd,
            (None, Ready::Cgroups(view)) => {
                let (target, _) = target(mount, ready, root)?;
                cgroup_view::attach(view, mount, &target, prepared.in_user_namespace)?;
                keep(target);
                continue;
            }
            (None, Ready::InChild) => continue,
        };
        if let (Some(dev), Some(name)) = (dev, prepare::name_in_dev(mount)) {
            // Made by us in a tmpfs of ours: there is nothing to be resolved.
            filesystem::attach_at(fd, dev, name).during("mount", || describe(mount))?;
        } else {
            let (target, folder) = target(mount, ready, root)?;
            if mount.copy_up {
                copy_up::copy(&target, fd).during("mount", || format!("{}: tmpcopyup", describe(mount)))?;
            }
            attach(mount, fd, &target, folder)?;
            keep(target);
        }
        if prepared.populated_dev == Some(index)
            && let Ready::Detached { mount: fd, .. } = ready
        {
            dev = Some(fd);
        }
        if made.is_some() {
            prepare::change(fd, mount)?;
        }
        if prepare::is_read_only_late(mount) {
            let fd = rustix::io::fcntl_dupfd_cloexec(fd, 3).during("mount", || describe(mount))?;
            late.push((mount, fd));
        }
        if let Some(made) = made {
            keep(made);
        }
    }
    Ok(late)
}

/// Where the host has a file system that only the owner of its namespace can mount.
fn host_view(fstype: &str) -> Option<&'static str> {
    [("proc", "/proc"), ("sysfs", "/sys"), ("mqueue", "/dev/mqueue")]
        .into_iter()
        .find_map(|(kind, path)| (kind == fstype).then_some(path))
}

/// Terminals of the group "tty", as everybody asks for, need that group: where it is not mapped they have their owner's.
fn without_group(new: New<'_>) -> Result<OwnedFd> {
    let options: Vec<_> = new.options.iter().filter(|(name, _)| name != "gid").cloned().collect();
    New { options: &options, ..new }.create_in_child()
}

/// The host's own, read-only if asked for.
fn borrow_view(fstype: &str, mount: &Mount) -> Result<OwnedFd> {
    let path = host_view(fstype).unwrap_or_default();
    let fd = filesystem::clone_tree(rustix::fs::CWD, Path::new(path), true, true)
        .during("mount", || describe(mount))?;
    let attributes = sys::mount::Attributes {
        set: mount.attributes & sys::mount::attr::RDONLY,
        recursive: true,
        ..sys::mount::Attributes::default()
    };
    sys::mount::setattr(&fd, c"", attributes).during("mount", || describe(mount))?;
    Ok(fd)
}

fn attach(mount: &Mount, fd: &OwnedFd, target: &OwnedFd, folder: bool) -> Result<()> {
    match filesystem::attach(fd, target) {
        Err(Errno::INVAL | Errno::NOTDIR) if is_folder(target) != folder => Err(LaunchError::other(
            "mount",
            format!(
                "{}: not a directory: Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type",
                describe(mount)
            ),
        )),
        result => result.during("mount", || describe(mount)),
    }
}

fn is_folder(fd: &OwnedFd) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|stat| {
        rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory
    })
}

/// What may be mounted inside /proc: files that tell about resources (lxcfs and the like), none that decides.
const INSIDE_PROC: [&str; 11] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/net/dev",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/crypto/fips_enabled",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/uptime",
];

const PROC_SUPER_MAGIC: i64 = 0x9fa0;

/// The mount point, made if missing, and whether it has to be a folder.
fn target(mount: &Mount, ready: &Ready, root: &Root) -> Result<(OwnedFd, bool)> {
    let what = || describe(mount);
    let path = mount.target.as_str();
    if let MountSource::New { fstype, .. } = &mount.source
        && ["proc", "sysfs"].contains(&fstype.as_str())
    {
        // Everybody trusts these two by their name, so a link in the image must not move them elsewhere.
        let found = match root.open_ordinary(path, OFlags::PATH | OFlags::DIRECTORY) {
            Err(Errno::NOENT) => root.folder(path).and_then(|_| root.open_ordinary(path, OFlags::PATH)),
            result => result,
        };
        let found = match found {
            Err(Errno::LOOP | Errno::NOTDIR) => Err(LaunchError::other(
                "mount",
                format!("filesystem {fstype:?} must be mounted on ordinary directory"),
            )),
            result => result.during("mount", what),
        };
        return found.map(|fd| (fd, true));
    }
    let folder = !matches!(ready, Ready::Detached { folder: false, .. });
    let target = match (&mount.source, folder) {
        (MountSource::Bind { nofollow: true, .. }, _) => root
            .open(path, OFlags::PATH | OFlags::NOFOLLOW)
            .or_else(|_| if folder { root.folder(path) } else { root.file(path) }),
        (_, true) => match root.folder(path) {
            // The complaint comes when it is attached.
            Err(Errno::NOTDIR) => root.open(path, OFlags::PATH),
            result => result,
        },
        (_, false) => root.file(path),
    };
    let target = target.during("mount", what)?;
    let ours = path.starts_with("/dev/") || path.starts_with("/sys/") || prepare::is_dev(mount);
    if !ours
        && rustix::fs::fstatfs(&target).during("mount", what)?.f_type as i64 == PROC_SUPER_MAGIC
        && !INSIDE_PROC.contains(&path)
    {
        return Err(LaunchError::other(
            "mount",
            format!("{}: {path:?} cannot be mounted because it is inside /proc", what()),
        ));
    }
    Ok((target, folder))
}

fn set_read_only(fd: impl std::os::fd::AsFd) -> std::io::Result<()> {
    let attributes =
        sys::mount::Attributes { set: sys::mount::attr::RDONLY, ..sys::mount::Attributes::default() };
    sys::mount::setattr(fd, c"", attributes)
}

/// The terminal is also at /dev/console.
fn console(plan: &LaunchPlan, root: &Root, terminal: &terminal::Terminal) -> Result<()> {
    if !plan.populate_dev {
        return Ok(());
    }
    let what = || "mount the terminal on /dev/console".to_owned();
    let target = devices::console(root).during("terminal", what)?;
    let mount =
        filesystem::clone_tree(&terminal.slave, Path::new(""), false, true).during("terminal", what)?;
    filesystem::attach(mount, target).during("terminal", what)
}

/// Makes the container's root the root of the mount namespace, and the current folder, and lets go of the old one.
pub fn pivot(root: &Root) -> Result<()> {
    rustix::process::fchdir(root.fd()).during("rootfs", || "pivot_root".to_owned())?;
    pivot_here()
}

/// The same with the current folder, which is the root of a mount.
pub fn pivot_here() -> Result<()> {
    // The old root lands on top of the new one, and "." is what lies on top: no folder of the image is needed for it.
    rustix::process::pivot_root(".", ".").during("rootfs", || "pivot_root".to_owned())?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)
        .during("rootfs", || "unmount the host's root in the container".to_owned())
}

/// The root lies on top of the old one already; what is below stays there, where only one who may `chroot` can get at it.
fn change_root(root: &Root) -> Result<()> {
    let what = || "change the root without pivot_root".to_owned();
    rustix::process::fchdir(root.fd()).during("rootfs", what)?;
    rustix::process::chroot(".").during("rootfs", what)
}

fn names(plan: &LaunchPlan) -> Result<()> {
    if plan.namespaces.uts != Namespace::New {
        return Ok(());
    }
    if let Some(name) = &plan.hostname {
        rustix::system::sethostname(name.as_bytes()).during("hostname", || format!("sethostname {name}"))?;
    }
    if let Some(name) = &plan.domainname {
        rustix::system::setdomainname(name.as_bytes())
            .during("hostname", || format!("setdomainname {name}"))?;
    }
    Ok(())
}

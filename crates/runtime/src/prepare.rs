//! What the launcher makes ready before the clone: detached mounts, the content of /dev, open descriptors. Runs with the host's
//! view of paths. File systems that belong to a namespace of the container (proc, sysfs, mqueue, cgroup; all of them in a user
//! namespace) are left to the child.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};

use crate::cgroup_view::{self, CgroupView};
use crate::devices;
use crate::error::{During, LaunchError, Result};
use crate::filesystem::{self, New, Overlay};
use crate::masks;
use crate::plan::{Device, LaunchPlan, Mount, MountSource, Namespace, Propagation, PropagationKind, RootFs};

/// A mount on its way to the container.
#[derive(Debug)]
pub enum Ready {
    /// Only has to be attached.
    Detached {
        /// The mount.
        mount: OwnedFd,
        /// Its root is a folder.
        folder: bool,
    },
    /// Made in the child.
    InChild,
    /// The container's cgroups.
    Cgroups(CgroupView),
}

/// All that is ready.
#[derive(Debug)]
pub struct Prepared {
    /// Taken by the child.
    pub rootfs: Option<Overlay>,
    /// One for each mount of the plan.
    pub mounts: Vec<Ready>,
    /// The host's null device, to cover files with: so many as there are likely to be, and at least one.
    pub null: Vec<OwnedFd>,
    /// An empty read-only folder, to cover folders with.
    pub empty: Option<OwnedFd>,
    /// The mount at /dev that has its nodes, links and mount points already.
    pub populated_dev: Option<usize>,
    /// The host's device nodes, for a user namespace, where none can be made.
    pub host_nodes: Vec<(String, OwnedFd)>,
    /// The container is not in the host's own user namespace, by its plan or because the launcher is not.
    pub in_user_namespace: bool,
}

/// Makes ready whatever does not need the container's cgroup, with an umask of zero. `is_inside`: the launcher is not in the host's
/// own user namespace.
pub fn prepare(plan: &LaunchPlan, is_inside: bool) -> Result<Prepared> {
    let in_user_namespace = plan.namespaces.user != Namespace::Host || is_inside;
    let mut mounts = Vec::with_capacity(plan.mounts.len());
    for mount in &plan.mounts {
        mounts.push(ready(mount, in_user_namespace)?);
    }
    let dev = plan.mounts.iter().rposition(is_dev).filter(|_| plan.populate_dev);
    let populated_dev = match dev.map(|index| (index, &mounts[index])) {
        Some((index, Ready::Detached { mount, .. })) => {
            populate(plan, index, mount)?;
            Some(index)
        }
        _ => None,
    };
    let host_nodes =
        if in_user_namespace && plan.populate_dev { host_nodes(&plan.devices) } else { Vec::new() };
    let null = (0..masks::likely_files(&plan.masked_paths).max(1))
        .map(|_| null_device())
        .collect::<Result<Vec<_>>>()?;
    Ok(Prepared {
        rootfs: Some(rootfs(&plan.rootfs)?),
        mounts,
        null,
        empty: Some(empty_folder("755", "make an empty folder for masked paths")?),
        populated_dev,
        host_nodes,
        in_user_namespace,
    })
}

impl Prepared {
    /// Makes ready the views of the container's cgroup, which exists now; its path is empty if it has none.
    pub fn show_cgroups(&mut self, plan: &LaunchPlan, cgroup: &cgroup::Cgroup) -> Result<()> {
        for (mount, ready) in plan.mounts.iter().zip(&mut self.mounts) {
            if let Ready::Cgroups(view) = ready {
                *view = cgroup_view::prepare(plan, mount, cgroup, self.in_user_namespace)?;
            }
        }
        Ok(())
    }
}

fn rootfs(rootfs: &RootFs) -> Result<Overlay> {
    match rootfs {
        RootFs::Overlay { lower, upper, work } => filesystem::overlay(lower, upper, work),
        RootFs::Directory { path } => {
            let mount = filesystem::clone_tree(rustix::fs::CWD, path, true, true)
                .during("rootfs", || format!("invalid rootfs {}", path.display()))?;
            set_propagation(&mount, Propagation { kind: PropagationKind::Private, recursive: true })
                .during("rootfs", || "make the root private".to_owned())?;
            Ok(Overlay::Mount(mount))
        }
    }
}

/// File systems whose content belongs to a namespace.
fn is_namespaced(fstype: &str) -> bool {
    ["proc", "sysfs", "mqueue", "cgroup", "cgroup2"].contains(&fstype)
}

/// The name of a mount in errors, as runc says it.
pub fn describe(mount: &Mount) -> String {
    let source = match &mount.source {
        MountSource::Bind { path, .. } => path.display().to_string(),
        MountSource::New { fstype, source, .. } => source.as_ref().unwrap_or(fstype).clone(),
        MountSource::Cgroup => "cgroup".to_owned(),
    };
    format!("error mounting {source:?} to rootfs at {:?}", mount.target)
}

/// The attributes of a mount while it is being filled: nodes, mount points and copies come first, read-only last.
pub fn first_attributes(mount: &Mount) -> u64 {
    if is_read_only_late(mount) { mount.attributes & !sys::mount::attr::RDONLY } else { mount.attributes }
}

/// Whether read-only is set when everything is mounted.
pub fn is_read_only_late(mount: &Mount) -> bool {
    let fills_up = match &mount.source {
        MountSource::New { fstype, .. } => fstype == "tmpfs" || is_dev(mount),
        _ => false,
    };
    fills_up && mount.attributes & sys::mount::attr::RDONLY != 0
}

fn ready(mount: &Mount, in_user_namespace: bool) -> Result<Ready> {
    match &mount.source {
        MountSource::New { fstype, source, options } => {
            if in_user_namespace || is_namespaced(fstype) || mount.copy_up {
                return Ok(Ready::InChild);
            }
            let what = describe(mount);
            let fd = New {
                fstype,
                source: source.as_deref(),
                options,
                attributes: first_attributes(mount),
                what: &what,
            }
            .create()?;
            change(&fd, mount)?;
            Ok(Ready::Detached { mount: fd, folder: true })
        }
        MountSource::Bind { path, recursive, nofollow } => {
            let fd = filesystem::clone_tree(rustix::fs::CWD, path, *recursive, !*nofollow)
                .during("mount", || describe(mount))?;
            let stat = rustix::fs::fstat(&fd).during("mount", || describe(mount))?;
            if mount.attributes != 0 || mount.clear != 0 {
                let attributes = sys::mount::Attributes {
                    set: mount.attributes,
                    clear: mount.clear,
                    ..sys::mount::Attributes::default()
                };
                sys::mount::setattr(&fd, c"", attributes).during("mount", || describe(mount))?;
            }
            change(&fd, mount)?;
            if let Some(idmap) = &mount.idmap
                && !idmap.uid.is_empty()
            {
                let namespace = crate::user_namespace::with_mappings(&idmap.uid, &idmap.gid)?;
                map_ids(&fd, mount, &namespace)?;
            }
            let folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            Ok(Ready::Detached { mount: fd, folder })
        }
        // Until there is a cgroup.
        MountSource::Cgroup => Ok(Ready::Cgroups(CgroupView::Unified)),
    }
}

/// Gives a detached bind mount the mapping of a user namespace.
pub fn map_ids(fd: impl AsFd, mount: &Mount, namespace: &OwnedFd) -> Result<()> {
    let attributes = sys::mount::Attributes {
        set: sys::mount::attr::IDMAP,
        user_namespace: Some(namespace.as_fd()),
        recursive: mount.idmap.as_ref().is_some_and(|idmap| idmap.recursive),
        ..sys::mount::Attributes::default()
    };
    sys::mount::setattr(fd, c"", attributes).during("mount", || format!("{}: idmap", describe(mount)))
}

/// Attributes of the whole tree, and propagation.
pub fn change(fd: impl AsFd, mount: &Mount) -> Result<()> {
    if mount.recursive_attributes != 0 || mount.recursive_clear != 0 {
        let attributes = sys::mount::Attributes {
            set: mount.recursive_attributes,
            clear: mount.recursive_clear,
            recursive: true,
            ..sys::mount::Attributes::default()
        };
        sys::mount::setattr(&fd, c"", attributes).during("mount", || describe(mount))?;
    }
    for propagation in &mount.propagation {
        set_propagation(&fd, *propagation).during("mount", || describe(mount))?;
    }
    Ok(())
}

/// Changes the propagation of the mount that `fd` is the root of.
pub fn set_propagation(fd: impl AsFd, propagation: Propagation) -> std::io::Result<()> {
    let kind = match propagation.kind {
        PropagationKind::Unbindable => 1 << 17,
        PropagationKind::Private => 1 << 18,
        PropagationKind::Slave => 1 << 19,
        PropagationKind::Shared => 1 << 20,
    };
    let attributes = sys::mount::Attributes {
        propagation: kind,
        recursive: propagation.recursive,
        ..sys::mount::Attributes::default()
    };
    sys::mount::setattr(fd, c"", attributes)
}

/// Whether the mount is /dev itself.
pub fn is_dev(mount: &Mount) -> bool {
    mount.target.trim_end_matches('/') == "/dev"
}

/// The name of a new file system right below /dev ("pts", "shm"), whose folder [`populate`] makes.
pub fn name_in_dev(mount: &Mount) -> Option<&str> {
    let name = mount.target.strip_prefix("/dev/")?;
    let is_new = matches!(mount.source, MountSource::New { .. }) && !mount.copy_up;
    (is_new && !name.is_empty() && !name.contains('/') && !name.starts_with('.')).then_some(name)
}

/// Fills the detached /dev, which saves the child these calls: the nodes, the links, and the folders for mounts that follow.
fn populate(plan: &LaunchPlan, index: usize, dev: &OwnedFd) -> Result<()> {
    devices::populate(plan, dev)?;
    for (mount, name) in
        plan.mounts[index + 1..].iter().filter_map(|mount| Some((mount, name_in_dev(mount)?)))
    {
        match rustix::fs::mkdirat(dev, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error).during("dev", || describe(mount)),
        }
    }
    Ok(())
}

fn host_nodes(devices: &[Device]) -> Vec<(String, OwnedFd)> {
    devices
        .iter()
        .filter(|device| devices::is_same(Path::new(&device.path), device))
        .filter_map(|device| {
            let node = filesystem::clone_tree(rustix::fs::CWD, Path::new(&device.path), false, false).ok()?;
            Some((device.path.clone(), node))
        })
        .collect()
}

fn null_device() -> Result<OwnedFd> {
    let what = || "open /dev/null of the host".to_owned();
    let null =
        filesystem::clone_tree(rustix::fs::CWD, Path::new("/dev/null"), false, false).during("mask", what)?;
    if devices::is_null(&null) {
        Ok(null)
    } else {
        Err(LaunchError::other("mask", "/dev/null of the host is not the null device"))
    }
}

/// A folder in which nothing is and nothing can be made, attached nowhere. `what` begins an error's message.
pub fn empty_folder(mode: &str, what: &str) -> Result<OwnedFd> {
    use sys::mount::attr;
    let attributes = attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC;
    let option = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    let options = [option("nr_blocks", "1"), option("nr_inodes", "1"), option("mode", mode)];
    New { fstype: "tmpfs", source: Some("tmpfs"), options: &options, attributes, what }.create()
}

/// The host's /proc.
pub fn host_proc() -> Result<OwnedFd> {
    const PROC_SUPER_MAGIC: i64 = 0x9fa0;
    let what = || "open /proc of the host".to_owned();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = rustix::fs::open("/proc", flags, Mode::empty()).during("proc", what)?;
    match rustix::fs::fstatfs(&proc).during("proc", what)?.f_type as i64 {
        PROC_SUPER_MAGIC => Ok(proc),
        _ => Err(LaunchError::other("proc", "/proc of the host is not procfs")),
    }
}

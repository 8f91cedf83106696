//! A container's view of its cgroups at /sys/fs/cgroup, in the host's layout. On v2 one file system. On v1 a tmpfs with a folder
//! for each hierarchy: the container's own part of it, by a bind mount or, in a cgroup namespace, by a mount of the hierarchy
//! (whose root that namespace moves).

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::Mode;
use rustix::io::Errno;

use crate::error::{During, Result};
use crate::filesystem::{self, New};
use crate::plan::{LaunchPlan, Mount, Namespace};
use crate::prepare::describe;
use crate::root::keep;

/// See the module.
#[derive(Debug)]
pub enum CgroupView {
    /// cgroup2, mounted by the child.
    Unified,
    /// v1.
    Hierarchies {
        /// The tmpfs with its folders and links, unless the child has to make it.
        tmpfs: Option<OwnedFd>,
        /// What is mounted in it.
        parts: Vec<Part>,
    },
}

/// One v1 hierarchy.
#[derive(Debug)]
pub struct Part {
    /// The folder's name: "cpu,cpuacct", "systemd".
    name: String,
    controllers: Vec<String>,
    /// The bind mount, without a cgroup namespace.
    bind: Option<OwnedFd>,
}

/// Opens what has to be opened outside.
pub fn prepare(
    plan: &LaunchPlan,
    mount: &Mount,
    cgroup: &cgroup::Cgroup,
    in_user_namespace: bool,
) -> Result<CgroupView> {
    if cgroup.host().is_v2() {
        return Ok(CgroupView::Unified);
    }
    let mut parts = Vec::new();
    // Without a cgroup of its own there is no part that a container may see.
    let folders = cgroup.folders().filter(|_| !cgroup.path().is_empty());
    for (controllers, folder) in folders {
        let hierarchy =
            cgroup.host().hierarchies.iter().find(|hierarchy| hierarchy.controllers == controllers);
        let Some(hierarchy) = hierarchy.filter(|_| folder.exists()) else { continue };
        let bind = if plan.namespaces.cgroup == Namespace::Host {
            let what = || describe(mount);
            let fd = filesystem::clone_tree(rustix::fs::CWD, &folder, false, false).during("mount", what)?;
            let attributes = sys::mount::Attributes {
                set: mount.attributes,
                propagation: 1 << 18,
                ..sys::mount::Attributes::default()
            };
            sys::mount::setattr(&fd, c"", attributes).during("mount", what)?;
            Some(fd)
        } else {
            None
        };
        let name = hierarchy.mount.file_name().and_then(|name| name.to_str()).unwrap_or("cgroup").to_owned();
        parts.push(Part { name, controllers: controllers.to_vec(), bind });
    }
    let tmpfs = if in_user_namespace { None } else { Some(skeleton(mount, &parts)?) };
    Ok(CgroupView::Hierarchies { tmpfs, parts })
}

fn new<'a>(
    fstype: &'a str,
    options: &'a [(String, Option<String>)],
    attributes: u64,
    what: &'a str,
) -> New<'a> {
    New { fstype, source: Some("cgroup"), options, attributes, what }
}

/// The tmpfs of v1 with its folders, and a link for each controller of a hierarchy that has several.
fn skeleton(mount: &Mount, parts: &[Part]) -> Result<OwnedFd> {
    let what = || describe(mount);
    let options = [("mode".to_owned(), Some("755".to_owned()))];
    let attributes = mount.attributes & !sys::mount::attr::RDONLY;
    let tmpfs = new("tmpfs", &options, attributes, &what()).create()?;
    for part in parts {
        rustix::fs::mkdirat(&tmpfs, &part.name, Mode::from_raw_mode(0o755)).during("mount", what)?;
        for controller in part.controllers.iter().filter(|name| **name != part.name && !name.contains('=')) {
            match rustix::fs::symlinkat(Path::new(&part.name), &tmpfs, controller.as_str()) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error).during("mount", what),
            }
        }
    }
    Ok(tmpfs)
}

/// The host's own tree.
fn hosts(mount: &Mount) -> Result<OwnedFd> {
    let what = || describe(mount);
    let fd = filesystem::clone_tree(rustix::fs::CWD, Path::new("/sys/fs/cgroup"), true, true)
        .during("mount", what)?;
    let attributes = sys::mount::Attributes {
        set: mount.attributes,
        recursive: true,
        ..sys::mount::Attributes::default()
    };
    sys::mount::setattr(&fd, c"", attributes).during("mount", what)?;
    Ok(fd)
}

/// Mounts the view on `target`. Runs in the child, in its cgroup.
pub fn attach(view: &CgroupView, mount: &Mount, target: impl AsFd, in_user_namespace: bool) -> Result<()> {
    let what = || describe(mount);
    let (prepared, parts) = match view {
        CgroupView::Unified => {
            let fd = match new("cgroup2", &[], mount.attributes, &what()).create_in_child() {
                // Its root would be in a cgroup namespace that is not the user namespace's own.
                Err(_) if in_user_namespace => hosts(mount)?,
                result => result?,
            };
            filesystem::attach(&fd, target).during("mount", what)?;
            keep(fd);
            return Ok(());
        }
        CgroupView::Hierarchies { tmpfs, parts } => (tmpfs, parts),
    };
    let made;
    let tmpfs = match prepared {
        Some(tmpfs) => tmpfs,
        None => {
            made = skeleton(mount, parts)?;
            &made
        }
    };
    filesystem::attach(tmpfs, target).during("mount", what)?;
    for part in parts {
        let made;
        let fd = match &part.bind {
            Some(bind) => bind,
            None => {
                made = new("cgroup", &part.options(), mount.attributes, &what()).create()?;
                &made
            }
        };
        filesystem::attach_at(fd, tmpfs, &part.name).during("mount", what)?;
    }
    if mount.attributes & sys::mount::attr::RDONLY != 0 {
        let attributes =
            sys::mount::Attributes { set: sys::mount::attr::RDONLY, ..sys::mount::Attributes::default() };
        sys::mount::setattr(tmpfs, c"", attributes).during("mount", what)?;
    }
    Ok(())
}

impl Part {
    fn options(&self) -> Vec<(String, Option<String>)> {
        let option = |name: &String| match name.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (name.clone(), None),
        };
        self.controllers.iter().map(option).collect()
    }
}

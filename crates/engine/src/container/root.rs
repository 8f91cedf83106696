//! A container's root file system for the engine's own hands (`docker cp`, `export`, `commit`): of a running container what its
//! processes see, of a stopped one the same tree put together for the moment, with its volumes and binds in their places.
//!
//! Mounts for a stopped container are made in a mount namespace of one thread and end with it; the host's mount table stays as
//! it is. Paths inside are a container's to choose: they are resolved with the container's root as root.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, MoveMountFlags, OpenTreeFlags};
use store::Rootfs;
use sys::mount::{Attributes, attr};

use super::live;
use super::model::Container;
use super::mounts::Kind;
use super::spec::SpecMount;
use crate::Engine;
use crate::blocking::blocking;
use crate::error::{Error, Result};

/// A way to a container's root.
pub(crate) struct Root {
    engine: Arc<Engine>,
    container: Arc<Container>,
    mounts: Vec<SpecMount>,
}

impl Engine {
    /// Finds what is needed for work in a container's root.
    pub(crate) fn root_of(&self, container: &Arc<Container>) -> Result<Root> {
        let mounts = match container.status().run() {
            // They are there already.
            Some(_) => Vec::new(),
            None => self.mounts_of(&container.record())?,
        };
        Ok(Root { engine: self.arc()?, container: Arc::clone(container), mounts })
    }
}

impl Root {
    /// Runs `work` with the root. A stopped container cannot start meanwhile.
    pub(crate) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce(BorrowedFd<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if let Some(root) = self.live() {
            return blocking(move || work(root.as_fd())).await;
        }
        let (engine, container) = (Arc::clone(&self.engine), Arc::clone(&self.container));
        let _turn = engine.turn(&container).await;
        // It may have started while we waited.
        if let Some(root) = self.live() {
            return blocking(move || work(root.as_fd())).await;
        }
        blocking(move || {
            in_namespace(|| {
                let root = self.put_together()?;
                work(root.as_fd())
            })
        })
        .await
    }

    fn live(&self) -> Option<OwnedFd> {
        live::open(self.container.status().run()?, "root", OFlags::PATH | OFlags::DIRECTORY).ok()
    }

    /// Mounts the tree on the container's own folder, which nobody else sees from here.
    fn put_together(&self) -> Result<OwnedFd> {
        let record = self.container.record();
        let tree = match &record.rootfs {
            Rootfs::Overlay { .. } => self.engine.store.mount(&record.rootfs)?,
            Rootfs::Directory(path) => {
                clone_mount(path, false).map_err(|error| failed("mount", &path.display(), error))?
            }
        };
        attach(&tree, CWD, &self.container.folder)
            .map_err(|error| failed("mount", &self.container.folder.display(), error))?;
        let mut mounts: Vec<&SpecMount> =
            self.mounts.iter().filter(|mount| mount.kind != Kind::Tmpfs).collect();
        mounts.sort_by_key(|mount| mount.destination.matches('/').count());
        for mount in mounts {
            add(tree.as_fd(), mount).map_err(|error| failed("mount", &mount.destination, error))?;
        }
        if record.host.readonly_rootfs {
            read_only(&tree, false).map_err(|error| failed("mount", &"/", error))?;
        }
        Ok(tree)
    }
}

fn failed(what: &str, path: &dyn std::fmt::Display, error: io::Error) -> Error {
    Error::host(format!("{what} {path} of a stopped container"), error)
}

/// Runs `work` on a thread with a mount namespace of its own, from which nothing gets out.
fn in_namespace<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let enter = || -> io::Result<()> {
        sys::namespace::unshare(sys::clone::NEWNS)?;
        rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        Ok(())
    };
    on_thread(|| {
        enter().map_err(|error| Error::host("make a mount namespace", error))?;
        work()
    })
}

fn on_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("container-root".into()).spawn_scoped(scope, work);
        match thread.map_err(|error| Error::host("start a thread", error))?.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// The root mount of a running container alone, without what is mounted in it.
pub(crate) fn bare(container: &Container) -> Result<Option<OwnedFd>> {
    let Some(run) = container.status().run() else { return Ok(None) };
    let Ok(namespace) = live::open(run, "ns/mnt", OFlags::RDONLY) else { return Ok(None) };
    on_thread(|| {
        let clone = || -> io::Result<OwnedFd> {
            // A thread that shares its root with others cannot enter another mount namespace.
            sys::namespace::unshare(sys::clone::NEWNS)?;
            sys::namespace::setns(&namespace, sys::clone::NEWNS)?;
            clone_mount(Path::new("/"), false)
        };
        clone().map(Some).map_err(|error| Error::host("open the container's root file system", error))
    })
}

fn clone_mount(path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    Ok(rustix::mount::open_tree(CWD, path, flags)?)
}

fn attach(tree: &OwnedFd, folder: impl AsFd, path: &Path) -> io::Result<()> {
    let mut flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    if path.as_os_str().is_empty() {
        flags |= MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    }
    Ok(rustix::mount::move_mount(tree, "", folder, path, flags)?)
}

fn read_only(tree: &OwnedFd, recursive: bool) -> io::Result<()> {
    sys::mount::setattr(tree, c"", Attributes { set: attr::RDONLY, recursive, ..Attributes::default() })
}

fn add(root: BorrowedFd<'_>, mount: &SpecMount) -> io::Result<()> {
    let tree = clone_mount(&mount.source, !mount.non_recursive)?;
    if mount.read_only || mount.kind == Kind::Image {
        read_only(&tree, !mount.non_recursive)?;
    }
    let is_folder = std::fs::metadata(&mount.source)?.is_dir();
    attach(&tree, target(root, &mount.destination, is_folder)?, Path::new(""))
}

/// Opens a path as a process in the container would.
pub(crate) fn open(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // A rename elsewhere could have moved the walk out of the root (openat2(2)).
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Where to mount; what is missing of the path is made.
fn target(root: BorrowedFd<'_>, path: &str, is_folder: bool) -> io::Result<OwnedFd> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let mut folder = open(root, "/", OFlags::PATH)?;
    for (at, part) in parts.iter().enumerate() {
        let so_far = format!("/{}", parts[..=at].join("/"));
        folder = match open(root, &so_far, OFlags::PATH) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if at + 1 == parts.len() && !is_folder {
                    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                    rustix::fs::openat(&folder, *part, flags, Mode::from_raw_mode(0o755))?;
                } else {
                    rustix::fs::mkdirat(&folder, *part, Mode::from_raw_mode(0o755))?;
                }
                // The umask is the engine's, not the container's.
                rustix::fs::chmodat(&folder, *part, Mode::from_raw_mode(0o755), AtFlags::empty())?;
                open(root, &so_far, OFlags::PATH)?
            }
            found => found?,
        };
    }
    Ok(folder)
}

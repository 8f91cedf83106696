//! New file systems as detached mounts: `fsopen`, one `fsconfig` an option, `fsmount`. Attaches nothing.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::error::{During, LaunchError, Result, reason};
use crate::root::keep;

/// The kernel's limit of a value given to `fsconfig`.
const MAX_VALUE: usize = 255;

/// A file system being made.
struct Context<'a> {
    fd: OwnedFd,
    what: &'a str,
}

impl Context<'_> {
    fn fail(&self, error: impl Into<io::Error>) -> LaunchError {
        let mut message = format!("{}: {}", self.what, reason(&error.into()));
        let log = sys::mount::context_log(&self.fd);
        if !log.is_empty() {
            message = format!("{message} ({log})");
        }
        LaunchError::other("mount", message)
    }

    fn set(&self, name: &str, value: Option<&str>) -> Result<()> {
        match value {
            Some(value) => rustix::mount::fsconfig_set_string(&self.fd, name, value),
            None => rustix::mount::fsconfig_set_flag(&self.fd, name),
        }
        .map_err(|error| self.fail(error))
    }

    fn mount(&self, attributes: u64) -> Result<OwnedFd> {
        rustix::mount::fsconfig_create(&self.fd).map_err(|error| self.fail(error))?;
        let attributes = MountAttrFlags::from_bits_retain(attributes as u32);
        rustix::mount::fsmount(&self.fd, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(|error| self.fail(error))
    }
}

impl Context<'_> {
    fn mount_overlay(&self, upper: &str, work: &str) -> Result<Overlay> {
        self.set("upperdir", Some(upper))?;
        self.set("workdir", Some(work))?;
        self.set(INDEX.0, Some(INDEX.1))?;
        if sys::namespace::in_user_namespace() {
            self.set(USER_ATTRIBUTES, None)?;
        }
        self.mount(0).map(Overlay::Mount)
    }
}

fn context<'a>(fstype: &str, what: &'a str) -> Result<Context<'a>> {
    let fd =
        rustix::mount::fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC).during("mount", || what.to_owned())?;
    Ok(Context { fd, what })
}

/// The beginnings of a file system, see [`New::create_from`].
pub fn open(fstype: &str, what: &str) -> Result<OwnedFd> {
    context(fstype, what).map(|context| context.fd)
}

/// What a new file system is made of.
pub struct New<'a> {
    pub fstype: &'a str,
    pub source: Option<&'a str>,
    pub options: &'a [(String, Option<String>)],
    pub attributes: u64,
    /// Begins the message of an error.
    pub what: &'a str,
}

impl New<'_> {
    /// Makes it.
    pub fn create(&self) -> Result<OwnedFd> {
        self.make().map(|(mount, _)| mount)
    }

    /// Makes it and leaves the context open, as the child does with all descriptors.
    pub fn create_in_child(&self) -> Result<OwnedFd> {
        self.make().map(|(mount, context)| {
            keep(context);
            mount
        })
    }

    /// Makes a procfs of this pid namespace (Linux 6.17).
    pub fn create_for(&self, namespace: &OwnedFd) -> Result<OwnedFd> {
        let context = context(self.fstype, self.what)?;
        rustix::mount::fsconfig_set_fd(&context.fd, "pidns", namespace.as_fd())
            .map_err(|error| context.fail(error))?;
        self.finish(context).map(|(mount, _)| mount)
    }

    /// Makes it of what [`open`] returned, here or elsewhere.
    pub fn create_from(&self, fd: OwnedFd) -> Result<OwnedFd> {
        self.finish(Context { fd, what: self.what }).map(|(mount, _)| mount)
    }

    fn make(&self) -> Result<(OwnedFd, OwnedFd)> {
        self.finish(context(self.fstype, self.what)?)
    }

    fn finish(&self, context: Context<'_>) -> Result<(OwnedFd, OwnedFd)> {
        if let Some(source) = self.source.filter(|source| !source.is_empty()) {
            context.set("source", Some(source))?;
        }
        for (name, value) in self.options {
            context.set(name, value.as_deref())?;
        }
        Ok((context.mount(self.attributes)?, context.fd))
    }
}

/// A root file system of layers.
#[derive(Debug)]
pub enum Overlay {
    /// Ready to attach.
    Mount(OwnedFd),
    /// Has to be mounted with `mount(2)` in the container's own mount namespace: before Linux 6.8 the new calls take only short
    /// lists of layers ([`SHORT_LIST`]).
    Legacy(LegacyOverlay),
}

/// See [`Overlay::Legacy`].
#[derive(Debug)]
pub struct LegacyOverlay {
    lower: Vec<PathBuf>,
    upper: PathBuf,
    work: PathBuf,
}

/// How many layers fit into one option of an old kernel, each named by its descriptor.
const SHORT_LIST: usize = 12;

/// Redirects and indexes would tie the upper folder to this set of layers; a container's must survive a changed one.
const INDEX: (&str, &str) = ("index", "off");

/// In a user namespace `trusted.*` attributes are not to be had.
const USER_ATTRIBUTES: &str = "userxattr";

/// Puts layers (top-most first) below a folder for changes.
pub fn overlay(lower: &[PathBuf], upper: &Path, work: &Path) -> Result<Overlay> {
    let fits = |path: &Path| path.as_os_str().len() <= MAX_VALUE;
    let all_fit = lower.iter().map(PathBuf::as_path).chain([upper, work]).all(fits);
    if sys::overlay::takes_layers_one_by_one() && all_fit {
        let context = new_overlay()?;
        for layer in lower {
            context.set("lowerdir+", Some(path_text(layer)?)).map_err(|error| LaunchError {
                message: format!("{} [layer {}]", error.message, layer.display()),
                ..error
            })?;
        }
        return context.mount_overlay(path_text(upper)?, path_text(work)?);
    }
    if lower.len() > SHORT_LIST {
        let legacy = LegacyOverlay { lower: lower.to_vec(), upper: upper.to_owned(), work: work.to_owned() };
        return Ok(Overlay::Legacy(legacy));
    }
    let folders = lower.iter().map(PathBuf::as_path).chain([upper, work]).map(open_folder);
    let folders = folders.collect::<Result<Vec<_>>>()?;
    let names: Vec<String> =
        folders.iter().map(|folder| format!("/proc/self/fd/{}", folder.as_raw_fd())).collect();
    let (layers, own) = names.split_at(lower.len());
    let context = new_overlay()?;
    context.set("lowerdir", Some(&layers.join(":")))?;
    context.mount_overlay(&own[0], &own[1])
}

fn new_overlay() -> Result<Context<'static>> {
    let context = context("overlay", "mount the overlay of the container's layers")?;
    context.set("source", Some("overlay"))?;
    Ok(context)
}

fn open_folder(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).during("mount", || format!("open layer {}", path.display()))
}

fn path_text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| LaunchError::other("mount", format!("path {} is not UTF-8", path.display())))
}

impl LegacyOverlay {
    /// Mounts it over its own upper folder, and returns the root. Only in a private mount namespace, which dies with its old root.
    ///
    /// Folders are opened here because overlayfs takes only what is mounted in the caller's namespace.
    pub fn mount(&self) -> Result<OwnedFd> {
        let what = || "mount the overlay of the container's layers".to_owned();
        let lower = self.lower.iter().map(|layer| open_folder(layer)).collect::<Result<Vec<_>>>()?;
        let (upper, work) = (open_folder(&self.upper)?, open_folder(&self.work)?);
        let index = format!("{}={}", INDEX.0, INDEX.1);
        let mut options = vec![index.as_str()];
        options.extend(sys::namespace::in_user_namespace().then_some(USER_ATTRIBUTES));
        let overlay =
            sys::overlay::Folders { lower: &lower, upper: Some((&upper, &work)), options: &options };
        overlay.mount_over(&self.upper).during("mount", what)?;
        open_folder(&self.upper)
    }
}

/// Moves a detached mount onto `target`.
pub fn attach(mount: impl AsFd, target: impl AsFd) -> Result<(), rustix::io::Errno> {
    use rustix::mount::MoveMountFlags as Flags;
    let flags = Flags::MOVE_MOUNT_F_EMPTY_PATH | Flags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", target, "", flags)
}

/// Moves a detached mount onto `name` in the folder `target`, whose content is known not to be a link.
pub fn attach_at(mount: impl AsFd, target: impl AsFd, name: &str) -> Result<(), rustix::io::Errno> {
    use rustix::mount::MoveMountFlags as Flags;
    rustix::mount::move_mount(mount, "", target, name, Flags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// A detached copy of the mount at `path` (relative to `folder`; empty for `folder` itself).
pub fn clone_tree(
    folder: impl AsFd,
    path: &Path,
    recursive: bool,
    follow: bool,
) -> Result<OwnedFd, rustix::io::Errno> {
    use rustix::mount::OpenTreeFlags as Flags;
    let mut flags = Flags::OPEN_TREE_CLONE | Flags::OPEN_TREE_CLOEXEC;
    flags.set(Flags::AT_RECURSIVE, recursive);
    flags.set(Flags::AT_SYMLINK_NOFOLLOW, !follow);
    flags.set(Flags::AT_EMPTY_PATH, path.as_os_str().is_empty());
    rustix::mount::open_tree(folder, path, flags)
}

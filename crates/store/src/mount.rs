//! Detached overlay mounts: a container's or an image's merged tree as a directory descriptor, attached nowhere.
//!
//! Nothing appears in any mount table and the mount goes with its last descriptor. Layers are given one by one
//! (`lowerdir+`, Linux 6.7), because one option is limited to 255 bytes; older kernels get them in one string if it is
//! short enough through `/proc/self/fd`, which holds for about a dozen layers, and else are mounted in a mount namespace of
//! their own, whose options may fill a page.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen,
};

use crate::Rootfs;
use crate::error::{Context, Error, Result};
use crate::fsutil::{open_dir, remove_tree, unique_name};
use crate::store::Store;

/// Longest value that `fsconfig` takes, without its NUL.
const OPTION_MAX: usize = 255;

/// What an overlay is put together from.
pub(crate) struct Overlay<'a> {
    /// Top-most first; not empty.
    pub lower: &'a [PathBuf],
    /// Upper and work folder; without them the mount is read-only and needs two lower folders.
    pub upper: Option<(&'a Path, &'a Path)>,
}

impl Store {
    /// A detached mount (or the plain folder) of a container's root, for a container that is not running.
    pub fn mount(&self, rootfs: &Rootfs) -> Result<OwnedFd> {
        match rootfs {
            Rootfs::Directory(path) => listable_root(path),
            Rootfs::Overlay { lower, upper, work } => {
                let overlay = Overlay { lower, upper: Some((upper, work)) };
                overlay.mount().context(|| format!("mount overlay on {}", upper.display()))
            }
        }
    }

    /// A detached mount of a container's root to be read, also while the container runs: two mounts must not share a work
    /// folder, and this one has none.
    pub fn mount_to_read(&self, rootfs: &Rootfs) -> Result<OwnedFd> {
        match rootfs {
            Rootfs::Directory(path) => listable_root(path),
            Rootfs::Overlay { lower, upper, .. } => {
                let lower: Vec<PathBuf> = std::iter::once(upper).chain(lower).cloned().collect();
                let overlay = Overlay { lower: &lower, upper: None };
                overlay.mount().context(|| format!("mount overlay on {}", upper.display()))
            }
        }
    }

    /// The merged tree of an image, to be read. Not to be written: it may be the layer's own folder.
    pub fn mount_image(&self, id: &image::Digest) -> Result<OwnedFd> {
        let lower = self.chain_paths(id)?;
        match &lower[..] {
            [] => listable_root(&self.empty_folder()?),
            [one] => listable_root(one),
            lower if self.overlay_works() => {
                Overlay { lower, upper: None }.mount().context(|| format!("mount image {id}"))
            }
            _ => Err(Error::Unsupported(format!("{} can't hold overlay mounts", self.root().display()))),
        }
    }

    /// Whether overlayfs works with its upper folder on this file system. Tried once.
    pub(crate) fn overlay_works(&self) -> bool {
        *self.inner.overlay.get_or_init(|| {
            let name = format!("overlay-{}", unique_name());
            let folder = self.inner.tmp_path(&name);
            let [lower, upper, work] = ["lower", "upper", "work"].map(|part| folder.join(part));
            let made = [&lower, &upper, &work].into_iter().all(|path| std::fs::create_dir_all(path).is_ok());
            let overlay = Overlay { lower: &[lower], upper: Some((&upper, &work)) };
            let works = made && overlay.mount().is_ok();
            let _ = remove_tree(self.inner.tmp_fd(), name.as_bytes());
            works
        })
    }

    /// A folder that is always empty: the lower folder of an image without layers.
    pub(crate) fn empty_folder(&self) -> Result<PathBuf> {
        let path = self.root().join("empty");
        match std::fs::create_dir(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io(format!("create folder {}", path.display()), error)),
        }
        Ok(path)
    }
}

fn listable_root(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .context(|| format!("open {}", path.display()))
}

impl Overlay<'_> {
    pub fn mount(&self) -> rustix::io::Result<OwnedFd> {
        match self.configure(&[]) {
            // In a user namespace `trusted.*` attributes are not to be had.
            Err(Errno::PERM) => self.configure(&[c"userxattr"]),
            other => other,
        }
    }

    fn configure(&self, flags: &[&std::ffi::CStr]) -> rustix::io::Result<OwnedFd> {
        let context = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        let context = context.as_fd();
        // Paths too long for an option are named by their descriptors, which must stay open until the mount is made.
        let mut open = Vec::new();
        let mut set = |key: &str, path: &Path| -> rustix::io::Result<()> {
            if path.as_os_str().len() <= OPTION_MAX {
                return fsconfig_set_string(context, key, path);
            }
            let folder = open_dir(path)?;
            let name = format!("/proc/self/fd/{}", folder.as_raw_fd());
            open.push(folder);
            fsconfig_set_string(context, key, name.as_str())
        };
        for flag in flags {
            fsconfig_set_flag(context, *flag)?;
        }
        for (at, layer) in self.lower.iter().enumerate() {
            match set("lowerdir+", layer) {
                Err(Errno::INVAL) if at == 0 => return self.configure_in_one(flags),
                other => other?,
            }
        }
        if let Some((upper, work)) = self.upper {
            set("upperdir", upper)?;
            set("workdir", work)?;
        }
        // What the kernel was built to default to must not decide what a container's changes look like on disk: no
        // redirects, no metadata-only copies (a commit would not see the data).
        for key in ["redirect_dir", "metacopy", "index"] {
            fsconfig_set_string(context, key, "off")?;
        }
        fsconfig_create(context)?;
        let read_only = match self.upper {
            Some(_) => MountAttrFlags::empty(),
            None => MountAttrFlags::MOUNT_ATTR_RDONLY,
        };
        fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, read_only)
    }

    /// For kernels before 6.7.
    fn configure_in_one(&self, flags: &[&std::ffi::CStr]) -> rustix::io::Result<OwnedFd> {
        let context = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        let context = context.as_fd();
        for flag in flags {
            fsconfig_set_flag(context, *flag)?;
        }
        let folders = self.lower.iter().map(|path| open_dir(path)).collect::<rustix::io::Result<Vec<_>>>()?;
        let names: Vec<_> = folders.iter().map(|fd| format!("/proc/self/fd/{}", fd.as_raw_fd())).collect();
        let names = names.join(":");
        if names.len() > OPTION_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        fsconfig_set_string(context, c"lowerdir", names.as_str())?;
        if let Some((upper, work)) = self.upper {
            fsconfig_set_string(context, c"upperdir", upper)?;
            fsconfig_set_string(context, c"workdir", work)?;
        }
        for key in ["redirect_dir", "metacopy", "index"] {
            fsconfig_set_string(context, key, "off")?;
        }
        fsconfig_create(context)?;
        fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
    }
}

//! Detached overlay mounts: a container's or an image's merged tree as a directory descriptor, attached nowhere.
//!
//! Nothing appears in any mount table and the mount goes with its last descriptor. Layers are given one by one
//! (`lowerdir+`), because one option is limited to 255 bytes. Where the kernel is too old for that, `mount(2)` makes the
//! overlay in a mount namespace that only a helper thread ever sees; its options may fill a page, and it is detached from there.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, open_tree,
};

use crate::Rootfs;
use crate::error::{Context, Error, Result};
use crate::fsutil::{open_dir, remove_tree, unique_name};
use crate::store::Store;

/// Longest value that `fsconfig` takes, without its NUL.
const OPTION_MAX: usize = 255;

/// What the kernel was built to default to must not decide what a container's changes look like on disk: no redirects, no
/// metadata-only copies (a commit would not see the data).
const OPTIONS: [(&str, &str); 3] = [("redirect_dir", "off"), ("metacopy", "off"), ("index", "off")];

/// In a user namespace `trusted.*` attributes are not to be had. With these there are no redirects, and that must not be said.
const USER_ATTRIBUTES: &str = "userxattr";

fn options(flags: &[&str]) -> &'static [(&'static str, &'static str)] {
    if flags.contains(&USER_ATTRIBUTES) { &OPTIONS[1..] } else { &OPTIONS }
}

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
        match sys::overlay::takes_layers_one_by_one() {
            true => self.mount_with(Self::configure),
            false => self.mount_with(Self::detach),
        }
    }

    fn mount_with(
        &self,
        make: fn(&Self, &[&str]) -> rustix::io::Result<OwnedFd>,
    ) -> rustix::io::Result<OwnedFd> {
        match sys::namespace::in_user_namespace() {
            true => make(self, &[USER_ATTRIBUTES]),
            false => make(self, &[]),
        }
    }

    fn configure(&self, flags: &[&str]) -> rustix::io::Result<OwnedFd> {
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
        for layer in self.lower {
            set("lowerdir+", layer)?;
        }
        if let Some((upper, work)) = self.upper {
            set("upperdir", upper)?;
            set("workdir", work)?;
        }
        for (key, value) in options(flags) {
            fsconfig_set_string(context, *key, *value)?;
        }
        fsconfig_create(context)?;
        let read_only = match self.upper {
            Some(_) => MountAttrFlags::empty(),
            None => MountAttrFlags::MOUNT_ATTR_RDONLY,
        };
        fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, read_only)
    }

    /// The way of older kernels.
    fn detach(&self, flags: &[&str]) -> rustix::io::Result<OwnedFd> {
        let options: Vec<String> =
            options(flags).iter().map(|(key, value)| format!("{key}={value}")).collect();
        let options: Vec<&str> = options.iter().map(String::as_str).chain(flags.iter().copied()).collect();
        // Any folder can carry the mount, as nobody else sees it.
        let target = self.upper.map_or_else(|| self.lower[0].as_path(), |(upper, _)| upper);
        let made = sys::namespace::in_own_mounts(|| {
            // Opened in there, because overlayfs takes only what is mounted in the caller's namespace.
            let lower: Vec<OwnedFd> =
                self.lower.iter().map(|path| open_dir(path)).collect::<rustix::io::Result<_>>()?;
            let upper = match self.upper {
                Some((upper, work)) => Some((open_dir(upper)?, open_dir(work)?)),
                None => None,
            };
            let upper = upper.as_ref().map(|(upper, work)| (upper, work));
            sys::overlay::Folders { lower: &lower, upper, options: &options }.mount_over(target)?;
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            Ok::<_, std::io::Error>(open_tree(rustix::fs::CWD, target, flags)?)
        });
        made.flatten().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_kernels_mount_many_layers_where_nobody_sees_it() {
        let home = tempfile::Builder::new().prefix("naru-mount,:").tempdir().unwrap();
        let lower: Vec<PathBuf> =
            (0..100).map(|number| home.path().join(format!("layer,{number}:"))).collect();
        for (number, layer) in lower.iter().enumerate() {
            std::fs::create_dir(layer).unwrap();
            std::fs::write(layer.join("file"), number.to_string()).unwrap();
            std::fs::write(layer.join(number.to_string()), "").unwrap();
        }
        let [upper, work] = ["upper", "work"].map(|name| home.path().join(name));
        std::fs::create_dir(&upper).unwrap();
        std::fs::create_dir(&work).unwrap();
        let inside =
            |root: &OwnedFd, name: &str| PathBuf::from(format!("/proc/self/fd/{}/{name}", root.as_raw_fd()));
        let names = |root: &OwnedFd| std::fs::read_dir(inside(root, "")).unwrap().count();

        let overlay = Overlay { lower: &lower, upper: Some((&upper, &work)) };
        let root = overlay.mount_with(Overlay::detach).unwrap();
        assert_eq!(names(&root), 101);
        assert_eq!(std::fs::read_to_string(inside(&root, "file")).unwrap(), "0");
        std::fs::write(inside(&root, "new"), "x").unwrap();
        assert_eq!(std::fs::read_to_string(upper.join("new")).unwrap(), "x");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains("naru-mount"), "{mounts}");
        drop(root);

        let root = Overlay { lower: &lower, upper: None }.mount_with(Overlay::detach).unwrap();
        assert_eq!(names(&root), 101);
        let refused = std::fs::write(inside(&root, "new"), "x").unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    }
}

//! Paths of a container that are read-only or covered by nothing. Runs in the child after `pivot_root`.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::error::{During, Result};
use crate::filesystem;
use crate::root::{Root, keep};

/// Makes paths read-only with all below. Missing ones are passed over.
pub fn read_only(paths: &[String], root: &Root) -> Result<()> {
    for path in paths {
        let what = || format!("readonly path {path}");
        let target = match root.open(path, OFlags::PATH) {
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            result => result.during("readonly paths", what)?,
        };
        let mount =
            filesystem::clone_tree(&target, Path::new(""), true, true).during("readonly paths", what)?;
        let attributes = sys::mount::Attributes {
            set: sys::mount::attr::RDONLY,
            recursive: true,
            ..sys::mount::Attributes::default()
        };
        sys::mount::setattr(&mount, c"", attributes).during("readonly paths", what)?;
        filesystem::attach(&mount, &target).during("readonly paths", what)?;
        keep(mount);
        keep(target);
    }
    Ok(())
}

/// What are folders on every kernel that has them, of the paths that are masked by default: no call is spent on finding out.
const FOLDERS: [&str; 5] =
    ["/proc/acpi", "/proc/asound", "/proc/scsi", "/sys/devices/virtual/powercap", "/sys/firmware"];

/// How many of the paths are likely to be files of the container: its kernel is the host's.
pub fn likely_files(paths: &[String]) -> usize {
    let is_file = |path: &&String| !FOLDERS.contains(&path.as_str()) && Path::new(path).exists();
    paths.iter().filter(is_file).count()
}

/// Covers files by the null device and folders by an empty one. Missing ones are passed over.
pub fn mask(paths: &[String], root: &Root, null: Vec<OwnedFd>, empty: OwnedFd) -> Result<()> {
    let (mut files, mut folders) = (Cover::new(null), Cover::new(vec![empty]));
    for path in paths {
        let what = || format!("can't mask path {path:?}");
        let target = match root.open(path, OFlags::PATH) {
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            result => result.during("masked paths", what)?,
        };
        let (likely, other) = match FOLDERS.contains(&path.as_str()) {
            true => (&mut folders, &mut files),
            false => (&mut files, &mut folders),
        };
        match likely.put(&target) {
            // It is of the other kind.
            Err(Errno::INVAL | Errno::NOTDIR) => other.put(&target),
            result => result,
        }
        .during("masked paths", what)?;
        keep(target);
    }
    files.leave();
    folders.leave();
    Ok(())
}

/// One object to cover paths with: as many mounts of it as were made before, then copies of one that is attached (only what is
/// attached can be copied, before Linux 6.15).
struct Cover {
    ready: Vec<OwnedFd>,
    attached: Option<OwnedFd>,
}

impl Cover {
    fn new(ready: Vec<OwnedFd>) -> Self {
        Self { ready, attached: None }
    }

    fn put(&mut self, target: impl AsFd) -> Result<(), Errno> {
        let mount = match (self.ready.pop(), &self.attached) {
            (Some(mount), _) => mount,
            (None, Some(attached)) => filesystem::clone_tree(attached, Path::new(""), false, true)?,
            (None, None) => return Err(Errno::BADF),
        };
        if let Err(error) = filesystem::attach(&mount, target) {
            self.ready.push(mount);
            return Err(error);
        }
        if let Some(attached) = self.attached.replace(mount) {
            keep(attached);
        }
        Ok(())
    }

    fn leave(self) {
        self.ready.into_iter().chain(self.attached).for_each(keep);
    }
}

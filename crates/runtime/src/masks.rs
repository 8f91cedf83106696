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

/// Covers files by the null device and folders by an empty one. Missing ones are passed over.
pub fn mask(paths: &[String], root: &Root, null: &OwnedFd, empty: &OwnedFd) -> Result<()> {
    let (mut files, mut folders) = (Cover::new(null), Cover::new(empty));
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
    files.spare.into_iter().chain(folders.spare).for_each(keep);
    Ok(())
}

/// One object to cover paths with: the first time it is attached itself, then copies of it (only what is attached can be
/// copied, before Linux 6.15).
struct Cover<'a> {
    first: &'a OwnedFd,
    attached: bool,
    /// A copy that was refused by a path of the other kind.
    spare: Option<OwnedFd>,
}

impl<'a> Cover<'a> {
    fn new(first: &'a OwnedFd) -> Self {
        Self { first, attached: false, spare: None }
    }

    fn put(&mut self, target: impl AsFd) -> Result<(), Errno> {
        if !self.attached {
            filesystem::attach(self.first, target)?;
            self.attached = true;
            return Ok(());
        }
        let copy = match self.spare.take() {
            Some(spare) => spare,
            None => filesystem::clone_tree(self.first, Path::new(""), false, true)?,
        };
        match filesystem::attach(&copy, target) {
            Ok(()) => keep(copy),
            Err(error) => {
                self.spare = Some(copy);
                return Err(error);
            }
        }
        Ok(())
    }
}

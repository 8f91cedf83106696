//! A file system mounted at a folder of the host, as mount(8) would: for volumes that are devices. No container is involved.

use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::error::{During, LaunchError, Result};
use crate::filesystem::{New, attach};
use crate::mount_options::Options;

/// Mounts `source` (a device, an export, or any word where the type needs none) of type `fstype` at the folder `target`.
/// `options` are mount(8)'s, separated by commas.
///
/// # Errors
/// Names the file system and what the kernel says about it; nothing is mounted then.
pub fn mount_on_host(fstype: &str, source: &str, options: &str, target: &Path) -> Result<()> {
    let what = format!("mount {fstype} {source:?} on {}", target.display());
    let options = Options::parse(options.split(','));
    let bind_like = options.bind.is_some() || options.idmap.is_some() || options.copy_up;
    if bind_like || !options.propagation.is_empty() {
        let text = format!("{what}: bind, idmap, tmpcopyup and propagation are no options of a file system");
        return Err(LaunchError::other("mount", text));
    }
    let mut settings = options.data;
    settings.extend(options.superblock.into_iter().map(|flag| (flag, None)));
    let (attributes, source) = (options.set | options.recursive_set, Some(source));
    let mount = New { fstype, source, options: &settings, attributes, what: &what }.create()?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(target, flags, Mode::empty()).during("mount", || what.clone())?;
    attach(mount, folder).during("mount", || what.clone())
}

//! The container's /dev: device nodes and the links that every program expects (config-linux.md, "Default Devices",
//! runtime-linux.md, "Dev symbolic links").

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid, makedev};
use rustix::io::Errno;

use crate::error::{During, Result};
use crate::filesystem;
use crate::plan::{Device, DeviceNode, LaunchPlan};
use crate::root::Root;

const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Nodes below /dev and links in `dev`, a folder with nothing in it but what we put there. Runs with an umask of zero.
pub fn populate(plan: &LaunchPlan, dev: &OwnedFd) -> Result<()> {
    for device in &plan.devices {
        let Some(name) = device.path.strip_prefix("/dev/") else { continue };
        let mut parent = String::new();
        for part in name.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev() {
            parent.push_str(part);
            match rustix::fs::mkdirat(dev, &parent, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error).during("dev", || format!("create device {}", device.path)),
            }
            parent.push('/');
        }
        node(dev, name, device).during("dev", || format!("create device {}", device.path))?;
    }
    links(dev)
}

/// The links, in /dev. What the image or a volume has under that name stays.
pub fn links(dev: impl AsFd) -> Result<()> {
    for (name, target) in LINKS {
        match rustix::fs::symlinkat(target, &dev, name) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error).during("dev", || format!("create link /dev/{name}")),
        }
    }
    Ok(())
}

/// What the launcher could not prepare: nodes outside of /dev, or all of them.
pub fn rest(plan: &LaunchPlan, root: &Root, populated: bool, host: &[(String, OwnedFd)]) -> Result<()> {
    for device in &plan.devices {
        if populated && device.path.starts_with("/dev/") {
            continue;
        }
        let what = || format!("create device {}", device.path);
        let (folder, name) = root.parent(&device.path).during("dev", what)?;
        match node(&folder, name, device) {
            // Nodes cannot be made in a user namespace; those of the host can be used.
            Err(Errno::PERM) => match host.iter().find(|(path, _)| *path == device.path) {
                Some((path, node)) => {
                    let target = root.file(path).during("dev", what)?;
                    filesystem::attach(node, target).during("dev", what)?;
                }
                None => return Err(Errno::PERM).during("dev", what),
            },
            result => result.during("dev", what)?,
        }
    }
    if plan.populate_dev && !populated {
        links(root.folder("/dev").during("dev", || "create /dev".to_owned())?)?;
    }
    Ok(())
}

fn node(folder: &OwnedFd, name: &str, device: &Device) -> Result<(), Errno> {
    let (kind, number) = match device.kind {
        DeviceNode::Character(major, minor) => (FileType::CharacterDevice, makedev(major, minor)),
        DeviceNode::Block(major, minor) => (FileType::BlockDevice, makedev(major, minor)),
        DeviceNode::Fifo => (FileType::Fifo, 0),
    };
    match rustix::fs::mknodat(folder, name, kind, Mode::from_raw_mode(device.mode), number) {
        Ok(()) => {}
        // A volume may bring its own.
        Err(Errno::EXIST) => return Ok(()),
        Err(error) => return Err(error),
    }
    if device.uid != 0 || device.gid != 0 {
        let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
        rustix::fs::chownat(folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

/// Whether `path` of the host is that device.
pub fn is_same(path: &Path, device: &Device) -> bool {
    let Ok(stat) = rustix::fs::lstat(path) else { return false };
    let expected = match device.kind {
        DeviceNode::Character(major, minor) => (FileType::CharacterDevice, makedev(major, minor)),
        DeviceNode::Block(major, minor) => (FileType::BlockDevice, makedev(major, minor)),
        DeviceNode::Fifo => return false,
    };
    (FileType::from_raw_mode(stat.st_mode), stat.st_rdev) == expected
}

/// Whether the file behind `fd` is the null device.
pub fn is_null(fd: impl AsFd) -> bool {
    let Ok(stat) = rustix::fs::fstat(fd) else { return false };
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == makedev(1, 3)
}

/// The file for the terminal's console, made if missing. A link could lead to a file that must not be covered (CVE-2025-52565).
pub fn console(root: &Root) -> Result<OwnedFd, Errno> {
    match root.open_ordinary("/dev/console", OFlags::PATH) {
        Err(Errno::NOENT) => root.file("/dev/console"),
        result => result,
    }
}

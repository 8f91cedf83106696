//! User namespaces from outside: writing the mappings of a process, and namespaces that only carry a mapping (for id-mapped
//! mounts).

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};

use crate::error::{During, LaunchError, Result};
use crate::plan::IdMapping;

/// Writes the mappings of `pid`, which has just been cloned into a new user namespace. The launcher is privileged in the parent
/// namespace, so the kernel takes any mapping and groups may be set inside.
pub fn write_mappings(pid: i32, uid: &[IdMapping], gid: &[IdMapping]) -> Result<()> {
    for (file, mappings) in [("uid_map", uid), ("gid_map", gid)] {
        let lines: String = mappings
            .iter()
            .map(|mapping| format!("{} {} {}\n", mapping.container, mapping.host, mapping.size))
            .collect();
        let path = format!("/proc/{pid}/{file}");
        std::fs::write(&path, lines).during("user namespace", || format!("write {file} of the container"))?;
    }
    Ok(())
}

/// The user namespace of a process.
pub fn of(pid: i32) -> Result<OwnedFd> {
    rustix::fs::open(format!("/proc/{pid}/ns/user"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .during("user namespace", || "open the user namespace of the container".to_owned())
}

/// A user namespace with these mappings and nobody in it.
pub fn with_mappings(uid: &[IdMapping], gid: &[IdMapping]) -> Result<OwnedFd> {
    let what = || "make a user namespace for an idmapped mount".to_owned();
    let (reader, writer) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).during("user namespace", what)?;
    let mut writer = Some(writer);
    let child = sys::clone3(sys::clone::NEWUSER, None, || {
        drop(writer.take());
        // Lives until the launcher has what it needs, or is gone.
        let _ = rustix::io::read(&reader, &mut [0; 1]);
        0
    })
    .during("user namespace", what)?;
    let namespace = write_mappings(child.pid, uid, gid).and_then(|()| of(child.pid));
    drop(writer);
    let id = rustix::process::WaitId::PidFd(std::os::fd::AsFd::as_fd(&child.pidfd));
    while let Err(error) = rustix::process::waitid(id.clone(), rustix::process::WaitIdOptions::EXITED) {
        if error != rustix::io::Errno::INTR {
            return Err(LaunchError::other("user namespace", what()));
        }
    }
    namespace
}

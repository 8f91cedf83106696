//! Executing ourselves again through a read-only mount that is attached nowhere, before a container comes near this process: its
//! programs may reach our image as `/proc/self/exe` and, later, write to it (CVE-2019-5736). Costs one `execve`, which also
//! leaves behind every descriptor of the caller that is nobody's business.

use std::os::fd::OwnedFd;

use rustix::fs::StatVfsMountFlags;
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

use super::failure::{Failure, Result};
use super::unprivileged;

const EXECUTABLE: &str = "/proc/self/exe";

/// Returns in the sealed process. The caller's descriptors from 3 on, so many as `preserve`, stay open. `entered`: this process is
/// in the container's user namespace by now.
pub fn seal(preserve: u32, entered: bool) -> Result<()> {
    let doing = || "protect the runtime's own executable".to_owned();
    let mount = rustix::fs::statvfs(EXECUTABLE).map_err(Failure::io(doing()))?;
    if mount.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    let sealed = read_only().map_err(Failure::io(doing())).map_err(|failure| match runtime::refusal() {
        Some(why) => failure.followed_by(why),
        None => failure,
    })?;
    let strings = |strings: Vec<Vec<u8>>| {
        sys::exec::Strings::new(strings).map_err(|_| Failure::usage("an argument contains a NUL byte"))
    };
    use std::os::unix::ffi::OsStringExt;
    let arguments = strings(std::env::args_os().map(OsStringExt::into_vec).collect())?;
    let variable = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        [name.into_vec(), value.into_vec()].join(&b'=')
    };
    let mut environment: Vec<Vec<u8>> = std::env::vars_os().map(variable).collect();
    environment.retain(|variable| !variable.starts_with(unprivileged::MARK.as_bytes()));
    environment.extend(unprivileged::mark().filter(|_| entered).map(String::into_bytes));
    let environment = strings(environment)?;
    sys::exec::close_on_exec_from(3 + preserve).map_err(Failure::io(doing()))?;
    Err(Failure::io(doing())(sys::exec::fexecve(&sealed, &arguments, &environment)))
}

fn read_only() -> std::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = match open_tree(rustix::fs::CWD, EXECUTABLE, flags) {
        // The link leads into the mount namespace that this process began in.
        Err(Errno::INVAL) => {
            let mount = open_tree(rustix::fs::CWD, std::fs::read_link(EXECUTABLE)?, flags)?;
            let (found, own) = (rustix::fs::fstat(&mount)?, rustix::fs::stat(EXECUTABLE)?);
            if (found.st_dev, found.st_ino) != (own.st_dev, own.st_ino) {
                return Err(Errno::NOENT.into());
            }
            mount
        }
        result => result?,
    };
    let read_only = sys::mount::Attributes { set: sys::mount::attr::RDONLY, ..Default::default() };
    sys::mount::setattr(&mount, c"", read_only)?;
    Ok(mount)
}

//! Executing ourselves again through a read-only mount that is attached nowhere, before a container comes near this process: its
//! programs may reach our image as `/proc/self/exe` and, later, write to it (CVE-2019-5736). Costs one `execve`, which also
//! leaves behind every descriptor, and every variable, of the caller that is nobody's business: a process on its way into a container
//! is a copy of this one.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;

use runtime::Outside;
use rustix::fs::StatVfsMountFlags;
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

use super::failure::{Failure, Result};
use super::unprivileged;

const EXECUTABLE: &str = "/proc/self/exe";

/// The variables that this role reads.
const KNOWN: [&str; 8] = [
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "DBUS_SYSTEM_BUS_ADDRESS",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    unprivileged::MARK,
    unprivileged::OUTSIDE,
];

fn is_known(name: &OsStr) -> bool {
    KNOWN.iter().any(|known| name == *known)
}

/// Returns in the sealed process. The caller's descriptors from 3 on, so many as `preserve`, stay open. `entered`: this process is
/// in the container's user namespace by now, and `outside` runs hooks where it came from.
pub fn seal(preserve: u32, entered: bool, outside: Option<&Outside>) -> Result<()> {
    let doing = || "protect the runtime's own executable".to_owned();
    let mount = rustix::fs::statvfs(EXECUTABLE).map_err(Failure::io(doing()))?;
    let is_clean = std::env::vars_os().all(|(name, _)| is_known(&name));
    if mount.f_flag.contains(StatVfsMountFlags::RDONLY) && is_clean {
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
    let is_our_own = |name: &OsStr| name == unprivileged::MARK || name == unprivileged::OUTSIDE;
    let known = std::env::vars_os().filter(|(name, _)| is_known(name) && !is_our_own(name));
    let mut environment: Vec<Vec<u8>> = known.map(variable).collect();
    environment.extend(unprivileged::mark().filter(|_| entered).map(String::into_bytes));
    sys::exec::close_on_exec_from(3 + preserve).map_err(Failure::io(doing()))?;
    if let Some(outside) = outside {
        let number = outside.hand_over().map_err(runtime::bundle::Error::from)?;
        environment.push(format!("{}={number}", unprivileged::OUTSIDE).into_bytes());
    }
    let environment = strings(environment)?;
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

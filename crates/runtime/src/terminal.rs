//! A terminal of the container: made from its own devpts, so that its name means the same inside and `tty` finds it.

use std::os::fd::OwnedFd;

use rustix::fs::OFlags;
use rustix::pty::OpenptFlags;

use crate::error::{During, LaunchError, Result};
use crate::root::Root;

const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;

/// Both ends.
pub struct Terminal {
    pub master: OwnedFd,
    pub slave: OwnedFd,
}

/// Opens a new terminal of `rows` and `columns`.
pub fn open(root: &Root, size: Option<(u16, u16)>) -> Result<Terminal> {
    let what = || "open a terminal in /dev/pts of the container".to_owned();
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let master = root.open_ordinary("/dev/pts/ptmx", flags).during("terminal", what)?;
    // A file of the image would be a terminal of whose making we know nothing.
    if rustix::fs::fstatfs(&master).during("terminal", what)?.f_type as i64 != DEVPTS_SUPER_MAGIC {
        return Err(LaunchError::other("terminal", format!("{}: it is not devpts", what())));
    }
    rustix::pty::unlockpt(&master).during("terminal", what)?;
    // The peer by ioctl: no path that could be something else by now.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).during("terminal", what)?;
    if let Some((rows, columns)) = size {
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, size).during("terminal", what)?;
    }
    Ok(Terminal { master, slave })
}

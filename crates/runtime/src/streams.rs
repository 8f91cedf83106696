//! Standard streams on their way into the new process.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, Uid};
use rustix::io::Errno;

use crate::channel::above_stdio;
use crate::error::{During, Result};
use crate::terminal::Terminal;
use crate::{Stdio, devices};

/// What becomes descriptors 0, 1 and 2.
pub enum Streams {
    /// These.
    Three([OwnedFd; 3]),
    /// The ones that are there.
    Inherited,
    /// A terminal's slave.
    Terminal,
}

/// Opens what is missing; runs in the launcher.
pub fn prepare(stdio: Stdio) -> Result<Streams> {
    let what = || "prepare the standard streams".to_owned();
    let null = || -> std::io::Result<OwnedFd> {
        let fd = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        above_stdio(fd)
    };
    let streams = match stdio {
        Stdio::Pipes { stdin, stdout, stderr } => {
            let stdin = stdin.map_or_else(null, above_stdio).during("streams", what)?;
            let out = above_stdio(stdout).during("streams", what)?;
            Streams::Three([stdin, out, above_stdio(stderr).during("streams", what)?])
        }
        Stdio::Null => {
            let mut three = [null(), null(), null()].into_iter();
            let mut next = || three.next().unwrap_or_else(null).during("streams", what);
            Streams::Three([next()?, next()?, next()?])
        }
        Stdio::Terminal => Streams::Terminal,
        Stdio::Inherit => Streams::Inherited,
    };
    Ok(streams)
}

/// Starts a session, with the installed terminal if there is one; runs in the child.
pub fn begin_session(terminal: bool) -> Result<()> {
    rustix::process::setsid().during("streams", || "start a session".to_owned())?;
    if terminal {
        rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())
            .during("streams", || "set the controlling terminal".to_owned())?;
    }
    Ok(())
}

/// Puts the streams in their places; runs in the child.
pub fn install(streams: &Streams, terminal: Option<&Terminal>) -> Result<()> {
    let what = || "set up the standard streams".to_owned();
    if let Some(terminal) = terminal {
        duplicate([terminal.slave.as_fd(); 3]).during("streams", what)?;
    } else if let Streams::Three([stdin, stdout, stderr]) = streams {
        duplicate([stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]).during("streams", what)?;
    }
    Ok(())
}

fn duplicate(fds: [BorrowedFd<'_>; 3]) -> Result<(), Errno> {
    rustix::stdio::dup2_stdin(fds[0])?;
    rustix::stdio::dup2_stdout(fds[1])?;
    rustix::stdio::dup2_stderr(fds[2])
}

/// Gives the streams to the user that is going to run, who could not open /dev/stdout otherwise. A device of the host stays
/// as it is.
pub fn give_to(uid: u32) -> Result<()> {
    for fd in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        let Ok(stat) = rustix::fs::fstat(fd) else { continue };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if stat.st_uid == uid || kind == FileType::RegularFile || devices::is_null(fd) {
            continue;
        }
        match rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), None) {
            // An owner that the user namespace does not know, or a read-only file system: as well as it goes.
            Ok(()) | Err(Errno::INVAL | Errno::PERM | Errno::ROFS) => {}
            Err(error) => {
                return Err(error).during("streams", || format!("give descriptor {} away", fd.as_raw_fd()));
            }
        }
    }
    Ok(())
}

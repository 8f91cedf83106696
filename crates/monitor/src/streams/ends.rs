//! Both ends of a process's standard streams: those for the process, and those that the monitor keeps.

use std::io;
use std::os::fd::OwnedFd;

use runtime::Stdio;
use rustix::pipe::{PipeFlags, pipe_with};

/// What streams a process gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A terminal; `input`: clients may type.
    Terminal { input: bool },
    /// Pipes; without `input` standard input is /dev/null.
    Pipes { input: bool },
    /// /dev/null.
    Null,
}

/// The monitor's ends.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    pub tty: bool,
    pub stdin: Option<OwnedFd>,
    pub stdout: Option<OwnedFd>,
    pub stderr: Option<OwnedFd>,
}

impl Ends {
    /// Makes the pipes. A terminal is made by the runtime, since it belongs to the container's devpts: add it by
    /// [`Self::with_terminal`].
    pub fn open(kind: Kind) -> io::Result<(Stdio, Self)> {
        match kind {
            Kind::Terminal { .. } => Ok((Stdio::Terminal, Self { tty: true, ..Self::default() })),
            Kind::Null => Ok((Stdio::Null, Self::default())),
            Kind::Pipes { input } => {
                let (stdin, our_stdin) =
                    if input { pipe().map(|(r, w)| (Some(r), Some(w)))? } else { (None, None) };
                let (our_stdout, stdout) = pipe()?;
                let (our_stderr, stderr) = pipe()?;
                let ends =
                    Self { tty: false, stdin: our_stdin, stdout: Some(our_stdout), stderr: Some(our_stderr) };
                Ok((Stdio::Pipes { stdin, stdout, stderr }, ends))
            }
        }
    }

    /// Adds the master of the terminal that the runtime made.
    pub fn with_terminal(mut self, master: Option<OwnedFd>, kind: Kind) -> io::Result<Self> {
        if let (Some(master), Kind::Terminal { input }) = (master, kind) {
            // Two descriptors, because one descriptor is watched for one thing.
            self.stdin = if input { Some(rustix::io::fcntl_dupfd_cloexec(&master, 3)?) } else { None };
            self.stdout = Some(master);
        }
        Ok(self)
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe_with(PipeFlags::CLOEXEC)?)
}

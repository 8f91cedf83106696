//! Finding and executing the program by the rules, and with the words, of Go's `os/exec`, which Docker's users know.

use std::ffi::CString;
use std::io;

use rustix::fs::{Access, AtFlags, FileType};

use crate::error::{LaunchError, LaunchErrorKind, Result, reason};
use crate::identity::Identity;
use crate::plan::Process;

/// All that `execve` takes.
pub struct Program {
    name: String,
    /// Where it may be, in order.
    candidates: Vec<CString>,
    arguments: sys::exec::Strings,
    environment: sys::exec::Strings,
}

impl Program {
    /// Gathers strings; looks at no file yet.
    pub fn prepare(process: &Process, identity: &Identity) -> Result<Self> {
        let invalid = |_| LaunchError::other("exec", "an argument or variable contains a NUL byte");
        let name = process.args.first().cloned().unwrap_or_default();
        let variable = |name: &str| process.env.iter().rev().find_map(|entry| entry.strip_prefix(name));
        let home = identity.home.as_ref().filter(|_| variable("HOME=").is_none());
        let environment = process.env.iter().cloned().chain(home.map(|home| format!("HOME={home}")));
        let candidates: Vec<String> = if name.contains('/') {
            vec![name.clone()]
        } else {
            // Go refuses what it finds by a relative entry.
            let folders =
                variable("PATH=").unwrap_or_default().split(':').filter(|folder| folder.starts_with('/'));
            folders.filter(|_| !name.is_empty()).map(|folder| format!("{folder}/{name}")).collect()
        };
        Ok(Self {
            candidates: candidates
                .into_iter()
                .map(CString::new)
                .collect::<Result<_, _>>()
                .map_err(invalid)?,
            arguments: sys::exec::Strings::new(process.args.iter().map(String::as_str)).map_err(invalid)?,
            environment: sys::exec::Strings::new(environment).map_err(invalid)?,
            name,
        })
    }

    /// Looks whether there is such a program: the error that [`Self::execute`] would give if not.
    pub fn check(&self) -> Result<()> {
        if self.candidates.iter().any(|path| is_executable(path).is_ok()) {
            return Ok(());
        }
        Err(self.missing())
    }

    /// Becomes the program; returns only when that fails. Trying is cheaper than looking first, and has no gap in between.
    pub fn execute(&self) -> LaunchError {
        let mut found = None;
        for candidate in &self.candidates {
            let error = sys::exec::execve(candidate, &self.arguments, &self.environment);
            if is_executable(candidate).is_ok() {
                found = Some((candidate, error));
                break;
            }
        }
        // It is there and may be executed: its interpreter is missing, or it is made for another machine.
        if let Some((path, error)) = found {
            let kind = match error.kind() {
                io::ErrorKind::NotFound => LaunchErrorKind::NotFound,
                _ => LaunchErrorKind::NotExecutable,
            };
            let path = path.to_string_lossy();
            return LaunchError::new(kind, "exec", format!("exec {path}: {}", reason(&error)));
        }
        self.missing()
    }

    fn missing(&self) -> LaunchError {
        match self.candidates.first() {
            Some(path) if self.name.contains('/') => self.no_such_path(path),
            _ => {
                let message = format!("exec: {:?}: executable file not found in $PATH", self.name);
                LaunchError::new(LaunchErrorKind::NotFound, "exec", message)
            }
        }
    }

    fn no_such_path(&self, path: &CString) -> LaunchError {
        match is_executable(path) {
            Err(Obstacle::Missing(error)) => {
                let kind = match error.kind() {
                    io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory => {
                        LaunchErrorKind::NotExecutable
                    }
                    _ => LaunchErrorKind::NotFound,
                };
                let message = format!("exec: {:?}: stat {}: {}", self.name, self.name, reason(&error));
                LaunchError::new(kind, "exec", message)
            }
            Err(Obstacle::Folder) => {
                let message = format!("exec: {:?}: is a directory", self.name);
                LaunchError::new(LaunchErrorKind::NotExecutable, "exec", message)
            }
            _ => {
                let message = format!("exec: {:?}: permission denied", self.name);
                LaunchError::new(LaunchErrorKind::NotExecutable, "exec", message)
            }
        }
    }
}

enum Obstacle {
    Missing(io::Error),
    Folder,
    Forbidden,
}

fn is_executable(path: &CString) -> Result<(), Obstacle> {
    let stat = rustix::fs::stat(path.as_c_str()).map_err(|error| Obstacle::Missing(error.into()))?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(Obstacle::Folder);
    }
    rustix::fs::accessat(rustix::fs::CWD, path.as_c_str(), Access::EXEC_OK, AtFlags::EACCESS)
        .map_err(|_| Obstacle::Forbidden)
}

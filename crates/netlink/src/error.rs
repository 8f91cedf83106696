//! The one error of netlink: what was being done, the kernel's number, and the kernel's own words where it has some.

use std::fmt;

use rustix::io::Errno;

/// A request that the kernel refused, or a socket that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    action: String,
    errno: Errno,
    detail: Option<String>,
}

impl Error {
    pub(crate) fn new(action: impl Into<String>, errno: Errno, detail: Option<String>) -> Self {
        Self { action: action.into(), errno, detail }
    }

    /// The kernel's reason.
    pub fn errno(&self) -> Errno {
        self.errno
    }

    /// Whether the thing to be made is there already.
    pub fn is_exists(&self) -> bool {
        self.errno == Errno::EXIST
    }

    /// Whether the thing to be changed is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self.errno, Errno::NOENT | Errno::NODEV | Errno::NXIO | Errno::SRCH | Errno::ADDRNOTAVAIL)
    }

    /// Whether there is no way to an address.
    pub fn is_unreachable(&self) -> bool {
        matches!(self.errno, Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::ACCESS | Errno::INVAL)
    }

    /// Whether this kernel has no such thing.
    pub fn is_unsupported(&self) -> bool {
        self.errno == Errno::OPNOTSUPP
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // rustix prints "File exists (os error 17)": the number says nothing more to a reader.
        let text = self.errno.to_string();
        let text = text.split(" (os error").next().unwrap_or(&text);
        write!(f, "{}: {text}", self.action)?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

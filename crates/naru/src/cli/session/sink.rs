//! One of our own output streams, written without stopping everything else while its reader is slow: the same thread also
//! passes signals on.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::FileType;

/// A pipe that polls as writable takes at least this much without blocking (POSIX's `PIPE_BUF`); a terminal takes it too.
const PIECE: usize = 4096;

/// An output stream.
pub struct Sink {
    fd: BorrowedFd<'static>,
    /// Files never block, or always.
    is_file: bool,
    /// Otherwise what is written is thrown away.
    wanted: bool,
}

impl Sink {
    /// For one of the standard streams.
    pub fn new(fd: BorrowedFd<'static>, wanted: bool) -> Self {
        let is_file = rustix::fs::fstat(fd)
            .is_ok_and(|stat| matches!(FileType::from_raw_mode(stat.st_mode), FileType::RegularFile));
        Self { fd, is_file, wanted }
    }

    /// Writes all of it.
    pub async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if !self.wanted {
            return Ok(());
        }
        while !bytes.is_empty() {
            if !self.is_file && !is_writable(self.fd)? {
                let fd = self.fd;
                tokio::task::spawn_blocking(move || wait(fd)).await.map_err(io::Error::other)??;
            }
            let piece = if self.is_file { bytes } else { &bytes[..bytes.len().min(PIECE)] };
            match rustix::io::write(self.fd, piece) {
                Ok(count) => bytes = &bytes[count..],
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// A broken pipe counts as writable: the write says so.
fn is_writable(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(rustix::event::poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], Some(&Timespec::default()))?
        > 0)
}

fn wait(fd: BorrowedFd<'_>) -> io::Result<()> {
    loop {
        match rustix::event::poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], None) {
            Err(rustix::io::Errno::INTR) => {}
            outcome => return outcome.map(drop).map_err(Into::into),
        }
    }
}

//! Signals to this process, as a stream: blocked and read from a descriptor, all of them with two system calls. Installing a
//! handler for each would cost as much as the rest of a command's start.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// `SIGWINCH`.
pub const WINCH: i32 = 28;
/// Not the container's business: our own children, pipes and sockets.
const OURS: [i32; 3] = [13, 17, 23];

/// All catchable signals from now on; they no longer do what they did.
pub struct Signals {
    fd: AsyncFd<OwnedFd>,
}

impl Signals {
    /// Catches signals. Must come before other threads are started: they inherit what is blocked.
    pub fn catch() -> io::Result<Self> {
        // The kernel leaves out KILL and STOP by itself, and 32 and 33 belong to the C library.
        let wanted = (1..=64).filter(|signal| !OURS.contains(signal) && ![32, 33].contains(signal));
        let set = wanted.fold(0, |set, signal| set | sys::signal::bit(signal));
        sys::signal::block(set, true)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe; an owned descriptor stays open as long as it is registered"
        )]
        let fd = AsyncFd::with_interest(sys::signal::fd(set)?, Interest::READABLE)?;
        Ok(Self { fd })
    }

    /// The next signal.
    pub async fn next(&self) -> i32 {
        loop {
            let Ok(mut ready) = self.fd.readable().await else {
                return std::future::pending().await;
            };
            match sys::signal::read_fd(self.fd.get_ref()) {
                Ok(Some(signal)) => return signal,
                _ => ready.clear_ready(),
            }
        }
    }
}

//! What the kernel tells of a socket's queues.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Whether the peer of a unix socket has read all that was written to it (`SIOCOUTQ`, unix(7)).
pub fn is_read_by_peer(socket: impl AsFd) -> io::Result<bool> {
    let mut unread: libc::c_int = 0;
    // SAFETY: the call writes one int to a live place.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut unread) };
    match result {
        // While a buffer is being given back the kernel still counts one: what is really unread is counted in whole buffers.
        0 => Ok(unread <= 1),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_is_written_is_unread_until_it_is_read() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        assert!(super::is_read_by_peer(&ours).unwrap());
        ours.write_all(b"ab").unwrap();
        assert!(!super::is_read_by_peer(&ours).unwrap());
        theirs.read_exact(&mut [0]).unwrap();
        assert!(!super::is_read_by_peer(&ours).unwrap());
        theirs.read_exact(&mut [0]).unwrap();
        assert!(super::is_read_by_peer(&ours).unwrap());
    }
}

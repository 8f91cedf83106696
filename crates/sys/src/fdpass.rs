//! Bytes and file descriptors over a Unix stream socket (`SCM_RIGHTS`). Received descriptors are close-on-exec from the start,
//! so a clone in between cannot leak them. Keeps no state: framing is the caller's.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

/// The kernel's limit of descriptors in one message (`SCM_MAX_FD`).
pub const MAX_FDS: usize = 253;

/// The numbers of `recvmsg(2)` and `sendmsg(2)`, by which [`recv`] receives and [`send`] sends, for those who ask a filter about them.
pub const RECV: u32 = libc::SYS_recvmsg as u32;
/// See [`RECV`].
pub const SEND: u32 = libc::SYS_sendmsg as u32;

const SPACE: usize = rustix::cmsg_space!(ScmRights(MAX_FDS));

/// Sends all of `bytes`; `fds` travel with the first of them. A stream socket needs at least one byte to carry descriptors.
///
/// Blocks on a blocking socket. On a non-blocking one `WouldBlock` before the first byte is returned as it is (nothing was sent);
/// after the first byte the call waits for room, because the descriptors are gone and a half frame helps nobody.
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if bytes.is_empty() && !fds.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "descriptors need at least one byte to travel with",
        ));
    }
    let mut rest = bytes;
    let mut first = true;
    while !rest.is_empty() {
        let mut space = [MaybeUninit::uninit(); SPACE];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if first && !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one message"));
        }
        match rustix::net::sendmsg(&socket, &[IoSlice::new(rest)], &mut control, SendFlags::NOSIGNAL) {
            Ok(sent) => {
                rest = &rest[sent..];
                first = false;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) if !first => wait_writable(&socket)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn wait_writable(socket: &impl AsFd) -> io::Result<()> {
    let mut poll = [rustix::event::PollFd::new(socket, rustix::event::PollFlags::OUT)];
    match rustix::event::poll(&mut poll, None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Receives up to `buffer.len()` bytes and the descriptors that came with them. `(0, [])` is the end of the stream.
///
/// A message whose descriptors did not fit (the process is at its limit) is an error: a request that silently lost a
/// descriptor would do the wrong thing later.
pub fn recv(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = loop {
        let mut slices = [IoSliceMut::new(&mut *buffer)];
        match rustix::net::recvmsg(&socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(message) => break message,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::other("descriptors of a message were cut off: too many open files"));
    }
    Ok((message.bytes, fds))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn bytes_and_descriptors_arrive_together() {
        let (left, right) = UnixStream::pair().unwrap();
        let (mut reader, mut writer) = io::pipe().unwrap();
        send(&left, b"hello", &[writer.as_fd()]).unwrap();
        send(&left, b" again", &[]).unwrap();
        let mut buffer = [0; 64];
        let (count, fds) = recv(&right, &mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"hello");
        assert_eq!(fds.len(), 1);
        assert!(rustix::io::fcntl_getfd(&fds[0]).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        writer.write_all(b"x").unwrap();
        drop((writer, fds));
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        let (count, fds) = recv(&right, &mut buffer).unwrap();
        assert_eq!((&buffer[..count], fds.len()), (&b" again"[..], 0));
        drop(left);
        assert_eq!(recv(&right, &mut buffer).unwrap().0, 0);
    }

    #[test]
    fn descriptors_alone_are_refused() {
        let (left, _right) = UnixStream::pair().unwrap();
        assert_eq!(send(&left, b"", &[left.as_fd()]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}

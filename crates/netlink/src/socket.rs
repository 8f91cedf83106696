//! A netlink socket: one batch of requests per send, answers until the last one is acknowledged, dumps that start again when
//! they were interrupted. Belongs to the network namespace in which it was opened, whatever thread uses it later.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{self, AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::wire::{Messages, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN, Received};
use crate::{Error, Result};

/// The kernel sends dumps in pieces of up to 32 KiB; acknowledgements are small.
const RECEIVE: usize = 64 * 1024;

/// Asked again this often when the table changed under a dump.
const DUMP_ATTEMPTS: usize = 16;

#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace.
    pub(crate) fn open(protocol: Option<Protocol>) -> Result<Self> {
        let fail = |errno| Error::new("open netlink socket", errno, None);
        let fd = net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
            .map_err(fail)?;
        net::bind(&fd, &SocketAddrNetlink::new(0, 0)).map_err(fail)?;
        // Without them errors lack the kernel's text: not a reason to fail.
        let _ = sys::netlink::short_acks_with_text(&fd);
        Ok(Self { fd, sequence: 0, buffer: Vec::new() })
    }

    pub(crate) fn join_group(&self, group: u32) -> Result<()> {
        sys::netlink::join_group(&self.fd, group)
            .map_err(|error| Error::new(format!("join netlink group {group}"), errno_of(&error), None))
    }

    /// Sends everything at once and waits until the kernel has worked it off. The failures, with the message's index.
    ///
    /// `acknowledged` is the message whose acknowledgement means that all before it are done: normally the last.
    pub(crate) fn run(
        &mut self,
        messages: &mut Messages,
        acknowledged: usize,
    ) -> Result<Vec<(usize, Error)>> {
        let first = self.reserve(messages.count());
        let last = first.wrapping_add(u32::try_from(acknowledged).unwrap_or(u32::MAX));
        let bytes = messages.seal(first, Some(acknowledged));
        self.send(bytes).map_err(|errno| Error::new(messages.action(0), errno, None))?;

        let mut failures = Vec::new();
        loop {
            let action = || messages.action(acknowledged).to_owned();
            self.receive().map_err(|errno| Error::new(action(), errno, None))?;
            for received in Received::all(&self.buffer) {
                // Answers to a batch that was given up stay in the queue; their numbers tell them apart.
                let index = received.sequence.wrapping_sub(first) as usize;
                if received.kind != NLMSG_ERROR || index >= messages.count() {
                    continue;
                }
                if let Err((errno, detail)) = received.status() {
                    failures.push((index, Error::new(messages.action(index), errno, detail)));
                }
                if received.sequence == last {
                    return Ok(failures);
                }
            }
        }
    }

    /// Sends one request and gives every answer to `each`, until the end of the dump or, for a plain request, the one answer.
    /// `restart` forgets what an interrupted dump gave.
    pub(crate) fn ask<T>(
        &mut self,
        messages: &mut Messages,
        dump: bool,
        mut each: impl FnMut(&Received<'_>) -> Option<T>,
    ) -> Result<Vec<T>> {
        let fail = |messages: &Messages, errno, detail| Error::new(messages.action(0), errno, detail);
        'attempt: for _ in 0..DUMP_ATTEMPTS {
            let first = self.reserve(1);
            let bytes = messages.seal(first, None);
            self.send(bytes).map_err(|errno| fail(messages, errno, None))?;
            let mut found = Vec::new();
            let mut interrupted = false;
            loop {
                self.receive().map_err(|errno| fail(messages, errno, None))?;
                for received in Received::all(&self.buffer) {
                    if received.sequence != first {
                        continue;
                    }
                    interrupted |= received.flags & NLM_F_DUMP_INTR != 0;
                    match received.kind {
                        NLMSG_NOOP | NLMSG_OVERRUN => {}
                        NLMSG_ERROR | NLMSG_DONE => {
                            received.status().map_err(|(errno, detail)| fail(messages, errno, detail))?;
                            match interrupted {
                                true => continue 'attempt,
                                false => return Ok(found),
                            }
                        }
                        _ => {
                            found.extend(each(&received));
                            if !dump {
                                return Ok(found);
                            }
                        }
                    }
                }
            }
        }
        Err(fail(messages, Errno::INTR, Some("the table kept changing while it was read".to_owned())))
    }

    /// Waits for the next datagram (a notification, on a socket that joined a group) and forgets it. False when the wait was
    /// interrupted or messages were lost.
    pub(crate) fn wait(&mut self) -> bool {
        self.receive().is_ok()
    }

    /// Forgets every datagram that has arrived.
    pub(crate) fn drain(&mut self) {
        self.buffer.clear();
        self.buffer.reserve(RECEIVE);
        loop {
            match net::recv(&self.fd, spare_capacity(&mut self.buffer), RecvFlags::DONTWAIT) {
                // Some were lost, which needs no remembering either.
                Ok(_) | Err(Errno::INTR | Errno::NOBUFS) => self.buffer.clear(),
                Err(_) => return,
            }
        }
    }

    fn reserve(&mut self, count: usize) -> u32 {
        let first = self.sequence.wrapping_add(1);
        self.sequence = self.sequence.wrapping_add(u32::try_from(count).unwrap_or(u32::MAX));
        first
    }

    fn send(&self, bytes: &[u8]) -> std::result::Result<(), Errno> {
        let kernel = SocketAddrNetlink::new(0, 0);
        loop {
            match net::sendto(&self.fd, bytes, SendFlags::empty(), &kernel) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                // Past the socket's buffer: a large transaction. Twice its size holds it with the kernel's bookkeeping.
                Err(Errno::MSGSIZE | Errno::NOBUFS) => {
                    let size = u32::try_from(bytes.len().saturating_mul(2)).unwrap_or(u32::MAX);
                    sys::netlink::force_send_buffer(&self.fd, size).map_err(|error| errno_of(&error))?;
                    return net::sendto(&self.fd, bytes, SendFlags::empty(), &kernel).map(drop);
                }
                Err(errno) => return Err(errno),
            }
        }
    }

    fn receive(&mut self) -> std::result::Result<(), Errno> {
        self.buffer.clear();
        self.buffer.reserve(RECEIVE);
        loop {
            match net::recv(&self.fd, spare_capacity(&mut self.buffer), RecvFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

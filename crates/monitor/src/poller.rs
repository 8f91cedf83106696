//! epoll, level-triggered, with tokens that say whose descriptor it is. Owns registrations: what is dropped is taken out of the
//! set first, because a descriptor that some other process also holds (a client's socket, passed by the engine) would otherwise
//! go on reporting events after we closed it.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::event::Timespec;
pub(crate) use rustix::event::epoll::EventFlags;
use rustix::event::epoll::{self, CreateFlags, EventData};

/// Whose descriptor became ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// The signal descriptor.
    Signals,
    /// The listening `monitor.sock`.
    Listener,
    /// An engine's connection.
    Connection(u32),
    /// A session's stream.
    Stream(u32, Part),
    /// A session's client.
    Client(u32, u32),
    /// A client of a session that is over.
    Lingering(u32),
    /// The container's memory events.
    Oom,
    /// A published port that we serve.
    Relay(u32),
    /// One end of a relayed connection (or peer).
    RelayEnd(u32, Side),
    /// A descriptor of the name server.
    Names(u32),
}

/// A session's descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Input,
    Output,
    Error,
}

/// The ends of a relayed connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Outer,
    Inner,
}

/// Sessions are numbered from 1 and never reach this.
const SESSION_BITS: u64 = (1 << 24) - 1;

impl Token {
    fn pack(self) -> u64 {
        let (kind, high, low) = match self {
            Self::Signals => (0, 0, 0),
            Self::Listener => (1, 0, 0),
            Self::Connection(key) => (2, 0, key),
            Self::Stream(session, part) => (3, session, part as u32),
            Self::Client(session, client) => (4, session, client),
            Self::Oom => (5, 0, 0),
            Self::Relay(key) => (6, 0, key),
            Self::RelayEnd(key, side) => (7, side as u32, key),
            Self::Lingering(key) => (8, 0, key),
            Self::Names(key) => (9, 0, key),
        };
        (kind << 56) | ((u64::from(high) & SESSION_BITS) << 32) | u64::from(low)
    }

    fn unpack(packed: u64) -> Option<Self> {
        let (high, low) = (((packed >> 32) & SESSION_BITS) as u32, packed as u32);
        Some(match packed >> 56 {
            0 => Self::Signals,
            1 => Self::Listener,
            2 => Self::Connection(low),
            3 => Self::Stream(high, [Part::Input, Part::Output, Part::Error].get(low as usize).copied()?),
            4 => Self::Client(high, low),
            5 => Self::Oom,
            6 => Self::Relay(low),
            7 => Self::RelayEnd(low, if high == 0 { Side::Outer } else { Side::Inner }),
            8 => Self::Lingering(low),
            9 => Self::Names(low),
            _ => return None,
        })
    }
}

/// The set of watched descriptors. Clones are the same set.
#[derive(Debug, Clone)]
pub(crate) struct Poller {
    epoll: Rc<OwnedFd>,
}

/// How many events one wait returns at most.
const BATCH: usize = 32;

impl Poller {
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: Rc::new(epoll::create(CreateFlags::CLOEXEC)?) })
    }

    /// Waits for events, or until `timeout` has passed, and hands each to `handle`.
    pub fn wait(
        &self,
        timeout: Option<Duration>,
        mut handle: impl FnMut(Token, EventFlags),
    ) -> io::Result<()> {
        let timeout = timeout.map(|left| Timespec {
            tv_sec: left.as_secs().min(i32::MAX as u64) as _,
            tv_nsec: left.subsec_nanos().into(),
        });
        let mut space = [MaybeUninit::uninit(); BATCH];
        // epoll_wait counts whole milliseconds and rustix rounds up, so a deadline has passed when we wake for it.
        match epoll::wait(&*self.epoll, &mut space, timeout.as_ref()) {
            Ok((events, _)) => {
                for event in events {
                    if let Some(token) = Token::unpack(event.data.u64()) {
                        handle(token, event.flags);
                    }
                }
                Ok(())
            }
            Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A descriptor that is watched, or not at the moment.
#[derive(Debug)]
pub(crate) struct Watched<F: AsFd = OwnedFd> {
    fd: F,
    poller: Poller,
    token: Token,
    flags: Option<EventFlags>,
}

impl<F: AsFd> Watched<F> {
    /// Not watched yet.
    pub fn new(poller: &Poller, fd: F, token: Token) -> Self {
        Self { fd, poller: poller.clone(), token, flags: None }
    }

    /// What is watched.
    pub fn get(&mut self) -> &mut F {
        &mut self.fd
    }

    /// Its events go to somebody else from now on; not watched at first.
    pub fn hand_over(&mut self, token: Token) -> io::Result<()> {
        self.watch(None)?;
        self.token = token;
        Ok(())
    }

    /// Watches for `flags` (hang-up and error are always reported); `None` takes the descriptor out of the set, which is the only
    /// way not to hear of a hang-up over and over.
    pub fn watch(&mut self, flags: Option<EventFlags>) -> io::Result<()> {
        let data = EventData::new_u64(self.token.pack());
        match (self.flags, flags) {
            (old, new) if old == new => {}
            (None, Some(new)) => epoll::add(&*self.poller.epoll, &self.fd, data, new)?,
            (Some(_), Some(new)) => epoll::modify(&*self.poller.epoll, &self.fd, data, new)?,
            (_, None) => epoll::delete(&*self.poller.epoll, &self.fd)?,
        }
        self.flags = flags;
        Ok(())
    }
}

impl<F: AsFd> AsFd for Watched<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl<F: AsFd> Drop for Watched<F> {
    fn drop(&mut self) {
        let _ = self.watch(None);
    }
}

/// Makes reads and writes of a descriptor return at once. Shared by all copies of the descriptor, in other processes too.
pub(crate) fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    Ok(rustix::fs::fcntl_setfl(&fd, flags | rustix::fs::OFlags::NONBLOCK)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_kernel() {
        for token in [
            Token::Signals,
            Token::Listener,
            Token::Connection(7),
            Token::Stream(3, Part::Error),
            Token::Client(SESSION_BITS as u32, u32::MAX),
            Token::Oom,
            Token::Relay(u32::MAX),
            Token::Lingering(3),
            Token::RelayEnd(9, Side::Inner),
            Token::Names(4),
        ] {
            assert_eq!(Token::unpack(token.pack()), Some(token));
        }
        assert_eq!(Token::unpack(u64::MAX), None);
    }

    #[test]
    fn a_dropped_descriptor_is_not_heard_of_again() {
        let poller = Poller::new().unwrap();
        let (left, right) = std::os::unix::net::UnixStream::pair().unwrap();
        let copy: OwnedFd = right.try_clone().unwrap().into();
        let mut watched = Watched::new(&poller, OwnedFd::from(right), Token::Connection(1));
        watched.watch(Some(EventFlags::IN)).unwrap();
        drop(left);
        let mut seen = Vec::new();
        poller.wait(Some(Duration::ZERO), |token, _| seen.push(token)).unwrap();
        assert_eq!(seen, [Token::Connection(1)]);
        drop(watched);
        seen.clear();
        poller.wait(Some(Duration::ZERO), |token, _| seen.push(token)).unwrap();
        assert_eq!(seen, []);
        drop(copy);
    }
}

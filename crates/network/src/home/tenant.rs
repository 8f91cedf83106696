//! The engine's side of its home: found again or made with the first use, entered for whatever concerns bridges and rules, and
//! leased to the monitors of the containers in it.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ipnet::{IpNet, Ipv4Net};
use netlink::route::Route;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{HomeConfig, Outlet};
use crate::error::{Error, Result};
use crate::{ipam, lock};

/// Where the holder listens, in the run folder.
const SOCKET: &str = "home.sock";
/// The holder answers when the way out is there, or cannot be.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How long a home is waited for that is on its way out.
const LEAVES_WITHIN: Duration = Duration::from_secs(5);
/// Where the tap's addresses come from; the first is what both programs take by themselves.
const SUBNETS: [[u8; 4]; 4] = [[10, 0, 2, 0], [10, 0, 3, 0], [192, 168, 203, 0], [172, 31, 203, 0]];

/// Where an engine's networks are: in the namespace of its own threads, or in a home.
#[derive(Debug)]
pub(crate) struct Home {
    config: Option<HomeConfig>,
    socket: PathBuf,
    found: Mutex<Option<Arc<Found>>>,
}

/// A home that is there.
#[derive(Debug)]
struct Found {
    netns: OwnedFd,
    lease: UnixStream,
}

/// What a container's monitor keeps while the container is in the home.
#[derive(Debug)]
pub struct Lease {
    /// The home's network namespace, from which containers are reached.
    pub netns: OwnedFd,
    /// While this is open somewhere, the home stays.
    pub hold: OwnedFd,
}

impl Home {
    pub(crate) fn new(config: Option<HomeConfig>, run_dir: &Path) -> Self {
        Self { config, socket: run_dir.join(SOCKET), found: Mutex::new(None) }
    }

    /// Whether networks are apart from the host's.
    pub(crate) fn is_apart(&self) -> bool {
        self.config.is_some()
    }

    /// Runs `body` where the networks are. What it opens stays there.
    pub(crate) fn enter<T: Send>(&self, body: impl FnOnce() -> T + Send) -> Result<T> {
        let Some(config) = &self.config else { return Ok(body()) };
        let found = self.open(config)?;
        sys::in_netns(&found.netns, body).map_err(|error| Error::host("enter the networks' namespace", error))
    }

    /// The same, but makes no home where there is none.
    pub(crate) fn enter_if_there<T: Send>(&self, body: impl FnOnce() -> T + Send) -> Result<Option<T>> {
        if self.is_apart() && self.find()?.is_none() {
            return Ok(None);
        }
        self.enter(body).map(Some)
    }

    /// For a container in the home; None where networks are the host's.
    pub(crate) fn lease(&self) -> Result<Option<Lease>> {
        let Some(config) = &self.config else { return Ok(None) };
        let found = self.open(config)?;
        let copy = |fd: io::Result<OwnedFd>| fd.map_err(|error| Error::host("duplicate a descriptor", error));
        Ok(Some(Lease {
            netns: copy(found.netns.try_clone())?,
            hold: copy(found.lease.try_clone().map(OwnedFd::from))?,
        }))
    }

    /// How the way out is now; None where there is no home yet.
    pub(crate) fn outlet(&self) -> Result<Option<Outlet>> {
        if !self.is_apart() || self.find()?.is_none() {
            return Ok(None);
        }
        Ok(ask(&self.socket).map_err(|error| self.failed(error))?.map(|(_, _, outlet)| outlet))
    }

    fn open(&self, config: &HomeConfig) -> Result<Arc<Found>> {
        let mut found = lock(&self.found);
        if let Some(found) = self.look(&mut found)? {
            return Ok(found);
        }
        // The holder was killed: the namespace is still there, with everything in it.
        let netns = match found.as_ref() {
            Some(known) => {
                known.netns.try_clone().map_err(|error| Error::host("duplicate a descriptor", error))?
            }
            None => crate::sandbox::make()?.into_netns(),
        };
        let made = Arc::new(self.make(config, netns)?);
        *found = Some(Arc::clone(&made));
        Ok(made)
    }

    fn find(&self) -> Result<Option<Arc<Found>>> {
        self.look(&mut lock(&self.found))
    }

    /// The home that is known, if its holder lives, or that of an engine before.
    fn look(&self, known: &mut Option<Arc<Found>>) -> Result<Option<Arc<Found>>> {
        match known {
            Some(found) if is_held(&found.lease) => return Ok(Some(Arc::clone(found))),
            Some(_) => return Ok(None),
            None => {}
        }
        let deadline = Instant::now() + LEAVES_WITHIN;
        loop {
            let Some((lease, netns, _)) = ask(&self.socket).map_err(|error| self.failed(error))? else {
                return Ok(None);
            };
            // It may be from before, of another user namespace, and about to go with the last who lived there.
            if sys::in_netns(&netns, || ()).is_ok() {
                let found = Arc::new(Found { netns, lease });
                *known = Some(Arc::clone(&found));
                return Ok(Some(found));
            }
            drop(lease);
            if Instant::now() > deadline {
                let text = format!(
                    "the networks at {} belong to another user namespace, in which somebody still is",
                    self.socket.display()
                );
                return Err(Error::internal(text));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts a holder for a namespace. The engine is in its queue before it runs, so that it never waits for nobody.
    fn make(&self, config: &HomeConfig, netns: OwnedFd) -> Result<Found> {
        let wrap = |error| self.failed(error);
        match std::fs::remove_file(&self.socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wrap(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&self.socket).map_err(wrap)?;
        let lease = UnixStream::connect(&self.socket).map_err(wrap)?;
        let status = Command::new(&config.exe)
            .arg("network-home")
            .arg(&self.socket)
            .arg(self.free_subnet()?.to_string())
            .args(config.programs.iter().map(super::Program::to_argument))
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::from(netns))
            .stderr(Stdio::null())
            .status();
        let status =
            status.map_err(|error| Error::host("start the holder of the networks' namespace", error))?;
        if !status.success() {
            return Err(Error::internal(format!("the holder of the networks' namespace ended: {status}")));
        }
        let (netns, _) = answer(&lease).and_then(|answer| answer.ok_or_else(ended)).map_err(wrap)?;
        Ok(Found { netns, lease })
    }

    /// Addresses for the tap that the host does not route elsewhere.
    fn free_subnet(&self) -> Result<Ipv4Net> {
        let taken = crate::host::routed(&mut Route::open()?)?;
        let all = SUBNETS.map(|base| Ipv4Net::new_assert(base.into(), 24));
        let free = all.into_iter().find(|subnet| {
            let subnet = IpNet::V4(*subnet);
            !taken.iter().any(|taken| ipam::overlap(&taken.subnet, &subnet))
        });
        Ok(free.unwrap_or(all[0]))
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::host(format!("reach the networks' namespace by {}", self.socket.display()), error)
    }
}

fn ended() -> io::Error {
    io::Error::other("its holder ended")
}

/// Whether the other end is still there; nothing is ever said on a lease after the first answer.
fn is_held(lease: &UnixStream) -> bool {
    let mut all = [PollFd::new(lease, PollFlags::IN)];
    matches!(poll(&mut all, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0))
}

/// Comes to a holder; None where there is none.
fn ask(socket: &Path) -> io::Result<Option<(UnixStream, OwnedFd, Outlet)>> {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    match UnixStream::connect(socket) {
        Ok(lease) => Ok(answer(&lease)?.map(|(netns, outlet)| (lease, netns, outlet))),
        Err(error) if matches!(error.kind(), NotFound | ConnectionRefused) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a holder says to whoever comes; None when it is leaving.
fn answer(lease: &UnixStream) -> io::Result<Option<(OwnedFd, Outlet)>> {
    lease.set_read_timeout(Some(ANSWER_WITHIN))?;
    let mut text = vec![0; 4096];
    let (mut count, fds) = match sys::fdpass::recv(lease.as_fd(), &mut text) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        result => result?,
    };
    let Some(netns) = fds.into_iter().next() else { return Ok(None) };
    while !text[..count].ends_with(b"\n") && count < text.len() {
        match (&*lease).read(&mut text[count..])? {
            0 => return Err(ended()),
            more => count += more,
        }
    }
    let outlet = serde_json::from_slice(&text[..count]).map_err(io::Error::other)?;
    Ok(Some((netns, outlet)))
}

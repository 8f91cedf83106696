//! The holder of a home: a small process that keeps the network namespace and its way out while anybody leases it. It is the first
//! process of a pid namespace, so that however it ends, the program that makes the way out ends with it. It has no
//! capabilities: with them the program, which has given up its own, could not look at the namespace by the holder's descriptor.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::Instant;

use ipnet::Ipv4Net;
use netlink::route::{Route, Watch};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::SocketFlags;

use super::outlet::{Service, Way};
use super::program::Program;

/// What the holder is started with.
struct Start {
    /// Where it listens.
    socket: PathBuf,
    /// Of the tap.
    subnet: Ipv4Net,
    programs: Vec<Program>,
    listener: OwnedFd,
    netns: OwnedFd,
}

/// Starts a holder and returns. Arguments: the listening socket's path, the tap's subnet, and programs (`pasta=/usr/bin/pasta`).
/// Standard input is the socket, standard output the namespace. Must be called in a process with one thread.
pub fn run(arguments: &[OsString]) -> i32 {
    let Ok(start) = parse(arguments) else { return 2 };
    // Here, while there are capabilities to go there with.
    let Ok(Ok((route, changes))) = sys::in_netns(&start.netns, || -> netlink::Result<_> {
        Ok((Route::open()?, Route::watch(&[Watch::Routes4, Watch::Routes6])?))
    }) else {
        return 1;
    };
    let child = sys::clone3(sys::clone::NEWPID, None, || i32::from(hold(start, route, changes).is_err()));
    i32::from(child.is_err())
}

fn parse(arguments: &[OsString]) -> io::Result<Start> {
    let [socket, subnet, programs @ ..] = arguments else { return Err(io::ErrorKind::InvalidInput.into()) };
    let subnet = subnet.to_string_lossy().parse().map_err(io::Error::other)?;
    Ok(Start {
        socket: socket.into(),
        subnet,
        programs: programs.iter().filter_map(Program::from_argument).collect(),
        listener: io::stdin().as_fd().try_clone_to_owned()?,
        netns: io::stdout().as_fd().try_clone_to_owned()?,
    })
}

fn hold(start: Start, route: Route, mut changes: Route) -> io::Result<()> {
    sys::caps::clear_ambient()?;
    sys::caps::set(0, 0, 0)?;
    let Start { socket, subnet, programs, listener, netns } = start;
    rustix::io::ioctl_fionbio(&listener, true)?;
    // Our number in the pid namespace that /proc shows, which is not our own.
    let us = std::fs::read_link("/proc/self")?;
    let path = PathBuf::from("/proc").join(us).join("fd").join(netns.as_raw_fd().to_string());
    let mut service = Service::new(Way { programs, netns: path, subnet }, route);
    let mut leases: Vec<OwnedFd> = Vec::new();
    let mut waiting: Vec<OwnedFd> = Vec::new();
    // Whoever started us is in the queue already.
    loop {
        waiting.extend(accept(&listener));
        changes.forget();
        service.turn();
        if let Some(outlet) = service.outlet() {
            let mut answer = serde_json::to_vec(outlet)?;
            answer.push(b'\n');
            for lease in waiting.drain(..) {
                // One that is gone shows below.
                let _ = sys::fdpass::send(&lease, &answer, &[netns.as_fd()]);
                leases.push(lease);
            }
        }
        leases.retain(is_open);
        waiting.retain(is_open);
        if leases.is_empty() && waiting.is_empty() {
            // In this order: whoever finds the name is accepted, or turned away by our end, and then finds none.
            let _ = std::fs::remove_file(&socket);
            return Ok(());
        }
        wait(&listener, &changes, &service, leases.iter().chain(&waiting))?;
    }
}

fn accept(listener: &OwnedFd) -> Vec<OwnedFd> {
    let mut clients = Vec::new();
    loop {
        match rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(client) => clients.push(client),
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(_) => return clients,
        }
    }
}

/// A lease says nothing: what there is to read is its end.
fn is_open(lease: &OwnedFd) -> bool {
    let mut all = [PollFd::new(lease, PollFlags::IN)];
    matches!(poll(&mut all, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0))
}

fn wait<'a>(
    listener: &'a OwnedFd,
    changes: &'a Route,
    service: &'a Service,
    leases: impl Iterator<Item = &'a OwnedFd>,
) -> io::Result<()> {
    let first = [listener.as_fd(), changes.as_fd()];
    let all = first.into_iter().chain(service.fds()).chain(leases.map(AsFd::as_fd));
    let mut all: Vec<PollFd<'_>> = all.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    let left = service.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
    // Never a moment too early, which would be a turn for nothing.
    let left = left.and_then(|left| Timespec::try_from(left + std::time::Duration::from_millis(1)).ok());
    match poll(&mut all, left.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

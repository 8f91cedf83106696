//! Looks after rules and routes while the engine runs: a thread that is told of every change to either. Somebody who flushes the
//! host's rules, or brings up a firewall that forwards nothing, gets ours put back, or made way for, without a container
//! having to start first; somebody who adds a route to where a network of ours is gets told. The thread begins with the first
//! use of the rules and ends with the engine's last handle.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use netlink::nft::Nft;
use netlink::route::{Route, Watch as Routes};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::{Inner, lock};

/// Programs that set up a firewall make many changes in a row: ours comes after them.
const SETTLE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// A look at the routes asks the kernel for every link, which is long with hundreds of containers, so it is not taken more often.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Rules that cannot be put right, because others are at them still, are tried again this often.
const ATTEMPTS: usize = 20;

/// The thread, while it runs.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// One end of a pipe that nothing is ever written to; the thread sees it close.
    alive: Mutex<Option<OwnedFd>>,
}

impl Watch {
    /// Starts the thread where the networks are, unless it runs. Without it the rules are looked at with
    /// their next change only.
    pub(crate) fn start(&self, home: &Arc<Inner>) {
        let mut alive = lock(&self.alive);
        if alive.is_some() {
            return;
        }
        let Ok((ended, ours)) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC) else { return };
        let open = || Some((Nft::watch().ok()?, Route::watch(&[Routes::Routes4, Routes::Routes6]).ok()?));
        let Ok(Some((nft, routes))) = home.home.enter(open) else { return };
        let home = Arc::downgrade(home);
        let thread = std::thread::Builder::new()
            .name("nft-watch".to_owned())
            .stack_size(256 << 10)
            .spawn(move || watch(nft, routes, &ended, &home));
        *alive = thread.is_ok().then_some(ours);
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        *lock(&self.alive) = None;
    }
}

fn watch(mut nft: Nft, mut routes: Route, ended: &OwnedFd, home: &Weak<Inner>) {
    // What was so before anybody looked is told as well.
    let mut routed = true;
    let mut ruled = false;
    let mut next_look = Instant::now();
    loop {
        let pause = next_look.saturating_duration_since(Instant::now());
        if !(ruled || routed && pause.is_zero()) {
            let mut all = vec![PollFd::new(&nft, PollFlags::IN), PollFd::new(ended, PollFlags::IN)];
            if !routed {
                all.push(PollFd::new(&routes, PollFlags::IN));
            }
            let until = Timespec::try_from(pause).ok().filter(|_| routed);
            match poll(&mut all, until.as_ref()) {
                Ok(_) if !all[1].revents().is_empty() => return,
                Ok(_) => {
                    ruled = !all[0].revents().is_empty();
                    routed |= all.get(2).is_some_and(|routes| !routes.revents().is_empty());
                }
                Err(Errno::INTR) => continue,
                Err(_) => return,
            }
            continue;
        }
        for _ in 0..ATTEMPTS {
            let mut end = [PollFd::new(ended, PollFlags::IN)];
            if poll(&mut end, Some(&SETTLE)).is_ok_and(|ready| ready > 0) {
                return;
            }
            let Some(home) = home.upgrade() else { return };
            if routed && Instant::now() >= next_look {
                routed = false;
                routes.forget();
                home.look_after_routes();
                next_look = Instant::now() + BETWEEN_LOOKS;
            }
            if !ruled {
                break;
            }
            nft.forget();
            if home.look_after_rules() {
                break;
            }
        }
        ruled = false;
    }
}

//! Warm sandboxes: for each bridge in use a few namespaces with a configured interface, made by a background thread after the
//! first use, so that connecting the next container needs no link to be made while it waits. The thread and everything warm go
//! with the engine's last handle.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};

use super::Sandbox;
use crate::endpoint::Interface;
use crate::{Inner, lock};

/// An interface that waits in a sandbox, with the addresses that were taken for it. Dropped unused, it gives them back; the link
/// itself goes with the namespace.
#[derive(Debug)]
pub(crate) struct Reservation {
    pub(crate) network_id: String,
    pub(crate) interface: Interface,
    home: Weak<Inner>,
}

impl Reservation {
    pub(crate) fn new(network_id: String, interface: Interface, home: Weak<Inner>) -> Self {
        Self { network_id, interface, home }
    }

    /// The interface, whose addresses are the caller's from now on.
    pub(crate) fn keep(mut self) -> Interface {
        self.home = Weak::new();
        self.interface.clone()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            home.give_back(&self.network_id, &self.interface);
        }
    }
}

/// The warm sandboxes of one engine.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<PoolState>,
    /// There is something to make.
    wake: Condvar,
    /// Something was made, or could not be.
    made: Condvar,
}

#[derive(Debug, Default)]
struct PoolState {
    /// Without an interface, for `--network none` and for networks that have none ready.
    bare: VecDeque<Sandbox>,
    bare_wanted: usize,
    /// By network: those that were used.
    ready: BTreeMap<String, VecDeque<Sandbox>>,
    /// The network for which one is being made now.
    making: Option<String>,
    /// Whether a caller waits for it.
    awaited: bool,
    started: bool,
    closed: bool,
}

/// Bridges with warm sandboxes at a time; the one unused longest is not tracked: which of them goes does not matter.
const NETWORKS: usize = 8;

impl Pool {
    /// A warm sandbox for a network, or for none; None when there is none. Either way the next is wanted, and made after
    /// [`Pool::refill`]: not while the caller's container is still being started.
    pub(crate) fn take(&self, network_id: Option<&str>, home: &Arc<Inner>) -> Option<Sandbox> {
        let mut state = lock(&self.shared.state);
        match network_id {
            Some(id) => {
                if !state.ready.contains_key(id) && state.ready.len() >= NETWORKS {
                    // Dropped after the lock: a sandbox gives its addresses back.
                    let evicted = state.ready.pop_first();
                    drop(state);
                    drop(evicted);
                    state = lock(&self.shared.state);
                }
                let found = state.ready.entry(id.to_owned()).or_default().pop_front();
                if found.is_some() {
                    return found;
                }
                // One caller may wait for the one in the making, which is done sooner than another that begins now.
                if state.awaited || state.making.as_deref() != Some(id) {
                    return state.take_bare(home);
                }
                state.awaited = true;
                while state.making.as_deref() == Some(id) {
                    state = self.shared.made.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                state.awaited = false;
                let made = state.ready.get_mut(id).and_then(VecDeque::pop_front);
                made.or_else(|| state.take_bare(home))
            }
            None => {
                state.bare_wanted = home.config.warm;
                state.bare.pop_front()
            }
        }
    }

    /// Lets the thread make what is wanted, and starts it the first time.
    pub(crate) fn refill(&self, home: &Arc<Inner>) {
        let mut state = lock(&self.shared.state);
        let wanted = state.bare_wanted > 0 || !state.ready.is_empty();
        if !state.started && !state.closed && wanted && home.config.warm > 0 {
            state.started = true;
            let (shared, home) = (Arc::clone(&self.shared), Arc::downgrade(home));
            // Without the thread everything is made when it is needed.
            let thread = std::thread::Builder::new()
                .name("netns-pool".to_owned())
                .stack_size(256 << 10)
                .spawn(move || refill(&shared, &home));
            state.closed |= thread.is_err();
        }
        if state.closed || !state.started {
            return;
        }
        // Said now, so that the next caller waits for it even if the thread has yet to wake up.
        state.making = state.making.take().or_else(|| state.short(home.config.warm));
        drop(state);
        self.shared.wake.notify_one();
    }

    /// Drops what is warm for a network, and makes no more.
    pub(crate) fn forget(&self, network_id: &str) {
        let mut state = lock(&self.shared.state);
        let dropped = state.ready.remove(network_id);
        drop(state);
        drop(dropped);
    }

    /// Drops the warm sandboxes of a network, whose addresses are needed.
    pub(crate) fn drain(&self, network_id: &str) -> bool {
        let dropped = lock(&self.shared.state).ready.get_mut(network_id).map(std::mem::take);
        dropped.is_some_and(|dropped| !dropped.is_empty())
    }

    /// Drops everything and ends the thread.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.shared.state);
        state.closed = true;
        state.making = None;
        let dropped = (std::mem::take(&mut state.bare), std::mem::take(&mut state.ready));
        drop(state);
        self.shared.wake.notify_all();
        self.shared.made.notify_all();
        drop(dropped);
    }
}

impl PoolState {
    /// One without an interface, for a network that has none ready: making a namespace waits for every one that is being taken
    /// down, such as that of the container before. From now on there is one for the next network.
    fn take_bare(&mut self, home: &Arc<Inner>) -> Option<Sandbox> {
        self.bare_wanted = self.bare_wanted.max(home.config.warm.min(1));
        self.bare.pop_front()
    }

    /// A network with less than `wanted` warm sandboxes.
    fn short(&self, wanted: usize) -> Option<String> {
        self.ready.iter().find(|(_, ready)| ready.len() < wanted).map(|(id, _)| id.clone())
    }
}

/// What the thread makes next.
enum Job {
    Bare,
    Ready(String),
}

fn refill(shared: &Shared, home: &Weak<Inner>) {
    loop {
        let mut state = lock(&shared.state);
        let (job, home) = loop {
            if state.closed {
                return;
            }
            let Some(home) = home.upgrade() else { return };
            let job = match state.making.take().or_else(|| state.short(home.config.warm)) {
                None if state.bare.len() < state.bare_wanted => Some(Job::Bare),
                id => id.map(Job::Ready),
            };
            if let Some(job) = job {
                break (job, home);
            }
            // Not while waiting: the last handle must be able to go.
            drop(home);
            state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        if let Job::Ready(id) = &job {
            state.making = Some(id.clone());
        }
        drop(state);
        let made = match &job {
            Job::Bare => super::make(),
            Job::Ready(id) => home.prepare(id),
        };
        let mut state = lock(&shared.state);
        state.making = None;
        shared.made.notify_all();
        match (made, job) {
            (Ok(sandbox), Job::Bare) if !state.closed => state.bare.push_back(sandbox),
            (Ok(sandbox), Job::Ready(id)) if !state.closed => {
                // Gone from the list: the network was removed meanwhile.
                if let Some(ready) = state.ready.get_mut(&id) {
                    ready.push_back(sandbox);
                } else {
                    drop(state);
                    drop(sandbox);
                }
            }
            (Ok(sandbox), _) => {
                drop(state);
                drop(sandbox);
            }
            // What cannot be made warm is made (or refused, with the reason) when it is needed.
            (Err(_), Job::Bare) => state.bare_wanted = 0,
            (Err(_), Job::Ready(id)) => {
                let dropped = state.ready.remove(&id);
                drop(state);
                drop(dropped);
            }
        }
    }
}

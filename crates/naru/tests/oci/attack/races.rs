//! Two names of a folder that change places all the time: what an attacker does with a shared volume while the runtime sets up
//! another container.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::world::wait_until;

/// As long as this lives, `one` and `other` change places.
pub struct Race {
    stop: Arc<AtomicBool>,
    turns: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

impl Race {
    pub fn between(one: &Path, other: &Path) -> Self {
        let (stop, turns) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (one, other): (PathBuf, PathBuf) = (one.to_owned(), other.to_owned());
        let (ended, counted) = (stop.clone(), turns.clone());
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { stop, turns, thread: Some(thread) }
    }

    /// Returns when both orders have been there since the last call.
    pub fn turn(&self) {
        let before = self.turns.load(Ordering::Relaxed);
        wait_until("the names to change places", || self.turns.load(Ordering::Relaxed) > before + 2);
    }
}

impl Drop for Race {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the race was not run");
    }
}

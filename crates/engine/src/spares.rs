//! Monitors that wait for their container: a process of this size takes longer to come up than all the rest of a start. They are
//! made beside, after a start, for the next one.
//!
//! A spare is nothing but a process and its control socket. It holds no container, no folder and no cgroup; when the engine ends,
//! however it ends, the socket closes and the spare leaves by itself. It keeps no engine from being idle.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::sync::Mutex;

use crate::container::model::lock;

/// A monitor that was told nothing yet.
pub(crate) struct Spawned {
    /// The engine's end of its control socket.
    pub socket: UnixStream,
    pub child: Child,
}

impl Spawned {
    /// Starts a monitor for a container, or for nobody in particular ([`monitor::client::SPARE`]).
    pub(crate) fn spawn(exe: &Path, id: &str) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let child = monitor::client::spawn(exe, id, theirs.into())?;
        Ok(Self { socket, child })
    }
}

/// Those that wait.
#[derive(Default)]
pub(crate) struct Spares {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<Spawned>,
    /// So many are being made.
    making: usize,
}

impl Spares {
    /// One that waits, and lives.
    pub(crate) fn take(&self) -> Option<Spawned> {
        loop {
            let mut spare = lock(&self.state).waiting.pop()?;
            if matches!(spare.child.try_wait(), Ok(None)) {
                return Some(spare);
            }
            // Somebody killed it, and it is reaped now.
        }
    }

    /// Makes what is missing. Blocking.
    pub(crate) fn refill(&self, exe: &Path, wanted: usize) {
        while self.begin(wanted) {
            let made = Spawned::spawn(exe, monitor::client::SPARE);
            let mut state = lock(&self.state);
            state.making -= 1;
            match made {
                Ok(spare) => state.waiting.push(spare),
                Err(error) => {
                    // The next start makes its own, and says what is wrong.
                    tracing::debug!(%error, "make a spare monitor");
                    return;
                }
            }
        }
    }

    /// Whether one more is to be made, by the caller.
    fn begin(&self, wanted: usize) -> bool {
        let mut state = lock(&self.state);
        let is_short = state.waiting.len() + state.making < wanted;
        state.making += usize::from(is_short);
        is_short
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        for Spawned { socket, mut child } in std::mem::take(&mut lock(&self.state).waiting) {
            drop(socket);
            // It has nothing to lose, and must not be waited for if somebody has stopped it.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

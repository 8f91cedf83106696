//! Whether anybody needs the engine: a count of guards, and waiting until it has been zero for a while. A guard that is taken wakes
//! nobody up: whoever waits sleeps until the time could have passed, and looks then.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::container::model::lock;

/// Counts guards.
pub(crate) struct Idle {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Told when the last guard goes.
    quiet: Notify,
}

struct State {
    held: usize,
    /// When the last guard went.
    since: Instant,
}

/// While one of these lives, the engine is not idle.
pub struct Activity {
    shared: Arc<Shared>,
}

impl Idle {
    pub(crate) fn new() -> Self {
        let state = State { held: 0, since: Instant::now() };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), quiet: Notify::new() }) }
    }

    pub(crate) fn hold(&self) -> Activity {
        lock(&self.shared.state).held += 1;
        Activity { shared: Arc::clone(&self.shared) }
    }

    /// Resolves when the count has stayed zero for `timeout`, with the time since when.
    pub(crate) async fn wait(&self, timeout: Duration) -> Instant {
        loop {
            // Before the look, or it could miss the end of what it sees.
            let quiet = self.shared.quiet.notified();
            let since = {
                let state = lock(&self.shared.state);
                (state.held == 0).then_some(state.since)
            };
            let Some(since) = since else {
                quiet.await;
                continue;
            };
            let left = timeout.saturating_sub(since.elapsed());
            if left.is_zero() {
                return since;
            }
            tokio::time::sleep(left).await;
        }
    }

    /// Resolves when a guard has gone that was there after `since`, of which [`Self::wait`] told.
    pub(crate) async fn used(&self, since: Instant) {
        loop {
            let quiet = self.shared.quiet.notified();
            if lock(&self.shared.state).since != since {
                return;
            }
            quiet.await;
        }
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.held -= 1;
        if state.held == 0 {
            state.since = Instant::now();
            drop(state);
            self.shared.quiet.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn idle_only_after_the_last_guard_is_gone_for_the_whole_time() {
        let idle = Arc::new(Idle::new());
        let guard = idle.hold();
        let time = Duration::from_millis(200);
        let mut wait = Box::pin(idle.wait(time));
        assert!(tokio::time::timeout(time * 2, &mut wait).await.is_err(), "held");
        let dropped = Instant::now();
        drop(guard);
        assert!(tokio::time::timeout(time / 2, &mut wait).await.is_err(), "too early");
        // A short activity starts the time anew.
        drop(idle.hold());
        wait.await;
        assert!(dropped.elapsed() >= time + time / 2);
    }
}

//! Whether anybody needs the engine: a count of guards, and waiting until it has been zero for a while.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Counts guards.
pub(crate) struct Idle {
    held: Arc<watch::Sender<usize>>,
}

/// While one of these lives, the engine is not idle.
pub struct Activity {
    held: Arc<watch::Sender<usize>>,
}

impl Idle {
    pub(crate) fn new() -> Self {
        Self { held: Arc::new(watch::Sender::new(0)) }
    }

    pub(crate) fn hold(&self) -> Activity {
        self.held.send_modify(|count| *count += 1);
        Activity { held: Arc::clone(&self.held) }
    }

    /// Resolves when somebody holds a guard.
    pub(crate) async fn busy(&self) {
        // As below, waiting cannot fail.
        let _ = self.held.subscribe().wait_for(|count| *count > 0).await;
    }

    /// Resolves when the count has stayed zero for `timeout`; never without one.
    pub(crate) async fn wait(&self, timeout: Option<Duration>) {
        let Some(timeout) = timeout else { return std::future::pending().await };
        let mut held = self.held.subscribe();
        loop {
            // The sender lives as long as `self`, so waiting cannot fail.
            let _ = held.wait_for(|count| *count == 0).await;
            if tokio::time::timeout(timeout, held.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.held.send_modify(|count| *count -= 1);
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
        let mut wait = Box::pin(idle.wait(Some(time)));
        assert!(tokio::time::timeout(time * 2, &mut wait).await.is_err(), "held");
        let dropped = std::time::Instant::now();
        drop(guard);
        assert!(tokio::time::timeout(time / 2, &mut wait).await.is_err(), "too early");
        // A short activity starts the time anew.
        drop(idle.hold());
        wait.await;
        assert!(dropped.elapsed() >= time + time / 2);
    }
}

//! The points in time at which the monitor has something to do. A handful at most, so a list will do.

use std::time::{Duration, Instant};

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The container did not end when it was asked to.
    Kill,
    /// It waited long enough to be started again.
    Restart,
    /// A session's process has ended, but its streams have not.
    Drain(u32),
    /// The next health probe.
    Probe,
    /// The running probe takes too long.
    ProbeTimeout,
    /// A client of a finished session keeps its connection open.
    Linger(u32),
    /// Look for peers of relays that said nothing for long, and for relays that ran out of descriptors.
    Relays,
    /// Look for name servers that do not answer.
    Names,
    /// Starts and other requests are over: give back what only they needed.
    Settled,
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    set: Vec<(Instant, Timer)>,
}

impl Timers {
    /// Sets (or moves) a timer.
    pub fn set(&mut self, timer: Timer, after: Duration) {
        self.cancel(timer);
        // A time too far away to be represented never comes.
        if let Some(at) = Instant::now().checked_add(after) {
            self.set.push((at, timer));
        }
    }

    pub fn cancel(&mut self, timer: Timer) {
        self.set.retain(|(_, other)| *other != timer);
    }

    /// When a timer is due, if it is set.
    pub fn at(&self, timer: Timer) -> Option<Instant> {
        self.set.iter().find(|(_, other)| *other == timer).map(|(at, _)| *at)
    }

    /// How long to sleep; `None` for ever.
    pub fn next(&self) -> Option<Duration> {
        self.set.iter().map(|(at, _)| at.saturating_duration_since(Instant::now())).min()
    }

    /// Takes the earliest timer that is due.
    pub fn due(&mut self) -> Option<Timer> {
        let now = Instant::now();
        let index = (0..self.set.len()).filter(|i| self.set[*i].0 <= now).min_by_key(|i| self.set[*i].0)?;
        Some(self.set.swap_remove(index).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_are_due_in_order_and_once() {
        let mut timers = Timers::default();
        assert_eq!(timers.next(), None);
        timers.set(Timer::Kill, Duration::from_secs(1000));
        timers.set(Timer::Probe, Duration::ZERO);
        timers.set(Timer::Restart, Duration::ZERO);
        timers.set(Timer::Drain(1), Duration::ZERO);
        timers.cancel(Timer::Restart);
        timers.set(Timer::Kill, Duration::ZERO);
        assert_eq!(timers.next(), Some(Duration::ZERO));
        assert_eq!(
            [timers.due(), timers.due(), timers.due(), timers.due()],
            [Some(Timer::Probe), Some(Timer::Drain(1)), Some(Timer::Kill), None]
        );
    }
}

//! When a container that exited is started again, and after how long. Pure: times are given, nothing is started here.
//!
//! Docker's rules (moby `restartmanager/restartmanager.go`): 100 ms, doubled each time up to a minute, and from the beginning
//! after a run of ten seconds.

use std::time::Duration;

use crate::protocol::RestartPolicy;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);
const GOOD_RUN: Duration = Duration::from_secs(10);

/// The memory between restarts.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    last: Duration,
}

impl Backoff {
    /// How long to wait before the next start; `None` when the container is not to be started again. `count` is how often the
    /// policy restarted it already.
    pub fn next(
        &mut self,
        policy: RestartPolicy,
        exit_code: i32,
        count: u32,
        run_time: Duration,
    ) -> Option<Duration> {
        let again = match policy {
            RestartPolicy::No => false,
            RestartPolicy::OnFailure { max } => exit_code != 0 && (max == 0 || count < max),
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        };
        if run_time >= GOOD_RUN {
            self.last = Duration::ZERO;
        }
        self.last = if self.last.is_zero() { FIRST } else { (self.last * 2).min(LONGEST) };
        again.then_some(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    #[test]
    fn waits_double_up_to_a_minute_and_start_over_after_a_good_run() {
        let mut backoff = Backoff::default();
        let mut wait = |run| backoff.next(RestartPolicy::Always, 0, 0, run).unwrap().as_millis();
        let waits: Vec<_> = (0..12).map(|_| wait(MOMENT)).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000]);
        assert_eq!(wait(GOOD_RUN), 100);
        assert_eq!(wait(MOMENT), 200);
    }

    #[test]
    fn policies() {
        use RestartPolicy::*;
        for (policy, code, count, again) in [
            (No, 1, 0, false),
            (Always, 0, 1000, true),
            (UnlessStopped, 0, 1, true),
            (OnFailure { max: 0 }, 1, 1000, true),
            (OnFailure { max: 0 }, 0, 0, false),
            (OnFailure { max: 3 }, 137, 2, true),
            (OnFailure { max: 3 }, 137, 3, false),
        ] {
            let wait = Backoff::default().next(policy, code, count, MOMENT);
            assert_eq!(wait.is_some(), again, "{policy:?} {code} {count}");
        }
    }
}

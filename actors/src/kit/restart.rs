use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// So many failures …
const INTENSITY: usize = 5;
/// … within this time are no accident.
const PERIOD: Duration = Duration::from_secs(60);
/// The jitter adds at most this share of a wait, so that what failed together does not come back together.
const JITTER: f64 = 0.25;

/// When something that failed may run again.
#[derive(Debug)]
pub(crate) struct Policy {
    /// Wait after the first failure; it doubles with each further one within a minute.
    first: Duration,
    /// Longest wait; five failures within a minute bring it at once.
    parked: Duration,
}

impl Policy {
    /// An actor that the whole server needs: it is started again by its supervisor, however often it fails. The first time
    /// with its jitter before devices, which are told to wait for a second, come back.
    pub(crate) const SINGLETON: Self = Self { first: Duration::from_millis(500), parked: Duration::from_secs(60) };
    /// What a device's next call starts again. It is parked long enough for a person to see it, and briefly enough for
    /// a device that waits in its dock.
    pub(crate) const ON_CALL: Self = Self { first: Duration::ZERO, parked: Duration::from_secs(600) };
}

/// Decides when something that failed may be started again. Pure: it is told the time, and the jitter.
#[derive(Debug)]
pub(crate) struct Restarts {
    policy: Policy,
    recent: VecDeque<Instant>,
    not_before: Option<Instant>,
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rest {
    /// How long it may not run.
    pub(crate) wait: Duration,
    /// Whether it failed so often that somebody should look.
    pub(crate) parked: bool,
}

impl Restarts {
    pub(crate) fn new(policy: Policy) -> Self {
        Self { policy, recent: VecDeque::new(), not_before: None }
    }

    /// It failed; `jitter` is a random number from 0 to 1.
    pub(crate) fn failed(&mut self, now: Instant, jitter: f64) -> Rest {
        self.recent.retain(|failure| now.duration_since(*failure) < PERIOD);
        self.recent.push_back(now);
        let parked = self.recent.len() >= INTENSITY;
        let wait = if parked {
            self.recent.clear();
            self.policy.parked
        } else {
            let doubled = (1..self.recent.len()).fold(self.policy.first, |wait, _| wait * 2);
            doubled.min(self.policy.parked).mul_f64(1.0 + JITTER * jitter)
        };
        // A failure that comes late must not end a longer rest.
        self.not_before = self.not_before.max(Some(now + wait));
        Rest { wait, parked }
    }

    /// For how long it may not be started, if at all.
    pub(crate) fn waits(&self, now: Instant) -> Option<Duration> {
        self.not_before?.checked_duration_since(now).filter(|left| !left.is_zero())
    }
}

/// A random number from 0 to 1; without randomness, the middle.
pub(crate) fn jitter() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_within_a_minute_park_a_transfer_for_ten() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut restarts = Restarts::new(Policy::ON_CALL);
        for second in 0..4 {
            assert_eq!(restarts.failed(after(second), 1.0), Rest { wait: Duration::ZERO, parked: false });
            assert_eq!(restarts.waits(after(second)), None);
        }
        assert!(restarts.failed(after(59), 1.0).parked);
        assert_eq!(restarts.waits(after(60)), Some(Duration::from_secs(599)));
        assert_eq!(restarts.waits(after(659)), None);
        assert!(!restarts.failed(after(660), 1.0).parked, "afterwards it begins anew");
    }

    #[test]
    fn failures_that_are_far_apart_do_not_park_it() {
        let start = Instant::now();
        let mut restarts = Restarts::new(Policy::ON_CALL);
        for n in 0..100 {
            assert!(!restarts.failed(start + Duration::from_secs(16 * n), 0.0).parked);
        }
    }

    #[test]
    fn a_singleton_waits_longer_each_time_and_never_longer_than_a_minute() {
        let mut now = Instant::now();
        let mut restarts = Restarts::new(Policy::SINGLETON);
        let mut waits = Vec::new();
        for _ in 0..6 {
            let Rest { wait, .. } = restarts.failed(now, 0.0);
            waits.push(wait.as_millis());
            now += wait;
        }
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 60_000, 500]);
    }

    #[test]
    fn jitter_adds_at_most_a_quarter() {
        let now = Instant::now();
        let wait = |jitter| Restarts::new(Policy::SINGLETON).failed(now, jitter).wait;
        assert_eq!((wait(0.0), wait(1.0)), (Duration::from_millis(500), Duration::from_millis(625)));
        assert!((0.0..=1.0).contains(&jitter()));
    }
}

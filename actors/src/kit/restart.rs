use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// So many failures …
const INTENSITY: usize = 5;
/// … within this time are no accident: whoever fails so often is parked.
const PERIOD: Duration = Duration::from_secs(60);
/// How long it is parked: enough for a person to see it, short enough for a device that waits in its dock.
const PARKED: Duration = Duration::from_secs(600);

/// Decides whether something that failed may be started again at once. Pure: it is told the time.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    recent: VecDeque<Instant>,
    parked_until: Option<Instant>,
}

impl Restarts {
    /// It failed; `true` if that parks it.
    pub(crate) fn failed(&mut self, now: Instant) -> bool {
        self.recent.retain(|failure| now.duration_since(*failure) < PERIOD);
        self.recent.push_back(now);
        if self.recent.len() < INTENSITY {
            return false;
        }
        self.recent.clear();
        self.parked_until = Some(now + PARKED);
        true
    }

    /// For how long it may not be started, if at all.
    pub(crate) fn parked(&self, now: Instant) -> Option<Duration> {
        self.parked_until?.checked_duration_since(now).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_within_a_minute_park_it_for_ten() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut restarts = Restarts::default();
        for second in 0..4 {
            assert!(!restarts.failed(after(second)));
            assert_eq!(restarts.parked(after(second)), None);
        }
        assert!(restarts.failed(after(59)));
        assert_eq!(restarts.parked(after(60)), Some(Duration::from_secs(599)));
        assert_eq!(restarts.parked(after(659)), None);
        assert!(!restarts.failed(after(660)), "afterwards it begins anew");
    }

    #[test]
    fn failures_that_are_far_apart_do_not_park_it() {
        let start = Instant::now();
        let mut restarts = Restarts::default();
        for n in 0..100 {
            assert!(!restarts.failed(start + Duration::from_secs(16 * n)));
        }
    }
}

//! How long to wait after a failure, and when to stop trying.

use std::time::Duration;

use tokio::time::Instant;

/// Ceiling of the first wait after a failure (protocol, transfer rule 5).
const FIRST: Duration = Duration::from_secs(1);
/// Ceiling of every later wait, and the most that a `Retry-After` is honoured (protocol, transfer rule 5).
const LONGEST: Duration = Duration::from_secs(300);
/// Longest wait between two questions for one receipt: the server reads the file back, which takes minutes at most.
const LONGEST_FOR_RECEIPT: Duration = Duration::from_secs(30);
/// How often the folders are looked through again.
const RESCAN: Duration = Duration::from_secs(30);
/// How long a file has to rest before it is read: two of the 2 s by which FAT dates it.
const REST: Duration = Duration::from_secs(4);
/// How long a run that is to end may go without any progress.
const GIVE_UP: Duration = Duration::from_secs(600);
/// A transfer that neither moves a byte nor is answered for this long is broken off. The server itself breaks off
/// after 60 s of less than 1 KiB/s, so this only ends connections whose other end is gone.
const STALLED: Duration = Duration::from_secs(120);

/// All the waits of an agent; a simulator or a test may shorten them.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Ceiling of the first wait after a failure.
    pub first: Duration,
    /// Ceiling of every later wait.
    pub longest: Duration,
    /// Longest wait between two questions for one receipt.
    pub longest_for_receipt: Duration,
    /// How often the folders are looked through again.
    pub rescan: Duration,
    /// How long a file has to rest before it is read.
    pub rest: Duration,
    /// How long a run that is to end may go without any progress.
    pub give_up: Duration,
    /// How long a transfer may stand still before it is broken off.
    pub stalled: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first: FIRST,
            longest: LONGEST,
            longest_for_receipt: LONGEST_FOR_RECEIPT,
            rescan: RESCAN,
            rest: REST,
            give_up: GIVE_UP,
            stalled: STALLED,
        }
    }
}

/// A random number for jitter. Without randomness every wait is as long as it may be.
pub fn random() -> u64 {
    getrandom::u64().unwrap_or(u64::MAX)
}

/// Waits that double from failure to failure.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits of at most `first`, then twice that, up to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// The next wait without jitter.
    pub fn step(&mut self) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        self.first.saturating_mul(factor).min(self.longest)
    }

    /// The next wait with full jitter: `random` chooses evenly between nothing and the ceiling, so that a dock full
    /// of cameras does not come back in one moment.
    fn jittered(&mut self, random: u64) -> Duration {
        let ceiling = u64::try_from(self.step().as_nanos()).unwrap_or(u64::MAX);
        let share = (u128::from(ceiling) * u128::from(random)) >> u64::BITS;
        Duration::from_nanos(u64::try_from(share).unwrap_or(ceiling))
    }

    /// How long to wait after a failure; `asked` is what the server said in `Retry-After`.
    pub fn wait(&mut self, asked: Option<Duration>, random: u64) -> Duration {
        let own = self.jittered(random);
        asked.map_or(own, |asked| asked.min(self.longest))
    }

    /// Whether there was a wait since the beginning, or since the last progress.
    pub fn has_waited(&self) -> bool {
        self.failures > 0
    }

    /// Begins again at the first wait; called after progress.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// The waits of a whole run, and how long it may go on without progress.
#[derive(Debug)]
pub struct Patience {
    backoff: Backoff,
    give_up: Option<Duration>,
    /// The first failure since the last progress. A transfer may well take longer than the run may fail, so the time
    /// begins with the failure and not with the progress before it.
    failing_since: Option<Instant>,
}

impl Patience {
    /// `give_up` is `None` for a run that never ends by itself.
    pub fn new(pace: &Pace, give_up: Option<Duration>) -> Self {
        Self { backoff: Backoff::new(pace.first, pace.longest), give_up, failing_since: None }
    }

    /// Something got done: bytes became durable, a receipt came, a file was deleted.
    pub fn progressed(&mut self) {
        self.backoff.reset();
        self.failing_since = None;
    }

    /// The server answered, and there is nothing to do for it now: if it did not answer before, that is over. Without a
    /// failure before it this is no progress, or a run that is to end would wait for ever for a server that only asks to
    /// wait.
    pub fn answered(&mut self) {
        if self.backoff.has_waited() {
            self.progressed();
        }
    }

    /// How long to wait after a failure; `asked` is what the server said in `Retry-After`. `None`: no more waiting.
    pub fn after_failure(&mut self, now: Instant, asked: Option<Duration>, random: u64) -> Option<Duration> {
        let wait = self.backoff.wait(asked, random);
        self.bounded(now, wait)
    }

    /// `wait`, shortened to what is left before the run gives up. `None`: nothing is left.
    pub fn bounded(&mut self, now: Instant, wait: Duration) -> Option<Duration> {
        let since = *self.failing_since.get_or_insert(now);
        let Some(give_up) = self.give_up else {
            return Some(wait);
        };
        let left = give_up.saturating_sub(now.saturating_duration_since(since));
        (!left.is_zero()).then(|| wait.min(left))
    }

    /// The longest wait between two tries.
    pub fn longest(&self) -> Duration {
        self.backoff.longest
    }

    /// How long the run may go without progress; `None`: for ever.
    pub fn give_up(&self) -> Option<Duration> {
        self.give_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_longest_and_begin_again_after_progress() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        let seconds: Vec<u64> = (0..11).map(|_| backoff.step().as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        backoff.reset();
        assert_eq!(backoff.step(), SECOND);
    }

    #[test]
    fn a_hundred_failures_do_not_overflow() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        assert!((0..100).all(|_| backoff.step() <= LONGEST));
    }

    #[test]
    fn jitter_spreads_from_nothing_to_the_ceiling() {
        let wait = |random| Backoff::new(Duration::from_secs(8), LONGEST).jittered(random);
        assert_eq!(wait(0), Duration::ZERO);
        assert_eq!(wait(u64::MAX / 2 + 1), Duration::from_secs(4));
        let most = wait(u64::MAX);
        assert!(most < Duration::from_secs(8) && most > Duration::from_millis(7_999));
    }

    #[test]
    fn the_wait_that_the_server_asks_for_is_honoured_up_to_five_minutes() {
        let now = Instant::now();
        let mut patience = Patience::new(&Pace::default(), None);
        assert_eq!(patience.after_failure(now, Some(7 * SECOND), 0), Some(7 * SECOND));
        assert_eq!(patience.after_failure(now, Some(900 * SECOND), 0), Some(LONGEST));
    }

    #[test]
    fn a_run_that_is_to_end_gives_up_ten_minutes_after_the_first_failure_without_progress() {
        let start = Instant::now();
        let mut patience = Patience::new(&Pace::default(), Some(GIVE_UP));
        let wait = Some(60 * SECOND);
        assert_eq!(patience.after_failure(start, wait, 0), wait);
        let late = start + Duration::from_secs(590);
        assert_eq!(patience.after_failure(late, wait, 0), Some(10 * SECOND), "cut to what is left");
        assert_eq!(patience.after_failure(start + GIVE_UP, wait, 0), None);
        patience.progressed();
        assert_eq!(patience.after_failure(start + 2 * GIVE_UP, wait, 0), wait, "however long ago the progress was");
    }

    #[test]
    fn an_answer_ends_an_outage_and_is_no_progress_without_one() {
        let start = Instant::now();
        let mut patience = Patience::new(&Pace::default(), Some(GIVE_UP));
        let late = start + GIVE_UP;
        assert!(patience.after_failure(start, None, 0).is_some());
        patience.answered();
        assert_eq!(patience.bounded(late, SECOND), Some(SECOND), "the outage is over");
        patience.answered();
        assert_eq!(patience.bounded(late + GIVE_UP, SECOND), None, "and there was nothing but waiting since");
    }

    #[test]
    fn a_run_without_end_never_gives_up() {
        let start = Instant::now();
        let mut patience = Patience::new(&Pace::default(), None);
        assert!(patience.after_failure(start, None, 0).is_some());
        assert!(patience.after_failure(start + 1_000 * GIVE_UP, None, 0).is_some());
    }
}

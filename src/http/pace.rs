//! Whether a body still comes at a bearable pace. Only time spent waiting for the client counts.

use std::time::Duration;

/// A body that brings nothing for this long, while we were reading, is given up.
const IDLE: Duration = Duration::from_secs(30);
/// Over this much waiting, a body must bring …
const WINDOW: Duration = Duration::from_secs(60);
/// … at least 1 KiB for each second.
const WINDOW_BYTES: u64 = 60 * 1024;

/// Pure: it is told of waits and bytes.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    waited: Duration,
    bytes: u64,
}

/// The body is too slow.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stalled;

impl Pace {
    /// How long to wait for the next bytes at most.
    pub(crate) fn patience(&self) -> Duration {
        IDLE
    }

    /// `bytes` came after waiting this long for them.
    pub(crate) fn came(&mut self, bytes: usize, waited: Duration) -> Result<(), Stalled> {
        self.waited += waited;
        self.bytes += bytes as u64;
        if self.waited < WINDOW {
            return Ok(());
        }
        let enough = self.bytes >= WINDOW_BYTES;
        *self = Self::default();
        if enough { Ok(()) } else { Err(Stalled) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dripping_body_is_given_up_after_a_minute_of_waiting() {
        let mut pace = Pace::default();
        for _ in 0..59 {
            assert_eq!(pace.came(100, Duration::from_secs(1)), Ok(()));
        }
        assert_eq!(pace.came(100, Duration::from_secs(1)), Err(Stalled));
    }

    #[test]
    fn a_slow_and_steady_body_goes_on_for_hours() {
        let mut pace = Pace::default();
        for _ in 0..10_000 {
            assert_eq!(pace.came(1024, Duration::from_secs(1)), Ok(()));
        }
    }

    #[test]
    fn time_in_which_we_did_not_read_does_not_count() {
        let mut pace = Pace::default();
        for _ in 0..10_000 {
            assert_eq!(pace.came(1, Duration::ZERO), Ok(()));
        }
    }
}

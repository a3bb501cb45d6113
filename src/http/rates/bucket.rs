//! A token bucket that may be overdrawn: who reads cannot know how much will come. Pure.

use std::time::{Duration, Instant};

use longshore_model::BytesPerSecond;

/// What may be read at once after a pause. Less would mean a wake-up for every few packets, more a burst that others feel.
const BURST_BYTES: f64 = 256.0 * 1024.0;
/// The same as a time, for high rates: a timer that is late by less costs nothing.
const BURST_SECONDS: f64 = 0.02;

#[derive(Debug, Clone)]
pub(super) struct Bucket {
    /// `None`: as fast as it comes.
    rate: Option<BytesPerSecond>,
    level: f64,
    at: Instant,
}

impl Bucket {
    pub(super) fn new(rate: Option<BytesPerSecond>, now: Instant) -> Self {
        Self { rate, level: 0.0, at: now }
    }

    /// Changes the rate from now on.
    pub(super) fn set_rate(&mut self, rate: Option<BytesPerSecond>, now: Instant) {
        self.refill(now);
        if self.rate.is_none() {
            self.level = 0.0;
        }
        self.rate = rate;
    }

    /// Takes bytes out, or gives those back that did not come.
    pub(super) fn take(&mut self, bytes: i64, now: Instant) {
        self.refill(now);
        self.level -= as_float(bytes);
    }

    /// Time until there is something in it.
    pub(super) fn ready_in(&mut self, now: Instant) -> Duration {
        self.refill(now);
        match self.rate {
            Some(rate) if self.level < 0.0 => Duration::from_secs_f64(-self.level / as_float_rate(rate)),
            _ => Duration::ZERO,
        }
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        if let Some(rate) = self.rate.map(as_float_rate) {
            let burst = BURST_BYTES.max(rate * BURST_SECONDS);
            self.level = (self.level + elapsed * rate).min(burst);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a byte more or less in petabytes")]
fn as_float(bytes: i64) -> f64 {
    bytes as f64
}

/// Never zero: a rate of nothing would be a wait for ever.
#[expect(clippy::cast_precision_loss, reason = "likewise")]
fn as_float_rate(rate: BytesPerSecond) -> f64 {
    rate.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_any_time_no_more_comes_through_than_the_rate_and_one_burst() {
        let begin = Instant::now();
        let (rate, chunk) = (8_000_000, 100_000);
        let mut bucket = Bucket::new(Some(rate), begin);
        let (mut now, mut read) = (begin, 0);
        while now < begin + Duration::from_secs(10) {
            now += bucket.ready_in(now) + Duration::from_micros(50);
            bucket.take(chunk, now);
            read += chunk;
        }
        assert!((80_000_000..80_400_000).contains(&read), "{read}");
    }

    #[test]
    fn without_a_rate_there_is_no_wait_and_with_a_new_one_no_debt() {
        let begin = Instant::now();
        let mut bucket = Bucket::new(None, begin);
        bucket.take(1 << 40, begin);
        assert_eq!(bucket.ready_in(begin), Duration::ZERO);
        bucket.set_rate(Some(1000), begin);
        bucket.take(500, begin);
        assert_eq!(bucket.ready_in(begin), Duration::from_millis(500));
    }
}

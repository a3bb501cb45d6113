//! A transfer that is begun again and again and does not come further. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// So many tries …
const TRIES: usize = 20;
/// … within this time are no way to get further.
const WINDOW: Duration = Duration::from_secs(5 * 60);

/// The tries of one transfer since it came further.
#[derive(Debug, Default)]
pub(super) struct Tries {
    offset: u64,
    at: VecDeque<Instant>,
}

impl Tries {
    /// A request with a body begins, where so much is durable; whether there were too many that brought nothing. It says so
    /// once for that many.
    pub(super) fn begins(&mut self, offset: u64, now: Instant) -> bool {
        if offset != self.offset {
            self.offset = offset;
            self.at.clear();
        }
        self.at.retain(|at| now.duration_since(*at) < WINDOW);
        self.at.push_back(now);
        let too_many = self.at.len() > TRIES;
        if too_many {
            self.at.clear();
        }
        too_many
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_twenty_tries_in_five_minutes_that_bring_nothing_are_a_storm() {
        let (mut tries, begin) = (Tries::default(), Instant::now());
        let seconds = |n| begin + Duration::from_secs(n);
        let storms = (0..63).filter(|n| tries.begins(0, seconds(*n))).count();
        assert_eq!(storms, 3);
    }

    #[test]
    fn one_that_comes_further_or_tries_rarely_is_none() {
        let (mut tries, begin) = (Tries::default(), Instant::now());
        let seconds = |n| begin + Duration::from_secs(n);
        assert!((0..200).all(|n| !tries.begins(n, seconds(n))), "many small parts");
        let mut tries = Tries::default();
        assert!((0..200).all(|n| !tries.begins(0, seconds(n * 15))));
    }
}

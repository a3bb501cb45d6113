//! When the server listened to devices: what they did not say while it was off, or in a time that a set clock left out, is no
//! silence of theirs. Pure.

use chrono::{DateTime, TimeDelta, Utc};

/// The server signs a checkpoint each day that it runs: with a longer gap between two it did not. A day with a change of the
/// clocks has 25 hours.
const DAILY: TimeDelta = TimeDelta::hours(26);
/// Days that are looked at: about a year. What was silent for longer is, whatever the server did before.
pub(super) const DAYS: usize = 400;

/// The times in which the server did not listen.
#[derive(Debug)]
pub(super) struct Listening {
    absences: Vec<(DateTime<Utc>, DateTime<Utc>)>,
}

impl Listening {
    /// As the times of the checkpoints tell, in the order in which they were signed.
    pub(super) fn by(checkpoints: impl IntoIterator<Item = DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        let mut absences: Vec<(DateTime<Utc>, DateTime<Utc>)> = Vec::new();
        let mut before: Option<DateTime<Utc>> = None;
        for at in checkpoints.into_iter().chain([now]) {
            // The clock was ahead, and was set back: what it left out was not left out.
            absences.retain(|(_, to)| *to <= at);
            absences.extend(before.filter(|before| at - before > DAILY).map(|before| (before, at)));
            before = Some(at);
        }
        Self { absences }
    }

    /// How long the server has listened since then.
    pub(super) fn since(&self, since: DateTime<Utc>, now: DateTime<Utc>) -> TimeDelta {
        let missed = self.absences.iter().map(|(from, to)| (*to - since.max(*from)).max(TimeDelta::zero()));
        now - since - missed.sum::<TimeDelta>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64) -> DateTime<Utc> {
        let begin: DateTime<Utc> = "2026-11-01T02:30:00Z".parse().unwrap();
        begin + TimeDelta::days(day)
    }

    fn listened(checkpoints: &[i64], since: i64, now: i64) -> i64 {
        Listening::by(checkpoints.iter().map(|n| day(*n)), day(now)).since(day(since), day(now)).num_days()
    }

    #[test]
    fn a_server_that_ran_each_day_listened_all_the_time_and_so_did_one_that_is_new() {
        assert_eq!(listened(&[0, 1, 2, 3, 4, 5], 1, 6), 5);
        assert_eq!(listened(&[], 1, 20), 19);
    }

    #[test]
    fn an_absence_is_no_silence_before_and_after_the_first_checkpoint_that_follows_it() {
        assert_eq!(listened(&[0, 1, 2], 1, 10), 1);
        assert_eq!(listened(&[0, 1, 2, 10, 11, 12], 1, 13), 4);
        assert_eq!(listened(&[0, 1, 2, 10, 11, 12], 10, 13), 3, "heard since");
        assert_eq!(listened(&[0, 1, 2, 10, 11, 20], 1, 20), 2, "two of them");
        assert_eq!(listened(&[0, 1, 2, 10], 5, 10), 0, "added while it was off");
    }

    #[test]
    fn a_clock_that_jumps_ahead_makes_nobody_silent_and_one_that_is_set_back_leaves_nothing_out() {
        assert_eq!(listened(&[0, 1, 2], 2, 33), 0);
        assert_eq!(listened(&[0, 1, 2, 33], 2, 33), 0);
        assert_eq!(listened(&[0, 1, 2, 33], 1, 10), 9);
        assert_eq!(listened(&[0, 1, 2, 33, 3, 4, 5], 1, 6), 5);
    }
}

//! When it is time: once a day, at a time of day that people set.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use longshore_store::verify::OVERDUE;

/// The day for which it is time, if it is: `now` and `last`, when it was done last, are what a clock on the wall shows. A time
/// of day that a change of the clocks leaves out is made up for at once, one that comes twice counts once, and what was missed
/// while the server did not run is done when it runs, once.
pub(super) fn due(now: NaiveDateTime, last: NaiveDateTime, time: NaiveTime) -> Option<NaiveDate> {
    let today = now.date().and_time(time);
    let point = if now >= today { today } else { today.checked_sub_days(Days::new(1))? };
    (last < point).then_some(point.date())
}

/// When a look at the store ended last, or whatever else shows that none is overdue: there was nothing to look at, or the server
/// has just been started.
pub(crate) struct LastLook(AtomicI64);

impl LastLook {
    pub(crate) fn at(now: DateTime<Utc>) -> Self {
        Self(AtomicI64::new(now.timestamp()))
    }

    pub(super) fn set(&self, now: DateTime<Utc>) {
        self.0.store(now.timestamp(), Ordering::Relaxed);
    }

    pub(super) fn is_overdue(&self, now: DateTime<Utc>) -> bool {
        now.timestamp().saturating_sub(self.0.load(Ordering::Relaxed)) > OVERDUE.num_seconds()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    fn due_at(now: &str, last: &str) -> Option<String> {
        due(at(now), at(last), "02:30:00".parse().unwrap()).map(|day| day.to_string())
    }

    #[test]
    fn it_is_time_once_a_day() {
        assert_eq!(due_at("2026-11-21T02:29:59", "2026-11-20T02:30:01"), None);
        assert_eq!(due_at("2026-11-21T02:30:00", "2026-11-20T02:30:01"), Some("2026-11-21".into()));
        assert_eq!(due_at("2026-11-21T02:31:00", "2026-11-21T02:30:00"), None);
        assert_eq!(due_at("2026-11-21T23:59:59", "2026-11-21T02:30:00"), None);
    }

    #[test]
    fn what_was_missed_is_done_at_the_next_start_once() {
        assert_eq!(due_at("2026-11-21T01:00:00", "2026-11-17T02:30:00"), Some("2026-11-20".into()));
        assert_eq!(due_at("2026-11-21T01:01:00", "2026-11-21T01:00:00"), None);
        assert_eq!(due_at("2026-11-21T02:30:00", "2026-11-21T01:00:00"), Some("2026-11-21".into()));
    }

    #[test]
    fn changes_of_the_clocks_neither_skip_nor_double_it() {
        // From 01:59:59 to 03:00:00.
        assert_eq!(due_at("2026-03-29T01:59:59", "2026-03-28T02:30:00"), None);
        assert_eq!(due_at("2026-03-29T03:00:00", "2026-03-28T02:30:00"), Some("2026-03-29".into()));
        // From 02:59:59 back to 02:00:00.
        assert_eq!(due_at("2026-10-25T02:30:10", "2026-10-24T02:30:00"), Some("2026-10-25".into()));
        assert_eq!(due_at("2026-10-25T02:00:00", "2026-10-25T02:30:10"), None);
        assert_eq!(due_at("2026-10-25T02:30:20", "2026-10-25T02:30:10"), None);
    }
}

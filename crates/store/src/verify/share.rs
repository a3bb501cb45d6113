use chrono::{Datelike as _, NaiveDate};
use longshore_model::{Sha256, UploadId};

/// Which recordings are read again in which night. It follows from the day and the recording alone, so that a look that was
/// stopped goes on with the same ones, and yet nobody can choose a file that is never looked at: each cycle deals them anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Nights in which each is read once; 0: none ever is.
    pub nights: u32,
    /// Bytes that are read in one night at most.
    pub budget: u64,
}

/// Whoever is dealt a number below it is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Odds(f64);

impl Share {
    /// Of `percent` of the recordings a night.
    pub fn of_percent(percent: u8, budget: u64) -> Self {
        Self { nights: if percent == 0 { 0 } else { 100_u32.div_ceil(u32::from(percent)) }, budget }
    }

    /// Whether it is this recording's night.
    pub(super) fn is_due(&self, upload: UploadId, day: NaiveDate) -> bool {
        let Ok(day) = u64::try_from(day.num_days_from_ce()) else { return false };
        let nights = u64::from(self.nights);
        nights != 0 && dealt(b"cycle", day / nights, upload) % nights == day % nights
    }

    /// With more that is due than may be read, all of it has the same chance.
    pub(super) fn odds(&self, due_bytes: u64) -> Odds {
        #[expect(clippy::cast_precision_loss, reason = "a chance need not be exact")]
        Odds(if due_bytes <= self.budget { 1.0 } else { self.budget as f64 / due_bytes as f64 })
    }
}

impl Odds {
    pub(super) fn favour(self, upload: UploadId, day: NaiveDate) -> bool {
        let day = u64::try_from(day.num_days_from_ce()).unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "a chance need not be exact")]
        let number = dealt(b"night", day, upload) as f64 / u64::MAX as f64;
        number < self.0 || self.0 >= 1.0
    }
}

fn dealt(what: &[u8], round: u64, upload: UploadId) -> u64 {
    let hash = Sha256::of(&[what, &round.to_be_bytes(), upload.as_bytes()].concat());
    hash.as_bytes().first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uploads() -> impl Iterator<Item = UploadId> {
        (0..2_000_u64).map(|n| UploadId::from_bytes(std::array::from_fn(|at| n.to_be_bytes()[at % 8])))
    }

    fn day(n: i32) -> NaiveDate {
        NaiveDate::from_num_days_from_ce_opt(740_000 + n).unwrap()
    }

    #[test]
    fn each_is_read_once_in_as_many_nights_and_about_as_many_every_night() {
        let share = Share::of_percent(3, u64::MAX);
        assert_eq!(share.nights, 34);
        // The first whole cycle after day 0.
        let begin = (0..34).find(|n| (740_000 + n) % 34 == 0).unwrap();
        for upload in uploads() {
            let nights = (begin..begin + 34).filter(|n| share.is_due(upload, day(*n))).count();
            assert_eq!(nights, 1);
        }
        for n in begin..begin + 34 {
            let due = uploads().filter(|upload| share.is_due(*upload, day(n))).count();
            assert!((20..110).contains(&due), "{due} in night {n}");
        }
        let same = |n: i32| uploads().filter(|u| share.is_due(*u, day(n)) && share.is_due(*u, day(n + 34))).count();
        assert!(same(begin) < 15, "the next cycle deals them anew");
    }

    #[test]
    fn all_and_none_are_shares_too() {
        let (all, none) = (Share::of_percent(100, 1), Share::of_percent(0, 1));
        assert!(uploads().all(|upload| all.is_due(upload, day(0)) && !none.is_due(upload, day(0))));
    }

    #[test]
    fn a_budget_that_does_not_suffice_leaves_each_the_same_chance() {
        let share = Share::of_percent(100, 250);
        let odds = share.odds(1000);
        let read = uploads().filter(|upload| odds.favour(*upload, day(0))).count();
        assert!((400..600).contains(&read), "{read} of 2000");
        let again = uploads().filter(|u| odds.favour(*u, day(0)) && odds.favour(*u, day(1))).count();
        assert!(again < 200, "another night, others");
        assert!(uploads().all(|upload| share.odds(250).favour(upload, day(0))));
    }
}

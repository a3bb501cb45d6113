//! How many issues a device may begin: what it makes up must neither fill the journal nor wash away what others have. Pure.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::DeviceId;

/// Issues that a device may begin at once: all that are told apart, and as many again.
const AT_ONCE: i32 = 128;
/// Time in which it may begin one more: 64 an hour, far beyond what can go wrong with a device.
const EACH: TimeDelta = TimeDelta::milliseconds(56_250);

/// What the devices have left.
#[derive(Debug, Default)]
pub(super) struct Budgets(HashMap<DeviceId, (i32, DateTime<Utc>)>);

impl Budgets {
    /// What this device has left.
    pub(super) fn of(&self, device: DeviceId) -> Option<(i32, DateTime<Utc>)> {
        self.0.get(&device).copied()
    }

    /// What it began was not recorded: it has as much left as before.
    pub(super) fn give_back(&mut self, device: DeviceId, before: Option<(i32, DateTime<Utc>)>) {
        match before {
            Some(before) => drop(self.0.insert(device, before)),
            None => drop(self.0.remove(&device)),
        }
    }

    /// Whether this device may begin an issue, which it does then.
    pub(super) fn spend(&mut self, device: DeviceId, now: DateTime<Utc>) -> bool {
        let (left, since) = self.0.entry(device).or_insert((AT_ONCE, now));
        let earned = (now - *since).num_milliseconds() / EACH.num_milliseconds();
        let earned = i32::try_from(earned).unwrap_or(AT_ONCE).min(AT_ONCE);
        if earned >= AT_ONCE - *left || *since > now {
            // Full; or the clock was set back, and counts from now.
            *left = if *since > now { *left } else { AT_ONCE };
            *since = now;
        } else {
            *left += earned;
            *since += EACH * earned;
        }
        let may = *left > 0;
        *left -= i32::from(may);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_begins_so_many_at_once_and_then_so_many_an_hour_whatever_the_clock_does() {
        let (mut budgets, device) = (Budgets::default(), DeviceId::from_bytes([1; 16]));
        let at = |minutes: i64| {
            let begin: DateTime<Utc> = "2026-11-21T00:00:00Z".parse().unwrap();
            begin + TimeDelta::minutes(minutes)
        };
        let mut begun = |minutes| (0..1000).filter(|_| budgets.spend(device, at(minutes))).count();
        assert_eq!([begun(0), begun(0), begun(60), begun(90), begun(10_000)], [128, 0, 64, 32, 128]);
        assert_eq!([begun(-10_000), begun(-9_940)], [0, 64], "it was set back");
        let other = DeviceId::from_bytes([2; 16]);
        for _ in 0..1000 {
            let before = budgets.of(other);
            assert!(budgets.spend(other, at(0)));
            budgets.give_back(other, before);
        }
    }
}

//! Who is in the dock, what is on the cards, and what goes wrong.

use std::time::Duration;

use chrono::{DateTime, Local, TimeDelta, Utc};
use longshore_agent::fleet::card::Shot;

/// Model of the cameras.
pub(super) const MODEL: &str = "BC4";
/// Folder of the recordings that are events, as cameras name it.
const EVENTS: &str = "EVENT";
/// Folder of the others.
const OTHERS: &str = "NORMAL";
/// How long ago the shift began, whose recordings are on the cards.
const SHIFT: TimeDelta = TimeDelta::hours(9);
/// From one recording to the next.
const APART: TimeDelta = TimeDelta::minutes(83);
/// What is in a size beside whole megabytes: the sizes of real recordings are not round.
const ODD_BYTES: u64 = 7_919;
const MEGABYTE: u64 = 1_000_000;

/// A camera of the demo.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// As on the dock's label, from 1.
    pub(super) bay: usize,
    pub(super) serial: &'static str,
    pub(super) assignee: &'static str,
    /// Sizes of the events, oldest first, in MB.
    events: &'static [u64],
    /// Size of the one recording that is no event, in MB.
    other: u64,
    /// How far the camera's clock is ahead, in days.
    pub(super) days_ahead: i64,
    pub(super) mishap: Option<Mishap>,
}

/// Something that goes wrong in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mishap {
    pub(super) kind: MishapKind,
    /// When this much of the camera's events is through, in per cent.
    pub(super) at_percent: u64,
    /// How long it lasts.
    pub(super) lasts: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MishapKind {
    /// The camera's process is killed, its bay goes dead.
    PowerLoss,
    /// Its bay goes dead, the camera runs on.
    PulledOut,
}

/// About 730 MB: twelve seconds of eight bays.
pub(super) const DOCK: [Plan; 8] = [
    Plan::of(1, "BC4-1041", "J. Alvarez", &[19, 34, 12, 27], 7),
    Plan::of(2, "BC4-1042", "M. Okafor", &[23, 9, 41, 16], 5),
    Plan {
        mishap: Some(Mishap { kind: MishapKind::PowerLoss, at_percent: 40, lasts: Duration::from_secs(3) }),
        ..Plan::of(3, "BC4-1043", "S. Lindqvist", &[11, 38, 17], 6)
    },
    Plan::of(4, "BC4-1044", "T. Nakamura", &[14, 22, 8, 31, 18], 8),
    Plan {
        mishap: Some(Mishap { kind: MishapKind::PulledOut, at_percent: 50, lasts: Duration::from_secs(4) }),
        ..Plan::of(5, "BC4-1045", "R. Haddad", &[16, 33, 15], 5)
    },
    Plan::of(6, "BC4-1046", "C. Byrne", &[28, 13, 29, 10], 6),
    Plan { days_ahead: 365, ..Plan::of(7, "BC4-1047", "P. Novak", &[21, 18, 36], 7) },
    Plan::of(8, "BC4-1048", "L. Fontaine", &[9, 37, 24, 20], 5),
];

impl Plan {
    const fn of(bay: usize, serial: &'static str, assignee: &'static str, events: &'static [u64], other: u64) -> Self {
        Self { bay, serial, assignee, events, other, days_ahead: 0, mishap: None }
    }

    /// What the camera has recorded by `now`, oldest first: named and dated by its own clock.
    pub(super) fn shots(&self, now: DateTime<Utc>) -> Vec<Shot> {
        let sizes = self.events.iter().map(|size| (EVENTS, *size)).chain([(OTHERS, self.other)]);
        let begin = now - SHIFT + TimeDelta::days(self.days_ahead);
        let shot = |(number, (folder, megabytes)): (usize, (&str, u64))| {
            let place = number as u64 * 8 + self.bay as u64;
            // The seconds set the recordings of two cameras apart.
            let start =
                begin + APART * i32::try_from(number).unwrap_or_default() + TimeDelta::seconds(97 * self.bay as i64);
            let name = format!("{folder}/{}.mp4", start.with_timezone(&Local).format("%Y%m%d_%H%M%S"));
            Shot { name, start, size: megabytes * MEGABYTE + place * ODD_BYTES }
        };
        sizes.enumerate().map(shot).collect()
    }
}

/// Whether the server is to have it without being asked.
pub(super) fn is_event(name: &str) -> bool {
    name.starts_with(EVENTS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_camera_has_events_and_something_that_nobody_asks_for() {
        let now = "2026-11-21T14:03:22Z".parse().unwrap();
        let mut sizes = BTreeSet::new();
        for (index, plan) in DOCK.iter().enumerate() {
            assert_eq!(plan.bay, index + 1);
            let shots = plan.shots(now);
            let events = shots.iter().filter(|shot| is_event(&shot.name)).count();
            assert!(events >= 3 && events == shots.len() - 1);
            // It was over when the camera was docked, by the camera's clock.
            let docked = now + TimeDelta::days(plan.days_ahead);
            assert!(shots.iter().all(|shot| shot.start + TimeDelta::minutes(1) < docked));
            sizes.extend(shots.iter().map(|shot| shot.size));
        }
        let all: usize = DOCK.iter().map(|plan| plan.shots(now).len()).sum();
        assert_eq!(sizes.len(), all, "no two are equally large");
        assert!((600 * MEGABYTE..800 * MEGABYTE).contains(&sizes.iter().sum()), "{sizes:?}");
    }
}

//! A day of a fleet: who records what and when, and what goes wrong. It follows from the seed alone. Pure.

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{Kind, Sha256};

use super::card::Shot;
use super::clip;

/// What a docked body camera, and a recorder on the yard's Wi-Fi, send at, in bytes a second.
const CAMERA_RATE: u64 = super::link::BAY_BYTES_PER_SECOND;
const RECORDER_RATE: u64 = 40_000_000;
/// Most that a recording has beyond the smallest, in bytes.
const SPREAD: u64 = 400_000;
/// Folder of the recordings that are events, as cameras name it, and of the others.
pub(super) const EVENTS: &str = "EVENT";
const OTHERS: &str = "NORMAL";

/// How large the fleet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Body cameras.
    pub cameras: usize,
    /// Recorders in vehicles.
    pub recorders: usize,
}

/// What a device does at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// A recording is on the card from now on.
    Record(Shot),
    /// It reaches the server.
    Arrive,
    /// It does not any more.
    Leave,
    /// It loses its power.
    Die,
    /// It has power again.
    Start,
}

/// What a device has to do with the people who run the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing special.
    Ordinary,
    /// It is lost in the middle of its shift and never seen again.
    Lost,
    /// It breaks in the middle of its shift.
    Broken,
    /// It comes new, for one that broke.
    Replacement,
}

/// The day of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// As printed on it.
    pub serial: String,
    /// Name of its model.
    pub model: &'static str,
    /// Bytes a second of its network.
    pub rate: u64,
    /// How far its clock is ahead.
    pub ahead: TimeDelta,
    /// What becomes of it.
    pub fate: Fate,
    /// What it does and when, by the true time, in this order.
    pub steps: Vec<(DateTime<Utc>, Act)>,
}

/// How long a day is, from the first device that is set up to the last that may send.
pub const LENGTH: TimeDelta = TimeDelta::hours(16);
/// Devices are set up while they sit in their docks, before the shift.
const SET_UP: TimeDelta = TimeDelta::minutes(90);
/// The shift begins for all within half an hour of this, and lasts this long.
const SHIFT_BEGINS: TimeDelta = TimeDelta::hours(2);
const SHIFT: TimeDelta = TimeDelta::hours(8);

/// The day of each device. One camera has a clock that is an hour wrong, one is lost, one breaks and another comes in its
/// place, as far as there are that many; every third loses its power while it sends.
#[must_use]
pub fn plan(size: Size, seed: u64, begin: DateTime<Utc>) -> Vec<Plan> {
    let mut plans: Vec<Plan> = (0..size.cameras)
        .map(|n| {
            let fate = match n {
                1 => Fate::Lost,
                2 => Fate::Broken,
                3 => Fate::Replacement,
                _ => Fate::Ordinary,
            };
            let ahead = if n == 0 { TimeDelta::hours(1) } else { TimeDelta::zero() };
            Day::new(seed, format!("SIM-C{n:03}"), begin).camera(ahead, fate, n % 3 == 1)
        })
        .collect();
    plans.extend((0..size.recorders).map(|n| Day::new(seed, format!("SIM-V{n:03}"), begin).recorder()));
    plans
}

/// One that is being planned.
struct Day {
    serial: String,
    begin: DateTime<Utc>,
    random: ChaCha8Rng,
    steps: Vec<(DateTime<Utc>, Act)>,
}

impl Day {
    fn new(seed: u64, serial: String, begin: DateTime<Utc>) -> Self {
        let random = ChaCha8Rng::from_seed(*Sha256::of(format!("{seed} {serial}").as_bytes()).as_bytes());
        Self { serial, begin, random, steps: Vec::new() }
    }

    /// A random time below `most`, in seconds.
    fn within(&mut self, most: TimeDelta) -> TimeDelta {
        let most = u64::try_from(most.num_seconds()).unwrap_or_default().max(1);
        TimeDelta::seconds(i64::try_from(self.random.next_u64() % most).unwrap_or_default())
    }

    fn at(&mut self, after_begin: TimeDelta, act: Act) {
        self.steps.push((self.begin + after_begin, act));
    }

    fn record(&mut self, after_begin: TimeDelta, kind: Kind, ahead: TimeDelta) {
        let start = self.begin + after_begin + ahead;
        let folder = if kind == Kind::Event { EVENTS } else { OTHERS };
        let name = format!("{folder}/{}.mp4", start.format("%Y%m%d_%H%M%S"));
        let size = clip::SMALLEST + self.random.next_u64() % SPREAD;
        let over = after_begin + TimeDelta::seconds(clip::SECONDS.into());
        self.at(over, Act::Record(Shot { name, start, size }));
    }

    /// Events about once an hour, and something else in each hour too.
    fn shift(&mut self, begins: TimeDelta, lasts: TimeDelta, ahead: TimeDelta) {
        for hour in 0..lasts.num_hours() {
            for kind in [Kind::Event, Kind::Continuous] {
                let offset = TimeDelta::hours(hour) + self.within(TimeDelta::minutes(58));
                self.record(begins + offset, kind, ahead);
            }
        }
    }

    /// Docked before and after its shift.
    fn camera(mut self, ahead: TimeDelta, fate: Fate, dies: bool) -> Plan {
        let arrives = if fate == Fate::Replacement { SHIFT_BEGINS + SHIFT / 2 } else { self.within(SET_UP / 3) };
        let begins = SHIFT_BEGINS.max(arrives + SET_UP) + self.within(TimeDelta::minutes(30));
        let lasts = match fate {
            Fate::Ordinary => SHIFT,
            _ => SHIFT / 2 - TimeDelta::hours(1),
        };
        self.at(arrives, Act::Arrive);
        self.at(begins, Act::Leave);
        self.shift(begins, lasts, ahead);
        let ends = begins + lasts + TimeDelta::minutes(20) + self.within(TimeDelta::minutes(20));
        match fate {
            Fate::Lost => self.at(ends, Act::Die),
            Fate::Broken => {
                // It still hands over what it holds.
                self.at(ends, Act::Arrive);
                self.at(ends + TimeDelta::hours(3), Act::Die);
            }
            Fate::Ordinary | Fate::Replacement => {
                self.at(ends, Act::Arrive);
                if dies {
                    let cut = ends + TimeDelta::seconds(1) + self.within(TimeDelta::minutes(5)) / 300;
                    self.at(cut, Act::Die);
                    self.at(cut + TimeDelta::minutes(20), Act::Start);
                }
            }
        }
        self.done("BC4", CAMERA_RATE, ahead, fate)
    }

    /// On the road, and in the yard for an hour in between.
    fn recorder(mut self) -> Plan {
        let arrives = self.within(SET_UP / 3);
        self.at(arrives, Act::Arrive);
        let mut begins = SHIFT_BEGINS + self.within(TimeDelta::minutes(30));
        for _ in 0..2 {
            let lasts = SHIFT / 2;
            self.at(begins, Act::Leave);
            self.shift(begins, lasts, TimeDelta::zero());
            begins += lasts + TimeDelta::minutes(10);
            self.at(begins, Act::Arrive);
            begins += TimeDelta::minutes(50);
        }
        self.done("DVR-906", RECORDER_RATE, TimeDelta::zero(), Fate::Ordinary)
    }

    fn done(self, model: &'static str, rate: u64, ahead: TimeDelta, fate: Fate) -> Plan {
        let Self { serial, mut steps, .. } = self;
        steps.sort_by_key(|(at, _)| *at);
        Plan { serial, model, rate, ahead, fate, steps }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn begin() -> DateTime<Utc> {
        "2026-11-20T04:00:00Z".parse().unwrap()
    }

    const CITY: Size = Size { cameras: 25, recorders: 5 };

    #[test]
    fn the_same_seed_gives_the_same_day_and_another_seed_another() {
        assert_eq!(plan(CITY, 7, begin()), plan(CITY, 7, begin()));
        assert_ne!(plan(CITY, 7, begin()), plan(CITY, 8, begin()));
    }

    #[test]
    fn one_clock_is_wrong_one_camera_is_lost_and_one_comes_for_one_that_broke() {
        let plans = plan(CITY, 7, begin());
        assert_eq!(plans.len(), 30);
        assert_eq!(plans.iter().filter(|plan| plan.ahead != TimeDelta::zero()).count(), 1);
        for fate in [Fate::Lost, Fate::Broken, Fate::Replacement] {
            assert_eq!(plans.iter().filter(|plan| plan.fate == fate).count(), 1, "{fate:?}");
        }
    }

    proptest! {
        #[test]
        fn a_day_is_in_order_and_within_its_length_and_no_card_has_a_name_twice(seed: u64, cameras in 0..12_usize) {
            for plan in plan(Size { cameras, recorders: 2 }, seed, begin()) {
                prop_assert!(plan.steps.windows(2).all(|pair| pair[0].0 <= pair[1].0));
                prop_assert!(plan.steps.iter().all(|(at, _)| (begin()..begin() + LENGTH).contains(at)), "{plan:?}");
                prop_assert!(matches!(plan.steps[0].1, Act::Arrive), "it is set up before it records");
                let shots = plan.steps.iter().filter_map(|(_, act)| match act { Act::Record(shot) => Some(shot), _ => None });
                let names: Vec<_> = shots.map(|shot| &shot.name).collect();
                prop_assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
                prop_assert!(!names.is_empty());
            }
        }
    }
}

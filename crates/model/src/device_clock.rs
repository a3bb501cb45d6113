use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// Differences below this are a network that takes its time.
const NOISE: TimeDelta = TimeDelta::seconds(2);
/// The samples of one device that are kept: two boots a day for a month.
const SAMPLES: usize = 64;
/// At least this lies between two samples, so that a clock gone mad does not fill the journal.
const APART: TimeDelta = TimeDelta::seconds(10);
/// A clock that goes steadily says something new after this time at the latest, so that its last sample is near to what it
/// records.
const AT_LATEST: TimeDelta = TimeDelta::days(1);
/// No clock tells of a time that lies further from its nearest sample: nobody knows how it went.
const REACH: TimeDelta = TimeDelta::days(60);

/// What a device's clock showed at a moment that the server knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockSample {
    /// Names the boot of the device.
    pub boot: String,
    /// Milliseconds since then.
    pub uptime_ms: u64,
    /// Its wall clock, in its zone.
    pub wall: DateTime<FixedOffset>,
    /// The wall clock was set by GPS, NTP or a server since the boot.
    pub synced: bool,
    /// The server's time when it heard of it.
    pub server: DateTime<Utc>,
}

impl ClockSample {
    /// How far the device's clock is ahead.
    pub fn ahead(&self) -> TimeDelta {
        self.wall.to_utc() - self.server
    }

    /// When the device booted, in the time that `moment` is told in.
    fn booted(&self, moment: DateTime<Utc>) -> DateTime<Utc> {
        let uptime = i64::try_from(self.uptime_ms).ok().and_then(TimeDelta::try_milliseconds);
        uptime.and_then(|uptime| moment.checked_sub_signed(uptime)).unwrap_or(moment)
    }
}

/// How the clock of one device went: between its time and true time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceClock {
    /// As they came.
    samples: Vec<ClockSample>,
}

impl DeviceClock {
    fn last(&self) -> Option<&ClockSample> {
        self.samples.last()
    }

    /// Whether `sample` says something that those before do not.
    pub fn is_news(&self, sample: &ClockSample) -> bool {
        let Some(last) = self.last() else { return true };
        let since = sample.server - last.server;
        if since < APART {
            return false;
        }
        if last.boot != sample.boot || last.synced != sample.synced || since >= AT_LATEST {
            return true;
        }
        // A request that came late shows the clock too far behind, and the boot too late: that is no news. A clock that was
        // set moves against its uptime; a request that came sooner than the one before tells better.
        let differs = (sample.ahead() - last.ahead()).abs() > NOISE;
        let was_set = (sample.booted(sample.wall.to_utc()) - last.booted(last.wall.to_utc())).abs() > NOISE;
        let is_better = last.booted(last.server) - sample.booted(sample.server) > NOISE;
        differs && (was_set || is_better)
    }

    /// Takes one more; the oldest makes room.
    pub fn take(&mut self, sample: ClockSample) {
        if self.samples.len() >= SAMPLES {
            self.samples.remove(0);
        }
        self.samples.push(sample);
    }

    /// The true time at which the device's clock showed `wall`, in this boot if it is known; `None` if nobody knows how the
    /// clock went then.
    pub fn to_true(&self, wall: DateTime<FixedOffset>, boot: Option<&str>) -> Option<DateTime<Utc>> {
        let distance = |sample: &&ClockSample| (sample.wall - wall).abs();
        let of_boot = self.samples.iter().filter(|sample| Some(sample.boot.as_str()) == boot).min_by_key(distance);
        let nearest = of_boot.or_else(|| self.samples.iter().min_by_key(distance))?;
        if distance(&nearest) > REACH {
            return None;
        }
        wall.to_utc().checked_sub_signed(nearest.ahead())
    }

    /// What the device's clock showed at `moment`, in the device's zone; without samples, what it should have shown.
    pub fn to_device(&self, moment: DateTime<Utc>) -> DateTime<FixedOffset> {
        let distance = |sample: &&ClockSample| (sample.server - moment).abs();
        let ran = |sample: &&ClockSample| {
            let of_boot = self.samples.iter().filter(|other| other.boot == sample.boot);
            let until = of_boot.map(|other| other.server).max();
            sample.booted(sample.server) <= moment && until.is_some_and(|until| moment <= until)
        };
        let in_that_boot = self.samples.iter().filter(ran).min_by_key(distance);
        let Some(nearest) = in_that_boot.or_else(|| self.samples.iter().min_by_key(distance)) else {
            return moment.fixed_offset();
        };
        let shown = moment.checked_add_signed(nearest.ahead()).unwrap_or(moment);
        shown.with_timezone(nearest.wall.offset())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moment(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn wall(text: &str) -> DateTime<FixedOffset> {
        text.parse().unwrap()
    }

    fn sample(boot: &str, uptime_s: u64, shown: &str, server: &str) -> ClockSample {
        ClockSample {
            boot: boot.into(),
            uptime_ms: uptime_s * 1000,
            wall: wall(shown),
            synced: false,
            server: moment(server),
        }
    }

    fn clock(samples: impl IntoIterator<Item = ClockSample>) -> DeviceClock {
        let mut clock = DeviceClock::default();
        samples.into_iter().for_each(|sample| clock.take(sample));
        clock
    }

    #[test]
    fn a_clock_that_is_an_hour_ahead_is_asked_for_an_hour_later() {
        let clock = clock([sample("a", 600, "2026-11-21T17:00:00+01:00", "2026-11-21T15:00:00Z")]);
        assert_eq!(clock.to_device(moment("2026-11-21T14:00:00Z")).to_rfc3339(), "2026-11-21T16:00:00+01:00");
        let recorded = wall("2026-11-21T16:10:00+01:00");
        assert_eq!(clock.to_true(recorded, None), Some(moment("2026-11-21T14:10:00Z")));
        assert_eq!(clock.to_true(recorded, Some("unknown")), Some(moment("2026-11-21T14:10:00Z")));
    }

    #[test]
    fn each_boot_has_a_clock_of_its_own() {
        // Its battery was flat at the second boot, so that it counted from 2000.
        let clock = clock([
            sample("a", 7200, "2026-11-21T10:00:00Z", "2026-11-21T10:00:00Z"),
            sample("b", 3600, "2000-01-01T01:00:00Z", "2026-11-21T16:00:00Z"),
        ]);
        assert_eq!(clock.to_true(wall("2000-01-01T00:30:00Z"), Some("b")), Some(moment("2026-11-21T15:30:00Z")));
        assert_eq!(clock.to_true(wall("2026-11-21T09:00:00Z"), Some("a")), Some(moment("2026-11-21T09:00:00Z")));
        assert_eq!(clock.to_device(moment("2026-11-21T15:30:00Z")), wall("2000-01-01T00:30:00Z"));
        // Nearer to the second sample, but before that boot.
        assert_eq!(clock.to_device(moment("2026-11-21T09:00:00Z")), wall("2026-11-21T09:00:00Z"));
    }

    #[test]
    fn what_lies_too_far_from_every_sample_is_not_known() {
        let clock = clock([sample("a", 1, "2026-11-21T15:00:00Z", "2026-11-21T15:00:00Z")]);
        assert_eq!(clock.to_true(wall("1970-01-01T00:05:00Z"), None), None);
        assert_eq!(DeviceClock::default().to_true(wall("2026-11-21T15:00:00Z"), None), None);
    }

    #[test]
    fn only_what_says_something_new_is_kept() {
        let first = sample("a", 600, "2026-11-21T15:00:00Z", "2026-11-21T15:00:00Z");
        let clock = clock([first.clone()]);
        assert!(DeviceClock::default().is_news(&first));
        for (what, next, is_news) in [
            ("steady", sample("a", 660, "2026-11-21T15:01:00Z", "2026-11-21T15:01:00Z"), false),
            ("late on its way", sample("a", 660, "2026-11-21T15:01:00Z", "2026-11-21T15:01:20Z"), false),
            ("at once", sample("b", 1, "2026-11-21T19:00:05Z", "2026-11-21T15:00:05Z"), false),
            ("set", sample("a", 660, "2026-11-21T16:01:00Z", "2026-11-21T15:01:00Z"), true),
            ("another boot", sample("b", 5, "2026-11-21T15:01:00Z", "2026-11-21T15:01:00Z"), true),
            ("after a day", sample("a", 87_000, "2026-11-22T15:01:00Z", "2026-11-22T15:01:00Z"), true),
        ] {
            assert_eq!(clock.is_news(&next), is_news, "{what}");
        }
        let late = sample("a", 600, "2026-11-21T15:00:00Z", "2026-11-21T15:00:40Z");
        let better = sample("a", 660, "2026-11-21T15:01:00Z", "2026-11-21T15:01:00Z");
        assert!(self::clock([late]).is_news(&better), "a request that came sooner tells better");
    }

    #[test]
    fn no_flood_of_samples_grows_it() {
        let mut clock = DeviceClock::default();
        for n in 0..1000_u32 {
            let at = moment("2026-11-21T15:00:00Z") + TimeDelta::minutes(n.into());
            let boot = n.to_string();
            clock.take(ClockSample { boot, uptime_ms: 0, wall: at.fixed_offset(), synced: true, server: at });
        }
        assert_eq!((clock.samples.len(), clock.last().unwrap().boot.as_str()), (SAMPLES, "999"));
    }

    proptest! {
        #[test]
        fn there_and_back_is_the_same_moment_whatever_the_clock_shows(
            ahead_s in -2_000_000_000..2_000_000_000_i64,
            uptime_ms in any::<u64>(),
            moment_s in -5_000_000..5_000_000_i64,
        ) {
            let server = moment("2026-11-21T15:00:00Z");
            let wall = (server + TimeDelta::seconds(ahead_s)).fixed_offset();
            let clock = clock([ClockSample { boot: "a".into(), uptime_ms, wall, synced: false, server }]);
            let asked = server + TimeDelta::seconds(moment_s);
            prop_assert_eq!(clock.to_true(clock.to_device(asked), Some("a")), Some(asked));
        }

        #[test]
        fn nothing_that_a_device_can_say_panics(
            walls in prop::collection::vec((any::<u64>(), -8_000_000_000_000_i64..8_000_000_000_000, 0..5_u8), 1..10),
        ) {
            let server = moment("2026-11-21T15:00:00Z");
            let mut clock = DeviceClock::default();
            for (n, (uptime_ms, seconds, boot)) in walls.into_iter().enumerate() {
                let wall = DateTime::from_timestamp(seconds, 0).unwrap().fixed_offset();
                let server = server + TimeDelta::hours(i64::try_from(n).unwrap());
                let sample = ClockSample { boot: boot.to_string(), uptime_ms, wall, synced: false, server };
                let _either = clock.is_news(&sample);
                clock.take(sample);
                let _any = (clock.to_true(wall, Some("1")), clock.to_device(server));
            }
        }
    }
}

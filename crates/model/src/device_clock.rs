use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::Span;

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
/// A clock that is further off was never set. It begins anew with each boot, so that one boot says nothing of another.
const SET: TimeDelta = TimeDelta::days(1);

/// No clock goes wrong by more than one part in this many; a sample that is further off came late.
const STEADY: i32 = 5_000;

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

    fn is_set(&self) -> bool {
        self.ahead().abs() <= SET
    }

    /// What the device's clock showed at `moment` if it went as it does here, in the device's zone.
    fn shows(&self, moment: DateTime<Utc>) -> DateTime<FixedOffset> {
        moment.checked_add_signed(self.ahead()).unwrap_or(moment).with_timezone(self.wall.offset())
    }

    /// Whether the clock was set between this sample and `newer`, of the same boot: it moved against its uptime.
    fn is_set_before(&self, newer: &Self) -> bool {
        (newer.booted(newer.wall.to_utc()) - self.booted(self.wall.to_utc())).abs() > NOISE
    }

    /// How much later the request of this sample came than that of `newer`, of the same boot.
    fn late_by(&self, newer: &Self) -> TimeDelta {
        self.booted(self.server) - newer.booted(newer.server)
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
        if since.abs() < APART {
            return false;
        }
        // The server's own clock was set back: it knew no true time before.
        if since < TimeDelta::zero() {
            return true;
        }
        if last.boot != sample.boot || last.synced != sample.synced || since >= AT_LATEST {
            return true;
        }
        // A request that came late shows the clock too far behind, and the boot too late: that is no news. A clock that was
        // set moves against its uptime; a request that came sooner than the one before tells better.
        let differs = (sample.ahead() - last.ahead()).abs() > NOISE;
        differs && (last.is_set_before(sample) || last.late_by(sample) > NOISE)
    }

    /// Takes one more; the oldest makes room. Those of a time that is still to come, since the server's own clock was ahead when
    /// they were taken, are worth nothing.
    pub fn take(&mut self, sample: ClockSample) {
        self.samples.retain(|known| known.server <= sample.server);
        // A request that came sooner tells better how the clock went before, too.
        while let Some(last) = self.last().filter(|last| last.boot == sample.boot && !last.is_set_before(&sample)) {
            let drift = (sample.server - last.server) / STEADY;
            if last.late_by(&sample) <= NOISE + drift {
                break;
            }
            self.samples.pop();
        }
        if self.samples.len() >= SAMPLES {
            self.samples.remove(0);
        }
        self.samples.push(sample);
    }

    fn of_boot<'a>(&'a self, boot: &'a str) -> impl Iterator<Item = &'a ClockSample> + Clone {
        self.samples.iter().filter(move |sample| sample.boot == boot)
    }

    /// The true time at which the device's clock showed `wall`, in this boot if it is known; `None` if nobody knows how the
    /// clock went then.
    pub fn to_true(&self, wall: DateTime<FixedOffset>, boot: Option<&str>) -> Option<DateTime<Utc>> {
        let distance = |sample: &&ClockSample| (sample.wall - wall).abs();
        let nearest = match boot.filter(|boot| self.of_boot(boot).next().is_some()) {
            Some(boot) => self.of_boot(boot).min_by_key(distance),
            None => self.samples.iter().filter(|sample| boot.is_none() || sample.is_set()).min_by_key(distance),
        };
        let nearest = nearest.filter(|nearest| distance(nearest) <= REACH)?;
        // A clock that was set in between went as before until then.
        let went = last_before(self.of_boot(&nearest.boot), |sample| sample.wall <= wall)?;
        wall.to_utc().checked_sub_signed(went.ahead())
    }

    /// How the clock went at `moment`: in the boot that began last before it, as the last sample before it tells.
    fn at(&self, moment: DateTime<Utc>) -> Option<&ClockSample> {
        let began = |sample: &&ClockSample| sample.booted(sample.server);
        let boot = self.samples.iter().filter(|sample| began(sample) <= moment).max_by_key(began);
        match boot {
            Some(boot) => last_before(self.of_boot(&boot.boot), |sample| sample.server <= moment),
            // Nothing is known of the boots before the first sample, but that a clock that is set mostly was.
            None => self.samples.iter().find(|sample| sample.is_set()).or_else(|| self.samples.first()),
        }
    }

    /// What the device's clock showed from the first to the last moment of `span`, in the device's zone; without samples, what
    /// it should have shown. Never ends before it begins: where the clock was set in between, it is all that it may have shown.
    pub fn to_device(&self, span: Span) -> (DateTime<FixedOffset>, DateTime<FixedOffset>) {
        let (Some(first), Some(last)) = (self.at(span.from), self.at(span.to)) else {
            return (span.from.fixed_offset(), span.to.fixed_offset());
        };
        // No stretch reaches from one clock to another that is years off: that of the beginning counts.
        let bridged = (first.ahead() - last.ahead()).abs() <= SET;
        let last = if bridged { last } else { first };
        let from = first.shows(span.from).min(last.shows(span.from));
        (from, first.shows(span.to).max(last.shows(span.to)))
    }
}

/// The last one that `is_before`, or else the first one.
fn last_before<'a>(
    mut samples: impl Iterator<Item = &'a ClockSample> + Clone,
    is_before: impl Fn(&ClockSample) -> bool,
) -> Option<&'a ClockSample> {
    samples.clone().filter(|sample| is_before(sample)).last().or_else(|| samples.next())
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

    fn asked(clock: &DeviceClock, from: &str, to: &str) -> (DateTime<FixedOffset>, DateTime<FixedOffset>) {
        clock.to_device(Span { from: moment(from), to: moment(to) })
    }

    fn clock(samples: impl IntoIterator<Item = ClockSample>) -> DeviceClock {
        let mut clock = DeviceClock::default();
        samples.into_iter().for_each(|sample| clock.take(sample));
        clock
    }

    #[test]
    fn a_clock_that_is_an_hour_ahead_is_asked_for_an_hour_later() {
        let clock = clock([sample("a", 600, "2026-11-21T17:00:00+01:00", "2026-11-21T15:00:00Z")]);
        let (from, to) = asked(&clock, "2026-11-21T14:00:00Z", "2026-11-21T14:10:00Z");
        assert_eq!([from.to_rfc3339(), to.to_rfc3339()], ["2026-11-21T16:00:00+01:00", "2026-11-21T16:10:00+01:00"]);
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
        let hour = |from: &str, to: &str| (wall(from), wall(to));
        assert_eq!(
            asked(&clock, "2026-11-21T15:10:00Z", "2026-11-21T15:30:00Z"),
            hour("2000-01-01T00:10:00Z", "2000-01-01T00:30:00Z")
        );
        // After the last sample of the first boot, and nearer to that of the second, which began later.
        assert_eq!(
            asked(&clock, "2026-11-21T14:00:00Z", "2026-11-21T14:30:00Z"),
            hour("2026-11-21T14:00:00Z", "2026-11-21T14:30:00Z")
        );
        // Over the end of the first.
        assert_eq!(
            asked(&clock, "2026-11-21T14:50:00Z", "2026-11-21T15:10:00Z"),
            hour("2026-11-21T14:50:00Z", "2026-11-21T15:10:00Z")
        );
        // Before both.
        assert_eq!(
            asked(&clock, "2026-11-20T14:50:00Z", "2026-11-20T15:10:00Z"),
            hour("2026-11-20T14:50:00Z", "2026-11-20T15:10:00Z")
        );
    }

    #[test]
    fn a_clock_that_is_set_went_as_before_until_then() {
        let clock = clock([
            sample("a", 7200, "2026-11-21T09:00:00Z", "2026-11-21T08:00:00Z"),
            sample("a", 43_200, "2026-11-21T18:00:00Z", "2026-11-21T18:00:00Z"),
        ]);
        let (from, to) = asked(&clock, "2026-11-21T14:00:00Z", "2026-11-21T14:10:00Z");
        assert_eq!((from, to), (wall("2026-11-21T15:00:00Z"), wall("2026-11-21T15:10:00Z")));
        assert_eq!(clock.to_true(from, Some("a")), Some(moment("2026-11-21T14:00:00Z")));
        assert_eq!(clock.to_true(wall("2026-11-21T19:00:00Z"), Some("a")), Some(moment("2026-11-21T19:00:00Z")));
        // When it was set is not known to the minute: whatever it may have shown is meant.
        let (from, to) = asked(&clock, "2026-11-21T17:50:00Z", "2026-11-21T18:10:00Z");
        assert_eq!((from, to), (wall("2026-11-21T17:50:00Z"), wall("2026-11-21T19:10:00Z")));
    }

    #[test]
    fn a_boot_of_which_nothing_is_known_tells_no_time_if_the_clock_is_never_set() {
        let never_set = sample("c", 60, "2000-01-01T00:01:00Z", "2026-11-21T18:00:00Z");
        let recorded = wall("2000-01-01T02:00:00Z");
        assert_eq!(clock([never_set.clone()]).to_true(recorded, Some("b")), None, "its battery was flat before, too");
        assert!(clock([never_set]).to_true(recorded, Some("c")).is_some());
    }

    #[test]
    fn what_was_sampled_while_the_servers_clock_was_ahead_is_forgotten_once_it_is_right() {
        let mut clock = clock([
            sample("a", 600, "2026-11-21T15:00:00Z", "2026-11-21T15:00:00Z"),
            sample("a", 660, "2026-11-21T15:01:00Z", "2099-01-01T00:00:00Z"),
        ]);
        let right = sample("a", 720, "2026-11-21T15:02:00Z", "2026-11-21T15:02:00Z");
        assert!(clock.is_news(&right));
        clock.take(right);
        assert_eq!(clock.to_true(wall("2026-11-21T15:03:00Z"), Some("a")), Some(moment("2026-11-21T15:03:00Z")));
        assert_eq!(clock.samples.len(), 2);
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
        assert!(self::clock([late.clone()]).is_news(&better), "a request that came sooner tells better");
        let clock = self::clock([late, better]);
        assert_eq!(clock.to_true(wall("2026-11-21T15:00:10Z"), Some("a")), Some(moment("2026-11-21T15:00:10Z")));
        assert_eq!(clock.samples.len(), 1);
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
            let from = server + TimeDelta::seconds(moment_s);
            let (shown, _) = clock.to_device(Span { from, to: from });
            prop_assert_eq!(clock.to_true(shown, Some("a")), Some(from));
        }

        #[test]
        fn nothing_that_a_device_can_say_panics_or_turns_a_stretch_round(
            walls in prop::collection::vec((any::<u64>(), -8_000_000_000_000_i64..8_000_000_000_000, 0..5_u8), 1..10),
            from_h in -100..100_i64,
            length_h in 0..200_i64,
        ) {
            let server = moment("2026-11-21T15:00:00Z");
            let mut clock = DeviceClock::default();
            for (n, (uptime_ms, seconds, boot)) in walls.into_iter().enumerate() {
                let wall = DateTime::from_timestamp(seconds, 0).unwrap().fixed_offset();
                let server = server + TimeDelta::hours(i64::try_from(n).unwrap());
                let sample = ClockSample { boot: boot.to_string(), uptime_ms, wall, synced: false, server };
                let _either = clock.is_news(&sample);
                clock.take(sample);
                let _any = clock.to_true(wall, Some("1"));
                let from = server + TimeDelta::hours(from_h);
                let (shown_from, shown_to) = clock.to_device(Span { from, to: from + TimeDelta::hours(length_h) });
                prop_assert!(shown_from <= shown_to, "a stretch that ends before it begins");
            }
        }
    }
}

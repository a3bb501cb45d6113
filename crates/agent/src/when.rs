//! When a recording begins and ends, from what its name, its head and its file system say.

use chrono::{DateTime, FixedOffset, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};

use crate::clip::Clip;

/// Two witnesses that differ by no more than this speak of the same second: FAT tells time to 2 s, and a camera needs
/// a moment to close a file.
const SLACK: TimeDelta = TimeDelta::seconds(10);
/// Zones lie a whole number of quarter hours apart, and at most this far from UTC.
const QUARTER: i64 = 15 * 60;
const FARTHEST: i64 = 14 * 3_600;

/// When a recording begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct When {
    /// Its first moment, in the camera's zone if that is known, else in this computer's.
    pub start: DateTime<FixedOffset>,
    /// Its last moment, if its length is known.
    pub end: Option<DateTime<FixedOffset>>,
}

impl When {
    /// The best of three witnesses: the time in the `name`, the `clip`, and `changed`, the file's time of change.
    ///
    /// The name comes first: it is the camera's own clock, as burnt into the picture. The head of the video should be
    /// UTC, and then tells the camera's zone; if it shows the same time as the name, it is local time, and the zone is
    /// taken to be this computer's. Without a time in the name, the head is UTC unless the time of change says that it
    /// is local time. The time of change alone is the end of the recording.
    pub(crate) fn new(name: Option<NaiveDateTime>, clip: Clip, changed: DateTime<Utc>, zone: &impl TimeZone) -> Self {
        let length = clip.length().unwrap_or_default();
        let start = match (name, clip.created) {
            (Some(wall), Some(created)) => match zone_of(wall, created, length, zone) {
                Some(offset) => in_zone(wall, &offset),
                None => in_zone(wall, zone),
            },
            (Some(wall), None) => in_zone(wall, zone),
            (None, Some(created)) if is_local(created, length, changed, zone) => in_zone(created.naive_utc(), zone),
            (None, Some(created)) => shown(created, zone),
            (None, None) => shown(changed.checked_sub_signed(length).unwrap_or(changed), zone),
        };
        Self { start, end: clip.length().and_then(|length| start.checked_add_signed(length)) }
    }
}

/// The camera's zone, if the name's time and the head's differ by what zones differ by, and not by this computer's.
fn zone_of(
    wall: NaiveDateTime,
    created: DateTime<Utc>,
    length: TimeDelta,
    zone: &impl TimeZone,
) -> Option<FixedOffset> {
    // Some cameras write the head's time when they begin, others when they end.
    let apart = [wall, wall.checked_add_signed(length)?].map(|wall| wall - created.naive_utc());
    let here = TimeDelta::seconds(i64::from(in_zone(wall, zone).offset().local_minus_utc()));
    if apart.iter().any(|apart| near(*apart, TimeDelta::zero()) || near(*apart, here)) {
        return None;
    }
    apart.into_iter().find_map(|apart| {
        let seconds = (apart.num_seconds() + QUARTER / 2).div_euclid(QUARTER) * QUARTER;
        let zone = near(apart, TimeDelta::seconds(seconds)) && seconds.abs() <= FARTHEST;
        zone.then(|| FixedOffset::east_opt(i32::try_from(seconds).ok()?))?
    })
}

/// Whether the head shows local time: the file was closed when it says, if it is read so, and not if read as UTC.
fn is_local(created: DateTime<Utc>, length: TimeDelta, changed: DateTime<Utc>, zone: &impl TimeZone) -> bool {
    let closed = |begun: DateTime<Utc>| {
        let end = begun.checked_add_signed(length).unwrap_or(begun);
        near(changed - begun, TimeDelta::zero()) || near(changed - end, TimeDelta::zero())
    };
    !closed(created) && closed(in_zone(created.naive_utc(), zone).to_utc())
}

fn near(a: TimeDelta, b: TimeDelta) -> bool {
    (a - b).abs() <= SLACK
}

/// The moment at which a clock in `zone` shows `wall`: the first one when clocks are put back, and when they are put
/// forward and never show it, the one that it would have been without that.
fn in_zone(wall: NaiveDateTime, zone: &impl TimeZone) -> DateTime<FixedOffset> {
    let fixed = match zone.offset_from_local_datetime(&wall).earliest() {
        Some(offset) => offset.fix(),
        None => zone.offset_from_utc_datetime(&wall).fix(),
    };
    let offset = TimeDelta::seconds(i64::from(fixed.local_minus_utc()));
    // Times in names are of this century, so nothing overflows; what would is at least the right number.
    let utc = wall.checked_sub_signed(offset).unwrap_or(wall).and_utc();
    utc.with_timezone(&fixed)
}

/// `moment` as a clock in `zone` shows it.
fn shown(moment: DateTime<Utc>, zone: &impl TimeZone) -> DateTime<FixedOffset> {
    moment.with_timezone(&zone.offset_from_utc_datetime(&moment.naive_utc()).fix())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the computer stands.
    fn berlin_in_winter() -> FixedOffset {
        FixedOffset::east_opt(3_600).unwrap()
    }

    fn moment(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// Start and end, from the time in the name, the head's time, the length in seconds and the time of change.
    fn when(name: &str, created: &str, length: u64, changed: &str) -> (String, Option<String>) {
        let clip = Clip { created: created.parse().ok(), length_ms: (length > 0).then_some(length * 1_000) };
        let when = When::new(name.parse().ok(), clip, moment(changed), &berlin_in_winter());
        (when.start.to_rfc3339(), when.end.map(|end| end.to_rfc3339()))
    }

    const WALL: &str = "2026-11-21T14:03:22";
    const LONG_AFTER: &str = "2027-01-01T00:00:00Z";

    #[test]
    fn a_head_in_utc_tells_the_zone_of_the_name() {
        for (created, start) in [
            ("2026-11-21T13:03:22Z", "2026-11-21T14:03:22+01:00"),
            ("2026-11-21T13:03:21Z", "2026-11-21T14:03:22+01:00"),
            ("2026-11-21T19:03:25Z", "2026-11-21T14:03:22-05:00"),
            ("2026-11-21T08:18:22Z", "2026-11-21T14:03:22+05:45"),
            // Written when the recording ended, a minute later.
            ("2026-11-21T19:04:22Z", "2026-11-21T14:03:22-05:00"),
        ] {
            assert_eq!(when(WALL, created, 60, LONG_AFTER).0, start, "{created}");
        }
    }

    #[test]
    fn a_head_that_shows_the_time_of_the_name_is_local_and_the_zone_is_that_of_this_computer() {
        for created in ["2026-11-21T14:03:22Z", "2026-11-21T14:18:20Z"] {
            let (start, end) = when(WALL, created, 900, LONG_AFTER);
            assert_eq!(start, "2026-11-21T14:03:22+01:00", "{created}");
            assert_eq!(end.as_deref(), Some("2026-11-21T14:18:22+01:00"));
        }
    }

    #[test]
    fn a_head_that_contradicts_the_name_or_is_missing_counts_for_nothing() {
        for created in ["2026-11-21T13:20:22Z", "2026-11-22T14:03:22Z", "2015-01-01T00:00:00Z", ""] {
            assert_eq!(when(WALL, created, 60, LONG_AFTER).0, "2026-11-21T14:03:22+01:00", "{created}");
        }
    }

    #[test]
    fn without_a_time_in_the_name_the_head_is_utc() {
        for changed in ["2026-11-21T13:04:22Z", "2026-11-21T13:03:23Z", LONG_AFTER] {
            let (start, end) = when("", "2026-11-21T13:03:22Z", 60, changed);
            assert_eq!(start, "2026-11-21T14:03:22+01:00", "{changed}");
            assert_eq!(end.as_deref(), Some("2026-11-21T14:04:22+01:00"));
        }
    }

    #[test]
    fn a_head_that_is_ahead_of_the_time_of_change_by_this_zone_is_local() {
        let (start, _) = when("", "2026-11-21T14:03:22Z", 60, "2026-11-21T13:04:24Z");
        assert_eq!(start, "2026-11-21T14:03:22+01:00");
    }

    #[test]
    fn the_time_of_change_alone_is_the_end() {
        assert_eq!(
            when("", "", 60, "2026-11-21T13:04:22Z"),
            ("2026-11-21T14:03:22+01:00".into(), Some("2026-11-21T14:04:22+01:00".into()))
        );
        assert_eq!(when("", "", 0, "2026-11-21T13:04:22Z"), ("2026-11-21T14:04:22+01:00".into(), None));
    }

    #[test]
    fn extreme_times_do_not_panic() {
        // A name and a head are of this century; a file system may say anything that fits 64 bits of nanoseconds.
        for changed in [i64::MIN, 0, i64::MAX].map(DateTime::from_timestamp_nanos) {
            for name in [None, WALL.parse().ok()] {
                for created in [None, Some(moment("1980-01-01T00:00:00Z")), Some(moment("2099-12-31T23:59:59Z"))] {
                    for length_ms in [None, Some(1), Some(7 * 24 * 3_600 * 1_000)] {
                        let when = When::new(name, Clip { created, length_ms }, changed, &berlin_in_winter());
                        assert!(when.end.is_none_or(|end| end > when.start));
                    }
                }
            }
        }
    }
}

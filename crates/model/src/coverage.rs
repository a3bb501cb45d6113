//! What a device recorded, and where that is. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, FixedOffset, NaiveDate, NaiveTime, Offset as _, TimeZone as _, Utc};
use serde::{Deserialize, Serialize};

use crate::{Declared, DeviceClock, Recording, Span};

/// One recording, as coverage looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Covering {
    /// Which camera.
    pub camera: String,
    /// When it begins in true time, as well as that is known; `None`: nobody knows, and it belongs to no day.
    pub start: Option<DateTime<Utc>>,
    /// When it ends, if anybody said so.
    pub end: Option<DateTime<Utc>>,
    /// The device's zone when it began; days are counted in it.
    pub zone: FixedOffset,
    /// Bytes, if they are known.
    pub size: Option<u64>,
    /// Where it is.
    pub place: Place,
}

/// Where a recording is, as far as the device said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Declared, and not stored.
    Device,
    /// Declared and never stored, and by now the device has most likely overwritten it.
    Gone,
    /// Stored, and not reported as deleted on the device.
    Both,
    /// Stored, and deleted on the device.
    Server,
}

/// From when on a device has nothing older, and what time it is: by that it is known what it has overwritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// Start of its oldest recording in true time, if it said so.
    pub oldest: Option<DateTime<Utc>>,
    /// Now.
    pub now: DateTime<Utc>,
}

impl Covering {
    /// What a device declared, and the server does not have. `clock` tells the true times.
    pub fn declared(declared: Declared, clock: &DeviceClock, holding: Holding) -> Self {
        let (true_start, true_end) = declared.true_times(clock);
        let said = (!declared.clock_unset).then(|| (declared.start.to_utc(), declared.end.map(|end| end.to_utc())));
        let (start, end) = true_start.map(|start| (start, true_end)).or(said).unzip();
        let truly = |at: DateTime<FixedOffset>| clock.to_true(at, None).unwrap_or_else(|| at.to_utc());
        let overwritten = declared.overwrite_at.is_some_and(|at| truly(at) <= holding.now);
        let too_old = start.zip(holding.oldest).is_some_and(|(start, oldest)| start < oldest);
        let place = if overwritten || too_old { Place::Gone } else { Place::Device };
        let Declared { camera, start: by_device, size, .. } = declared;
        Self { camera, start, end: end.flatten(), zone: *by_device.offset(), size, place }
    }

    /// What the server has; `deleted` on the device.
    pub fn stored(recording: Recording, deleted: bool) -> Self {
        let (start, end) = recording.when().unzip();
        let place = if deleted { Place::Server } else { Place::Both };
        let Recording { camera, start: by_device, size, .. } = recording;
        Self { camera, start, end: end.flatten(), zone: *by_device.offset(), size: Some(size), place }
    }

    fn span(&self) -> Option<Span> {
        let from = self.start?;
        // One without an end is there, and covers nothing that is known.
        Some(Span { from, to: self.end.map_or(from, |end| end.max(from)) })
    }

    /// The days on which it lies, in the device's zone. Over midnight it belongs to both.
    fn days(&self) -> impl Iterator<Item = NaiveDate> {
        let day = |at: DateTime<Utc>| at.with_timezone(&self.zone).date_naive();
        let (first, last) = (self.start.map(day), self.span().map(|span| day(span.to)));
        first.into_iter().chain(last.filter(|last| first != Some(*last)))
    }
}

/// What a device recorded on one day of its own zone. All times are true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DayCoverage {
    /// Which day.
    pub day: NaiveDate,
    /// The device's zone on that day, in seconds east of UTC.
    pub utc_offset_s: i32,
    /// Each camera, by name.
    pub cameras: Vec<CameraCoverage>,
}

/// What one camera recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CameraCoverage {
    /// Which; empty, if the device has but one.
    pub camera: String,
    /// Times that are known to be recorded, wherever that is, or was.
    pub recorded: Vec<Span>,
    /// Those of them that the server has.
    pub uploaded: Vec<Span>,
    /// Times of recordings that only the device has.
    pub only_on_device: Vec<Span>,
    /// Times of recordings that the device has overwritten, as far as it said, and nobody asked for.
    #[serde(default)]
    pub overwritten: Vec<Span>,
    /// Times between the first and the last of them in which nothing is known to be recorded.
    pub gaps: Vec<Span>,
    /// How many recordings that is.
    pub count: Counted,
}

/// How many recordings are where, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Counted {
    /// All of them.
    pub recordings: u64,
    /// The server has them.
    pub uploaded: u64,
    /// Bytes of those.
    pub uploaded_bytes: u64,
    /// Only the device has them.
    pub only_on_device: u64,
    /// Bytes of those, where they are known.
    pub only_on_device_bytes: u64,
    /// The device overwrote them, as far as it said.
    #[serde(default)]
    pub overwritten: u64,
    /// Both have them, as far as the device said.
    pub on_both: u64,
    /// Of all: nobody said when they end, so they count here and cover no time.
    pub without_end: u64,
}

impl Counted {
    /// Counts one more.
    pub fn count(&mut self, item: &Covering) {
        let size = item.size.unwrap_or(0);
        self.recordings += 1;
        self.without_end += u64::from(item.end.is_none());
        match item.place {
            Place::Gone => self.overwritten += 1,
            Place::Device => {
                self.only_on_device += 1;
                self.only_on_device_bytes += size;
            }
            Place::Both | Place::Server => {
                self.uploaded += 1;
                self.uploaded_bytes += size;
                self.on_both += u64::from(item.place == Place::Both);
            }
        }
    }
}

/// What `items` cover, day by day; of `only` one day, or of the newest `days`. Those of which nobody knows when they were belong to
/// no day.
pub fn coverage(items: &[Covering], only: Option<NaiveDate>, days: usize) -> Vec<DayCoverage> {
    let mut zones = BTreeMap::<NaiveDate, FixedOffset>::new();
    for item in items {
        for day in item.days().filter(|day| only.is_none_or(|only| only == *day)) {
            zones.entry(day).or_insert(item.zone);
        }
    }
    if let Some(only) = only {
        zones.entry(only).or_insert(Utc.fix());
    }
    let newest = zones.len().saturating_sub(days);
    zones.into_iter().skip(newest).filter_map(|(day, zone)| of_day(items, day, zone)).collect()
}

fn of_day(items: &[Covering], day: NaiveDate, zone: FixedOffset) -> Option<DayCoverage> {
    let midnight = |day: NaiveDate| zone.from_local_datetime(&day.and_time(NaiveTime::MIN)).single();
    let within = Span { from: midnight(day)?.to_utc(), to: midnight(day.checked_add_days(Days::new(1))?)?.to_utc() };
    let lie = |item: &Covering| item.span().filter(|span| span.overlaps(&within));
    let items: Vec<(&Covering, Span)> = items.iter().filter_map(|item| Some((item, lie(item)?))).collect();
    let names: BTreeSet<&str> = items.iter().map(|(item, _)| item.camera.as_str()).collect();
    let of_camera = |camera: &str| {
        let items: Vec<_> = items.iter().filter(|(item, _)| item.camera == camera).collect();
        let covered = |which: &dyn Fn(Place) -> bool| {
            within.covered(items.iter().filter(|(item, _)| which(item.place)).map(|(_, span)| *span))
        };
        let recorded = covered(&|_| true);
        let gaps = recorded.windows(2).map(|pair| Span { from: pair[0].to, to: pair[1].from }).collect();
        let mut count = Counted::default();
        items.iter().for_each(|(item, _)| count.count(item));
        CameraCoverage {
            camera: camera.to_owned(),
            uploaded: covered(&|place| matches!(place, Place::Both | Place::Server)),
            only_on_device: covered(&|place| place == Place::Device),
            overwritten: covered(&|place| place == Place::Gone),
            recorded,
            gaps,
            count,
        }
    };
    let cameras = names.into_iter().map(of_camera).collect();
    Some(DayCoverage { day, utc_offset_s: zone.local_minus_utc(), cameras })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn item(camera: &str, start: &str, seconds: Option<i64>, place: Place) -> Covering {
        let start: DateTime<FixedOffset> = start.parse().unwrap();
        let end = seconds.map(|seconds| start.to_utc() + TimeDelta::seconds(seconds));
        Covering {
            camera: camera.into(),
            start: Some(start.to_utc()),
            end,
            zone: *start.offset(),
            size: Some(100),
            place,
        }
    }

    fn lengths(spans: &[Span]) -> Vec<i64> {
        spans.iter().map(|span| span.length().num_seconds()).collect()
    }

    #[test]
    fn times_are_told_by_where_their_recordings_are_and_what_lies_between_is_a_gap() {
        let items = [
            item("front", "2026-11-21T14:00:00+01:00", Some(300), Place::Server),
            item("front", "2026-11-21T14:05:01+01:00", Some(299), Place::Device),
            item("front", "2026-11-21T15:00:00+01:00", Some(60), Place::Both),
            item("rear", "2026-11-21T14:00:00+01:00", None, Place::Device),
        ];
        let days = coverage(&items, None, 10);
        let [day] = &days[..] else { panic!("{days:?}") };
        assert_eq!((day.day.to_string().as_str(), day.utc_offset_s), ("2026-11-21", 3600));
        let [front, rear] = &day.cameras[..] else { panic!("{day:?}") };
        assert_eq!(lengths(&front.recorded), [600, 60]);
        assert_eq!(lengths(&front.uploaded), [300, 60]);
        assert_eq!(lengths(&front.only_on_device), [299]);
        assert_eq!(lengths(&front.gaps), [3000]);
        let Counted { recordings, uploaded, only_on_device, on_both, .. } = front.count;
        assert_eq!((recordings, uploaded, only_on_device, on_both), (3, 2, 1, 1));
        assert!(rear.recorded.is_empty() && rear.gaps.is_empty());
        assert_eq!((rear.count.recordings, rear.count.without_end), (1, 1));
    }

    #[test]
    fn a_day_is_the_devices_own_and_what_goes_over_midnight_is_in_both() {
        let items = [
            item("", "2026-11-21T23:50:00+01:00", Some(1200), Place::Server),
            item("", "2026-11-22T00:30:00+01:00", Some(60), Place::Server),
        ];
        let days = coverage(&items, None, 10);
        let recorded: Vec<_> =
            days.iter().map(|day| (day.day.to_string(), lengths(&day.cameras[0].recorded))).collect();
        assert_eq!(recorded, [("2026-11-21".into(), vec![600]), ("2026-11-22".into(), vec![600, 60])]);
        assert_eq!(coverage(&items, None, 1).len(), 1);
        let only = coverage(&items, "2026-11-21".parse().ok(), 10);
        assert_eq!(only, days[..1]);
        let empty = coverage(&items, "2026-11-25".parse().ok(), 10);
        assert!(empty.len() == 1 && empty[0].cameras.is_empty(), "{empty:?}");
    }

    #[test]
    fn a_time_that_is_not_believed_and_one_at_the_end_of_all_days_cover_nothing() {
        let unset = Covering { start: None, ..item("", "1970-01-01T00:00:00Z", Some(60), Place::Device) };
        assert!(coverage(&[unset], None, 10).is_empty());
        let backwards = item("", "2026-11-21T14:00:00Z", Some(-60), Place::Device);
        assert!(coverage(&[backwards], None, 10)[0].cameras[0].recorded.is_empty());
        assert!(coverage(&[], Some(NaiveDate::MAX), 10).is_empty());
    }

    fn declared(start: &str, boot: &str, overwrite_at: Option<&str>) -> Declared {
        let start: DateTime<FixedOffset> = start.parse().unwrap();
        Declared {
            rid: crate::RecordingId::from_bytes([1; 16]),
            camera: String::new(),
            kind: crate::Kind::Continuous,
            event_type: None,
            start,
            end: Some(start + TimeDelta::hours(1)),
            boot: Some(boot.into()),
            overwrite_at: overwrite_at.map(|at| at.parse().unwrap()),
            request: None,
            size: Some(100),
            sha256: None,
            filename: None,
            clock_unset: false,
            metadata: None,
            parts: Vec::new(),
        }
    }

    fn holding(oldest: Option<&str>) -> Holding {
        let now = "2026-11-21T15:00:00Z".parse().unwrap();
        Holding { oldest: oldest.map(|oldest| oldest.parse().unwrap()), now }
    }

    #[test]
    fn a_clock_that_was_set_makes_neither_a_gap_nor_two_recordings_at_once() {
        // An hour ahead until 10:00 true time, then set right: the device calls both hours 10 to 11.
        let mut clock = DeviceClock::default();
        for (uptime_ms, wall, server) in [
            (7_200_000, "2026-11-21T10:00:00Z", "2026-11-21T09:00:00Z"),
            (10_860_000, "2026-11-21T10:01:00Z", "2026-11-21T10:01:00Z"),
        ] {
            let wall = wall.parse().unwrap();
            let boot = if uptime_ms < 10_000_000 { "a" } else { "b" };
            let server = server.parse().unwrap();
            clock.take(crate::ClockSample { boot: boot.into(), uptime_ms, wall, synced: false, server });
        }
        let ahead = Covering::declared(declared("2026-11-21T10:00:00Z", "a", None), &clock, holding(None));
        let right = Covering::declared(declared("2026-11-21T10:00:00Z", "b", None), &clock, holding(None));
        let right = Covering { place: Place::Server, ..right };
        let [day] = &coverage(&[ahead, right], None, 10)[..] else { panic!() };
        let [camera] = &day.cameras[..] else { panic!("{day:?}") };
        assert_eq!(lengths(&camera.recorded), [7200]);
        assert!(camera.gaps.is_empty());
        assert_eq!((lengths(&camera.only_on_device), lengths(&camera.uploaded)), (vec![3600], vec![3600]));
        assert_eq!(camera.recorded[0].from.to_rfc3339(), "2026-11-21T09:00:00+00:00");
    }

    #[test]
    fn what_the_device_has_overwritten_is_not_on_it_any_more() {
        let place = |declared: Declared, oldest: Option<&str>| {
            Covering::declared(declared, &DeviceClock::default(), holding(oldest)).place
        };
        let item = |overwrite_at| declared("2026-11-21T12:00:00Z", "a", overwrite_at);
        assert_eq!(place(item(None), None), Place::Device);
        assert_eq!(place(item(Some("2026-11-21T16:00:01+01:00")), None), Place::Device);
        assert_eq!(place(item(Some("2026-11-21T16:00:00+01:00")), None), Place::Gone);
        assert_eq!(place(item(None), Some("2026-11-21T12:00:00Z")), Place::Device);
        assert_eq!(place(item(None), Some("2026-11-21T12:00:01Z")), Place::Gone);
        let gone = Covering::declared(item(None), &DeviceClock::default(), holding(Some("2026-11-21T13:00:00Z")));
        let [day] = &coverage(&[gone], None, 10)[..] else { panic!() };
        let camera = &day.cameras[0];
        assert_eq!((lengths(&camera.overwritten), lengths(&camera.recorded)), (vec![3600], vec![3600]));
        assert!(camera.only_on_device.is_empty() && camera.count.overwritten == 1);
    }

    proptest! {
        #[test]
        fn what_is_uploaded_and_what_is_only_on_the_device_is_all_that_is_recorded(
            items in prop::collection::vec((0..80_000_i64, 0..3_000_i64, 0..4_u8), 0..40),
        ) {
            let at = |seconds| DateTime::from_timestamp(1_795_219_200 + seconds, 0).unwrap();
            let items: Vec<_> = items
                .into_iter()
                .map(|(start, length, place)| Covering {
                    camera: String::new(),
                    start: Some(at(start)),
                    end: Some(at(start + length)),
                    zone: Utc.fix(),
                    size: None,
                    place: [Place::Device, Place::Both, Place::Server, Place::Gone][usize::from(place)],
                })
                .collect();
            for day in coverage(&items, None, 100) {
                let [camera] = &day.cameras[..] else { return Err(TestCaseError::fail("one camera")) };
                let inside = |part: &Span| camera.recorded.iter().any(|all| all.from <= part.from && part.to <= all.to);
                prop_assert!(camera.uploaded.iter().chain(&camera.only_on_device).chain(&camera.overwritten).all(inside));
                prop_assert!(camera.gaps.iter().all(|gap| !camera.recorded.iter().any(|part| part.overlaps(gap))));
                prop_assert_eq!(camera.gaps.len(), camera.recorded.len().saturating_sub(1));
                let Counted { recordings, uploaded, only_on_device, overwritten, .. } = camera.count;
                prop_assert_eq!(recordings, uploaded + only_on_device + overwritten);
            }
        }
    }
}

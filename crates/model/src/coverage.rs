//! What a device recorded, and where that is. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, FixedOffset, NaiveDate, NaiveTime, Offset as _, TimeZone as _, Utc};
use serde::{Deserialize, Serialize};

use crate::{Declared, Recording, Span};

/// One recording, as coverage looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Covering {
    /// Which camera.
    pub camera: String,
    /// When it starts, by the device's clock and in its zone.
    pub start: DateTime<FixedOffset>,
    /// When it ends, if anybody said so.
    pub end: Option<DateTime<FixedOffset>>,
    /// `start` is not to be believed.
    pub clock_unset: bool,
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
    /// Stored, and not reported as deleted on the device.
    Both,
    /// Stored, and deleted on the device.
    Server,
}

impl Covering {
    /// What a device declared, and the server does not have.
    pub fn declared(declared: Declared) -> Self {
        let Declared { camera, start, end, clock_unset, size, .. } = declared;
        Self { camera, start, end, clock_unset, size, place: Place::Device }
    }

    /// What the server has; `deleted` on the device.
    pub fn stored(recording: Recording, deleted: bool) -> Self {
        let Recording { camera, start, end, clock_unset, size, .. } = recording;
        let place = if deleted { Place::Server } else { Place::Both };
        Self { camera, start, end, clock_unset, size: Some(size), place }
    }

    fn span(&self) -> Span {
        let from = self.start.to_utc();
        // One without an end is there, and covers nothing that is known.
        Span { from, to: self.end.map_or(from, |end| end.to_utc()).max(from) }
    }
}

/// What a device recorded on one day, in its own zone.
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
    /// Times that are known to be recorded, on the server or on the device.
    pub recorded: Vec<Span>,
    /// Those of them that the server has.
    pub uploaded: Vec<Span>,
    /// Times of recordings that only the device has.
    pub only_on_device: Vec<Span>,
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
        if item.place == Place::Device {
            self.only_on_device += 1;
            self.only_on_device_bytes += size;
        } else {
            self.uploaded += 1;
            self.uploaded_bytes += size;
            self.on_both += u64::from(item.place == Place::Both);
        }
    }
}

/// What `items` cover, day by day; of `only` one day, or of the newest `days`. Those whose times are not to be believed belong
/// to no day.
pub fn coverage(items: &[Covering], only: Option<NaiveDate>, days: usize) -> Vec<DayCoverage> {
    let dated = || items.iter().filter(|item| !item.clock_unset);
    let mut zones = BTreeMap::<NaiveDate, FixedOffset>::new();
    for item in dated() {
        zones.entry(item.start.date_naive()).or_insert(*item.start.offset());
        // Over midnight it belongs to both days.
        if let Some(end) = item.end.filter(|end| *end > item.start) {
            zones.entry(end.date_naive()).or_insert(*end.offset());
        }
    }
    if let Some(only) = only {
        zones.retain(|day, _| *day == only);
        zones.entry(only).or_insert(Utc.fix());
    }
    let newest = zones.len().saturating_sub(days);
    zones.into_iter().skip(newest).filter_map(|(day, zone)| of_day(&dated().collect::<Vec<_>>(), day, zone)).collect()
}

fn of_day(items: &[&Covering], day: NaiveDate, zone: FixedOffset) -> Option<DayCoverage> {
    let midnight = |day: NaiveDate| zone.from_local_datetime(&day.and_time(NaiveTime::MIN)).single();
    let within = Span { from: midnight(day)?.to_utc(), to: midnight(day.checked_add_days(Days::new(1))?)?.to_utc() };
    let items: Vec<&Covering> = items.iter().filter(|item| item.span().overlaps(&within)).copied().collect();
    let names: BTreeSet<&str> = items.iter().map(|item| item.camera.as_str()).collect();
    let of_camera = |camera: &str| {
        let items: Vec<_> = items.iter().filter(|item| item.camera == camera).collect();
        let covered = |which: &dyn Fn(&Covering) -> bool| {
            within.covered(items.iter().filter(|item| which(item)).map(|item| item.span()))
        };
        let recorded = covered(&|_| true);
        let gaps = recorded.windows(2).map(|pair| Span { from: pair[0].to, to: pair[1].from }).collect();
        let mut count = Counted::default();
        items.iter().for_each(|item| count.count(item));
        CameraCoverage {
            camera: camera.to_owned(),
            uploaded: covered(&|item| item.place != Place::Device),
            only_on_device: covered(&|item| item.place == Place::Device),
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
        let end = seconds.map(|seconds| start + TimeDelta::seconds(seconds));
        Covering { camera: camera.into(), start, end, clock_unset: false, size: Some(100), place }
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
        let unset = Covering { clock_unset: true, ..item("", "1970-01-01T00:00:00Z", Some(60), Place::Device) };
        assert!(coverage(&[unset], None, 10).is_empty());
        let backwards = item("", "2026-11-21T14:00:00Z", Some(-60), Place::Device);
        assert!(coverage(&[backwards], None, 10)[0].cameras[0].recorded.is_empty());
        assert!(coverage(&[], Some(NaiveDate::MAX), 10).is_empty());
    }

    proptest! {
        #[test]
        fn what_is_uploaded_and_what_is_only_on_the_device_is_all_that_is_recorded(
            items in prop::collection::vec((0..80_000_i64, 0..3_000_i64, 0..3_u8), 0..40),
        ) {
            let at = |seconds| DateTime::from_timestamp(1_795_219_200 + seconds, 0).unwrap().fixed_offset();
            let items: Vec<_> = items
                .into_iter()
                .map(|(start, length, place)| Covering {
                    camera: String::new(),
                    start: at(start),
                    end: Some(at(start + length)),
                    clock_unset: false,
                    size: None,
                    place: [Place::Device, Place::Both, Place::Server][usize::from(place)],
                })
                .collect();
            for day in coverage(&items, None, 100) {
                let [camera] = &day.cameras[..] else { return Err(TestCaseError::fail("one camera")) };
                let inside = |part: &Span| camera.recorded.iter().any(|all| all.from <= part.from && part.to <= all.to);
                prop_assert!(camera.uploaded.iter().chain(&camera.only_on_device).all(inside));
                prop_assert!(camera.gaps.iter().all(|gap| !camera.recorded.iter().any(|part| part.overlaps(gap))));
                prop_assert_eq!(camera.gaps.len(), camera.recorded.len().saturating_sub(1));
                prop_assert_eq!(camera.count.recordings, camera.count.uploaded + camera.count.only_on_device);
            }
        }
    }
}

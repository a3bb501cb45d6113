//! Times in which a device that records all the time recorded nothing, though it was switched on. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{Declared, Kind, Span};

/// Between two files a camera may take a breath; what is longer is missing.
const BREATH: TimeDelta = TimeDelta::seconds(60);

/// A time in which a camera recorded nothing, by the device's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) camera: String,
    pub(super) span: Span,
}

/// Recordings with whether they are new, and their ends.
type Items<'a> = Vec<(&'a Declared, bool, DateTime<Utc>)>;

/// The gaps between recordings of one camera and one boot, before what is recorded all the time, where one of the two is new.
pub(super) fn gaps(items: &[(&Declared, bool)]) -> Vec<Gap> {
    let mut by_boot: BTreeMap<(&str, &str), Items<'_>> = BTreeMap::new();
    for (item, is_new) in items.iter().filter(|(item, _)| !item.clock_unset) {
        let (Some(boot), Some(end)) = (&item.boot, item.end) else { continue };
        by_boot.entry((item.camera.as_str(), boot.as_str())).or_default().push((item, *is_new, end.to_utc()));
    }
    let mut gaps = Vec::new();
    for ((camera, _), mut items) in by_boot {
        items.sort_by_key(|(item, ..)| item.start);
        // The one that ends last so far: an event may lie within what is recorded all the time.
        let mut last: Option<(DateTime<Utc>, bool)> = None;
        for (item, is_new, end) in items {
            if let Some((until, was_new)) = last
                && item.kind == Kind::Continuous
                && (is_new || was_new)
                && item.start.to_utc() - until > BREATH
            {
                let span = Span { from: until, to: item.start.to_utc() };
                gaps.push(Gap { camera: camera.to_owned(), span });
            }
            last = Some(match last {
                Some((until, was_new)) if until >= end => (until, was_new),
                _ => (end, is_new),
            });
        }
    }
    gaps
}

#[cfg(test)]
mod tests {
    use longshore_model::RecordingId;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        let begin: DateTime<Utc> = "2026-11-21T14:00:00Z".parse().unwrap();
        begin + TimeDelta::seconds(seconds)
    }

    fn item(kind: Kind, boot: Option<&str>, from: i64, to: i64) -> Declared {
        Declared {
            rid: RecordingId::from_bytes([1; 16]),
            camera: "front".into(),
            kind,
            event_type: None,
            start: at(from).fixed_offset(),
            end: Some(at(to).fixed_offset()),
            boot: boot.map(str::to_owned),
            overwrite_at: None,
            request: None,
            size: None,
            sha256: None,
            filename: None,
            clock_unset: false,
            metadata: None,
            parts: Vec::new(),
        }
    }

    fn found(items: &[Declared], is_new: bool) -> Vec<(i64, i64)> {
        let items: Vec<_> = items.iter().map(|item| (item, is_new)).collect();
        let seconds = |moment: DateTime<Utc>| (moment - at(0)).num_seconds();
        gaps(&items).into_iter().map(|gap| (seconds(gap.span.from), seconds(gap.span.to))).collect()
    }

    #[test]
    fn what_is_missing_between_two_files_of_one_boot_is_a_gap_and_a_breath_is_none() {
        let (all, boot) = (Kind::Continuous, Some("b1"));
        let items = [item(all, boot, 0, 300), item(all, boot, 310, 600), item(all, boot, 700, 1000)];
        assert_eq!(found(&items, true), [(600, 700)]);
        assert_eq!(found(&items, false), [], "it was told before");
        let event_between = item(Kind::Event, boot, 590, 705);
        assert_eq!(found(&[&items[..], &[event_between]].concat(), true), []);
    }

    #[test]
    fn a_device_that_was_off_or_records_only_events_has_none() {
        let (all, event) = (Kind::Continuous, Kind::Event);
        assert_eq!(found(&[item(all, Some("b1"), 0, 300), item(all, Some("b2"), 900, 1000)], true), []);
        assert_eq!(found(&[item(all, None, 0, 300), item(all, None, 900, 1000)], true), []);
        assert_eq!(found(&[item(event, Some("b1"), 0, 300), item(event, Some("b1"), 900, 1000)], true), []);
        let other = Declared { camera: "rear".into(), ..item(all, Some("b1"), 900, 1000) };
        assert_eq!(found(&[item(all, Some("b1"), 0, 300), other], true), []);
        let open = Declared { end: None, ..item(all, Some("b1"), 0, 300) };
        assert_eq!(found(&[open, item(all, Some("b1"), 900, 1000)], true), [], "nobody knows when it ends");
    }
}

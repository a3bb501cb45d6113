//! What people ask of this device: which recordings are meant, and how it stands with them; pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{Holds, RecordingId, RequestId, Span};
use longshore_protocol::{DesiredRequest, Range, ReportedRequest};

use crate::recording::Recording;

/// Stretches of one request that the server is told of; recordings mostly follow each other.
const RANGES: usize = 16;
/// No recorder writes longer into one file, so a file that is still written to begins no earlier.
const LONGEST_GROWING: TimeDelta = TimeDelta::hours(1);

/// What people ask of this device.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    requests: Vec<DesiredRequest>,
    /// What was handed over for each in this run, by the device's clock, since files that are deleted are forgotten.
    handed_over: BTreeMap<RequestId, Vec<Span>>,
    /// What was seen of each in this run and went away with its card.
    away: BTreeMap<RequestId, BTreeSet<RecordingId>>,
}

/// How much of the cards the agent has seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight {
    /// Everything that is in and rests was looked at.
    pub(crate) whole: bool,
    /// There are no cards that come and go: what is in is all that there is.
    pub(crate) every_card: bool,
    /// Some of it could not be read.
    pub(crate) unreadable: bool,
    /// Something is still being written.
    pub(crate) growing: bool,
    /// The server's time.
    pub(crate) now: DateTime<Utc>,
}

fn asked(request: &DesiredRequest) -> Span {
    Span { from: request.device_from.to_utc(), to: request.device_to.to_utc() }
}

/// Where a recording lies, by the device's clock.
fn lies(recording: &Recording) -> Span {
    Span::of(recording.start.to_utc(), recording.end.map(|end| end.to_utc()))
}

fn is_meant(request: &DesiredRequest, recording: &Recording) -> bool {
    let camera = recording.camera();
    let of_camera = request.cameras.is_empty() || request.cameras.iter().any(|wanted| wanted == camera);
    of_camera && lies(recording).overlaps(&asked(request))
}

impl Wishes {
    /// Takes over what people ask for now.
    pub(crate) fn update(&mut self, requests: Vec<DesiredRequest>) {
        self.handed_over.retain(|id, _| requests.iter().any(|request| request.id == *id));
        self.away.retain(|id, _| requests.iter().any(|request| request.id == *id));
        self.requests = requests;
    }

    /// For which request `recording` is to be offered: the most urgent one that it belongs to.
    pub(crate) fn request_for(&self, recording: &Recording) -> Option<RequestId> {
        let meant = self.requests.iter().filter(|request| is_meant(request, recording));
        meant.min_by_key(|request| (request.priority, request.id)).map(|request| request.id)
    }

    /// The server has `recording`.
    pub(crate) fn handed_over(&mut self, recording: &Recording) {
        for request in self.requests.iter().filter(|request| is_meant(request, recording)) {
            self.handed_over.entry(request.id).or_default().push(known(recording));
        }
        for away in self.away.values_mut() {
            away.remove(&recording.rid);
        }
    }

    /// The card with `recording` was pulled out before the server had it.
    pub(crate) fn went_away(&mut self, recording: &Recording) {
        for request in self.requests.iter().filter(|request| is_meant(request, recording)) {
            self.away.entry(request.id).or_default().insert(recording.rid);
        }
    }

    /// What there is to say of each request, where `held` are the recordings that are here, and whether the server has them.
    /// Nothing is said of one of which more may be found.
    pub(crate) fn report<'a>(
        &self,
        held: &(impl Iterator<Item = (&'a Recording, bool)> + Clone),
        sight: Sight,
    ) -> Vec<ReportedRequest> {
        self.requests.iter().filter_map(|request| self.report_one(request, held.clone(), sight)).collect()
    }

    fn report_one<'a>(
        &self,
        request: &DesiredRequest,
        held: impl Iterator<Item = (&'a Recording, bool)>,
        sight: Sight,
    ) -> Option<ReportedRequest> {
        let mut parts = self.handed_over.get(&request.id).cloned().unwrap_or_default();
        let (mut some_there, mut some_left) = (!parts.is_empty(), false);
        let mut away = self.away.get(&request.id).cloned().unwrap_or_default();
        for (recording, is_stored) in held.filter(|(recording, _)| is_meant(request, recording)) {
            parts.push(known(recording));
            away.remove(&recording.rid);
            if is_stored { some_there = true } else { some_left = true }
        }
        let grows_into_it = sight.growing && request.to > sight.now - LONGEST_GROWING;
        let unseen = !sight.whole || sight.unreadable || !away.is_empty();
        let may_find_more = unseen || grows_into_it || request.to > sight.now;
        let state = match (some_there, some_left) {
            (true, true) => Holds::Partial,
            (false, true) => Holds::Queued,
            (true, false) if may_find_more => Holds::Partial,
            (true, false) => Holds::Done,
            // Another card may hold some of it.
            (false, false) if may_find_more || !sight.every_card => return None,
            (false, false) => Holds::Nothing,
        };
        let zone = *request.device_from.offset();
        let told = |span: Span| Range { from: span.from.with_timezone(&zone), to: span.to.with_timezone(&zone) };
        let ranges = asked(request).covered(parts).into_iter().take(RANGES).map(told).collect();
        Some(ReportedRequest { id: request.id, state, ranges })
    }
}

/// What of a recording's time is known to be in it.
fn known(recording: &Recording) -> Span {
    let from = recording.start.to_utc();
    Span { from, to: recording.end.map_or(from, |end| end.to_utc()) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use longshore_model::{Kind, Sha256};

    use super::*;
    use crate::clip::Clip;
    use crate::scan::Found;
    use crate::source::{Content, FileState, MountId};

    fn request(n: u8, from: &str, to: &str) -> DesiredRequest {
        let at = |time: &str| format!("2026-11-21T{time}Z").parse::<DateTime<Utc>>().unwrap();
        DesiredRequest {
            id: RequestId::from_bytes([n; 16]),
            cameras: Vec::new(),
            from: at(from),
            to: at(to),
            // Its clock is an hour ahead.
            device_from: (at(from) + TimeDelta::hours(1)).fixed_offset(),
            device_to: (at(to) + TimeDelta::hours(1)).fixed_offset(),
            priority: 5,
            expires: at("23:00:00"),
        }
    }

    /// Ten minutes, by the device's clock.
    fn recording(start: &str) -> Recording {
        let state = FileState { size: 3, mtime_ns: 1, ctime_ns: 1, inode: 1 };
        let found = Found { name: start.into(), path: start.into(), kind: Kind::Continuous, state };
        let mount = MountId::at(Path::new("/")).unwrap();
        let created = format!("2026-11-21T{start}Z").parse().ok();
        let clip = Clip { created, length_ms: Some(600_000) };
        Recording::new("S", &found, &Content { state, mount, sha256: Sha256::of(start.as_bytes()), clip })
    }

    fn sight() -> Sight {
        let now = "2026-11-21T20:00:00Z".parse().unwrap();
        Sight { whole: true, every_card: true, unreadable: false, growing: false, now }
    }

    fn states(wishes: &Wishes, held: &[(Recording, bool)], sight: Sight) -> Vec<Holds> {
        let held = held.iter().map(|(recording, is_stored)| (recording, *is_stored));
        wishes.report(&held, sight).into_iter().map(|request| request.state).collect()
    }

    #[test]
    fn recordings_are_meant_by_the_devices_own_clock() {
        let mut wishes = Wishes::default();
        let urgent = DesiredRequest { priority: 1, ..request(2, "14:05:00", "14:06:00") };
        wishes.update(vec![request(1, "14:00:00", "14:10:00"), urgent]);
        for (start, meant) in
            [("15:01:00", Some(2)), ("15:07:00", Some(1)), ("14:50:00", None), ("15:10:00", None), ("14:01:00", None)]
        {
            let meant = meant.map(|n| RequestId::from_bytes([n; 16]));
            assert_eq!(wishes.request_for(&recording(start)), meant, "{start}");
        }
        let rear = DesiredRequest { cameras: vec!["rear".into()], ..request(1, "14:00:00", "14:10:00") };
        wishes.update(vec![rear]);
        assert_eq!(wishes.request_for(&recording("15:01:00")), None, "it has no such camera");
    }

    #[test]
    fn it_says_how_much_is_still_here() {
        let mut wishes = Wishes::default();
        wishes.update(vec![request(1, "14:00:00", "14:20:00")]);
        let (one, other) = (recording("15:00:00"), recording("15:10:00"));
        assert_eq!(states(&wishes, &[], sight()), [Holds::Nothing]);
        let held = [(one.clone(), false), (other.clone(), false), (recording("16:00:00"), false)];
        assert_eq!(states(&wishes, &held, sight()), [Holds::Queued]);
        assert_eq!(states(&wishes, &[(one.clone(), true), (other.clone(), false)], sight()), [Holds::Partial]);
        // The first is deleted here, the second stays.
        wishes.handed_over(&one);
        assert_eq!(states(&wishes, &[(other.clone(), true)], sight()), [Holds::Done]);
        let told = wishes.report(&std::iter::once((&other, true)), sight());
        let range = |from: &str, to: &str| Range { from: from.parse().unwrap(), to: to.parse().unwrap() };
        assert_eq!(told[0].ranges, [range("2026-11-21T15:00:00Z", "2026-11-21T15:20:00Z")]);
        wishes.update(Vec::new());
        assert!(wishes.handed_over.is_empty(), "a request that is over is forgotten");
    }

    #[test]
    fn nothing_is_said_to_be_all_while_more_may_be_found() {
        let mut wishes = Wishes::default();
        wishes.update(vec![request(1, "14:00:00", "14:20:00")]);
        let stored = [(recording("15:00:00"), true)];
        let soon = Sight { now: "2026-11-21T14:10:00Z".parse().unwrap(), ..sight() };
        let just_over = Sight { now: "2026-11-21T14:30:00Z".parse().unwrap(), ..sight() };
        for (sight, with_nothing, with_some) in [
            (Sight { whole: false, ..sight() }, None, Holds::Partial),
            (soon, None, Holds::Partial),
            (Sight { growing: true, ..just_over }, None, Holds::Partial),
            (just_over, Some(Holds::Nothing), Holds::Done),
            (Sight { growing: true, ..sight() }, Some(Holds::Nothing), Holds::Done),
            (Sight { unreadable: true, ..sight() }, None, Holds::Partial),
            (Sight { every_card: false, ..sight() }, None, Holds::Done),
        ] {
            assert_eq!(states(&wishes, &[], sight), Vec::from_iter(with_nothing), "{sight:?}");
            assert_eq!(states(&wishes, &stored, sight), [with_some], "{sight:?}");
        }
    }
    #[test]
    fn what_went_away_with_its_card_is_still_to_come() {
        let mut wishes = Wishes::default();
        wishes.update(vec![request(1, "14:00:00", "14:20:00")]);
        let (one, other) = (recording("15:00:00"), recording("15:10:00"));
        wishes.went_away(&one);
        wishes.went_away(&recording("16:00:00"));
        assert_eq!(states(&wishes, &[], sight()), [], "it holds some, but not here");
        assert_eq!(states(&wishes, &[(other.clone(), true)], sight()), [Holds::Partial]);
        let both = [(one.clone(), false), (other.clone(), true)];
        assert_eq!(states(&wishes, &both, sight()), [Holds::Partial], "it is back");
        wishes.handed_over(&one);
        assert_eq!(states(&wishes, &[(other, true)], sight()), [Holds::Done]);
    }
}

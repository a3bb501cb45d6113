//! Who is connected. Pure: it is told of requests and of the time.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use longshore_model::{DeviceId, Network, Session, SessionEnd};
use longshore_store::facts::SessionFact;
use tokio::time::Instant;

/// A device that was silent for this long is gone: longer than the pause between two recordings.
pub(super) const SILENCE: Duration = Duration::from_secs(75);
/// Facts that may wait for a journal that takes none now; beyond, sessions go unrecorded, so that memory stays flat. A city's
/// devices come and go for days before it is reached.
const WAITING: usize = 10_000;

/// A moment, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// For durations.
    pub(super) at: Instant,
    /// For people.
    pub(super) wall: DateTime<Utc>,
}

/// Devices that are connected, and what the journal is to be told of it.
#[derive(Debug, Default)]
pub(super) struct Table {
    connected: HashMap<DeviceId, Connected>,
    facts: VecDeque<SessionFact>,
}

#[derive(Debug)]
struct Connected {
    began: DateTime<Utc>,
    /// Requests that are in flight.
    open: usize,
    /// When one began or ended last.
    last: Moment,
    address: Option<IpAddr>,
    network: Option<Network>,
    received: Arc<AtomicU64>,
}

impl Table {
    /// A request of this device began.
    pub(super) fn began(&mut self, device: DeviceId, address: Option<IpAddr>, now: Moment) {
        // It may have been silent for too long, and nobody looked.
        self.end_if_silent(device, now);
        let mut is_new = false;
        let connected = self.connected.entry(device).or_insert_with(|| {
            is_new = true;
            let received = Arc::default();
            Connected { began: now.wall, open: 0, last: now, address, network: None, received }
        });
        connected.open += 1;
        connected.last = now;
        connected.address = address.or(connected.address);
        if is_new {
            self.tell(SessionFact::Began { device, at: now.wall, address });
        }
    }

    /// One of its requests ended.
    pub(super) fn ended(&mut self, device: DeviceId, now: Moment) {
        if let Some(connected) = self.connected.get_mut(&device) {
            connected.open = connected.open.saturating_sub(1);
            connected.last = now;
        }
    }

    /// It said over what it is connected.
    pub(super) fn reported(&mut self, device: DeviceId, network: Network) {
        if let Some(connected) = self.connected.get_mut(&device) {
            connected.network = Some(network);
        }
    }

    /// Where the bytes that it sends are counted.
    pub(super) fn counter(&self, device: DeviceId) -> Arc<AtomicU64> {
        self.connected.get(&device).map(|connected| Arc::clone(&connected.received)).unwrap_or_default()
    }

    /// Ends the sessions of those that were silent for too long.
    pub(super) fn sweep(&mut self, now: Moment) {
        let silent = self.connected.iter().filter(|(_, connected)| connected.is_silent(now));
        for device in silent.map(|(device, _)| *device).collect::<Vec<_>>() {
            self.end(device, SessionEnd::Silent);
        }
    }

    /// Ends all sessions, since the server stops.
    pub(super) fn stop(&mut self, now: Moment) {
        for device in self.connected.keys().copied().collect::<Vec<_>>() {
            if let Some(connected) = self.connected.get_mut(&device).filter(|connected| connected.open > 0) {
                connected.last = now;
            }
            self.end(device, SessionEnd::Stopped);
        }
    }

    /// The devices that are connected.
    pub(super) fn sessions(&self, now: Moment) -> Vec<(DeviceId, Session)> {
        let here = self.connected.iter().filter(|(_, connected)| !connected.is_silent(now));
        here.map(|(device, connected)| (*device, connected.session())).collect()
    }

    /// The first facts that the journal is to be told of.
    pub(super) fn facts(&self) -> Vec<SessionFact> {
        self.facts.iter().cloned().collect()
    }

    /// The journal took so many.
    pub(super) fn recorded(&mut self, facts: usize) {
        self.facts.drain(..facts.min(self.facts.len()));
    }

    fn end_if_silent(&mut self, device: DeviceId, now: Moment) {
        if self.connected.get(&device).is_some_and(|connected| connected.is_silent(now)) {
            self.end(device, SessionEnd::Silent);
        }
    }

    fn end(&mut self, device: DeviceId, end: SessionEnd) {
        let Some(connected) = self.connected.remove(&device) else { return };
        let Connected { last, address, network, received, .. } = connected;
        let received = Some(received.load(Ordering::Relaxed));
        self.tell(SessionFact::Ended { device, at: last.wall, address, network, received, end });
    }

    fn tell(&mut self, fact: SessionFact) {
        if self.facts.len() < WAITING {
            self.facts.push_back(fact);
        }
    }
}

impl Connected {
    fn is_silent(&self, now: Moment) -> bool {
        self.open == 0 && now.at.saturating_duration_since(self.last.at) >= SILENCE
    }

    fn session(&self) -> Session {
        Session {
            began: self.began,
            ended: None,
            end: None,
            address: self.address,
            network: self.network.clone(),
            received: Some(self.received.load(Ordering::Relaxed)),
            recordings: 0,
            stored: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);

    struct Story {
        table: Table,
        begin: Instant,
    }

    impl Story {
        fn new() -> Self {
            Self { table: Table::default(), begin: Instant::now() }
        }

        fn at(&self, seconds: u64) -> Moment {
            let wall: DateTime<Utc> = "2026-11-21T15:00:00Z".parse().unwrap();
            let seconds_signed = i64::try_from(seconds).unwrap();
            Moment { at: self.begin + Duration::from_secs(seconds), wall: wall + TimeDelta::seconds(seconds_signed) }
        }

        fn request(&mut self, from: u64, to: u64) {
            self.table.began(DEVICE, Some([192, 0, 2, 1].into()), self.at(from));
            self.table.ended(DEVICE, self.at(to));
        }

        fn is_connected(&self, seconds: u64) -> bool {
            !self.table.sessions(self.at(seconds)).is_empty()
        }
    }

    fn ends(table: &Table) -> Vec<(DateTime<Utc>, Option<u64>, SessionEnd)> {
        let end = |fact| match fact {
            SessionFact::Ended { at, received, end, .. } => Some((at, received, end)),
            SessionFact::Began { .. } => None,
        };
        table.facts().into_iter().filter_map(end).collect()
    }

    #[test]
    fn a_device_is_connected_until_it_was_silent_for_75_seconds() {
        let mut story = Story::new();
        assert!(!story.is_connected(0));
        story.request(0, 10);
        story.request(60, 61);
        assert!(story.is_connected(135) && !story.is_connected(136));
        story.table.sweep(story.at(135));
        assert!(ends(&story.table).is_empty());
        story.table.sweep(story.at(136));
        assert_eq!(ends(&story.table), [(story.at(61).wall, Some(0), SessionEnd::Silent)]);
    }

    #[test]
    fn a_request_in_flight_keeps_a_device_connected_however_long_it_takes() {
        let mut story = Story::new();
        story.table.began(DEVICE, None, story.at(0));
        story.request(1, 2);
        story.table.sweep(story.at(10_000));
        assert!(story.is_connected(10_000));
        story.table.ended(DEVICE, story.at(10_000));
        assert!(story.is_connected(10_074) && !story.is_connected(10_075));
    }

    #[test]
    fn whoever_comes_back_after_a_silence_begins_anew_even_if_nobody_swept() {
        let mut story = Story::new();
        story.request(0, 1);
        story.table.counter(DEVICE).fetch_add(500, Ordering::Relaxed);
        story.request(100, 101);
        assert_eq!(ends(&story.table), [(story.at(1).wall, Some(500), SessionEnd::Silent)]);
        assert_eq!(story.table.sessions(story.at(101))[0].1.began, story.at(100).wall);
        assert_eq!(story.table.facts().len(), 3);
        story.table.recorded(3);
        assert!(story.table.facts().is_empty());
    }

    #[test]
    fn a_stop_ends_what_is_in_flight_now_and_what_is_not_when_it_ended() {
        let mut story = Story::new();
        story.request(0, 1);
        let other = DeviceId::from_bytes([2; 16]);
        story.table.began(other, None, story.at(5));
        story.table.stop(story.at(20));
        let mut ends: Vec<_> = ends(&story.table).into_iter().map(|(at, _, end)| (at, end)).collect();
        ends.sort_by_key(|(at, _)| *at);
        assert_eq!(ends, [(story.at(1).wall, SessionEnd::Stopped), (story.at(20).wall, SessionEnd::Stopped)]);
        assert!(!story.is_connected(20));
    }

    #[test]
    fn what_a_device_says_of_its_network_and_its_last_address_go_with_its_session() {
        let mut story = Story::new();
        story.request(0, 1);
        let json = r#"{"kind": "dock", "bay_mac": "02:00:5e:20:00:05"}"#;
        let network: Network = serde_json::from_str(json).unwrap();
        story.table.reported(DEVICE, network.clone());
        story.table.began(DEVICE, Some([192, 0, 2, 9].into()), story.at(2));
        let session = story.table.sessions(story.at(2)).remove(0).1;
        assert_eq!((session.network.as_ref(), session.address), (Some(&network), Some([192, 0, 2, 9].into())));
        story.table.stop(story.at(3));
        let last = story.table.facts().pop().unwrap();
        assert!(matches!(last, SessionFact::Ended { network: Some(said), .. } if said == network));
    }

    #[test]
    fn a_journal_that_takes_nothing_for_days_does_not_fill_the_memory() {
        let mut story = Story::new();
        for n in 0..20_000 {
            story.request(n * 100, n * 100 + 1);
        }
        assert_eq!(story.table.facts().len(), WAITING);
    }

    proptest! {
        #[test]
        fn whatever_happens_begins_and_ends_alternate_and_no_request_is_outside_of_a_session(
            requests in prop::collection::vec((0..300_u64, 0..100_u64), 1..40),
        ) {
            let mut story = Story::new();
            let (mut now, mut moments) = (0, Vec::new());
            for (pause, length) in requests {
                now += pause;
                story.table.sweep(story.at(now));
                story.request(now, now + length);
                now += length;
                moments.push(story.at(now).wall);
            }
            story.table.stop(story.at(now));
            let facts = story.table.facts();
            let mut sessions = Vec::new();
            for pair in facts.chunks(2) {
                let [SessionFact::Began { at: began, .. }, SessionFact::Ended { at: ended, .. }] = pair else {
                    return Err(TestCaseError::fail(format!("{pair:?}")));
                };
                sessions.push((*began, *ended));
            }
            prop_assert!(sessions.windows(2).all(|pair| pair[1].0 - pair[0].1 >= TimeDelta::seconds(75)));
            prop_assert!(moments.iter().all(|at| sessions.iter().any(|(began, ended)| began <= at && at <= ended)));
        }
    }
}

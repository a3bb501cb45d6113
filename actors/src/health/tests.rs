use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{
    Declared, Device, HealthEventId, HealthSubject, Kind, ReceiptKey, Recording, RecordingId, SettableClock, Sha256,
    UploadId,
};
use longshore_store::catalogue::Writer;
use longshore_store::facts::{Fact, SessionFact};
use longshore_store::files::{Disk, DiskOptions, Files, SimulatedDisk};
use longshore_store::incoming::Incoming;
use longshore_store::index::IndexPlace;
use longshore_store::manifest::Manifest;
use serde_json::json;
use tokio::sync::watch;

use super::*;
use crate::kit::Board;
use crate::storage::Floor;

mod fleet;
mod storage;

const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);

fn begin() -> DateTime<Utc> {
    "2026-11-21T15:00:00Z".parse().unwrap()
}

struct World {
    parts: HealthParts,
    clock: SettableClock,
    writer: Writer,
    folder: tempfile::TempDir,
    disk: Arc<SimulatedDisk>,
}

fn open(folder: &Path, clock: &SettableClock, disk: &Arc<SimulatedDisk>) -> (HealthParts, Writer) {
    let journal = Arc::new(Disk::open(folder, DiskOptions::default()).unwrap());
    let (catalogue, writer, _) = Catalogue::open(journal, &IndexPlace::below(folder), Arc::new(clock.clone())).unwrap();
    let types = json!({
        "link_offline": {"severity": "warning", "title": "t", "text": "x", "steps": ["s"]},
        "device_unknown": {"severity": "notice", "title": "t", "text": "x", "steps": ["s"]},
        "webhook_failed": {"severity": "warning", "title": "t", "text": "x", "steps": ["s"]},
        "overwrite_near":
            {"severity": "critical", "title": "t", "text": "x", "steps": ["s"], "auto_close_hours": 24},
        "recording_lost":
            {"severity": "critical", "title": "t", "text": "x", "steps": ["s"], "auto_close_hours": 24},
        "firmware_changed":
            {"severity": "notice", "title": "t", "text": "x", "steps": ["s"], "auto_close_hours": 24},
    });
    let (files, notices): (Arc<dyn Files>, _) = (Arc::clone(disk) as _, Notices::default());
    let (incoming, _) = Incoming::open(Arc::clone(&files), Arc::new(clock.clone())).unwrap();
    let parts = HealthParts {
        catalogue,
        clock: Arc::new(clock.clone()),
        types: Arc::new(serde_json::from_value(types).unwrap()),
        storage: StorageParts::new(files, incoming, Floor::Bytes(0), None, notices.clone()),
        notices,
        models: watch::channel(Arc::new(serde_json::from_value(json!({"BC4": {}})).unwrap())).1,
        presence: Presence::new(Arc::new(clock.clone())),
        offline_after: TimeDelta::days(7),
        budgets: Begun::default(),
        signals: Signals::default(),
    };
    (parts, writer)
}

impl World {
    async fn new(model: &str) -> Self {
        let (folder, clock) = (tempfile::tempdir().unwrap(), SettableClock::at(begin()));
        let disk = Arc::new(SimulatedDisk::new());
        let (parts, writer) = open(folder.path(), &clock, &disk);
        let device: Device = serde_json::from_value(json!({
            "id": DEVICE, "serial": "B-1", "model": model, "state": "active", "assignments": [], "profile": "default",
            "approved_at": begin(),
        }))
        .unwrap();
        let world = Self { parts, clock, writer, folder, disk };
        world.record(vec![Fact::DeviceAdded { device, by: "uid 0".into() }]).await;
        world.parts.notices.know(&[]);
        world
    }

    /// The server is stopped, and started again.
    async fn restarted(self) -> Self {
        let Self { parts, clock, writer, folder, disk } = self;
        drop(parts);
        writer.stop();
        let (parts, writer) = open(folder.path(), &clock, &disk);
        parts.learn_what_is_open().await.unwrap();
        Self { parts, clock, writer, folder, disk }
    }

    async fn record(&self, facts: Vec<Fact>) {
        self.parts.catalogue.record(facts).await.unwrap();
    }

    /// One round, as the actor does it, so long after the begin; the types of the issues that are open then.
    async fn round(&self, time: TimeDelta) -> Vec<String> {
        self.clock.set(begin() + time);
        self.parts.look_at_storage();
        self.parts.go_round(0).await.unwrap();
        self.parts.record_noticed().await.unwrap();
        self.open().into_iter().map(|issue| issue.kind).collect()
    }

    fn open(&self) -> Vec<Issue> {
        self.parts.catalogue.index().open_issues().unwrap()
    }
}

fn declared(n: u8, overwrite_at: DateTime<Utc>, kind: Kind) -> Declared {
    Declared {
        rid: RecordingId::from_bytes([n; 16]),
        camera: String::new(),
        kind,
        event_type: None,
        start: begin().fixed_offset(),
        end: None,
        boot: None,
        overwrite_at: Some(overwrite_at.fixed_offset()),
        request: None,
        size: Some(3),
        sha256: None,
        filename: None,
        clock_unset: false,
        metadata: None,
        parts: Vec::new(),
    }
}

fn stored(n: u8) -> Fact {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let key = ReceiptKey::from_pkcs8(key.serialized_der()).unwrap();
    let json = json!({
        "device": DEVICE, "rid": RecordingId::from_bytes([n; 16]), "revision": 1, "upload": UploadId::from_bytes([n; 16]),
        "serial": "B-1", "model": "BC4", "assignee": null, "camera": "", "kind": "event", "start": begin(), "size": 3,
        "sha256": Sha256::of(b"abc"), "attested": false, "path": "a/b.mp4", "held": false, "clock_unset": false,
        "verified_at": begin(),
    });
    let recording: Recording = serde_json::from_value(json).unwrap();
    Fact::Stored { manifest: Manifest::sign(recording, begin(), &key).unwrap().to_text().unwrap() }
}

#[tokio::test]
async fn a_device_that_did_not_call_for_days_is_offline_until_it_calls() {
    let world = World::new("BC4").await;
    assert_eq!(world.round(TimeDelta::days(6)).await, Vec::<String>::new());
    assert_eq!(world.round(TimeDelta::days(7)).await, ["link_offline"]);
    world.round(TimeDelta::days(8)).await;
    let open = world.open();
    assert_eq!((open.len(), open[0].value.clone()), (1, Some(8.into())), "it is the same issue");
    let call = world.parts.presence.call(DEVICE, None);
    assert_eq!(world.round(TimeDelta::days(9)).await, Vec::<String>::new());
    drop(call);
    let (device, at) = (DEVICE, begin() + TimeDelta::days(9));
    world.record(vec![Fact::Session(SessionFact::Began { device, at, address: None })]).await;
    assert_eq!(world.round(TimeDelta::days(15)).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_retired_device_has_no_open_issues_and_gets_none() {
    let world = World::new("Cam 9").await;
    assert_eq!(world.round(TimeDelta::days(10)).await, ["link_offline", "model_unrecognised"]);
    world.record(vec![Fact::DeviceRetired { device: DEVICE, by: "uid 0".into() }]).await;
    assert_eq!(world.round(TimeDelta::days(11)).await, Vec::<String>::new());
    assert_eq!(world.round(TimeDelta::days(30)).await, Vec::<String>::new());
    let ends: Vec<_> = world.parts.catalogue.index().newest_issues(None, 10).unwrap();
    assert!(ends.iter().all(|issue| issue.ended.is_some_and(|(how, _)| how == IssueEnd::Retired)));
}

#[tokio::test]
async fn what_is_overwritten_within_a_day_is_told_until_it_is_here() {
    let world = World::new("BC4").await;
    let hours = |n| begin() + TimeDelta::hours(n);
    let continuous = declared(3, hours(1), Kind::Continuous);
    let items = vec![declared(1, hours(40), Kind::Event), declared(2, hours(200), Kind::Event), continuous];
    world.record(vec![Fact::Declared { device: DEVICE, items }]).await;
    assert_eq!(world.round(TimeDelta::hours(15)).await, Vec::<String>::new());
    assert_eq!(world.round(TimeDelta::hours(17)).await, ["overwrite_near"]);
    let issue = world.open().remove(0);
    assert_eq!(issue.value, Some(1.into()), "nobody wants what is no event");
    assert!(issue.text.unwrap().contains("2026-11-23 07:00 UTC"));
    world.record(vec![stored(1)]).await;
    assert_eq!(world.round(TimeDelta::hours(18)).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_happened_once_ends_by_itself_and_is_open_for_as_long_as_its_type_says() {
    let world = World::new("BC4").await;
    world.parts.notices.happened(Notice::of_device(DEVICE, health_type::FIRMWARE_CHANGED));
    assert_eq!(world.round(TimeDelta::zero()).await, ["firmware_changed"]);
    assert_eq!(world.round(TimeDelta::hours(23)).await, ["firmware_changed"]);
    assert_eq!(world.round(TimeDelta::hours(24)).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_server_that_starts_anew_goes_on_with_the_issues_that_there_were() {
    let world = World::new("BC4").await;
    assert_eq!(world.round(TimeDelta::days(8)).await, ["link_offline"]);
    let world = world.restarted().await;
    world.round(TimeDelta::days(8) + TimeDelta::minutes(1)).await;
    let open = world.open();
    assert_eq!((open.len(), open[0].count), (1, 1), "it is known to be there");
}

#[actix::test]
async fn what_is_noticed_is_recorded_within_a_second_and_what_a_device_reports_before_the_answer() {
    let world = World::new("BC4").await;
    let probe = Board::new(Arc::new(world.clock.clone())).probe(None, "health".to_owned(), None);
    let health = HealthAggregator::new(world.parts.clone(), Lifeline::new(|_| {}), probe).start();
    world.parts.notices.happened(Notice::of_server(health_type::CATALOGUE_REBUILT));
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while world.open().is_empty() {
        assert!(std::time::Instant::now() < end, "still not");
        tokio::task::yield_now().await;
    }
    let event: HealthEvent = serde_json::from_value(json!({
        "id": HealthEventId::from_bytes([1; 16]), "type": "gps_lost", "at": begin(),
    }))
    .unwrap();
    for _ in 0..2 {
        let report = Report { device: DEVICE, events: vec![event.clone(), event.clone()] };
        assert_eq!(health.send(report).await.unwrap().unwrap(), [EventTaken::Recorded; 2]);
    }
    let of_device = world.parts.catalogue.index().open_issues_of(HealthSubject::Device(DEVICE)).unwrap();
    assert_eq!((of_device.len(), of_device[0].count), (1, 1));
}

//! Requests for footage in the index, on a real disk.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{
    DeviceId, Holds, Kind, Outcome, ReceiptKey, Recording, RecordingId, RequestId, SettableClock, Sha256, Span,
    UploadId, VideoRequest,
};
use longshore_store::catalogue::{Catalogue, Writer};
use longshore_store::facts::{Fact, RequestFact};
use longshore_store::files::{Disk, DiskOptions};
use longshore_store::index::{Closed, IndexPlace};
use longshore_store::manifest::Manifest;

const DEVICES: [DeviceId; 2] = [DeviceId::from_bytes([1; 16]), DeviceId::from_bytes([2; 16])];

fn now() -> DateTime<Utc> {
    "2026-11-21T15:00:00Z".parse().unwrap()
}

fn at(minutes: i64) -> DateTime<Utc> {
    now() + TimeDelta::minutes(minutes)
}

fn open(folder: &Path) -> (Catalogue, Writer) {
    let clock = SettableClock::at(now());
    let files = Arc::new(Disk::open(folder, DiskOptions::default()).unwrap());
    let (catalogue, writer, _) = Catalogue::open(files, &IndexPlace::below(folder), Arc::new(clock)).unwrap();
    (catalogue, writer)
}

fn request(n: u8) -> VideoRequest {
    VideoRequest {
        id: RequestId::from_bytes([n; 16]),
        key: Some(format!("key {n}")),
        requester: "uid 0".into(),
        devices: DEVICES.to_vec(),
        cameras: vec!["front".into()],
        span: Span { from: at(-60), to: at(-50) },
        priority: VideoRequest::PRIORITY,
        note: Some("case 1234".into()),
        notify: vec!["desk@example.org".into()],
        added_at: now(),
        expires: at(60),
    }
}

fn facts(facts: impl IntoIterator<Item = RequestFact>) -> Vec<Fact> {
    facts.into_iter().map(Fact::Request).collect()
}

#[tokio::test]
async fn a_request_is_open_at_each_device_until_that_one_is_done_or_all_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let (catalogue, writer) = open(folder.path());
    let (first, second) = (request(1), request(2));
    let [one, other] = DEVICES;
    let (id, holds, ranges) = (first.id, Holds::Queued, vec![first.span]);
    let asked = (first.span.from.fixed_offset(), first.span.to.fixed_offset());
    let added = [first.clone(), second.clone()].map(|request| RequestFact::Added { request });
    catalogue.record(facts(added)).await.unwrap();
    let happened = [
        RequestFact::HandedOver { request: id, device: one },
        RequestFact::Told { request: id, device: one, holds, ranges: ranges.clone(), asked },
        RequestFact::Finished { request: id, device: other, outcome: Outcome::Nothing },
        RequestFact::Cancelled { request: second.id, by: "uid 7".into() },
    ];
    catalogue.record(facts(happened)).await.unwrap();

    let check = |catalogue: &Catalogue| {
        let index = catalogue.index();
        let open = index.open_requests_of(one).unwrap();
        let [(request, target)] = &open[..] else { unreachable!("{open:?}") };
        assert_eq!((request, target.handed_over), (&first, Some(now())));
        let told = target.told.clone().unwrap();
        assert_eq!((told.holds, told.ranges, told.asked), (holds, ranges.clone(), asked));
        assert!(index.open_requests_of(other).unwrap().is_empty());
        let row = index.request(id).unwrap().unwrap();
        assert!(row.is_open());
        assert_eq!(row.targets[1].ended, Some((Outcome::Nothing, now())));
        assert_eq!(index.open_requests().unwrap(), [row]);
        let cancelled = index.request_by_key("key 2").unwrap().unwrap();
        assert_eq!(cancelled.closed, Some(Closed::Cancelled { at: now(), by: "uid 7".into() }));
        let newest: Vec<_> = index.newest_requests(10).unwrap().into_iter().map(|row| row.request.id).collect();
        assert_eq!(newest, [second.id, id]);
    };
    check(&catalogue);
    writer.stop();
    drop(catalogue);
    std::fs::remove_dir_all(folder.path().join("index")).unwrap();
    let (catalogue, _writer) = open(folder.path());
    check(&catalogue);
    catalogue.record(facts([RequestFact::Expired { request: id }])).await.unwrap();
    assert!(catalogue.index().open_requests().unwrap().is_empty());
}

fn stored(n: u8, start: i64, true_start: Option<i64>, end: Option<i64>) -> Fact {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let key = ReceiptKey::from_pkcs8(key.serialized_der()).unwrap();
    let recording = Recording {
        device: DEVICES[0],
        rid: RecordingId::from_bytes([n; 16]),
        revision: 1,
        serial: "B-1".into(),
        model: "BC4".into(),
        assignee: None,
        camera: n.to_string(),
        kind: Kind::Continuous,
        event_type: None,
        start: at(start).fixed_offset(),
        end: end.map(|end| at(end).fixed_offset()),
        clock_unset: false,
        true_start: true_start.map(at),
        true_end: true_start.zip(end).map(|(truly, end)| at(end + truly - start)),
        size: 3,
        sha256: Sha256::of(b"abc"),
        attested: true,
        held: false,
        original_name: None,
        received_at: None,
        verified_at: now(),
        upload: UploadId::from_bytes([n; 16]),
        path: format!("{n}.mp4"),
    };
    Fact::Stored { manifest: Manifest::sign(recording, now(), &key).unwrap().to_text().unwrap() }
}

#[tokio::test]
async fn stored_recordings_are_found_by_their_true_time() {
    let folder = tempfile::tempdir().unwrap();
    let (catalogue, _writer) = open(folder.path());
    let recordings = [
        stored(1, -60, None, Some(-50)),
        // Its clock was an hour ahead.
        stored(2, 0, Some(-60), Some(10)),
        // Its clock shows the range, and it was another time.
        stored(3, -58, Some(-118), Some(-52)),
        // It began long before.
        stored(4, -600, None, Some(-55)),
        // Nobody knows when it ended.
        stored(5, -100, None, None),
        stored(6, -121, None, None),
        stored(7, -50, None, Some(-40)),
        stored(8, -70, None, Some(-60)),
    ];
    catalogue.record(recordings.to_vec()).await.unwrap();
    let found = |device| {
        let within = catalogue.index().stored_within(device, Span { from: at(-60), to: at(-50) }).unwrap();
        let mut cameras: Vec<_> = within.into_iter().map(|lies| lies.camera).collect();
        cameras.sort_unstable();
        cameras
    };
    assert_eq!(found(DEVICES[0]), ["1", "2", "4", "5"]);
    assert!(found(DEVICES[1]).is_empty());
}

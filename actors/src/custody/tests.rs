use std::fs;

use chrono::{TimeDelta, TimeZone as _};
use longshore_model::{DeviceId, Kind, Recording, RecordingId, SettableClock, Sha256, UploadId};
use longshore_store::files::{Disk, DiskOptions};
use longshore_store::incoming::Incoming;
use longshore_store::index::IndexPlace;
use longshore_store::manifest::Manifest;
use tempfile::TempDir;

use super::*;
use crate::health::Notices;
use crate::kit::Board;
use crate::storage::Floor;

struct World {
    folder: TempDir,
    clock: SettableClock,
    custodian: Custodian,
    drain: watch::Sender<bool>,
}

/// This time of that day in November, as a clock in this machine's time zone shows it.
fn at(day: u32, hour: u32, minute: u32) -> DateTime<Utc> {
    Local.with_ymd_and_hms(2026, 11, day, hour, minute, 0).unwrap().to_utc()
}

async fn world() -> World {
    let (folder, clock) = (tempfile::tempdir().unwrap(), SettableClock::at(at(20, 12, 0)));
    let disk = || Arc::new(Disk::open(folder.path(), DiskOptions::default()).unwrap());
    let place = IndexPlace::below(folder.path());
    let (catalogue, _writer, _) = Catalogue::open(disk(), &place, Arc::new(clock.clone())).unwrap();
    let storage = folder.path().join("storage");
    fs::create_dir_all(storage.join(".incoming")).unwrap();
    let files: Arc<dyn Files> = Arc::new(Disk::open(&storage, DiskOptions::default()).unwrap());
    let (incoming, _) = Incoming::open(Arc::clone(&files), Arc::new(clock.clone())).unwrap();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let key = Arc::new(ReceiptKey::from_pkcs8(key.serialized_der()).unwrap());
    let (drain, draining) = watch::channel(false);
    let share = Share::of_percent(100, u64::MAX);
    let custodian = Custodian {
        parts: CustodyParts {
            data: disk(),
            storage,
            is_there: Arc::new(|| true),
            time: "02:30:00".parse().unwrap(),
            share,
        },
        disk: StorageParts::new(Arc::clone(&files), incoming, Floor::Bytes(0), None, Notices::default()),
        notices: Notices::default(),
        files,
        catalogue,
        verifier: Arc::new(ReceiptVerifier::new(&key.jwks()).unwrap()),
        key,
        clock: Arc::new(clock.clone()),
        draining,
        looking: Arc::new(Semaphore::new(1)),
        ended: Arc::new(LastLook::at(clock.now())),
    };
    World { folder, clock, custodian, drain }
}

impl World {
    async fn store(&self, n: u8) {
        let path = format!("J. Smith/2026-11-20/2026-11-20 12-00-00 event ({n}).mp4");
        let recording = Recording {
            device: DeviceId::from_bytes([1; 16]),
            rid: RecordingId::from_bytes([n; 16]),
            revision: 1,
            serial: "B-1".into(),
            model: "BC4".into(),
            assignee: Some("J. Smith".into()),
            camera: String::new(),
            kind: Kind::Event,
            event_type: None,
            start: self.clock.now().fixed_offset(),
            end: None,
            clock_unset: false,
            true_start: None,
            true_end: None,
            size: 3,
            sha256: Sha256::of(b"abc"),
            attested: true,
            held: false,
            original_name: None,
            received_at: None,
            verified_at: self.clock.now(),
            upload: UploadId::from_bytes([n; 16]),
            path: path.clone(),
        };
        let manifest = Manifest::sign(recording, self.clock.now(), &self.custodian.key).unwrap().to_text().unwrap();
        let video = self.folder.path().join("storage").join(path);
        fs::create_dir_all(video.parent().unwrap()).unwrap();
        fs::write(format!("{}.json", video.display()), &manifest).unwrap();
        fs::write(video, "abc").unwrap();
        self.custodian.catalogue.record(vec![Fact::Stored { manifest }]).await.unwrap();
    }

    /// How many checkpoints and reports there are after a look at the clock.
    async fn look(&self, now: DateTime<Utc>) -> (usize, usize) {
        self.clock.set(now);
        let probe = Board::new(Arc::new(self.clock.clone())).probe(None, "custody".to_owned(), None);
        self.custodian.sign().await.unwrap();
        assert_eq!(self.custodian.look(&probe).await.unwrap(), LOOK_EVERY);
        let index = self.custodian.catalogue.index();
        (index.checkpoints_since(0).unwrap().len(), index.reconciliations_since(0).unwrap().len())
    }
}

#[actix::test]
async fn a_checkpoint_and_a_look_come_once_a_day_and_what_was_missed_once() {
    let world = world().await;
    assert_eq!(world.look(at(21, 2, 30)).await, (0, 0), "there is nothing to look after");
    world.store(1).await;
    assert_eq!(world.look(at(21, 2, 40)).await, (0, 0), "it came just now");
    assert_eq!(world.look(at(22, 2, 29)).await, (0, 0));
    assert_eq!(world.look(at(22, 2, 30)).await, (1, 1));
    assert_eq!(world.look(at(22, 2, 31)).await, (1, 1));
    assert_eq!(world.look(at(22, 23, 0)).await, (1, 1));
    // The server was off for days, and comes back in the afternoon.
    assert_eq!(world.look(at(26, 15, 0)).await, (2, 2));
    assert_eq!(world.look(at(26, 15, 1)).await, (2, 2));
    assert_eq!(world.look(at(27, 2, 30)).await, (3, 3));
    let index = world.custodian.catalogue.index();
    let days: Vec<String> = index
        .reconciliations_since(0)
        .unwrap()
        .iter()
        .map(|reconciled| reconciled.reconciliation.day.to_string())
        .collect();
    assert_eq!(days, ["2026-11-22", "2026-11-26", "2026-11-27"]);
    let checkpoints = index.checkpoints_since(0).unwrap();
    assert!(checkpoints.iter().all(|checkpoint| checkpoint.seq == checkpoint.position + 1));
}

#[actix::test]
async fn a_look_that_the_stop_interrupts_goes_on_where_it_was_and_only_once() {
    let world = world().await;
    for n in 1..=5 {
        world.store(n).await;
    }
    world.drain.send_replace(true);
    assert_eq!(world.look(at(22, 2, 30)).await, (1, 0));
    world.drain.send_replace(false);
    assert_eq!(world.look(at(22, 2, 35)).await.1, 1);
    assert_eq!(world.look(at(22, 2, 40)).await.1, 1);
    let last = world.custodian.catalogue.index().last_reconciliation().unwrap().unwrap();
    assert_eq!((last.reconciliation.looked.present, last.reconciliation.looked.read), (5, 5));
}

#[actix::test]
async fn a_look_whose_storage_is_gone_says_nothing_of_the_store() {
    let mut world = world().await;
    world.store(1).await;
    world.custodian.parts.is_there = Arc::new(|| false);
    world.clock.set(at(22, 2, 30) + TimeDelta::seconds(1));
    let probe = Board::new(Arc::new(world.clock.clone())).probe(None, "custody".to_owned(), None);
    assert!(matches!(world.custodian.look(&probe).await, Err(CustodyError::Gone)));
    assert!(world.custodian.catalogue.index().last_reconciliation().unwrap().is_none());
}

#[actix::test]
async fn looks_that_come_to_no_end_are_overdue_and_hold_no_checkpoint_up() {
    let mut world = world().await;
    assert_eq!(world.look(at(21, 23, 0)).await, (0, 0));
    let overdue = |world: &World| world.custodian.ended.is_overdue(world.clock.now());
    world.clock.set(at(23, 12, 0));
    world.custodian.sign().await.unwrap();
    assert!(!overdue(&world), "there was nothing to look at");
    world.store(1).await;
    // The storage hangs, and with it the look.
    let (let_go, hangs) = std::sync::mpsc::sync_channel::<()>(1);
    let hangs = std::sync::Mutex::new(hangs);
    world.custodian.parts.is_there = Arc::new(move || hangs.lock().unwrap().recv().is_ok());
    fs::remove_file(world.folder.path().join("storage/J. Smith/2026-11-20/2026-11-20 12-00-00 event (1).mp4")).unwrap();
    world.clock.set(at(24, 2, 30));
    let custodian = world.custodian.clone();
    let looking = actix::spawn(async move {
        let probe = Board::new(Arc::clone(&custodian.clock)).probe(None, "custody".to_owned(), None);
        custodian.look(&probe).await
    });
    for (day, hour, is_overdue) in [(24, 3, false), (24, 23, false), (25, 2, true), (25, 3, true)] {
        world.clock.set(at(day, hour, 31));
        world.custodian.sign().await.unwrap();
        assert_eq!(overdue(&world), is_overdue, "day {day}, {hour} h");
        if hour == 23 {
            // Without anything new there is nothing to sign.
            world.store(2).await;
        }
    }
    assert_eq!(world.custodian.catalogue.index().checkpoints_since(0).unwrap().len(), 2, "one each day");
    drop(let_go);
    assert!(matches!(looking.await.unwrap(), Err(CustodyError::Gone)));
    assert!(overdue(&world), "one that came to nothing says nothing");
    world.custodian.parts.is_there = Arc::new(|| true);
    assert_eq!(world.look(at(25, 4, 0)).await, (2, 1));
    assert!(!overdue(&world));
}

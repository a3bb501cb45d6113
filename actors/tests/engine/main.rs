//! The engine over disks that fail, fill up and hang.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod gated_disk;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gated_disk::GatedDisk;
use longshore_actors::{
    AttachError, Attachment, Brings, CommitEvery, CompleteError, EndError, Engine, Evicted, Floor, Held, Limits, Parts,
    StorageError, TerminateError, Verdict, Wants, WriteError,
};
use longshore_model::{
    Declared, Device, DeviceId, DeviceState, EnrolmentId, Kind, ReceiptKey, RecordingId, Sha256, SystemClock, UploadId,
};
use longshore_store::catalogue::Catalogue;
use longshore_store::facts::Fact;
use longshore_store::files::{Disk, DiskOptions, Fault, Files, SimulatedDisk};
use longshore_store::incoming::Incoming;
use longshore_store::index::IndexPlace;
use tempfile::TempDir;

const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);
const RID: RecordingId = RecordingId::from_bytes([2; 16]);
const MIB: usize = 1024 * 1024;

struct World {
    engine: Engine,
    disk: SimulatedDisk,
    gate: GatedDisk,
    _folder: TempDir,
}

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let journal = Arc::new(Disk::open(folder.path(), DiskOptions::default()).unwrap());
    let (catalogue, _writer, _) =
        Catalogue::open(journal, &IndexPlace::below(folder.path()), Arc::new(SystemClock)).unwrap();
    let device = Device {
        id: DEVICE,
        serial: "B-1".into(),
        model: "BC4".into(),
        state: DeviceState::Active,
        key: Some(Sha256::of(b"key")),
        upload_tokens: Vec::new(),
        assignments: Vec::new(),
        profile: "default".into(),
        approved_at: "2026-11-21T15:00:00Z".parse().unwrap(),
    };
    let approved = Fact::DeviceApproved { enrolment: EnrolmentId::from_bytes([0; 16]), device, by: "test".into() };
    catalogue.record(vec![approved]).await.unwrap();
    let disk = SimulatedDisk::new();
    let gate = GatedDisk::over(disk.clone());
    let files: Arc<dyn Files> = Arc::new(gate.clone());
    let (incoming, _) = Incoming::open(Arc::clone(&files), Arc::new(SystemClock)).unwrap();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let parts = Parts {
        files,
        incoming,
        catalogue,
        receipt_key: Arc::new(ReceiptKey::from_pkcs8(key.serialized_der()).unwrap()),
        clock: Arc::new(SystemClock),
        floor: Floor::Bytes(0),
        commits: CommitEvery::for_sync_time(Some(Duration::ZERO)),
        read_back: true,
        limits: Limits {
            patches_in_all: 2,
            open_patches: 4,
            unfinished_uploads: 64,
            uploads_per_answer: 16,
            upload_bytes: 1 << 40,
        },
    };
    World { engine: Engine::start(parts).await.unwrap(), disk, gate, _folder: folder }
}

fn content() -> Vec<u8> {
    (0..5 * u32::try_from(MIB).unwrap() / 4).flat_map(|n| n.to_le_bytes()).collect()
}

fn declared() -> Declared {
    Declared {
        rid: RID,
        camera: String::new(),
        kind: Kind::Event,
        event_type: None,
        start: "2026-11-21T14:03:22+01:00".parse().unwrap(),
        end: None,
        size: Some(content().len() as u64),
        sha256: Some(Sha256::of(&content())),
        filename: None,
        clock_unset: false,
        metadata: None,
        parts: Vec::new(),
    }
}

impl World {
    async fn upload(&self) -> UploadId {
        let verdicts = self.engine.offer(DEVICE, vec![declared()], None).await.unwrap();
        assert_eq!(verdicts, [Verdict::Upload { priority: 1 }]);
        self.engine.create_upload(DEVICE, Brings::Offered { rid: RID, length: declared().size }).await.unwrap().upload
    }

    async fn attach(&self, upload: UploadId) -> Box<Attachment> {
        match self.engine.attach(DEVICE, upload, Wants::Append).await.unwrap() {
            Held::Transfer(attachment) => attachment,
            Held::Stored { .. } => panic!("stored already"),
        }
    }

    /// Sends the rest, from wherever the upload stands, as often as that takes.
    async fn send_the_rest(&self, upload: UploadId) {
        for _ in 0..100 {
            let mut attachment = match self.engine.attach(DEVICE, upload, Wants::Append).await {
                Ok(Held::Transfer(attachment)) => attachment,
                Ok(Held::Stored { .. }) => return,
                Err(error) if error.is_slowness() => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            let at = usize::try_from(attachment.offset()).unwrap();
            attachment.write(&content()[at..]).await.unwrap();
            attachment.end().await.unwrap();
        }
        panic!("the recording was not completed");
    }

    fn stored(&self) -> Vec<u8> {
        let paths = self.disk.paths();
        let videos: Vec<_> = paths.iter().filter(|path| path.ends_with(".mp4")).collect();
        let [video] = videos[..] else { panic!("{paths:?}") };
        let file = self.disk.open(video).unwrap();
        let mut bytes = vec![0; usize::try_from(file.size().unwrap()).unwrap()];
        file.read_at(&mut bytes, 0).unwrap();
        bytes
    }
}

#[actix::test]
async fn a_dropped_request_commits_what_it_brought() {
    let world = world().await;
    let upload = world.upload().await;
    let mut attachment = world.attach(upload).await;
    attachment.write(&content()[..2 * MIB + 7]).await.unwrap();
    drop(attachment);
    assert_eq!(world.attach(upload).await.offset(), 2 * MIB as u64 + 7);
    world.send_the_rest(upload).await;
    assert_eq!(world.stored(), content());
}

#[actix::test]
async fn a_request_that_counts_as_a_whole_leaves_nothing_unless_it_is_kept() {
    let world = world().await;
    let upload = world.upload().await;
    let whole = async || match world.engine.attach(DEVICE, upload, Wants::AppendWhole).await.unwrap() {
        Held::Transfer(attachment) => attachment,
        Held::Stored { .. } => panic!("nothing is complete yet"),
    };
    let mut attachment = whole().await;
    attachment.write(&content()[..4 * MIB + 7]).await.unwrap();
    assert_eq!(attachment.end().await.unwrap().offset, 0);
    let mut attachment = whole().await;
    attachment.write(&content()[..4 * MIB + 7]).await.unwrap();
    drop(attachment);
    let mut attachment = whole().await;
    assert_eq!(attachment.offset(), 0);
    attachment.write(&content()[..3 * MIB + 7]).await.unwrap();
    attachment.keep();
    assert_eq!(attachment.end().await.unwrap().offset, 3 * MIB as u64 + 7);
    world.send_the_rest(upload).await;
    assert_eq!(world.stored(), content());
}

#[actix::test]
async fn beyond_the_bound_in_all_a_request_waits_outside_until_another_ends() {
    let world = world().await;
    let mut uploads = Vec::new();
    for n in 1..=3 {
        let rid = RecordingId::from_bytes([n; 16]);
        world.engine.offer(DEVICE, vec![Declared { rid, ..declared() }], None).await.unwrap();
        let brings = Brings::Offered { rid, length: declared().size };
        uploads.push(world.engine.create_upload(DEVICE, brings).await.unwrap().upload);
    }
    let first = world.attach(uploads[0]).await;
    let _second = world.attach(uploads[1]).await;
    let crowded = world.engine.attach(DEVICE, uploads[2], Wants::Append).await;
    assert!(matches!(crowded, Err(AttachError::Crowded)));
    let offset = world.engine.attach(DEVICE, uploads[2], Wants::Offset).await;
    assert!(offset.is_ok(), "it takes nothing to say how far an upload is");
    drop(offset);
    first.end().await.unwrap();
    world.attach(uploads[2]).await;
}

#[actix::test]
async fn a_terminated_upload_is_gone_and_a_stored_one_stays() {
    let world = world().await;
    let upload = world.upload().await;
    let mut attachment = world.attach(upload).await;
    attachment.write(&content()[..MIB]).await.unwrap();
    // What hangs on it lets go.
    let letting_go = async {
        attachment.evicted().await;
        drop(attachment);
    };
    let (terminated, ()) = tokio::join!(world.engine.terminate(DEVICE, upload), letting_go);
    terminated.unwrap();
    assert!(matches!(world.engine.attach(DEVICE, upload, Wants::Offset).await, Err(AttachError::NotFound)));
    assert!(matches!(world.engine.terminate(DEVICE, upload).await, Err(TerminateError::NotFound)));
    let again = world.upload().await;
    let other = DeviceId::from_bytes([9; 16]);
    assert!(matches!(world.engine.terminate(other, again).await, Err(TerminateError::NotFound)));
    world.send_the_rest(again).await;
    assert!(matches!(world.engine.terminate(DEVICE, again).await, Err(TerminateError::AlreadyStored)));
    assert_eq!(world.stored(), content());
}

#[actix::test]
async fn after_a_failed_write_the_transfer_goes_on_from_its_last_commit() {
    for (kind, expected) in [
        (io::ErrorKind::StorageFull, StorageError::Full),
        (io::ErrorKind::Other, StorageError::Io(io::Error::from(io::ErrorKind::Other).to_string())),
    ] {
        let world = world().await;
        let upload = world.upload().await;
        let mut attachment = world.attach(upload).await;
        attachment.write(&content()[..1000]).await.unwrap();
        assert_eq!(attachment.end().await.unwrap().offset, 1000);

        let mut attachment = world.attach(upload).await;
        world.disk.fail(world.disk.calls(), Fault::Error(kind));
        let mut refused = attachment.write(&content()[1000..4 * MIB]).await.map_err(EndError::Write);
        if refused.is_ok() {
            refused = attachment.end().await.map(|_| ());
        }
        match refused {
            Err(EndError::Write(WriteError::Storage(error))) => assert_eq!(error, expected),
            // The first of two writes failed while the second was awaited.
            other => assert!(matches!(other, Err(EndError::Write(WriteError::Unavailable))), "{other:?}"),
        }
        assert_eq!(world.engine.unfinished(DEVICE, upload).map(|upload| upload.offset), Some(1000));
        world.send_the_rest(upload).await;
        assert_eq!(world.stored(), content());
    }
}

#[actix::test]
async fn a_transfer_that_fails_again_and_again_rests() {
    let world = world().await;
    let upload = world.upload().await;
    let mut refused = None;
    for _ in 0..5 {
        let mut attachment = world.attach(upload).await;
        attachment.write(&content()[..1000]).await.unwrap();
        world.disk.fail(world.disk.calls(), Fault::Error(io::ErrorKind::Other));
        assert!(attachment.end().await.is_err());
        // The actor is gone a moment after it has answered.
        while let Err(error) = world.engine.attach(DEVICE, upload, Wants::Append).await {
            if !error.is_slowness() {
                refused = Some(error);
                break;
            }
        }
    }
    assert!(matches!(refused, Some(AttachError::Parked(left)) if left.as_secs() > 590), "{refused:?}");
}

#[actix::test]
async fn a_failed_sync_acknowledges_nothing() {
    let world = world().await;
    let upload = world.upload().await;
    let mut attachment = world.attach(upload).await;
    attachment.write(&content()[..1000]).await.unwrap();
    // The next calls are the write of the tail and the sync of it.
    world.disk.fail(world.disk.calls() + 1, Fault::Error(io::ErrorKind::Other));
    let ended = attachment.end().await;
    assert!(matches!(ended, Err(EndError::Write(WriteError::Storage(StorageError::Io(_))))), "{ended:?}");
    assert_eq!(world.engine.unfinished(DEVICE, upload).map(|upload| upload.offset), Some(0));
    world.send_the_rest(upload).await;
    assert_eq!(world.stored(), content());
}

#[actix::test]
async fn while_the_disk_hangs_a_newer_request_is_told_within_a_moment_and_nothing_is_lost() {
    let world = world().await;
    let upload = world.upload().await;
    let mut attachment = world.attach(upload).await;
    attachment.write(&content()[..1000]).await.unwrap();
    attachment.end().await.unwrap();

    let mut hanging = world.attach(upload).await;
    world.gate.close();
    hanging.write(&content()[1000..1000 + MIB]).await.unwrap();
    let evicted = async { hanging.evicted().await };
    let began = Instant::now();
    let (newer, evicted) = tokio::join!(world.engine.attach(DEVICE, upload, Wants::Offset), evicted);
    assert_eq!(evicted, Evicted::Superseded);
    let Err(error) = newer else { panic!("attached to a hanging disk") };
    assert!(matches!(error, AttachError::Storage(StorageError::Slow)), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(world.engine.unfinished(DEVICE, upload).map(|upload| upload.offset), Some(1000));
    drop(hanging);

    // Another device's work, and this one's once the disk is back, goes on.
    let again = world.engine.attach(DEVICE, upload, Wants::Append).await;
    assert!(again.is_err_and(|error| error.is_slowness()), "old writes are still on their way");
    world.gate.open();
    world.send_the_rest(upload).await;
    assert_eq!(world.stored(), content());
}

#[actix::test]
async fn a_receipt_that_comes_late_is_announced_by_offering_again() {
    let world = world().await;
    let upload = world.upload().await;
    let mut attachment = world.attach(upload).await;
    attachment.write(&content()).await.unwrap();
    world.gate.close_for_renames();
    let ended = attachment.end().await.unwrap();
    assert_eq!(
        (ended.offset, ended.receipt),
        (content().len() as u64, None),
        "every byte is durable, the receipt is not there"
    );
    let before = world.engine.offer_again(DEVICE).await.unwrap();
    let slow = world.engine.attach(DEVICE, upload, Wants::Offset).await;
    assert!(slow.is_err_and(|error| error.is_slowness()));
    world.gate.open();
    while world.engine.offer_again(DEVICE).await.unwrap() == before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let verdicts = world.engine.offer(DEVICE, vec![declared()], None).await.unwrap();
    assert!(matches!(verdicts[..], [Verdict::Have { .. }]), "{verdicts:?}");
    assert_eq!(world.stored(), content());
}

#[actix::test]
async fn what_the_medium_does_not_give_back_gets_no_receipt_and_is_sent_again() {
    let world = world().await;
    let upload = world.upload().await;
    let mut attachment = world.attach(upload).await;
    attachment.write(&content()).await.unwrap();
    world.gate.damage(true);
    let ended = attachment.end().await;
    let Err(EndError::Complete(CompleteError::Storage(StorageError::Damaged(why)))) = ended else {
        panic!("{ended:?}")
    };
    assert!(why.contains("other bytes than were written"), "{why}");
    assert!(matches!(world.engine.attach(DEVICE, upload, Wants::Offset).await, Err(AttachError::NotFound)));
    world.gate.damage(false);
    let again = world.upload().await;
    world.send_the_rest(again).await;
    assert_eq!(world.stored(), content());
}

#[actix::test]
async fn a_stop_does_not_wait_until_everything_is_read_back() {
    let world = world().await;
    let upload = world.upload().await;
    let mut attachment = world.attach(upload).await;
    attachment.write(&content()).await.unwrap();
    world.engine.drain();
    let ended = attachment.end().await;
    assert!(matches!(ended, Err(EndError::Complete(CompleteError::Storage(StorageError::Unavailable)))), "{ended:?}");
    // It is complete on the disk; the next start goes on from there.
    assert_eq!(world.engine.unfinished(DEVICE, upload).map(|upload| upload.offset), declared().size);
}

#[actix::test]
async fn a_placing_that_fails_is_completed_by_the_next_request() {
    let clean = world().await;
    let upload = clean.upload().await;
    let before = clean.disk.calls();
    clean.send_the_rest(upload).await;
    let calls = clean.disk.calls() - before;
    for call in 0..calls {
        let world = world().await;
        let upload = world.upload().await;
        world.disk.fail(world.disk.calls() + call, Fault::Error(io::ErrorKind::Other));
        // Wherever the failure falls, the device only sees an error, or nothing of it.
        if let Ok(Held::Transfer(mut attachment)) = world.engine.attach(DEVICE, upload, Wants::Append).await {
            let _failed_somewhere = (attachment.write(&content()).await.is_ok(), attachment.end().await.is_ok());
        }
        world.send_the_rest(upload).await;
        assert_eq!(world.stored(), content(), "call {call} failed");
    }
}

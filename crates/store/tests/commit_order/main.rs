//! From the first byte to the final name, over the real and the simulated disk, with power cuts at every call.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod every_call;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use longshore_model::{DeviceId, Kind, ReceiptKey, Recording, RecordingId, RunningHash, Sha256, SystemClock, UploadId};
use longshore_store::files::{
    Abilities, BLOCK, Blocks, Disk, DiskOptions, Fault, Files, RenameMode, SimulatedDisk, create_folders, read_all,
    replace,
};
use longshore_store::incoming::{Found, Incoming, IncomingError, Transfer, before_in_block};
use longshore_store::manifest::Manifest;
use longshore_store::place::{PlaceError, place, roll_forward};
use longshore_store::{Committed, Identity, Purpose};

const UPLOAD: UploadId = UploadId::from_bytes([7; 16]);
const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);
const PATH: &str = "J. Smith/2026-11-21/2026-11-21 14-03-22 event.mp4";

fn content() -> Vec<u8> {
    (0..20_000_u32).flat_map(|n| n.to_le_bytes()).collect()
}

fn identity(upload: UploadId) -> Identity {
    Identity {
        upload,
        device: DEVICE,
        purpose: Purpose::Recording(RecordingId::from_bytes([2; 16])),
        length: Some(content().len() as u64),
        sha256: Some(Sha256::of(&content())),
        created_at: now(),
    }
}

fn now() -> DateTime<Utc> {
    "2026-11-21T15:00:00Z".parse().unwrap()
}

fn key() -> ReceiptKey {
    // A fixed key: a P-256 private key in PKCS #8 that exists for these tests only.
    let der = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_der();
    ReceiptKey::from_pkcs8(&der).unwrap()
}

fn manifest(upload: UploadId, key: &ReceiptKey) -> Manifest {
    let identity = identity(upload);
    let recording = Recording {
        device: DEVICE,
        rid: identity.rid().unwrap(),
        revision: 1,
        serial: "B-1".into(),
        model: "BC4".into(),
        assignee: Some("J. Smith".into()),
        camera: String::new(),
        kind: Kind::Event,
        event_type: None,
        start: "2026-11-21T14:03:22+01:00".parse().unwrap(),
        end: None,
        clock_unset: false,
        true_start: None,
        true_end: None,
        size: content().len() as u64,
        sha256: Sha256::of(&content()),
        attested: true,
        held: false,
        original_name: Some("a.mp4".into()),
        received_at: None,
        verified_at: now(),
        upload,
        path: String::new(),
    };
    Manifest::sign(recording, now(), key).unwrap()
}

fn hash_after(bytes: &[u8]) -> Committed {
    let mut hash = RunningHash::default();
    hash.update(bytes);
    Committed { offset: bytes.len() as u64, hash: hash.state() }
}

fn write(transfer: &Transfer, bytes: &[u8], offset: u64) -> std::io::Result<()> {
    let before = before_in_block(offset);
    let mut blocks = Blocks::new((before + bytes.len()).next_multiple_of(BLOCK));
    blocks[before..before + bytes.len()].copy_from_slice(bytes);
    transfer.write(&mut blocks, offset, bytes.len())
}

/// Sends everything in two commits, starting wherever the disk says.
fn transfer(incoming: &Incoming) -> Result<(), IncomingError> {
    let content = content();
    let (transfer, committed) = incoming.resume(UPLOAD)?;
    assert_eq!(committed.hash, hash_after(&content[..usize::try_from(committed.offset).unwrap()]).hash);
    for end in [content.len() / 2, content.len()] {
        let start = usize::try_from(committed.offset).unwrap().min(end);
        write(&transfer, &content[start..end], start as u64)?;
        transfer.commit(hash_after(&content[..end]))?;
    }
    Ok(())
}

fn open(files: &Arc<dyn Files>) -> (Incoming, Found) {
    Incoming::open(Arc::clone(files), Arc::new(SystemClock)).unwrap()
}

fn read(files: &dyn Files, path: &str) -> Vec<u8> {
    read_all(files, path, 1 << 20).unwrap_or_else(|error| panic!("{path}: {error}"))
}

const MODES: [RenameMode; 3] = [RenameMode::Exclusive, RenameMode::Link, RenameMode::Placeholder];

fn over_both_disks(test: impl Fn(Arc<dyn Files>)) {
    for rename in MODES {
        test(Arc::new(SimulatedDisk::renaming(rename)));
        let folder = tempfile::tempdir().unwrap();
        // A local disk, and a share that can do little.
        let abilities = Abilities { rename, direct: rename == RenameMode::Exclusive, ..Abilities::default() };
        test(Arc::new(Disk::with_abilities(folder.path(), DiskOptions::default(), abilities).unwrap()));
    }
}

#[test]
fn a_recording_gets_its_name_and_its_manifest_and_leaves_nothing_behind() {
    over_both_disks(|files| {
        let key = key();
        let (incoming, found) = open(&files);
        assert_eq!(found, Found::default());
        incoming.create(identity(UPLOAD)).unwrap();
        transfer(&incoming).unwrap();
        let placed = place(&*files, manifest(UPLOAD, &key)).unwrap();
        assert_eq!(placed.recording.path, PATH);
        incoming.finish(UPLOAD).unwrap();
        assert_eq!(read(&*files, PATH), content());
        assert_eq!(Manifest::parse(&read(&*files, &format!("{PATH}.json"))).unwrap(), placed);
        assert_eq!(files.list(".incoming").unwrap(), []);
    });
}

#[test]
fn bytes_that_begin_in_the_middle_of_a_block_leave_those_before_them_alone() {
    over_both_disks(|files| {
        let content = content();
        let (incoming, _) = open(&files);
        incoming.create(identity(UPLOAD)).unwrap();
        let mut at = 0;
        // Over a block's end and not, to a block's end, a single byte, the end of all.
        for end in [3, 4095, 4097, 8192, 8193, 50_000, content.len()] {
            let (transfer, committed) = incoming.resume(UPLOAD).unwrap();
            assert_eq!(committed.offset, at as u64);
            // What a request brought that counts for nothing stands there until it is written over.
            write(&transfer, &content[..end - at], at as u64).unwrap();
            write(&transfer, &content[at..end], at as u64).unwrap();
            transfer.commit(hash_after(&content[..end])).unwrap();
            at = end;
        }
        let (transfer, _) = incoming.resume(UPLOAD).unwrap();
        let mut medium = Blocks::new(content.len().next_multiple_of(BLOCK));
        assert_eq!(transfer.read(&mut medium, 0).unwrap(), content.len());
        assert!(medium[..content.len()] == content);
    });
}

#[test]
fn recordings_of_the_same_second_are_numbered_and_letter_case_makes_no_second_folder() {
    over_both_disks(|files| {
        let key = key();
        let (incoming, _) = open(&files);
        for (n, person, path) in [
            (1, "J. Smith", PATH.to_owned()),
            (2, "J. Smith", PATH.replace(".mp4", " (2).mp4")),
            (3, "j. SMITH", PATH.replace(".mp4", " (3).mp4")),
        ] {
            let upload = UploadId::from_bytes([n; 16]);
            let purpose = Purpose::Recording(RecordingId::from_bytes([n; 16]));
            incoming.create(Identity { purpose, ..identity(upload) }).unwrap();
            let again = incoming.create(Identity { purpose, ..identity(UploadId::from_bytes([9; 16])) });
            assert_eq!(again.unwrap_err().kind(), std::io::ErrorKind::ResourceBusy, "one upload for each recording");
            let mut manifest = manifest(upload, &key);
            manifest.recording.assignee = Some(person.into());
            assert_eq!(place(&*files, manifest).unwrap().recording.path, path);
        }
    });
}

#[test]
fn a_foreign_file_under_the_manifests_name_is_left_alone() {
    over_both_disks(|files| {
        let (incoming, _) = open(&files);
        incoming.create(identity(UPLOAD)).unwrap();
        transfer(&incoming).unwrap();
        let key = key();
        let mut manifest = manifest(UPLOAD, &key);
        manifest.recording.path = PATH.into();
        // The name was free when it was chosen and recorded, and taken when the placing went on.
        let record = manifest.to_text().unwrap();
        files.create(&format!(".incoming/{UPLOAD}/placing")).unwrap().write_at(record.as_bytes(), 0).unwrap();
        files.create_folder("J. Smith").unwrap();
        files.create_folder("J. Smith/2026-11-21").unwrap();
        files.create(&format!("{PATH}.json")).unwrap().write_at(b"notes", 0).unwrap();
        let placed = roll_forward(&*files, UPLOAD).unwrap();
        assert_eq!(placed.recording.path, PATH.replace(".mp4", " (2).mp4"));
        assert_eq!(read(&*files, &format!("{PATH}.json")), b"notes");
        assert_eq!(read(&*files, &placed.recording.path), content());
        assert!(!files.exists(PATH).unwrap());
    });
}

#[test]
fn a_placeholder_is_no_video() {
    over_both_disks(|files| {
        let (incoming, _) = open(&files);
        incoming.create(identity(UPLOAD)).unwrap();
        let mut manifest = manifest(UPLOAD, &key());
        manifest.recording.path = PATH.into();
        let record = manifest.to_text().unwrap();
        files.create(&format!(".incoming/{UPLOAD}/placing")).unwrap().write_at(record.as_bytes(), 0).unwrap();
        // The incoming file is lost, and what has its final name is empty.
        files.remove(&format!(".incoming/{UPLOAD}/data")).unwrap();
        create_folders(&*files, "J. Smith/2026-11-21").unwrap();
        files.create(PATH).unwrap();
        assert!(matches!(roll_forward(&*files, UPLOAD), Err(PlaceError::Vanished(..))));
        assert!(!files.exists(&format!("{PATH}.json")).unwrap());
    });
}

#[test]
fn whenever_the_power_fails_while_a_name_is_given_up_for_another_the_video_is_found_again() {
    let key = key();
    for (mode, call) in MODES.into_iter().flat_map(|mode| (0..40).map(move |call| (mode, call))) {
        let disk = SimulatedDisk::renaming(mode);
        let files: Arc<dyn Files> = Arc::new(disk.clone());
        let (incoming, _) = open(&files);
        incoming.create(identity(UPLOAD)).unwrap();
        transfer(&incoming).unwrap();
        let mut manifest = manifest(UPLOAD, &key);
        manifest.recording.path = PATH.into();
        replace(&*files, &format!(".incoming/{UPLOAD}/placing"), manifest.to_text().unwrap().as_bytes()).unwrap();
        create_folders(&*files, "J. Smith/2026-11-21").unwrap();
        replace(&*files, &format!("{PATH}.json"), b"notes").unwrap();
        disk.fail(disk.calls() + call, Fault::PowerCut);
        let _cut_short = roll_forward(&*files, UPLOAD);
        for seed in 0..16 {
            let context = format!("{mode:?}, call {call}, seed {seed}");
            let files: Arc<dyn Files> = Arc::new(disk.after_power_cut(seed));
            start(&files).unwrap_or_else(|error| panic!("{context}: {error}"));
            assert_eq!(read(&*files, &PATH.replace(".mp4", " (2).mp4")), content(), "{context}");
            assert_eq!(read(&*files, &format!("{PATH}.json")), b"notes", "{context}");
        }
    }
}

#[test]
fn an_upload_that_was_opened_survives_the_next_power_cut_though_its_maker_was_killed() {
    for call in 0..8 {
        let disk = SimulatedDisk::new();
        let files: Arc<dyn Files> = Arc::new(disk.clone());
        let (incoming, _) = open(&files);
        disk.fail(disk.calls() + call, Fault::PowerCut);
        let _killed = incoming.create(identity(UPLOAD));
        let disk = disk.after_kill();
        let files: Arc<dyn Files> = Arc::new(disk.clone());
        if open(&files).0.resume(UPLOAD).is_ok() {
            for seed in 0..40 {
                let files: Arc<dyn Files> = Arc::new(disk.after_power_cut(seed));
                assert!(open(&files).0.find(DEVICE, UPLOAD).is_some(), "call {call}, seed {seed}");
            }
        }
    }
}

#[test]
fn an_upload_goes_on_from_its_last_commit() {
    over_both_disks(|files| {
        let (incoming, _) = open(&files);
        incoming.create(identity(UPLOAD)).unwrap();
        let content = content();
        {
            let (transfer, _) = incoming.resume(UPLOAD).unwrap();
            write(&transfer, &content[..9000], 0).unwrap();
            transfer.commit(hash_after(&content[..9000])).unwrap();
            write(&transfer, &content[9000..12_000], 9000).unwrap();
            assert!(matches!(incoming.resume(UPLOAD), Err(IncomingError::Busy)));
        }
        let (incoming, _) = open(&files);
        assert_eq!(incoming.find(DEVICE, UPLOAD).unwrap().offset, 9000);
        let (_, committed) = incoming.resume(UPLOAD).unwrap();
        assert_eq!(committed, hash_after(&content[..9000]));
        assert_eq!(read(&*files, &format!(".incoming/{UPLOAD}/data")).len(), 9000);
    });
}

#[test]
fn another_device_finds_nothing() {
    over_both_disks(|files| {
        let (incoming, _) = open(&files);
        incoming.create(identity(UPLOAD)).unwrap();
        assert_eq!(incoming.find(DeviceId::from_bytes([9; 16]), UPLOAD), None);
        assert!(incoming.find(DEVICE, UPLOAD).is_some());
    });
}

#[test]
fn a_file_shorter_than_acknowledged_is_reported_and_gone() {
    over_both_disks(|files| {
        let (incoming, _) = open(&files);
        incoming.create(identity(UPLOAD)).unwrap();
        transfer(&incoming).unwrap();
        files.open(&format!(".incoming/{UPLOAD}/data")).unwrap().set_len(100).unwrap();
        let (later, found) = open(&files);
        assert_eq!(found.damaged, [UPLOAD]);
        assert_eq!(later.find(DEVICE, UPLOAD), None);
        // A running server finds out when it opens the file.
        assert!(matches!(incoming.resume(UPLOAD), Err(IncomingError::Damaged(_))));
        assert_eq!(incoming.find(DEVICE, UPLOAD), None);
        assert_eq!(files.list(".incoming").unwrap(), []);
    });
}

#[test]
fn an_interrupted_placing_is_completed_though_the_rest_of_its_upload_cannot_be_read() {
    over_both_disks(|files| {
        let (incoming, _) = open(&files);
        incoming.create(identity(UPLOAD)).unwrap();
        transfer(&incoming).unwrap();
        let placed = place(&*files, manifest(UPLOAD, &key())).unwrap();
        let state = format!(".incoming/{UPLOAD}/state");
        files.remove(&state).unwrap();
        files.create_folder(&state).unwrap();
        let (incoming, found) = open(&files);
        assert_eq!(found, Found { interrupted: vec![UPLOAD], ..Found::default() });
        // Until then it stays the upload of its recording, or the device would send that again, to be stored twice.
        let Recording { device, rid, size, .. } = placed.recording;
        assert_eq!(
            incoming.of_recording(device, rid).map(|known| (known.identity.upload, known.offset)),
            Some((UPLOAD, size))
        );
        assert_eq!(roll_forward(&*files, UPLOAD).unwrap(), placed);
    });
}

#[test]
fn after_a_failed_sync_the_handle_commits_nothing_more() {
    let disk = SimulatedDisk::new();
    let files: Arc<dyn Files> = Arc::new(disk.clone());
    let (incoming, _) = open(&files);
    incoming.create(identity(UPLOAD)).unwrap();
    let (transfer, _) = incoming.resume(UPLOAD).unwrap();
    write(&transfer, &content()[..5000], 0).unwrap();
    disk.fail(disk.calls(), Fault::Error(std::io::ErrorKind::Other));
    assert!(transfer.commit(hash_after(&content()[..5000])).is_err());
    assert!(transfer.commit(hash_after(&content()[..5000])).is_err(), "a second sync would only seem to work");
    drop(transfer);
    assert_eq!(incoming.resume(UPLOAD).unwrap().1.offset, 0);
}

#[test]
fn an_upload_that_began_to_become_a_recording_cannot_be_given_up() {
    over_both_disks(|files| {
        let (incoming, _) = open(&files);
        incoming.create(identity(UPLOAD)).unwrap();
        transfer(&incoming).unwrap();
        place(&*files, manifest(UPLOAD, &key())).unwrap();
        assert!(matches!(incoming.discard(UPLOAD), Err(IncomingError::Placing)));
        assert!(matches!(incoming.resume(UPLOAD), Err(IncomingError::Placing)));
        incoming.finish(UPLOAD).unwrap();
        assert_eq!(files.list(".incoming").unwrap(), []);
    });
}

#[test]
fn an_offset_that_was_read_survives_the_next_power_cut_though_its_sync_failed() {
    for seed in 0..40 {
        let disk = SimulatedDisk::new();
        let files: Arc<dyn Files> = Arc::new(disk.clone());
        let (incoming, _) = open(&files);
        incoming.create(identity(UPLOAD)).unwrap();
        let (transfer, _) = incoming.resume(UPLOAD).unwrap();
        write(&transfer, &content()[..5000], 0).unwrap();
        // The data is synced, the state is written, and its sync fails.
        disk.fail(disk.calls() + 2, Fault::Error(std::io::ErrorKind::Other));
        assert!(transfer.commit(hash_after(&content()[..5000])).is_err());
        drop(transfer);
        let told = incoming.resume(UPLOAD).unwrap().1.offset;
        let files: Arc<dyn Files> = Arc::new(disk.after_power_cut(seed));
        assert_eq!(open(&files).0.find(DEVICE, UPLOAD).unwrap().offset, told, "seed {seed}");
    }
}

/// What a start does: completes what was interrupted, and removes its folder.
fn start(files: &Arc<dyn Files>) -> Result<(), String> {
    let (incoming, found) = Incoming::open(Arc::clone(files), Arc::new(SystemClock)).map_err(|e| e.to_string())?;
    for upload in found.interrupted {
        roll_forward(&**files, upload).map_err(|e| e.to_string())?;
        incoming.finish(upload).map_err(|e| e.to_string())?;
    }
    Ok(())
}

//! Uploads that are put aside and taken up again, over the real and the simulated disk, with power cuts at every call.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{DeviceId, RecordingId, RunningHash, SettableClock, Sha256, UploadId};
use longshore_store::files::{BLOCK, Blocks, Disk, DiskOptions, Fault, Files, SimulatedDisk};
use longshore_store::incoming::{Incoming, IncomingError};
use longshore_store::{Committed, Identity, Purpose};

const UPLOAD: UploadId = UploadId::from_bytes([7; 16]);
const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);
const RID: RecordingId = RecordingId::from_bytes([2; 16]);
/// How much of what came is good.
const GOOD: usize = 3 * BLOCK;

fn now() -> DateTime<Utc> {
    "2026-11-21T15:00:00Z".parse().unwrap()
}

fn content() -> Vec<u8> {
    (0..5000_u32).flat_map(|n| n.to_le_bytes()).collect()
}

fn right() -> Sha256 {
    Sha256::of(b"what the device means")
}

fn identity() -> Identity {
    let (purpose, length) = (Purpose::Recording(RID), Some(content().len() as u64));
    Identity { upload: UPLOAD, device: DEVICE, purpose, length, sha256: None, created_at: now() }
}

fn hash_after(bytes: &[u8]) -> Committed {
    let mut hash = RunningHash::default();
    hash.update(bytes);
    Committed { offset: bytes.len() as u64, hash: hash.state() }
}

/// All of it comes, and is put aside.
fn put_aside(incoming: &Incoming) -> Result<(), IncomingError> {
    incoming.create(identity())?;
    let (transfer, _) = incoming.resume(UPLOAD)?;
    let content = content();
    let mut blocks = Blocks::new(content.len().next_multiple_of(BLOCK));
    blocks[..content.len()].copy_from_slice(&content);
    transfer.write(&mut blocks, 0, content.len())?;
    transfer.commit(hash_after(&content))?;
    Ok(transfer.put_aside()?)
}

fn repair(incoming: &Incoming) -> Result<(), IncomingError> {
    Ok(incoming.take_up(UPLOAD)?.go_on(right(), hash_after(&content()[..GOOD]))?)
}

fn open(files: &Arc<dyn Files>) -> Incoming {
    open_at(files, SettableClock::at(now()))
}

fn open_at(files: &Arc<dyn Files>, clock: SettableClock) -> Incoming {
    Incoming::open(Arc::clone(files), Arc::new(clock)).unwrap().0
}

fn over_both_disks(test: impl Fn(Arc<dyn Files>)) {
    test(Arc::new(SimulatedDisk::new()));
    let folder = tempfile::tempdir().unwrap();
    test(Arc::new(Disk::open(folder.path(), DiskOptions::default()).unwrap()));
}

#[test]
fn what_is_aside_is_on_its_way_for_nobody_and_is_taken_up_by_one() {
    over_both_disks(|files| {
        let incoming = open(&files);
        put_aside(&incoming).unwrap();
        // Also after a restart.
        for incoming in [incoming, open(&files)] {
            assert_eq!(incoming.find(DEVICE, UPLOAD), None);
            assert!(matches!(incoming.resume(UPLOAD), Err(IncomingError::NotFound)));
            assert_eq!(incoming.of_recording(DEVICE, RID).unwrap().aside_since, Some(now()));
            assert_eq!((incoming.promised(), incoming.begun_by(DEVICE)), (0, 0));
            let aside = incoming.take_up(UPLOAD).unwrap();
            assert!(matches!(incoming.take_up(UPLOAD), Err(IncomingError::Busy)));
            assert!(matches!(incoming.discard(UPLOAD), Err(IncomingError::Busy)));
            let mut blocks = Blocks::new(content().len().next_multiple_of(BLOCK));
            assert_eq!(aside.read(&mut blocks, 0).unwrap(), content().len());
            assert!(blocks[..content().len()] == content() && aside.came() == hash_after(&content()));
        }
    });
}

#[test]
fn it_goes_on_after_what_is_good_as_the_upload_of_what_the_device_means() {
    over_both_disks(|files| {
        let incoming = open(&files);
        put_aside(&incoming).unwrap();
        repair(&incoming).unwrap();
        assert!(matches!(incoming.take_up(UPLOAD), Err(IncomingError::NotFound)));
        for incoming in [incoming, open(&files)] {
            let found = incoming.find(DEVICE, UPLOAD).unwrap();
            assert_eq!((found.offset, found.identity.sha256), (GOOD as u64, Some(right())));
            assert_eq!(incoming.promised(), (content().len() - GOOD) as u64);
            let (transfer, committed) = incoming.resume(UPLOAD).unwrap();
            assert_eq!(committed, hash_after(&content()[..GOOD]));
            let mut blocks = Blocks::new(content().len().next_multiple_of(BLOCK));
            assert_eq!(transfer.read(&mut blocks, 0).unwrap(), GOOD, "the rest is cut off");
        }
    });
}

#[test]
fn what_lies_aside_expires_after_a_day_and_once_taken_up_only_as_others_do() {
    over_both_disks(|files| {
        let clock = SettableClock::at(now());
        let incoming = open_at(&files, clock.clone());
        put_aside(&incoming).unwrap();
        let day = TimeDelta::days(1);
        clock.set(now() + day - TimeDelta::milliseconds(1));
        assert_eq!(incoming.expired(), []);
        clock.set(now() + day);
        let expired: Vec<_> = incoming.expired().into_iter().map(|upload| upload.identity.upload).collect();
        assert_eq!(expired, [UPLOAD]);
        repair(&incoming).unwrap();
        assert_eq!(incoming.expired(), []);
        assert_eq!(incoming.find(DEVICE, UPLOAD).unwrap().expires_at(), Some(now() + day + TimeDelta::days(30)));
        incoming.discard(UPLOAD).unwrap();
        assert_eq!(files.list(".incoming").unwrap(), []);
    });
}

#[test]
fn whenever_the_power_fails_it_is_aside_as_a_whole_or_goes_on_after_what_is_good() {
    let calls = {
        let disk = SimulatedDisk::new();
        let incoming = open(&(Arc::new(disk.clone()) as Arc<dyn Files>));
        put_aside(&incoming).unwrap();
        let before = disk.calls();
        repair(&incoming).unwrap();
        before..disk.calls()
    };
    assert!(calls.len() > 4, "{calls:?}");
    let mut seen = [false; 2];
    for (call, seed) in calls.flat_map(|call| (0..16).map(move |seed| (call, seed))) {
        let disk = SimulatedDisk::new();
        let incoming = open(&(Arc::new(disk.clone()) as Arc<dyn Files>));
        put_aside(&incoming).unwrap();
        disk.fail(call, Fault::PowerCut);
        let _cut_short = repair(&incoming);
        for disk in [disk.after_kill(), disk.after_power_cut(seed)] {
            let files: Arc<dyn Files> = Arc::new(disk);
            let incoming = open(&files);
            let found = incoming.of_recording(DEVICE, RID).unwrap();
            seen[usize::from(found.aside_since.is_some())] = true;
            if found.aside_since.is_some() {
                repair(&incoming).unwrap();
            }
            let (_, committed) = incoming.resume(UPLOAD).unwrap();
            assert_eq!(committed, hash_after(&content()[..GOOD]), "cut at call {call}, seed {seed}");
            let data = files.open(&format!(".incoming/{UPLOAD}/data")).unwrap();
            let mut good = vec![0; GOOD];
            assert_eq!(data.read_at(&mut good, 0).unwrap(), GOOD);
            assert!(good == content()[..GOOD], "cut at call {call}, seed {seed}");
        }
    }
    assert_eq!(seen, [true; 2], "both came about");
}

#[test]
fn what_is_taken_up_after_it_was_listed_as_too_old_stays() {
    let (files, clock): (Arc<dyn Files>, _) = (Arc::new(SimulatedDisk::new()), SettableClock::at(now()));
    let incoming = open_at(&files, clock.clone());
    put_aside(&incoming).unwrap();
    clock.set(now() + TimeDelta::days(1));
    assert_eq!(incoming.expired().len(), 1);
    repair(&incoming).unwrap();
    assert!(matches!(incoming.expire(UPLOAD), Err(IncomingError::Busy)));
    assert!(matches!(incoming.discard_aside(UPLOAD), Err(IncomingError::Busy)));
    clock.set(now() + TimeDelta::days(32));
    incoming.expire(UPLOAD).unwrap();
    assert!(incoming.of_device(DEVICE).is_empty());
}

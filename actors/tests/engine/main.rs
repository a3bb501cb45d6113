//! The engine over disks that fail, fill up and hang.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod altered;
mod completing;
mod exports;
mod gated_disk;
mod whole;
mod world;

use std::io;
use std::time::{Duration, Instant};

use longshore_actors::{AttachError, Brings, EndError, Evicted, Held, StorageError, TerminateError, Wants, WriteError};
use longshore_model::{Declared, DeviceId, RecordingId};
use longshore_store::files::Fault;

use world::{DEVICE, MIB, content, declared, world};

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

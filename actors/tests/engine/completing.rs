//! From the last byte to the recording.

use std::io;
use std::time::Duration;

use longshore_actors::{Brings, CompleteError, EndError, Held, StorageError, Verdict, Wants};
use longshore_model::{Declared, Sha256};
use longshore_store::files::Fault;

use super::world::{DEVICE, content, declared, world};

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
    let before = world.engine.wants(DEVICE).await.unwrap().borrow().offer_again;
    let slow = world.engine.attach(DEVICE, upload, Wants::Offset).await;
    assert!(slow.is_err_and(|error| error.is_slowness()));
    world.gate.open();
    while world.engine.wants(DEVICE).await.unwrap().borrow().offer_again == before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let verdicts = world.engine.offer(DEVICE, vec![declared()], None).await.unwrap();
    assert!(matches!(verdicts[..], [Verdict::Have { .. }]), "{verdicts:?}");
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

#[actix::test]
async fn parts_stay_until_the_whole_is_stored_and_the_same_request_finds_it_meanwhile() {
    let world = world().await;
    let half = content().len() / 2;
    let mut parts = Vec::new();
    for bytes in [&content()[..half], &content()[half..]] {
        let length = Some(bytes.len() as u64);
        let part = world.engine.create_upload(DEVICE, Brings::Part { length }).await.unwrap().upload;
        let mut attachment = world.attach(part).await;
        attachment.write(bytes).await.unwrap();
        attachment.end().await.unwrap();
        parts.push(part);
    }
    let are_there = || parts.iter().filter(|part| world.engine.unfinished(DEVICE, **part).is_some()).count();
    let whole = Declared { parts: parts.clone(), size: None, ..declared() };
    let upload = world.engine.create_upload(DEVICE, Brings::Declared(Box::new(whole.clone()))).await.unwrap().upload;
    world.gate.close_for_renames();
    let ended = world.engine.join(DEVICE, upload, &parts).await.unwrap();
    assert_eq!((ended.offset, ended.receipt, are_there()), (content().len() as u64, None, 2));
    let again = world.engine.create_upload(DEVICE, Brings::Declared(Box::new(whole))).await.unwrap();
    assert_eq!((again.upload, again.offset), (upload, content().len() as u64));
    world.gate.open();
    let joined = loop {
        match world.engine.join(DEVICE, upload, &parts).await {
            Ok(ended) if ended.receipt.is_some() => break ended,
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    assert_eq!(joined.offset, content().len() as u64);
    assert_eq!(world.stored(), content());
    while are_there() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[actix::test]
async fn a_checksum_that_is_declared_while_the_bytes_are_read_back_counts() {
    let world = world().await;
    let undeclared = Declared { sha256: None, ..declared() };
    world.engine.offer(DEVICE, vec![undeclared], None).await.unwrap();
    let brings = Brings::Offered { rid: declared().rid, length: declared().size };
    let upload = world.engine.create_upload(DEVICE, brings).await.unwrap().upload;
    let mut attachment = world.attach(upload).await;
    attachment.write(&content()).await.unwrap();
    world.gate.close_for_reads();
    let ended = attachment.end().await.unwrap();
    assert_eq!(ended.receipt, None);
    let other = Declared { sha256: Some(Sha256::of(b"other")), ..declared() };
    world.engine.offer(DEVICE, vec![other], None).await.unwrap();
    world.gate.open();
    while world.engine.unfinished(DEVICE, upload).is_some_and(|upload| upload.is_on_its_way()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!world.disk.paths().iter().any(|path| path.ends_with(".mp4")), "{:?}", world.disk.paths());
}

//! What has all its bytes becomes a recording, though nobody asks for it.

use std::io;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use longshore_actors::{Held, StorageError, Verdict, Wants};
use longshore_model::{Clock as _, Declared, Sha256};
use longshore_store::files::Fault;

use super::world::{DEVICE, World, content, declared, world};

/// Sends everything to a disk that fails at this call; whether the upload is whole then, and no recording.
async fn left_whole(world: &World, call: usize) -> bool {
    let upload = world.upload().await;
    world.disk.fail(world.disk.calls() + call, Fault::Error(io::ErrorKind::Other));
    if let Ok(Held::Transfer(mut attachment)) = world.engine.attach(DEVICE, upload, Wants::Append).await {
        let _failed_somewhere = (attachment.write(&content()).await.is_ok(), attachment.end().await.is_ok());
    }
    world.engine.unfinished(DEVICE, upload).is_some_and(|upload| upload.is_complete())
}

/// How often the disk is called for one recording.
async fn calls() -> usize {
    let world = world().await;
    let upload = world.upload().await;
    let before = world.disk.calls();
    world.send_the_rest(upload).await;
    world.disk.calls() - before
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn swept(world: &World) {
    world.clock.set(world.clock.now() + TimeDelta::minutes(1));
    // The transfer that failed ends a moment after it answered.
    let began = Instant::now();
    while world.engine.unfinished_of(DEVICE).iter().any(|upload| upload.is_on_its_way()) {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not become a recording");
        world.engine.complete_what_is_whole().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[actix::test]
async fn what_has_all_its_bytes_becomes_a_recording_though_its_device_does_not_come_again() {
    let mut cases = 0;
    for call in 0..calls().await {
        let world = world().await;
        if left_whole(&world, call).await {
            cases += 1;
            world.engine.complete_what_is_whole().await;
            assert_eq!(world.engine.unfinished_of(DEVICE).len(), 1, "the request that brought it sees to it first");
            let before = world.engine.wants(DEVICE).await.unwrap().borrow().offer_again;
            swept(&world).await;
            assert_eq!(world.stored(), content(), "call {call} failed");
            // Nobody was there to take the receipt: the device is to ask for it.
            let wants = world.engine.wants(DEVICE).await.unwrap();
            until("it is not announced", || wants.borrow().offer_again > before).await;
        }
    }
    assert!(cases > 2, "{cases}");
}

#[actix::test]
async fn what_is_whole_becomes_a_recording_whatever_its_device_declares_afterwards() {
    let mut cases = 0;
    for call in 0..calls().await {
        let world = world().await;
        if left_whole(&world, call).await {
            cases += 1;
            let other = Declared { size: Some(7), sha256: Some(Sha256::of(b"another")), ..declared() };
            world.engine.offer(DEVICE, vec![other.clone()], None).await.unwrap();
            swept(&world).await;
            assert_eq!(world.stored(), content(), "call {call} failed");
            let verdicts = world.engine.offer(DEVICE, vec![other], None).await.unwrap();
            assert!(matches!(verdicts[..], [Verdict::Conflict { .. }]), "{verdicts:?}");
        }
    }
    assert!(cases > 2, "{cases}");
}

#[actix::test]
async fn what_is_being_completed_is_left_alone() {
    let world = world().await;
    let upload = world.upload().await;
    let mut attachment = world.attach(upload).await;
    attachment.write(&content()).await.unwrap();
    world.gate.close_for_reads();
    assert_eq!(attachment.end().await.unwrap().receipt, None);
    world.clock.set(world.clock.now() + TimeDelta::minutes(1));
    // Somebody asks how far it is, and waits; the sweep comes upon it.
    let sweeping = async {
        let began = Instant::now();
        world.engine.complete_what_is_whole().await;
        began.elapsed()
    };
    let (asked, took) = tokio::join!(world.engine.attach(DEVICE, upload, Wants::Offset), sweeping);
    let Err(error) = asked else { panic!("it is not stored yet") };
    assert!(matches!(&error, longshore_actors::AttachError::Storage(StorageError::Slow)), "{error}");
    assert!(took < Duration::from_millis(500), "{took:?}");
    world.gate.open();
    until("it is not stored", || world.engine.unfinished(DEVICE, upload).is_none()).await;
    assert_eq!(world.stored(), content());
}

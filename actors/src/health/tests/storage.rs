//! What the server notices of itself.

use std::io;

use longshore_store::Purpose;
use longshore_store::files::Fault;

use super::*;
use crate::storage::{Reserve, StorageWriter};

/// A disk that fails while an upload is made on it.
async fn fail_a_write(world: &World) {
    let probe = Board::new(Arc::new(world.clock.clone())).probe(None, "storage".to_owned(), None);
    let writer = StorageWriter::new(world.parts.storage.clone(), Lifeline::new(|_| {}), probe).start();
    let (upload, purpose) = (UploadId::from_bytes([1; 16]), Purpose::Recording(RecordingId::from_bytes([1; 16])));
    let identity = longshore_store::Identity {
        upload,
        device: DEVICE,
        purpose,
        length: Some(0),
        sha256: None,
        created_at: begin(),
    };
    world.disk.fail(world.disk.calls(), Fault::Error(io::ErrorKind::Other));
    assert!(writer.send(Reserve(identity, Kind::Event)).await.unwrap().is_err());
}

#[actix::test]
async fn a_disk_that_failed_is_an_issue_until_it_shows_that_it_works_though_no_device_comes() {
    let world = World::new("BC4").await;
    fail_a_write(&world).await;
    world.parts.record_noticed().await.unwrap();
    assert_eq!(world.open()[0].kind, "disk_write_failed");
    world.disk.fail(world.disk.calls(), Fault::Error(io::ErrorKind::Other));
    assert_eq!(world.round(TimeDelta::minutes(1)).await, ["disk_write_failed"], "it failed again");
    assert_eq!(world.round(TimeDelta::minutes(2)).await, Vec::<String>::new());
    let ended = world.parts.catalogue.index().newest_issues(None, 1).unwrap().remove(0);
    assert_eq!(ended.ended.map(|(how, _)| how), Some(IssueEnd::Cleared));
}

#[actix::test]
async fn a_disk_that_failed_before_the_server_was_stopped_has_to_show_that_it_works_too() {
    let world = World::new("BC4").await;
    fail_a_write(&world).await;
    world.parts.record_noticed().await.unwrap();
    let world = world.restarted().await;
    world.disk.fail(world.disk.calls(), Fault::Error(io::ErrorKind::Other));
    assert_eq!(world.round(TimeDelta::minutes(1)).await, ["disk_write_failed"]);
    assert_eq!(world.round(TimeDelta::minutes(2)).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_crowd_of_strangers_hides_no_other_trouble_of_the_server_and_is_forgotten() {
    let world = World::new("BC4").await;
    let stranger = |n: u16| Notice::of_server(health_type::DEVICE_UNKNOWN).part(n.to_string());
    (0..200).for_each(|n| world.parts.notices.happened(stranger(n)));
    world.round(TimeDelta::zero()).await;
    assert_eq!(world.open().len(), 65, "64, and one for all others");
    let untold = || Notice::of_server(health_type::WEBHOOK_FAILED).part("dispatch");
    world.parts.notices.stands(untold());
    world.round(TimeDelta::minutes(1)).await;
    assert_eq!(world.open().last().unwrap().part.as_deref(), Some("dispatch"));
    world.parts.notices.over(untold());
    assert_eq!(world.round(TimeDelta::minutes(2)).await.len(), 65);
    world.parts.notices.happened(stranger(300));
    world.round(TimeDelta::minutes(3)).await;
    let whole = world.open().into_iter().find(|issue| issue.part.is_none()).unwrap();
    assert_eq!((whole.count, whole.several), (137, true));
    let world = world.restarted().await;
    let open = world.round(TimeDelta::hours(25)).await.len();
    assert_eq!(open, 64, "their type has no end here, but nobody can say that all the others are over");
}

//! A disk that gives back other bytes than were written.

use longshore_actors::{AttachError, Brings, CompleteError, CreateError, EndError, Ended, StorageError, Wants};
use longshore_model::{BlockSums, Declared, RecordingId, Sha256, UploadId};
use longshore_store::files::Files as _;

use super::world::{DEVICE, MIB, RID, World, content, declared, world};

/// More than anybody reads.
const ALWAYS: u32 = u32::MAX;

/// Sends all of it, of which the next `reads` are wrong.
async fn sent(world: &World, upload: UploadId, reads: u32) -> Result<Ended, EndError> {
    let mut attachment = world.attach(upload).await;
    attachment.write(&content()).await.unwrap();
    world.gate.damage(reads);
    let ended = attachment.end().await;
    world.gate.damage(0);
    ended
}

async fn altered(world: &World, upload: UploadId) {
    let ended = sent(world, upload, ALWAYS).await;
    let Err(EndError::Complete(CompleteError::Storage(StorageError::Damaged(why)))) = ended else {
        panic!("{ended:?}")
    };
    assert!(why.contains("other bytes than were written"), "{why}");
    assert!(matches!(world.engine.attach(DEVICE, upload, Wants::Offset).await, Err(AttachError::NotFound)));
}

#[actix::test]
async fn a_reading_that_went_wrong_once_does_not_make_a_good_copy_bad() {
    let world = world().await;
    let upload = world.upload().await;
    let once = u32::try_from(content().len() / MIB).unwrap();
    assert!(sent(&world, upload, once).await.unwrap().receipt.is_some());
    assert_eq!(world.stored(), content());
}

#[actix::test]
async fn what_the_medium_altered_gets_no_receipt_and_may_come_again() {
    let world = world().await;
    let upload = world.upload().await;
    altered(&world, upload).await;
    let again = world.upload().await;
    world.send_the_rest(again).await;
    assert_eq!(world.stored(), content());
    assert_eq!(world.engine.unfinished_of(DEVICE), []);
}

#[actix::test]
async fn what_the_medium_altered_is_kept_for_a_month_since_its_sender_may_have_deleted_it() {
    let world = world().await;
    let upload = world.upload().await;
    altered(&world, upload).await;
    let [kept] = &world.engine.unfinished_of(DEVICE)[..] else { panic!("it is gone") };
    assert!(kept.altered && kept.identity.upload == upload);
    assert_eq!(kept.expires_at().unwrap() - kept.aside_since.unwrap(), chrono::TimeDelta::days(30));
    let data = world.disk.open(&format!(".incoming/{upload}/data")).unwrap();
    let mut bytes = vec![0; content().len()];
    assert_eq!(data.read_at(&mut bytes, 0).unwrap(), bytes.len());
    assert!(bytes == content());
}

#[actix::test]
async fn a_repair_of_what_the_medium_altered_goes_by_what_is_on_it() {
    let world = world().await;
    let upload = world.upload().await;
    altered(&world, upload).await;
    let sums = || {
        let sha256 = Sha256::of(&content());
        BlockSums::new(content().len() as u64, sha256, vec![sha256]).unwrap()
    };
    let data = world.disk.open(&format!(".incoming/{upload}/data")).unwrap();
    data.write_at(&[!content()[MIB]], MIB as u64).unwrap();
    let repaired = world.engine.repair(DEVICE, RID, sums()).await.unwrap();
    assert_eq!((repaired.upload, repaired.offset), (upload, 0));
    world.send_the_rest(upload).await;
    assert_eq!(world.stored(), content());
}

#[actix::test]
async fn a_disk_that_alters_one_recording_after_the_other_is_given_no_more() {
    let world = world().await;
    let begun = async |n: u8| {
        let rid = RecordingId::from_bytes([n; 16]);
        world.engine.offer(DEVICE, vec![Declared { rid, ..declared() }], None).await.unwrap();
        world.engine.create_upload(DEVICE, Brings::Offered { rid, length: declared().size }).await
    };
    for n in 10..13 {
        altered(&world, begun(n).await.unwrap().upload).await;
    }
    let refused = begun(13).await.unwrap_err();
    let CreateError::Storage(StorageError::NotThere(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("3 recordings within an hour"), "{why}");
}

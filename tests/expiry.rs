//! Uploads that nobody goes on with.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{Clock as _, RunningHash, SettableClock, SystemClock};
use longshore_store::Committed;
use longshore_store::files::{BLOCK, Blocks, Disk, DiskOptions};
use longshore_store::incoming::{Incoming, before_in_block};

use crate::support::{Camera, Reply, World, bytes, eventually, recording};

fn expires(reply: &Reply) -> DateTime<Utc> {
    let text = &reply.headers["upload-expires"];
    let rest = text.strip_suffix(" GMT").unwrap_or_else(|| panic!("{text} is no HTTP date"));
    chrono::NaiveDateTime::parse_from_str(rest, "%a, %d %b %Y %H:%M:%S").unwrap().and_utc()
}

/// The date of the answer itself, by the server's clock.
fn date(reply: &Reply) -> DateTime<Utc> {
    DateTime::parse_from_rfc2822(&reply.headers["date"]).unwrap().to_utc()
}

/// Makes the last bytes of an upload so old, as a server would have that was told another time.
fn age(world: &World, upload: &str, content: &[u8], time: TimeDelta) {
    let now = SettableClock::at(SystemClock.now() - time);
    let disk = Disk::open(&world.storage(), DiskOptions::default()).unwrap();
    let (incoming, _) = Incoming::open(Arc::new(disk), Arc::new(now)).unwrap();
    let (transfer, committed) = incoming.resume(upload.rsplit('/').next().unwrap().parse().unwrap()).unwrap();
    let mut hash = RunningHash::resume(&committed.hash).unwrap();
    let at = usize::try_from(committed.offset).unwrap();
    hash.update(&content[at..=at]);
    let before = before_in_block(committed.offset);
    let mut block = Blocks::new(BLOCK);
    block[before] = content[at];
    transfer.write(&mut block, committed.offset, 1).unwrap();
    transfer.commit(Committed { offset: committed.offset + 1, hash: hash.state() }).unwrap();
}

fn gone(camera: &Camera, upload: &str) {
    assert_eq!(camera.head(upload).status, 410);
    camera.patch(upload, 0, b"x").is_problem(410, "upload-expired");
    camera.request("DELETE", upload, &["Tus-Resumable: 1.0.0"], b"").is_problem(410, "upload-expired");
}

#[test]
fn every_answer_about_an_unfinished_upload_tells_when_it_goes() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 300_000);
    camera.offer(&[recording(1, &content)]);
    let created = camera.try_create(&crate::support::rid(1), content.len());
    let upload = created.headers["location"].clone();
    let month = TimeDelta::days(30);
    let answers = [created, camera.patch(&upload, 0, &content[..1000]), camera.head(&upload)];
    for answer in &answers {
        let off = expires(answer) - month - date(answer);
        assert!(off.abs() < TimeDelta::minutes(2), "{answer:?}");
    }
    let last = camera.patch(&upload, 1000, &content[1000..]);
    assert!(!last.headers.contains_key("upload-expires"), "a recording does not go: {last:?}");
    assert!(!camera.head(&upload).headers.contains_key("upload-expires"));
}

#[test]
fn an_upload_that_came_no_further_for_a_month_is_gone_and_its_recording_may_come_anew() {
    let mut world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let other = world.camera("B4-2", "A. Jones");
    let content = bytes(1, 300_000);
    let [old, newer] = [1, 2].map(|n| camera.upload_of(&recording(n, &content)));
    for upload in [&old, &newer] {
        assert_eq!(camera.patch(upload, 0, &content[..1000]).offset(), 1000);
    }
    world.terminate();
    assert_eq!(world.stopped(), Some(0));
    age(&world, &old, &content, TimeDelta::days(30) + TimeDelta::minutes(1));
    age(&world, &newer, &content, TimeDelta::days(29));
    world.start();
    eventually("it is swept", || world.incoming().len() == 1);
    gone(&camera, &old);
    assert_eq!(other.head(&old).status, 404, "to others there never was one");
    // Also to a server that reads its journal anew.
    world.kill();
    std::fs::remove_dir_all(world.data().join("index")).unwrap();
    world.start();
    gone(&camera, &old);
    let head = camera.head(&newer);
    assert_eq!((head.status, head.offset()), (200, 1001));
    assert!(expires(&head) - date(&head) < TimeDelta::hours(25), "{head:?}");
    let patched = camera.patch(&newer, 1001, &content[1001..2000]);
    assert!(expires(&patched) - date(&patched) > TimeDelta::days(29), "each byte gives it another month: {patched:?}");

    let again = camera.upload_of(&recording(1, &content));
    assert_ne!(again, old);
    for (upload, offset) in [(&again, 0), (&newer, 2000)] {
        let last = camera.patch(upload, offset as u64, &content[offset..]);
        assert!(last.headers.contains_key("longshore-receipt"), "{last:?}");
    }
}

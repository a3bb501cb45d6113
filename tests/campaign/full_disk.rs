//! Disks that are really full: a tmpfs that is made small and large again under the running server. Here writes are
//! short before they fail.

use std::time::{Duration, Instant};

use longshore_model::Sha256;
use serde_json::Value;

use super::rig::{RECOVERY, Rig};
use super::{nap, seed};
use crate::support::{Camera, Reply, Tmpfs, World, bytes, eventually, files_below, recording};

const MIB: usize = 1024 * 1024;
fn is_full(reply: &Reply) {
    reply.is_problem(507, "insufficient-storage");
    assert!(reply.headers["retry-after"].parse::<u64>().unwrap() > 0);
}

#[test]
fn a_full_storage_keeps_what_was_acknowledged_and_goes_on_when_there_is_room() {
    let mut world = World::at_rest();
    let Some(storage) = Tmpfs::mount(&world.storage()) else { return };
    world.start();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 24 * MIB);
    let upload = camera.upload_of(&recording(1, &content));
    assert_eq!(camera.patch(&upload, 0, &content[..MIB + 1]).offset(), MIB as u64 + 1);

    storage.leave(3 * MIB as u64 + 4096 * 5);
    let mut acknowledged = MIB as u64 + 1;
    for _ in 0..3 {
        // Of two writes under way the younger may fail first. Then the answer does not tell why, but to try again.
        eventually("it is told that there is no room", || {
            let rest = &content[usize::try_from(acknowledged).unwrap()..];
            let reply = camera.patch(&upload, acknowledged, rest);
            let offset = camera.offset(&upload);
            assert!(offset >= acknowledged && offset < content.len() as u64, "{offset}");
            acknowledged = offset;
            if reply.status == 503 {
                reply.is_problem(503, "unavailable");
                return false;
            }
            is_full(&reply);
            true
        });
    }
    // A new upload finds no room either, and what is there goes on being told.
    let other = recording(2, &bytes(2, 8 * MIB));
    assert_eq!(camera.offer(std::slice::from_ref(&other))[0]["answer"], "upload");
    storage.leave(0);
    is_full(&camera.try_create(other["rid"].as_str().unwrap(), 8 * MIB));

    storage.make_room();
    let rest = &content[usize::try_from(acknowledged).unwrap()..];
    let done = camera.patch(&upload, acknowledged, rest);
    assert_eq!((done.status, done.offset()), (204, content.len() as u64), "{done:?}");
    let upload = camera.upload_of(&other);
    assert_eq!(camera.patch(&upload, 0, &bytes(2, 8 * MIB)).status, 204);
    let mut stored: Vec<Sha256> = world.stored().into_values().collect();
    stored.sort_unstable();
    let mut sent = vec![Sha256::of(&content), Sha256::of(&bytes(2, 8 * MIB))];
    sent.sort_unstable();
    assert_eq!(stored, sent);
    assert!(world.incoming().is_empty());
}

#[test]
fn a_recording_that_finds_no_room_for_its_manifest_is_placed_when_there_is() {
    let mut world = World::at_rest();
    let Some(storage) = Tmpfs::mount(&world.storage()) else { return };
    world.start();
    let camera = world.camera("B4-1", "J. Smith");
    for n in 1..=4 {
        let content = bytes(n.into(), MIB);
        let upload = camera.upload_of(&recording(n, &content));
        assert_eq!(camera.patch(&upload, 0, &content[..MIB - 1]).offset(), MIB as u64 - 1);
        // The last byte has its page already; the record, the manifest and the folders of a new day have not.
        storage.leave(4096 * u64::from(n - 1));
        let last = camera.patch(&upload, MIB as u64 - 1, &content[MIB - 1..]);
        if last.status == 204 {
            assert!(last.headers.contains_key("longshore-receipt"), "{last:?}");
        } else {
            is_full(&last);
            assert!(!camera.head(&upload).headers.contains_key("longshore-receipt"), "nothing is receipted meanwhile");
        }
        storage.make_room();
        let offer = recording(n, &content);
        stored_in_the_end(&camera, &upload, &offer);
    }
    assert_eq!(world.stored().len(), 4);
    assert!(world.incoming().is_empty());
    assert_eq!(world.recordings().len(), 4);
}

#[test]
fn a_full_journal_refuses_changes_and_takes_them_again_when_there_is_room() {
    // The first start makes the keys, which it does not where a journal is already.
    let mut world = World::new();
    world.kill();
    assert!(files_below(&world.data().join("journal")).is_empty());
    let Some(journal) = Tmpfs::mount(&world.data().join("journal")) else { return };
    world.start();
    let mut refused = Refused::by(&world, &journal);
    assert_eq!(refused.offer().status, 200, "changes are taken again by themselves");
    refused.comes_home(&mut world);
}

#[test]
fn a_full_data_folder_refuses_changes_before_its_index_fails() {
    let mut world = World::at_rest();
    let Some(data) = Tmpfs::mount(&world.data()) else { return };
    let _storage = Tmpfs::mount(&world.storage()).unwrap();
    world.start();
    let mut refused = Refused::by(&world, &data);
    assert_eq!(refused.offer().status, 200, "changes are taken again by themselves");
    refused.comes_home(&mut world);
}

/// A device whose recording is whole on a server that cannot write down that it has it.
struct Refused {
    camera: Camera,
    content: Vec<u8>,
    upload: String,
    offers: u32,
}

impl Refused {
    /// When this returns, `disk` has room again.
    fn by(world: &World, disk: &Tmpfs) -> Self {
        let camera = world.camera("B4-1", "J. Smith");
        let content = bytes(1, 2 * MIB);
        let upload = camera.upload_of(&recording(1, &content));
        assert_eq!(camera.patch(&upload, 0, &content[..MIB]).offset(), MIB as u64);
        let mut refused = Self { camera, content, upload, offers: 1 };
        disk.leave(0);
        // The last page of the journal has room for a few facts more.
        let first = loop {
            let reply = refused.offer();
            if reply.status != 200 {
                break reply;
            }
            assert!(refused.offers < 1000, "the journal takes facts though its disk is full");
        };
        is_full(&first);
        let last = refused.camera.patch(&refused.upload, MIB as u64, &refused.content[MIB..]);
        is_full(&last);
        assert!(!last.headers.contains_key("longshore-receipt"));
        // Long enough for the index to write what it holds, by itself every half second.
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(2) {
            is_full(&refused.offer());
            nap(Duration::from_millis(100));
        }
        disk.make_room();
        refused
    }

    /// Offers a recording that the server has not heard of yet.
    fn offer(&mut self) -> Reply {
        self.offers += 1;
        let items = serde_json::json!({"items": [recording(self.offers, b"x")]});
        self.camera.post_json("/device/v1/offers", &[], &items)
    }

    fn comes_home(&self, world: &mut World) {
        stored_in_the_end(&self.camera, &self.upload, &recording(1, &self.content));
        assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&self.content)]);
        let recordings = world.recordings();
        assert_eq!(recordings.len(), 1);
        world.kill();
        world.start();
        assert_eq!((world.recordings(), world.incoming().len()), (recordings, 0));
    }
}

#[test]
#[ignore = "waits five minutes, as the server asks; cargo xtask campaign full-disk"]
fn an_agent_comes_back_by_itself_when_the_storage_has_room_again() {
    let mut world = World::at_rest();
    let Some(storage) = Tmpfs::mount(&world.storage()) else { return };
    world.start();
    let mut rig = Rig::in_world(world, seed("full-disk"), 8_000_000);
    // Unmounted before the rig's folder is removed.
    let storage = storage;
    for size in [3_000_000, 40_000_000, 3_000_000] {
        rig.card.add(size);
    }
    rig.start_agent();
    eventually("something is stored", || rig.observer.stored_count() > 0);
    storage.leave(5 * MIB as u64);
    eventually("the agent hears that the storage is full", || {
        rig.long_wait().is_some_and(|said| said.contains("The storage is full"))
    });
    println!("{}", rig.long_wait().unwrap());
    let before = rig.durable().unwrap();
    storage.make_room();
    // The server asks for 300 s.
    let took = rig.ends_within(Duration::from_secs(300) + RECOVERY);
    assert!(rig.durable().unwrap() > before);
    println!("it came back and was done after {:.0} s", took.as_secs_f64());
    rig.all_came_home();
}

fn stored_in_the_end(camera: &Camera, upload: &str, offer: &Value) {
    eventually("it is stored", || {
        let _takes_it_up_again = camera.head(upload);
        camera.offer(std::slice::from_ref(offer))[0]["answer"] == "have"
    });
}

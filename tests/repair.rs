//! After a mismatch: only what is wrong comes again.

use std::fs;

use longshore_model::Sha256;
use serde_json::{Value, json};

use crate::support::{Camera, Reply, Share, World, bytes, files_below, offload, recording, rid};

const BLOCK: usize = 8 << 20;

/// Five blocks, the last of which is short.
fn content() -> Vec<u8> {
    bytes(1, 4 * BLOCK + 1_000_003)
}

/// The same with one wrong bit in the third block.
fn damaged() -> Vec<u8> {
    let mut damaged = content();
    damaged[2 * BLOCK + 77] ^= 1;
    damaged
}

fn list(content: &[u8]) -> Value {
    let blocks: Vec<_> = content.chunks(BLOCK).map(|block| Sha256::of(block).to_string()).collect();
    json!({"block_size": BLOCK, "size": content.len(), "sha256": Sha256::of(content).to_string(), "blocks": blocks})
}

fn post_for(camera: &Camera, rid: &str, list: &Value) -> Reply {
    camera.post_json(&format!("/device/v1/recordings/{rid}/blocks"), &[], list)
}

/// Sends wrong bytes once.
fn mismatched(camera: &Camera) -> String {
    let upload = camera.upload_of(&recording(1, &content()));
    camera.patch(&upload, 0, &damaged()).is_problem(422, "checksum-mismatch");
    assert_eq!(camera.head(&upload).status, 404);
    upload
}

/// Repairs it: where it goes on.
fn repaired(camera: &Camera) -> (String, u64) {
    let answer = post_for(camera, &rid(1), &list(&content())).json(200);
    (answer["url"].as_str().unwrap().to_owned(), answer["offset"].as_u64().unwrap())
}

fn completes(world: &World, camera: &Camera, upload: &str, offset: u64) {
    let done = camera.patch(upload, offset, &content()[usize::try_from(offset).unwrap()..]);
    assert!(done.status == 204 && done.headers.contains_key("longshore-receipt"), "{done:?}");
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&content())]);
    assert!(world.incoming().is_empty());
}

#[test]
fn a_flipped_bit_costs_the_blocks_from_it_on_and_no_more() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    mismatched(&camera);
    let (upload, offset) = repaired(&camera);
    assert_eq!(offset, 2 * BLOCK as u64);
    // The answer may be lost, and the device restarted.
    assert_eq!(repaired(&camera), (upload.clone(), offset));
    let answer = &camera.offer(&[recording(1, &content())])[0];
    assert_eq!(
        (&answer["answer"], &answer["url"], &answer["offset"]),
        (&json!("resume"), &json!(upload), &json!(offset))
    );
    completes(&world, &camera, &upload, offset);
    post_for(&camera, &rid(1), &list(&content())).is_problem(409, "already-stored");
}

#[test]
fn a_restart_before_or_after_a_repair_loses_neither_the_chance_nor_what_is_good() {
    let mut world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let upload = mismatched(&camera);
    world.kill();
    world.start();
    assert_eq!(camera.head(&upload).status, 404, "it is still no upload");
    let (upload, offset) = repaired(&camera);
    assert_eq!(offset, 2 * BLOCK as u64);
    world.kill();
    world.start();
    assert_eq!(camera.offset(&upload), offset);
    completes(&world, &camera, &upload, offset);
}

#[test]
fn an_agent_whose_card_reads_wrong_once_sends_again_only_from_there_on() {
    let world = World::new();
    let Some(card) = Share::with_links() else { return };
    let (state, log) = (world.path().join("state"), world.path().join("agent.log"));
    fs::create_dir(card.below().join("EVENT")).unwrap();
    fs::write(card.below().join("EVENT/a.ts"), content()).unwrap();
    world.enrol_agent(&state, "USB-1", "Unit 12");
    // The first reading is for the checksum, the second for the server.
    card.read_wrong(2 * BLOCK as u64 + 77, 2);
    assert!(offload(&card.point(), &state, &log).ends().success(), "{}", fs::read_to_string(&log).unwrap());
    assert!(!card.below().join("EVENT/a.ts").exists());
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&content())]);
    // It was one upload, which went on after the good blocks.
    let facts = files_below(&world.data().join("journal")).into_iter().map(|path| fs::read_to_string(path).unwrap());
    let facts = facts.collect::<String>();
    let of_kind = |kind: &str| facts.lines().find(|fact| fact.contains(&format!("\"kind\":\"{kind}\""))).unwrap();
    let mismatched: Value = serde_json::from_str(of_kind("mismatched")).unwrap();
    assert!(of_kind("stored").contains(mismatched["body"]["upload"].as_str().unwrap()));
    assert!(world.log().contains(&format!("offset={}", 2 * BLOCK)), "{}", world.log());
}

#[test]
fn right_bytes_whose_checksum_was_declared_wrong_need_not_come_again() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let (content, mut item) = (content(), recording(1, &content()));
    item["sha256"] = json!(Sha256::of(b"wrong").to_string());
    let upload = camera.upload_of(&item);
    camera.patch(&upload, 0, &content).is_problem(422, "checksum-mismatch");

    // It says that of the whole again which it said before, and its blocks are right.
    let mut wrong = list(&content);
    wrong["sha256"] = item["sha256"].clone();
    let problem = post_for(&camera, &rid(1), &wrong).is_problem(422, "checksum-mismatch");
    let found = Sha256::of(&content).to_string();
    assert!(problem["detail"].as_str().unwrap().contains(&found), "{problem}");

    camera.offer(&[recording(1, &content)]);
    let (upload, offset) = repaired(&camera);
    assert_eq!(offset, content.len() as u64);
    let head = camera.head(&upload);
    assert!(head.offset() == offset && head.headers.contains_key("longshore-receipt"), "{head:?}");
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&content)]);
}

#[test]
fn another_devices_recording_is_not_repaired() {
    let world = World::new();
    let (camera, other) = (world.camera("B4-1", "J. Smith"), world.camera("B4-2", "A. Jones"));
    mismatched(&camera);
    let list = list(&content());
    post_for(&other, &rid(1), &list).is_problem(404, "upload-not-found");
    // Not even if it declares the same; nothing of its own is there.
    other.offer(&[recording(1, &content())]);
    post_for(&other, &rid(1), &list).is_problem(404, "upload-not-found");
    assert_eq!(repaired(&camera).1, 2 * BLOCK as u64);
}

#[test]
fn a_list_that_is_not_of_the_recording_is_refused_and_changes_nothing() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    mismatched(&camera);
    let good = list(&content());
    let with = |member: &str, value: Value| {
        let mut list = good.clone();
        list[member] = value;
        list
    };
    let sum = json!(Sha256::of(b"x").to_string());
    let blocks = |n: usize| json!(vec![sum.clone(); n]);
    let post = |list: &Value| post_for(&camera, &rid(1), list);
    for list in [with("blocks", blocks(4)), with("blocks", blocks(6)), with("size", json!(4 * BLOCK)), json!({})] {
        post(&list).is_problem(400, "malformed-request");
    }
    post(&with("block_size", json!(4096))).is_problem(400, "malformed-request");
    post(&with("size", json!(content().len() + 1))).is_problem(409, "size-differs-from-offer");
    post(&with("sha256", sum.clone())).is_problem(422, "checksum-mismatch");
    post(&with("blocks", blocks(15_001))).is_problem(413, "too-large");
    post(&with("blocks", blocks(16_000))).is_problem(413, "too-large");
    post_for(&camera, &rid(2), &good).is_problem(404, "upload-not-found");
    post_for(&camera, "nonsense", &good).is_problem(404, "upload-not-found");
    assert_eq!(repaired(&camera).1, 2 * BLOCK as u64);
}

#[test]
fn who_does_not_repair_begins_anew_and_leaves_nothing_behind() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    mismatched(&camera);
    let upload = camera.upload_of(&recording(1, &content()));
    assert_eq!(world.incoming().len(), 1);
    assert_eq!(repaired(&camera), (upload.clone(), 0), "that is the upload of it now");
    completes(&world, &camera, &upload, 0);
}

#[test]
fn a_recording_that_has_to_wait_is_not_repaired_either() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 1000);
    for _ in 0..3 {
        let upload = camera.upload_of(&recording(1, &content));
        camera.patch(&upload, 0, &bytes(2, 1000)).is_problem(422, "checksum-mismatch");
    }
    post_for(&camera, &rid(1), &list(&content)).is_problem(409, "conflict");
}

//! Room on the storage: kept free, promised, lacking.

use crate::support::{Client, Tmpfs, World, bytes, recording, rid};

#[test]
fn below_the_floor_nothing_new_begins_and_what_has_begun_ends() {
    let mut world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 300_000);
    let begun = camera.upload_of(&recording(1, &content));
    assert_eq!(camera.patch(&begun, 0, &content[..1000]).offset(), 1000);

    world.kill();
    world.floor = "16000 TiB".to_owned();
    world.start();
    camera.offer(&[recording(2, &content)]);
    let refused = camera.try_create(&rid(2), content.len());
    let problem = refused.is_problem(507, "insufficient-storage");
    assert_eq!((problem["needed"].as_u64(), problem["available"].as_u64()), (Some(300_000), Some(0)), "{problem}");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(world.incoming().len(), 1, "nothing is left of the refused one");
    assert!(camera.patch(&begun, 1000, &content[1000..]).headers.contains_key("longshore-receipt"));

    world.kill();
    world.floor = "0".to_owned();
    world.start();
    let upload = camera.upload_of(&recording(2, &content));
    assert_eq!(camera.patch(&upload, 0, &content).status, 204);
    assert_eq!(world.stored().len(), 2);
}

#[test]
fn the_last_room_is_for_events() {
    const MIB: usize = 1024 * 1024;
    let mut world = World::at_rest();
    let Some(storage) = Tmpfs::mount(&world.storage()) else { return };
    world.floor = "10 MiB".to_owned();
    world.start();
    let client = Client::of(&world, "W-1");
    storage.leave(25 * MIB as u64);
    let create = |kind: &str| client.create(8 * MIB, &[("kind", kind)]);
    let problem = create("continuous").is_problem(507, "insufficient-storage");
    assert!(problem["available"].as_u64().unwrap() <= 5 * MIB as u64, "{problem}");
    // Nor does it get there when it does not say how long it is.
    let open_ended = client.create_with(&["Upload-Defer-Length: 1"], &[("kind", "continuous")]);
    let upload = open_ended.headers["location"].clone();
    let problem = client.patch(&upload, 0, &bytes(1, 8 * MIB)).is_problem(507, "insufficient-storage");
    assert!(problem["offset"].as_u64().unwrap() <= 5 * MIB as u64, "{problem}");
    let length = format!("Upload-Length: {}", 8 * MIB);
    client.patch_with(&upload, client.head(&upload).offset(), &[&length], b"").is_problem(507, "insufficient-storage");
    assert_eq!(create("event").status, 201);
}

#[test]
fn room_that_is_promised_to_an_upload_is_not_given_to_another() {
    const MIB: usize = 1024 * 1024;
    let mut world = World::at_rest();
    // A disk of its own: nobody else takes room from it or gives some back.
    let Some(storage) = Tmpfs::mount(&world.storage()) else { return };
    world.start();
    let camera = world.camera("B4-1", "J. Smith");
    storage.leave(20 * MIB as u64);
    let length = 15 * MIB;
    let large = |n: u32| {
        let mut item = recording(n, b"");
        item["size"] = length.into();
        item.as_object_mut().unwrap().remove("sha256");
        item
    };
    camera.offer(&[large(1), large(2)]);
    assert_eq!(camera.try_create(&rid(1), length).status, 201);
    let problem = camera.try_create(&rid(2), length).is_problem(507, "insufficient-storage");
    assert!(problem["available"].as_u64().unwrap() <= 5 * MIB as u64, "{problem}");
}

#[test]
fn an_upload_of_unknown_length_takes_what_room_there_is_and_no_more() {
    const MIB: usize = 1024 * 1024;
    let mut world = World::at_rest();
    let Some(storage) = Tmpfs::mount(&world.storage()) else { return };
    world.floor = "10 MiB".to_owned();
    world.start();
    let client = Client::of(&world, "W-1");
    storage.leave(30 * MIB as u64);
    let content = bytes(1, 40 * MIB);
    let upload = client.create_with(&["Upload-Defer-Length: 1"], &[]).headers["location"].clone();
    let refused = client.patch(&upload, 0, &content);
    let problem = refused.is_problem(507, "insufficient-storage");
    let kept = problem["offset"].as_u64().unwrap();
    assert!(kept >= 8 * MIB as u64 && kept <= 20 * MIB as u64, "{problem}");
    assert_eq!(client.head(&upload).offset(), kept);
    // What it announces has to have room, too.
    let length = format!("Upload-Length: {}", content.len());
    let refused = client.patch_with(&upload, kept, &[&length], b"");
    assert_eq!(refused.is_problem(507, "insufficient-storage")["needed"], content.len() as u64 - kept);
    assert_eq!(client.head(&upload).headers["upload-defer-length"], "1");
    let length = format!("Upload-Length: {kept}");
    assert!(client.patch_with(&upload, kept, &[&length], b"").headers.contains_key("longshore-receipt"));
}

//! Room on the storage: kept free, promised, lacking.

use std::fs;

use crate::support::{World, bytes, recording, rid};

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
fn room_that_is_promised_to_an_upload_is_not_given_to_another() {
    let mut world = World::new();
    world.kill();
    let free = free(&world);
    // About 2 GiB above the floor; others may use the disk meanwhile.
    let gib = 1 << 30;
    if free < 8 * gib {
        return println!("skipped: {free} bytes are free here, too few to tell");
    }
    world.floor = (free - 2 * gib).to_string();
    world.start();
    let camera = world.camera("B4-1", "J. Smith");
    let large = |n: u32| {
        let mut item = recording(n, b"");
        item["size"] = (gib + gib / 2).into();
        item.as_object_mut().unwrap().remove("sha256");
        item
    };
    camera.offer(&[large(1), large(2)]);
    let length = usize::try_from(gib + gib / 2).unwrap();
    assert_eq!(camera.try_create(&rid(1), length).status, 201);
    let problem = camera.try_create(&rid(2), length).is_problem(507, "insufficient-storage");
    assert!(problem["available"].as_u64().unwrap() < gib, "{problem}");
}

fn free(world: &World) -> u64 {
    let stat = rustix::fs::statvfs(fs::canonicalize(world.storage()).unwrap()).unwrap();
    stat.f_bavail * stat.f_frsize
}

//! From the offer to the receipt.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use longshore_model::{Jwks, ReceiptVerifier, Sha256};
use serde_json::json;

use crate::support::{World, bytes, recording, rid};

#[test]
fn a_recording_arrives_under_a_readable_name_with_a_receipt_that_says_so() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 3_000_000);
    let item = recording(1, &content);
    let upload = camera.upload_of(&item);
    let done = camera.patch(&upload, 0, &content);
    assert_eq!((done.status, done.offset()), (204, 3_000_000));

    let desired = camera.request("GET", "/device/v1/desired", &[], b"");
    let jwks: Jwks = serde_json::from_value(desired.json(200)["server"]["receipt_keys"].clone()).unwrap();
    let claims = ReceiptVerifier::new(&jwks).unwrap().verify(&done.headers["longshore-receipt"]).unwrap();
    assert_eq!((claims.sha256, claims.size), (Sha256::of(&content), 3_000_000));
    assert_eq!(claims.rid.to_string(), rid(1));
    assert!(claims.attested);

    let name = "J. Smith/2026-11-20/2026-11-20 14-00-01 front event.mp4";
    assert_eq!(world.stored(), [(name.to_owned(), Sha256::of(&content))].into());
    let manifest = std::fs::read_to_string(world.storage().join(format!("{name}.json"))).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["receipt"], done.headers["longshore-receipt"]);
    assert!(world.incoming().is_empty());

    // What was lost on the way back is found again: by HEAD, by another PATCH, by another offer.
    let head = camera.head(&upload);
    assert_eq!(head.headers["upload-metadata"], format!("rid {}", STANDARD.encode(rid(1))));
    assert_eq!((head.offset(), &head.headers["longshore-receipt"]), (3_000_000, &done.headers["longshore-receipt"]));
    assert_eq!(camera.patch(&upload, 3_000_000, b"").headers["longshore-receipt"], done.headers["longshore-receipt"]);
    let answer = &camera.offer(&[item])[0];
    assert_eq!((&answer["answer"], &answer["receipt"]), (&json!("have"), &manifest["receipt"]));
    camera.try_create(&rid(1), 3_000_000).is_problem(409, "already-stored");
}

#[test]
fn the_server_orders_events_oldest_first_and_leaves_the_rest_on_the_device() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let mut items: Vec<_> = [5, 3, 9, 1].map(|n| recording(n, &bytes(u64::from(n), 10))).into();
    items.push(json!({"rid": rid(77), "kind": "continuous", "start": "2026-11-20T10:00:00Z", "size": 5}));
    let answers = camera.offer(&items);
    let priorities: Vec<_> = answers.iter().map(|answer| answer["priority"].as_u64()).collect();
    assert_eq!(priorities, [Some(3), Some(2), Some(4), Some(1), None]);
    assert_eq!(answers[4]["reason"], "not_requested");
    camera.try_create(&rid(77), 5).is_problem(409, "conflict");
}

#[test]
fn an_upload_that_is_made_again_is_the_same_one() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 100_000);
    let upload = camera.upload_of(&recording(1, &content));
    assert_eq!(camera.patch(&upload, 0, &content[..40_000]).offset(), 40_000);
    let again = camera.try_create(&rid(1), content.len());
    assert_eq!((again.status, &again.headers["location"], again.offset()), (201, &upload, 40_000));
    let answer = &camera.offer(&[recording(1, &content)])[0];
    assert_eq!(
        (&answer["answer"], &answer["url"], &answer["offset"]),
        (&json!("resume"), &json!(upload), &json!(40_000))
    );
}

#[test]
fn a_changed_file_begins_anew_and_is_never_spliced() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let (old, new) = (bytes(1, 100_000), bytes(2, 100_000));
    let upload = camera.upload_of(&recording(1, &old));
    camera.patch(&upload, 0, &old[..40_000]);
    for changed in [recording(1, &new), recording(1, &new[1..])] {
        assert_eq!(camera.offer(&[changed])[0]["answer"], "upload");
        camera.patch(&upload, 40_000, &new[40_000..]).is_problem(412, "source-changed");
        assert_eq!(camera.head(&upload).status, 412);
    }
    // It was a mistake, and what came of it is still there.
    assert_eq!(camera.offer(&[recording(1, &old)])[0]["url"], json!(upload));
    assert_eq!(camera.offset(&upload), 40_000);
    let second = camera.upload_of(&recording(1, &new));
    assert_ne!(second, upload);
    assert_eq!(camera.head(&upload).status, 404);
    assert_eq!(camera.patch(&second, 0, &new).status, 204);
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&new)]);
}

#[test]
fn a_file_that_fails_its_checksum_three_times_has_to_wait_whatever_its_checksum_is_next() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    for n in 0..3 {
        // A failing card reads differently each time.
        let upload = camera.upload_of(&recording(1, &bytes(n, 1000)));
        camera.patch(&upload, 0, &bytes(99, 1000)).is_problem(422, "checksum-mismatch");
    }
    let answer = &camera.offer(&[recording(1, &bytes(3, 1000))])[0];
    assert_eq!((&answer["answer"], &answer["reason"]), (&json!("later"), &json!("checksum_mismatch")));
    assert!(answer["not_before"].is_string());
    camera.try_create(&rid(1), 1000).is_problem(409, "conflict");
}

#[test]
fn a_checksum_that_is_declared_late_is_compared_all_the_same() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 100_000);
    let mut item = recording(1, &content);
    item.as_object_mut().unwrap().remove("sha256");
    let upload = camera.upload_of(&item);
    camera.patch(&upload, 0, &content[..50_000]);
    let answer = &camera.offer(&[recording(1, &bytes(2, 100_000))])[0];
    assert_eq!(answer["url"], json!(upload), "the upload goes on");
    camera.patch(&upload, 50_000, &content[50_000..]).is_problem(422, "checksum-mismatch");
    assert!(world.stored().is_empty());
}

#[test]
fn an_empty_file_needs_no_bytes() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    camera.offer(&[recording(1, b"")]);
    let created = camera.try_create(&rid(1), 0);
    assert_eq!((created.status, created.offset()), (201, 0));
    assert!(created.headers.contains_key("longshore-receipt"));
    assert_eq!(world.stored().len(), 1);
}

#[test]
fn a_recording_without_a_declared_checksum_gets_the_servers_own_marked_as_such() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 5000);
    let mut item = recording(1, &content);
    item.as_object_mut().unwrap().remove("sha256");
    let upload = camera.upload_of(&item);
    assert_eq!(camera.patch(&upload, 0, &content).status, 204);
    let listed = &world.recordings()[0];
    assert_eq!((&listed["attested"], &listed["sha256"]), (&json!(false), &json!(Sha256::of(&content).to_string())));
    assert_eq!(camera.offer(&[item])[0]["answer"], "rehash");
}

#[test]
fn bytes_that_differ_from_the_declared_checksum_are_refused_and_may_come_again() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 2_000_000);
    let item = recording(1, &content);
    let upload = camera.upload_of(&item);
    let mut damaged = content.clone();
    damaged[1_500_000] ^= 1;
    camera.patch(&upload, 0, &damaged).is_problem(422, "checksum-mismatch");
    assert!(world.stored().is_empty());
    assert_eq!(camera.head(&upload).status, 404);
    let upload = camera.upload_of(&item);
    assert_eq!(camera.patch(&upload, 0, &content).status, 204);
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&content)]);
}

#[test]
fn another_content_under_the_id_of_a_stored_one_is_kept_beside_it_and_told_of() {
    let mut world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let contents = [bytes(1, 1000), bytes(2, 1000)];
    let [first, second] = [0, 1].map(|n: usize| recording(1, &contents[n]));
    let upload = camera.upload_of(&first);
    let receipt = camera.patch(&upload, 0, &contents[0]).headers["longshore-receipt"].clone();

    let mut answers = vec![];
    for _ in 0..2 {
        answers.push(camera.offer(std::slice::from_ref(&second))[0].clone());
    }
    assert!(answers.iter().all(|answer| answer["answer"] == "conflict" && answer["priority"] == 1), "{answers:?}");
    let upload = camera.try_create(&rid(1), 1000).headers["location"].clone();
    let other = camera.patch(&upload, 0, &contents[1]).headers["longshore-receipt"].clone();

    // Both are there, each with its receipt, and the first as it was; also to a server that has to learn it anew.
    let sums: BTreeSet<_> = contents.iter().map(|content| Sha256::of(content)).collect();
    let stands = |world: &World| {
        assert_eq!(world.stored().into_values().collect::<BTreeSet<_>>(), sums);
        let revisions: BTreeSet<_> = world.recordings().iter().map(|row| row["revision"].as_u64().unwrap()).collect();
        assert_eq!(revisions, [1, 2].into());
        for (item, receipt) in [(&first, &receipt), (&second, &other)] {
            assert_eq!(camera.offer(std::slice::from_ref(item))[0]["receipt"], json!(receipt));
        }
        camera.try_create(&rid(1), 1000).is_problem(409, "already-stored");
        assert!(world.cli(&["verify", "store"]).status.success());
    };
    stands(&world);
    world.terminate();
    world.stopped();
    assert!(world.cli(&["catalogue", "rebuild", "--from-manifests"]).status.success());
    world.start();
    stands(&world);

    // Told once for each time that it was new.
    let told = "a device offers another content under the id of a stored recording";
    assert_eq!(world.log().matches(told).count(), 1, "{}", world.log());
    let history = world.cli(&["device", "history", "B4-1"]);
    assert!(String::from_utf8_lossy(&history.stdout).contains("OFFERED ANOTHER CONTENT"), "{history:?}");
}

#[test]
fn deletions_are_recorded_once_and_only_on_a_receipt_of_the_devices_own() {
    let world = World::new();
    let (camera, other) = (world.camera("B4-1", "J. Smith"), world.camera("B4-2", "A. Jones"));
    let content = bytes(1, 1000);
    let upload = camera.upload_of(&recording(1, &content));
    let receipt = camera.patch(&upload, 0, &content).headers["longshore-receipt"].clone();
    let report = |receipt: &str| json!({"items": [{"receipt": receipt, "deleted_at": "2026-11-21T10:00:00Z"}]});

    let stolen = other.post_json("/device/v1/deletions", &[], &report(&receipt)).json(200);
    assert_eq!((&stolen["recorded"], &stolen["refused"][0]["index"]), (&json!([]), &json!(0)));
    let forged = camera.post_json("/device/v1/deletions", &[], &report(&receipt.replace('a', "b"))).json(200);
    assert_eq!(forged["recorded"], json!([]));
    assert!(world.recordings()[0].get("deleted_on_device_at").is_none());

    for _ in 0..2 {
        let told = camera.post_json("/device/v1/deletions", &[], &report(&receipt)).json(200);
        assert_eq!(told["recorded"], json!([rid(1)]));
    }
    assert_eq!(world.recordings()[0]["deleted_on_device_at"], "2026-11-21T10:00:00Z");
    let journal = crate::support::files_below(&world.data().join("journal"));
    let facts = std::fs::read_to_string(&journal[0]).unwrap();
    assert_eq!(facts.matches("\"kind\":\"deleted\"").count(), 1);
}

#[test]
fn a_recording_of_a_camera_whose_clock_was_never_set_is_named_by_its_arrival() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 10);
    let mut item = recording(1, &content);
    item["start"] = json!("1970-01-01T00:00:07Z");
    let upload = camera.upload_of(&item);
    camera.patch(&upload, 0, &content);
    let name = world.stored().into_keys().next().unwrap();
    assert!(name.ends_with("clock-unset.mp4") && !name.contains("1970"), "{name}");
}

//! A device that is lost, found, reset, or done with.

use serde_json::json;

use crate::support::{Camera, World, bytes, recording, rid};

#[test]
fn a_suspended_device_hands_over_what_it_holds_and_gets_its_receipts_when_it_is_activated() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let before = bytes(1, 5000);
    let first = camera.upload_of(&recording(1, &before));
    assert!(camera.patch(&first, 0, &before).headers.contains_key("longshore-receipt"));

    let second = camera.upload_of(&recording(2, &bytes(2, 9000)));
    let mut patch = camera.begin_patch(&second, 0, 9000);
    patch.send(&bytes(2, 9000)[..4000]).unwrap();
    patch.arrived();
    assert_eq!(world.cli_json(&["device", "suspend", "B4-1"])["state"], "suspended");
    // It counts for the request that is under way, too.
    patch.send(&bytes(2, 9000)[4000..]).unwrap();
    let done = patch.reply("PATCH");
    assert_eq!((done.status, done.offset()), (204, 9000));
    assert!(!done.headers.contains_key("longshore-receipt"));
    let (head, again) = (camera.head(&second), camera.patch(&second, 9000, b""));
    assert!([&head, &again, &camera.head(&first)].iter().all(|reply| !reply.headers.contains_key("longshore-receipt")));
    assert!(!head.headers.contains_key("longshore-desired"));

    let items = [recording(1, &before), recording(2, &bytes(2, 9000)), recording(3, &bytes(3, 100))];
    let answers = camera.offer(&items);
    assert_eq!((&answers[0]["answer"], &answers[0]["reason"]), (&json!("later"), &json!("held")));
    assert_eq!((&answers[1]["answer"], &answers[1]["reason"]), (&json!("later"), &json!("held")));
    assert_eq!(answers[2]["answer"], "upload");
    camera.request("GET", "/device/v1/desired", &[], b"").is_problem(403, "device-suspended");
    camera.post_json("/device/v1/deletions", &[], &json!({"items": []})).is_problem(403, "device-suspended");

    assert_eq!(world.cli_json(&["device", "activate", "B4-1"])["state"], "active");
    let answers = camera.offer(&items[..2]);
    assert!(answers.iter().all(|answer| answer["answer"] == "have"), "{answers:?}");
    assert!(camera.head(&second).headers.contains_key("longshore-receipt"));
    let rows = world.recordings();
    let held: Vec<_> = rows.iter().map(|row| (row["rid"].clone(), row["held"] == true)).collect();
    assert_eq!(held, [(json!(rid(1)), false), (json!(rid(2)), true)]);
}

#[test]
fn a_retired_device_is_refused_at_once_and_what_it_has_open_ends() {
    let mut world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let other = world.camera("B4-2", "A. Jones");
    let content = bytes(1, 5000);
    let upload = camera.upload_of(&recording(1, &content));
    let mut patch = camera.begin_patch(&upload, 0, 5000);
    patch.send(&content[..3000]).unwrap();
    patch.arrived();
    assert_eq!(world.cli_json(&["device", "retire", "B4-1"])["state"], "retired");
    patch.reply("PATCH").is_problem(503, "unavailable");
    for reply in [camera.patch(&upload, 3000, &content[3000..]), camera.post_json("/device/v1/offers", &[], &json!({}))]
    {
        reply.is_problem(403, "device-retired");
    }
    assert_eq!(camera.head(&upload).status, 403);
    assert!(other.offer(&[]).is_empty());

    let refused = world.cli(&["device", "activate", "B4-1"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("enrol it anew"));
    let refused = world.cli(&["device", "suspend", "B9"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no device with the serial B9"));

    // It stays so, also by what the journal alone tells.
    world.kill();
    std::fs::remove_dir_all(world.data().join("index")).unwrap();
    world.start();
    camera.post_json("/device/v1/offers", &[], &json!({})).is_problem(403, "device-retired");

    // Its serial may begin anew, as another device; and so may the camera, with the key that it has for life.
    let again = world.camera("B4-1", "J. Smith");
    assert!(again.offer(&[]).is_empty());
    camera.post_json("/device/v1/offers", &[], &json!({})).is_problem(403, "device-retired");
    let mut camera = camera;
    let asked = camera.ask_to_be_known(&world.enrolment_text("B4-7")).json(202);
    world.approve("B4-7", "J. Smith");
    camera.fetch_certificate(asked["id"].as_str().unwrap());
    assert!(camera.offer(&[]).is_empty());
}

#[test]
fn a_known_serial_with_a_new_key_waits_for_the_admin_and_the_old_key_works_until_then() {
    let world = World::new();
    let old = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 5000);
    let upload = old.upload_of(&recording(1, &content));
    assert_eq!(old.patch(&upload, 0, &content[..2000]).offset(), 2000);

    let mut new = Camera::new(&world);
    let asked = new.ask_to_be_known(&world.enrolment_text("B4-1")).json(202);
    let waiting = world.cli_json(&["device", "list"])[0].clone();
    assert_eq!((&waiting["state"], &waiting["re_enrols"]), (&json!("pending"), &json!(true)));
    assert_eq!(old.offset(&upload), 2000);
    let refused = world.cli(&["device", "approve", "B4-1", "--assignee", "Mallory"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("--re-enrol") && said.contains(asked["code"].as_str().unwrap()), "{said}");

    let approved = world.cli_json(&["device", "approve", "B4-1", "--re-enrol"]);
    assert_eq!((&approved["assignee"], &approved["state"]), (&json!("J. Smith"), &json!("active")));
    new.fetch_certificate(asked["id"].as_str().unwrap());
    old.post_json("/device/v1/offers", &[], &json!({})).is_problem(403, "unknown-device");
    // The same device: what its old key began goes on.
    assert_eq!(new.offset(&upload), 2000);
    assert!(new.patch(&upload, 2000, &content[2000..]).headers.contains_key("longshore-receipt"));
    assert_eq!(world.stored().len(), 1);
}

#[test]
fn where_several_wait_under_one_serial_the_code_decides_and_the_others_end() {
    let world = World::new();
    let (mut one, two) = (Camera::new(&world), Camera::new(&world));
    let asked = one.ask_to_be_known(&world.enrolment_text("B4-1")).json(202);
    let other = two.ask_to_be_known(&world.enrolment_text("B4-1")).json(202);
    let refused = world.cli(&["device", "approve", "B4-1", "--assignee", "J. Smith"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("--code") && said.contains(other["code"].as_str().unwrap()), "{said}");
    let wrong = world.cli(&["device", "approve", "B4-1", "--assignee", "J. Smith", "--code", "????"]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("shows the code ????"));

    let code = asked["code"].as_str().unwrap();
    world.cli_json(&["device", "approve", "B4-1", "--assignee", "J. Smith", "--code", code]);
    one.fetch_certificate(asked["id"].as_str().unwrap());
    assert!(one.offer(&[]).is_empty());
    // The other cannot be approved in its place later, by whoever repeats the command.
    let again = world.cli(&["device", "approve", "B4-1", "--re-enrol"]);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(world.cli_json(&["device", "list"]).as_array().unwrap().len(), 1);
    two.post_json("/device/v1/offers", &[], &json!({})).is_problem(403, "unknown-device");
    let path = format!("/device/v1/enrolments/{}", other["id"].as_str().unwrap());
    two.request("GET", &path, &[], b"").is_problem(403, "token-refused");
    assert!(one.offer(&[]).is_empty());
}

#[test]
fn a_devices_history_tells_what_happened_and_who_did_it_and_outlives_the_index() {
    let mut world = World::new();
    // A serial that would be another path, and one that begins like it.
    let serial = "B4/1 ?&%";
    let camera = world.camera(serial, "J. Smith");
    world.camera("B4", "A. Jones").offer(&[]);
    let content = bytes(1, 3000);
    let upload = camera.upload_of(&recording(1, &content));
    camera.patch(&upload, 0, &content[..1000]);
    world.cli_json(&["device", "suspend", serial]);
    camera.patch(&upload, 1000, &content[1000..]);
    world.cli_json(&["device", "activate", serial]);
    let half = camera.upload_of(&recording(2, &content));
    camera.patch(&half, 0, &content[..1500]);

    let shown = world.cli_json(&["device", "show", serial]);
    let counts = &shown["recordings"];
    assert_eq!((&shown["state"], &shown["assignee"]), (&json!("active"), &json!("J. Smith")));
    assert_eq!((&counts["declared"], &counts["stored"], &counts["held"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!((&shown["unfinished"][0]["offset"], &shown["unfinished"][0]["length"]), (&json!(1500), &json!(3000)));
    let said = String::from_utf8(world.cli(&["device", "show", serial]).stdout).unwrap();
    assert!(said.contains("50 %") && said.contains("J. Smith"), "{said}");

    let history = world.cli_json(&["device", "history", serial]);
    let lines: Vec<_> = history.as_array().unwrap().iter().map(|line| line["what"].as_str().unwrap()).collect();
    assert_eq!(lines, ["token_issued", "asked", "approved", "first_call", "suspended", "reinstated"]);
    assert!(history[4]["by"].as_str().unwrap().starts_with("uid "), "{history}");
    let said = String::from_utf8(world.cli(&["device", "history", serial]).stdout).unwrap();
    assert!(said.contains("put back in service") && said.contains("approved for J. Smith"), "{said}");
    for command in ["show", "history"] {
        let refused = world.cli(&["device", command, "B9"]);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("no device with the serial B9"));
    }

    world.kill();
    std::fs::remove_dir_all(world.data().join("index")).unwrap();
    world.start();
    assert_eq!(world.cli_json(&["device", "history", serial]), history);
}

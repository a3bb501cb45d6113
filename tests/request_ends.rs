//! What ends a request for footage, and what does not: nobody is told that nothing was recorded while something may come.

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{Clock as _, Sha256, SystemClock};
use serde_json::{Value, json};

use crate::support::{Camera, World, bytes, eventually, rid};

fn minutes_ago(n: i64) -> DateTime<Utc> {
    SystemClock.now() - TimeDelta::minutes(n)
}

fn ask(world: &World) -> Value {
    let (from, to) = (minutes_ago(60).to_rfc3339(), minutes_ago(50).to_rfc3339());
    world.cli_json(&["request", "add", "--device", "B4-1", "--from", &from, "--to", &to])
}

fn target(world: &World, request: &Value) -> Value {
    world.cli_json(&["request", "show", request["id"].as_str().unwrap()])["targets"][0].clone()
}

/// Reports this of the request, and returns how it stands then.
fn say(world: &World, camera: &Camera, request: &Value, state: &str, more: &Value) -> Value {
    let mut body = json!({"requests": [{"id": request["id"], "state": state}]});
    body.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
    let json = "Content-Type: application/json";
    let reply = camera.request("PUT", "/device/v1/reported", &[json], body.to_string().as_bytes());
    assert_eq!(reply.status, 204, "{}", String::from_utf8_lossy(&reply.body));
    target(world, request)
}

fn tag(camera: &Camera) -> Value {
    camera.request("GET", "/device/v1/desired", &[], b"").headers["etag"].as_str().into()
}

fn clock_behind() -> Value {
    let wall = SystemClock.now() - TimeDelta::hours(4);
    json!({"wall": wall.to_rfc3339(), "uptime_ms": 10_800_000, "boot": "b", "synced": false})
}

#[test]
fn a_device_that_went_by_a_wrong_time_ends_nothing() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let request = ask(&world);
    let asked_wrongly = tag(&camera);

    // Only now it says what its clock shows.
    let said = say(&world, &camera, &request, "nothing", &json!({"desired": asked_wrongly, "clock": clock_behind()}));
    assert_eq!(said["state"], "handed_over", "{said}");
    let asked_rightly = tag(&camera);
    assert_ne!(asked_rightly, asked_wrongly);
    let said = say(&world, &camera, &request, "nothing", &json!({"desired": asked_rightly}));
    assert_eq!(said["state"], "nothing", "{said}");
}

#[test]
fn a_word_that_was_given_by_a_wrong_clock_ends_nothing_later() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 5000);
    let item = json!({
        "rid": rid(1), "kind": "continuous", "size": content.len(), "sha256": Sha256::of(&content).to_string(),
        "start": minutes_ago(61).to_rfc3339(), "end": minutes_ago(49).to_rfc3339(),
    });
    camera.post_json("/device/v1/offers", &[], &json!({"items": [item]})).json(200);
    let request = ask(&world);
    tag(&camera);
    eventually("it is handed over", || target(&world, &request)["state"] == "handed_over");
    let said = say(&world, &camera, &request, "nothing", &json!({}));
    assert!(said["why"].as_str().unwrap().contains("does not find what it offered"), "{said}");
    // What it offered lies elsewhere, and so does what it was asked for.
    let empty = json!({"requests": [], "clock": clock_behind()});
    let json = "Content-Type: application/json";
    assert_eq!(camera.request("PUT", "/device/v1/reported", &[json], empty.to_string().as_bytes()).status, 204);
    // Another request lets the server look at all of this device.
    world.cli_json(&[
        "request",
        "add",
        "--device",
        "B4-1",
        "--from",
        "2026-11-20T10:00:00Z",
        "--to",
        "2026-11-20T10:10:00Z",
    ]);
    eventually("it waits for its word", || {
        let stands = target(&world, &request);
        assert_eq!(stands["state"], "handed_over", "{stands}");
        stands["why"].as_str().unwrap().contains("the device looks for it")
    });
    let said = say(&world, &camera, &request, "nothing", &json!({"desired": tag(&camera)}));
    assert_eq!(said["state"], "nothing", "{said}");
}

#[test]
fn what_a_device_offered_and_does_not_find_is_waited_for_until_it_is_overwritten() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 5000);
    let (start, end) = (minutes_ago(61), minutes_ago(49));
    let item = json!({
        "rid": rid(1), "kind": "continuous", "size": content.len(), "sha256": Sha256::of(&content).to_string(),
        "start": start.to_rfc3339(), "end": end.to_rfc3339(),
    });
    camera.post_json("/device/v1/offers", &[], &json!({"items": [item]})).json(200);
    let request = ask(&world);
    tag(&camera);
    eventually("it is handed over", || target(&world, &request)["state"] == "handed_over");

    let said = say(&world, &camera, &request, "nothing", &json!({}));
    assert_eq!(said["state"], "handed_over", "{said}");
    assert!(said["why"].as_str().unwrap().contains("does not find what it offered"), "{said}");
    let held =
        |oldest: DateTime<Utc>| json!({"storage": {"total": 64_000_000, "free": 1000, "oldest": oldest.to_rfc3339()}});
    let said = say(&world, &camera, &request, "nothing", &held(start));
    assert_eq!(said["state"], "handed_over", "{said}");
    let said = say(&world, &camera, &request, "nothing", &held(minutes_ago(30)));
    assert_eq!(said["state"], "nothing", "{said}");
}

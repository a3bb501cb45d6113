//! What a device is to do: how it hears of it, and what it says to it.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::support::asking::{DESIRED, ask, continuous, desired, minutes_ago, now, report, state, why};
use crate::support::{World, eventually, rid};

#[test]
fn a_parked_poll_hears_of_a_request_within_a_second() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let first = desired(&camera, &[]);
    let tag = first.headers["etag"].clone();
    assert_eq!(first.json(200)["requests"], json!([]));
    let known = format!("If-None-Match: {tag}");
    assert_eq!(desired(&camera, &[&known]).status, 304);

    let mut parked = camera.begin("GET", DESIRED, &[&known, "Prefer: wait=50"]);
    assert!(!parked.answers_within(Duration::from_millis(300)));
    let began = Instant::now();
    let (from, to) = (minutes_ago(20), minutes_ago(10));
    let request = ask(&world, "B4-1", from, to);
    // The command itself starts a process, and is answered after the journal's sync: that is part of this second.
    let reply = parked.reply("GET");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let document = reply.json(200);
    assert_eq!(document["requests"][0]["id"], request["id"]);
    let at = |key: &str| document["requests"][0][key].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert_eq!((at("from"), at("to")), (from, to));
    assert_ne!(reply.headers["etag"], tag);
    assert_eq!(reply.headers["longshore-desired"], reply.headers["etag"]);
    eventually("it is handed over", || state(&world, &request) == "handed_over");
    assert!(why(&world, &request).contains("looks for it"));
}

#[test]
fn every_answer_tells_of_a_change_and_a_docking_device_gets_the_request_at_its_first_call() {
    let mut world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let before = camera.request("GET", DESIRED, &[], b"").headers["etag"].clone();
    let request = ask(&world, "B4-1", minutes_ago(20), minutes_ago(10));
    let answer = camera.post_json("/device/v1/offers", &[], &json!({"items": []}));
    let told = answer.headers["longshore-desired"].clone();
    assert_ne!(told, before);
    let document = desired(&camera, &[&format!("If-None-Match: {before}")]);
    assert_eq!(document.headers["etag"], told);
    assert_eq!(document.json(200)["requests"][0]["id"], request["id"]);

    // After a restart of the server it is all as it was, and known at the first call.
    world.kill();
    world.start();
    assert_eq!(desired(&camera, &[]).json(200)["requests"][0]["id"], request["id"]);
    eventually("it is handed over", || state(&world, &request) == "handed_over");
}

#[test]
fn of_two_polls_the_newer_one_stays_and_a_stopping_server_answers_both() {
    let mut world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let known = format!("If-None-Match: {}", desired(&camera, &[]).headers["etag"]);
    let poll = || camera.begin("GET", DESIRED, &[&known, "Prefer: respond-async, wait=50"]);
    let mut older = poll();
    assert!(!older.answers_within(Duration::from_millis(200)));
    let mut newer = poll();
    assert_eq!(older.reply("GET").status, 304);
    assert!(!newer.answers_within(Duration::from_millis(200)));
    world.terminate();
    assert_eq!(newer.reply("GET").status, 204);
    assert_eq!(world.stopped(), Some(0));
}

#[test]
fn a_device_that_is_suspended_is_asked_for_nothing_and_its_poll_hears_of_it() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let item = continuous(1, b"video", minutes_ago(61), minutes_ago(49));
    let request = ask(&world, "B4-1", minutes_ago(60), minutes_ago(50));
    assert_eq!(camera.offer(std::slice::from_ref(&item))[0]["answer"], "upload");
    let tag = desired(&camera, &[]).headers["etag"].clone();
    let mut parked = camera.begin("GET", DESIRED, &[&format!("If-None-Match: {tag}"), "Prefer: wait=50"]);
    assert!(!parked.answers_within(Duration::from_millis(200)));
    world.cli_json(&["device", "suspend", "B4-1"]);
    parked.reply("GET").is_problem(403, "device-suspended");
    report(&camera, &json!({})).is_problem(403, "device-suspended");
    assert_eq!(camera.offer(std::slice::from_ref(&item))[0]["reason"], "not_requested");
    assert!(why(&world, &request).contains("suspended"));
    world.cli_json(&["device", "activate", "B4-1"]);
    assert_eq!(camera.offer(&[item])[0]["answer"], "upload");
}

#[test]
fn a_command_is_given_until_the_device_says_that_it_is_done() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let known = format!("If-None-Match: {}", desired(&camera, &[]).headers["etag"]);
    let mut parked = camera.begin("GET", DESIRED, &[&known, "Prefer: wait=50"]);
    let id = world.cli_json(&["device", "identify", "B4-1"])["id"].clone();
    assert_eq!(world.cli_json(&["device", "identify", "B4-1"])["id"], id, "it waits already");
    let other = world.cli_json(&["device", "logs", "B4-1"])["id"].clone();
    let first = parked.reply("GET").json(200);
    assert_eq!(first["commands"][0], json!({"id": id, "op": "identify"}));
    let ended = json!({"commands": [
        {"id": id, "state": "done"},
        {"id": other, "state": "failed", "text": "no log is kept"},
        {"id": rid(9), "state": "done"},
    ]});
    for _ in 0..2 {
        assert_eq!(report(&camera, &ended).status, 204);
    }
    assert_eq!(desired(&camera, &[]).json(200)["commands"], json!([]));
    let history = String::from_utf8(world.cli(&["device", "history", "B4-1"]).stdout).unwrap();
    assert!(history.contains("identify done") && history.contains("logs FAILED: no log is kept"), "{history}");
}

#[test]
fn a_report_that_breaks_a_rule_is_refused() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let many: Vec<_> = (0..65).map(|n| json!({"id": rid(n), "state": "done"})).collect();
    for body in [
        json!({"requests": many}),
        json!({"commands": many}),
        json!({"requests": [{"id": rid(1), "state": "maybe"}]}),
        json!({"requests": [{"id": "no id", "state": "done"}]}),
        json!({"firmware": "f".repeat(256)}),
        json!({"battery": 1000}),
        json!({"clock": {"wall": now().to_rfc3339(), "uptime_ms": 1, "boot": "b".repeat(256), "synced": true}}),
        json!({"network": {"kind": "carrier pigeon"}}),
    ] {
        report(&camera, &body).is_problem(400, "malformed-request");
    }
    // What it knows nothing of is passed over, and so is every clock from 1970 to 2099.
    for wall in ["1970-01-01T00:00:00Z", "2099-12-31T23:59:59Z"] {
        let body = json!({
            "mood": "good", "requests": [{"id": rid(1), "state": "done"}],
            "clock": {"wall": wall, "uptime_ms": u64::MAX, "boot": wall, "synced": false},
        });
        assert_eq!(report(&camera, &body).status, 204);
    }
}

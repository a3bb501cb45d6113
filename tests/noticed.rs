//! What the server notices by itself, of devices and of its own machine, until it is over.

use std::fs;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::health::{issues, now, state};
use crate::support::{Authority, Camera, World, bytes, eventually, recording, rid};

/// Waits until an issue of this type is open, or none is any more.
fn notices(world: &World, kind: &str, is_open: bool) -> Option<Value> {
    let mut found = None;
    eventually(&format!("{kind} is open: {is_open}"), || {
        found = issues(world).into_iter().find(|issue| issue["type"] == kind);
        found.is_some() == is_open
    });
    found
}

#[test]
fn a_wrong_clock_is_noticed_until_it_is_set() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let says = |wall: DateTime<Utc>| {
        let clock = json!({"wall": wall.to_rfc3339(), "uptime_ms": 1, "boot": wall.to_rfc3339(), "synced": true});
        camera.post_json("/device/v1/offers", &[], &json!({"items": [], "clock": clock})).json(200);
    };
    says(now() + TimeDelta::hours(1));
    let drift = notices(&world, "clock_drift", true).unwrap();
    assert!((3595..=3600).contains(&drift["value"].as_i64().unwrap()) && drift["unit"] == "s", "{drift}");
    assert!(drift["cause"].as_str().unwrap().contains("s ahead"), "{drift}");
    says(now());
    notices(&world, "clock_drift", false);
    says("2000-01-01T00:00:10Z".parse().unwrap());
    notices(&world, "clock_unset", true);
    notices(&world, "clock_drift", false);
    says(now());
    notices(&world, "clock_unset", false);
}

#[test]
fn what_goes_wrong_with_recordings_is_noticed_by_the_server() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    // Other bytes than were declared.
    let content = bytes(1, 1000);
    let upload = camera.upload_of(&recording(1, &content));
    camera.patch(&upload, 0, &bytes(2, 1000)).is_problem(422, "checksum-mismatch");
    let mismatch = notices(&world, "upload_checksum_mismatch", true).unwrap();
    assert!(mismatch["cause"].as_str().unwrap().contains(&rid(1)), "{mismatch}");

    // A transfer that is tried again and again and brings nothing.
    let upload = camera.upload_of(&recording(2, &content));
    let headers = [
        "Tus-Resumable: 1.0.0",
        "Content-Type: application/offset+octet-stream",
        "Upload-Offset: 0",
        "Upload-Checksum: sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    ];
    for _ in 0..21 {
        assert_eq!(camera.request("PATCH", &upload, &headers, &content).status, 460);
    }
    notices(&world, "upload_storm", true);
    assert_eq!(camera.patch(&upload, 0, &content).status, 204);
    notices(&world, "upload_storm", false);

    // A gap in what is recorded all the time, and an event that is overwritten in five hours.
    let minutes = |n| (now() - TimeDelta::minutes(n)).to_rfc3339();
    let continuous = |n: u32, from: i64, to: i64| {
        let mut item = recording(n, &content);
        for (key, value) in [("kind", "continuous"), ("start", &minutes(from)), ("end", &minutes(to)), ("boot", "b1")] {
            item[key] = json!(value);
        }
        item
    };
    let mut event = recording(5, &bytes(5, 1000));
    event["overwrite_at"] = json!((now() + TimeDelta::hours(5)).to_rfc3339());
    camera.offer(&[continuous(3, 90, 60), continuous(4, 50, 20), event]);
    let gap = notices(&world, "recording_gap", true).unwrap();
    assert!((599..=601).contains(&gap["value"].as_i64().unwrap()), "{gap}");
    let near = notices(&world, "overwrite_near", true).unwrap();
    assert_eq!((&near["value"], &near["severity"]), (&json!(1), &json!("critical")));
    camera.offer(&[continuous(3, 90, 60), continuous(4, 50, 20)]);
    let gap = notices(&world, "recording_gap", true).unwrap();
    assert_eq!(gap["count"], 1, "it is told once");
}

#[test]
fn a_device_with_another_firmware_and_one_of_an_unknown_model_are_noticed() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let says = |firmware: &str| {
        let kind = "Content-Type: application/json";
        let body = json!({"firmware": firmware}).to_string();
        assert_eq!(camera.request("PUT", "/device/v1/reported", &[kind], body.as_bytes()).status, 204);
    };
    says("1.0");
    says("1.0");
    says("1.1");
    let changed = notices(&world, "firmware_changed", true).unwrap();
    assert_eq!((&changed["cause"], &changed["count"]), (&json!("1.0 before, 1.1 now"), &json!(1)));
    assert_eq!(state(&world, "B4-1"), "not_reported", "good to know is nothing to see to");
}

#[test]
fn whoever_tries_to_get_in_and_devices_that_nobody_wants_are_noticed() {
    let world = World::new();
    let stranger = Camera::new(&world);
    for _ in 0..2 {
        stranger.post_json("/device/v1/offers", &[], &json!({"items": []})).is_problem(403, "unknown-device");
    }
    let unknown = notices(&world, "device_unknown", true).unwrap();
    assert_eq!((&unknown["part"], unknown.get("device")), (&json!("127.0.0.1"), None));
    for _ in 0..8 {
        let reply = stranger.request("GET", "/api/v1/devices", &["Authorization: Bearer lsa_wrong"], b"");
        assert_eq!(reply.status, 401);
    }
    let tries = notices(&world, "authentication_failures", true).unwrap();
    assert_eq!(tries["part"], "127.0.0.1");

    let text = world.enrolment_text("B4-9");
    let camera = Camera::new(&world);
    camera.ask_to_be_known(&text).json(202);
    assert!(world.cli(&["device", "reject", "B4-9"]).status.success());
    camera.ask_to_be_known(&text).is_problem(403, "enrolment-rejected");
    notices(&world, "device_rejected", true);
}

#[test]
fn an_index_that_was_made_anew_is_noticed_and_a_first_start_is_not() {
    let mut world = World::new();
    assert_eq!(issues(&world), Vec::<Value>::new());
    world.camera("B4-1", "J. Smith");
    world.kill();
    fs::remove_dir_all(world.data().join("index")).unwrap();
    world.start();
    let rebuilt = notices(&world, "catalogue_rebuilt", true).unwrap();
    assert_eq!(rebuilt["severity"], "notice");
    world.kill();
    world.start();
    assert_eq!(notices(&world, "catalogue_rebuilt", true).unwrap()["count"], 1);
}

#[test]
fn a_certificate_that_ends_soon_is_noticed_until_it_is_renewed() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.issue_until(folder.path(), 1, now() + TimeDelta::days(5));
    let world = World::configured(&Authority::config(folder.path()));
    let ending = notices(&world, "certificate_ending", true).unwrap();
    assert_eq!((&ending["value"], &ending["unit"]), (&json!(4), &json!("days")));
    authority.issue_until(folder.path(), 2, now() + TimeDelta::days(90));
    world.hang_up();
    notices(&world, "certificate_ending", false);
}

#[test]
fn a_storage_that_is_gone_is_noticed_until_it_is_back() {
    let world = World::new();
    let (storage, away) = (world.storage(), world.path().join("away"));
    fs::rename(&storage, &away).unwrap();
    let gone = notices(&world, "disk_offline", true).unwrap();
    assert!(gone["severity"] == "critical" && !gone["cause"].as_str().unwrap().is_empty(), "{gone}");
    fs::rename(&away, &storage).unwrap();
    notices(&world, "disk_offline", false);
}

#[cfg(feature = "failpoints")]
#[test]
fn a_transfer_that_comes_to_rest_is_noticed() {
    let world = World::with_fail_points("upload-append=panic");
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 3_000_000);
    let upload = camera.upload_of(&recording(1, &content));
    eventually("it rests", || {
        let _cut = camera.patch(&upload, 0, &content).status;
        issues(&world).iter().any(|issue| issue["type"] == "upload_stalled")
    });
}

//! Who is connected, who was, and what they recorded.

use longshore_model::Sha256;
use serde_json::{Value, json};

use crate::support::{Camera, World, bytes, eventually, recording, rid};

fn sessions(world: &World) -> Vec<Value> {
    world.cli_json(&["sessions"]).as_array().unwrap().clone()
}

fn history(world: &World, serial: &str) -> Vec<Value> {
    world.cli_json(&["device", "connections", serial]).as_array().unwrap().clone()
}

fn text(world: &World, arguments: &[&str]) -> String {
    let output = world.cli(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn send(camera: &Camera, item: &Value, content: &[u8]) -> String {
    let upload = camera.upload_of(item);
    camera.patch(&upload, 0, content).headers["longshore-receipt"].clone()
}

#[test]
fn a_device_that_called_is_connected_and_what_it_brings_is_counted() {
    let world = World::new();
    assert_eq!(text(&world, &["sessions"]), "No device is connected.\n");
    let camera = world.camera("B4-1", "J. Smith");
    world.camera("B4-2", "A. Jones");
    // To be enrolled is no session: the device is not known before.
    assert!(sessions(&world).is_empty());
    let content = bytes(1, 300_000);
    send(&camera, &recording(1, &content), &content);
    let half = camera.upload_of(&recording(2, &content));
    camera.patch(&half, 0, &content[..100_000]);

    let rows = sessions(&world);
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((&row["serial"], &row["assignee"]), (&json!("B4-1"), &json!("J. Smith")));
    assert_eq!((&row["address"], &row["received"]), (&json!("127.0.0.1"), &json!(400_000)));
    assert!(row.get("ended").is_none());
    // What the journal is told of is there a moment later at the latest.
    eventually("the recording counts", || sessions(&world)[0]["recordings"] == 1);
    assert_eq!(sessions(&world)[0]["stored"], 300_000);
    let network = json!({"kind": "dock", "bay_mac": "02:00:5e:20:00:05", "signal_dbm": -61});
    let report = json!({"network": network}).to_string();
    let kind = "Content-Type: application/json";
    assert_eq!(camera.request("PUT", "/device/v1/reported", &[kind], report.as_bytes()).status, 204);
    assert_eq!(sessions(&world)[0]["network"], network);
    let listed = text(&world, &["sessions"]);
    assert!(listed.contains("dock bay 02:00:5e:20:00:05 -61 dBm"), "{listed}");
    world.cli_json(&["site", "add", "North yard", "--network", "127.0.0.0/8"]);
    world.cli_json(&["dock", "add", "North", "02:00:5e:20:00:04", "02:00:5e:20:00:05", "--site", "North yard"]);
    let placed = text(&world, &["sessions"]);
    assert!(placed.contains("North yard, 127.0.0.1, dock North, bay 2 -61 dBm"), "{placed}");
    assert_eq!(sessions(&world)[0]["bay"], "North, bay 2");
    assert!(listed.contains("J. Smith") && listed.contains("127.0.0.1") && listed.contains("400.00 kB"), "{listed}");
    assert_eq!(history(&world, "B4-1").len(), 1);
    assert!(text(&world, &["device", "connections", "B4-1"]).contains("connected"));
    assert_eq!(text(&world, &["device", "connections", "B4-2"]), "B4-2 has not been connected yet.\n");
    let refused = world.cli(&["device", "connections", "B9"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no device with the serial B9"));
}

#[test]
fn a_stop_ends_sessions_and_a_kill_leaves_what_the_journal_knows_of_them() {
    let mut world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let content = bytes(1, 50_000);
    send(&camera, &recording(1, &content), &content);
    world.terminate();
    assert_eq!(world.stopped(), Some(0));
    world.start();
    assert!(sessions(&world).is_empty());
    let ended = history(&world, "B4-1");
    let [first] = &ended[..] else { panic!("{ended:?}") };
    assert_eq!((&first["end"], &first["received"]), (&json!("stopped"), &json!(50_000)));
    assert_eq!(first["recordings"], 1, "it was complete before the journal heard of the session");
    assert!(first["ended"].as_str().unwrap() >= first["began"].as_str().unwrap(), "{first}");

    // The journal hears of a session within a moment.
    send(&camera, &recording(2, &content), &content);
    eventually("it counts in the session", || history(&world, "B4-1")[0]["recordings"] == 1);
    world.kill();
    world.start();
    let ended = history(&world, "B4-1");
    let [killed, stopped] = &ended[..] else { panic!("{ended:?}") };
    assert_eq!(stopped, first);
    assert_eq!(killed["end"], "unwitnessed");
    assert!(killed.get("received").is_none() && killed["recordings"] == 1, "{killed}");
    let told = text(&world, &["device", "connections", "B4-1"]);
    assert!(told.contains("the server was killed") && told.contains("not counted"), "{told}");

    // The same from the journal alone.
    world.kill();
    std::fs::remove_dir_all(world.data().join("index")).unwrap();
    world.start();
    assert_eq!(history(&world, "B4-1"), ended);
}

#[cfg(feature = "failpoints")]
#[test]
fn a_panic_of_what_tells_the_journal_ends_no_session() {
    let mut world = World::with_fail_points("presence-look=3*off->1*panic->off");
    let camera = world.camera("B4-1", "J. Smith");
    camera.offer(&[]);
    eventually("it panicked, and was started again", || {
        let actors = world.cli_json(&["actors"]);
        let row = actors.as_array().unwrap().iter().find(|row| row["name"] == "presence").cloned().unwrap();
        row["failures"] == 1 && row["state"] == "running"
    });
    assert_eq!(sessions(&world).len(), 1);
    world.terminate();
    assert_eq!(world.stopped(), Some(0));
    world.start();
    assert_eq!(history(&world, "B4-1")[0]["end"], "stopped");
}

fn part(n: u32, camera: &str, start: &str, end: Option<&str>, content: &[u8]) -> Value {
    json!({
        "rid": rid(n), "camera": camera, "kind": "event", "start": start, "end": end, "size": content.len(),
        "sha256": Sha256::of(content).to_string(), "filename": format!("{n}.mp4"),
    })
}

#[test]
fn coverage_tells_what_was_recorded_what_is_stored_what_only_the_device_has_and_the_gaps() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    assert_eq!(text(&world, &["device", "coverage", "B4-1"]), "B4-1 has declared no recordings.\n");
    let content = bytes(1, 1000);
    let at = |time: &str| format!("2026-11-20T{time}+01:00");
    let mut items = [
        part(1, "front", &at("14:00:00"), Some(&at("14:05:00")), &content),
        part(2, "front", &at("14:05:01"), Some(&at("14:10:00")), &content),
        part(3, "front", &at("15:00:00"), Some(&at("15:01:00")), &content),
        part(4, "rear", &at("14:00:00"), None, &content),
        part(5, "front", "1970-01-01T00:00:00Z", None, &content),
        part(6, "side", &at("14:00:00"), Some(&at("14:05:00")), &content),
    ];
    items[5]["overwrite_at"] = json!(at("16:00:00"));
    let receipt = send(&camera, &items[0], &content);
    send(&camera, &items[2], &content);
    camera.offer(&items);
    let deleted = json!({"items": [{"receipt": receipt, "deleted_at": at("16:00:00")}]});
    camera.post_json("/device/v1/deletions", &[], &deleted).json(200);

    let covered = world.cli_json(&["device", "coverage", "B4-1", "--day", "2026-11-20"]);
    let cameras = &covered["days"][0]["cameras"];
    let front = &cameras[0];
    assert_eq!((&front["camera"], front["recorded"].as_array().unwrap().len()), (&json!("front"), 2));
    let count = &front["count"];
    assert_eq!((&count["recordings"], &count["uploaded"], &count["only_on_device"]), (&json!(3), &json!(2), &json!(1)));
    assert_eq!((&count["on_both"], &count["uploaded_bytes"]), (&json!(1), &json!(2000)));
    assert_eq!(front["gaps"], json!([{"from": "2026-11-20T13:10:00Z", "to": "2026-11-20T14:00:00Z"}]));
    assert_eq!((&cameras[1]["camera"], &cameras[1]["count"]["without_end"]), (&json!("rear"), &json!(1)));
    let count = &cameras[2]["count"];
    assert_eq!((&count["overwritten"], &count["only_on_device"]), (&json!(1), &json!(0)));
    assert_eq!(covered["undated"]["recordings"], 1);

    let told = text(&world, &["device", "coverage", "B4-1", "--day", "2026-11-20"]);
    for line in [
        "front on 2026-11-20: 3 recordings, 2 uploaded, 1 only on the device, 1 on both",
        "14:00:00-14:05:00 uploaded (0:05:00)",
        "14:05:01-14:10:00 only on the device (0:04:59)",
        "14:10:00-15:00:00 gap (0:50:00)",
        "14:00:00-14:05:00 overwritten on the device (0:05:00)",
        "1 recordings belong to no day",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let told = text(&world, &["device", "coverage", "B4-1"]);
    assert!(told.contains("2026-11-20  front") && told.contains("1 (0:50:00)"), "{told}");
    let told = text(&world, &["device", "coverage", "B4-1", "--day", "2026-11-25"]);
    assert!(told.contains("Nothing was recorded on 2026-11-25"), "{told}");
    let refused = world.cli(&["device", "coverage", "B9"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no device with the serial B9"));
}

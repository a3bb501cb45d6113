//! Health: what devices report, until a person knows what to do and it is over. What the server notices by itself is in `noticed`.

use std::fs;

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::support::{Camera, Reply, World, eventually};

pub(crate) fn now() -> DateTime<Utc> {
    SystemClock.now()
}

fn id(n: u32) -> String {
    format!("{n:032x}")
}

/// An event that the device noticed just now.
fn event(n: u32, kind: &str) -> Value {
    json!({"id": id(n), "type": kind, "at": now().to_rfc3339()})
}

fn cleared(n: u32, kind: &str) -> Value {
    let mut event = event(n, kind);
    event["cleared"] = json!(true);
    event
}

fn try_report(camera: &Camera, events: &[Value]) -> Reply {
    camera.post_json("/device/v1/health-events", &[], &json!({ "events": events }))
}

/// What the server says of each.
fn report(camera: &Camera, events: &[Value]) -> Vec<String> {
    let answer = try_report(camera, events).json(200);
    let answers = answer["events"].as_array().unwrap();
    assert!(answers.iter().zip(events).all(|(answer, event)| answer["id"] == event["id"]), "{answer}");
    answers.iter().map(|answer| answer["answer"].as_str().unwrap().to_owned()).collect()
}

/// The issues that are open, those that need somebody first.
pub(crate) fn issues(world: &World) -> Vec<Value> {
    world.cli_json(&["health", "list"])["issues"].as_array().unwrap().clone()
}

fn types(issues: &[Value]) -> Vec<&str> {
    issues.iter().map(|issue| issue["type"].as_str().unwrap()).collect()
}

/// How the device with this serial is.
pub(crate) fn state(world: &World, serial: &str) -> String {
    world.cli_json(&["device", "show", serial])["health"]["state"].as_str().unwrap().to_owned()
}

fn printed(world: &World, arguments: &[&str]) -> String {
    let output = world.cli(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_a_device_reports_is_an_open_issue_with_its_steps_until_the_device_says_that_it_is_over() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let mut lost = event(1, "storage_missing");
    lost["text"] = json!("slot 1 is empty\u{1b}[2J");
    assert_eq!(report(&camera, &[lost]), ["recorded"]);
    let open = issues(&world);
    let [issue] = &open[..] else { panic!("{open:?}") };
    assert_eq!((&issue["severity"], &issue["count"]), (&json!("critical"), &json!(1)));
    assert_eq!((&issue["device"]["serial"], &issue["device"]["assignee"]), (&json!("B4-1"), &json!("J. Smith")));
    assert_eq!(issue["cause"], "slot 1 is empty [2J", "no text moves the cursor");
    assert!(issue["steps"].as_array().unwrap().len() >= 3, "{issue}");
    assert_eq!(state(&world, "B4-1"), "attention");

    let number = issue["number"].to_string();
    let shown = printed(&world, &["health", "show", &number]);
    for part in ["Issue 1, critical: No card of B4-1 (J. Smith): open", "slot 1 is empty", "  1. Do not send", "began"]
    {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
    let device = printed(&world, &["device", "show", "B4-1"]);
    assert!(device.contains("Health: needs attention") && device.contains("  1. Do not send"), "{device}");

    assert_eq!(report(&camera, &[cleared(2, "storage_missing")]), ["recorded"]);
    assert_eq!(issues(&world), Vec::<Value>::new());
    assert_eq!(state(&world, "B4-1"), "healthy");
    let listed = printed(&world, &["health", "list"]);
    assert_eq!(listed, "No issue is open.\nDevices: 0 need attention, 1 healthy, 0 not reported.\n");
    let all = world.cli_json(&["health", "list", "--all"]);
    assert_eq!(all["issues"][0]["end"], "cleared");
    let history = world.cli_json(&["health", "history", "--device", "B4-1"]);
    let what: Vec<_> = history.as_array().unwrap().iter().map(|line| line["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["ended", "opened"]);
}

#[test]
fn an_event_that_is_sent_again_counts_once_also_when_the_server_was_killed_after_its_answer() {
    let mut world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let events = [event(1, "gps_lost"), event(2, "temperature_high")];
    assert_eq!(report(&camera, &events), ["recorded", "recorded"]);
    world.kill();
    world.start();
    let open = issues(&world);
    assert_eq!(types(&open), ["temperature_high", "gps_lost"], "the one that matters more first");
    assert_eq!(report(&camera, &[events[0].clone(), events[1].clone(), event(3, "gps_lost")]), ["recorded"; 3]);
    let counts: Vec<_> = issues(&world).iter().map(|issue| issue["count"].clone()).collect();
    assert_eq!(counts, [1, 2]);
}

#[test]
fn what_comes_and_goes_all_day_is_one_issue() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    for n in 0..30 {
        let both = [event(2 * n, "link_wifi_flapping"), cleared(2 * n + 1, "link_wifi_flapping")];
        assert_eq!(report(&camera, &both), ["recorded"; 2]);
    }
    let open = issues(&world);
    let [issue] = &open[..] else { panic!("{open:?}") };
    assert_eq!((&issue["count"], &issue["flapping"]), (&json!(30), &json!(true)));
    let history = world.cli_json(&["health", "history"]);
    assert!(history.as_array().unwrap().len() <= 8, "{history}");
    assert!(printed(&world, &["health", "list"]).contains("comes and goes"));
}

#[test]
fn each_camera_has_its_own_issue_and_a_parent_explains_its_children() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let of = |n, kind: &str, name: &str| {
        let mut event = event(n, kind);
        event["camera"] = json!(name);
        event
    };
    report(
        &camera,
        &[of(1, "camera_video_loss", "front"), of(2, "camera_video_loss", "rear"), event(3, "storage_full")],
    );
    report(&camera, &[event(4, "storage_missing")]);
    let open = issues(&world);
    let missing = open.iter().find(|issue| issue["type"] == "storage_missing").unwrap();
    let full = open.iter().find(|issue| issue["type"] == "storage_full").unwrap();
    assert_eq!((full["hidden_by"].clone(), open.len()), (missing["number"].clone(), 4));
    assert_eq!(open.last().unwrap()["type"], "storage_full", "what is explained stands behind what needs somebody");
    let mut over = cleared(5, "camera_video_loss");
    over["camera"] = json!("front");
    report(&camera, &[over, cleared(6, "storage_missing")]);
    let open = issues(&world);
    let parts: Vec<_> = open.iter().map(|issue| (issue["part"].as_str(), issue.get("hidden_by"))).collect();
    assert!(parts.contains(&(Some("rear"), None)) && parts.contains(&(None, None)) && parts.len() == 2, "{open:?}");
}

#[test]
fn who_does_not_report_is_not_reported_and_never_healthy() {
    let world = World::new();
    let mut cameras = Vec::new();
    for model in ["BC4", "DR-200v1", "DVR-808", "Cam 9"] {
        let mut camera = Camera::new(&world);
        let issued = world.cli_json(&["device", "add", "--serial", &format!("S {model}"), "--model", model]);
        let enrolment = camera.ask_to_be_known(issued["text"].as_str().unwrap()).json(202);
        world.approve(&format!("S {model}"), "Unit 12");
        camera.fetch_certificate(enrolment["id"].as_str().unwrap());
        assert_eq!(state(&world, &format!("S {model}")), "not_reported");
        cameras.push((model, camera));
    }
    // A device may say that it has nothing to say; of one that is known not to be able to, nobody believes it.
    let expected = ["healthy", "not_reported", "not_reported", "healthy"];
    for ((model, camera), expected) in cameras.iter().zip(expected) {
        assert_eq!(report(camera, &[]), Vec::<String>::new());
        assert_eq!(state(&world, &format!("S {model}")), expected, "{model}");
    }
    let shown = printed(&world, &["device", "show", "S DVR-808"]);
    assert!(shown.contains("Health: not reported"), "{shown}");
    let listed = printed(&world, &["health", "list"]);
    assert!(listed.ends_with("Devices: 0 need attention, 2 healthy, 2 not reported.\n"), "{listed}");
}

#[test]
fn a_wrong_event_is_refused_with_its_reason_and_does_not_keep_the_others_from_being_heard() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let with = |n, key: &str, value: Value| {
        let mut event = event(n, "gps_lost");
        event[key] = value;
        event
    };
    let events = [
        event(1, "GPS lost"),
        event(2, "../../etc"),
        event(3, &"x".repeat(65)),
        with(4, "text", json!("x".repeat(1001))),
        with(5, "camera", json!("x".repeat(256))),
        event(6, "siren_stuck"),
        event(7, "gps_lost"),
    ];
    let answer = try_report(&camera, &events).json(200);
    let answers = answer["events"].as_array().unwrap();
    for (answer, part) in answers.iter().zip(["small letters", "small letters", "small letters", "text", "camera"]) {
        assert_eq!(answer["answer"], "refused");
        assert!(answer["reason"].as_str().unwrap().contains(part), "{answer}");
    }
    assert!(answers[5..].iter().all(|answer| answer["answer"] == "recorded"), "{answer}");
    let open = issues(&world);
    assert_eq!(types(&open), ["siren_stuck", "gps_lost"], "nobody knows what it is, so somebody has to look");
    assert!(!open[0]["steps"].as_array().unwrap().is_empty());

    for wrong in
        [json!({"events": 1}), json!({"events": [{"id": "1", "type": "a", "at": now().to_rfc3339()}]}), json!({})]
    {
        camera.post_json("/device/v1/health-events", &[], &wrong).is_problem(400, "malformed-request");
    }
    for (key, value) in [("at", json!("yesterday")), ("value", json!("hot")), ("severity", json!("bad"))] {
        try_report(&camera, &[with(8, key, value)]).is_problem(400, "malformed-request");
    }
    let many: Vec<_> = (100..201).map(|n| event(n, "gps_lost")).collect();
    try_report(&camera, &many).is_problem(413, "too-large");
    assert_eq!(report(&camera, &many[..100]), vec!["recorded"; 100]);
    Camera::new(&world)
        .post_json("/device/v1/health-events", &[], &json!({"events": []}))
        .is_problem(403, "unknown-device");
    world.cli_json(&["device", "suspend", "B4-1"]);
    try_report(&camera, &[]).is_problem(403, "device-suspended");
}

#[test]
fn whoever_makes_up_types_and_cameras_fills_neither_the_list_nor_the_journal() {
    let world = World::new();
    let (camera, other) = (world.camera("B4-1", "J. Smith"), world.camera("B4-2", "A. Jones"));
    for round in 0..3 {
        let made_up: Vec<_> = (0..100).map(|n| event(1000 + 100 * round + n, &format!("type_{round}_{n}"))).collect();
        report(&camera, &made_up);
        let parts = (0..100).map(|n| {
            let mut event = event(5000 + 100 * round + n, "camera_obstructed");
            event["camera"] = json!(format!("camera {round} {n}"));
            event
        });
        assert_eq!(report(&camera, &parts.collect::<Vec<_>>()), vec!["recorded"; 100]);
    }
    let open = issues(&world);
    assert_eq!(open.len(), 65, "64 that are told apart, and one for all other cameras");
    let others = open.iter().find(|issue| issue["type"] == "camera_obstructed").unwrap();
    assert_eq!((&others["count"], others.get("part")), (&json!(300), None));
    assert_eq!(report(&other, &[event(1, "siren_stuck")]), ["recorded"], "another device has its own");
}

#[test]
fn times_of_events_are_told_in_true_time_whatever_the_clock_of_the_device_shows() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let began = now() - TimeDelta::minutes(90);
    let shown = began + TimeDelta::minutes(10);
    let clock = json!({"wall": (now() + TimeDelta::minutes(10)).to_rfc3339(), "uptime_ms": 8_000_000, "boot": "b1", "synced": false});
    let events = json!([
        {"id": id(1), "type": "gps_lost", "at": shown.to_rfc3339()},
        {"id": id(2), "type": "temperature_high", "at": "1970-01-01T00:00:10Z"},
        {"id": id(3), "type": "battery_degraded", "at": "2090-01-01T00:00:10Z"},
    ]);
    camera.post_json("/device/v1/health-events", &[], &json!({"events": events, "clock": clock})).json(200);
    let since = |kind: &str| -> DateTime<Utc> {
        let open = issues(&world);
        let issue = open.iter().find(|issue| issue["type"] == kind).unwrap();
        issue["since"].as_str().unwrap().parse().unwrap()
    };
    assert!((since("gps_lost") - began).abs() < TimeDelta::seconds(5), "{}", since("gps_lost"));
    for kind in ["temperature_high", "battery_degraded"] {
        assert!((since(kind) - now()).abs() < TimeDelta::minutes(2), "{kind}: {}", since(kind));
    }
}

#[test]
fn people_quieten_an_issue_for_a_while_or_for_good_and_the_audit_log_tells_who() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    report(&camera, &[event(1, "gps_lost"), event(2, "storage_wear")]);
    let number = |kind: &str| {
        let open = issues(&world);
        open.iter().find(|issue| issue["type"] == kind).unwrap()["number"].to_string()
    };
    let (gps, wear) = (number("gps_lost"), number("storage_wear"));
    let silenced = world.cli_json(&["health", "silence", &wear, "--for", "8h"]);
    let until: DateTime<Utc> = silenced["silenced_until"].as_str().unwrap().parse().unwrap();
    assert!((until - now() - TimeDelta::hours(8)).abs() < TimeDelta::minutes(2));
    assert_eq!(state(&world, "B4-1"), "healthy", "nobody wants to hear of it now");
    assert_eq!(world.cli_json(&["health", "ignore", &gps])["ignored"], true);
    let listed = printed(&world, &["health", "list"]);
    assert!(listed.contains("silenced until") && listed.contains("ignored"), "{listed}");
    assert!(world.cli_json(&["health", "silence", &wear, "--end"]).get("silenced_until").is_none());
    assert_eq!(state(&world, "B4-1"), "attention");

    // What is ignored is so when it comes back, also as another issue.
    report(&camera, &[cleared(3, "gps_lost"), event(4, "gps_lost")]);
    assert_eq!(world.cli_json(&["health", "show", &gps])["ignored"], true);
    let audit = world.cli_json(&["audit"]);
    let did: Vec<_> = audit.as_array().unwrap().iter().map(|line| line["did"].as_str().unwrap()).collect();
    for told in ["issue_silenced", "issue_heard_again", "issue_ignored"] {
        assert!(did.contains(&told), "{told} is not in {did:?}");
    }
    for (arguments, part) in [
        (vec!["health", "show", "99"], "there is no issue 99"),
        (vec!["health", "silence", &wear, "--for", "0s"], "would end before now"),
        (vec!["health", "silence", &wear, "--for", "999d"], "at most 366 days"),
        (vec!["health", "list", "--device", "B4-9"], "no device with the serial B4-9"),
    ] {
        let refused = world.cli(&arguments);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(part), "{arguments:?}: {said}");
    }
    report(&camera, &[cleared(5, "storage_wear")]);
    let refused = world.cli(&["health", "silence", &wear, "--for", "1h"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("has ended"));
}

#[test]
fn an_agency_says_itself_how_much_a_type_matters_and_adds_its_own() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let own = "[gps_lost]\nseverity = 'critical'\n[siren_stuck]\nseverity = 'notice'\ntitle = 'Siren'\ntext = 'It hangs.'\n\
               steps = ['Pull its fuse.']\n";
    fs::write(file.path(), own).unwrap();
    let world = World::configured(&format!("[health]\ntypes = '{}'\n", file.path().display()));
    let camera = world.camera("B4-1", "J. Smith");
    report(&camera, &[event(1, "gps_lost"), event(2, "siren_stuck")]);
    let open = issues(&world);
    assert_eq!(types(&open), ["gps_lost", "siren_stuck"]);
    assert_eq!((&open[0]["severity"], &open[0]["title"]), (&json!("critical"), &json!("No position")));
    assert_eq!((&open[1]["title"], &open[1]["steps"]), (&json!("Siren"), &json!(["Pull its fuse."])));
    fs::write(file.path(), "[siren_stuck]\ntitel = 'Siren'\n").unwrap();
    let config = world.path().join("longshore.toml");
    let checked = crate::support::longshore().args(["config", "check"]).arg(&config).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(!checked.status.success() && said.contains(":2:1: siren_stuck.titel: there is no such key"), "{said}");
}

#[cfg(feature = "failpoints")]
#[test]
fn an_aggregator_that_panics_loses_nothing_and_is_restarted() {
    let world = World::with_fail_points("health-report=1*off->1*panic->off");
    let camera = world.camera("B4-1", "J. Smith");
    assert_eq!(report(&camera, &[event(1, "gps_lost")]), ["recorded"]);
    let second = [event(2, "temperature_high")];
    try_report(&camera, &second).is_problem(503, "unavailable");
    eventually("it answers again", || try_report(&camera, &second).status == 200);
    assert_eq!(types(&issues(&world)), ["temperature_high", "gps_lost"]);
    let actors = world.cli_json(&["actors"]);
    let row = actors.as_array().unwrap().iter().find(|row| row["name"] == "health").unwrap();
    assert_eq!(row["failures"], 1, "{row}");
}

//! Sites, docks, accounts and whose a device is: what people say, and where it shows.

use serde_json::{Value, json};

use crate::support::{Camera, World, bytes, longshore, recording};

fn refused(world: &World, arguments: &[&str]) -> String {
    let output = world.cli(arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Asks to be known, and says where it sits.
fn asks_from(camera: &Camera, text: &str, bay: &str) {
    let text: longshore_protocol::EnrolmentText = text.parse().unwrap();
    let authorization = format!("Authorization: Longshore-Enrol {}", text.credentials());
    camera.post_json("/device/v1/enrolments", &[&authorization], &json!({"device": {"bay_mac": bay}})).json(202);
}

#[test]
fn a_device_that_waits_is_shown_with_its_site_and_its_bay() {
    let world = World::new();
    world.cli_json(&["site", "add", "North", "--network", "127.0.0.0/8", "--network", "10.1.0.0/16"]);
    let bays = ["02:00:5e:20:00:01", "02-00-5E-20-00-02", "0200.5e20.0003", "02005e200004", "02:00:5e:20:00:05"];
    let dock = world.cli_json(&[&["dock", "add", "North dock", "--site", "North"], bays.as_slice()].concat());
    assert_eq!(dock["bays"][1], "02:00:5e:20:00:02");
    asks_from(&Camera::new(&world), &world.enrolment_text("B4-1"), "02:00:5E:20:00:05");
    asks_from(&Camera::new(&world), &world.enrolment_text("B4-2"), "no address at all");
    let listed = world.cli_json(&["device", "list"]);
    assert_eq!((&listed[0]["at"], &listed[0]["bay"]), (&json!("North"), &json!("North dock, bay 5")));
    assert_eq!((&listed[1]["at"], &listed[1]["bay"]), (&json!("North"), &Value::Null));
    let shown = String::from_utf8(world.cli(&["device", "list"]).stdout).unwrap();
    assert!(shown.contains("North dock, bay 5"), "{shown}");
}

#[test]
fn places_outlive_a_kill_and_contradictions_are_refused() {
    let mut world = World::new();
    world.cli_json(&["site", "add", "North", "--network", "10.1.2.3/16"]);
    let rate = "unlimited, 07:00-19:00 50 Mbit/s";
    world.cli_json(&["site", "add", "County", "--network", "10.0.0.0/8", "--rate", rate]);
    world.cli_json(&["dock", "add", "D", "02:00:5e:20:00:01", "--site", "North"]);
    assert!(refused(&world, &["site", "add", "South", "--network", "10.1.0.0/16"]).contains("North"));
    assert!(refused(&world, &["dock", "add", "E", "02:00:5e:20:00:01"]).contains("dock D"));
    assert!(refused(&world, &["dock", "add", "E", "02:00:5e:20:00:02", "--site", "West"]).contains("no site West"));
    assert!(refused(&world, &["site", "remove", "North"]).contains("docks D"));
    assert!(refused(&world, &["site", "remove", "West"]).contains("no site West"));
    assert!(refused(&world, &["dock", "remove", "E"]).contains("no dock E"));
    assert!(refused(&world, &["site", "add", "Norht", "--rate", "1 Mbit/s"]).contains("no site Norht"));
    world.kill();
    world.start();
    let county = json!({"name": "County", "networks": ["10.0.0.0/8"], "rate": rate});
    assert_eq!(world.cli_json(&["site", "list"]), json!([county, {"name": "North", "networks": ["10.1.0.0/16"]}]));
    let faster = world.cli_json(&["site", "add", "County", "--rate", "1 Gbit/s"]);
    assert_eq!((&faster["networks"], &faster["rate"]), (&json!(["10.0.0.0/8"]), &json!("1 Gbit/s")));
    world.cli_json(&["site", "add", "North", "--network", "10.1.0.0/16", "--network", "10.9.0.0/16"]);
    assert_eq!(world.cli_json(&["site", "list"])[1]["networks"].as_array().unwrap().len(), 2);
    assert!(world.cli(&["dock", "remove", "D"]).status.success());
    assert!(world.cli(&["site", "remove", "North"]).status.success());
    assert_eq!(world.cli_json(&["site", "list"]).as_array().unwrap().len(), 1);
    for wrong in [["--network", "10.1.0.0/33"], ["--network", "north"], ["--rate", "50 MB/s"]] {
        let wrong = [&["site", "add", "X"], wrong.as_slice()].concat();
        assert_eq!(world.cli(&wrong).status.code(), Some(2), "{wrong:?}");
    }
    assert_eq!(world.cli(&["dock", "add", "X", "02:00:5e:20:00"]).status.code(), Some(2));
}

#[test]
fn a_device_has_a_home_site_and_labels_until_they_are_taken_away() {
    let world = World::new();
    let _camera = world.camera("B4-1", "J. Smith");
    world.cli_json(&["site", "add", "North", "--network", "10.1.0.0/16"]);
    assert!(refused(&world, &["device", "set", "B4-1", "--site", "West"]).contains("no site West"));
    world.cli_json(&["device", "set", "B4-1", "--site", "North", "--label", "night", "--label", "spare"]);
    let listed = &world.cli_json(&["device", "list"])[0];
    assert_eq!((&listed["site"], &listed["groups"]), (&json!("North"), &json!(["night", "spare"])));
    assert!(refused(&world, &["site", "remove", "North"]).contains("devices B4-1"));
    world.cli_json(&["device", "set", "B4-1", "--no-site"]);
    let listed = &world.cli_json(&["device", "list"])[0];
    assert_eq!((&listed["site"], &listed["groups"]), (&Value::Null, &json!(["night", "spare"])));
    world.cli_json(&["device", "set", "B4-1", "--no-labels"]);
    assert_eq!(world.cli_json(&["device", "list"])[0]["groups"], Value::Null);
    assert!(refused(&world, &["device", "set", "B4-9", "--no-site"]).contains("B4-9"));
    assert_eq!(world.cli(&["device", "set", "B4-1"]).status.code(), Some(2));
}

#[test]
fn what_is_stored_keeps_its_name_when_its_device_is_given_to_somebody_else() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let (first, second) = (bytes(1, 5000), bytes(2, 5000));
    let send = |n, content: &[u8]| {
        let upload = camera.upload_of(&recording(n, content));
        assert_eq!(camera.patch(&upload, 0, content).status, 204);
    };
    send(1, &first);
    let before = world.stored();
    world.cli_json(&["device", "assign", "B4-1", "--assignee", "A. Jones"]);
    send(2, &second);
    let after = world.stored();
    assert_eq!(after.len(), 2);
    assert!(before.iter().all(|(name, sum)| after.get(name) == Some(sum)), "{before:?} {after:?}");
    // Both were recorded before it changed hands.
    assert!(after.keys().all(|name| name.starts_with("J. Smith/")), "{after:?}");
    let shown = world.cli_json(&["device", "show", "B4-1"]);
    let to: Vec<_> = shown["assignments"].as_array().unwrap().iter().map(|row| row["assignee"].clone()).collect();
    assert_eq!(to, ["J. Smith", "A. Jones"]);
    for (wrong, why) in [
        (vec!["device", "assign", "B4-1", "--assignee", "A. Jones"], "already"),
        (vec!["device", "assign", "B4-1", "--assignee", "X", "--from", "2020-01-01T00:00:00Z"], "begin later"),
        (vec!["device", "assign", "B4-1", "--assignee", "X", "--from", "2099-01-01T00:00:00Z"], "future"),
        (vec!["device", "assign", "B4-9", "--assignee", "X"], "B4-9"),
        (vec!["device", "assign", "B4-1", "--assignee", " "], "assignee"),
    ] {
        assert!(refused(&world, &wrong).contains(why), "{wrong:?}");
    }
    assert!(world.cli(&["verify", "store"]).status.success());
}

#[test]
fn accounts_are_made_changed_and_removed_and_a_name_is_never_given_again() {
    let world = World::new();
    world.cli_json(&["account", "add", "anna", "--role", "viewer", "--mail", "anna@example.org"]);
    world.cli_json(&["account", "set", "anna", "--role", "device-admin"]);
    let token = world.cli_json(&["account", "token", "anna", "--label", "laptop"]);
    let listed = &world.cli_json(&["account", "list"])[0];
    assert_eq!((&listed["role"], &listed["mail"]), (&json!("device-admin"), &json!("anna@example.org")));
    assert_eq!(listed["tokens"][0]["id"], token["id"]);
    assert!(!listed.to_string().contains(token["token"].as_str().unwrap()));
    for (wrong, why) in [
        (vec!["account", "add", "anna", "--role", "viewer"], "taken"),
        (vec!["account", "add", "uid 0", "--role", "viewer"], "letters"),
        (vec!["account", "add", "ben", "--role", "viewer", "--mail", "nowhere"], "no mail address"),
        (vec!["account", "set", "ben", "--role", "viewer"], "no account ben"),
        (vec!["account", "token", "ben", "--label", "x"], "no account ben"),
        (vec!["account", "revoke-token", "anna", "00000000000000000000000000000000"], "no token"),
        (vec!["account", "remove", "ben"], "no account ben"),
    ] {
        assert!(refused(&world, &wrong).contains(why), "{wrong:?}");
    }
    assert_eq!(world.cli(&["account", "add", "ben", "--role", "root"]).status.code(), Some(2));
    assert!(world.cli(&["account", "remove", "anna"]).status.success());
    assert!(refused(&world, &["account", "add", "anna", "--role", "viewer"]).contains("taken"));
    assert_eq!(world.cli_json(&["account", "list"]), json!([]));
}

#[test]
fn who_did_what_is_in_the_audit_log_also_after_the_index_is_made_anew() {
    let mut world = World::new();
    world.cli_json(&["site", "add", "North", "--network", "10.1.0.0/16"]);
    world.cli_json(&["account", "add", "anna", "--role", "viewer"]);
    let _camera = world.camera("B4-1", "J. Smith");
    world.cli_json(&["device", "assign", "B4-1", "--assignee", "A. Jones"]);
    let lines = world.cli_json(&["audit"]);
    let told: Vec<(&str, &str)> = lines
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["did"].as_str().unwrap(), line["about"].as_str().unwrap()))
        .collect();
    let expected = [
        ("device_assigned", "B4-1"),
        ("device_approved", "B4-1"),
        ("enrolment_token_issued", "B4-1"),
        ("account_added", "anna"),
        ("site_set", "North"),
    ];
    assert_eq!(told, expected);
    let by = format!("uid {}", rustix::process::getuid().as_raw());
    assert!(lines.as_array().unwrap().iter().all(|line| line["by"] == by));
    let older = world.cli_json(&["audit", "--count", "1", "--before", &lines[2]["seq"].to_string()]);
    assert_eq!(older.as_array().unwrap().as_slice(), &lines.as_array().unwrap()[3..4]);
    world.terminate();
    world.stopped();
    let rebuilt = longshore().args(["catalogue", "rebuild", "--data"]).arg(world.data()).output().unwrap();
    assert!(rebuilt.status.success(), "{rebuilt:?}");
    world.start();
    assert_eq!(world.cli_json(&["audit"]), lines);
    let history = world.cli_json(&["device", "history", "B4-1"]);
    assert_eq!(history.as_array().unwrap().last().unwrap()["what"], "assigned");
}

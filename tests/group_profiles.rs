//! Config profiles that devices have by their labels.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Camera, World};

fn apply(world: &World, name: &str, text: &str) {
    let path = world.path().join(format!("{name}.toml"));
    fs::write(&path, text).unwrap();
    world.cli_json(&["profile", "apply", path.to_str().unwrap()]);
}

fn has(camera: &Camera) -> Value {
    camera.request("GET", "/device/v1/desired", &[], b"").json(200)["profile"]["id"].clone()
}

fn label(world: &World, serial: &str, labels: &[&str]) {
    let labels: Vec<&str> = labels.iter().flat_map(|label| ["--label", *label]).collect();
    let none = ["--no-labels"];
    let labels = if labels.is_empty() { none.as_slice() } else { labels.as_slice() };
    world.cli_json(&[&["device", "set", serial], labels].concat());
}

fn refused(world: &World, arguments: &[&str]) -> String {
    let output = world.cli(arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_label_gives_its_profile_to_the_devices_that_carry_it_now_and_later() {
    let mut world = World::new();
    let cameras: Vec<_> = ["B4-1", "B4-2", "B4-3"].map(|serial| world.camera(serial, "J. Smith")).into();
    apply(&world, "dark", "led = 'off'\n");
    apply(&world, "patrol", "led = 'dim'\n");
    label(&world, "B4-1", &["night"]);
    label(&world, "B4-2", &["night"]);
    world.cli_json(&["profile", "assign", "B4-2", "patrol"]);
    let known = camera_tag(&cameras[0]);
    let mut parked = cameras[0].begin("GET", "/device/v1/desired", &[&known, "Prefer: wait=50"]);
    let assigned = world.cli_json(&["profile", "assign-label", "night", "dark"]);
    assert_eq!((&assigned["devices"], &assigned["warnings"]), (&json!(1), &json!([])));
    assert_eq!(parked.reply("GET").json(200)["profile"]["id"], "dark", "it is told at once");
    // Its own profile counts before that of its label.
    assert_eq!(cameras.iter().map(has).collect::<Vec<_>>(), ["dark", "patrol", "default"]);
    label(&world, "B4-3", &["night", "spare"]);
    world.cli_json(&["profile", "assign", "B4-2", "default"]);
    assert_eq!(cameras.iter().map(has).collect::<Vec<_>>(), ["dark", "dark", "dark"]);

    let shown = String::from_utf8(world.cli(&["device", "show", "B4-3"]).stdout).unwrap();
    assert!(shown.contains("Profile dark version 1, by the label night"), "{shown}");
    let listed = world.cli_json(&["profile", "list"]);
    let dark = listed.as_array().unwrap().iter().find(|row| row["name"] == "dark").unwrap();
    assert_eq!((&dark["devices"], &dark["groups"]), (&json!(3), &json!(["night"])));
    let table = String::from_utf8(world.cli(&["profile", "list"]).stdout).unwrap();
    assert!(table.contains("LABELS") && table.contains("night"), "{table}");
    assert!(refused(&world, &["profile", "assign-label", "night", "dark"]).contains("already"));
    assert!(refused(&world, &["profile", "assign-label", "night", "drak"]).contains("there is: dark, default, patrol"));

    // A new version goes to those that have it by their label too, and all of it outlives a kill.
    apply(&world, "dark", "led = 'off'\nsound = { volume_percent = 0 }\n");
    world.kill();
    world.start();
    let desired = cameras[0].request("GET", "/device/v1/desired", &[], b"").json(200);
    assert_eq!(desired["profile"]["version"], 2);
    world.cli_json(&["profile", "assign-label", "night", "default"]);
    assert_eq!(cameras.iter().map(has).collect::<Vec<_>>(), ["default", "default", "default"]);
}

fn camera_tag(camera: &Camera) -> String {
    let tag = camera.request("GET", "/device/v1/desired", &[], b"").headers["etag"].clone();
    format!("If-None-Match: {tag}")
}

#[test]
fn of_two_labels_the_first_by_name_counts_and_people_are_told() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    apply(&world, "dark", "led = 'off'\n");
    apply(&world, "loud", "sound = { volume_percent = 100 }\n");
    label(&world, "B4-1", &["traffic", "night"]);
    world.cli_json(&["profile", "assign-label", "traffic", "loud"]);
    assert_eq!(has(&camera), "loud");
    let assigned = world.cli_json(&["profile", "assign-label", "night", "dark"]);
    let warning = assigned["warnings"][0]["what"].as_str().unwrap();
    assert!(warning.contains("B4-1") && warning.contains("(traffic); that of night counts"), "{warning}");
    assert_eq!(has(&camera), "dark");
    let shown = String::from_utf8(world.cli(&["device", "show", "B4-1"]).stdout).unwrap();
    assert!(shown.contains("by the label night") && shown.contains("come later by name: traffic"), "{shown}");
    label(&world, "B4-1", &["traffic"]);
    assert_eq!(has(&camera), "loud");
    label(&world, "B4-1", &[]);
    assert_eq!(has(&camera), "default");
}

#[test]
fn what_a_device_cannot_do_comes_by_no_label_either() {
    let world = World::new();
    let issued = world.cli_json(&["device", "add", "--serial", "V-1", "--model", "DVR-808"]);
    let mut recorder = Camera::new(&world);
    let enrolment = recorder.ask_to_be_known(issued["text"].as_str().unwrap()).json(202);
    world.approve("V-1", "Unit 7");
    recorder.fetch_certificate(enrolment["id"].as_str().unwrap());
    let wifi = "[[wifi]]\nssid = 'Yard'\nsecurity = 'wpa2-aes'\npassphrase = '12345678'\nband = '5 GHz'\n";
    apply(&world, "fast", wifi);
    label(&world, "V-1", &["yard"]);
    let why = refused(&world, &["profile", "assign-label", "yard", "fast"]);
    assert!(why.contains("DVR-808 V-1 cannot do what fast sets") && why.contains("2.4 GHz only"), "{why}");
    label(&world, "V-1", &[]);
    world.cli_json(&["profile", "assign-label", "yard", "fast"]);
    let why = refused(&world, &["device", "set", "V-1", "--label", "yard"]);
    assert!(why.contains("cannot do what fast sets") && why.contains("a profile of its own first"), "{why}");
    apply(&world, "slow", "led = 'on'\n");
    world.cli_json(&["profile", "assign", "V-1", "slow"]);
    label(&world, "V-1", &["yard"]);
    // Without its own it would have that of its label.
    assert!(refused(&world, &["profile", "assign", "V-1", "default"]).contains("cannot do what fast sets"));
    assert_eq!(has(&recorder), "slow");
}

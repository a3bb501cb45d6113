//! A static address belongs to one device, also when another takes its place.

use serde_json::{Value, json};

use crate::support::{Camera, World};

const FIXED: &str = "[network]\naddressing = 'static'\naddress = '10.0.0.2'\nprefix = 24\n";

fn apply(world: &World, text: &str) -> Value {
    let path = world.path().join("fixed.toml");
    std::fs::write(&path, text).unwrap();
    world.cli_json(&["profile", "apply", path.to_str().unwrap()])
}

fn waits(world: &World, serial: &str) -> (Camera, Value) {
    let issued = world.cli_json(&["device", "add", "--serial", serial, "--model", "DR-200v1"]);
    let camera = Camera::new(world);
    let enrolment = camera.ask_to_be_known(issued["text"].as_str().unwrap()).json(202);
    (camera, enrolment)
}

/// An enrolled recorder with the static address.
fn first(world: &World) -> Camera {
    let (mut camera, enrolment) = waits(world, "V-1");
    world.approve("V-1", "Unit 1");
    camera.fetch_certificate(enrolment["id"].as_str().unwrap());
    apply(world, FIXED);
    world.cli_json(&["profile", "assign", "V-1", "fixed"]);
    camera
}

fn replaced_by_another(world: &World) -> Camera {
    let (mut camera, enrolment) = waits(world, "V-2");
    world.cli_json(&["device", "approve", "V-2", "--replaces", "V-1"]);
    camera.fetch_certificate(enrolment["id"].as_str().unwrap());
    camera
}

fn network(camera: &Camera) -> Value {
    let desired = camera.request("GET", "/device/v1/desired", &[], b"").json(200);
    desired["profile"]["settings"]["network"].clone()
}

#[test]
fn a_replaced_device_gives_its_address_up_and_comes_back_only_without_it() {
    let world = World::new();
    let old = first(&world);
    assert_eq!(network(&old)["address"], "10.0.0.2");
    let new = replaced_by_another(&world);
    assert_eq!(network(&new)["address"], "10.0.0.2");
    assert_eq!(network(&old), json!({"addressing": "dhcp"}));

    let refused = world.cli(&["device", "activate", "V-1"]);
    let why = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{why}");
    assert!(why.contains("the device V-1 cannot come back") && why.contains("V-2, V-1 would have it"), "{why}");
    world.cli_json(&["profile", "assign", "V-1", "default"]);
    assert!(world.cli(&["device", "activate", "V-1"]).status.success());
    assert_eq!(network(&new)["address"], "10.0.0.2");
}

#[test]
fn a_lost_device_that_was_replaced_does_not_keep_its_successors_profile_from_changing() {
    let mut world = World::new();
    let _lost = first(&world);
    assert!(world.cli(&["device", "suspend", "V-1"]).status.success());
    replaced_by_another(&world);
    assert_eq!(world.cli_json(&["device", "show", "V-1"])["state"], "suspended");
    let changed = apply(&world, &format!("led = 'dim'\n{FIXED}"));
    assert_eq!((&changed["version"], &changed["devices"]), (&json!(2), &json!(2)), "both hear of it");
    // The journal alone tells it too.
    world.kill();
    std::fs::remove_dir_all(world.data().join("index")).unwrap();
    world.start();
    assert_eq!(apply(&world, FIXED)["version"], 3);
    assert_eq!(world.cli(&["device", "activate", "V-1"]).status.code(), Some(1));
}

//! How a device becomes known, and who does not.

use std::time::Duration;

use chrono::{DateTime, Utc};
use longshore_model::{Clock as _, SystemClock};
use rcgen::{CertificateParams, Issuer, KeyPair};
use serde_json::json;

use crate::support::{Camera, World, agent, eventually};

#[test]
fn a_device_waits_with_a_code_until_it_is_approved() {
    let world = World::new();
    let mut camera = Camera::new(&world);
    let text = world.enrolment_text("B4-1");
    let asked = camera.ask_to_be_known(&text).json(202);
    assert_eq!(asked["state"], "pending");
    let listed = world.cli_json(&["device", "list"]);
    assert_eq!((&listed[0]["state"], &listed[0]["code"]), (&json!("pending"), &asked["code"]));
    assert_eq!(camera.ask_to_be_known(&text).json(202), asked, "asking again finds the same enrolment");

    camera.request("POST", "/device/v1/offers", &[], b"{\"items\":[]}").is_problem(403, "unknown-device");
    world.approve("B4-1", "J. Smith");
    camera.fetch_certificate(asked["id"].as_str().unwrap());
    assert!(camera.offer(&[]).is_empty());
    let listed = world.cli_json(&["device", "list"]);
    assert_eq!((&listed[0]["state"], &listed[0]["assignee"]), (&json!("active"), &json!("J. Smith")));
}

#[test]
fn what_a_device_says_of_itself_is_there_when_an_admin_decides() {
    let world = World::new();
    let camera = Camera::new(&world);
    let text: longshore_protocol::EnrolmentText = world.enrolment_text("B4-1").parse().unwrap();
    let authorization = format!("Authorization: Longshore-Enrol {}", text.credentials());
    let device = json!({"firmware": "4.2.1", "macs": ["02:00:5e:10:00:01"], "bay_mac": "02:00:5e:20:00:05"});
    let ask = |device: &serde_json::Value| {
        camera.post_json("/device/v1/enrolments", &[&authorization], &json!({"device": device}))
    };
    ask(&json!({"macs": vec!["02:00:5e:10:00:01"; 17]})).is_problem(400, "malformed-request");
    ask(&device).json(202);
    assert_eq!(world.cli_json(&["device", "list"])[0]["description"], device);
}

#[test]
fn a_waiting_poll_is_answered_as_soon_as_the_admin_approves() {
    let world = World::new();
    let camera = Camera::new(&world);
    let asked = camera.ask_to_be_known(&world.enrolment_text("B4-1")).json(202);
    let path = format!("/device/v1/enrolments/{}", asked["id"].as_str().unwrap());
    let mut poll = camera.begin("GET", &path, &["Prefer: wait=50"]);
    poll.arrived();
    world.approve("B4-1", "J. Smith");
    let began = std::time::Instant::now();
    assert_eq!(poll.reply("GET").json(200)["state"], "approved");
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_used_up_token_is_refused() {
    let world = World::new();
    let text = world.enrolment_text("B4-1");
    Camera::new(&world).ask_to_be_known(&text).json(202);
    let problem = Camera::new(&world).ask_to_be_known(&text).is_problem(403, "token-refused");
    assert!(problem["detail"].as_str().unwrap().contains("used"));
    assert_eq!(world.cli_json(&["device", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn an_expired_token_is_refused() {
    let world = World::new();
    let issued = world.cli_json(&["device", "add", "--serial", "B4-1", "--model", "BC4", "--valid-for", "1s"]);
    let expires: DateTime<Utc> = issued["expires"].as_str().unwrap().parse().unwrap();
    eventually("the token expires", || SystemClock.now() > expires);
    let problem =
        Camera::new(&world).ask_to_be_known(issued["text"].as_str().unwrap()).is_problem(403, "token-refused");
    assert!(problem["detail"].as_str().unwrap().contains("expired"));
}

#[test]
fn a_guessed_secret_is_refused_and_does_not_use_the_token_up() {
    let world = World::new();
    let text = world.enrolment_text("B4-1");
    let parts: Vec<&str> = text.rsplitn(3, '.').collect();
    let guess = format!("{}.AAAAAAAAAAAAAAAAAAAAAA.{}", parts[2], parts[0]);
    Camera::new(&world).ask_to_be_known(&guess).is_problem(403, "token-refused");
    Camera::new(&world).ask_to_be_known(&text).json(202);
}

#[test]
fn a_token_does_not_serve_another_serial() {
    let world = World::new();
    let output = agent()
        .args(["enrol", "--serial", "B4-2", "--url", &world.enrolment_text("B4-1"), "--state"])
        .arg(world.path().join("state"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("B4-1"), "{output:?}");
}

#[test]
fn a_device_that_sees_another_key_than_the_pinned_one_says_so_and_sends_nothing() {
    let (world, other) = (World::new(), World::new());
    let text = world.enrolment_text("B4-1");
    let redirected = text.replace(&world.address.to_string(), &other.address.to_string());
    let output = agent().args(["enrol", "--url", &redirected, "--state"]).arg(world.path().join("s")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another key"), "{output:?}");
    assert_eq!(other.cli_json(&["device", "list"]), json!([]));
}

#[test]
fn without_a_certificate_or_with_a_foreign_one_a_device_is_told_what_is_missing() {
    let world = World::new();
    let known = world.camera("B4-1", "J. Smith");
    let offers = |camera: &Camera| camera.request("POST", "/device/v1/offers", &[], b"{\"items\":[]}");
    assert_eq!(offers(&known).status, 200);

    // A certificate with the right names, from an authority of its own.
    let mut foreign = Camera::new(&world);
    let authority = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["longshore".into()]).unwrap();
    let issuer = Issuer::new(CertificateParams::new(Vec::new()).unwrap(), authority);
    let certificate = params.signed_by(foreign.key(), &issuer).unwrap();
    foreign.show(certificate.der().clone());
    offers(&foreign).is_problem(403, "unknown-device");

    let plain = std::process::Command::new("curl")
        .args(["-sk", "-d", "{}", &format!("https://{}/device/v1/offers", world.address)])
        .output()
        .unwrap();
    let problem: serde_json::Value = serde_json::from_slice(&plain.stdout).unwrap();
    assert_eq!(problem["type"], "urn:longshore:problem:unauthenticated");
}

#[test]
fn one_key_cannot_become_two_devices() {
    let world = World::new();
    let mut camera = Camera::new(&world);
    let first = camera.ask_to_be_known(&world.enrolment_text("B4-1")).json(202);
    world.approve("B4-1", "J. Smith");
    camera.ask_to_be_known(&world.enrolment_text("B4-2")).json(202);
    let output = world.cli(&["device", "approve", "B4-2", "--assignee", "J. Smith"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("B4-1"), "{output:?}");
    camera.fetch_certificate(first["id"].as_str().unwrap());
    assert!(camera.offer(&[]).is_empty(), "the first stays what it was");
}

#[test]
fn another_key_does_not_see_an_enrolment() {
    let world = World::new();
    let camera = Camera::new(&world);
    let asked = camera.ask_to_be_known(&world.enrolment_text("B4-1")).json(202);
    let path = format!("/device/v1/enrolments/{}", asked["id"].as_str().unwrap());
    assert_eq!(camera.request("GET", &path, &[], b"").status, 200);
    Camera::new(&world).request("GET", &path, &[], b"").is_problem(404, "enrolment-not-found");
}

#[test]
fn what_a_device_and_an_admin_were_told_in_secret_is_in_no_log_and_no_file() {
    let world = World::new();
    let text = world.enrolment_text("B4-1");
    Camera::new(&world).ask_to_be_known(&text).json(202);
    Camera::new(&world).ask_to_be_known(&text).is_problem(403, "token-refused");
    let secret = text.rsplit('.').nth(1).unwrap();
    assert_eq!(secret.len(), 22);
    assert!(!world.log().contains(secret));
    for file in crate::support::files_below(&world.data().join("journal")) {
        assert!(!std::fs::read_to_string(file).unwrap().contains(secret));
    }
}

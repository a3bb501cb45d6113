//! What a tired operator types, and what the program says.

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::support::{self, Process, World};

fn longshore(arguments: &[&str]) -> Output {
    support::longshore().args(arguments).output().unwrap()
}

fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let world = World::new();
    let output = world.cli(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(refusal(&output).contains("another Longshore is running"));
}

#[test]
fn a_system_without_certificates_of_authorities_is_enough() {
    let world = World::new();
    let mut command = support::longshore();
    command.args(["device", "list", "--data"]).arg(world.data());
    let nothing = world.path().join("nothing");
    let output = command.env("SSL_CERT_FILE", &nothing).env("SSL_CERT_DIR", &nothing).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = folder.path().join("data").display().to_string();
    let said = refusal(&longshore(&["serve", "--listen", &address, "--data", &data]));
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
}

#[test]
fn a_data_folder_that_cannot_be_one_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    let said = refusal(&longshore(&["serve", "--listen", "127.0.0.1:0", "--data", &path]));
    assert!(said.contains(&path), "{said}");
}

#[test]
fn a_folder_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("format.json"), "{\"longshore_data\":3}").unwrap();
    let path = folder.path().display().to_string();
    let said = refusal(&longshore(&["serve", "--listen", "127.0.0.1:0", "--data", &path]));
    assert!(said.contains("form 3"), "{said}");
    assert!(!folder.path().join("journal").exists());
}

#[test]
fn a_key_that_is_lost_is_not_replaced_in_silence() {
    let mut world = World::new();
    world.kill();
    std::fs::remove_file(world.data().join("keys/receipt.key")).unwrap();
    let said = refusal(&world.cli(&["serve", "--listen", "127.0.0.1:0"]));
    assert!(said.contains("receipt.key") && said.contains("backup"), "{said}");
}

#[test]
fn a_command_without_a_server_says_how_to_start_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    for arguments in [["device", "list"], ["recordings", "list"]] {
        let said = refusal(&longshore(&[&arguments[..], &["--data", &path]].concat()));
        assert!(said.contains("longshore serve"), "{said}");
    }
    // A server that was killed leaves its socket behind.
    let mut world = World::new();
    world.kill();
    assert!(refusal(&world.cli(&["device", "list"])).contains("longshore serve"));
}

#[test]
fn the_command_line_reaches_a_server_in_a_very_deep_folder() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a-folder-with-a-name-of-some-length".repeat(4));
    let data = deep.display().to_string();
    let mut command = support::longshore();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data", &data]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = Process::start(&mut command);
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stdout()), &mut line).unwrap();
    let listed = longshore(&["device", "list", "--json", "--data", &data]);
    assert_eq!(listed.stdout, b"[]\n", "{listed:?}");
}

#[test]
fn only_devices_that_wait_can_be_approved() {
    let world = World::new();
    let said = refusal(&world.cli(&["device", "approve", "B4-9", "--assignee", "J. Smith"]));
    assert!(said.contains("B4-9") && said.contains("device list"), "{said}");
    world.camera("B4-1", "J. Smith");
    let said = refusal(&world.cli(&["device", "approve", "B4-1", "--assignee", "J. Smith"]));
    assert!(said.contains("already"), "{said}");
    let said = refusal(&world.cli(&["device", "approve", "B4-1", "--assignee", " "]));
    assert!(said.contains("assignee"), "{said}");
}

#[test]
fn a_profile_that_does_not_exist_is_refused() {
    let world = World::new();
    let camera = support::Camera::new(&world);
    camera.ask_to_be_known(&world.enrolment_text("B4-1")).json(202);
    let said = refusal(&world.cli(&["device", "approve", "B4-1", "--assignee", "J. Smith", "--profile", "nigth"]));
    assert!(said.contains("nigth") && said.contains("default"), "{said}");
}

#[test]
fn lists_are_for_people_and_with_json_for_programs() {
    let world = World::new();
    assert!(String::from_utf8(world.cli(&["device", "list"]).stdout).unwrap().contains("No devices yet"));
    assert_eq!(world.cli_json(&["device", "list"]), json!([]));
    assert_eq!(world.cli_json(&["recordings", "list"]), json!([]));
    world.camera("B4-1", "J. Smith");
    let text = String::from_utf8(world.cli(&["device", "list"]).stdout).unwrap();
    assert!(text.starts_with("SERIAL") && text.contains("J. Smith"), "{text}");
}

#[test]
fn health_and_readiness_are_told_to_anyone() {
    let world = World::new();
    for (path, answer) in [("healthz", "ok\n"), ("readyz", "ready\n")] {
        let url = format!("https://{}/{path}", world.address);
        let output = Command::new("curl").args(["-sk", "--fail", &url]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), answer);
    }
    let page = Command::new("curl").args(["-sk", &format!("https://{}/", world.address)]).output().unwrap();
    assert!(String::from_utf8(page.stdout).unwrap().contains("Longshore"));
}

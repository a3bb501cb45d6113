//! Other programs are told what happens: signed, once, in its order, and nowhere else.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use longshore_model::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Authority, Process, World, bytes, eventually, installed, recording};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A program that is told.
struct Receiver {
    folder: TempDir,
    process: Option<Process>,
    port: u16,
}

impl Receiver {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Authority::new().issue(folder.path(), 1);
        let mut receiver = Self { folder, process: None, port: 0 };
        receiver.come_up();
        receiver
    }

    fn come_up(&mut self) {
        let mut command = Command::new(installed("venv/bin/python"));
        command.arg(installed("webhook_receiver.py")).arg(self.folder.path()).args([SECRET, &self.port.to_string()]);
        let mut process = Process::start(command.stdout(Stdio::piped()));
        let mut line = String::new();
        BufReader::new(process.stdout()).read_line(&mut line).unwrap();
        self.port = line.trim().parse().unwrap();
        self.process = Some(process);
    }

    fn go_down(&mut self) {
        self.process = None;
    }

    /// From now on it answers this status, or takes what comes.
    fn answers(&self, status: Option<u16>) {
        let path = self.folder.path().join("answer");
        match status {
            Some(status) => fs::write(path, status.to_string()).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
    }

    /// What it answered with this status, in the order in which it came.
    fn got(&self, status: u16) -> Vec<Value> {
        let names = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut paths: Vec<_> =
            names.filter(|path| path.to_str().unwrap().ends_with(&format!("-{status}.json"))).collect();
        paths.sort();
        paths.iter().map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect()
    }

    /// Everything that it was told, one after the other.
    fn records(&self) -> Vec<Value> {
        let told = self.got(204).into_iter();
        told.flat_map(|message| message["body"]["data"]["records"].as_array().unwrap().clone()).collect()
    }

    fn webhook(&self, host: &str, secret: &str, more: &str) -> String {
        let (port, ca) = (self.port, self.folder.path().join("ca.pem"));
        format!(
            "[[webhook]]\nname = 'dispatch'\nurl = 'https://{host}:{port}/in'\nsecret = '{secret}'\nca = '{}'\n{more}",
            ca.display()
        )
    }
}

fn config(folder: &Path, webhooks: &str) -> String {
    let file = folder.join("webhooks.toml");
    fs::write(&file, webhooks).unwrap();
    format!("[webhooks]\nfile = '{}'\n", file.display())
}

fn store(world: &World, camera: &crate::support::Camera, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let content = bytes(number.into(), 1000);
        let upload = camera.upload_of(&recording(number, &content));
        assert_eq!(camera.patch(&upload, 0, &content).status, 204, "{}", world.log());
    }
}

/// Waits until the server has noted where this webhook begins.
fn is_known(world: &World) {
    let journal = world.data().join("journal");
    eventually("the webhook is known", || {
        let files = fs::read_dir(&journal).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
        files.collect::<String>().contains("\"gathered\"")
    });
}

#[test]
fn a_program_is_told_of_what_happens_once_and_in_its_order() {
    let mut receiver = Receiver::start();
    let mut world = World::at_rest();
    let webhooks = receiver.webhook("localhost", SECRET, "private = true\n");
    fs::write(world.path().join("longshore.toml"), config(receiver.folder.path(), &webhooks)).unwrap();
    world.start();
    is_known(&world);
    let camera = world.camera("B4-1", "J. Smith");
    store(&world, &camera, 1..4);
    eventually("three are told", || receiver.records().len() == 3);
    // It does not answer, and the server is killed: what happens meanwhile comes when it is back.
    receiver.go_down();
    store(&world, &camera, 4..6);
    let from_to = ["--from", "2026-11-20T14:00:00Z", "--to", "2026-11-20T14:10:00Z"];
    let request = world.cli_json(&[&["request", "add", "--device", "B4-1"][..], &from_to].concat());
    world.cli_json(&["request", "cancel", request["id"].as_str().unwrap()]);
    let mut event =
        json!({"id": format!("{:032x}", 1), "type": "storage_missing", "at": SystemClock.now().to_rfc3339()});
    camera.post_json("/device/v1/health-events", &[], &json!({"events": [event]})).json(200);
    (event["id"], event["cleared"]) = (json!(format!("{:032x}", 2)), json!(true));
    camera.post_json("/device/v1/health-events", &[], &json!({"events": [event]})).json(200);
    let checkpoint = world.cli_json(&["checkpoint", "make"]);
    eventually("it was tried", || {
        let outbox = world.cli_json(&["mail", "outbox"]);
        let waits = |row: &&Value| row["kind"] == "webhook" && row["state"] == "waiting" && row["attempts"] != 0;
        outbox["messages"].as_array().unwrap().iter().any(|row| waits(&row))
    });
    world.kill();
    receiver.come_up();
    world.start();
    world.cli_json(&["mail", "retry"]);
    eventually("all is told", || receiver.records().len() == 9);
    let records = receiver.records();
    let numbers: Vec<_> = records.iter().map(|record| record["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    for (record, row) in records.iter().zip(world.recordings()) {
        assert_eq!((&record["type"], &record["recording"]["sha256"]), (&json!("recording.stored"), &row["sha256"]));
        assert_eq!(record["recording"]["path"], row["path"]);
    }
    assert_eq!((&records[5]["type"], &records[5]["request"]["id"]), (&json!("request.over"), &request["id"]));
    assert_eq!(records[5]["request"]["targets"][0]["state"], "cancelled");
    for (record, kind) in records[6..8].iter().zip(["issue.opened", "issue.ended"]) {
        let issue = &record["issue"];
        let told = (&record["type"], &issue["type"], &issue["device"]["serial"]);
        assert_eq!(told, (&json!(kind), &json!("storage_missing"), &json!("B4-1")), "{record}");
        assert!(!issue["steps"].as_array().unwrap().is_empty());
    }
    assert_eq!((&records[8]["type"], &records[8]["checkpoint"]), (&json!("checkpoint.signed"), &checkpoint));
    let messages = receiver.got(204);
    assert!(messages.iter().all(|message| message["path"] == "/in" && message["body"]["type"] == "longshore.news"));
    assert!(!world.log().contains("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "the secret is in the log");
}

#[test]
fn what_a_program_does_not_take_is_sent_again_and_it_is_told_why_it_was_not() {
    let receiver = Receiver::start();
    receiver.answers(Some(307));
    let mut world = World::at_rest();
    let file = receiver.folder.path();
    let configure = |webhooks: &str| config(file, webhooks);
    fs::write(
        world.path().join("longshore.toml"),
        configure(&receiver.webhook("localhost", SECRET, "private = true\n")),
    )
    .unwrap();
    world.start();
    is_known(&world);
    let camera = world.camera("B4-1", "J. Smith");
    store(&world, &camera, 1..2);
    let said = |told: &str| {
        eventually(told, || {
            world.cli_json(&["mail", "retry"]);
            let outbox = world.cli_json(&["mail", "outbox"]);
            outbox["messages"][0]["tried"]["said"].as_str().is_some_and(|said| said.contains(told))
        });
    };
    said("answers 307 Temporary Redirect, and redirects are not followed");
    receiver.answers(Some(500));
    said("answers 500 Internal Server Error");
    // The same program by an address that only a webhook may have that says so, with another secret, and under another name.
    for (webhook, told) in [
        (receiver.webhook("localhost", SECRET, ""), "set private = true"),
        (receiver.webhook("localhost", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "private = true\n"), "answers 401"),
        (receiver.webhook("127.0.0.1", SECRET, "private = true\n"), "not valid for name"),
        (receiver.webhook("no-such-host.invalid", SECRET, ""), "it cannot be found"),
    ] {
        world.reconfigure(&configure(&webhook));
        said(told);
    }
    receiver.answers(None);
    world.reconfigure(&configure(&receiver.webhook("localhost", SECRET, "private = true\n")));
    eventually("it is told at last", || {
        world.cli_json(&["mail", "retry"]);
        receiver.records().len() == 1
    });
    let tried: Vec<_> = receiver.got(307).into_iter().chain(receiver.got(500)).chain(receiver.got(204)).collect();
    assert!(tried.iter().all(|message| message["id"] == tried[0]["id"]), "one message: {tried:?}");
}

#[test]
fn a_webhook_that_cannot_work_keeps_the_server_from_starting() {
    let receiver = Receiver::start();
    let mut world = World::at_rest();
    let wrong = receiver.webhook("169.254.169.254", "hush", "private = true\n");
    fs::write(world.path().join("longshore.toml"), config(receiver.folder.path(), &wrong)).unwrap();
    assert!(!world.try_start(&[]));
    let log = world.log();
    assert!(log.contains("webhook[0].url: its address is one that no webhook may have"), "{log}");
    assert!(log.contains("webhook[0].secret: it is no secret") && !log.contains("hush"), "{log}");
}

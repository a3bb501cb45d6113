//! Custody: what became of a recording, checkpoints that anybody can keep, the server's own look at its store, and exports that
//! are checked without it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use longshore_model::Sha256;
use serde_json::{Value, json};

use crate::support::{Camera, World, bytes, eventually, files_below, longshore, recording, rid};

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Sends recordings, and answers the receipt of each.
fn send(camera: &Camera, numbers: std::ops::Range<u32>) -> Vec<String> {
    let one = |n: u32| {
        let content = bytes(n.into(), 100_000);
        let item = recording(n, &content);
        assert_eq!(camera.patch(&camera.upload_of(&item), 0, &content).status, 204);
        camera.offer(&[item])[0]["receipt"].as_str().unwrap().to_owned()
    };
    numbers.map(one).collect()
}

fn delete(camera: &Camera, receipt: &str) {
    let deleted = json!({"items": [{"receipt": receipt, "deleted_at": "2026-11-21T15:00:00+01:00"}]});
    camera.post_json("/device/v1/deletions", &[], &deleted).json(200);
}

fn videos(world: &World) -> Vec<PathBuf> {
    world.stored().into_keys().map(|name| world.storage().join(name)).collect()
}

fn flip_a_byte(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

fn look(world: &World, status: i32) -> Value {
    let output = world.cli(&["verify", "store", "--report", "--now", "--json"]);
    assert_eq!(output.status.code(), Some(status), "{}", said(&output));
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["last"].clone()
}

fn counts(report: &Value) -> [u64; 3] {
    ["expected", "present", "unverified"].map(|key| report[key].as_u64().unwrap())
}

const ALL: &str = "[custody]\nshare = \"100 %\"\n";

#[test]
fn a_recording_tells_all_that_became_of_it_with_times_names_and_lines() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let receipts = send(&camera, 0..2);
    delete(&camera, &receipts[0]);
    let before = world.cli(&["recordings", "show", &rid(0)]);
    assert!(said(&before).contains("not covered by a checkpoint yet"), "{}", said(&before));
    world.cli_json(&["checkpoint", "make"]);
    let folder = world.path().join("export");
    world.cli_json(&["export", "--to", folder.to_str().unwrap(), &rid(0)]);

    let records = world.cli_json(&["recordings", "show", &rid(0)]);
    let record = &records[0];
    assert_eq!((records.as_array().unwrap().len(), &record["serial"]), (1, &"B4-1".into()));
    let events: Vec<&Value> = record["events"].as_array().unwrap().iter().collect();
    let steps: Vec<(&str, &str)> =
        events.iter().map(|event| (event["what"].as_str().unwrap(), event["by"].as_str().unwrap())).collect();
    let uid = format!("uid {}", rustix::process::geteuid().as_raw());
    assert_eq!(
        steps,
        [
            ("declared", "B4-1"),
            ("received", "B4-1"),
            ("verified", "server"),
            ("receipted", "server"),
            ("deleted_on_device", "B4-1"),
            ("exported", uid.as_str())
        ]
    );
    let times: Vec<&str> = events.iter().map(|event| event["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let lines: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(lines.is_sorted() && lines[1] == lines[3] && lines[5] > lines[4], "{lines:?}");
    assert!(record["covered_by"]["seq"].as_u64().unwrap() > lines[5], "the export made a checkpoint");
    let text = said(&world.cli(&["recordings", "show", &rid(0)]));
    for word in
        ["J. Smith", "100,000 bytes", "received", "verified, sha256", "receipted", "by its clock 2026-11-21", &uid]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
    // What the journal says, line by line, is what was told.
    let journal = fs::read_to_string(&files_below(&world.data().join("journal"))[0]).unwrap();
    let line = |seq: u64| journal.lines().nth(usize::try_from(seq).unwrap() - 1).unwrap();
    assert!(line(lines[1]).contains("\"kind\":\"stored\"") && line(lines[4]).contains("\"kind\":\"deleted\""));
    // Who was given what is in the audit log too.
    let audit = world.cli_json(&["audit"]);
    assert!(audit.as_array().unwrap().iter().any(|line| line["did"] == "recordings_exported" && line["by"] == uid));

    let nobody = world.cli(&["recordings", "show", &rid(99)]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(said(&nobody).contains("recordings list"), "{}", said(&nobody));
}

#[test]
fn a_checkpoint_from_a_mail_tells_what_became_of_the_journal() {
    let mut world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    send(&camera, 0..1);
    let first = world.cli_json(&["checkpoint", "make"])["signed"].as_str().unwrap().to_owned();
    assert_eq!(world.cli_json(&["checkpoint", "make"])["signed"], first.as_str(), "nothing came since");
    send(&camera, 1..2);
    let second = world.cli_json(&["checkpoint", "make"])["signed"].as_str().unwrap().to_owned();
    assert_eq!(world.cli_json(&["checkpoint", "list"]).as_array().unwrap().len(), 2);

    // As it comes out of a mailbox: quoted and broken into lines.
    let mail = world.path().join("mail.eml");
    let broken: Vec<&str> = second.as_bytes().chunks(70).map(|part| str::from_utf8(part).unwrap()).collect();
    fs::write(&mail, format!("> Checkpoints of today:\n> {first}\n>\n> {}\n> Regards\n", broken.join("=\n> ")))
        .unwrap();
    let mail = mail.to_str().unwrap();
    for text in [first.as_str(), mail] {
        let output = world.cli(&["verify", "checkpoint", text]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
    let rows = world.cli_json(&["verify", "checkpoint", mail]);
    assert_eq!(rows["checkpoints"].as_array().unwrap().len(), 2);

    let other = World::new();
    let theirs = other.cli(&["verify", "checkpoint", &first]);
    assert_eq!(theirs.status.code(), Some(1));
    assert!(said(&theirs).contains("none of this server"), "{}", said(&theirs));
    let none = world.cli(&["verify", "checkpoint", "Regards"]);
    assert!(none.status.code() == Some(1) && said(&none).contains("there is no checkpoint in it"), "{}", said(&none));

    world.terminate();
    assert_eq!(world.stopped(), Some(0));
    // Somebody who knows the form of the journal rewrites a line, and all hashes behind it.
    let segment = files_below(&world.data().join("journal")).remove(0);
    let good = fs::read_to_string(&segment).unwrap();
    let changed = rid(1);
    let stored = |line: &str| line.contains("\"kind\":\"stored\"") && line.contains(&changed);
    assert!(good.lines().any(stored), "{good}");
    let forge = |line: &str| if stored(line) { line.replace(&changed, &rid(7)) } else { line.to_owned() };
    fs::write(&segment, rewritten(&good, forge)).unwrap();
    let output = world.cli(&["verify", "checkpoint", mail]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("HOLDS") && text.contains("history was rewritten: a line from"), "{text}");
    // Its end is gone, from the line on that the second one covers last.
    let position = rows["checkpoints"][1]["position"].as_u64().unwrap();
    let cut: String =
        good.lines().take(usize::try_from(position).unwrap() - 1).map(|line| format!("{line}\n")).collect();
    fs::write(&segment, cut).unwrap();
    let text = said(&world.cli(&["verify", "checkpoint", mail]));
    assert!(text.contains("HOLDS") && text.contains("are gone"), "{text}");
    fs::write(&segment, good).unwrap();
    assert_eq!(world.cli(&["verify", "checkpoint", mail]).status.code(), Some(0), "without the server too");
}

/// The journal with `f` applied to each line, and a chain that holds again.
fn rewritten(journal: &str, f: impl Fn(&str) -> String) -> String {
    let (mut prev, mut text) = (String::new(), String::new());
    for line in journal.lines() {
        let line = f(line);
        let (content, _) = line.rsplit_once(",\"hash\":\"").unwrap();
        let begin = content.find("\"prev\":\"").unwrap() + 8;
        let end = begin + content[begin..].find('"').unwrap();
        let content = format!("{}{prev}{}", &content[..begin], &content[end..]);
        prev = Sha256::of(format!("{prev}{}", Sha256::of(content.as_bytes())).as_bytes()).to_string();
        text.push_str(&format!("{content},\"hash\":\"{prev}\"}}\n"));
    }
    text
}

#[test]
fn the_servers_own_look_finds_each_damage_and_mends_nothing() {
    let world = World::configured(ALL);
    let camera = world.camera("B4-1", "J. Smith");
    send(&camera, 0..6);
    let none = world.cli(&["verify", "store", "--report"]);
    assert!(said(&none).contains("has not looked at its store yet"), "{}", said(&none));
    let well = look(&world, 0);
    assert_eq!(counts(&well), [6, 6, 0]);
    assert_eq!((&well["read"], &well["problems"]), (&6.into(), &0.into()));
    let text = said(&world.cli(&["verify", "store", "--report"]));
    assert!(text.contains("6 expected, 6 present, 0 unverified"), "{text}");

    let videos = videos(&world);
    let manifest = |video: &PathBuf| PathBuf::from(format!("{}.json", video.display()));
    flip_a_byte(&videos[0], 77_777);
    fs::remove_file(&videos[1]).unwrap();
    fs::remove_file(manifest(&videos[2])).unwrap();
    let altered = fs::read_to_string(manifest(&videos[3])).unwrap().replace("J. Smith", "K. Smith");
    fs::write(manifest(&videos[3]), altered).unwrap();
    fs::remove_file(&videos[4]).unwrap();
    fs::remove_file(manifest(&videos[4])).unwrap();
    fs::write(world.storage().join("Thumbs.db"), "x").unwrap();
    let before = files_below(&world.storage());
    let found = look(&world, 1);
    assert_eq!(counts(&found), [6, 1, 0]);
    let mut wrong: Vec<(String, PathBuf)> = found["problems_named"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| {
            let path = world.storage().join(problem["path"].as_str().unwrap());
            (problem["kind"].as_str().unwrap().to_owned(), path)
        })
        .collect();
    wrong.sort_by(|one, other| one.1.cmp(&other.1));
    let mut expected = vec![
        ("altered_video".to_owned(), videos[0].clone()),
        ("missing_video".to_owned(), videos[1].clone()),
        ("missing_manifest".to_owned(), manifest(&videos[2])),
        ("altered_manifest".to_owned(), manifest(&videos[3])),
        ("missing_video".to_owned(), videos[4].clone()),
        ("missing_manifest".to_owned(), manifest(&videos[4])),
    ];
    expected.sort_by(|one, other| one.1.cmp(&other.1));
    assert_eq!(wrong, expected);
    assert_eq!(found["foreign_named"], json!(["Thumbs.db"]));
    assert_eq!(files_below(&world.storage()), before, "nothing is deleted or repaired");
    assert!(world.log().contains("the store is not as it should be"));

    // Of what was wrong a later look is well only when it saw it right.
    flip_a_byte(&videos[0], 77_777);
    assert_eq!(counts(&look(&world, 1)), [6, 2, 0]);
}

/// The video that the server has open now.
fn open_video(world: &World) -> Option<PathBuf> {
    let files = fs::read_dir(format!("/proc/{}/fd", world.pid())).unwrap();
    // A descriptor may be closed between the listing and the look.
    let mut open = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    open.find(|path| path.extension().is_some_and(|ending| ending == "mp4"))
}

#[test]
fn a_look_that_a_stop_interrupts_goes_on_after_the_next_start() {
    let mut world = World::at_rest();
    fs::write(world.path().join("longshore.toml"), ALL).unwrap();
    world.start();
    let camera = world.camera("B4-1", "J. Smith");
    send(&camera, 0..8);
    world.terminate();
    assert_eq!(world.stopped(), Some(0));
    // Three are read at once, each of the others takes a while.
    world.fail_points = "custody-read=3*off->sleep(1500)".to_owned();
    world.start();
    let (status, _) = world.api("POST", "/api/v1/reconciliation", "{}");
    assert_eq!(status, 202);
    let (status, refused) = world.api("POST", "/api/v1/reconciliation", "{}");
    assert_eq!(status, 409, "{refused}");
    let (mut before, mut times) = (None, 0);
    eventually("it reads one for long", || {
        let open = open_video(&world);
        times = if open.is_some() && open == before { times + 1 } else { 0 };
        before = open;
        times == 10
    });
    world.terminate();
    assert_eq!(world.stopped(), Some(0));
    let journal = || fs::read_to_string(&files_below(&world.data().join("journal"))[0]).unwrap();
    assert!(journal().contains("reconciliation_paused") && !journal().contains("\"what\":\"reconciled\""));
    world.fail_points.clear();
    world.start();
    eventually("it goes on", || {
        fs::read_to_string(&files_below(&world.data().join("journal"))[0]).unwrap().contains("\"what\":\"reconciled\"")
    });
    let report = world.cli_json(&["verify", "store", "--report"])["last"].clone();
    assert_eq!(counts(&report), [8, 8, 0]);
    assert_eq!(report["read"], 8, "each once");
}

#[test]
fn only_auditors_and_admins_read_custody_and_only_admins_give_out() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    send(&camera, 0..1);
    for (role, reads, gives) in [("viewer", false, false), ("auditor", true, false), ("admin", true, true)] {
        world.cli_json(&["account", "add", role, "--role", role]);
        let token = world.cli_json(&["account", "token", role, "--label", "test"])["token"].clone();
        let authorization = format!("Authorization: Bearer {}", token.as_str().unwrap());
        let program = Camera::new(&world);
        let headers = [authorization.as_str(), "Content-Type: application/json"];
        let get = |path: &str| program.request("GET", path, &headers, b"").status;
        let post =
            |path: &str, body: &Value| program.request("POST", path, &headers, body.to_string().as_bytes()).status;
        let read = if reads { 200 } else { 403 };
        assert_eq!(get(&format!("/api/v1/custody?rid={}", rid(0))), read, "{role}");
        assert_eq!(get("/api/v1/checkpoints"), read, "{role}");
        assert_eq!(get("/api/v1/reconciliation"), 200, "{role}");
        let give = if gives { 201 } else { 403 };
        assert_eq!(post("/api/v1/exports", &json!({"recordings": [rid(0)]})), give, "{role}");
        assert_eq!(post("/api/v1/checkpoints", &json!({})), if gives { 200 } else { 403 }, "{role}");
    }
}

/// As on another computer: no server, no data folder, no configuration, no network.
fn verify_offline(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let elsewhere = tempfile::tempdir().unwrap();
    let output = longshore()
        .args(["verify", "export"])
        .arg(folder)
        .args(arguments)
        .current_dir(elsewhere.path())
        .env("HOME", elsewhere.path())
        .output()
        .unwrap();
    (output.status.code().unwrap(), said(&output))
}

#[test]
fn an_export_is_checked_without_the_server_and_every_change_is_told() {
    let mut world = World::new();
    let camera = world.camera("B4-1", "J. <b>Smith</b>");
    let receipts = send(&camera, 0..3);
    delete(&camera, &receipts[1]);
    let other = world.camera("B4-2", "A. Jones");
    send(&other, 10..12);
    world.cli_json(&["account", "add", "secret-account", "--role", "viewer"]);
    let folder = world.path().join("case 4711");
    let to = folder.to_str().unwrap();
    let exported = world.cli(&["export", "--to", to, "--device", "B4-1"]);
    assert_eq!(exported.status.code(), Some(0), "{}", said(&exported));
    let told = String::from_utf8(exported.stdout).unwrap();
    let server = told.rsplit("--fingerprint ").next().unwrap().trim().to_owned();
    let again = world.cli(&["export", "--to", to, "--device", "B4-1"]);
    assert!(again.status.code() == Some(1) && said(&again).contains("is not empty"), "{}", said(&again));
    // Another copy, by time and by whom.
    let second = world.path().join("second");
    let by = ["--assignee", "A. Jones", "--from", "2026-11-20 00:00", "--until", "2026-11-21 00:00"];
    world.cli_json(&[&["export", "--to", second.to_str().unwrap()], &by[..]].concat());
    world.kill();

    let (status, text) = verify_offline(&folder, &["--fingerprint", &server]);
    assert_eq!(status, 0, "{text}");
    for words in ["3 recordings", "Proved:", "whose fingerprint you gave", "Not proved:", "mailbox"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let (status, text) = verify_offline(&folder, &[]);
    assert!(status == 0 && text.contains("Whose key that is"), "{text}");
    let (status, text) = verify_offline(&folder, &["--fingerprint", "someone-else"]);
    assert!(status == 1 && text.contains("and not by someone-else"), "{text}");
    assert_eq!(verify_offline(&second, &["--fingerprint", &server]).0, 0);
    let (status, _) = verify_offline(world.path(), &[]);
    assert_eq!(status, 1, "a folder that is no export");

    // Of others nothing is told, and names in the page are text.
    let log = fs::read_to_string(folder.join("custody-log.txt")).unwrap();
    assert!(!log.contains("secret-account") && !log.contains(&rid(10)) && log.contains(&rid(1)));
    let page = fs::read_to_string(folder.join("verification.html")).unwrap();
    assert!(page.contains(&server) && !page.contains("<b>Smith") && !page.contains("<script"), "{page}");
    let sums = Command::new("sha256sum").args(["-c", "--quiet", "files.sha256"]).current_dir(&folder).output().unwrap();
    assert!(sums.status.success(), "{}", said(&sums));

    for file in files_below(&folder) {
        let good = fs::read(&file).unwrap();
        flip_a_byte(&file, good.len() as u64 / 2);
        let (status, text) = verify_offline(&folder, &["--json"]);
        assert_eq!(status, 1, "{}: {text}", file.display());
        fs::write(&file, good).unwrap();
    }
    assert_eq!(verify_offline(&folder, &[]).0, 0);
}

#[test]
fn what_cannot_be_given_out_is_refused_with_what_to_do() {
    let mut world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    send(&camera, 0..1);
    let refused = |world: &World, arguments: &[&str], words: &str| {
        let folder = world.path().join("refused");
        let output = world.cli(&[&["export", "--to", folder.to_str().unwrap()], arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
        let _nothing_was_made = fs::remove_dir(&folder);
    };
    refused(&world, &[], "say which recordings");
    refused(&world, &[&rid(7)], "recordings list");
    refused(&world, &["--device", "X-1"], "device list");
    refused(&world, &["--assignee", "Nobody"], "no stored recording is like that");
    refused(&world, &["--request", "00000000000000000000000000000000"], "request list");
    refused(&world, &["--from", "2026-11-21 10:00", "--until", "2026-11-21 09:00"], "ends before it begins");
    flip_a_byte(&videos(&world)[0], 5);
    let folder = world.path().join("damaged");
    let output = world.cli(&["export", "--to", folder.to_str().unwrap(), &rid(0)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("not those that were signed for"), "{}", said(&output));
    assert_eq!(verify_offline(&folder, &[]).0, 1);
    world.terminate();
    assert_eq!(world.stopped(), Some(0));
    refused(&world, &[&rid(0)], "does not run");
}

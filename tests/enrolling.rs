//! Adding devices: texts for several, QR codes, typed codes, sheets, who is turned away, who takes another's place.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Output, Stdio};

use base64::Engine as _;
use longshore_model::{BASE64URL, Sha256};
use longshore_protocol::{EnrolmentCode, EnrolmentText};
use rcgen::PublicKeyData as _;
use serde_json::{Value, json};

use crate::support::{Camera, Process, Reply, World, agent, bytes, eventually, files_below, longshore, recording};

/// Asks to be known as this device.
fn asks(camera: &Camera, text: &str, device: &Value) -> Reply {
    let text: EnrolmentText = text.parse().unwrap();
    let authorization = format!("Authorization: Longshore-Enrol {}", text.credentials());
    camera.post_json("/device/v1/enrolments", &[&authorization], &json!({"device": device}))
}

fn text_of(issued: &Value) -> &str {
    issued["text"].as_str().unwrap()
}

/// What a scanner reads in a picture of so many modules a side; true is dark.
fn scanned(side: usize, dark: impl Fn(usize, usize) -> bool) -> String {
    const PIXELS: usize = 4;
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(side * PIXELS, side * PIXELS, |x, y| {
        if dark(x / PIXELS, y / PIXELS) { 0 } else { 255 }
    });
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1);
    grids[0].decode().unwrap().1
}

#[test]
fn the_qr_code_on_the_terminal_holds_the_text() {
    let world = World::new();
    let output = world.cli(&["device", "add", "--qr"]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let text = said.lines().last().unwrap().to_owned();
    let picture: Vec<Vec<char>> =
        said.lines().map(|line| line.chars().collect()).filter(|line: &Vec<char>| line.len() < text.len()).collect();
    let side = picture.iter().map(Vec::len).max().unwrap();
    // What is not printed is dark, as the terminal is.
    let dark = |x: usize, y: usize| {
        let shown = picture.get(y / 2).and_then(|line| line.get(x)).copied().unwrap_or('█');
        let is_light = if y.is_multiple_of(2) { ['█', '▀'] } else { ['█', '▄'] };
        !is_light.contains(&shown)
    };
    assert_eq!(scanned(side, dark), text);
    Camera::new(&world).ask_to_be_known(&text).is_problem(400, "malformed-request");
}

#[test]
fn the_qr_code_of_the_api_holds_the_text() {
    let world = World::new();
    let issued = world.cli_json(&["device", "add", "--serial", "B4-1"]);
    let svg = issued["qr_svg"].as_str().unwrap();
    assert!(svg.starts_with("<?xml") && !svg.contains("href") && !svg.contains("<script"), "{svg}");
    // One path of squares: M x y h w v h H x V y.
    let path = svg.split(" d=\"").nth(1).unwrap().split('"').next().unwrap();
    let squares: Vec<(usize, usize, usize)> = path
        .split('M')
        .skip(1)
        .map(|square| {
            let numbers: Vec<usize> = square
                .split(|c: char| !c.is_ascii_digit())
                .filter(|part| !part.is_empty())
                .map(|part| part.parse().unwrap())
                .collect();
            (numbers[0], numbers[1], numbers[2])
        })
        .collect();
    let module = squares[0].2;
    let side = svg.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse::<usize>().unwrap() / module;
    let dark: std::collections::HashSet<(usize, usize)> =
        squares.iter().map(|(x, y, _)| (x / module, y / module)).collect();
    assert_eq!(scanned(side, |x, y| dark.contains(&(x, y))), text_of(&issued));
}

#[test]
fn one_text_enrols_as_many_devices_as_it_is_for() {
    let world = World::new();
    let issued = world.cli_json(&["device", "add", "--uses", "2"]);
    let text = text_of(&issued);
    let (first, second, third) = (Camera::new(&world), Camera::new(&world), Camera::new(&world));
    asks(&first, text, &json!({})).is_problem(400, "malformed-request");
    let asked = asks(&first, text, &json!({"serial": "B4-1", "model": "BC4"})).json(202);
    assert_eq!(asks(&first, text, &json!({"serial": "B4-1", "model": "BC4"})).json(202), asked, "no use is lost");
    assert_eq!(asks(&second, text, &json!({"serial": "X-7"})).json(202)["model"], "unknown");
    asks(&third, text, &json!({"serial": "B4-3"})).is_problem(403, "token-refused");
    let listed = world.cli_json(&["device", "list"]);
    assert_eq!((&listed[0]["unknown_model"], &listed[1]["unknown_model"]), (&Value::Null, &json!(true)));
    world.approve("B4-1", "J. Smith");
    world.approve("X-7", "A. Jones");
    for wrong in [
        vec!["device", "add", "--uses", "0"],
        vec!["device", "add", "--uses", "51"],
        vec!["device", "add", "--valid-for", "31d"],
        vec!["device", "add", "--valid-for", "0s"],
        vec!["device", "add", "--serial", ""],
    ] {
        assert_eq!(world.cli(&wrong).status.code(), Some(1), "{wrong:?}");
    }
    assert_eq!(world.cli(&["device", "add", "--serial", "A", "--uses", "2"]).status.code(), Some(2));
}

#[test]
fn a_revoked_text_enrols_nobody_new_and_is_listed_no_more() {
    let world = World::new();
    let issued = world.cli_json(&["device", "add", "--model", "BC4"]);
    let tokens = world.cli_json(&["device", "tokens"]);
    assert_eq!(tokens[0]["id"], issued["id"]);
    assert!(!tokens.to_string().contains(text_of(&issued).rsplit('.').nth(1).unwrap()));
    let waiting = Camera::new(&world);
    let asked = asks(&waiting, text_of(&issued), &json!({"serial": "B4-1"})).json(202);
    let id = issued["id"].as_str().unwrap();
    assert!(world.cli(&["device", "revoke-enrolment", id]).status.success());
    assert_eq!(world.cli_json(&["device", "tokens"]), json!([]));
    let again = world.cli(&["device", "revoke-enrolment", id]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("no good enrolment token"), "{again:?}");
    let late = asks(&Camera::new(&world), text_of(&issued), &json!({"serial": "B4-2"}));
    assert!(late.is_problem(403, "token-refused")["detail"].as_str().unwrap().contains("revoked"));
    assert_eq!(asks(&waiting, text_of(&issued), &json!({"serial": "B4-1"})).json(202), asked);
    world.approve("B4-1", "J. Smith");
}

#[test]
fn a_device_that_is_turned_away_hears_of_it_at_once_and_may_ask_with_a_new_text() {
    let world = World::new();
    let camera = Camera::new(&world);
    let text = world.enrolment_text("B4-1");
    let asked = camera.ask_to_be_known(&text).json(202);
    let path = format!("/device/v1/enrolments/{}", asked["id"].as_str().unwrap());
    let mut poll = camera.begin("GET", &path, &["Prefer: wait=50"]);
    poll.arrived();
    let wrong = world.cli(&["device", "reject", "B4-1", "--code", "????"]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("shows the code"), "{wrong:?}");
    assert!(world.cli(&["device", "reject", "B4-1"]).status.success());
    poll.reply("GET").is_problem(403, "enrolment-rejected");
    camera.ask_to_be_known(&text).is_problem(403, "enrolment-rejected");
    assert_eq!(world.cli_json(&["device", "list"]), json!([]));
    assert_eq!(world.cli(&["device", "approve", "B4-1", "--assignee", "X"]).status.code(), Some(1));
    assert_eq!(world.cli(&["device", "reject", "B4-1"]).status.code(), Some(1));
    let history = world.cli_json(&["device", "history", "B4-1"]);
    assert_eq!(history.as_array().unwrap().last().unwrap()["what"], "rejected");
    camera.ask_to_be_known(&world.enrolment_text("B4-1")).json(202);
}

#[test]
fn a_code_that_two_devices_show_approves_neither_and_turns_both_away() {
    let world = World::new();
    // Keys until two show the same code: so few that anybody can make one for a code that they have seen.
    let mut made: HashMap<Vec<u8>, Camera> = HashMap::new();
    let (one, other) = loop {
        let camera = Camera::new(&world);
        let sum = Sha256::of(&camera.key().subject_public_key_info());
        let code = sum.as_bytes().iter().take(4).map(|byte| byte % 32).collect();
        match made.remove(&code) {
            Some(earlier) => break (earlier, camera),
            None => drop(made.insert(code, camera)),
        }
    };
    let issued = world.cli_json(&["device", "add", "--uses", "2"]);
    let serial = json!({"serial": "B4-1"});
    let [first, second] = [&one, &other].map(|camera| asks(camera, text_of(&issued), &serial).json(202));
    assert_eq!(first["code"], second["code"]);
    let code = first["code"].as_str().unwrap();
    let refused = world.cli(&["device", "approve", "B4-1", "--assignee", "J. Smith", "--code", code]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("different keys"), "{refused:?}");
    assert!(world.cli(&["device", "reject", "B4-1", "--code", code]).status.success());
    assert_eq!(world.cli_json(&["device", "list"]), json!([]));
    for camera in [&one, &other] {
        asks(camera, text_of(&issued), &serial).is_problem(403, "enrolment-rejected");
    }
}

#[test]
fn a_device_that_would_write_on_the_terminal_of_whoever_approves_it_is_refused() {
    let world = World::new();
    let issued = world.cli_json(&["device", "add"]);
    let says = |device: &Value| asks(&Camera::new(&world), text_of(&issued), device);
    let of_each = ["serial", "model", "uid", "firmware", "bay_mac"].map(|key| (key, "B4-1\u{1b}[2J"));
    for (key, odd) in of_each.into_iter().chain([("serial", "B4-1\nB4-2"), ("serial", "\u{9b}31m"), ("serial", " ")]) {
        let mut device = json!({"serial": "B4-1"});
        device[key] = json!(odd);
        says(&device).is_problem(400, "malformed-request");
    }
    says(&json!({"serial": "B4-1", "macs": ["02:00\u{1b}"]})).is_problem(400, "malformed-request");
    assert_eq!(world.cli_json(&["device", "list"]), json!([]));
    assert_eq!(says(&json!({"serial": " B4-1 "})).json(202)["serial"], "B4-1");
}

#[test]
fn a_new_device_takes_the_place_of_an_old_one_which_still_hands_over_what_it_holds() {
    let world = World::new();
    let old = world.camera("B4-1", "J. Smith");
    world.cli_json(&["site", "add", "North", "--network", "10.1.0.0/16"]);
    world.cli_json(&["device", "set", "B4-1", "--site", "North", "--label", "night"]);
    assert!(old.offer(&[]).is_empty());
    let mut new = Camera::new(&world);
    let asked = new.ask_to_be_known(&world.enrolment_text("B4-2")).json(202);
    let nothing = world.cli(&["device", "approve", "B4-2", "--replaces", "B4-9"]);
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("B4-9"), "{nothing:?}");
    let row = world.cli_json(&["device", "approve", "B4-2", "--replaces", "B4-1"]);
    assert_eq!(
        (&row["assignee"], &row["site"], &row["groups"]),
        (&json!("J. Smith"), &json!("North"), &json!(["night"]))
    );
    new.fetch_certificate(asked["id"].as_str().unwrap());
    let listed = world.cli_json(&["device", "list"]);
    assert_eq!((&listed[0]["serial"], &listed[0]["state"]), (&json!("B4-1"), &json!("replaced")));
    // What is still on the old one arrives, with its receipt.
    let content = bytes(1, 5000);
    let upload = old.upload_of(&recording(1, &content));
    assert!(old.patch(&upload, 0, &content).headers.contains_key("longshore-receipt"));
    let desired = old.request("GET", "/device/v1/desired", &[], b"").json(200);
    assert_eq!(desired["state"], "replaced");
    assert!(world.cli(&["device", "activate", "B4-1"]).status.success());
    let history = world.cli_json(&["device", "history", "B4-1"]);
    assert!(history.as_array().unwrap().iter().any(|line| line["what"] == "replaced" && line["with"] == "B4-2"));
}

#[test]
fn a_suspended_device_gets_no_receipts_back_by_being_replaced() {
    let world = World::new();
    let lost = world.camera("B4-1", "J. Smith");
    assert!(lost.offer(&[]).is_empty());
    assert!(world.cli(&["device", "suspend", "B4-1"]).status.success());
    Camera::new(&world).ask_to_be_known(&world.enrolment_text("B4-2")).json(202);
    assert_eq!(world.cli_json(&["device", "approve", "B4-2", "--replaces", "B4-1"])["assignee"], "J. Smith");
    assert_eq!(world.cli_json(&["device", "list"])[0]["state"], "suspended");
}

/// The code on a sheet for this recorder.
fn code_on(sheet: &str) -> String {
    let code = sheet.split("class=\"code\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert!(code.parse::<EnrolmentCode>().is_ok(), "{code}");
    code
}

fn sheet(world: &World, serial: &str) -> String {
    let output = world.cli(&["device", "sheet", serial, "--model", "DVR-906", "--ssid", "Yard<&>5"]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn types(world: &World, server: &str, code: &str, serial: &str) -> Output {
    let state = world.path().join(format!("state of {serial}"));
    agent()
        .args(["enrol", "--server", server, "--code", code, "--serial", serial, "--state"])
        .arg(state)
        .output()
        .unwrap()
}

#[test]
fn a_recorder_is_enrolled_with_the_code_that_stands_on_its_sheet() {
    let world = World::new();
    let page = sheet(&world, "R-1");
    let fingerprint = BASE64URL.encode(world.pin.as_bytes());
    for part in [&format!("https://{}", world.address), &fingerprint, "DVR-906 R-1"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("Yard<&>5") && page.contains("Yard&#60;&#38;&#62;5"), "{page}");
    assert!(!page.contains("src=") && !page.contains("href="), "it needs nothing else");
    // As a person types it.
    let code = code_on(&page).replace('-', " ").to_lowercase();
    let mut command = agent();
    let state = world.path().join("state");
    let server = world.address.to_string();
    command.args(["enrol", "--server", &server, "--code", &code, "--serial", "R-1", "--state"]).arg(&state);
    let mut enrolling = Process::start(command.stdout(Stdio::null()));
    eventually("the recorder waits", || world.cli_json(&["device", "list"])[0]["state"] == "pending");
    assert_eq!(world.cli_json(&["device", "list"])[0]["model"], "DVR-906");
    world.approve("R-1", "Car 7");
    assert!(enrolling.ends().success());
    let identity: Value = serde_json::from_slice(&std::fs::read(state.join("identity.json")).unwrap()).unwrap();
    assert_eq!(identity["server"]["pins"][0], fingerprint, "from now on it knows the whole key");
    // Again, as after a reboot in the middle.
    let again = agent()
        .args(["enrol", "--server", &server, "--code", &code, "--serial", "R-1", "--state"])
        .arg(&state)
        .output()
        .unwrap();
    assert!(again.status.success() && String::from_utf8_lossy(&again.stdout).contains("already enrolled"), "{again:?}");
    let secret: String = code.to_uppercase().split_whitespace().skip(3).collect();
    assert_eq!(secret.len(), 12);
    assert!(!world.log().contains(&secret));
    for file in files_below(&world.data().join("journal")) {
        assert!(!std::fs::read_to_string(file).unwrap().contains(&secret));
    }
}

#[test]
fn a_code_serves_its_recorder_once_and_no_other_server_hears_its_secret() {
    let (world, other) = (World::new(), World::new());
    let (server, elsewhere) = (world.address.to_string(), other.address.to_string());
    let code = code_on(&sheet(&world, "R-1"));
    let refused = |output: Output, why: &str| {
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(why), "{why}: {output:?}");
    };
    refused(types(&world, &elsewhere, &code, "R-1"), "another key");
    assert_eq!(other.cli_json(&["device", "list"]), json!([]));
    refused(types(&world, &server, &code, "R-2"), "unknown");
    refused(types(&world, &server, &code[..code.len() - 1], "R-1"), "24 letters");
    refused(types(&world, "ftp://x", &code, "R-1"), "https://HOST:PORT");
    // Two recorders with the same serial: the first that comes has it.
    let secret = code.parse::<EnrolmentCode>().unwrap().secret.to_string();
    let header = format!("Authorization: Longshore-Enrol {secret}");
    let asks = |camera: &Camera, device: &Value| {
        camera.post_json("/device/v1/enrolments", &[&header], &json!({"device": device}))
    };
    let first = Camera::new(&world);
    asks(&first, &json!({})).is_problem(403, "token-refused");
    asks(&first, &json!({"serial": "R-1", "model": "DVR-908 Ranger"})).is_problem(403, "token-for-another-device");
    let asked = asks(&first, &json!({"serial": "R-1"})).json(202);
    assert_eq!(asks(&first, &json!({"serial": "R-1"})).json(202), asked);
    asks(&Camera::new(&world), &json!({"serial": "R-1"})).is_problem(403, "token-refused");
    let used = agent().args(["enrol", "--code", &code, "--state", "x"]).output().unwrap();
    assert_eq!(used.status.code(), Some(2), "a code needs a server and a serial");
}

#[test]
fn a_sheet_goes_into_a_file_of_its_own_and_over_no_other() {
    let world = World::new();
    let file = world.path().join("sheet.html");
    let write = || world.cli(&["device", "sheet", "R-1", "--out", file.to_str().unwrap()]);
    assert!(write().status.success());
    let page = std::fs::read_to_string(&file).unwrap();
    code_on(&page);
    let again = write();
    assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"), "{again:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), page);
    assert_eq!(world.cli_json(&["device", "tokens"]).as_array().unwrap().len(), 1, "no code was made for nothing");
}

#[test]
fn who_watches_is_told_of_devices_as_they_come_and_go() {
    let world = World::new();
    world.cli_json(&["site", "add", "North", "--network", "127.0.0.0/8"]);
    let mut command = longshore();
    command.args(["device", "watch", "--json", "--data"]).arg(world.data()).stdout(Stdio::piped());
    let mut watching = Process::start(&mut command);
    let mut lists = BufReader::new(watching.stdout()).lines().map(|line| {
        let list: Value = serde_json::from_str(&line.unwrap()).unwrap();
        list
    });
    assert_eq!(lists.next().unwrap(), json!([]));
    let camera = Camera::new(&world);
    let asked = camera.ask_to_be_known(&world.enrolment_text("B4-1")).json(202);
    let list = lists.next().unwrap();
    assert_eq!(
        (&list[0]["serial"], &list[0]["code"], &list[0]["at"]),
        (&json!("B4-1"), &asked["code"], &json!("North"))
    );
    world.approve("B4-1", "J. Smith");
    assert_eq!(lists.next().unwrap(), json!([]));
    Camera::new(&world).ask_to_be_known(&world.enrolment_text("B4-2")).json(202);
    assert_eq!(lists.next().unwrap()[0]["serial"], "B4-2");
    assert!(world.cli(&["device", "reject", "B4-2"]).status.success());
    assert_eq!(lists.next().unwrap(), json!([]));
}

#[test]
fn who_watches_is_told_again_when_the_server_is_back() {
    let mut world = World::new();
    let mut command = longshore();
    command.args(["device", "watch", "--data"]).arg(world.data()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut watching = Process::start(&mut command);
    let mut lines = BufReader::new(watching.stdout()).lines();
    Camera::new(&world).ask_to_be_known(&world.enrolment_text("B4-1")).json(202);
    let line = lines.next().unwrap().unwrap();
    assert!(line.contains("BC4 B4-1") && line.contains("longshore device approve B4-1 --assignee"), "{line}");
    // A stop does not wait for whoever watches.
    world.terminate();
    assert_eq!(world.stopped(), Some(0));
    world.start();
    Camera::new(&world).ask_to_be_known(&world.enrolment_text("B4-2")).json(202);
    assert!(lines.next().unwrap().unwrap().contains("BC4 B4-2"));
}

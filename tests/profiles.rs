//! Config profiles: from a file to the device, and what no device can do.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{Camera, World, longshore};

const SECRET: &str = "correct-horse-battery";

fn file(world: &World, name: &str, text: &str) -> PathBuf {
    let path = world.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn apply(world: &World, name: &str, text: &str) -> Value {
    let path = file(world, &format!("{name}.toml"), text);
    world.cli_json(&["profile", "apply", path.to_str().unwrap()])
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What is said when a file is refused.
fn refusal(world: &World, name: &str, text: &str) -> String {
    let path = file(world, &format!("{name}.toml"), text);
    let output = world.cli(&["profile", "apply", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    said(&output).replace(&format!("{}/", world.path().display()), "")
}

/// An enrolled device of this model.
fn device(world: &World, serial: &str, model: &str) -> Camera {
    let issued = world.cli_json(&["device", "add", "--serial", serial, "--model", model]);
    let mut camera = Camera::new(world);
    let enrolment = camera.ask_to_be_known(issued["text"].as_str().unwrap()).json(202);
    world.approve(serial, "Unit 7");
    camera.fetch_certificate(enrolment["id"].as_str().unwrap());
    camera
}

fn desired(camera: &Camera) -> Value {
    camera.request("GET", "/device/v1/desired", &[], b"").json(200)["profile"].clone()
}

fn tag(camera: &Camera) -> String {
    camera.request("GET", "/device/v1/desired", &[], b"").headers["etag"].clone()
}

fn yard() -> String {
    format!("led = 'dim'\n[[wifi]]\nssid = 'Yard'\nsecurity = 'wpa2-aes'\npassphrase = '{SECRET}'\n")
}

#[test]
fn a_profile_goes_from_a_file_to_its_devices_and_each_change_is_a_version() {
    let mut world = World::new();
    let (camera, other) = (world.camera("B4-1", "J. Smith"), world.camera("B4-2", "A. Jones"));
    // What every server has; the rest is what is usual for the model.
    let usual = json!({"resolution": "720p", "frame_rate": 30});
    assert_eq!(desired(&camera), json!({"id": "default", "version": 1, "settings": {"video": usual}}));
    let before = tag(&camera);

    let applied = apply(&world, "patrol", &yard());
    assert_eq!((&applied["version"], &applied["is_new"], &applied["devices"]), (&json!(1), &json!(true), &json!(0)));
    assert_eq!(tag(&camera), before);
    let assigned = world.cli_json(&["profile", "assign", "B4-1", "patrol"]);
    assert_eq!(assigned["profile"], "patrol");
    let answer = camera.request("GET", "/device/v1/desired", &[&format!("If-None-Match: {before}")], b"");
    assert_eq!(answer.status, 200, "the device is told");
    let network = json!({"ssid": "Yard", "security": "wpa2-aes", "passphrase": SECRET});
    let settings = json!({"led": "dim", "video": usual, "wifi": [network]});
    assert_eq!(desired(&camera), json!({"id": "patrol", "version": 1, "settings": settings}));
    assert_eq!(desired(&other)["id"], "default");

    assert_eq!(apply(&world, "patrol", &yard())["is_new"], false);
    let second = apply(&world, "patrol", &format!("{}\n[video]\nresolution = '1080p'\n", yard()));
    assert_eq!((&second["version"], &second["devices"]), (&json!(2), &json!(1)));
    assert_eq!(
        (&desired(&camera)["version"], &desired(&camera)["settings"]["video"]["resolution"]),
        (&json!(2), &json!("1080p"))
    );

    // Earlier versions stay, and all of it stands in the journal.
    let history = world.cli_json(&["profile", "history", "patrol"]);
    assert_eq!(history.as_array().unwrap().len(), 2);
    assert!(history[0]["by"].as_str().unwrap().starts_with("uid "), "{history}");
    let first = world.cli_json(&["profile", "show", "patrol", "--version", "1"]);
    assert!(first["settings"].get("video").is_none(), "{first}");
    let listed = world.cli_json(&["profile", "list"]);
    let rows: Vec<_> = listed.as_array().unwrap().iter().map(|row| (&row["name"], &row["devices"])).collect();
    assert_eq!(rows, [(&json!("default"), &json!(1)), (&json!("patrol"), &json!(1))]);
    let happened = world.cli_json(&["device", "history", "B4-1"]);
    let last = happened.as_array().unwrap().last().unwrap();
    assert_eq!((&last["what"], &last["profile"]), (&json!("profile_assigned"), &json!("patrol")));

    world.kill();
    fs::remove_dir_all(world.data().join("index")).unwrap();
    world.start();
    assert_eq!((&desired(&camera)["id"], &desired(&camera)["version"]), (&json!("patrol"), &json!(2)));
    assert_eq!(world.cli_json(&["profile", "history", "patrol"]), history);
}

#[test]
fn a_passphrase_is_shown_to_devices_alone_and_kept_when_what_was_shown_is_applied() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let path = file(&world, "patrol.toml", &yard());
    let path = path.to_str().unwrap();
    let mut shown = vec![world.cli(&["profile", "apply", path])];
    for arguments in [
        &["profile", "apply", path, "--json"][..],
        &["profile", "assign", "B4-1", "patrol", "--json"],
        &["profile", "list", "--json"],
        &["profile", "history", "patrol", "--json"],
        &["profile", "show", "patrol", "--json"],
        &["profile", "show", "patrol", "--version", "1"],
        &["device", "show", "B4-1", "--json"],
        &["device", "history", "B4-1", "--json"],
    ] {
        shown.push(world.cli(arguments));
    }
    for output in &shown {
        assert!(output.status.success(), "{output:?}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains(SECRET), "{output:?}");
        assert!(!said(output).contains(SECRET), "{output:?}");
    }
    assert_eq!(desired(&camera)["settings"]["wifi"][0]["passphrase"], SECRET);

    let text = String::from_utf8(world.cli(&["profile", "show", "patrol"]).stdout).unwrap();
    assert!(text.contains("passphrase = \"***\"") && text.starts_with("# patrol, version 1"), "{text}");
    assert_eq!(apply(&world, "patrol", &text)["is_new"], false);
    let changed = apply(&world, "patrol", &text.replace("dim", "off"));
    assert_eq!(changed["version"], 2);
    assert_eq!(desired(&camera)["settings"]["wifi"][0]["passphrase"], SECRET);
    let refused = refusal(&world, "other", &text);
    assert!(
        refused.contains("wifi[0].passphrase: *** keeps a passphrase, and the server has none for Yard"),
        "{refused}"
    );
    assert!(!world.log().contains(SECRET));
}

#[test]
fn a_profile_goes_back_to_an_earlier_version_with_the_passwords_that_it_had() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    apply(&world, "patrol", &yard());
    world.cli_json(&["profile", "assign", "B4-1", "patrol"]);
    apply(&world, "patrol", &yard().replace(SECRET, "a-typing-error"));
    assert_eq!(desired(&camera)["settings"]["wifi"][0]["passphrase"], "a-typing-error");

    let shown = String::from_utf8(world.cli(&["profile", "show", "patrol", "--version", "1"]).stdout).unwrap();
    assert!(shown.contains("longshore profile revert patrol 1"), "{shown}");
    let output = world.cli(&["profile", "revert", "patrol", "1"]);
    assert!(output.status.success() && !String::from_utf8_lossy(&output.stdout).contains(SECRET), "{output:?}");
    let told = desired(&camera);
    assert_eq!((&told["version"], &told["settings"]["wifi"][0]["passphrase"]), (&json!(3), &json!(SECRET)));
    assert_eq!(world.cli_json(&["profile", "revert", "patrol", "1"])["is_new"], false);
    for (name, version, why) in [("patrol", "9", "patrol has no version 9"), ("x", "1", "no config profile \"x\"")] {
        let refused = world.cli(&["profile", "revert", name, version]);
        assert!(refused.status.code() == Some(1) && said(&refused).contains(why), "{}", said(&refused));
    }
    assert!(!world.log().contains(SECRET));
}

#[test]
fn mistakes_in_a_file_are_told_all_at_once_with_line_key_and_what_would_be_right() {
    let world = World::new();
    for (text, expected) in [
        ("[vidoe]\nframe_rate = 30\n", "bad.toml:1:2: vidoe: there is no such key; did you mean video?"),
        ("[video]\nframerate = 30\n", "bad.toml:2:1: video.framerate: there is no such key; did you mean frame_rate?"),
        (
            "[video]\nresolution = '1080i'\n",
            "video.resolution: \"1080i\" is none of 480p, 720p, 1080p, 1440p, 2160p; did you mean \"1080p\"?",
        ),
        ("[event]\npre_s = 9999\n", "bad.toml:2:9: event.pre_s: has to be 0 to 600"),
        ("[sound]\nvolume_percent = -1\n", "bad.toml:2:18: sound.volume_percent: invalid value"),
        ("[video\n", "this is not TOML"),
        (
            "[[wifi]]\nssid = 'Yard 5'\nsecurity = 'wpa2-aes'\npassphrase = '12345678'\n",
            "bad.toml:2:8: wifi[0].ssid: \"Yard 5\" is no name",
        ),
        (
            "[[wifi]]\nssid = 'Y'\nsecurity = 'open'\npassphrase = '12345678'\n",
            "wifi[0].security: open networks are refused",
        ),
        ("[[wifi]]\nssid = 'Y'\nsecurity = 'wep'\npassphrase = '12345678'\n", "wifi[0].security: \"wep\" is none of"),
        (
            "[[wifi]]\nssid = 'Y'\nsecurity = 'wpa2-aes'\npassphrase = 'hush;hush'\n",
            "bad.toml:4:14: wifi[0].passphrase: must not have a ;",
        ),
        (
            "[[wifi]]\nssid = 'Y'\nsecurity = 'wpa2-aes'\npassphrase = 'short'\n",
            "wifi[0].passphrase: has to have 8 to 63 characters",
        ),
        ("[[wifi]]\nssid = 'Y'\nsecurity = 'wpa2-aes'\n", "wifi[0]: missing field `passphrase`"),
        (
            "[[wifi]]\nssid = 'Y'\nsecurity = 'wpa2-aes'\npassphrase = 98765432\n",
            "bad.toml:4:14: wifi[0].passphrase: has to be a text, in quotes",
        ),
        ("[network]\naddressing = 'static'\n", "network.address: is missing"),
    ] {
        let told = refusal(&world, "bad", text);
        assert!(told.contains(expected), "{text}: {told}");
        assert!(!told.contains("hush") && !told.contains("98765432"), "{told}");
    }
    let told = refusal(&world, "bad", "led = 'of'\n[event]\nposts = 1\n[[wifi]]\nssid = 5\n");
    assert!(
        told.contains("3 mistakes") && told.contains("did you mean \"off\"?") && told.contains("did you mean post_s?"),
        "{told}"
    );
    assert_eq!(world.cli_json(&["profile", "list"]).as_array().unwrap().len(), 1, "nothing came of any of them");
    let told = refusal(&world, "no name", "");
    assert!(told.contains("--name"), "{told}");
}

#[test]
fn what_a_model_cannot_do_is_refused_with_the_setting_and_the_reason() {
    let world = World::new();
    let old = device(&world, "V-1", "DR-200v1");
    world.camera("B4-1", "J. Smith");
    let five = yard().replace("ssid", "band = '5 GHz'\nssid");
    apply(&world, "five", &five);
    apply(&world, "fixed", "[network]\naddressing = 'static'\naddress = '10.0.0.2'\nprefix = 24\n");
    apply(
        &world,
        "corp",
        &format!("[[wifi]]\nssid = 'C'\nsecurity = 'wpa2-enterprise'\nidentity = 'x'\npassphrase = '{SECRET}'\n"),
    );
    for (serial, profile, reason) in [
        (
            "V-1",
            "five",
            "DR-200v1 V-1 cannot do what five sets: wifi[0].band: Yard is at 5 GHz, and DR-200v1 has 2.4 GHz only",
        ),
        ("V-1", "corp", "wifi[0].security: DR-200v1 cannot use networks with WPA2-Enterprise"),
        ("B4-1", "fixed", "network.addressing: BC4 has no static addresses"),
        ("B4-1", "nigth", "there is no config profile \"nigth\"; there is: corp, default, five, fixed"),
        ("X-9", "five", "no device with the serial X-9"),
        ("V-1", "default", "the device V-1 has the profile default already"),
    ] {
        let output = world.cli(&["profile", "assign", serial, profile]);
        assert!(output.status.code() == Some(1) && said(&output).contains(reason), "{}", said(&output));
    }
    assert_eq!(desired(&old)["id"], "default");

    // A static address is possible for the recorder, warned of, and for one device only.
    let assigned = world.cli(&["profile", "assign", "V-1", "fixed"]);
    assert!(assigned.status.success() && said(&assigned).contains("warning: network.addressing"), "{assigned:?}");
    device(&world, "V-2", "DR-200v1");
    let refused = world.cli(&["profile", "assign", "V-2", "fixed"]);
    assert!(said(&refused).contains("only one device may have; V-1, V-2 would have it"), "{}", said(&refused));

    // A new version is refused if a device that has the profile can't, and the old one stays.
    let refused = refusal(&world, "fixed", &five);
    assert!(refused.contains("DR-200v1 V-1 cannot do what fixed sets"), "{refused}");
    assert_eq!(desired(&old)["version"], 1);
    let refused = refusal(&world, "default", &five);
    assert!(refused.contains("DR-200v1 V-2 cannot do what default sets"), "{refused}");

    // So it is when a set-up is completed.
    let waiting = Camera::new(&world);
    let issued = world.cli_json(&["device", "add", "--serial", "V-3", "--model", "DR-200v1"]);
    waiting.ask_to_be_known(issued["text"].as_str().unwrap()).json(202);
    let approve =
        |profile: &str| world.cli(&["device", "approve", "V-3", "--assignee", "Unit 3", "--profile", profile]);
    assert!(said(&approve("five")).contains("DR-200v1 V-3 cannot do what five sets"));
    assert!(approve("default").status.success());
}

#[test]
fn a_file_is_checked_without_a_server_and_for_every_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("five.toml");
    fs::write(&path, yard().replace("ssid", "band = '5 GHz'\nssid")).unwrap();
    let check = |model: &[&str]| {
        let output = longshore().args(["profile", "check"]).arg(&path).args(model).current_dir(folder.path()).output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &said(&output))
    };
    let (status, told) = check(&[]);
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("DVR-808 can't:") && told.contains("five.toml:3:8: wifi[0].band"), "{told}");
    assert!(told.contains("Can do it: BC4, DR-200v2"), "{told}");
    let (status, told) = check(&["--model", "DVR-808"]);
    assert!(status == Some(1) && told.contains("DVR-808 has 2.4 GHz only"), "{told}");
    let (status, told) = check(&["--model", "Cam 9"]);
    assert!(status == Some(0) && told.contains("warning: model: the model Cam 9 is not known"), "{told}");
    assert!(!told.contains(SECRET));
}

#[test]
fn a_device_that_waits_hears_of_a_new_version_at_once_and_what_it_reports_shows_as_drift() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let drift = || world.cli_json(&["device", "show", "B4-1"])["drift"].clone();
    assert_eq!(drift(), json!({"state": "not_reported"}));
    let report = |profile: Value| {
        let body = json!({"profile": profile}).to_string();
        let kind = "Content-Type: application/json";
        assert_eq!(camera.request("PUT", "/device/v1/reported", &[kind], body.as_bytes()).status, 204);
    };
    report(json!({"id": "default", "version": 1}));
    assert_eq!(drift(), json!({"state": "none"}));
    apply(&world, "patrol", "led = 'dim'\n");
    let known = format!("If-None-Match: {}", tag(&camera));
    let mut poll = camera.begin("GET", "/device/v1/desired", &[&known, "Prefer: wait=50", "Content-Length: 0"]);
    poll.arrived();
    world.cli_json(&["profile", "assign", "B4-1", "patrol"]);
    let told = poll.reply("GET").json(200);
    assert_eq!((&told["profile"]["id"], &told["profile"]["settings"]["led"]), (&json!("patrol"), &json!("dim")));
    assert_eq!(drift(), json!({"state": "behind", "id": "default", "version": 1}));
    report(json!({"id": "patrol", "version": 1, "errors": {"led": "it has none"}}));
    assert_eq!(drift(), json!({"state": "refused", "errors": {"led": "it has none"}}));
    let shown = String::from_utf8(world.cli(&["device", "show", "B4-1"]).stdout).unwrap();
    assert!(shown.contains("COULD NOT DO ALL OF IT: led: it has none"), "{shown}");
    apply(&world, "patrol", "[sound]\nvolume_percent = 10\n");
    assert_eq!(drift(), json!({"state": "behind", "id": "patrol", "version": 1}));
}

#[test]
fn the_schema_is_published_by_command_and_server() {
    let world = World::new();
    let output = longshore().args(["profile", "schema"]).output().unwrap();
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(printed["additionalProperties"], false);
    let security = printed["$defs"]["Security"].to_string();
    assert!(security.contains("wpa2-aes") && !security.contains("open"), "{security}");
    assert_eq!(ask(&world, "GET", "profiles/schema", ""), (200, printed));
}

/// Asks the server on its socket, as a program that is not ours does.
fn ask(world: &World, method: &str, path: &str, body: &str) -> (u16, Value) {
    let socket = world.data().join("run/admin.sock");
    let mut curl = Command::new("curl");
    curl.args(["-s", "-w", "\n%{http_code}", "-X", method, "-H", "Content-Type: application/json", "--unix-socket"]);
    curl.arg(socket).arg(format!("http://localhost/api/v1/{path}"));
    if !body.is_empty() {
        curl.args(["--data-binary", body]);
    }
    let output = String::from_utf8(curl.output().unwrap().stdout).unwrap();
    let (body, status) = output.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
}

#[test]
fn programs_are_told_what_is_wrong_with_what_they_send() {
    let world = World::new();
    for (body, status, reason) in [
        (json!({"name": "x", "settings": {"led": "blue"}}), 400, "`blue`"),
        (json!({"name": "x", "settings": {"vidoe": {}}}), 400, "vidoe"),
        (json!({"name": "../x", "settings": {}}), 400, "no name of a profile"),
        (json!({"name": "x", "settings": {"event": {"pre_s": 9999}}}), 400, "event.pre_s: has to be 0 to 600"),
        (json!({"name": "x", "settings": {"event": {"pre_s": 99_999_999_999_u64}}}), 400, "not as it should be"),
        (json!({"name": "x"}), 400, "settings"),
        (json!({"name": "x", "note": "\u{7}", "settings": {}}), 400, "note"),
        (json!({"name": "x", "settings": {}}), 201, ""),
        (json!({"name": "x", "settings": {}}), 200, ""),
    ] {
        let (answered, problem) = ask(&world, "POST", "profiles", &body.to_string());
        assert_eq!(answered, status, "{body}: {problem}");
        assert!(problem["detail"].as_str().unwrap_or_default().contains(reason), "{body}: {problem}");
    }
    for (path, status) in [
        ("profile?name=x", 200),
        ("profile?name=x&version=2", 404),
        ("profile?name=nothing", 404),
        ("profile-versions?name=nothing", 404),
        ("profile?name=x&version=-1", 400),
    ] {
        assert_eq!(ask(&world, "GET", path, "").0, status, "{path}");
    }
    assert_eq!(ask(&world, "DELETE", "profiles", "").0, 405);
}

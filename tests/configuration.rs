//! The configuration as an operator meets it: what a typing error costs, what counts, what a running server takes over.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::support::{World, eventually, longshore};

/// The program in a folder of its own, in which there may be a `longshore.toml`.
struct Somewhere(tempfile::TempDir);

impl Somewhere {
    fn with(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("longshore.toml"), config).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn longshore(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        longshore().current_dir(self.path()).args(arguments).envs(variables.iter().copied()).output().unwrap()
    }

    /// What it says when it refuses.
    fn refusal(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let output = self.longshore(arguments, variables);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Key by key: the value and where it comes from.
    fn shown(&self, arguments: &[&str], variables: &[(&str, &str)]) -> BTreeMap<String, (Value, String)> {
        let output = self.longshore(&[&["config", "show", "--json"], arguments].concat(), variables);
        assert!(output.status.success(), "{output:?}");
        let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        rows.iter().map(|row| (text(&row["key"]), (row["value"].clone(), text(&row["source"])))).collect()
    }
}

#[test]
fn a_wrong_file_keeps_the_server_from_starting_and_every_mistake_is_told() {
    let somewhere = Somewhere::with("[server]\nlisten = 5004\nulr = 'https://a.example'\n[log]\nformat = 'xml'\n");
    let said = somewhere.refusal(&["serve"], &[]);
    for part in [
        "longshore: the configuration has 3 mistakes\n",
        "longshore.toml:2:10: server.listen: \"5004\" is no address with a port; write one such as \"0.0.0.0:5004\"\n",
        "longshore.toml:3:1: server.ulr: there is no such key; did you mean server.url?\n",
        "longshore.toml:5:10: log.format: unknown variant `xml`, expected `text` or `json`\n",
    ] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
    let names: Vec<_> = fs::read_dir(somewhere.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["longshore.toml"], "nothing was made");
    assert_eq!(somewhere.refusal(&["config", "check"], &[]), said);
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_line() {
    let somewhere = Somewhere::with("# mine\ndata = \"/srv\nfoo\n");
    let said = somewhere.refusal(&["config", "check"], &[]);
    assert!(said.contains("longshore.toml:2:") && said.contains("not TOML"), "{said}");
}

#[test]
fn a_named_file_must_be_there() {
    let somewhere = Somewhere::with("");
    for (arguments, variables) in [
        (&["config", "show", "--config", "other.toml"][..], &[][..]),
        (&["config", "check", "other.toml"], &[]),
        (&["serve"], &[("LONGSHORE_CONFIG", "other.toml")]),
        (&["device", "list"], &[("LONGSHORE_CONFIG", "other.toml")]),
    ] {
        let said = somewhere.refusal(arguments, variables);
        assert!(said.contains("other.toml: the configuration cannot be read"), "{said}");
    }
}

#[test]
fn a_variable_that_is_set_to_nothing_names_no_file() {
    let somewhere = Somewhere::with("data = 'here'\n");
    let shown = somewhere.shown(&[], &[("LONGSHORE_CONFIG", "")]);
    assert_eq!(shown["data"].0, "here");
}

#[test]
fn a_right_file_is_told_to_be_right_with_what_is_odd_about_it() {
    let somewhere = Somewhere::with("data = 'data'\n[server]\nurl = 'https://127.0.0.1:5004'\n");
    let output = somewhere.longshore(&["config", "check"], &[]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0].starts_with("warning: server.url: https://127.0.0.1:5004 "), "{said}");
    assert!(lines[1].starts_with("warning: data: "), "{said}");
    assert_eq!(lines[2..], ["longshore.toml can be used."]);
}

#[test]
fn the_printed_default_changes_nothing() {
    let somewhere = Somewhere::with("");
    let printed = somewhere.longshore(&["config", "default"], &[]).stdout;
    let without = somewhere.shown(&[], &[]);
    fs::write(somewhere.path().join("longshore.toml"), printed).unwrap();
    assert_eq!(somewhere.shown(&[], &[]), without);
    assert!(without.values().all(|(_, source)| source == "default"));
    let output = somewhere.longshore(&["config", "check"], &[]);
    assert_eq!(output.stdout, b"longshore.toml can be used.\n");
}

#[test]
fn the_command_line_goes_before_the_environment_before_the_file_before_the_default() {
    let somewhere = Somewhere::with("[server]\nlisten = '127.0.0.1:1'\n[storage]\nfloor = '3 GiB'\n");
    fs::write(somewhere.path().join("url"), "https://a.example:5004\n").unwrap();
    fs::write(somewhere.path().join("other.toml"), "[log]\nformat = 'json'").unwrap();
    let variables = [("LONGSHORE__SERVER__LISTEN", "127.0.0.1:2"), ("LONGSHORE__SERVER__URL_FILE", "url")];
    let shown = somewhere.shown(&[], &variables);
    for (key, value, source) in [
        ("server.listen", "127.0.0.1:2", "LONGSHORE__SERVER__LISTEN"),
        ("server.url", "https://a.example:5004", "LONGSHORE__SERVER__URL_FILE (url)"),
        ("storage.floor", "3 GiB", "longshore.toml:4:9"),
        ("index.cache", "64 MiB", "default"),
    ] {
        assert_eq!(shown[key], (value.into(), source.to_owned()));
    }
    assert_eq!(shown["storage.owner"], (Value::Null, "default".to_owned()));
    let named = somewhere.shown(&["--config", "other.toml"], &[("LONGSHORE_CONFIG", "nowhere.toml")]);
    assert_eq!(named["log.format"].1, "other.toml:2:10");
    assert_eq!(named["storage.floor"].1, "default");

    // The command line is seen by what the server tries.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _still_taken = TcpListener::bind(taken).unwrap();
    let arguments = ["serve", "--data", "data", "--listen", &taken.to_string()];
    let said = somewhere.refusal(&arguments, &variables);
    assert!(said.contains(&format!("cannot listen on {taken}")) && said.contains("server.listen"), "{said}");
}

#[test]
fn variables_are_as_strict_as_the_file() {
    let somewhere = Somewhere::with("");
    for (name, value, expected) in [
        ("LONGSHORE__SERVR__LISTEN", "127.0.0.1:1", "did you mean LONGSHORE__SERVER__LISTEN?"),
        (
            "LONGSHORE__STORAGE__FILE_MODE",
            "640",
            "LONGSHORE__STORAGE__FILE_MODE: storage.file_mode: \"640\" is no mode",
        ),
        ("LONGSHORE__DATA_FILE", "/nowhere", "LONGSHORE__DATA_FILE: data: /nowhere cannot be read"),
    ] {
        let said = somewhere.refusal(&["config", "check"], &[(name, value)]);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn commands_find_the_server_by_the_configuration() {
    let world = World::new();
    world.camera("B4-1", "J. Smith");
    let somewhere = Somewhere::with(&format!("data = '{}'\n", world.data().display()));
    let listed = somewhere.longshore(&["device", "list"], &[]);
    assert!(String::from_utf8(listed.stdout).unwrap().contains("B4-1"));
    let elsewhere = Somewhere::with("");
    let said = elsewhere.refusal(&["device", "list"], &[]);
    assert!(said.contains("longshore-data") && said.contains("--config"), "{said}");
    let data = world.data().display().to_string();
    assert!(elsewhere.longshore(&["recordings", "list"], &[("LONGSHORE__DATA", &data)]).status.success());
    // Whoever names the folder needs no configuration, not even a right one.
    let broken = Somewhere::with("dat = 1");
    assert!(broken.longshore(&["device", "list", "--data", &data], &[]).status.success());
}

#[test]
fn recordings_go_where_the_configuration_says() {
    let somewhere = Somewhere::with("[storage]\npath = 'longshore.toml/share'\n");
    let arguments = ["serve", "--data", "data", "--listen", "127.0.0.1:0"];
    let said = somewhere.refusal(&arguments, &[]);
    assert!(said.contains("longshore.toml/share is in the way: the storage must be a folder"), "{said}");

    let share = tempfile::tempdir().unwrap();
    let world = World::configured(&format!("[storage]\npath = '{}'\n", share.path().display()));
    let camera = world.camera("B4-1", "J. Smith");
    let upload = camera.upload_of(&crate::support::recording(1, b"video"));
    assert_eq!(camera.patch(&upload, 0, b"video").status, 204);
    assert_eq!(fs::read_dir(share.path().join("J. Smith")).unwrap().count(), 1);
    assert!(!world.storage().exists());
}

#[test]
fn sighup_takes_over_what_can_change_and_names_what_cannot() {
    let world = World::configured("[server]\nurl = 'https://old.example:5004'\n");
    let camera = world.camera("B4-1", "J. Smith");
    let urls = || camera.request("GET", "/device/v1/desired", &[], b"").json(200)["server"]["urls"].clone();
    assert_eq!(urls(), serde_json::json!(["https://old.example:5004"]));

    world.reconfigure(
        "[server]\nurl = 'https://new.example:5004'\n[index]\ncache = '128 MiB'\n[log]\nfilter = 'info,longshore=warn'\n",
    );
    eventually("devices are told the new URL", || urls() == serde_json::json!(["https://new.example:5004"]));
    assert!(world.enrolment_text("B4-2").starts_with("https://new.example:5004/e#"));
    let log = world.log();
    let line = log.lines().find(|line| line.contains("from the next start on")).unwrap();
    assert!(line.contains("index.cache"), "{line}");

    // The new filter counts: what it lets through is there, what it holds back is not.
    let lines_before = log.lines().count();
    world.reconfigure(
        "[server]\nurl = 'https://third.example:5004'\n[log]\nfilter = 'info,longshore=warn'\n[storage]\nfloor = 0\n",
    );
    eventually("devices are told the third URL", || urls() == serde_json::json!(["https://third.example:5004"]));
    let log = world.log();
    let new: Vec<_> = log.lines().skip(lines_before).collect();
    assert!(new.iter().any(|line| line.contains("storage.floor")), "{new:?}");
    assert!(!new.iter().any(|line| line.contains("was reloaded")), "{new:?}");
}

#[test]
fn sighup_with_a_wrong_file_keeps_what_was_and_says_why() {
    let world = World::configured("[server]\nurl = 'https://old.example:5004'\n");
    world.reconfigure("[server]\nurl = 'https://new.example:5004'\nlisen = '127.0.0.1:1'\n");
    eventually("the log says why", || world.log().contains("was not reloaded"));
    let log = world.log();
    assert!(log.contains("longshore.toml:3:1: server.lisen") && log.contains("did you mean server.listen?"), "{log}");
    assert!(world.enrolment_text("B4-1").starts_with("https://old.example:5004/e#"));

    fs::remove_file(world.path().join("longshore.toml")).unwrap();
    world.hang_up();
    eventually("a file that is gone is no empty file", || world.log().contains("cannot be read"));
    assert!(world.enrolment_text("B4-2").starts_with("https://old.example:5004/e#"));

    world.reconfigure("[server]\nurl = 'https://new.example:5004'\n");
    eventually("a right file is taken", || world.enrolment_text("B4-3").starts_with("https://new.example:5004/e#"));
}

#[test]
fn the_log_can_be_json() {
    let world = World::configured("[log]\nformat = 'json'\n");
    world.reconfigure("[log]\nformat = 'json'\nfilter = 'debug,sled=warn'\n");
    eventually("the reload is logged", || world.log().contains("was reloaded"));
    let log = world.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = lines.iter().find(|line| line["message"] == "the configuration was reloaded").unwrap();
    assert_eq!((&line["level"], &line["changed"]), (&"INFO".into(), &"[\"log.filter\"]".into()));
}

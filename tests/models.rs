//! What is known of models of devices, and what becomes of those that nobody knows.

use std::fs;

use serde_json::json;

use crate::support::{Camera, World, bytes, eventually, longshore, recording};

#[test]
fn the_models_that_are_known_are_listed_with_what_they_can_do() {
    let world = World::new();
    let models = world.cli_json(&["model", "list"]);
    let names: Vec<_> = models.as_object().unwrap().keys().cloned().collect();
    let all = ["BC4", "DR-200v1", "DR-200v2", "DVR-808", "DVR-906", "DVR-908 Ranger", "PD-1800", "PD-1900", "PD-1902"];
    assert_eq!(names, all);
    assert_eq!(models["DR-200v1"]["wifi"]["bands"], json!(["2.4 GHz"]));
    assert!(models["PD-1900"].get("health").is_none(), "what is not known is not told");
    let listed = String::from_utf8(world.cli(&["model", "list"]).stdout).unwrap();
    let line = |name: &str| listed.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("BC4").contains("body camera") && line("BC4").contains("64 Mbit/s"), "{listed}");
    assert!(line("PD-1900").contains('?'), "{listed}");

    let refused = world.cli(&["model", "show", "BC-4"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("BC4") && said.contains("taken all the same"), "{said}");
}

#[test]
fn what_is_shown_of_a_model_can_be_written_into_a_file_of_the_operators_own() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let shown = World::new().cli(&["model", "show", "BC4"]).stdout;
    let own = String::from_utf8(shown).unwrap().replace("64 Mbit/s", "8 Mbit/s") + "\n[\"Cam 9\"]\nlive = true\n";
    fs::write(file.path(), own).unwrap();
    let config = format!("[devices]\nmodels = '{}'\n", file.path().display());
    let world = World::configured(&config);
    let models = world.cli_json(&["model", "list"]);
    assert_eq!(models["BC4"]["stream_rate"], "8 Mbit/s");
    assert_eq!(models["BC4"]["resolution"]["default"], "720p");
    assert_eq!(models["Cam 9"]["live"], true);
    assert_eq!(models.as_object().unwrap().len(), 10);
}

#[test]
fn a_wrong_file_of_models_is_told_with_line_and_key_and_the_server_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let (config, models) = (folder.path().join("longshore.toml"), folder.path().join("models.toml"));
    fs::write(&config, format!("[devices]\nmodels = '{}'\n", models.display())).unwrap();
    let check = |text: &str| {
        fs::write(&models, text).unwrap();
        let output = longshore().args(["config", "check"]).arg(&config).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(check("[X]\nlive = true\n").0, Some(0));
    for (text, expected) in [
        ("[X]\nliv = true\n", "models.toml:2:1: X.liv: there is no such key; did you mean live?"),
        ("[X]\nlive = 1\n", "models.toml:2:8: X.live: invalid type: integer `1`, expected a boolean"),
        ("[X]\nstream_rate = '8 MB/s'\n", "models.toml:2:15: X.stream_rate: \"8 MB/s\" is no rate"),
        ("[X]\nframe_rate = { most = 30, default = 60 }\n", "models.toml:2:14: X.frame_rate: default is not between"),
        ("[X]\nwifi = { bands = [\"5GHz\"] }\n", "did you mean \"5 GHz\"?"),
        ("[X\n", "models.toml:1:"),
    ] {
        let (status, said) = check(text);
        assert!(status == Some(1) && said.contains(expected), "{text}: {said}");
    }
    let (_, said) = check("[X]\nliv = true\n[Y]\ncameras = 'many'\n");
    assert!(said.contains("2 mistakes") && said.contains(":4:11: Y.cameras"), "{said}");
    let mut serve = longshore();
    serve
        .args(["serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(&config)
        .arg("--data")
        .arg(folder.path().join("data"));
    let output = serve.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("models.toml:2:1: X.liv"), "{said}");
    fs::remove_file(&models).unwrap();
    let output = longshore().args(["config", "check"]).arg(&config).output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("models.toml: the models of devices cannot be read"));
}

#[test]
fn sighup_takes_up_a_changed_file_of_models_and_keeps_what_was_if_it_is_wrong() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |text: &str| fs::write(file.path(), text).unwrap();
    write("[BC4]\nresolution = { default = '720p' }\nstream_rate = '80 kbit/s'\n");
    let world = World::configured(&format!("[devices]\nmodels = '{}'\n[rates]\n", file.path().display()));
    let camera = world.camera("B4-1", "J. Smith");
    let known = camera.request("GET", "/device/v1/desired", &[], b"");
    let resolution = |document: &serde_json::Value| document["profile"]["settings"]["video"]["resolution"].clone();
    assert_eq!(resolution(&known.json(200)), "720p");
    let tag = format!("If-None-Match: {}", known.headers["etag"]);
    let mut parked = camera.begin("GET", "/device/v1/desired", &[&tag, "Prefer: wait=50"]);
    let content = bytes(1, 8_000_000);
    let upload = camera.upload_of(&recording(1, &content));
    std::thread::scope(|scope| {
        // It would take a quarter of an hour.
        let patching = scope.spawn(|| camera.patch(&upload, 0, &content).status);
        eventually("it is being read", || world.works_on(&upload));

        write("[BC4]\nresolution = { default = '1080p' }\nstraem_rate = '1 Gbit/s'\n");
        world.hang_up();
        eventually("the log says why", || world.log().contains("the models of devices were not reloaded"));
        let place = format!("{}:3:1: BC4.straem_rate", file.path().display());
        assert!(world.log().contains(&place), "{}", world.log());
        assert_eq!(world.cli_json(&["model", "list"])["BC4"]["stream_rate"], "80 kbit/s");

        write("[BC4]\nresolution = { default = '1080p' }\nstream_rate = '1 Gbit/s'\n");
        world.hang_up();
        assert_eq!(patching.join().unwrap(), 204);
    });
    // It may hear of the changed configuration first, and of what follows from it with its next call.
    let heard = parked.reply("GET");
    let heard = if heard.status == 304 {
        camera.request("GET", "/device/v1/desired", &[&tag, "Prefer: wait=50"], b"")
    } else {
        heard
    };
    assert_eq!(resolution(&heard.json(200)), "1080p");
    assert_eq!(world.cli_json(&["model", "list"])["BC4"]["stream_rate"], "1 Gbit/s");
}

#[test]
fn a_device_of_an_unknown_model_is_taken_and_flagged() {
    let world = World::new();
    let issued = world.cli_json(&["device", "add", "--serial", "N-1", "--model", "Cam 9000"]);
    let mut camera = Camera::new(&world);
    let enrolment = camera.ask_to_be_known(issued["text"].as_str().unwrap()).json(202);
    assert_eq!(world.cli_json(&["device", "list"])[0]["unknown_model"], true);
    world.approve("N-1", "J. Smith");
    camera.fetch_certificate(enrolment["id"].as_str().unwrap());
    let upload = camera.upload_of(&recording(1, b"video"));
    assert_eq!(camera.patch(&upload, 0, b"video").status, 204);
    let desired = camera.request("GET", "/device/v1/desired", &[], b"").json(200);
    assert_eq!(desired["profile"], json!({"id": "default", "version": 1, "settings": {}}));
    let shown = String::from_utf8(world.cli(&["device", "show", "N-1"]).stdout).unwrap();
    assert!(shown.contains("Nothing is known of the model Cam 9000"), "{shown}");
    let listed = String::from_utf8(world.cli(&["device", "list"]).stdout).unwrap();
    assert!(listed.contains("Cam 9000 (unknown model)"), "{listed}");
    world.camera("B4-1", "A. Jones");
    let known = world.cli_json(&["device", "list"]);
    assert!(known.as_array().unwrap().iter().any(|row| row["serial"] == "B4-1" && row.get("unknown_model").is_none()));
}

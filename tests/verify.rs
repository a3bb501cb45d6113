//! `verify store` and `catalogue rebuild`: what is lost or altered is told, and what can come back does.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::support::{self, World, bytes, files_below, recording};

/// A server with so many recordings, and the paths of their videos.
fn world(recordings: u32) -> (World, Vec<PathBuf>) {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    for n in 0..recordings {
        let content = bytes(n.into(), 100_000);
        let upload = camera.upload_of(&recording(n, &content));
        assert_eq!(camera.patch(&upload, 0, &content).status, 204);
    }
    let videos: Vec<PathBuf> = world.stored().into_keys().map(|name| world.storage().join(name)).collect();
    assert_eq!(videos.len(), recordings as usize);
    (world, videos)
}

fn stop(world: &mut World) {
    world.terminate();
    assert_eq!(world.stopped(), Some(0));
}

fn manifest_of(video: &Path) -> PathBuf {
    PathBuf::from(format!("{}.json", video.display()))
}

fn flip_a_byte(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn report(world: &World, arguments: &[&str], status: i32) -> Value {
    let output = world.cli(&[&["verify", "store", "--json"], arguments].concat());
    assert_eq!(output.status.code(), Some(status), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn counts(report: &Value) -> [u64; 3] {
    ["expected", "present", "unverified"].map(|key| report[key].as_u64().unwrap())
}

/// What is wrong, as kind and path, in the order of the paths.
fn problems(world: &World, report: &Value) -> Vec<(String, PathBuf)> {
    let problem = |problem: &Value| {
        assert!(!problem["text"].as_str().unwrap().is_empty());
        (problem["kind"].as_str().unwrap().to_owned(), world.storage().join(problem["path"].as_str().unwrap()))
    };
    let mut problems: Vec<_> = report["problems"].as_array().unwrap().iter().map(problem).collect();
    problems.sort_by(|a, b| a.1.cmp(&b.1));
    problems
}

/// Nothing that a command makes for itself stays behind.
fn nothing_is_left_behind(world: &World) {
    let names = fs::read_dir(world.data()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = names.filter(|name| name.starts_with("verify-") || name == "index.new").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_whole_store_is_well_whether_the_server_runs_or_not() {
    let (mut world, _) = world(3);
    let camera = world.camera("B4-2", "A. Jones");
    let content = bytes(9, 50_000);
    let upload = camera.upload_of(&recording(9, &content));
    assert_eq!(camera.patch(&upload, 0, &content[..20_000]).status, 204);
    for running in [true, false] {
        if !running {
            stop(&mut world);
        }
        let output = world.cli(&["verify", "store"]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(said(&output).contains("3 expected, 3 present, 0 unverified"), "{}", said(&output));
        let report = report(&world, &[], 0);
        assert_eq!(counts(&report), [3, 3, 0]);
        assert_eq!(report["declared_not_stored"], 1);
        assert_eq!((&report["on_their_way"]["uploads"], &report["on_their_way"]["bytes"]), (&1.into(), &20_000.into()));
        assert_eq!(report["index"]["state"], if running { "answers_all" } else { "same" });
        assert_eq!(counts(&self::report(&world, &["--quick"], 0)), [3, 3, 3]);
        nothing_is_left_behind(&world);
    }
}

#[test]
fn each_damage_is_told_with_its_path_and_a_foreign_file_is_none() {
    let (mut world, videos) = world(6);
    flip_a_byte(&videos[0], 77_777);
    fs::remove_file(&videos[1]).unwrap();
    fs::remove_file(manifest_of(&videos[2])).unwrap();
    let altered = fs::read_to_string(manifest_of(&videos[3])).unwrap().replace("J. Smith", "A. Jones");
    fs::write(manifest_of(&videos[3]), altered).unwrap();
    File::options().write(true).open(&videos[4]).unwrap().set_len(99_999).unwrap();
    let unknown = videos[0].with_file_name(videos[0].file_name().unwrap().to_str().unwrap().replace("event", "other"));
    fs::write(&unknown, b"video").unwrap();
    fs::write(world.storage().join("notes.txt"), b"mine").unwrap();
    let expected = |kinds: &[(&str, &PathBuf)]| {
        let mut all: Vec<_> = kinds.iter().map(|(kind, path)| ((*kind).to_owned(), (*path).clone())).collect();
        all.sort_by(|a, b| a.1.cmp(&b.1));
        all
    };
    let (manifest_2, manifest_3) = (manifest_of(&videos[2]), manifest_of(&videos[3]));
    let by_name = [
        ("missing_video", &videos[1]),
        ("missing_manifest", &manifest_2),
        ("altered_manifest", &manifest_3),
        ("altered_video", &videos[4]),
        ("unknown_video", &unknown),
    ];
    for running in [true, false] {
        if !running {
            stop(&mut world);
        }
        let whole = report(&world, &[], 1);
        assert_eq!(counts(&whole), [6, 1, 0]);
        assert_eq!(problems(&world, &whole), expected(&[&[("altered_video", &videos[0])], &by_name[..]].concat()));
        assert_eq!(whole["foreign"], serde_json::json!(["notes.txt"]));
        // What only the content tells is not seen by its name and size.
        assert_eq!(problems(&world, &report(&world, &["--quick"], 1)), expected(&by_name));
    }
    let output = world.cli(&["verify", "store"]);
    assert_eq!(output.status.code(), Some(1));
    let name = videos[1].file_name().unwrap().to_str().unwrap();
    assert!(
        said(&output).contains(&format!("{name}: the video is missing: restore it from a backup")),
        "{}",
        said(&output)
    );
}

#[test]
fn a_journal_that_is_gone_beside_a_running_server_is_told() {
    let (world, _) = world(3);
    let segment = files_below(&world.data().join("journal")).remove(0);
    fs::rename(&segment, world.path().join("kept.jsonl")).unwrap();
    let report = report(&world, &[], 1);
    let problems = report["problems"].as_array().unwrap();
    assert!(problems.iter().any(|problem| problem["kind"] == "journal"), "{report}");
    let output = world.cli(&["verify", "store", "--report", "--now"]);
    assert!(output.status.code() == Some(1) && said(&output).contains("the catalogue knows"), "{}", said(&output));
}

#[test]
fn a_lost_index_is_no_loss() {
    let (mut world, _) = world(2);
    let before = world.recordings();
    stop(&mut world);
    fs::remove_dir_all(world.data().join("index")).unwrap();
    assert_eq!(report(&world, &[], 3)["index"]["state"], "missing", "nothing tells whether the journal lost its end");
    world.start();
    assert_eq!(world.recordings(), before);
    stop(&mut world);
    let output = world.cli(&["catalogue", "rebuild"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(report(&world, &[], 0)["index"]["state"], "same");
    world.start();
    assert!(world.log().contains("facts=0 index.rebuilt=false"), "{}", world.log());
    assert_eq!(world.recordings(), before);
    nothing_is_left_behind(&world);
}

#[test]
fn recordings_of_a_lost_journal_come_back_from_their_manifests() {
    let (mut world, videos) = world(5);
    let before = world.recordings();
    stop(&mut world);
    fs::remove_dir_all(world.data().join("journal")).unwrap();
    let lost = report(&world, &[], 1);
    assert_eq!(counts(&lost), [0, 0, 0]);
    assert_eq!(lost["problems"].as_array().unwrap().len(), 6, "five manifests, and the index that knows more: {lost}");
    // One that was cut, one whose manifest was forged.
    File::options().write(true).open(&videos[0]).unwrap().set_len(99_999).unwrap();
    let forged = fs::read_to_string(manifest_of(&videos[1])).unwrap().replacen("\"revision\": 1", "\"revision\": 2", 1);
    fs::write(manifest_of(&videos[1]), forged).unwrap();

    let output = world.cli(&["catalogue", "rebuild", "--from-manifests"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let told = said(&output);
    for expected in [
        "3 recordings were put into the journal",
        "its video has 99999 bytes instead of 100000",
        "what it says is not what its receipt was signed for",
        "Devices and what they declared cannot come back",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    let again = said(&world.cli(&["catalogue", "rebuild", "--from-manifests"]));
    assert!(again.contains("0 recordings were put into the journal from their manifests; 3 were there"), "{again}");

    world.start();
    let lacking =
        |row: &Value| [&videos[0], &videos[1]].iter().any(|video| video.ends_with(row["path"].as_str().unwrap()));
    let expected: Vec<Value> = before.into_iter().filter(|row| !lacking(row)).collect();
    assert_eq!(world.recordings(), expected);
    let report = report(&world, &[], 1);
    assert_eq!((counts(&report), report["problems"].as_array().unwrap().len()), ([3, 3, 0], 2));
}

#[test]
fn another_storage_than_the_servers_is_not_taken_for_a_damaged_one() {
    let (mut world, _) = world(1);
    let other = World::new();
    stop(&mut world);
    for (storage, says) in [(other.storage(), "is another storage"), (world.path().join("none"), "is not there")] {
        for command in [&["verify", "store"][..], &["catalogue", "rebuild", "--from-manifests"]] {
            let mut longshore = support::longshore();
            longshore.args(command).arg("--data").arg(world.data()).env("LONGSHORE__STORAGE__PATH", &storage);
            let output = longshore.output().unwrap();
            assert_eq!(output.status.code(), Some(1));
            assert!(said(&output).contains(says) && !said(&output).contains("WRONG"), "{}", said(&output));
        }
    }
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let (world, _) = world(1);
    for command in [&["verify", "store"][..], &["recordings", "list"], &["device", "show", "B4-1"]] {
        let mut longshore = support::longshore();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = longshore.args(command).arg("--data").arg(world.data()).stdout(writer).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("panicked") && !said.contains("Broken pipe"), "{said}");
    }
}

#[test]
fn the_index_is_not_rebuilt_under_a_running_server() {
    let (world, _) = world(1);
    let output = world.cli(&["catalogue", "rebuild"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("is running on the data folder") && said(&output).contains("stop it"));
    assert_eq!(world.recordings().len(), 1);
}

#[test]
fn an_old_line_of_the_journal_that_was_altered_is_found_and_the_index_stays_as_it_was() {
    let (mut world, _) = world(2);
    let before = world.recordings();
    stop(&mut world);
    let segment = &files_below(&world.data().join("journal"))[0];
    flip_a_byte(segment, 60);
    let report = report(&world, &["--quick"], 1);
    let journal: Vec<&Value> =
        report["problems"].as_array().unwrap().iter().filter(|problem| problem["kind"] == "journal").collect();
    assert!(journal[0]["text"].as_str().unwrap().contains("line 1"), "{report}");
    let output = world.cli(&["catalogue", "rebuild"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("line 1") && said(&output).contains("backup"), "{}", said(&output));
    nothing_is_left_behind(&world);
    // The end of the journal is whole, and so is the index: the server serves.
    world.start();
    assert_eq!(world.recordings(), before);
}

#[test]
fn a_folder_that_is_none_is_named_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("typo");
    for command in [["verify", "store"], ["catalogue", "rebuild"]] {
        let mut longshore = support::longshore();
        let output = longshore.args(command).arg("--data").arg(&data).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("typo is no data folder of Longshore"), "{}", said(&output));
        assert!(!data.exists());
    }
}

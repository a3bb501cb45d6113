//! The backup and the restore that `docs/OPERATIONS.md` shows, run as they stand there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use super::document;
use crate::support::{Camera, World, bytes, recording};

/// Runs a line of shell in `folder`, with the programs on the path and `/backup` being `backup`.
fn shell(folder: &Path, line: &str, backup: &Path) -> Output {
    let programs = Path::new(env!("CARGO_BIN_EXE_longshore")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let line = line.replace("/backup", &backup.display().to_string());
    Command::new("bash").args(["-ec", &line]).current_dir(folder).env("PATH", path).output().unwrap()
}

fn store(camera: &Camera, number: u32) {
    let content = bytes(number.into(), 1000);
    let upload = camera.upload_of(&recording(number, &content));
    assert_eq!(camera.patch(&upload, 0, &content).status, 204);
}

#[test]
fn what_came_between_the_two_copies_of_a_backup_is_there_after_the_restore() {
    let document = document("docs/OPERATIONS.md");
    let blocks: Vec<_> = document.blocks.iter().filter(|block| block.section == "Backup").collect();
    let [copying, restoring] = blocks[..] else { panic!("{} blocks", blocks.len()) };
    let lines: Vec<_> = copying.text.lines().collect();
    let [journal, storage, verifying] = lines[..] else { panic!("{lines:?}") };

    let mut world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("longshore-data"), folder.path().join("backup"));
    symlink(world.data(), &data).unwrap();
    fs::create_dir(&backup).unwrap();
    store(&camera, 1);
    assert!(shell(folder.path(), journal, &backup).status.success());
    store(&camera, 2);
    assert!(shell(folder.path(), storage, &backup).status.success());
    let verified = shell(folder.path(), verifying, &backup);
    assert!(String::from_utf8(verified.stdout).unwrap().contains("the journal does not know this recording"));

    world.kill();
    fs::remove_file(&data).unwrap();
    fs::rename(&backup, &data).unwrap();
    let restored = shell(folder.path(), &restoring.text, &backup);
    let said = String::from_utf8(restored.stdout.clone()).unwrap();
    assert!(restored.status.success(), "{restored:?}");
    assert!(
        said.contains("1 recordings were put into the journal") && said.contains("2 expected, 2 present"),
        "{said}"
    );
}

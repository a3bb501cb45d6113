//! The worked example of `docs/PROTOCOL.md`, run against the real server.

use std::path::Path;
use std::process::Command;

use crate::support::World;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_device_written_in_bash_alone_gets_its_recording_home() {
    let world = World::new();
    let approve = format!(
        "{} device approve C-1 --assignee 'J. Smith' --data '{}'",
        env!("CARGO_BIN_EXE_longshore"),
        world.data().display()
    );
    let output = Command::new("bash")
        .arg(root().join("tests/conformance.sh"))
        .args([world.enrolment_text("C-1"), approve])
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let document = std::fs::read_to_string(root().join("docs/PROTOCOL.md")).unwrap();
    let ends_with = format!("ends with `{}`", out.lines().last().unwrap());
    assert!(document.contains(&ends_with), "{ends_with}");
    assert_eq!(world.stored().len(), 1);
    assert!(world.recordings()[0]["deleted_on_device_at"].is_string());
}

//! The documents: what they show is what happens.

use std::fs;
use std::path::Path;
use std::process::Command;

use longshore_protocol::ProblemType;

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
    assert_eq!(world.stored().len(), 1);
    assert!(world.recordings()[0]["deleted_on_device_at"].is_string());
}

#[test]
fn every_example_in_the_protocol_document_is_the_golden_one() {
    let document = fs::read_to_string(root().join("docs/PROTOCOL.md")).unwrap();
    let mut shown = Vec::new();
    for part in document.split("<!-- golden: ").skip(1) {
        let (name, rest) = part.split_once(" -->").unwrap();
        let example = rest.split_once("```json\n").unwrap().1.split_once("```").unwrap().0;
        let golden = fs::read_to_string(root().join(format!("crates/protocol/golden/{name}.json"))).unwrap();
        assert_eq!(example, golden, "{name}");
        shown.push(format!("{name}.json"));
    }
    shown.sort();
    let mut golden: Vec<_> = fs::read_dir(root().join("crates/protocol/golden"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    golden.sort();
    assert_eq!(shown, golden);
}

#[test]
fn every_problem_type_is_documented_with_its_status() {
    let document = fs::read_to_string(root().join("docs/PROTOCOL.md")).unwrap();
    for kind in ProblemType::ALL {
        let (slug, status) = (format!("`{}`", kind.slug()), kind.status().to_string());
        let is_row = |line: &str| line.starts_with('|') && line.contains(&slug) && line.contains(&status);
        assert!(document.lines().any(is_row), "{slug} with {status} is not in the table");
    }
}

#[test]
fn every_kind_of_bad_input_in_the_protocol_document_has_its_test() {
    let document = fs::read_to_string(root().join("docs/PROTOCOL.md")).unwrap();
    let section = document.split("\n## ").find(|section| section.starts_with("Bad input")).unwrap();
    let rows: Vec<_> = section.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert!(!rows.is_empty());
    for row in rows {
        let (file, name) =
            row.rsplit('`').nth(1).and_then(|test| test.split_once("::")).unwrap_or_else(|| panic!("{row}"));
        let source = fs::read_to_string(root().join(format!("tests/{file}.rs"))).unwrap();
        let before = source.split_once(&format!("\nfn {name}() {{")).unwrap_or_else(|| panic!("{row}")).0;
        assert!(before.lines().rev().take(2).any(|line| line == "#[test]"), "{row}");
    }
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut documents = vec![root().join("README.md"), root().join("CHANGELOG.md")];
    documents.extend(crate::support::files_below(&root().join("docs")));
    for document in documents.iter().filter(|path| path.extension().is_some_and(|ending| ending == "md")) {
        let text = fs::read_to_string(document).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") || target.starts_with('#') {
                continue;
            }
            let path = document.parent().unwrap().join(target.split('#').next().unwrap());
            assert!(path.exists(), "{}: {target}", document.display());
        }
    }
}

use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use longshore_model::Kind;

use super::*;
use crate::scan::Found;

struct Card {
    folder: tempfile::TempDir,
    journal: Journal,
    intent: Intent,
}

fn now() -> DateTime<FixedOffset> {
    "2026-11-21T14:31:09+01:00".parse().unwrap()
}

fn card() -> Card {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("card/EVENT/a.mp4");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, b"abc").unwrap();
    let content = source::hash(&path, |_| true).unwrap();
    let found = Found { name: "EVENT/a.mp4".into(), path, kind: Kind::Event, state: content.state };
    let recording = Recording::new("S", &found, &content);
    Card {
        journal: Journal::open(folder.path().join("state/deletions")).unwrap(),
        intent: Intent::new(&recording, "receipt".into()).unwrap(),
        folder,
    }
}

impl Card {
    fn deleted(&self) -> Intent {
        Intent { deleted_at: Some(now()), ..self.intent.clone() }
    }

    fn entries(&self) -> Vec<Intent> {
        self.journal.entries().unwrap().0
    }

    /// What the next start does.
    fn continue_after_crash(&self) -> Carried {
        let [intent] = <[Intent; 1]>::try_from(self.entries()).unwrap();
        self.journal.carry_out(intent, now()).unwrap()
    }
}

#[test]
fn a_deleted_file_is_gone_and_its_deletion_stays_to_be_reported() {
    let card = card();
    let carried = card.journal.delete(card.intent.clone(), now()).unwrap();
    assert_eq!(carried, Carried::Deleted(card.deleted().into()));
    assert!(!card.intent.path.exists());
    assert_eq!(card.entries(), [card.deleted()]);
    card.journal.close(card.intent.rid).unwrap();
    assert!(card.entries().is_empty());
}

#[test]
fn a_crash_before_the_intent_is_written_leaves_the_file_and_nothing_to_report() {
    let card = card();
    assert!(card.entries().is_empty());
    assert!(card.intent.path.exists());
}

#[test]
fn a_crash_while_the_intent_is_written_leaves_the_file_and_nothing_to_report() {
    let card = card();
    let torn = card.folder.path().join(format!("state/deletions/{}.json.tmp", card.intent.rid));
    fs::write(torn, b"{\"rid\":").unwrap();
    assert!(card.entries().is_empty());
    let carried = card.journal.delete(card.intent.clone(), now()).unwrap();
    assert_eq!(carried, Carried::Deleted(card.deleted().into()));
}

#[test]
fn a_crash_before_the_unlinking_is_continued_with_it() {
    let card = card();
    card.journal.put(&card.intent).unwrap();
    assert_eq!(card.continue_after_crash(), Carried::Deleted(card.deleted().into()));
    assert!(!card.intent.path.exists());
}

#[test]
fn a_crash_after_the_unlinking_still_reports_it() {
    let card = card();
    card.journal.put(&card.intent).unwrap();
    fs::remove_file(&card.intent.path).unwrap();
    assert_eq!(card.continue_after_crash(), Carried::Deleted(card.deleted().into()));
    assert_eq!(card.entries(), [card.deleted()]);
}

#[test]
fn a_crash_before_the_report_reports_the_time_of_the_deletion() {
    let card = card();
    card.journal.delete(card.intent.clone(), now()).unwrap();
    let later = now() + chrono::TimeDelta::hours(5);
    let carried = card.journal.carry_out(card.deleted(), later).unwrap();
    assert_eq!(carried, Carried::Deleted(card.deleted().into()));
}

#[test]
fn a_crash_after_the_report_reports_it_again_and_touches_no_new_file() {
    let card = card();
    card.journal.delete(card.intent.clone(), now()).unwrap();
    fs::write(&card.intent.path, b"a new recording of the same name").unwrap();
    assert_eq!(card.continue_after_crash(), Carried::Deleted(card.deleted().into()));
    assert!(card.intent.path.exists());
}

#[test]
fn a_changed_file_is_not_deleted() {
    let card = card();
    let mut file = OpenOptions::new().append(true).open(&card.intent.path).unwrap();
    file.write_all(b"d").unwrap();
    let carried = card.journal.delete(card.intent.clone(), now()).unwrap();
    assert!(matches!(carried, Carried::Kept(_)));
    assert_eq!(fs::read(&card.intent.path).unwrap(), b"abcd");
    assert!(card.entries().is_empty());
}

#[test]
fn other_bytes_of_the_same_length_are_not_deleted_after_a_crash() {
    let card = card();
    card.journal.put(&card.intent).unwrap();
    fs::remove_file(&card.intent.path).unwrap();
    fs::write(&card.intent.path, b"xyz").unwrap();
    touch(&card.intent.path);
    assert!(matches!(card.continue_after_crash(), Carried::Kept(_)));
    assert!(card.intent.path.exists());
    assert!(card.entries().is_empty());
}

#[test]
fn a_touched_file_with_the_same_bytes_is_deleted() {
    let card = card();
    touch(&card.intent.path);
    assert_ne!(FileState::at(&card.intent.path).unwrap(), card.intent.state);
    let carried = card.journal.delete(card.intent.clone(), now()).unwrap();
    assert_eq!(carried, Carried::Deleted(card.deleted().into()));
}

#[test]
fn a_file_that_looks_the_same_on_another_card_is_read_before_it_is_deleted() {
    let mut card = card();
    card.intent.mount = serde_json::from_str("\"another card\"").unwrap();
    let intent = Intent { sha256: Sha256::of(b"what was on the other card"), ..card.intent.clone() };
    assert!(matches!(card.journal.delete(intent, now()).unwrap(), Carried::Kept(_)));
    assert!(card.intent.path.exists());
    let carried = card.journal.delete(card.intent.clone(), now()).unwrap();
    assert_eq!(carried, Carried::Deleted(card.deleted().into()));
}

#[test]
fn a_card_that_is_not_there_is_not_taken_for_a_deleted_file() {
    let card = card();
    card.journal.put(&card.intent).unwrap();
    fs::remove_dir_all(card.folder.path().join("card")).unwrap();
    assert_eq!(card.continue_after_crash(), Carried::OutOfSight);
    assert_eq!(card.entries(), [card.intent]);
}

#[test]
fn an_empty_mount_point_is_not_taken_for_a_deleted_file() {
    let mut card = card();
    card.intent.place = Place { file_system: card.intent.place.file_system + 1, mount: None, volume: None };
    card.journal.put(&card.intent).unwrap();
    fs::remove_file(&card.intent.path).unwrap();
    assert_eq!(card.continue_after_crash(), Carried::OutOfSight);
}

#[test]
fn a_file_that_is_gone_already_is_nothing_that_the_agent_deletes() {
    let card = card();
    let path = card.intent.path;
    let content = source::hash(&path, |_| true).unwrap();
    let found = Found { name: "EVENT/a.mp4".into(), path: path.clone(), kind: Kind::Event, state: content.state };
    fs::remove_file(&path).unwrap();
    let refused = Intent::new(&Recording::new("S", &found, &content), "receipt".into()).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::NotFound);
}

#[test]
fn an_intent_that_could_not_be_carried_out_is_not_written_again() {
    let card = card();
    // A folder in the file's place can be neither read as a file nor unlinked.
    fs::remove_file(&card.intent.path).unwrap();
    fs::create_dir(&card.intent.path).unwrap();
    let entry = card.journal.entry(card.intent.rid);
    assert!(card.journal.delete(card.intent.clone(), now()).is_err());
    let written = FileState::at(&entry).unwrap();
    assert!(card.journal.delete(card.intent.clone(), now()).is_err());
    assert_eq!(FileState::at(&entry).unwrap(), written);
    let other = Intent { receipt: "a newer receipt".into(), ..card.intent.clone() };
    assert!(card.journal.delete(other.clone(), now()).is_err());
    assert_eq!(card.entries(), [other]);
}

#[test]
fn a_damaged_entry_is_told_and_the_others_are_read() {
    let card = card();
    card.journal.put(&card.intent).unwrap();
    let damaged = card.folder.path().join("state/deletions/x.json");
    fs::write(&damaged, b"{").unwrap();
    assert_eq!(card.journal.entries().unwrap(), (vec![card.intent], vec![damaged]));
}

#[test]
fn other_bytes_of_equal_size_under_the_old_date_are_not_deleted() {
    let card = card();
    let path = &card.intent.path;
    let before = fs::metadata(path).unwrap().modified().unwrap();
    // The clock of the file system moves in ticks; a change within the tick of the first writing has its ctime.
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while FileState::at(path).unwrap().ctime_ns == card.intent.state.ctime_ns {
        assert!(std::time::Instant::now() < deadline, "the ctime does not move");
        let mut file = OpenOptions::new().write(true).truncate(true).open(path).unwrap();
        file.write_all(b"xyz").unwrap();
        file.set_modified(before).unwrap();
    }
    assert!(FileState::at(path).unwrap().looks_like(&card.intent.state));
    assert_eq!(FileState::at(path).unwrap().inode, card.intent.state.inode);
    assert!(matches!(card.journal.delete(card.intent.clone(), now()).unwrap(), Carried::Kept(_)));
    assert_eq!(fs::read(path).unwrap(), b"xyz");
}

#[test]
fn an_intent_without_a_ctime_has_the_file_read_before_it_is_deleted() {
    let card = card();
    let mut written = serde_json::to_value(&card.intent).unwrap();
    written["state"].as_object_mut().unwrap().remove("ctime_ns").unwrap();
    let intent: Intent = serde_json::from_value(written).unwrap();
    let other = Intent { sha256: Sha256::of(b"other bytes"), ..intent.clone() };
    assert!(matches!(card.journal.delete(other, now()).unwrap(), Carried::Kept(_)));
    assert!(matches!(card.journal.delete(intent, now()).unwrap(), Carried::Deleted(_)));
}

fn touch(path: &Path) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
}

//! An index that is gone on with has the rows that the whole journal gives, wherever it was interrupted.

mod endangered;
mod random;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use longshore_model::{SettableClock, SystemClock};
use tempfile::TempDir;

use self::random::Random;
use super::*;
use crate::catalogue::{Catalogue, OpenError, Started, Writer};
use crate::facts::{Entry, Fact};
use crate::files::{Disk, DiskOptions};
use crate::journal::{self, JournalError};

/// Where the child of the kill test works.
const CHILD_FOLDER: &str = "LONGSHORE_TEST_CHILD_FOLDER";
const CHILD_SEED: &str = "LONGSHORE_TEST_CHILD_SEED";

fn open(data: &Path) -> (Catalogue, Writer, Started) {
    let clock = SettableClock::at("2026-11-21T15:00:00Z".parse().unwrap());
    let files = Arc::new(Disk::open(data, DiskOptions::default()).unwrap());
    Catalogue::open(files, &IndexPlace::below(data), Arc::new(clock)).unwrap()
}

fn record(catalogue: &Catalogue, facts: Vec<Fact>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(catalogue.record(facts)).unwrap();
}

/// A journal of random facts, with the index that its server kept; neither stopped nor flushed.
fn world(seed: u64, batches: usize) -> (TempDir, Catalogue, Writer) {
    let data = tempfile::tempdir().unwrap();
    let (catalogue, writer, _) = open(data.path());
    let mut random = Random::seeded(seed);
    for _ in 0..batches {
        record(&catalogue, random.batch());
    }
    (data, catalogue, writer)
}

fn read_journal(data: &Path) -> Vec<(Entry, Mark)> {
    let mut facts = Vec::new();
    journal::read(&Disk::open(data, DiskOptions::default()).unwrap(), |entry, mark| {
        facts.push((entry, mark));
        Ok(())
    })
    .unwrap();
    facts
}

/// An index of these facts, made in one go.
fn rebuilt(facts: &[(Entry, Mark)]) -> (TempDir, Index) {
    let folder = tempfile::tempdir().unwrap();
    let index = Index::create(&IndexPlace::below(folder.path())).unwrap();
    apply(&index, facts);
    (folder, index)
}

fn apply(index: &Index, facts: &[(Entry, Mark)]) {
    let mut applying = Applying::to(index);
    for (entry, mark) in facts.iter().cloned() {
        applying.take(entry, mark).unwrap();
    }
    applying.finish().unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Cuts a copy of the index's log after `len` bytes, as a kill between two writes leaves it, and goes on from there.
/// Whether the rest of the index was of use, and less than everything.
fn goes_on_after_a_cut(data: &Path, facts: &[(Entry, Mark)], whole: &Index, len: u64) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let place = IndexPlace::below(folder.path());
    copy(&IndexPlace::below(data).folder, &place.folder);
    let at = fs::metadata(&place.folder).unwrap();
    change_state(folder.path(), |state| state["at"] = serde_json::json!([at.dev(), at.ino()]));
    File::options().write(true).open(place.folder.join("rows/db")).unwrap().set_len(len).unwrap();
    let Some((index, mark)) = Index::open(&place).unwrap() else { return false };
    let done = usize::try_from(mark.seq).unwrap();
    assert_eq!(mark, facts[done - 1].1, "cut at {len}");
    let (_reference_folder, reference) = rebuilt(&facts[..done]);
    assert_eq!(index.differences(&reference).unwrap(), 0, "cut at {len}: the rows are not those of {done} facts");
    apply(&index, &facts[done..]);
    assert_eq!(index.differences(whole).unwrap(), 0, "cut at {len}, gone on from {done}");
    done < facts.len()
}

#[test]
fn wherever_the_writes_of_the_index_end_it_holds_whole_batches_and_goes_on_to_the_same_rows() {
    let (data, catalogue, _writer) = world(1, 12);
    catalogue.index().db.flush().unwrap();
    let facts = read_journal(data.path());
    let (_folder, whole) = rebuilt(&facts);
    assert_eq!(catalogue.index().differences(&whole).unwrap(), 0);
    // sled makes its file longer than what it has written.
    let log = fs::read(data.path().join("index/rows/db")).unwrap();
    let end = log.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
    let of_use = (0..=end).step_by(61).filter(|cut| goes_on_after_a_cut(data.path(), &facts, &whole, *cut)).count();
    assert!(of_use > 20, "only {of_use} of the cuts left an index");
}

#[test]
fn a_server_that_is_killed_at_any_moment_goes_on_with_the_rows_of_its_whole_journal() {
    let (mut kept, mut behind) = (0, 0);
    for round in 0..4 {
        let data = tempfile::tempdir().unwrap();
        for kill in 0..8 {
            let seed = round * 100 + kill;
            run_and_kill(data.path(), seed);
            let facts = read_journal(data.path());
            let (catalogue, writer, started) = open(data.path());
            let (_folder, whole) = rebuilt(&facts);
            assert_eq!(catalogue.index().differences(&whole).unwrap(), 0, "seed {seed}, {started:?}");
            kept += u32::from(!started.rebuilt);
            behind += u32::from(!started.rebuilt && started.replayed > 0);
            // Every other time the next server finds an index that was closed.
            if kill % 2 == 0 {
                writer.stop();
            }
        }
    }
    assert!(
        kept > 20 && behind > 10,
        "kept {kept} times, {behind} times behind the journal: too few to prove anything"
    );
}

/// Starts a process that records facts, and kills it while it does.
fn run_and_kill(data: &Path, seed: u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "index::tests::records_until_it_is_killed", "--ignored", "--nocapture"])
        .env(CHILD_FOLDER, data)
        .env(CHILD_SEED, seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let batches = usize::try_from(Random::seeded(seed).below(400)).unwrap();
    let reached = lines.by_ref().map(Result::unwrap).filter(|line| line.ends_with("recorded")).nth(batches);
    assert!(reached.is_some(), "the child ended by itself");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
#[ignore = "the child of the kill test"]
fn records_until_it_is_killed() {
    let data = std::env::var_os(CHILD_FOLDER).unwrap();
    let (catalogue, _writer, _) = open(Path::new(&data));
    let mut random = Random::seeded(std::env::var(CHILD_SEED).unwrap().parse().unwrap());
    loop {
        record(&catalogue, random.batch());
        println!("recorded");
    }
}

/// Has the index of `data` look as if the machine had been started since.
fn as_after_a_boot(data: &Path) {
    change_state(data, |state| state["boot"] = "another".into());
}

fn change_state(data: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let state = data.join("index/state.json");
    let mut json = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
    change(&mut json);
    fs::write(state, json.to_string()).unwrap();
}

#[test]
fn a_copy_that_was_made_while_a_server_ran_is_made_anew_and_one_of_a_stopped_server_is_gone_on_with() {
    let (data, catalogue, writer) = world(4, 10);
    let copied = |rebuilt: bool| {
        let backup = tempfile::tempdir().unwrap();
        copy(data.path(), backup.path());
        let (_catalogue, _writer, started) = open(backup.path());
        assert_eq!(started.rebuilt, rebuilt);
    };
    copied(true);
    writer.stop();
    drop(catalogue);
    copied(false);
}

#[test]
fn an_index_that_was_closed_outlives_a_power_cut_and_one_that_was_not_is_made_anew() {
    let (data, catalogue, writer) = world(2, 30);
    writer.stop();
    drop(catalogue);
    as_after_a_boot(data.path());
    let (catalogue, writer, started) = open(data.path());
    assert_eq!(started, Started { replayed: 0, rebuilt: false, torn: None });
    // Gone without a stop, as by a power cut.
    catalogue.index().db.flush().unwrap();
    as_after_a_boot(data.path());
    let facts = read_journal(data.path());
    drop((catalogue, writer));
    as_after_a_boot(data.path());
    let (catalogue, _writer, started) = open(data.path());
    assert_eq!(started, Started { replayed: facts.len() as u64, rebuilt: true, torn: None });
    assert_eq!(catalogue.index().differences(&rebuilt(&facts).1).unwrap(), 0);
}

type Spoil = fn(&Path);

#[test]
fn whatever_is_wrong_with_the_index_it_is_made_anew() {
    let ways: [(&str, Spoil); 6] = [
        ("no state", |index| fs::remove_file(index.join("state.json")).unwrap()),
        ("a state cut short", |index| fs::write(index.join("state.json"), b"{\"form\":1,").unwrap()),
        ("another form", |index| {
            let state = fs::read_to_string(index.join("state.json")).unwrap();
            fs::write(index.join("state.json"), state.replace("\"form\":", "\"form\":7")).unwrap();
        }),
        ("no rows", |index| fs::remove_dir_all(index.join("rows")).unwrap()),
        ("rows of zeros", |index| {
            let rows = index.join("rows/db");
            let len = fs::metadata(&rows).unwrap().len();
            fs::write(rows, vec![0; usize::try_from(len).unwrap()]).unwrap();
        }),
        ("rows that are no folder", |index| {
            fs::remove_dir_all(index.join("rows")).unwrap();
            fs::write(index.join("rows"), b"").unwrap();
        }),
    ];
    for (what, spoil) in ways {
        let (data, catalogue, writer) = world(3, 10);
        writer.stop();
        drop(catalogue);
        spoil(&data.path().join("index"));
        let (catalogue, _writer, started) = open(data.path());
        let facts = read_journal(data.path());
        assert_eq!((started.rebuilt, started.replayed), (true, facts.len() as u64), "{what}");
        assert_eq!(catalogue.index().differences(&rebuilt(&facts).1).unwrap(), 0, "{what}");
    }
}

#[test]
fn a_file_that_sled_was_killed_over_does_not_cost_the_index() {
    let (data, catalogue, writer) = world(4, 10);
    writer.stop();
    drop(catalogue);
    fs::write(data.path().join("index/rows/snap.0000000000001234.generating"), b"half").unwrap();
    assert!(!open(data.path()).2.rebuilt);
}

#[test]
fn an_index_of_another_journal_is_made_anew() {
    let (data, catalogue, writer) = world(5, 20);
    writer.stop();
    drop(catalogue);
    let other = world(6, 40);
    fs::remove_dir_all(data.path().join("journal")).unwrap();
    copy(&other.0.path().join("journal"), &data.path().join("journal"));
    let (catalogue, writer, started) = open(data.path());
    let facts = read_journal(data.path());
    assert_eq!((started.rebuilt, started.replayed), (true, facts.len() as u64));
    assert_eq!(catalogue.index().differences(&rebuilt(&facts).1).unwrap(), 0);
    writer.stop();
}

#[test]
fn a_journal_that_ends_before_what_the_index_has_known_is_refused_until_somebody_decides() {
    let (data, catalogue, writer) = world(5, 20);
    writer.stop();
    drop(catalogue);
    let yesterday = world(5, 10);
    fs::remove_dir_all(data.path().join("journal")).unwrap();
    copy(&yesterday.0.path().join("journal"), &data.path().join("journal"));
    for _ in 0..2 {
        let files = Arc::new(Disk::open(data.path(), DiskOptions::default()).unwrap());
        let refused = Catalogue::open(files, &IndexPlace::below(data.path()), Arc::new(SystemClock)).err();
        assert!(matches!(refused, Some(OpenError::Journal(JournalError::Shorter { .. }))), "{refused:?}");
    }
}

#[test]
fn differing_rows_are_counted() {
    let (data, ..) = world(7, 20);
    let facts = read_journal(data.path());
    let ((_a, whole), (_b, part)) = (rebuilt(&facts), rebuilt(&facts[..facts.len() - 1]));
    assert_eq!(whole.differences(&whole).unwrap(), 0);
    assert!(whole.differences(&part).unwrap() >= 1);
    whole.tables[Table::Devices].insert(b"more", b"row").unwrap();
    part.tables[Table::Devices].insert(b"other", b"row").unwrap();
    assert!(part.differences(&whole).unwrap() >= 3);
}

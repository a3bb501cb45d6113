//! What a server finds when it looks at its store by itself.

use std::cell::Cell;
use std::fs;
use std::sync::Arc;

use longshore_model::{ReceiptKey, ReceiptVerifier, Sha256};
use longshore_store::catalogue::Catalogue;
use longshore_store::facts::Fact;
use longshore_store::files::{Disk, DiskOptions};
use longshore_store::index::IndexPlace;
use longshore_store::verify::{
    Ended, Given, Hooks, Night, Pace, ProblemKind, Reconciliation, Share, Storage, Turned, Unended, compare_checkpoints,
};

use super::world::{BYTES, RECORDINGS, World, change, path, today};

impl World {
    fn look_with(&self, share: Share, unended: Option<Unended>, hooks: &Hooks<'_>) -> Ended {
        let (verifier, journal, folder) = (self.verifier(), self.journal(), self.storage());
        let storage = Storage { folder: &folder, journal: &journal, verifier: &verifier, quick: false };
        let night = Night { index: self.index(), storage, share, day: today() };
        night.look(unended, hooks).unwrap()
    }

    fn report(&self, percent: u8, budget: u64) -> Reconciliation {
        self.look(percent, budget).0
    }

    fn look(&self, percent: u8, budget: u64) -> (Reconciliation, Turned) {
        let hooks = Hooks { pace: &|_| Pace::On, is_there: &|| true, clock: &self.clock };
        let ended = self.look_with(Share::of_percent(percent, budget), None, &hooks);
        let Ended::Done(reconciliation, turned) = ended else { unreachable!("{ended:?}") };
        (*reconciliation, turned)
    }

    /// One that counts: what it found is known to the next one.
    async fn look_and_record(&self, percent: u8) -> Reconciliation {
        let (report, turned) = self.look(percent, u64::MAX);
        for found in turned.into_facts() {
            self.catalogue.record(vec![Fact::Custody(found)]).await.unwrap();
        }
        report
    }

    fn wrong(&self) -> Vec<(ProblemKind, String)> {
        let report = self.report(100, u64::MAX);
        assert_eq!(report.looked.problems, report.looked.problems_named.len() as u64);
        report.looked.problems_named.into_iter().map(|problem| (problem.kind, problem.path)).collect()
    }
}

#[tokio::test]
async fn a_store_that_is_as_it_was_has_everything_expected_present_and_nothing_unverified() {
    let world = World::new().await;
    world.checkpoint().await;
    let report = world.report(100, u64::MAX);
    let all = u64::from(RECORDINGS);
    assert_eq!((report.looked.expected, report.looked.present, report.looked.unverified), (all, all, 0));
    assert_eq!((report.looked.read, report.looked.read_bytes), (all, all * BYTES as u64));
    assert_eq!((report.facts, report.foreign, report.looked.problems), (all + 1, 0, 0));
    assert!(report.is_well());
}

#[tokio::test]
async fn each_damage_is_found_and_named_and_nothing_is_touched() {
    let world = World::new().await;
    change(&world.at(&path(1)), |bytes| bytes[1234] ^= 1);
    fs::remove_file(world.at(&path(2))).unwrap();
    fs::remove_file(world.at(&format!("{}.json", path(3)))).unwrap();
    change(&world.at(&format!("{}.json", path(4))), |bytes| {
        let at = bytes.windows(8).position(|window| window == b"J. Smith").unwrap();
        bytes[at] = b'K';
    });
    change(&world.at(&path(5)), |bytes| bytes.truncate(100));
    // A row without its file: both are gone.
    fs::remove_file(world.at(&path(6))).unwrap();
    fs::remove_file(world.at(&format!("{}.json", path(6)))).unwrap();
    fs::write(world.at("Thumbs.db"), "not ours").unwrap();
    fs::write(world.at("J. Smith/2026-11-20/2026-11-20 15-00-00 event.mp4"), "who put this here").unwrap();
    let before: Vec<_> = std::process::Command::new("find").arg(world.storage()).output().unwrap().stdout;

    let mut wrong = world.wrong();
    wrong.sort_by(|one, other| one.1.cmp(&other.1));
    let manifest = |n| format!("{}.json", path(n));
    let mut expected = vec![
        (ProblemKind::AlteredVideo, path(1)),
        (ProblemKind::MissingVideo, path(2)),
        (ProblemKind::MissingManifest, manifest(3)),
        (ProblemKind::AlteredManifest, manifest(4)),
        (ProblemKind::AlteredVideo, path(5)),
        (ProblemKind::MissingVideo, path(6)),
        (ProblemKind::MissingManifest, manifest(6)),
        (ProblemKind::UnknownVideo, "J. Smith/2026-11-20/2026-11-20 15-00-00 event.mp4".to_owned()),
    ];
    expected.sort_by(|one, other| one.1.cmp(&other.1));
    assert_eq!(wrong, expected);
    let report = world.report(100, u64::MAX);
    assert_eq!((report.foreign, &report.foreign_named[..]), (1, &["Thumbs.db".to_owned()][..]));
    assert_eq!((report.looked.expected, report.looked.present), (12, 6));
    assert!(!report.is_well());
    let after: Vec<_> = std::process::Command::new("find").arg(world.storage()).output().unwrap().stdout;
    assert_eq!(before, after);
}

#[tokio::test]
async fn without_reading_names_and_sizes_are_still_looked_at() {
    let world = World::new().await;
    change(&world.at(&path(1)), |bytes| bytes[0] ^= 1);
    fs::remove_file(world.at(&path(2))).unwrap();
    let report = world.report(0, u64::MAX);
    assert_eq!((report.looked.present, report.looked.read, report.looked.unverified), (11, 0, 0));
    assert_eq!(report.looked.problems_named[0].path, path(2));
}

#[tokio::test]
async fn what_was_wrong_is_read_again_whosever_night_it_is_until_it_is_seen_to_be_right_however_much_it_is() {
    let world = World::new().await;
    let all: Vec<u8> = (1..=70).collect();
    for n in RECORDINGS + 1..=70 {
        world.put(n).await;
    }
    all.iter().for_each(|n| change(&world.at(&path(*n)), |bytes| bytes[9] ^= 1));
    let found = world.look_and_record(100).await.looked;
    assert_eq!((found.problems, found.problems_named.len(), found.present), (70, 50, 0));
    for _ in 0..2 {
        assert_eq!(world.look_and_record(0).await.looked.problems, 70, "also what no report names");
    }
    // A row that is wrong concerns more than each file.
    let segment = world.folder.path().join("journal/00000000000000000001.jsonl");
    let journal = fs::read(&segment).unwrap();
    change(&segment, |bytes| bytes[200] ^= 1);
    let report = world.report(0, u64::MAX);
    assert_eq!((report.looked.problems, report.looked.problems_named[0].kind), (71, ProblemKind::Journal));
    fs::write(&segment, journal).unwrap();
    all.iter().for_each(|n| change(&world.at(&path(*n)), |bytes| bytes[9] ^= 1));
    let report = world.look_and_record(0).await;
    assert!(report.is_well() && report.looked.read == 70, "{report:?}");
    let report = world.look_and_record(0).await;
    assert!(report.is_well() && report.looked.read == 0, "{report:?}");
}

#[tokio::test]
async fn a_budget_bounds_what_is_read_and_what_is_left_is_told() {
    let world = World::new().await;
    let report = world.report(100, 5 * BYTES as u64);
    let looked = report.looked;
    assert!(looked.read >= 1 && looked.read <= 5, "{looked:?}");
    assert_eq!((looked.read + looked.unverified, looked.present), (12, 12));
}

#[tokio::test]
async fn a_look_that_is_stopped_anywhere_goes_on_and_finds_the_same() {
    let world = World::new().await;
    change(&world.at(&path(2)), |bytes| bytes[7] ^= 1);
    fs::remove_file(world.at(&path(11))).unwrap();
    let (whole, all) = world.look(100, u64::MAX);
    assert_eq!(all.damaged.len(), 2);
    let asked = Cell::new(0_u32);
    let count = |_| {
        asked.set(asked.get() + 1);
        Pace::On
    };
    let hooks = Hooks { pace: &count, is_there: &|| true, clock: &world.clock };
    world.look_with(Share::of_percent(100, u64::MAX), None, &hooks);
    for every in 14..=asked.get() {
        let (mut unended, mut stops, mut turned) = (None, 0, Turned::default());
        let looked = loop {
            let left = Cell::new(every);
            let pace = |_| {
                left.set(left.get().saturating_sub(1));
                if left.get() == 0 { Pace::Stop } else { Pace::On }
            };
            let hooks = Hooks { pace: &pace, is_there: &|| true, clock: &world.clock };
            match world.look_with(Share::of_percent(100, u64::MAX), unended.take(), &hooks) {
                Ended::Done(reconciliation, rest) => {
                    turned.damaged.extend(rest.damaged);
                    break *reconciliation;
                }
                Ended::Stopped(so_far) => {
                    unended = so_far.map(|(so_far, part)| {
                        turned.damaged.extend(part.damaged);
                        *so_far
                    });
                }
                Ended::Gone => panic!("the storage is there"),
            }
            stops += 1;
            if stops > 60 {
                // So few steps at a time never get beyond the journal, or through the names in the storage.
                let at_the_end = |unended: &Unended| unended.looked.expected == u64::from(RECORDINGS);
                assert!(unended.as_ref().is_none_or(at_the_end), "stopped after {every}");
                turned = all.clone();
                break whole.clone();
            }
        };
        assert_eq!((looked, &turned), (whole.clone(), &all), "stopped after {every}");
    }
}

#[tokio::test]
async fn what_is_missing_while_the_storage_is_gone_is_no_problem_of_the_store() {
    let world = World::new().await;
    fs::rename(world.storage(), world.folder.path().join("elsewhere")).unwrap();
    let hooks = Hooks { pace: &|_| Pace::On, is_there: &|| false, clock: &world.clock };
    let ended = world.look_with(Share::of_percent(100, u64::MAX), None, &hooks);
    assert!(matches!(ended, Ended::Gone), "{ended:?}");
}

#[tokio::test]
async fn a_journal_that_lost_what_the_catalogue_knows_is_told_however_little_it_is() {
    let world = World::new().await;
    world.checkpoint().await;
    let segment = world.folder.path().join("journal/00000000000000000001.jsonl");
    let good = fs::read(&segment).unwrap();
    let last = good[..good.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let journal = [(ProblemKind::Journal, "journal".to_owned())];
    assert!(world.wrong().is_empty());
    fs::write(&segment, &good[..last]).unwrap();
    assert_eq!(world.wrong(), journal, "the last line is gone");
    let mut flipped = good.clone();
    flipped[last + 60] ^= 1;
    fs::write(&segment, flipped).unwrap();
    assert_eq!(world.wrong(), journal, "the last line was altered: no batch follows that would give it away");
    fs::remove_file(&segment).unwrap();
    assert_eq!(world.wrong(), journal, "all of it is gone");
    // Each line follows, and there is another checkpoint at its end: an older copy went on.
    fs::write(&segment, &good).unwrap();
    rewrite(&world, |at, content| Some(if at == 12 { content.replace("02:30:00", "02:30:01") } else { content }));
    let named = world.report(100, u64::MAX).looked.problems_named;
    assert!(named.iter().any(|problem| problem.text.contains("is not the one that the catalogue knows")), "{named:?}");
    fs::write(&segment, &good).unwrap();
    assert!(world.wrong().is_empty());
}

#[tokio::test]
async fn a_row_of_the_index_that_cannot_be_read_is_told_and_the_look_goes_on() {
    let world = World::new().await.reopened(|place| {
        let db = sled::open(place.folder.join("rows")).unwrap();
        let rows = db.open_tree("stored").unwrap();
        let (first, _) = rows.first().unwrap().unwrap();
        rows.insert(first, b"no manifest").unwrap();
        db.flush().unwrap();
    });
    let report = world.report(100, u64::MAX);
    assert_eq!((report.looked.expected, report.looked.present, report.looked.read), (12, 11, 11));
    let kinds: Vec<ProblemKind> = report.looked.problems_named.iter().map(|problem| problem.kind).collect();
    assert!(kinds.contains(&ProblemKind::Index), "{report:?}");
    assert!(!report.is_well());
}

#[tokio::test]
async fn a_copy_of_a_recording_is_foreign_and_nothing_to_take_in() {
    let world = World::new().await;
    let copy = "case 4711/recordings/J. Smith/2026-11-20/2026-11-20 14-03-22 event (2).mp4";
    fs::create_dir_all(world.at(copy).parent().unwrap()).unwrap();
    for ending in ["", ".json"] {
        fs::copy(world.at(&(path(2) + ending)), world.at(&format!("{copy}{ending}"))).unwrap();
    }
    let report = world.report(100, u64::MAX);
    assert!(report.is_well(), "{report:?}");
    assert_eq!((report.foreign, report.foreign_named), (2, vec![copy.to_owned(), format!("{copy}.json")]));
    // Of one that the journal does not know, the manifest is worth a word.
    world.place(30);
    let looked = world.report(100, u64::MAX).looked;
    assert_eq!((looked.problems, looked.problems_named[0].kind), (1, ProblemKind::UnknownManifest));
}

#[tokio::test]
async fn a_stop_while_the_names_in_the_storage_are_gone_through_goes_on_behind_the_last_recording() {
    let world = World::new().await;
    for n in 0..40 {
        fs::write(world.at(&format!("note {n}.txt")), "mine").unwrap();
    }
    let share = Share::of_percent(100, u64::MAX);
    let asked = Cell::new(0_u32);
    let stop_at = |last: u32| {
        asked.set(0);
        let pace = |_| {
            asked.set(asked.get() + 1);
            if asked.get() == last { Pace::Stop } else { Pace::On }
        };
        let hooks = Hooks { pace: &pace, is_there: &|| true, clock: &world.clock };
        world.look_with(share, None, &hooks)
    };
    let Ended::Done(whole, _) = stop_at(0) else { unreachable!() };
    assert_eq!(whole.foreign, 40);
    let all = asked.get();
    // Forty foreign files and two of each recording are met at the end, and the foreign ones are looked at once more.
    for before_the_end in [1, 39, 70, 100] {
        let ended = stop_at(all - before_the_end);
        let Ended::Stopped(Some((unended, _))) = ended else { panic!("{before_the_end}: {ended:?}") };
        assert_eq!(unended.looked.read, 12, "{before_the_end}");
        let hooks = Hooks { pace: &|_| Pace::On, is_there: &|| true, clock: &world.clock };
        let Ended::Done(report, _) = world.look_with(share, Some(*unended), &hooks) else { unreachable!() };
        assert_eq!(*report, *whole, "{before_the_end}");
    }
}

/// A line can be read before it is synced, and is in the index only afterwards.
#[tokio::test]
async fn a_recording_that_is_in_the_journal_and_not_yet_in_the_index_is_no_problem() {
    let world = World::new().await;
    let stored = world.place(20);
    let ahead = tempfile::tempdir().unwrap();
    fs::create_dir(ahead.path().join("journal")).unwrap();
    let segment = "journal/00000000000000000001.jsonl";
    fs::copy(world.folder.path().join(segment), ahead.path().join(segment)).unwrap();
    let disk = || Disk::open(ahead.path(), DiskOptions::default()).unwrap();
    let place = IndexPlace::below(ahead.path());
    let (catalogue, writer, _) = Catalogue::open(Arc::new(disk()), &place, Arc::new(world.clock.clone())).unwrap();
    catalogue.record(vec![stored]).await.unwrap();
    writer.stop();
    let (verifier, journal, folder) = (world.verifier(), disk(), world.storage());
    let storage = Storage { folder: &folder, journal: &journal, verifier: &verifier, quick: false };
    let share = Share::of_percent(100, u64::MAX);
    let night = Night { index: world.index(), storage, share, day: today() };
    let hooks = Hooks { pace: &|_| Pace::On, is_there: &|| true, clock: &world.clock };
    let Ended::Done(report, _) = night.look(None, &hooks).unwrap() else { unreachable!() };
    assert!(report.is_well(), "{report:?}");
    assert_eq!((report.facts, report.looked.expected), (u64::from(RECORDINGS) + 1, u64::from(RECORDINGS)));
}

/// Makes the journal anew, line for line, with `f` applied to each: what somebody does who can write to the disk and knows the
/// form of the lines.
fn rewrite(world: &World, f: impl Fn(usize, String) -> Option<String>) {
    let segment = world.folder.path().join("journal/00000000000000000001.jsonl");
    let (mut prev, mut text) = (String::new(), String::new());
    for (at, line) in fs::read_to_string(&segment).unwrap().lines().enumerate() {
        let (content, _) = line.rsplit_once(",\"hash\":\"").unwrap();
        let Some(content) = f(at, content.to_owned()) else { continue };
        let begin = content.find("\"prev\":\"").unwrap() + 8;
        let end = begin + content[begin..].find('"').unwrap();
        let content = format!("{}{prev}{}", &content[..begin], &content[end..]);
        prev = Sha256::of(format!("{prev}{}", Sha256::of(content.as_bytes())).as_bytes()).to_string();
        text.push_str(&format!("{content},\"hash\":\"{prev}\"}}\n"));
    }
    fs::write(segment, text).unwrap();
}

#[tokio::test]
async fn a_checkpoint_from_a_mailbox_tells_a_rewritten_journal_from_a_shorter_one() {
    let world = World::new().await;
    let first = world.checkpoint().await;
    world.put(20).await;
    let second = world.checkpoint().await;
    let verifier = world.verifier();
    let compare = |texts: &[String]| {
        let journal = world.journal();
        compare_checkpoints(&journal, &verifier, texts, &mut || {}).unwrap()
    };
    let both = [first.clone(), second];
    let compared = compare(&both);
    assert!(matches!(&compared.given[..], [Given::Holds(one), Given::Holds(other)] if one.position < other.position));
    assert!(compared.problems.is_empty());

    // The line of recording 20 gets another path, and everything behind it another hash.
    rewrite(&world, |at, content| Some(if at == 13 { content.replace("(20)", "(21)") } else { content }));
    let compared = compare(&both);
    let [Given::Holds(_), Given::Rewritten { claims, after, .. }] = &compared.given[..] else { panic!("{compared:?}") };
    assert_eq!((claims.position, *after), (14, 12));
    // The checkpoint that stands in the journal itself gives it away too, to whoever looks at the store.
    assert_eq!(compared.problems.len(), 1);
    assert!(compared.problems[0].text.contains("rewritten"), "{compared:?}");
    let named = world.wrong();
    assert!(named.iter().any(|(kind, _)| *kind == ProblemKind::Journal), "{named:?}");

    // Its end is cut off, with the checkpoint in it.
    rewrite(&world, |at, content| (at < 13).then_some(content));
    let compared = compare(&both);
    assert!(matches!(&compared.given[..], [Given::Holds(_), Given::Shorter(_)]), "{compared:?}");
    assert_eq!((compared.end, compared.problems.len()), (13, 0));

    // A line is altered and its hash left as it was.
    let segment = world.folder.path().join("journal/00000000000000000001.jsonl");
    change(&segment, |bytes| {
        let at = bytes.windows(4).position(|window| window == b"(5).").unwrap();
        bytes[at + 1] = b'6';
    });
    let compared = compare(&both);
    assert!(matches!(&compared.given[..], [Given::NotReached(_), Given::NotReached(_)]), "{compared:?}");
    assert_eq!(compared.problems.len(), 1);

    let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_der();
    let other = ReceiptVerifier::new(&ReceiptKey::from_pkcs8(&other).unwrap().jwks()).unwrap();
    let journal = world.journal();
    let compared = compare_checkpoints(&journal, &other, &[first], &mut || {}).unwrap();
    assert!(matches!(compared.given[..], [Given::NotOurs(_)]));
}

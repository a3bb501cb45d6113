//! The store against its journal: what the black-box tests cannot bring about.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use longshore_model::{
    DeviceId, EnrolToken, Kind, ReceiptKey, ReceiptVerifier, Recording, RecordingId, SettableClock, Sha256, TokenId,
    UploadId,
};
use longshore_store::catalogue::{Catalogue, Started};
use longshore_store::facts::{Entry, Fact};
use longshore_store::files::{Disk, DiskOptions};
use longshore_store::index::{Index, IndexPlace};
use longshore_store::manifest::Manifest;
use longshore_store::rebuild::{Manifests, rebuild};
use longshore_store::verify::{Catalogued, IndexIs, ProblemKind, Report, Step, Storage};
use tempfile::TempDir;

/// A data folder without a server.
struct World {
    folder: TempDir,
    key: ReceiptKey,
}

impl World {
    fn new() -> Self {
        let der = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_der();
        let world = Self { folder: tempfile::tempdir().unwrap(), key: ReceiptKey::from_pkcs8(&der).unwrap() };
        fs::create_dir_all(world.storage().join(".incoming")).unwrap();
        world
    }

    fn storage(&self) -> PathBuf {
        self.folder.path().join("storage")
    }

    fn files(&self) -> Arc<Disk> {
        Arc::new(Disk::open(self.folder.path(), DiskOptions::default()).unwrap())
    }

    fn place(&self) -> IndexPlace {
        IndexPlace::below(self.folder.path())
    }

    fn manifest(&self, n: u8) -> Manifest {
        let recording = Recording {
            device: DeviceId::from_bytes([1; 16]),
            rid: RecordingId::from_bytes([n; 16]),
            revision: 1,
            serial: "B-1".into(),
            model: "BC4".into(),
            assignee: Some("J. Smith".into()),
            camera: String::new(),
            kind: Kind::Event,
            event_type: None,
            start: "2026-11-21T14:03:22+01:00".parse().unwrap(),
            end: None,
            clock_unset: false,
            true_start: None,
            true_end: None,
            size: 3,
            sha256: Sha256::of(b"abc"),
            attested: true,
            held: false,
            original_name: None,
            received_at: None,
            verified_at: now(),
            upload: UploadId::from_bytes([n; 16]),
            path: format!("J. Smith/2026-11-21/2026-11-21 14-03-22 event ({n}).mp4"),
        };
        Manifest::sign(recording, now(), &self.key).unwrap()
    }

    fn put_video(&self, n: u8) {
        let path = self.storage().join(self.manifest(n).recording.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"abc").unwrap();
    }

    /// Puts the recording where it belongs and returns its fact.
    fn put(&self, n: u8) -> Fact {
        self.put_video(n);
        let manifest = self.manifest(n);
        let text = manifest.to_text().unwrap();
        fs::write(self.storage().join(format!("{}.json", manifest.recording.path)), &text).unwrap();
        Fact::Stored { manifest: text }
    }

    fn record(&self, facts: Vec<Fact>) -> Started {
        let clock = Arc::new(SettableClock::at(now()));
        let (catalogue, writer, started) = Catalogue::open(self.files(), &self.place(), clock).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(catalogue.record(facts)).unwrap();
        writer.stop();
        started
    }

    fn read(&self) -> Catalogued {
        let scratch = tempfile::tempdir().unwrap();
        let (rows, verifier) = (scratch.path().join("index"), ReceiptVerifier::new(&self.key.jwks()).unwrap());
        Catalogued::read(&*self.files(), rows, Some(&self.place()), None, &verifier, &mut |_| {}).unwrap()
    }

    fn compare(&self, catalogued: Catalogued, watch: &mut dyn FnMut(Step)) -> Report {
        let verifier = ReceiptVerifier::new(&self.key.jwks()).unwrap();
        let (folder, journal) = (self.storage(), self.files());
        let storage = Storage { folder: &folder, journal: &*journal, verifier: &verifier, quick: false };
        catalogued.compare(&storage, watch).unwrap()
    }

    fn verify(&self) -> Report {
        self.compare(self.read(), &mut |_| {})
    }
}

fn now() -> chrono::DateTime<chrono::Utc> {
    "2026-11-21T15:00:00Z".parse().unwrap()
}

fn token() -> Fact {
    let token = EnrolToken {
        id: TokenId::from_bytes([1; 16]),
        secret_hash: Sha256::of(b"secret"),
        serial: Some("B-1".into()),
        model: Some("BC4".into()),
        typed: false,
        expires: now(),
        uses_left: 1,
        revoked_at: None,
    };
    Fact::TokenIssued { token, by: "uid 0".into() }
}

#[test]
fn what_is_placed_while_the_recordings_are_read_is_no_fault() {
    let world = World::new();
    world.record(vec![world.put(1)]);
    let catalogued = world.read();
    // One that came to its end since, one whose manifest is not in the journal yet, one whose video was just renamed.
    world.record(vec![world.put(2)]);
    world.put(3);
    world.put_video(4);
    for n in [3, 4] {
        let incoming = world.storage().join(".incoming").join(UploadId::from_bytes([n; 16]).to_string());
        fs::create_dir_all(&incoming).unwrap();
        fs::write(incoming.join("placing"), world.manifest(n).to_text().unwrap()).unwrap();
    }
    let mut steps = Vec::new();
    let report = world.compare(catalogued, &mut |step| steps.push(step));
    assert_eq!(report.problems, []);
    assert_eq!((report.expected, report.present, report.unverified), (1, 1, 0));
    assert_eq!(report.on_their_way.uploads, 2);
    assert_eq!(steps, [Step::Expect { recordings: 1, bytes: 3 }, Step::Read(3), Step::Recording]);
    // Without their incoming folders they are what they seem.
    fs::remove_dir_all(world.storage().join(".incoming")).unwrap();
    let kinds: Vec<ProblemKind> = world.verify().problems.iter().map(|problem| problem.kind).collect();
    assert_eq!(kinds, [ProblemKind::UnknownManifest, ProblemKind::UnknownVideo]);
}

#[test]
fn hidden_folders_are_passed_over_and_links_are_foreign() {
    let world = World::new();
    world.record(vec![world.put(1)]);
    let storage = world.storage();
    fs::create_dir_all(storage.join(".trash")).unwrap();
    fs::write(storage.join(".trash/2026.mp4"), b"x").unwrap();
    std::os::unix::fs::symlink("/etc", storage.join("link")).unwrap();
    let report = world.verify();
    assert_eq!((report.problems.len(), report.foreign), (0, vec!["link".to_owned()]));
}

#[test]
fn a_video_that_became_a_link_is_altered() {
    let world = World::new();
    world.record(vec![world.put(1)]);
    let video = world.storage().join(world.manifest(1).recording.path);
    fs::rename(&video, world.folder.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(world.folder.path().join("elsewhere"), &video).unwrap();
    let report = world.verify();
    assert_eq!((report.present, report.problems[0].kind), (0, ProblemKind::AlteredVideo));
}

#[test]
fn an_index_that_says_something_else_than_the_journal_is_found() {
    let world = World::new();
    world.record(vec![world.put(1), token()]);
    assert_eq!(world.verify().index, IndexIs::Same);
    let (index, mark) = Index::open(&world.place()).unwrap().unwrap();
    let Fact::TokenIssued { mut token, by } = token() else { unreachable!() };
    token.uses_left = 99;
    index.apply(&[Entry { seq: 3, at: now(), fact: Fact::TokenIssued { token, by } }], &mark).unwrap();
    index.close().unwrap();
    drop(index);
    let report = world.verify();
    // The token, the line of its device's history, and the one in the audit log.
    assert_eq!((report.index, report.problems[0].kind), (IndexIs::Different { rows: 3 }, ProblemKind::Index));
}

#[test]
fn a_journal_whose_end_was_taken_away_is_found_by_the_index_that_knew_it() {
    let world = World::new();
    world.record(vec![world.put(1)]);
    world.record(vec![token()]);
    let segment = world.folder.path().join("journal/00000000000000000001.jsonl");
    let text = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, text.split_inclusive('\n').next().unwrap()).unwrap();
    let report = world.verify();
    assert_eq!((report.facts, report.index), (1, IndexIs::OfAnotherJournal));
    assert_eq!(report.problems[0].kind, ProblemKind::Index);
}

#[test]
fn a_rebuild_takes_what_is_a_recording_of_this_server_once_and_says_why_not() {
    let world = World::new();
    let (stranger, verifier) = (World::new(), ReceiptVerifier::new(&world.key.jwks()).unwrap());
    world.record(vec![world.put(1)]);
    for n in 2..=6 {
        world.put(n);
    }
    let path = |n: u8| world.storage().join(world.manifest(n).recording.path);
    let json = |n: u8| PathBuf::from(format!("{}.json", path(n).display()));
    fs::remove_file(path(3)).unwrap();
    fs::write(json(4), stranger.manifest(4).to_text().unwrap()).unwrap();
    fs::rename(path(5), world.storage().join("moved.mp4")).unwrap();
    fs::rename(json(5), world.storage().join("moved.mp4.json")).unwrap();
    // The same recording, signed once more.
    fs::write(json(1), world.manifest(1).to_text().unwrap()).unwrap();
    fs::write(world.storage().join("settings.json"), b"{}").unwrap();
    let storage = world.storage();
    let manifests = Manifests { storage: &storage, verifier: &verifier, now: now() };
    let first = rebuild(world.files(), &world.place(), Some(&manifests), &mut |_| {}).unwrap();
    assert_eq!((first.facts, first.recovered, first.known, first.left.len()), (1, 2, 0, 4), "{:?}", first.left);
    let second = rebuild(world.files(), &world.place(), Some(&manifests), &mut |_| {}).unwrap();
    assert_eq!((second.facts, second.recovered, second.known, &second.left), (3, 0, 2, &first.left));
    // The next start goes on with that index.
    assert_eq!(world.record(vec![token()]), Started { replayed: 0, rebuilt: false, torn: None });
}

#[test]
fn a_running_server_that_knows_recordings_which_never_came_to_the_journal_is_told() {
    let world = World::new();
    world.record(vec![world.put(1), world.put(2)]);
    let answer: Vec<Recording> = (1..=3).map(|n| world.manifest(n).recording).collect();
    let answered = || {
        let mut catalogued = world.read();
        catalogued.answered(&answer, catalogued.lacking_in(&answer));
        catalogued
    };
    let report = world.compare(answered(), &mut |_| {});
    assert_eq!((report.index, report.problems.len()), (IndexIs::Different { rows: 1 }, 1), "{report:?}");
    // The third one came after the journal was read, and before the server was asked.
    let catalogued = answered();
    world.record(vec![world.put(3)]);
    let report = world.compare(catalogued, &mut |_| {});
    assert!(report.index == IndexIs::AnswersAll && report.problems.is_empty(), "{report:?}");
}

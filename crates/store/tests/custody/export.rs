//! What is given out can be checked by whoever has it, and no change of it goes unnoticed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use longshore_model::{ExportClaims, ExportId, ReceiptKey, RecordingId, Sha256, TokenId};
use longshore_store::export::{Checked, ExportPlan, PageOf, WriteError, Written, check, prepare, sign, spans, write};
use longshore_store::facts::{CustodyFact, Fact, StoredId};
use longshore_store::manifest::Manifest;
use proptest::prelude::*;
use tempfile::TempDir;

use super::world::{DEVICE, World, change, now, path};

pub(super) const EXPORT: ExportId = ExportId::from_bytes([9; 16]);
/// Recordings that are given out.
const GIVEN: [u8; 3] = [2, 3, 7];

fn stored(n: u8) -> StoredId {
    StoredId { device: DEVICE, rid: RecordingId::from_bytes([n; 16]), revision: 1 }
}

fn page(of: &PageOf<'_>) -> std::io::Result<String> {
    Ok(format!("<html>{} {}</html>\n", of.plan.export, of.files.len()))
}

/// As the engine does it.
async fn plan(world: &World, given: &[u8]) -> ExportPlan {
    let recordings: Vec<StoredId> = given.iter().map(|n| stored(*n)).collect();
    let fact = CustodyFact::Exported { export: EXPORT, recordings: recordings.clone(), by: "auditor".into() };
    world.catalogue.record(vec![Fact::Custody(fact)]).await.unwrap();
    world.checkpoint().await;
    let index = world.index();
    let mut lines = BTreeSet::new();
    for id in &recordings {
        let events = index.custody(id.device, id.rid).unwrap();
        lines.extend(events.iter().filter(|event| event.what.is_for(1)).map(|event| event.seq));
    }
    let lines: Vec<u64> = lines.into_iter().collect();
    let checkpoints: Vec<u64> = index.checkpoints_since(0).unwrap().iter().map(|checkpoint| checkpoint.seq).collect();
    let manifest = |id: &StoredId| index.stored(id.device, id.rid).unwrap().remove(0);
    ExportPlan {
        export: EXPORT,
        at: now(),
        by: "auditor".into(),
        server: world.key.server_id().to_owned(),
        recordings: recordings.iter().map(manifest).map(|Manifest { recording, .. }| recording).collect(),
        spans: spans(&lines, &checkpoints).unwrap(),
        lines,
        keys: world.key.jwks(),
    }
}

fn put_out(world: &World, plan: &ExportPlan, to: &Path) -> Result<(), WriteError> {
    prepare(to, 1000, &[])?;
    let (journal, storage) = (world.journal(), world.storage());
    let written = Written { storage: &storage, data: &journal, to, plan, page: &page, copied: &|_| {} };
    let files = write(&written, &world.index().checkpoints_since(0).unwrap())?;
    let server = world.key.server_id().to_owned();
    sign(to, &world.key.state(&ExportClaims { export: plan.export, files, at: now(), server }).unwrap())
}

/// A store in which much happened, and an export of some of it.
pub(super) async fn exported() -> (World, TempDir) {
    let world = World::new().await;
    world.checkpoint().await;
    // What is about other things: their lines are withheld.
    let other = Fact::Expired { device: DEVICE, upload: longshore_model::UploadId::from_bytes([200; 16]), rid: None };
    world.catalogue.record(vec![other.clone(), other]).await.unwrap();
    let deleted = Fact::Deleted {
        device: DEVICE,
        rid: RecordingId::from_bytes([3; 16]),
        revision: 1,
        deleted_at: now().fixed_offset(),
    };
    world.catalogue.record(vec![deleted]).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(&world, &GIVEN).await;
    put_out(&world, &plan, folder.path()).unwrap();
    (world, folder)
}

fn checked(folder: &Path) -> Checked {
    check(folder, None, &mut |_| {}).unwrap()
}

pub(super) fn faults(folder: &Path) -> Vec<String> {
    checked(folder).faults.into_iter().map(|fault| fault.path).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// Makes list and signature anew over what is there, with this key: what a server would do, or somebody with a key of his own.
pub(super) fn sign_anew(folder: &Path, key: &ReceiptKey) {
    let mut list = BTreeMap::new();
    for file in files(folder) {
        let name = file.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
        if !["files.sha256", "export.jws"].contains(&name.as_str()) {
            list.insert(name, Sha256::of(&fs::read(&file).unwrap()));
        }
    }
    let list: String = list.iter().map(|(path, sha256)| format!("{sha256}  {path}\n")).collect();
    let claims = ExportClaims {
        export: EXPORT,
        files: Sha256::of(list.as_bytes()),
        at: now(),
        server: key.server_id().to_owned(),
    };
    fs::write(folder.join("files.sha256"), &list).unwrap();
    fs::write(folder.join("export.jws"), format!("{}\n", key.state(&claims).unwrap())).unwrap();
}

#[tokio::test]
async fn an_export_holds_whole_what_is_about_its_recordings_and_the_chain_to_a_checkpoint() {
    let (world, folder) = exported().await;
    let found = check(folder.path(), Some(world.key.server_id()), &mut |_| {}).unwrap();
    assert!(found.faults.is_empty() && found.foreign.is_empty(), "{found:?}");
    assert!(found.server_is_known);
    assert_eq!((found.recordings, found.by.as_deref()), (3, Some("auditor")));
    let log = fs::read_to_string(folder.path().join("custody-log.txt")).unwrap();
    let whole = log.lines().filter(|line| line.starts_with('{')).count();
    // Three were stored, one was deleted on the device, all were given out in one line; and two checkpoints.
    assert_eq!(whole, 3 + 1 + 1 + 2, "{log}");
    assert!(found.hidden_lines >= 8);
    for other in [4_u8, 5, 12] {
        assert!(!log.contains(&RecordingId::from_bytes([other; 16]).to_string()), "of {other} nothing is told");
    }
    let done = std::process::Command::new("sha256sum").args(["-c", "files.sha256"]).current_dir(folder.path()).output();
    assert!(done.unwrap().status.success(), "other programs can read the list");
}

#[tokio::test]
async fn every_flipped_bit_in_every_kind_of_file_is_found() {
    let (_world, folder) = exported().await;
    for file in files(folder.path()) {
        let name = file.strip_prefix(folder.path()).unwrap().display().to_string();
        // Of each kind one.
        if name.starts_with("recordings/") && !name.contains("(2)") {
            continue;
        }
        let good = fs::read(&file).unwrap();
        // Each byte of what is text; of a video, some.
        let step = if name.ends_with(".mp4") { 101 } else { 1 };
        for at in (0..good.len()).step_by(step) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(&file, &bad).unwrap();
            assert!(!faults(folder.path()).is_empty(), "{name}, byte {at}");
        }
        fs::write(&file, &good).unwrap();
    }
    assert!(faults(folder.path()).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn whatever_is_done_to_a_file_is_found(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        how in 0..5_u8,
        byte in any::<u8>(),
    ) {
        // Made once: it is put back after each case.
        thread_local! {
            static EXPORTED: (World, TempDir) = {
                tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(exported())
            };
        }
        EXPORTED.with(|(_, folder)| {
            let all = files(folder.path());
            let file = which.get(&all);
            let good = fs::read(file).unwrap();
            let mut bad = good.clone();
            let at = at.index(good.len());
            match how {
                0 => bad[at] = byte,
                1 => bad.insert(at, byte),
                2 => drop(bad.remove(at)),
                3 => bad.truncate(at),
                _ => bad.push(byte),
            }
            fs::write(file, &bad).unwrap();
            let found = faults(folder.path());
            fs::write(file, &good).unwrap();
            prop_assert_eq!(found.is_empty(), bad == good, "{}", file.display());
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_removed_file_a_swapped_one_and_a_link_are_found_and_a_stray_one_is_named() {
    let (_world, folder) = exported().await;
    for file in files(folder.path()) {
        let aside = folder.path().with_extension("aside");
        fs::rename(&file, &aside).unwrap();
        assert!(!faults(folder.path()).is_empty(), "without {}", file.display());
        std::os::unix::fs::symlink(&aside, &file).unwrap();
        assert!(!faults(folder.path()).is_empty(), "{} as a link", file.display());
        fs::rename(&aside, &file).unwrap();
    }
    let video = |n| folder.path().join("recordings").join(path(n));
    for ending in ["", ".json", ".receipt"] {
        let of = |n| PathBuf::from(format!("{}{ending}", video(n).display()));
        let (one, other) = (fs::read(of(2)).unwrap(), fs::read(of(3)).unwrap());
        fs::write(of(2), &other).unwrap();
        fs::write(of(3), &one).unwrap();
        let found = faults(folder.path());
        assert!(found.len() >= 2, "{found:?}");
        fs::write(of(2), &one).unwrap();
        fs::write(of(3), &other).unwrap();
    }
    fs::write(folder.path().join("Thumbs.db"), "x").unwrap();
    let found = checked(folder.path());
    assert!(found.faults.is_empty());
    assert_eq!(found.foreign, ["Thumbs.db"]);
}

/// Whoever holds the server's key can sign any list; but the lines of its journal, its receipts and its checkpoints still have
/// to fit together.
#[tokio::test]
async fn what_does_not_fit_together_is_found_even_under_a_right_signature() {
    let (world, folder) = exported().await;
    let folder = folder.path();
    let log = fs::read_to_string(folder.join("custody-log.txt")).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    let with_log = |text: &str| {
        fs::write(folder.join("custody-log.txt"), text).unwrap();
        sign_anew(folder, &world.key);
        let found = faults(folder);
        fs::write(folder.join("custody-log.txt"), &log).unwrap();
        found
    };
    assert!(with_log(&log).is_empty());
    for at in 0..lines.len() {
        let mut without = lines.clone();
        without.remove(at);
        assert!(!with_log(&format!("{}\n", without.join("\n"))).is_empty(), "without line {at}: {}", lines[at]);
        let mut twice = lines.clone();
        twice.insert(at, lines[at]);
        assert!(!with_log(&format!("{}\n", twice.join("\n"))).is_empty(), "with line {at} twice");
        // A line that is about a recording is withheld: only its checksum is shown.
        if let Some((content, _)) = lines[at].rsplit_once(",\"hash\":\"") {
            let hidden = Sha256::of(content.as_bytes()).to_string();
            let mut withheld = lines.clone();
            withheld[at] = &hidden;
            let is_needed = content.contains("\"kind\":\"stored\"") || content.contains("exported");
            let found = with_log(&format!("{}\n", withheld.join("\n")));
            assert!(!found.is_empty() || !is_needed, "with line {at} withheld");
        }
    }
    for (one, other) in [(3, 4), (4, 5)] {
        let mut swapped = lines.clone();
        swapped.swap(one, other);
        assert!(!with_log(&format!("{}\n", swapped.join("\n"))).is_empty());
    }

    // The receipt of another recording.
    let receipt = |n| folder.join("recordings").join(format!("{}.receipt", path(n)));
    let own = fs::read(receipt(2)).unwrap();
    fs::copy(receipt(3), receipt(2)).unwrap();
    sign_anew(folder, &world.key);
    assert_eq!(faults(folder), [format!("recordings/{}.receipt", path(2))]);
    fs::write(receipt(2), own).unwrap();

    // Another video, whose manifest says so, under the receipt that was signed for the first one.
    let (video, manifest) =
        (folder.join("recordings").join(path(2)), folder.join("recordings").join(path(2) + ".json"));
    let (was, said) = (fs::read(&video).unwrap(), fs::read_to_string(&manifest).unwrap());
    change(&video, |bytes| bytes[0] ^= 1);
    let forged = said.replace(&Sha256::of(&was).to_string(), &Sha256::of(&fs::read(&video).unwrap()).to_string());
    assert_ne!(forged, said);
    fs::write(&manifest, forged).unwrap();
    sign_anew(folder, &world.key);
    assert!(faults(folder).contains(&format!("recordings/{}.json", path(2))));
    fs::write(&video, was).unwrap();
    fs::write(&manifest, said).unwrap();

    // A recording less than were given out.
    for ending in ["", ".json", ".receipt"] {
        fs::rename(
            folder.join("recordings").join(path(7) + ending),
            world.folder.path().join(format!("aside{ending}")),
        )
        .unwrap();
    }
    sign_anew(folder, &world.key);
    assert_eq!(faults(folder), ["custody-log.txt"]);
    for ending in ["", ".json", ".receipt"] {
        fs::rename(
            world.folder.path().join(format!("aside{ending}")),
            folder.join("recordings").join(path(7) + ending),
        )
        .unwrap();
    }
    sign_anew(folder, &world.key);
    assert!(faults(folder).is_empty(), "all is as it was");
}

#[tokio::test]
async fn a_checkpoint_of_another_server_holds_nothing() {
    let (world, folder) = exported().await;
    let folder = folder.path();
    let (other, other_folder) = exported().await;
    // The whole log of another server: its chain holds, and its checkpoints are not signed by the key of this export.
    let log = fs::read_to_string(folder.join("custody-log.txt")).unwrap();
    fs::copy(other_folder.path().join("custody-log.txt"), folder.join("custody-log.txt")).unwrap();
    sign_anew(folder, &world.key);
    assert!(faults(folder).contains(&"custody-log.txt".to_owned()));
    // The signature of another server.
    fs::write(folder.join("custody-log.txt"), log).unwrap();
    sign_anew(folder, &other.key);
    assert_eq!(faults(folder), ["export.jws"]);
    // All of another server, which holds in itself: only who knows the right fingerprint sees it.
    let elsewhere = other_folder.path();
    assert!(faults(elsewhere).is_empty());
    assert!(!checked(elsewhere).server_is_known);
    let found = check(elsewhere, Some(world.key.server_id()), &mut |_| {}).unwrap();
    assert_eq!(found.faults[0].path, "export.jws");
    assert!(!found.server_is_known);
}

#[tokio::test]
async fn what_is_damaged_in_the_store_is_not_given_out() {
    let world = World::new().await;
    change(&world.at(&path(2)), |bytes| bytes[5] ^= 1);
    let (folder, plan) = (tempfile::tempdir().unwrap(), plan(&world, &GIVEN).await);
    let Err(WriteError::Damaged(which, _)) = put_out(&world, &plan, folder.path()) else { panic!("it was given out") };
    assert_eq!(which, path(2));
    assert!(!folder.path().join("export.jws").exists());
    assert!(faults(folder.path()).iter().any(|path| path == "keys.json"), "it is no complete export");
}

#[tokio::test]
async fn a_folder_that_is_not_empty_or_too_small_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x"), "").unwrap();
    assert!(matches!(prepare(folder.path(), 0, &[]), Err(WriteError::NotEmpty(_))));
    let empty = folder.path().join("new");
    assert!(matches!(prepare(&empty, u64::MAX - 1, &[]), Err(WriteError::NoRoom { .. })));
    prepare(&empty, 0, &[]).unwrap();
    assert!(matches!(prepare(&folder.path().join("x"), 0, &[]), Err(WriteError::Folder(..))));
    assert!(matches!(prepare(&folder.path().join("a/b"), 0, &[]), Err(WriteError::Folder(..))));
}

#[test]
fn a_folder_within_the_storage_or_the_data_folder_is_refused_whatever_leads_there() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("storage");
    fs::create_dir_all(kept.join("J. Smith")).unwrap();
    std::os::unix::fs::symlink(kept.join("J. Smith"), folder.path().join("usb")).unwrap();
    fs::create_dir(folder.path().join("storage-2")).unwrap();
    for inside in ["storage", "storage/new", "storage/J. Smith", "usb", "usb/case", "storage-2/../storage/case"] {
        let to = folder.path().join(inside);
        let refused = prepare(&to, 0, &[&kept]);
        assert!(matches!(refused, Err(WriteError::Inside { .. })), "{inside}: {refused:?}");
    }
    assert!(!kept.join("new").exists());
    for outside in ["storage-2", "storage-2/case"] {
        prepare(&folder.path().join(outside), 0, &[&kept]).unwrap();
    }
}

#[tokio::test]
async fn the_whole_journal_but_a_few_lines_stays_small() {
    let world = World::new().await;
    let token = |n: u64| {
        let id = TokenId::from_bytes(std::array::from_fn(|at| n.to_le_bytes()[at % 8]));
        Fact::UploadTokenRevoked { device: DEVICE, token: id, by: "uid 0".into() }
    };
    for batch in 0..20_u64 {
        world.catalogue.record((0..500).map(|n| token(batch * 500 + n)).collect()).await.unwrap();
    }
    let (folder, plan) = (tempfile::tempdir().unwrap(), plan(&world, &[1]).await);
    put_out(&world, &plan, folder.path()).unwrap();
    let found = checked(folder.path());
    assert!(found.faults.is_empty() && found.hidden_lines > 10_000, "{found:?}");
    let bytes = fs::metadata(folder.path().join("custody-log.txt")).unwrap().len();
    assert!(bytes < 66 * found.hidden_lines, "{bytes} bytes for {} lines", found.hidden_lines);
}

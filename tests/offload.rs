//! The agent and the server, two processes and a card of real video.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use longshore_model::Sha256;
use serde_json::Value;

use crate::support::{World, agent, bytes, checksum, eventually, files_below, offload};

/// Larger than 1 GiB, so that a kill finds it in the middle.
const LARGE: usize = 1100;
const MIB: usize = 1024 * 1024;

/// A card with recordings, oldest first: where each lies, and whether it is an event.
const CARD: [(&str, bool); 20] = [
    ("EVENT/0001.mp4", true),
    ("NORMAL/0002.mp4", false),
    ("EVENT/0003.mp4", true),
    ("RO/0004.MP4", true),
    ("NORMAL/0005.mp4", false),
    ("EVENT/0006.mp4", true),
    ("EVENT/0007.mp4", true),
    ("DCIM/Event_0008.mp4", true),
    ("DCIM/0009.mp4", false),
    ("EVENT/0010.mp4", true),
    ("EVENT/front/0011.mp4", true),
    ("EVENT/rear/0011.mp4", true),
    ("NORMAL/0013.mp4", false),
    ("event/0014.mp4", true),
    ("NORMAL/0015.mp4", false),
    ("EVENT/0016.mov", true),
    ("EVENT/0017.mkv", true),
    ("NORMAL/0018.mp4", false),
    ("EVENT/0019.mp4", true),
    ("EVENT/0020.mp4", true),
];

/// Which of them is the large one.
const LARGE_ONE: usize = 5;

/// Real video, H.264 and HEVC by turns, each different; one of them padded with a box that players pass over.
fn make_card(card: &Path) -> BTreeMap<&'static str, Sha256> {
    let mut checksums = BTreeMap::new();
    for (n, (name, _)) in CARD.into_iter().enumerate() {
        let path = card.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let codec = if n % 2 == 0 { "libx264" } else { "libx265" };
        let source = format!("testsrc=size=320x240:rate=10:duration=1,hue=h={}", n * 17);
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", &source, "-c:v", codec, "-preset", "ultrafast"])
            .args(["-x265-params", "log-level=none", "-pix_fmt", "yuv420p"])
            .arg(&path)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        if n == LARGE_ONE {
            pad(&path, name);
        }
        let minutes = 60 * 24 - 10 * n as u64;
        File::open(&path).unwrap().set_modified(ago(Duration::from_secs(60 * minutes))).unwrap();
        checksums.insert(name, checksum(&path));
    }
    checksums
}

/// A `free` box (ISO/IEC 14496-12 §8.1.2) of bytes that follow from the file's name.
fn pad(path: &Path, name: &str) {
    let mut file = BufWriter::new(File::options().append(true).open(path).unwrap());
    let size = u32::try_from(8 + LARGE * MIB).unwrap();
    file.write_all(&size.to_be_bytes()).unwrap();
    file.write_all(b"free").unwrap();
    let seed = u64::from_le_bytes(Sha256::of(name.as_bytes()).as_bytes()[..8].try_into().unwrap());
    for block in 0..LARGE as u64 {
        file.write_all(&bytes(seed ^ block, MIB)).unwrap();
    }
    file.flush().unwrap();
}

#[expect(clippy::disallowed_methods, reason = "files are dated by the operating system's clock")]
fn ago(age: Duration) -> SystemTime {
    SystemTime::now() - age
}

/// Whatever is gone from the card must be in the store, whole, with its manifest: looked at from outside, at any time.
fn nothing_is_missing(world: &World, card: &Path, checksums: &BTreeMap<&str, Sha256>, known: &mut BTreeSet<PathBuf>) {
    let gone: Vec<&str> = checksums.keys().copied().filter(|name| !card.join(name).exists()).collect();
    for path in files_below(&world.storage()).into_iter().filter(|path| path.extension().is_some_and(|e| e == "json")) {
        known.insert(path);
    }
    let stored: BTreeSet<String> = known
        .iter()
        .filter(|path| path.with_extension("").exists())
        .map(|path| {
            let manifest: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
            manifest["recording"]["sha256"].as_str().unwrap().to_owned()
        })
        .collect();
    for name in gone {
        assert!(stored.contains(&checksums[name].to_string()), "{name} is neither on the card nor in the store");
    }
}

fn largest_incoming(world: &World) -> u64 {
    let sizes = world.incoming().into_iter().filter_map(|folder| folder.join("data").metadata().ok());
    sizes.map(|data| data.len()).max().unwrap_or(0)
}

#[test]
fn a_card_comes_home_oldest_first_though_both_sides_are_killed_in_the_middle() {
    // What is large is read back for longer, and stored after what came later; the journal would not tell the order.
    let mut world = World::configured("[storage]\nread_back = false\n");
    let (card, state, log) = (world.path().join("card"), world.path().join("state"), world.path().join("agent.log"));
    let checksums = make_card(&card);
    world.enrol_agent(&state, "USB-1", "Unit 12");
    let mut known = BTreeSet::new();

    let mut agent = offload(&card, &state, &log);
    let mut wait_for = |world: &World, bytes: usize| {
        eventually("the large recording is in the middle", || {
            nothing_is_missing(world, &card, &checksums, &mut known);
            largest_incoming(world) >= bytes as u64
        });
    };
    wait_for(&world, 200 * MIB);
    world.kill();
    world.start();
    let resumed_at = largest_incoming(&world);
    assert!(resumed_at >= 150 * MIB as u64, "the large recording goes on at {resumed_at}");
    wait_for(&world, 600 * MIB);
    agent.kill();
    let mut agent = offload(&card, &state, &log);
    let told = || fs::read_to_string(&log).unwrap();
    assert!(agent.ends().success(), "{}", told());
    nothing_is_missing(&world, &card, &checksums, &mut known);

    // Each event is there bit for bit and once; the others stayed where they were.
    let mut stored: Vec<Sha256> = world.stored().into_values().collect();
    stored.sort_unstable();
    let mut events: Vec<Sha256> = CARD.iter().filter(|(_, event)| *event).map(|(name, _)| checksums[name]).collect();
    events.sort_unstable();
    assert_eq!(stored, events);
    for (name, event) in CARD {
        assert_eq!(card.join(name).exists(), !event, "{name}");
    }
    assert!(world.incoming().is_empty());

    // Oldest first, as the journal tells; and every deletion was reported.
    let order: Vec<String> = journal_of(&world, "stored").iter().map(original_name).collect();
    let expected: Vec<&str> = CARD.iter().filter(|(_, event)| *event).map(|(name, _)| *name).collect();
    assert_eq!(order, expected);
    assert_eq!(journal_of(&world, "deleted").len(), expected.len());
    assert!(world.recordings().iter().all(|recording| recording["deleted_on_device_at"].is_string()));
}

fn journal_of(world: &World, kind: &str) -> Vec<Value> {
    let segments = files_below(&world.data().join("journal"));
    let text: String = segments.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let facts = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    facts.filter(|fact| fact["kind"] == kind).map(|fact| fact["body"].clone()).collect()
}

fn original_name(stored: &Value) -> String {
    let manifest: Value = serde_json::from_str(stored["manifest"].as_str().unwrap()).unwrap();
    manifest["recording"]["original_name"].as_str().unwrap().to_owned()
}

#[test]
fn with_keep_the_card_stays_as_it_was_and_nothing_is_sent_twice() {
    let world = World::new();
    let (card, state, log) = (world.path().join("card"), world.path().join("state"), world.path().join("agent.log"));
    fs::create_dir_all(card.join("EVENT")).unwrap();
    fs::write(card.join("EVENT/a.ts"), bytes(1, 100_000)).unwrap();
    fs::write(card.join("EVENT/a.txt"), b"no recording").unwrap();
    world.enrol_agent(&state, "USB-1", "Unit 12");
    for _ in 0..2 {
        let output =
            agent().arg("offload").arg(&card).arg("--state").arg(&state).args(["--once", "--keep"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(world.stored().into_values().collect::<Vec<_>>(), [Sha256::of(&bytes(1, 100_000))]);
    assert!(card.join("EVENT/a.ts").exists());
    assert_eq!(journal_of(&world, "stored").len(), 1);
    // Later, without it, the receipt is enough.
    assert!(offload(&card, &state, &log).ends().success());
    assert!(!card.join("EVENT/a.ts").exists() && card.join("EVENT/a.txt").exists());
}

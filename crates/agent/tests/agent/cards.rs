//! Cards that come and go: real mounts, which only root may make.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use longshore_agent::deletions::{Carried, Intent, Journal};
use longshore_agent::hash_cache::HashCache;
use longshore_agent::offload::{Offload, OffloadError, Options};
use longshore_agent::place::Place;
use longshore_agent::progress::{Job, Observer};
use longshore_agent::recording::Recording;
use longshore_agent::scan::{Classifier, DEFAULT_EVENTS, Found};
use longshore_agent::source;
use longshore_agent::stock::Stocktaker;
use longshore_agent::watch::Watch;
use longshore_model::{Clock, Kind, Sha256, SystemClock};

use crate::camera::{Camera, MIB, clock, is_there, pace};
use crate::card::{Card, may_mount, run, skip, text, until, watching};
use crate::server::Fault;

#[tokio::test]
async fn cards_are_offloaded_when_they_are_put_in_and_what_was_left_on_one_goes_on_when_it_is_back() {
    let camera = Camera::enrolled().await;
    if !may_mount(&camera) {
        return;
    }
    let (first, second) = (Card::new(&camera, "CAM 1"), Card::new(&camera, "CAM 2"));
    let (a, b) = (first.put("EVENT/a.mp4", MIB), second.put("EVENT/b.mp4", MIB));
    let late = std::cell::RefCell::new(Vec::new());
    until(
        watching(&camera).run(),
        vec![
            ("it waits", Box::new(|| camera.heard().contains("no card is in")), Box::new(|| first.put_in())),
            (
                "the first card is empty",
                Box::new(|| camera.reported() == ["EVENT/a.mp4"]),
                Box::new(|| {
                    first.pull_out();
                    second.put_in();
                }),
            ),
            (
                "the second card is empty, and the first is missed",
                Box::new(|| camera.reported().len() == 2 && camera.heard().contains("CAM 1 is gone; nothing")),
                Box::new(|| {
                    *late.borrow_mut() = first.put("EVENT/c.mp4", 10);
                    first.put_in();
                }),
            ),
            ("what is new on the first card is home", Box::new(|| camera.reported().len() == 3), Box::new(|| {})),
        ],
    )
    .await;
    assert!(camera.stored("EVENT/a.mp4") == Some(a) && camera.stored("EVENT/b.mp4") == Some(b));
    assert!(camera.stored("EVENT/c.mp4") == Some(late.take()));
    assert!(!is_there(&first.drawer.join("EVENT/a.mp4")) && !is_there(&second.drawer.join("EVENT/b.mp4")));
}

#[tokio::test]
async fn a_card_that_is_pulled_out_while_it_is_sent_loses_nothing_and_is_not_taken_for_empty() {
    let camera = Camera::enrolled().await;
    if !may_mount(&camera) {
        return;
    }
    let card = Card::new(&camera, "CAM");
    let (a, b) = (card.put("EVENT/a.mp4", 24 * MIB), card.put("EVENT/b.mp4", MIB));
    card.put_in();
    let place = card.place.clone();
    let pull_out = move || run("umount", &["-l", text(&place)]);
    camera.fault([Fault::Meanwhile(Box::new(pull_out))]);
    until(
        watching(&camera).run(),
        vec![
            (
                "the card is missed",
                Box::new(|| camera.heard().contains("CAM is gone; 2 recordings on it are not done with")),
                Box::new(|| {
                    assert!(is_there(&card.drawer.join("EVENT/a.mp4")) && is_there(&card.drawer.join("EVENT/b.mp4")));
                    assert!(camera.reported().is_empty(), "an empty mount point is no deletion");
                    card.put_in();
                }),
            ),
            ("everything is home", Box::new(|| camera.reported().len() == 2), Box::new(|| {})),
        ],
    )
    .await;
    assert!(camera.stored("EVENT/a.mp4") == Some(a) && camera.stored("EVENT/b.mp4") == Some(b));
    assert!(!is_there(&card.drawer.join("EVENT/a.mp4")) && !is_there(&card.drawer.join("EVENT/b.mp4")));
}

#[tokio::test]
async fn a_card_that_is_pulled_out_while_it_is_read_is_missed_once_and_costs_no_checksum() {
    struct PullOut(Arc<Card>, AtomicBool);
    impl Observer for PullOut {
        fn say(&self, _line: &str) {}
        fn warn(&self, _line: &str) {}
        fn begin(&self, _job: Job<'_>, _done: u64, _total: u64) {}
        fn advance(&self, _bytes: u64) {
            if !self.1.swap(true, Ordering::Relaxed) {
                self.0.pull_out();
            }
        }
        fn end(&self) {}
        fn idle(&self, _reason: &str) {}
    }
    let camera = Camera::enrolled().await;
    if !may_mount(&camera) {
        return;
    }
    let card = Arc::new(Card::new(&camera, "CAM"));
    for name in ["a", "b", "c"] {
        card.put(&format!("EVENT/{name}.mp4"), MIB);
    }
    card.put_in();
    let cache = Mutex::new(HashCache::open(&camera.folder.path().join("hashes")).unwrap());
    let observer = PullOut(card.clone(), AtomicBool::new(false));
    let taker = Stocktaker {
        serial: "S",
        cache: &cache,
        rests: &Mutex::default(),
        unreadable: &Mutex::default(),
        rest: Duration::ZERO,
        slice: Duration::MAX,
        wall: SystemClock.now(),
        observer: &observer,
        stop: &AtomicBool::new(false),
    };
    let classifier = Classifier::new(&DEFAULT_EVENTS).unwrap();
    assert!(taker.take(&card.place, &classifier).is_err(), "what is not there is neither read nor deleted");
    assert_eq!(taker.take(&card.place, &classifier).unwrap().recordings.len(), 0, "an empty mount point");
    card.put_in();
    let stock = taker.take(&card.place, &classifier).unwrap();
    assert_eq!((stock.recordings.len(), stock.unreadable.len()), (3, 0));
}

#[tokio::test]
async fn a_run_that_is_to_end_says_that_the_card_is_gone() {
    let camera = Camera::enrolled().await;
    if !may_mount(&camera) {
        return;
    }
    let card = Card::new(&camera, "CAM");
    card.put("EVENT/a.mp4", 24 * MIB);
    card.put_in();
    let place = card.place.clone();
    camera.fault([Fault::Meanwhile(Box::new(move || run("umount", &["-l", text(&place)])))]);
    let watch = Watch::folder(&card.place).unwrap();
    let options = Options { watch, once: true, keep: false, events: vec![] };
    let run = Offload::new(options, camera.state(), clock(), pace(), camera.heard.clone()).unwrap().run();
    match run.await {
        // Only the deletion was left, which failed; or the next look missed the card.
        Ok(summary) => assert_eq!((summary.failed, summary.deleted), (1, 0), "{}", camera.heard()),
        Err(error) => assert!(matches!(error, OffloadError::Gone { left: 1, .. }), "{error}"),
    }
    assert!(is_there(&card.drawer.join("EVENT/a.mp4")) && camera.reported().is_empty());
}

#[tokio::test]
async fn a_card_that_is_read_only_is_not_read_for_a_deletion_that_it_refuses() {
    let camera = Camera::enrolled().await;
    if !may_mount(&camera) {
        return;
    }
    let card = Card::new(&camera, "CAM");
    card.put("EVENT/a.mp4", MIB);
    card.put_in();
    let path = card.place.join("EVENT/a.mp4");
    let content = source::hash(&path, |_| true).unwrap();
    let found = Found { name: "EVENT/a.mp4".into(), path: path.clone(), kind: Kind::Event, state: content.state };
    let intent = Intent::new(&Recording::new("S", &found, &content), "receipt".into()).unwrap();
    // Put in again, and its bytes are other ones now: whoever reads it withdraws the deletion.
    let intent = Intent { sha256: Sha256::of(b"other bytes"), ..intent };
    card.pull_out();
    card.put_in();
    run("mount", &["-o", "remount,bind,ro", text(&card.place)]);
    let journal = Journal::open(camera.folder.path().join("intents")).unwrap();
    journal.put(&intent).unwrap();
    let now = SystemClock.now().fixed_offset();
    let refused = journal.resume(intent.clone(), now).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem, "{refused}");
    assert_eq!(journal.entries().unwrap().0, std::slice::from_ref(&intent));
    run("mount", &["-o", "remount,bind,rw", text(&card.place)]);
    assert!(matches!(journal.resume(intent.clone(), now).unwrap(), Carried::Kept(_)), "it is read before it goes");
    assert!(is_there(&path));
    // What an earlier run deleted is reported, though nothing can be deleted any more.
    let intent = Intent { place: Place::of(&fs::File::open(&path).unwrap()).unwrap(), ..intent };
    journal.put(&intent).unwrap();
    fs::remove_file(&path).unwrap();
    run("mount", &["-o", "remount,bind,ro", text(&card.place)]);
    assert!(matches!(journal.resume(intent, now).unwrap(), Carried::Deleted(_)));
}

#[tokio::test]
async fn what_a_dying_device_cannot_read_stays_and_fails_in_plain_words() {
    let camera = Camera::enrolled().await;
    if !may_mount(&camera) {
        return;
    }
    let (image, place) = (camera.folder.path().join("image"), camera.folder.path().join("loop"));
    fs::create_dir(&place).unwrap();
    fs::File::create(&image).unwrap().set_len(64 * MIB as u64).unwrap();
    run("mkfs.ext4", &["-q", "-O", "^has_journal", text(&image)]);
    let mount = || run("mount", &["-o", "loop", text(&image), text(&place)]);
    let probe = Command::new("mount").args(["-o", "loop", text(&image), text(&place)]).output().unwrap();
    if !probe.status.success() {
        return skip(&format!("no loop mounts here: {}", String::from_utf8_lossy(&probe.stderr)));
    }
    fs::create_dir(place.join("EVENT")).unwrap();
    let content: Vec<u8> = (0..=250_u8).cycle().take(8 * MIB).collect();
    fs::write(place.join("EVENT/a.mp4"), &content).unwrap();
    // Unmounted and mounted again, so that nothing of it is in memory.
    run("umount", &[text(&place)]);
    let whole = fs::read(&image).unwrap();
    mount();
    fs::metadata(place.join("EVENT/a.mp4")).unwrap();
    // The device forgets its pictures: every read of them is an EIO now.
    fs::File::options().write(true).open(&image).unwrap().set_len(MIB as u64).unwrap();
    let once = || {
        let options = Options { watch: Watch::folder(&place).unwrap(), once: true, keep: false, events: vec![] };
        Offload::new(options, camera.state(), clock(), pace(), camera.heard.clone()).unwrap().run()
    };
    let dying = once().await;
    let heard = camera.heard();
    run("umount", &["-l", text(&place)]);
    let summary = dying.unwrap();
    assert_eq!((summary.found, summary.failed, summary.deleted), (1, 1, 0), "{heard}");
    assert!(heard.contains("EVENT/a.mp4: Input/output error"), "{heard}");
    // Another device with the same content.
    fs::remove_file(&image).unwrap();
    fs::write(&image, whole).unwrap();
    mount();
    let healthy = once().await;
    let left = is_there(&place.join("EVENT/a.mp4"));
    run("umount", &["-l", text(&place)]);
    assert_eq!(healthy.unwrap().deleted, 1, "{}", camera.heard());
    assert!(!left && camera.stored("EVENT/a.mp4") == Some(content));
}

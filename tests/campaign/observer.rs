use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use longshore_model::Sha256;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use serde_json::Value;

use super::nap;

/// Bytes of events that are read at once.
const EVENTS: usize = 64 * 1024;

/// Watches card and storage with one queue of the kernel, so that it knows what came first: a file may leave the card
/// only after a manifest with its name and checksum stands beside its video.
pub(super) struct Observer {
    seen: Arc<Mutex<Seen>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What stands in the store, by the name that a file had on the card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) video: PathBuf,
    pub(super) sha256: Sha256,
    pub(super) size: u64,
}

#[derive(Default)]
struct Seen {
    stored: BTreeMap<String, Stored>,
    deleted: Vec<String>,
    wrong: Vec<String>,
}

struct Watch {
    inotify: OwnedFd,
    folders: HashMap<i32, PathBuf>,
    card: PathBuf,
    seen: Arc<Mutex<Seen>>,
}

impl Observer {
    /// Watches the files in `events`, and everything below `storage` but what is incoming.
    pub(super) fn new(events: &Path, storage: &Path) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).unwrap();
        let mut watch = Watch { inotify, folders: HashMap::new(), card: events.to_owned(), seen: Arc::clone(&seen) };
        watch.watch(events, WatchFlags::DELETE | WatchFlags::MOVED_FROM);
        watch.storage(storage);
        let ended = Arc::<AtomicBool>::default();
        let end = Arc::clone(&ended);
        let thread = thread::spawn(move || watch.run(&end));
        Self { seen, ended, thread: Some(thread) }
    }

    /// Asserts that nothing wrong was seen so far.
    pub(super) fn all_is_well(&self) {
        let wrong = self.seen.lock().unwrap().wrong.join("\n");
        assert!(wrong.is_empty(), "{wrong}");
        assert!(self.thread.as_ref().is_some_and(|thread| !thread.is_finished()), "the observer is gone");
    }

    pub(super) fn stored(&self) -> BTreeMap<String, Stored> {
        self.seen.lock().unwrap().stored.clone()
    }

    pub(super) fn stored_count(&self) -> usize {
        self.seen.lock().unwrap().stored.len()
    }

    pub(super) fn deleted_count(&self) -> usize {
        self.seen.lock().unwrap().deleted.len()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _told_by_all_is_well = self.thread.take().unwrap().join();
    }
}

impl Watch {
    fn run(mut self, end: &AtomicBool) {
        let mut buffer = vec![MaybeUninit::uninit(); EVENTS];
        while !end.load(Ordering::Relaxed) {
            for (folder, flags, name) in self.events(&mut buffer) {
                self.happened(&folder, flags, &name);
            }
            nap(Duration::from_millis(5));
        }
    }

    fn events(&self, buffer: &mut [MaybeUninit<u8>]) -> Vec<(PathBuf, ReadFlags, String)> {
        let mut events = Vec::new();
        let mut reader = Reader::new(&self.inotify, buffer);
        loop {
            let event = match reader.next() {
                Err(Errno::AGAIN | Errno::INTR) => return events,
                event => event.unwrap(),
            };
            assert!(!event.events().contains(ReadFlags::QUEUE_OVERFLOW), "the kernel's queue of events overflowed");
            let (Some(folder), Some(name)) = (self.folders.get(&event.wd()), event.file_name()) else { continue };
            events.push((folder.clone(), event.events(), name.to_str().unwrap().to_owned()));
        }
    }

    fn watch(&mut self, folder: &Path, what: WatchFlags) {
        let watch = inotify::add_watch(&self.inotify, folder, what | WatchFlags::ONLYDIR).unwrap();
        self.folders.insert(watch, folder.to_owned());
    }

    /// A folder of the storage, and what came into it before it was watched.
    fn storage(&mut self, folder: &Path) {
        if folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            return;
        }
        self.watch(folder, WatchFlags::CREATE | WatchFlags::MOVED_TO);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.storage(&path);
            } else {
                self.came(&path);
            }
        }
    }

    fn happened(&mut self, folder: &Path, flags: ReadFlags, name: &str) {
        if folder == self.card {
            self.left_the_card(name);
        } else if flags.contains(ReadFlags::ISDIR) {
            self.storage(&folder.join(name));
        } else {
            self.came(&folder.join(name));
        }
    }

    fn came(&self, path: &Path) {
        if path.extension().is_none_or(|ending| ending != "json") {
            return;
        }
        let manifest: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let recording = &manifest["recording"];
        let name = recording["original_name"].as_str().unwrap().to_owned();
        let sha256 = recording["sha256"].as_str().unwrap().parse().unwrap();
        let size = recording["size"].as_u64().unwrap();
        let stored = Stored { video: path.with_extension(""), sha256, size };
        let mut seen = self.seen.lock().unwrap();
        if stored.video.metadata().map_or(0, |video| video.len()) != size {
            seen.wrong.push(format!("{} stands beside no whole video", path.display()));
        }
        // A folder that was new may have been listed after the event was in the queue.
        if let Some(before) = seen.stored.insert(name.clone(), stored.clone()).filter(|before| *before != stored) {
            seen.wrong.push(format!("{name} is stored twice: {before:?}, {stored:?}"));
        }
    }

    fn left_the_card(&self, name: &str) {
        let name = format!("EVENT/{name}");
        let mut seen = self.seen.lock().unwrap();
        match seen.stored.get(&name) {
            Some(stored) if stored.video.exists() => {}
            _ => seen.wrong.push(format!("{name} left the card before it was in the store")),
        }
        seen.deleted.push(name);
    }
}

#[test]
fn the_observer_sees_what_leaves_the_card_too_early() {
    let folder = tempfile::tempdir().unwrap();
    let (events, storage) = (folder.path().join("EVENT"), folder.path().join("storage"));
    let day = storage.join("Unit 12/2026-11-21");
    fs::create_dir_all(&day).unwrap();
    fs::create_dir_all(&events).unwrap();
    for name in ["a.mp4", "b.mp4"] {
        fs::write(events.join(name), b"abc").unwrap();
    }
    let observer = Observer::new(&events, &storage);
    let text =
        format!(r#"{{"recording":{{"original_name":"EVENT/a.mp4","size":3,"sha256":"{}"}}}}"#, Sha256::of(b"abc"));
    fs::write(folder.path().join("manifest"), text).unwrap();
    fs::write(day.join("a.mp4"), b"abc").unwrap();
    fs::rename(folder.path().join("manifest"), day.join("a.mp4.json")).unwrap();
    fs::remove_file(events.join("a.mp4")).unwrap();
    crate::support::eventually("both are seen", || (observer.stored_count(), observer.deleted_count()) == (1, 1));
    observer.all_is_well();
    fs::remove_file(events.join("b.mp4")).unwrap();
    crate::support::eventually("it is told", || !observer.seen.lock().unwrap().wrong.is_empty());
    assert!(observer.seen.lock().unwrap().wrong[0].contains("EVENT/b.mp4 left the card before"));
}

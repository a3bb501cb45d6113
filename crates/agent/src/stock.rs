//! Taking stock of a card: what is on it, with checksums, each file read at most once.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use longshore_model::{Kind, RunningBlocks, Sha256};
use tokio::time::Instant;

use crate::hash_cache::HashCache;
use crate::lock::lock;
use crate::progress::{Job, Observer};
use crate::recording::Recording;
use crate::rest::{Resting, Rests};
use crate::scan::{Classifier, Found, Scan, Skipped, scan};
use crate::source::{self, HashError, MountId};
use crate::unreadable::Unreadable;

/// What a card holds.
#[derive(Debug)]
pub struct Stock {
    /// The folder that was looked through.
    pub root: PathBuf,
    /// Where its file system sat when the look began.
    pub mount: MountId,
    /// The recordings.
    pub recordings: Vec<Recording>,
    /// Recordings that are still being written to, as it seems.
    pub growing: Vec<Growing>,
    /// Recordings that cannot be read, with the reason; they are kept and count as failed.
    pub unreadable: Vec<Skipped>,
    /// Folders and names that could not be looked at.
    pub skipped: Vec<Skipped>,
    /// How many of all recordings are events.
    pub events: usize,
    /// How many recordings were read for it.
    pub read: usize,
    /// Whether there are recordings that nobody has read yet, since the time was up.
    pub unread: bool,
}

/// A file that does not rest yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growing {
    /// Which file.
    pub path: PathBuf,
    /// When it will have rested long enough, if nobody touches it any more.
    pub left: Duration,
    /// In how many looks it had changed since the look before.
    pub moves: u32,
}

/// Everything that taking stock needs; it blocks, so it runs beside the async threads.
pub struct Stocktaker<'a> {
    /// Serial of the device, which is part of every recording's id.
    pub serial: &'a str,
    /// Known checksums.
    pub cache: &'a Mutex<HashCache>,
    /// How the files looked the last time.
    pub rests: &'a Mutex<Rests>,
    /// What could not be read, and when to try it again.
    pub unreadable: &'a Mutex<Unreadable>,
    /// How long a file has to rest before it is read.
    pub rest: Duration,
    /// How long files of one card are read in one look; at least one is.
    pub slice: Duration,
    /// The time, as files are dated.
    pub wall: DateTime<Utc>,
    /// Is told of the progress.
    pub observer: &'a dyn Observer,
    /// Set when nobody waits for the result any more.
    pub stop: &'a AtomicBool,
}

impl Stocktaker<'_> {
    /// Looks through `root` and computes the checksums that are not known.
    ///
    /// # Errors
    /// What the operating system says about `root` itself.
    pub fn take(&self, root: &Path, classifier: &Classifier) -> io::Result<Stock> {
        let mount = MountId::at(root)?;
        let Scan { found, skipped } = scan(root, classifier)?;
        if skipped.is_empty() {
            self.keep_only(root, &found);
        }
        let mut stock = Stock {
            root: root.to_owned(),
            mount,
            events: found.iter().filter(|found| found.kind == Kind::Event).count(),
            recordings: Vec::new(),
            growing: Vec::new(),
            unreadable: Vec::new(),
            skipped,
            read: 0,
            unread: false,
        };
        let unknown = self.sort(&found, &mut stock);
        if !unknown.is_empty() {
            let bytes = unknown.iter().map(|found| found.state.size).sum();
            self.observer.begin(Job::Hashing, 0, bytes);
            let read = self.read(unknown, &mut stock);
            self.observer.end();
            read?;
        }
        Ok(stock)
    }

    /// Forgets what was known of files below `root` that are not among those that were `found`.
    fn keep_only(&self, root: &Path, found: &[Found]) {
        let present: HashSet<_> = found.iter().map(|found| found.path.as_path()).collect();
        lock(self.rests).keep_only(root, &present);
        lock(self.unreadable).keep_only(root, &present);
        // What cannot be tidied is only a cache that grows.
        let _ = lock(self.cache).tidy(root, &present);
    }

    /// Puts into the stock what is known without reading, and returns what is to be read, in its order.
    fn sort<'f>(&self, found: &'f [Found], stock: &mut Stock) -> Vec<&'f Found> {
        let mut unknown = Vec::new();
        for found in found {
            let resting = lock(self.rests).look(&found.path, found.state, self.rest, self.wall, Instant::now());
            if let Some(content) = lock(self.cache).get(&found.path, found.state) {
                stock.recordings.push(Recording::new(self.serial, found, content));
            } else if let Resting::NotYet { left, moves } = resting {
                stock.growing.push(Growing { path: found.path.clone(), left, moves });
            } else if let Some(reason) = lock(self.unreadable).too_early(&found.path, found.state, Instant::now()) {
                stock.unreadable.push(Skipped { path: found.path.clone(), reason: reason.to_owned() });
            } else {
                unknown.push(found);
            }
        }
        // Events are wanted in any case. What could not be read before is likely to cost much time again, for nothing.
        unknown.sort_by_cached_key(|found| {
            let failed = lock(self.unreadable).contains(&found.path, found.state);
            (failed, found.kind != Kind::Event, found.state.mtime_ns)
        });
        unknown
    }

    /// Reads what is `unknown` into the stock, for as long as the slice lasts. An error is that of a card that is gone.
    fn read(&self, unknown: Vec<&Found>, stock: &mut Stock) -> io::Result<()> {
        let began = Instant::now();
        for (at, found) in unknown.into_iter().enumerate() {
            if at > 0 && began.elapsed() >= self.slice {
                stock.unread = true;
                break;
            }
            match self.hash(found, |_| {}) {
                Ok(recording) => {
                    lock(self.unreadable).read(&found.path);
                    stock.recordings.push(recording);
                    stock.read += 1;
                }
                Err(HashError::Interrupted) => break,
                // The next look sees the change, and waits until it rests.
                Err(HashError::Changed) => {
                    stock.growing.push(Growing { path: found.path.clone(), left: self.rest, moves: 0 });
                }
                // The whole card was pulled out: what there is to say is said once.
                Err(HashError::Io(error)) if MountId::at(&stock.root).ok().as_ref() != Some(&stock.mount) => {
                    return Err(error);
                }
                // Deleted since the scan: no recording any more.
                Err(HashError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let reason = error.to_string();
                    lock(self.unreadable).failed(&found.path, found.state, reason.clone(), Instant::now());
                    stock.unreadable.push(Skipped { path: found.path.clone(), reason });
                }
            }
        }
        Ok(())
    }

    /// Forgets the checksum of one file and computes it again, and those of its blocks.
    ///
    /// # Errors
    /// [`HashError`] if the file cannot be read.
    pub fn again(&self, recording: &Recording) -> Result<(Recording, Vec<Sha256>), HashError> {
        // What cannot be forgotten for good is forgotten in this run; the next one would be told again to read the file.
        let _ = lock(self.cache).forget(&recording.path);
        let found = Found {
            name: recording.name.clone(),
            path: recording.path.clone(),
            kind: recording.kind,
            state: recording.state,
        };
        self.observer.begin(Job::Hashing, 0, found.state.size);
        let mut blocks = RunningBlocks::default();
        let result = self.hash(&found, |bytes| blocks.update(bytes));
        self.observer.end();
        Ok((result?, blocks.finish()))
    }

    fn hash(&self, found: &Found, mut on_bytes: impl FnMut(&[u8])) -> Result<Recording, HashError> {
        let content = source::hash(&found.path, |bytes| {
            on_bytes(bytes);
            self.observer.advance(bytes.len() as u64);
            !self.stop.load(Ordering::Relaxed)
        })?;
        // What cannot be cached is only computed again another time.
        let _ = lock(self.cache).put(&found.path, &content);
        Ok(Recording::new(self.serial, found, &content))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use longshore_model::{Clock, SystemClock};

    use super::*;
    use crate::scan::DEFAULT_EVENTS;
    use crate::source::FileState;

    #[derive(Default)]
    struct Counting(AtomicU64);

    impl Observer for Counting {
        fn say(&self, _line: &str) {}
        fn warn(&self, _line: &str) {}
        fn begin(&self, _job: Job<'_>, _done: u64, _total: u64) {}
        fn advance(&self, bytes: u64) {
            self.0.fetch_add(bytes, Ordering::Relaxed);
        }
        fn end(&self) {}
        fn idle(&self, _reason: &str) {}
    }

    /// Takes stock like a fresh process; also returns how many bytes were hashed for it.
    fn take(folder: &Path) -> (Stock, u64) {
        take_after(folder, Duration::ZERO, Duration::MAX)
    }

    /// Takes stock of what has rested for long enough, and reads for no longer than `slice`.
    fn take_after(folder: &Path, rest: Duration, slice: Duration) -> (Stock, u64) {
        take_knowing(&Mutex::default(), folder, rest, slice)
    }

    fn take_knowing(unreadable: &Mutex<Unreadable>, folder: &Path, rest: Duration, slice: Duration) -> (Stock, u64) {
        let cache = Mutex::new(HashCache::open(&folder.join("hashes")).unwrap());
        let observer = Arc::new(Counting::default());
        let taker = Stocktaker {
            serial: "S",
            cache: &cache,
            rests: &Mutex::default(),
            unreadable,
            rest,
            slice,
            wall: SystemClock.now(),
            observer: &*observer,
            stop: &AtomicBool::new(false),
        };
        let classifier = Classifier::new(&DEFAULT_EVENTS).unwrap();
        let stock = taker.take(&folder.join("card"), &classifier).unwrap();
        (stock, observer.0.load(Ordering::Relaxed))
    }

    fn card() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("card/EVENT")).unwrap();
        fs::write(folder.path().join("card/EVENT/a.mp4"), b"abc").unwrap();
        fs::write(folder.path().join("card/b.mp4"), b"defgh").unwrap();
        folder
    }

    #[test]
    fn an_unchanged_file_is_not_hashed_twice() {
        let folder = card();
        let (first, hashed) = take(folder.path());
        assert_eq!((first.recordings.len(), first.events, hashed), (2, 1, 8));
        let (second, hashed) = take(folder.path());
        assert_eq!(hashed, 0);
        let ids = |stock: &Stock| {
            let mut ids: Vec<_> = stock.recordings.iter().map(|recording| recording.rid).collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!(ids(&first), ids(&second));
    }

    #[test]
    fn a_state_disk_that_takes_nothing_is_no_error_of_the_card() {
        let folder = card();
        let (first, _) = take(folder.path());
        let cache = Mutex::new(HashCache::open(&folder.path().join("hashes")).unwrap());
        // Nothing can be written in the place of this folder.
        fs::create_dir(folder.path().join("hashes.tmp")).unwrap();
        let observer = Counting::default();
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
        let before = &first.recordings[0];
        let (again, blocks) = taker.again(before).unwrap();
        assert_eq!((again.rid, blocks), (before.rid, vec![before.sha256]), "of one block");
        assert_eq!(observer.0.load(Ordering::Relaxed), before.state.size, "it is read again");
    }

    #[test]
    fn a_changed_file_is_another_recording() {
        let folder = card();
        take(folder.path());
        fs::write(folder.path().join("card/b.mp4"), b"changed").unwrap();
        let (stock, hashed) = take(folder.path());
        assert_eq!(hashed, 7);
        assert!(stock.recordings.iter().any(|one| one.sha256 == Sha256::of(b"changed")));
    }

    #[test]
    fn a_file_that_does_not_rest_is_not_read_but_one_that_is_known_is_offered() {
        let folder = card();
        let rest = Duration::from_secs(3_600);
        let (stock, hashed) = take_after(folder.path(), rest, Duration::MAX);
        assert_eq!((stock.recordings.len(), stock.growing.len(), stock.events, hashed), (0, 2, 1, 0));
        take(folder.path());
        let (stock, _) = take_after(folder.path(), rest, Duration::MAX);
        assert_eq!((stock.recordings.len(), stock.growing.len()), (2, 0));
    }

    #[test]
    fn a_large_card_is_read_slice_by_slice_events_first() {
        let folder = card();
        fs::write(folder.path().join("card/EVENT/c.mp4"), b"c").unwrap();
        let slices = [(); 4].map(|()| {
            let (stock, _) = take_after(folder.path(), Duration::ZERO, Duration::ZERO);
            let events = stock.recordings.iter().filter(|one| one.kind == Kind::Event).count();
            (stock.recordings.len(), events, stock.unread, stock.read)
        });
        assert_eq!(slices, [(1, 1, true, 1), (2, 2, true, 1), (3, 2, false, 1), (3, 2, false, 0)]);
    }

    #[test]
    fn an_unreadable_file_does_not_keep_the_others_from_being_read() {
        let folder = card();
        let damaged = folder.path().join("card/EVENT/a.mp4");
        let state = FileState::at(&damaged).unwrap();
        let unreadable = Mutex::new(Unreadable::default());
        let look = || {
            let (stock, hashed) = take_knowing(&unreadable, folder.path(), Duration::ZERO, Duration::ZERO);
            (stock.recordings.len(), stock.unreadable.len(), stock.unread, hashed)
        };
        let long_ago = Instant::now().checked_sub(Duration::from_secs(61)).unwrap();
        // It may be tried again, after the file that nobody tried yet.
        lock(&unreadable).failed(&damaged, state, "damaged".into(), long_ago);
        assert_eq!(look(), (1, 0, true, 5));
        // It just failed again, so it is left alone and still told.
        lock(&unreadable).failed(&damaged, state, "damaged".into(), Instant::now());
        assert_eq!(look(), (1, 1, false, 0));
        // Its time has come, and it can be read.
        lock(&unreadable).read(&damaged);
        lock(&unreadable).failed(&damaged, state, "damaged".into(), long_ago);
        assert_eq!(look(), (2, 0, false, 3));
        assert!(!lock(&unreadable).contains(&damaged, state));
    }
}

//! Taking stock of a card: what is on it, with checksums, each file read at most once.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use longshore_model::Kind;

use crate::hash_cache::HashCache;
use crate::progress::{Job, Observer};
use crate::recording::Recording;
use crate::scan::{Classifier, Found, Passed, scan};
use crate::source::{self, HashError};

/// How often a file is read again at once when it changed while it was read.
const TRIES: usize = 3;

/// What a card holds.
#[derive(Debug, Default)]
pub struct Stock {
    /// The recordings.
    pub recordings: Vec<Recording>,
    /// Recordings that cannot be read, with the reason; they are kept and count as failed.
    pub unreadable: Vec<Passed>,
    /// Folders and names that could not be looked at.
    pub passed: Vec<Passed>,
    /// How many of all recordings are events.
    pub events: usize,
}

/// Everything that taking stock needs; it blocks, so it runs beside the async threads.
pub struct Stocktaker<'a> {
    /// Serial of the device, which is part of every recording's id.
    pub serial: &'a str,
    /// Known checksums.
    pub cache: &'a Mutex<HashCache>,
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
        let scan = scan(root, classifier)?;
        let present: std::collections::HashSet<_> = scan.found.iter().map(|found| found.path.as_path()).collect();
        // What cannot be tidied is only a cache that grows.
        let _ = self.cache().tidy(root, |path| present.contains(path));
        let mut stock = Stock {
            events: scan.found.iter().filter(|found| found.kind == Kind::Event).count(),
            passed: scan.passed,
            ..Stock::default()
        };
        let (known, mut unknown): (Vec<_>, Vec<_>) =
            scan.found.iter().partition(|found| self.cache().get(&found.path, found.state).is_some());
        for found in known {
            if let Some(sha256) = self.cache().get(&found.path, found.state) {
                stock.recordings.push(Recording::new(self.serial, found, found.state, sha256));
            }
        }
        if unknown.is_empty() {
            return Ok(stock);
        }
        unknown.sort_by_key(|found| found.state.mtime_ns);
        let bytes = unknown.iter().map(|found| found.state.size).sum();
        self.observer.begin(Job::Hashing, 0, bytes);
        for found in unknown {
            match self.hash(found) {
                Ok(recording) => stock.recordings.push(recording),
                Err(HashError::Interrupted) => break,
                // Deleted since the scan: no recording any more.
                Err(HashError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => stock.unreadable.push(Passed { path: found.path.clone(), reason: error.to_string() }),
            }
        }
        self.observer.end();
        Ok(stock)
    }

    /// Forgets the checksum of one file and computes it again.
    ///
    /// # Errors
    /// [`HashError`] if the file cannot be read.
    pub fn again(&self, recording: &Recording) -> Result<Recording, HashError> {
        self.cache().forget(&recording.path)?;
        let found = Found {
            name: recording.name.clone(),
            path: recording.path.clone(),
            kind: recording.kind,
            state: recording.state,
        };
        self.observer.begin(Job::Hashing, 0, found.state.size);
        let result = self.hash(&found);
        self.observer.end();
        result
    }

    fn hash(&self, found: &Found) -> Result<Recording, HashError> {
        let on_read = |bytes| {
            self.observer.advance(bytes as u64);
            !self.stop.load(Ordering::Relaxed)
        };
        let mut result = source::hash(&found.path, on_read);
        for _ in 1..TRIES {
            if !matches!(result, Err(HashError::Changed)) {
                break;
            }
            result = source::hash(&found.path, on_read);
        }
        let (state, sha256) = result?;
        // What cannot be cached is only computed again another time.
        let _ = self.cache().put(&found.path, state, sha256);
        Ok(Recording::new(self.serial, found, state, sha256))
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, HashCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use longshore_model::Sha256;

    use super::*;
    use crate::scan::DEFAULT_EVENTS;

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
    }

    /// Takes stock like a fresh process; also returns how many bytes were hashed for it.
    fn take(folder: &Path) -> (Stock, u64) {
        let cache = Mutex::new(HashCache::open(&folder.join("hashes")).unwrap());
        let observer = Arc::new(Counting::default());
        let taker = Stocktaker { serial: "S", cache: &cache, observer: &*observer, stop: &AtomicBool::new(false) };
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
    fn a_changed_file_is_another_recording() {
        let folder = card();
        take(folder.path());
        fs::write(folder.path().join("card/b.mp4"), b"changed").unwrap();
        let (stock, hashed) = take(folder.path());
        assert_eq!(hashed, 7);
        assert!(stock.recordings.iter().any(|one| one.sha256 == Sha256::of(b"changed")));
    }
}

//! Files that could not be read, and when to try each again: a damaged place on a card holds a reader up for minutes.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::source::FileState;

/// Wait before a file that could not be read is tried again: two usual looks.
const FIRST: Duration = Duration::from_secs(60);
/// Longest of the waits, which double: a card that gets better does so in a person's hands.
const LONGEST: Duration = Duration::from_secs(3_600);

#[derive(Debug)]
struct Failure {
    state: FileState,
    reason: String,
    waits: Backoff,
    again: Instant,
}

/// What could not be read, by path.
#[derive(Debug, Default)]
pub struct Unreadable {
    failures: HashMap<PathBuf, Failure>,
}

impl Unreadable {
    /// Whether the file at `path` could not be read the last time, and looks as it did then.
    pub fn contains(&self, path: &Path, state: FileState) -> bool {
        self.failure(path, state).is_some()
    }

    /// Why the file at `path` could not be read, while it is too early to try again.
    pub fn too_early(&self, path: &Path, state: FileState, now: Instant) -> Option<&str> {
        self.failure(path, state).filter(|failure| now < failure.again).map(|failure| failure.reason.as_str())
    }

    /// The file at `path` could not be read, because of `reason`.
    pub fn failed(&mut self, path: &Path, state: FileState, reason: String, now: Instant) {
        let mut waits = match self.failures.remove(path) {
            Some(known) if known.state.looks_like(&state) => known.waits,
            _ => Backoff::new(FIRST, LONGEST),
        };
        let again = now + waits.step();
        self.failures.insert(path.to_owned(), Failure { state, reason, waits, again });
    }

    /// The file at `path` was read.
    pub fn read(&mut self, path: &Path) {
        self.failures.remove(path);
    }

    /// Forgets the files below `root` that are not among `present`.
    pub fn keep_only(&mut self, root: &Path, present: &HashSet<&Path>) {
        self.failures.retain(|path, _| !path.starts_with(root) || present.contains(path.as_path()));
    }

    fn failure(&self, path: &Path, state: FileState) -> Option<&Failure> {
        self.failures.get(path).filter(|failure| failure.state.looks_like(&state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: FileState = FileState { size: 3, mtime_ns: 5, ctime_ns: 5, inode: 7 };

    #[test]
    fn the_wait_for_an_unreadable_file_doubles_up_to_an_hour() {
        let (mut unreadable, path, mut now) = (Unreadable::default(), Path::new("/card/a.mp4"), Instant::now());
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            unreadable.failed(path, STATE, "damaged".into(), now);
            let wait = Duration::from_secs(60 * minutes);
            let almost = now + wait - Duration::from_millis(1);
            assert_eq!(unreadable.too_early(path, STATE, almost), Some("damaged"), "{minutes}");
            now += wait;
            assert_eq!(unreadable.too_early(path, STATE, now), None, "{minutes}");
        }
        assert!(unreadable.contains(path, STATE));
    }

    #[test]
    fn a_changed_file_is_tried_at_once_and_waits_anew() {
        let (mut unreadable, path, now) = (Unreadable::default(), Path::new("/card/a.mp4"), Instant::now());
        unreadable.failed(path, STATE, "damaged".into(), now);
        unreadable.failed(path, STATE, "damaged".into(), now);
        let changed = FileState { size: 4, ..STATE };
        assert!(!unreadable.contains(path, changed));
        unreadable.failed(path, changed, "damaged".into(), now);
        assert_eq!(unreadable.too_early(path, changed, now + FIRST), None);
        unreadable.read(path);
        assert!(!unreadable.contains(path, changed));
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let (mut unreadable, path) = (Unreadable::default(), Path::new("/card/a.mp4"));
        unreadable.failed(path, STATE, "damaged".into(), Instant::now());
        unreadable.keep_only(Path::new("/other"), &HashSet::new());
        assert!(unreadable.contains(path, STATE));
        unreadable.keep_only(Path::new("/card"), &HashSet::new());
        assert!(!unreadable.contains(path, STATE));
    }
}

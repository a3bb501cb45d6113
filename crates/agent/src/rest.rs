//! Whether a file is complete: what is still being written to is left alone until it rests.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::source::FileState;

/// What is known of a file's rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resting {
    /// It has rested long enough.
    Yes,
    /// It may be being written to.
    NotYet {
        /// When it will have rested long enough, if nobody touches it any more.
        left: Duration,
        /// In how many looks it had changed since the look before.
        moves: u32,
    },
}

#[derive(Debug)]
struct Seen {
    state: FileState,
    since: Instant,
    moves: u32,
}

/// How the files looked the last time.
///
/// A file that is seen for the first time rests if its time of change says so. That time is the writer's, whose clock
/// may be wrong, so a file that was ever seen to change rests only when it has been seen unchanged for long enough.
#[derive(Debug, Default)]
pub struct Rests {
    seen: HashMap<PathBuf, Seen>,
}

impl Rests {
    /// Takes a look at the file at `path`; `rest` is how long it has to stay as it is, `wall` and `now` are the time.
    pub fn look(
        &mut self,
        path: &Path,
        state: FileState,
        rest: Duration,
        wall: DateTime<Utc>,
        now: Instant,
    ) -> Resting {
        // A time of change in the future says nothing.
        let age = (wall - DateTime::from_timestamp_nanos(state.mtime_ns)).to_std().unwrap_or_default();
        let seen = self.seen.entry(path.to_owned()).or_insert(Seen { state, since: now, moves: 0 });
        if !seen.state.looks_like(&state) {
            *seen = Seen { state, since: now, moves: seen.moves.saturating_add(1) };
        }
        let unchanged = now.saturating_duration_since(seen.since);
        let age = if seen.moves == 0 { age.max(unchanged) } else { unchanged };
        match rest.saturating_sub(age) {
            Duration::ZERO => Resting::Yes,
            left => Resting::NotYet { left, moves: seen.moves },
        }
    }

    /// Forgets the files below `root` that are not among `present`.
    pub fn keep_only(&mut self, root: &Path, present: &HashSet<&Path>) {
        self.seen.retain(|path, _| !path.starts_with(root) || present.contains(path.as_path()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(60);

    /// A file of `size` bytes that was changed `age` seconds before the time of the tests.
    fn file(size: u64, age: i64) -> FileState {
        let mtime_ns = (wall() - chrono::TimeDelta::seconds(age)).timestamp_nanos_opt().unwrap();
        FileState { size, mtime_ns, ctime_ns: mtime_ns, inode: 1 }
    }

    fn wall() -> DateTime<Utc> {
        "2026-11-21T14:00:00Z".parse().unwrap()
    }

    struct Looks {
        rests: Rests,
        start: Instant,
    }

    impl Looks {
        fn new() -> Self {
            Self { rests: Rests::default(), start: Instant::now() }
        }

        /// Looks at the file `after` seconds; the wall clock stands still, so that only its first word counts.
        fn look(&mut self, after: u64, state: FileState) -> Resting {
            let now = self.start + Duration::from_secs(after);
            self.rests.look(Path::new("/card/a.mp4"), state, REST, wall(), now)
        }
    }

    fn not_yet(left: u64, moves: u32) -> Resting {
        Resting::NotYet { left: Duration::from_secs(left), moves }
    }

    #[test]
    fn a_file_that_was_changed_long_ago_rests() {
        assert_eq!(Looks::new().look(0, file(1, 60)), Resting::Yes);
    }

    #[test]
    fn a_fresh_file_rests_when_it_is_old_enough_or_has_been_seen_unchanged() {
        let mut looks = Looks::new();
        assert_eq!(looks.look(0, file(1, 20)), not_yet(40, 0));
        assert_eq!(looks.look(50, file(1, 20)), not_yet(10, 0));
        assert_eq!(looks.look(60, file(1, 20)), Resting::Yes);
    }

    #[test]
    fn a_file_from_the_future_rests_when_it_has_been_seen_unchanged() {
        let mut looks = Looks::new();
        assert_eq!(looks.look(0, file(1, -86_400)), not_yet(60, 0));
        assert_eq!(looks.look(60, file(1, -86_400)), Resting::Yes);
    }

    #[test]
    fn a_file_that_grows_under_a_clock_that_is_slow_does_not_rest() {
        let mut looks = Looks::new();
        // Nothing gives it away at first.
        assert_eq!(looks.look(0, file(1, 3_600)), Resting::Yes);
        assert_eq!(looks.look(30, file(2, 3_570)), not_yet(60, 1));
        assert_eq!(looks.look(60, file(3, 3_540)), not_yet(60, 2));
        assert_eq!(looks.look(119, file(3, 3_540)), not_yet(1, 2));
        assert_eq!(looks.look(120, file(3, 3_540)), Resting::Yes);
    }

    #[test]
    fn a_file_whose_inode_is_made_up_again_goes_on_resting() {
        let mut looks = Looks::new();
        assert_eq!(looks.look(0, file(1, 20)), not_yet(40, 0));
        assert_eq!(looks.look(30, FileState { inode: 2, ..file(1, 20) }), not_yet(30, 0));
        assert_eq!(looks.look(60, FileState { inode: 3, ..file(1, 20) }), Resting::Yes);
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut looks = Looks::new();
        looks.look(0, file(1, 0));
        looks.rests.keep_only(Path::new("/other"), &HashSet::new());
        assert_eq!(looks.rests.seen.len(), 1);
        looks.rests.keep_only(Path::new("/card"), &HashSet::new());
        assert!(looks.rests.seen.is_empty());
    }
}

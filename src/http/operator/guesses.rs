//! Wrong passwords: how many an account takes before it rests, and how many passwords are looked at at once. A guess counts
//! from before it is checked, so that guesses made side by side are not more than those made one after another.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use longshore_protocol::ProblemType;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::error::Failure;

/// Wrong passwords of one account within [`WINDOW`]: more than a person mistypes, and no more than 1,000 guesses a day.
pub(super) const GUESSES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Names that no account has whose guesses are counted at once, so that they are answered as the others are; beyond, the oldest
/// is forgotten. Names of accounts are never forgotten before they have rested, and made-up ones take no room from them.
const COUNTED: usize = 10_000;
/// Passwords that are checked at once: each takes 19 MiB of memory and some tens of milliseconds of a core.
const CHECKS: usize = 2;
/// Logins at once, with those that wait for a check: a second or two of checks.
const LOGINS: usize = 32;
/// Between two lines in the log about names that no account has: they cost whoever guesses nothing.
const MINUTE: Duration = Duration::from_secs(60);

/// Counts guesses by name, and bounds how many are checked at once.
pub(crate) struct Guesses {
    names: Mutex<HashMap<String, Counted>>,
    nobodys: Mutex<Nobodys>,
    checks: Arc<Semaphore>,
    logins: Arc<Semaphore>,
}

/// Guesses since a moment.
struct Counted {
    since: Instant,
    guesses: u32,
    /// An account has the name.
    is_known: bool,
}

/// Logins with names that no account has.
#[derive(Default)]
struct Nobodys {
    told: Option<Instant>,
    untold: u32,
}

/// One guess; it counts as wrong unless it is given back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Guess {
    name: String,
    since: Instant,
    /// If it is wrong, the name rests.
    pub(super) is_last: bool,
}

/// Why no password is looked at now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotNow {
    /// The name rests so long.
    #[error("there were {GUESSES} wrong passwords for this account; try again later")]
    Rests(Duration),
    /// As many logins as may be are waiting.
    #[error("{LOGINS} logins are being checked; try again in a moment")]
    Queue,
}

impl Default for Guesses {
    fn default() -> Self {
        Self {
            names: Mutex::default(),
            nobodys: Mutex::default(),
            checks: Arc::new(Semaphore::new(CHECKS)),
            logins: Arc::new(Semaphore::new(LOGINS)),
        }
    }
}

impl Guesses {
    /// A place in the queue of those who log in, to be kept until the answer is known.
    pub(super) fn queue(&self) -> Result<OwnedSemaphorePermit, NotNow> {
        Arc::clone(&self.logins).try_acquire_owned().map_err(|_| NotNow::Queue)
    }

    /// Waits until one more password may be checked, or hashed.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.checks).acquire_owned().await.map_err(|_| Failure::shutting_down())
    }

    /// Counts one more guess, if one more may be made; `is_known`: an account has the name.
    pub(super) fn guess(&self, name: &str, is_known: bool, now: Instant) -> Result<Guess, NotNow> {
        let left = |counted: &Counted| WINDOW.saturating_sub(now.duration_since(counted.since));
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= COUNTED && !names.contains_key(name) {
            names.retain(|_, counted| !left(counted).is_zero());
            let made_up = names.iter().filter(|(_, counted)| !counted.is_known);
            if !is_known && made_up.clone().count() >= COUNTED {
                let oldest = made_up.min_by_key(|(_, counted)| counted.since).map(|(name, _)| name.clone());
                oldest.and_then(|oldest| names.remove(&oldest));
            }
        }
        let new = || Counted { since: now, guesses: 0, is_known };
        let counted = names.entry(name.to_owned()).or_insert_with(new);
        if left(counted).is_zero() {
            *counted = new();
        }
        if counted.guesses >= GUESSES {
            return Err(NotNow::Rests(left(counted)));
        }
        counted.guesses += 1;
        Ok(Guess { name: name.to_owned(), since: counted.since, is_last: counted.guesses == GUESSES })
    }

    /// The password was right. The wrong ones before it still count: whoever guesses beside the account's owner gets no
    /// more guesses by the owner's logins.
    pub(super) fn give_back(&self, guess: Guess) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        // A count that was begun anew meanwhile does not hold this guess.
        if let Entry::Occupied(mut entry) = names.entry(guess.name)
            && entry.get().since == guess.since
        {
            entry.get_mut().guesses -= 1;
            if entry.get().guesses == 0 {
                entry.remove();
            }
        }
    }

    /// Notes a login with a name that no account has; once a minute, how many there were since it was told last.
    pub(super) fn of_nobody(&self, now: Instant) -> Option<u32> {
        let mut nobodys = self.nobodys.lock().unwrap_or_else(PoisonError::into_inner);
        nobodys.untold = nobodys.untold.saturating_add(1);
        if nobodys.told.is_some_and(|told| now.duration_since(told) < MINUTE) {
            return None;
        }
        nobodys.told = Some(now);
        Some(std::mem::take(&mut nobodys.untold))
    }
}

impl From<NotNow> for Failure {
    fn from(not_now: NotNow) -> Self {
        let wait = match not_now {
            NotNow::Rests(left) => left.as_secs() + 1,
            NotNow::Queue => 1,
        };
        Self::new(ProblemType::TooMany, not_now.to_string()).retry_after(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_last(guess: &Result<Guess, NotNow>) -> bool {
        guess.as_ref().is_ok_and(|guess| guess.is_last)
    }

    #[test]
    fn after_too_many_wrong_passwords_an_account_rests_and_another_does_not() {
        let guesses = Guesses::default();
        let start = Instant::now();
        for n in 1..=GUESSES {
            assert_eq!(is_last(&guesses.guess("anna", true, start)), n == GUESSES);
        }
        let left = WINDOW - MINUTE;
        assert_eq!(guesses.guess("anna", true, start + MINUTE), Err(NotNow::Rests(left)));
        assert!(guesses.guess("ben", true, start).is_ok());
        assert!(guesses.guess("anna", true, start + WINDOW).is_ok());
    }

    #[test]
    fn guesses_side_by_side_count_before_any_is_checked() {
        let guesses = Arc::new(Guesses::default());
        let start = Instant::now();
        let several = |_| {
            let guesses = Arc::clone(&guesses);
            std::thread::spawn(move || (0..GUESSES).filter(|_| guesses.guess("anna", true, start).is_ok()).count())
        };
        let threads: Vec<_> = (0..8).map(several).collect();
        let made: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(made, GUESSES as usize);
    }

    #[test]
    fn a_right_password_gives_back_its_own_guess_and_no_other() {
        let guesses = Guesses::default();
        let start = Instant::now();
        for _ in 0..GUESSES - 1 {
            guesses.guess("anna", true, start).unwrap();
        }
        for _ in 0..3 {
            let right = guesses.guess("anna", true, start).unwrap();
            guesses.give_back(right);
        }
        assert!(is_last(&guesses.guess("anna", true, start)));
        assert!(guesses.guess("anna", true, start).is_err());
        let alone = guesses.guess("ben", true, start).unwrap();
        guesses.give_back(alone);
        assert!(!guesses.names.lock().unwrap().contains_key("ben"));
        let late = guesses.guess("carla", true, start).unwrap();
        guesses.guess("carla", true, start + WINDOW).unwrap();
        guesses.give_back(late);
        assert_eq!(guesses.names.lock().unwrap()["carla"].guesses, 1, "a new count holds no earlier guess");
    }

    #[test]
    fn a_flood_of_names_sets_no_account_free_locks_none_out_and_does_not_grow_the_table() {
        let guesses = Guesses::default();
        let start = Instant::now();
        for _ in 0..GUESSES {
            guesses.guess("anna", true, start).unwrap();
        }
        let later = start + MINUTE;
        for n in 0..COUNTED + 100 {
            guesses.guess(&n.to_string(), false, later).unwrap();
        }
        assert!(matches!(guesses.guess("anna", true, later), Err(NotNow::Rests(_))));
        assert!(guesses.guess("ben", true, later).is_ok());
        assert!(guesses.names.lock().unwrap().len() <= COUNTED + 2);
        guesses.guess("x", false, start + WINDOW + MINUTE).unwrap();
        assert_eq!(guesses.names.lock().unwrap().len(), 1, "all others have rested");
    }

    #[test]
    fn the_queue_is_short_and_whoever_leaves_makes_room() {
        let guesses = Guesses::default();
        let mut places: Vec<_> = (0..LOGINS).map(|_| guesses.queue().unwrap()).collect();
        assert_eq!(guesses.queue().unwrap_err(), NotNow::Queue);
        places.pop();
        assert!(guesses.queue().is_ok());
    }

    #[test]
    fn names_of_nobody_are_told_once_a_minute_and_counted_between() {
        let guesses = Guesses::default();
        let start = Instant::now();
        assert_eq!(guesses.of_nobody(start), Some(1));
        assert_eq!(guesses.of_nobody(start), None);
        assert_eq!(guesses.of_nobody(start + MINUTE), Some(2));
    }
}

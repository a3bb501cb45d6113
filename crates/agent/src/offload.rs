//! Offloading: take stock of the cards that are in, offer, send, check the receipt, delete, report; until done, or for ever.

mod deleting;
mod desired;
mod health;
mod look;
mod round;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use longshore_model::{Clock, ReceiptError, RecordingId};
use tokio::time::Instant;

use crate::backoff::{Backoff, Pace, Patience};
use crate::client::{CallError, Client};
use crate::deletions::{Intent, Journal};
use crate::device_clock::DeviceClock;
use crate::hash_cache::HashCache;
use crate::progress::Observer;
use crate::receipt::Checker;
use crate::rest::Rests;
use crate::retry::{Retry, Stop};
use crate::scan::{Classifier, DEFAULT_EVENTS, PatternError};
use crate::source::MountId;
use crate::state::{Identity, State, StateError};
use crate::stock::Stocktaker;
use crate::tls::{self, TlsError};
use crate::unreadable::Unreadable;
use crate::watch::Watch;
use crate::worklist::Worklist;
use desired::Desires;
use health::Health;

/// How long the files of one card are read in one look. A full card takes an hour to read, and what is known of it is
/// to be on its way long before.
const SLICE: Duration = Duration::from_secs(60);

/// What to offload, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the recordings are.
    pub watch: Watch,
    /// End when everything that can be sent now is sent; else go on for ever.
    pub once: bool,
    /// Delete nothing.
    pub keep: bool,
    /// What counts as an event; empty: [`DEFAULT_EVENTS`].
    pub events: Vec<String>,
}

/// What a run did, and what it leaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Recordings on the card when stock was taken last.
    pub found: usize,
    /// How many of them are events.
    pub events: usize,
    /// Sent in this run.
    pub sent: usize,
    /// The server had them before.
    pub already_there: usize,
    /// Deleted in this run.
    pub deleted: usize,
    /// Neither events nor requested; they stay.
    pub not_requested: usize,
    /// A person has to look.
    pub failed: usize,
    /// Folders and names that could not be looked at.
    pub skipped: usize,
    /// Deleted, in this run or an earlier one, and the server has not taken the report yet.
    pub unreported: usize,
}

impl Summary {
    /// Whether nothing is left that the same command would do later. An unreported deletion is safe, but whoever acts on
    /// the exit status has to run the command again.
    pub fn is_done(&self) -> bool {
        self.failed == 0 && self.unreported == 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "found {} ({} events): sent {}, already there {}, deleted {}, waiting not requested {}, failed {}",
            self.found, self.events, self.sent, self.already_there, self.deleted, self.not_requested, self.failed
        )?;
        for (n, what) in [(self.skipped, "not readable"), (self.unreported, "deleted and not reported")] {
            if n > 0 {
                write!(f, ", {what} {n}")?;
            }
        }
        Ok(())
    }
}

/// Why an offload could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum OffloadError {
    /// There is no server to send to.
    #[error("this device is not enrolled yet; run: longshore-agent enrol --url TEXT --state {0}")]
    NotEnrolled(String),
    /// The folder cannot be read.
    #[error("{folder} cannot be read: {error}; is the card in, and may this user read it?")]
    Folder {
        /// Which folder.
        folder: String,
        /// Why.
        error: io::Error,
    },
    /// The state folder cannot be written.
    #[error("{path}: {error}; the state folder must be writable by this user")]
    StateIo {
        /// Which part of it.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// The enrolment is of no use.
    #[error("the server's receipt keys in the state folder cannot be used ({0}); remove the folder and enrol again")]
    ReceiptKeys(#[from] ReceiptError),
    /// An event pattern is of no use.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The own key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server's addresses cannot be used.
    #[error(transparent)]
    Client(#[from] CallError),
    /// Stopped before everything was done.
    #[error(transparent)]
    Stopped(#[from] Stop),
    /// The mount points cannot be watched.
    #[error("the mount points cannot be watched: {0}; is /proc there?")]
    Mounts(io::Error),
    /// The card was pulled out in the middle of a run that is to end.
    #[error(
        "{what}; {left} recordings on the card that was in are not done with; put it in again and run the same command"
    )]
    Gone {
        /// What became of it.
        what: String,
        /// How many recordings were left.
        left: usize,
    },
    /// A thread that reads the card ended badly.
    #[error("reading the card failed: {0}")]
    Reader(#[from] tokio::task::JoinError),
}

/// An agent at work.
pub struct Offload {
    options: Options,
    classifier: Arc<Classifier>,
    identity: Identity,
    client: Arc<Client>,
    checker: Checker,
    cache: Arc<Mutex<HashCache>>,
    journal: Journal,
    clock: DeviceClock,
    pace: Pace,
    retry: Retry,
    observer: Arc<dyn Observer>,
    list: Worklist,
    /// What the server wants besides.
    desires: Desires,
    health: Health,
    /// Deletions that the server does not know of yet.
    unreported: Vec<Intent>,
    /// Before this time it is not told of them.
    next_report: Instant,
    report_waits: Backoff,
    /// The first failed report since the last that the server took.
    reports_fail_since: Option<Instant>,
    /// Deletions that the server does not record; they are reported again at the next start.
    refused: BTreeSet<RecordingId>,
    /// How the files looked the last time.
    rests: Arc<Mutex<Rests>>,
    /// What could not be read, and when to try it again.
    unreadable: Arc<Mutex<Unreadable>>,
    /// What was to be looked through the last time.
    roots: Vec<PathBuf>,
    /// What of it could be looked through, and what sat there.
    here: BTreeMap<PathBuf, MountId>,
    /// When to take stock next; `None`: not again.
    next_look: Option<Instant>,
    /// Whether a person was told that recordings wait for uploads that were begun.
    told_unfinished: bool,
    /// What was complained of last, so that it is not said at every look.
    complaints: BTreeSet<String>,
    summary: Summary,
    growing: usize,
    /// Files that could not be read at the last look.
    not_read: usize,
    /// Whether the last look ended before it had read everything.
    unread: bool,
    /// Keeps the state folder locked.
    _state: State,
}

impl Offload {
    /// Prepares to offload; nothing is sent yet.
    ///
    /// # Errors
    /// [`OffloadError`] if the device is not enrolled, or a pattern or the state cannot be used.
    pub fn new(
        options: Options,
        state: State,
        clock: Arc<dyn Clock>,
        pace: Pace,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, OffloadError> {
        let not_enrolled = || OffloadError::NotEnrolled(state.folder().display().to_string());
        let identity = state.identity()?.ok_or_else(not_enrolled)?;
        let classifier = match options.events.as_slice() {
            [] => Classifier::new(&DEFAULT_EVENTS)?,
            given => Classifier::new(given)?,
        };
        let state_io = |path: PathBuf| move |error| OffloadError::StateIo { path: path.display().to_string(), error };
        let cache = HashCache::open(&state.hash_cache()).map_err(state_io(state.hash_cache()))?;
        let journal = Journal::open(state.deletions()).map_err(state_io(state.deletions()))?;
        let tls = tls::client_config(&state.key()?, state.certificate()?, identity.pins())?;
        let servers = identity.server.urls.iter().filter_map(|url| url.parse().ok()).collect();
        let give_up = options.once.then_some(pace.give_up);
        Ok(Self {
            classifier: Arc::new(classifier),
            checker: Checker::new(&identity)?,
            client: Arc::new(Client::new(tls, servers)?),
            cache: Arc::new(Mutex::new(cache)),
            clock: DeviceClock::new(clock),
            retry: Retry::new(Patience::new(&pace, give_up), observer.clone()),
            list: Worklist::new(&pace),
            desires: Desires::new(&pace),
            health: Health::new(&pace),
            unreported: Vec::new(),
            next_report: Instant::now(),
            report_waits: Backoff::new(pace.first, pace.longest),
            reports_fail_since: None,
            refused: BTreeSet::new(),
            rests: Arc::default(),
            unreadable: Arc::default(),
            roots: Vec::new(),
            here: BTreeMap::new(),
            next_look: Some(Instant::now()),
            told_unfinished: false,
            complaints: BTreeSet::new(),
            summary: Summary::default(),
            growing: 0,
            not_read: 0,
            unread: false,
            _state: state,
            options,
            identity,
            journal,
            pace,
            observer,
        })
    }

    /// Works until everything that can be sent now is sent (`once`), or for ever. It may be dropped at any moment:
    /// what was begun is continued at the next start. The summary is also said to the observer, however the run ends.
    ///
    /// # Errors
    /// [`OffloadError`]; a recording that failed is none, but is counted in the summary.
    pub async fn run(mut self) -> Result<Summary, OffloadError> {
        let result = self.work().await;
        let (not_requested, failed) = self.list.count();
        self.summary.not_requested = not_requested;
        self.summary.failed = failed + self.not_read + self.refused.len();
        self.summary.unreported = self.unreported.len();
        if self.summary.unreported > 0 {
            let n = self.summary.unreported;
            self.observer.warn(&format!("{n} deletions are not reported yet; the next run reports them"));
        }
        self.observer.say(&self.summary.to_string());
        result.map(|()| self.summary)
    }

    async fn work(&mut self) -> Result<(), OffloadError> {
        loop {
            if self.next_look.is_some_and(|at| at <= Instant::now()) {
                self.look().await?;
                self.release().await?;
            }
            self.report().await?;
            self.heed().await;
            self.tell_health().await;
            let now = Instant::now();
            match self.list.next_due() {
                Some(at) if at <= now => self.round().await?,
                due => match due.into_iter().chain(self.next_look).chain(self.report_due()).min() {
                    Some(moment) => {
                        let reason = self.what_waits();
                        tokio::select! {
                            waited = self.retry.until(moment, &reason) => waited?,
                            changed = self.options.watch.changed(&self.roots) => {
                                changed.map_err(OffloadError::Mounts)?;
                                self.next_look = Some(Instant::now());
                            }
                            found = self.desires.changed(&self.client, self.options.once) => self.take_desired(found),
                        }
                    }
                    None => return Ok(()),
                },
            }
        }
    }

    /// Runs `work`, which reads files, beside the async threads; it ends early when nobody waits any more.
    async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Stocktaker<'_>) -> T + Send + 'static,
    ) -> Result<T, OffloadError> {
        struct StopOnDrop(Arc<AtomicBool>);
        impl Drop for StopOnDrop {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let guard = StopOnDrop(Arc::new(AtomicBool::new(false)));
        let stop = guard.0.clone();
        let (serial, cache, observer) = (self.identity.serial.clone(), self.cache.clone(), self.observer.clone());
        let (rests, unreadable) = (self.rests.clone(), self.unreadable.clone());
        let (rest, wall) = (self.pace.rest, self.clock.now());
        let task = move || {
            let taker = Stocktaker {
                serial: &serial,
                cache: &cache,
                rests: &rests,
                unreadable: &unreadable,
                rest,
                slice: SLICE,
                wall,
                observer: &*observer,
                stop: &stop,
            };
            work(&taker)
        };
        Ok(tokio::task::spawn_blocking(task).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_reads_as_one_line() {
        let summary = Summary {
            found: 5,
            events: 3,
            sent: 2,
            already_there: 1,
            deleted: 3,
            not_requested: 2,
            ..Summary::default()
        };
        assert_eq!(
            summary.to_string(),
            "found 5 (3 events): sent 2, already there 1, deleted 3, waiting not requested 2, failed 0"
        );
        assert!(summary.is_done());
        let summary = Summary { unreported: 3, ..summary };
        assert!(summary.to_string().ends_with("failed 0, deleted and not reported 3") && !summary.is_done());
        assert!(!Summary { failed: 1, ..Summary::default() }.is_done());
    }
}

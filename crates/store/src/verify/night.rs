//! The look that a server takes at its store each night: at the whole journal, at every name, and at the content of a share
//! of the recordings. It can be stopped between any two reads, and goes on behind the last recording that it looked at.

use std::fs;
use std::io;
use std::path::Path;

use chrono::{DateTime, NaiveDate, Utc};
use longshore_model::Clock;

use super::checkpoints::{Chained, Known};
use super::report::{Looked, Problem, ProblemKind, Reconciliation, Turned, Unended};
use super::share::{Odds, Share};
use super::storage::{RESTORE, Seen};
use super::{Expected, Storage};
use crate::facts::{CustodyFact, Fact, StoredId};
use crate::index::{Index, IndexError};
use crate::journal::{self, JournalError};
use crate::layout::MANIFEST_SUFFIX;
use crate::manifest::Manifest;
use crate::shelf::Paths;

/// Rows of the index that are in memory at once.
const ROWS: usize = 256;

/// Whether the look goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// It does.
    On,
    /// The server stops, or the storage is gone.
    Stop,
}

/// What the look needs of whoever runs it.
pub struct Hooks<'a> {
    /// Asked before each recording and after each piece of a video, with its bytes; may let the disk rest.
    pub pace: &'a dyn Fn(u64) -> Pace,
    /// Whether the storage is there and the right one: what is missing counts only then.
    pub is_there: &'a dyn Fn() -> bool,
    /// Dates the report.
    pub clock: &'a dyn Clock,
}

/// One night's look.
pub struct Night<'a> {
    /// The catalogue.
    pub index: &'a Index,
    /// The storage; `quick` says nothing here.
    pub storage: Storage<'a>,
    /// Which contents are read.
    pub share: Share,
    /// The day for which it is.
    pub day: NaiveDate,
}

/// How it ended.
#[derive(Debug)]
pub enum Ended {
    /// With a report.
    Done(Box<Reconciliation>, Turned),
    /// In its middle; `None`: before the first recording.
    Stopped(Option<(Box<Unended>, Turned)>),
    /// The storage was not there; nothing of what was seen counts.
    Gone,
}

/// Why the look came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum NightError {
    /// The journal cannot be read at all.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The index gives no answer.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// What the journal says.
struct Followed {
    /// Facts that it holds.
    facts: u64,
    /// How many of them the index had before it was read: what came behind them may not be among the recordings that are
    /// looked at.
    indexed: u64,
    problems: Vec<Problem>,
}

/// What is known before the recordings are looked at.
struct Plan {
    odds: Odds,
    known: Paths,
}

impl Night<'_> {
    /// Looks, on behind what `unended` of the same day says.
    ///
    /// # Errors
    /// [`NightError`]; a damaged journal is a problem that the report names.
    pub fn look(&self, unended: Option<Unended>, hooks: &Hooks<'_>) -> Result<Ended, NightError> {
        let now = hooks.clock.now();
        let unended = unended.filter(|unended| unended.day == self.day);
        let (began, mut after, mut looked) = match unended {
            Some(Unended { began, after, looked, .. }) => (began, Some(after), looked),
            None => (now, None, Looked::default()),
        };
        let mut turned = Turned::default();
        let stopped = |after: Option<StoredId>, looked: Looked, turned: Turned| {
            let unended = after.map(|after| Unended { day: self.day, began, after, looked });
            Ok(Ended::Stopped(unended.map(|unended| (Box::new(unended), turned))))
        };
        let Some(journal) = self.follow_the_journal(hooks)? else { return stopped(after, looked, turned) };
        let Some(mut plan) = self.plan(hooks)? else { return stopped(after, looked, turned) };
        loop {
            let rows = self.index.stored_after(after, ROWS)?;
            if rows.is_empty() {
                break;
            }
            for (id, text) in rows {
                if (hooks.pace)(0) == Pace::Stop {
                    return stopped(after, looked, turned);
                }
                let Ok(expected) = Expected::of(&text) else {
                    looked.expected += 1;
                    looked.note([unreadable_row(id)]);
                    after = Some(id);
                    continue;
                };
                // It may have come after the plan was made.
                plan.known.insert(&expected.path);
                let mut problems = Vec::new();
                // What was wrong stays a problem until it is seen to be right.
                let again = self.index.is_damaged(id)?;
                let seen = self.look_at(&expected, again, &plan, &mut looked, &mut problems, hooks);
                if !problems.is_empty() && !(hooks.is_there)() {
                    return Ok(Ended::Gone);
                }
                match seen {
                    Seen::Stopped => return stopped(after, looked, turned),
                    Seen::Verified => {
                        if again {
                            turned.sound.push(id);
                        }
                        looked.present += 1;
                        looked.read += 1;
                    }
                    Seen::Unverified => looked.present += 1,
                    Seen::Wrong if again => {}
                    Seen::Wrong => turned.damaged.push(id),
                }
                looked.expected += 1;
                looked.note(problems);
                after = Some(id);
            }
        }
        let mut of_the_rest = Vec::new();
        let pace = || (hooks.pace)(0);
        let rest = self.storage.look_at_the_rest(&plan.known, journal.indexed, &pace, &mut of_the_rest)?;
        let Some(foreign) = rest else { return stopped(after, looked, turned) };
        if !(hooks.is_there)() {
            return Ok(Ended::Gone);
        }
        looked.note(of_the_rest);
        looked.note_first(journal.problems);
        let report = self.report(began, hooks.clock.now(), journal.facts, looked, &foreign)?;
        Ok(Ended::Done(Box::new(report), turned))
    }

    fn report(
        &self,
        began: DateTime<Utc>,
        ended: DateTime<Utc>,
        facts: u64,
        looked: Looked,
        foreign: &[String],
    ) -> Result<Reconciliation, IndexError> {
        Ok(Reconciliation {
            day: self.day,
            began,
            ended,
            facts,
            declared_not_stored: self.index.declared_not_stored()?,
            looked,
            foreign: foreign.len() as u64,
            foreign_named: Reconciliation::name_foreign(foreign),
        })
    }

    /// The chain, the checkpoints in it, and whether the catalogue has every recording that it tells of; `None` if it was
    /// stopped.
    fn follow_the_journal(&self, hooks: &Hooks<'_>) -> Result<Option<Followed>, JournalError> {
        // What the journal holds beyond this may not have come to the index yet; up to there it has to be all there.
        let known = Known::by(self.index)?;
        let indexed = known.as_ref().map_or(0, |known| known.seq);
        let (mut facts, mut problems, mut chained) = (0, Vec::new(), Chained::new(self.storage.verifier, known));
        let read = journal::read(self.storage.journal, |entry, mark| {
            if (hooks.pace)(0) == Pace::Stop {
                return Err(JournalError::Io(io::ErrorKind::Interrupted.into()));
            }
            facts = entry.seq;
            match &entry.fact {
                Fact::Stored { manifest } if entry.seq <= indexed => {
                    let recording = parse(manifest.as_bytes())?.recording;
                    if self.index.manifest_of(&recording)?.as_deref() != Some(manifest.as_bytes()) {
                        let text = "the journal has this recording and the catalogue has not, or another one: stop \
                                    Longshore and run `longshore catalogue rebuild`";
                        problems.push(Problem::new(ProblemKind::Index, &recording.path, text));
                    }
                }
                Fact::Custody(CustodyFact::Checkpointed { claims, signed }) => {
                    problems.extend(chained.check(entry.seq, claims, signed));
                }
                _ => {}
            }
            chained.follow(&mark);
            Ok(())
        });
        match read {
            Err(JournalError::Io(error)) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
            Err(error @ JournalError::Damaged { .. }) => problems.push(Problem::journal(&error)),
            Err(error) => return Err(error),
            Ok(()) => problems.extend(chained.end()),
        }
        Ok(Some(Followed { facts, indexed, problems }))
    }

    /// `None` if it was stopped.
    fn plan(&self, hooks: &Hooks<'_>) -> Result<Option<Plan>, IndexError> {
        let (mut due_bytes, mut known, mut after) = (0_u64, Paths::default(), None);
        loop {
            let rows = self.index.stored_after(after, ROWS)?;
            if (hooks.pace)(0) == Pace::Stop {
                return Ok(None);
            }
            if rows.is_empty() {
                return Ok(Some(Plan { odds: self.share.odds(due_bytes), known }));
            }
            for (id, text) in rows {
                after = Some(id);
                // Told when its turn comes.
                let Ok(expected) = Expected::of(&text) else { continue };
                known.insert(&expected.path);
                if self.share.is_due(expected.upload, self.day) {
                    due_bytes = due_bytes.saturating_add(expected.size);
                }
            }
        }
    }

    fn look_at(
        &self,
        expected: &Expected,
        again: bool,
        plan: &Plan,
        looked: &mut Looked,
        problems: &mut Vec<Problem>,
        hooks: &Hooks<'_>,
    ) -> Seen {
        let due = again || self.share.is_due(expected.upload, self.day);
        let fits =
            again || looked.read_bytes == 0 || looked.read_bytes.saturating_add(expected.size) <= self.share.budget;
        if !due || !fits || !(again || plan.odds.favour(expected.upload, self.day)) {
            let seen = look_at_names(self.storage.folder, expected, problems);
            looked.unverified += u64::from(due && seen == Seen::Unverified);
            return seen;
        }
        let manifest_is_right = self.storage.look_at_manifest(expected, problems);
        let mut bytes = 0;
        let seen = self.storage.look_at_video(expected, problems, &mut |read| {
            bytes += read;
            match (hooks.pace)(read) {
                Pace::On => Ok(()),
                Pace::Stop => Err(io::ErrorKind::Interrupted.into()),
            }
        });
        // One that is read again from its begin is not counted twice.
        if seen != Seen::Stopped {
            looked.read_bytes += bytes;
        }
        if manifest_is_right || seen == Seen::Stopped { seen } else { Seen::Wrong }
    }
}

/// Whether video and manifest are there, as long as they should be.
fn look_at_names(folder: &Path, expected: &Expected, problems: &mut Vec<Problem>) -> Seen {
    use ProblemKind::{AlteredManifest, AlteredVideo, MissingManifest, MissingVideo};
    let manifest = format!("{}{MANIFEST_SUFFIX}", expected.path);
    let files = [
        ("video", expected.path.as_str(), expected.size, MissingVideo, AlteredVideo),
        ("manifest", manifest.as_str(), expected.manifest_bytes, MissingManifest, AlteredManifest),
    ];
    let before = problems.len();
    for (what, path, size, missing, altered) in files {
        let (kind, text) = match fs::symlink_metadata(folder.join(path)) {
            Ok(there) if there.is_file() && there.len() == size => continue,
            Ok(there) if there.is_file() => {
                (altered, format!("the {what} has {} bytes instead of {size}: {RESTORE}", there.len()))
            }
            Ok(_) => (altered, format!("the {what} is no file any more: {RESTORE}")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (missing, format!("the {what} is missing: {RESTORE}"))
            }
            Err(error) => (ProblemKind::Unreadable, super::storage::unreadable(what, &error)),
        };
        problems.push(Problem::new(kind, path, text));
    }
    if problems.len() == before { Seen::Unverified } else { Seen::Wrong }
}

fn unreadable_row(StoredId { device, rid, .. }: StoredId) -> Problem {
    let path = format!("recording {rid} of device {device}");
    let text = "its row of the index cannot be read: stop Longshore and run `longshore catalogue rebuild`";
    Problem::new(ProblemKind::Index, &path, text)
}

fn parse(text: &[u8]) -> Result<Manifest, IndexError> {
    Manifest::parse(text).map_err(|error| IndexError::Damaged(error.to_string()))
}

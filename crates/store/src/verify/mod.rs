//! Is everything there that was acknowledged, and as it was? Reads the journal, the index and the storage, and changes
//! nothing; a server may be at work meanwhile.
//!
//! `night` is the same look as a server takes it each night beside its work: at all names, and at a share of the contents.
//!
//! Two steps, since the second takes hours and the first needs the index for itself: [`Catalogued::read`], then
//! [`Catalogued::compare`].

mod checkpoints;
mod night;
mod report;
mod share;
mod storage;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use longshore_model::{ReceiptVerifier, Recording, Sha256, UploadId};

use checkpoints::Chained;
pub use checkpoints::{Compared, Given, Known, checkpoints_in, compare_checkpoints};
pub use night::{Ended, Hooks, Night, NightError, Pace};
pub use report::{
    IndexIs, Looked, OnTheirWay, Problem, ProblemKind, Reconciled, Reconciliation, Report, Turned, Unended,
};
pub use share::Share;

use crate::facts::{CustodyFact, Fact};
use crate::files::Files;
use crate::index::{Applying, Index, IndexError, IndexPlace};
use crate::journal::{self, JournalError, Mark};
use crate::manifest::Manifest;

/// A server that has not come to the end of a look for so long has something in its way: they come once a day, and half a day is
/// enough for one.
pub const OVERDUE: TimeDelta = TimeDelta::hours(36);

/// What happens, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// One more fact was read from the journal.
    Fact,
    /// So much will be looked at; without the content, no bytes.
    Expect {
        /// Recordings.
        recordings: u64,
        /// Bytes of video.
        bytes: u64,
    },
    /// So many bytes of video were read.
    Read(u64),
    /// One recording was looked at.
    Recording,
}

/// A recording as the journal, or the index, has it.
struct Expected {
    upload: UploadId,
    path: String,
    size: u64,
    sha256: Sha256,
    manifest: Sha256,
    manifest_bytes: u64,
}

/// What the journal says.
pub struct Catalogued {
    recordings: Vec<Expected>,
    facts: u64,
    declared_not_stored: u64,
    index: IndexIs,
    problems: Vec<Problem>,
    /// Paths of recordings that the answer of the running server has and the journal did not have when it was read.
    only_answered: HashSet<String>,
}

/// The storage, and how to look at it.
pub struct Storage<'a> {
    /// Its folder.
    pub folder: &'a Path,
    /// The data folder, where the journal goes on meanwhile.
    pub journal: &'a dyn Files,
    /// Knows this server's receipts.
    pub verifier: &'a ReceiptVerifier,
    /// Look at names and sizes only.
    pub quick: bool,
}

impl Catalogued {
    /// Reads the whole journal in `files`, checks its chain, and compares the index at `live` with one that is made in
    /// the folder `scratch`, which has to be empty. Without `live` there is nothing to compare: a server holds it, and may have
    /// said what it knew before this began.
    ///
    /// # Errors
    /// [`JournalError`] if the journal or `scratch` cannot be used; what is damaged is told by [`Self::compare`].
    pub fn read(
        files: &dyn Files,
        scratch: PathBuf,
        live: Option<&IndexPlace>,
        known: Option<Known>,
        verifier: &ReceiptVerifier,
        watch: &mut dyn FnMut(Step),
    ) -> Result<Self, JournalError> {
        let cache_bytes = live.map_or(crate::index::DEFAULT_CACHE_BYTES, |place| place.cache_bytes);
        let index = Index::create(&IndexPlace { folder: scratch, cache_bytes })?;
        let mut comparison = Comparison::with(live)?;
        let (mut recordings, mut problems, mut chained) = (Vec::new(), Vec::new(), Chained::new(verifier, known));
        let mut applying = Applying::to(&index);
        let read = journal::read(files, |entry, mark| {
            watch(Step::Fact);
            if let Fact::Stored { manifest } = &entry.fact {
                recordings.push(Expected::of(manifest.as_bytes())?);
            }
            if let Fact::Custody(CustodyFact::Checkpointed { claims, signed }) = &entry.fact {
                problems.extend(chained.check(entry.seq, claims, signed));
            }
            chained.follow(&mark);
            let here = comparison.awaits(&mark);
            applying.take(entry, mark)?;
            if here {
                applying.finish()?;
                comparison.make(&index)?;
            }
            Ok(())
        });
        let facts = applying.finish()?;
        let whole = match read {
            Ok(()) => {
                problems.extend(chained.end());
                true
            }
            Err(error @ JournalError::Damaged { .. }) => {
                problems.push(Problem::journal(&error));
                false
            }
            Err(error) => return Err(error),
        };
        let index_is = comparison.end(facts, whole)?;
        problems.extend(Problem::index(&index_is));
        let declared_not_stored = index.declared_not_stored()?;
        Ok(Self { recordings, facts, declared_not_stored, index: index_is, problems, only_answered: HashSet::new() })
    }

    /// Recordings that the journal has and the answer of a running server, which was asked afterwards, has not.
    pub fn lacking_in(&self, answer: &[Recording]) -> u64 {
        let answered: HashSet<(UploadId, &str, Sha256)> =
            answer.iter().map(|recording| (recording.upload, recording.path.as_str(), recording.sha256)).collect();
        let lacking = self
            .recordings
            .iter()
            .filter(|expected| !answered.contains(&(expected.upload, expected.path.as_str(), expected.sha256)));
        lacking.count() as u64
    }

    /// Notes the running server's last answer, and how many recordings it lacked.
    pub fn answered(&mut self, answer: &[Recording], lacking: u64) {
        let known: HashSet<&str> = self.recordings.iter().map(|expected| expected.path.as_str()).collect();
        let beyond = answer.iter().map(|recording| &recording.path).filter(|path| !known.contains(path.as_str()));
        self.only_answered = beyond.cloned().collect();
        self.index = match lacking {
            0 => IndexIs::AnswersAll,
            rows => IndexIs::Different { rows },
        };
        self.problems.extend(Problem::index(&self.index));
    }

    /// Looks at every recording in the storage, and at what else is there.
    ///
    /// # Errors
    /// [`JournalError`] if the journal, which is read again for what came meanwhile, cannot be.
    pub fn compare(self, storage: &Storage<'_>, watch: &mut dyn FnMut(Step)) -> Result<Report, JournalError> {
        storage.look(self, watch)
    }
}

impl Expected {
    fn of(text: &[u8]) -> Result<Self, IndexError> {
        let manifest = Manifest::parse(text).map_err(|error| IndexError::Damaged(error.to_string()))?;
        let Recording { upload, path, size, sha256, .. } = manifest.recording;
        let (manifest, manifest_bytes) = (Sha256::of(text), text.len() as u64);
        Ok(Self { upload, path, size, sha256, manifest, manifest_bytes })
    }
}

/// The live index, until the journal comes to where it is.
enum Comparison {
    NotAsked,
    NoIndex,
    Awaits(Box<Index>, Mark),
    Made(u64),
}

impl Comparison {
    fn with(live: Option<&IndexPlace>) -> Result<Self, IndexError> {
        let Some(place) = live else { return Ok(Self::NotAsked) };
        Ok(Index::open(place)?.map_or(Self::NoIndex, |(index, mark)| Self::Awaits(Box::new(index), mark)))
    }

    fn awaits(&self, mark: &Mark) -> bool {
        matches!(self, Self::Awaits(_, awaited) if awaited == mark)
    }

    fn make(&mut self, made: &Index) -> Result<(), IndexError> {
        if let Self::Awaits(live, _) = self {
            let rows = live.differences(made)?;
            live.close()?;
            *self = Self::Made(rows);
        }
        Ok(())
    }

    fn end(self, facts: u64, whole: bool) -> Result<IndexIs, IndexError> {
        Ok(match self {
            Self::NotAsked => IndexIs::NotCompared,
            // A journal without facts needs none.
            Self::NoIndex if facts == 0 => IndexIs::Same,
            Self::NoIndex => IndexIs::Missing,
            Self::Awaits(live, _) => {
                live.close()?;
                if whole { IndexIs::OfAnotherJournal } else { IndexIs::NotCompared }
            }
            Self::Made(0) => IndexIs::Same,
            Self::Made(rows) => IndexIs::Different { rows },
        })
    }
}

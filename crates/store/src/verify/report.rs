use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::facts::{CustodyFact, StoredId};
use crate::journal::JournalError;

/// Problems that a nightly report names; it counts all. A row of the index has to stay small.
const PROBLEMS_NAMED: usize = 50;
/// Recordings in one line of the journal: with their ids it has about 100 KiB.
const TURNED_IN_A_LINE: usize = 1000;
/// Foreign files that it names.
const FOREIGN_NAMED: usize = 20;
/// Characters of a foreign path that it tells.
const FOREIGN_CHARS: usize = 300;

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Recordings that the journal has.
    pub expected: u64,
    /// Those of them whose video and manifest are there and, as far as they were read, as they were.
    pub present: u64,
    /// Those of the present ones whose video was not read.
    pub unverified: u64,
    /// Facts in the journal.
    pub facts: u64,
    /// What devices declared and the store does not hold: they hold it still.
    pub declared_not_stored: u64,
    /// Uploads that are not complete.
    pub on_their_way: OnTheirWay,
    /// How the index stands to the journal.
    pub index: IndexIs,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Paths of files that are not Longshore's.
    pub foreign: Vec<String>,
}

/// Uploads in `.incoming/`.
#[derive(Debug, Default, Serialize)]
pub struct OnTheirWay {
    /// How many.
    pub uploads: u64,
    /// Bytes of them that arrived.
    pub bytes: u64,
}

/// How the index stands to the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum IndexIs {
    /// Its rows are those that the journal gives.
    Same,
    /// The running server knows all recordings of the journal; its rows were not looked at.
    AnswersAll,
    /// It was not looked at.
    NotCompared,
    /// There is none that can be trusted; the next start makes it.
    Missing,
    /// It goes on to a place that the journal does not hold.
    OfAnotherJournal,
    /// Rows differ.
    Different {
        /// How many.
        rows: u64,
    },
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// In a word, for programs.
    pub kind: ProblemKind,
    /// Below the storage folder, or below the data folder for the journal and the index.
    pub path: String,
    /// In a sentence, with what to do.
    pub text: String,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The video is not there.
    MissingVideo,
    /// The manifest is not there.
    MissingManifest,
    /// The video has other bytes.
    AlteredVideo,
    /// The manifest has other bytes.
    AlteredManifest,
    /// It is there and cannot be read.
    Unreadable,
    /// A manifest that the journal lacks.
    UnknownManifest,
    /// A video that the journal lacks, without a manifest.
    UnknownVideo,
    /// The journal's chain is broken.
    Journal,
    /// The index differs from the journal.
    Index,
}

/// What the server found when it looked at its store by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reconciliation {
    /// The day for which it was, in the server's time zone.
    pub day: NaiveDate,
    /// When it began.
    pub began: DateTime<Utc>,
    /// When it was done.
    pub ended: DateTime<Utc>,
    /// Facts in the journal, whose chain was followed.
    pub facts: u64,
    /// What devices declared and the store does not hold: they hold it still.
    pub declared_not_stored: u64,
    /// What was seen of the recordings.
    #[serde(flatten)]
    pub looked: Looked,
    /// Files that are not Longshore's.
    pub foreign: u64,
    /// The first paths of them.
    pub foreign_named: Vec<String>,
}

/// A [`Reconciliation`] with its place in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reconciled {
    /// The line that tells of it.
    pub seq: u64,
    /// What was found.
    #[serde(flatten)]
    pub reconciliation: Reconciliation,
}

/// What was seen of the recordings in the catalogue, so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Looked {
    /// Recordings that the catalogue has.
    pub expected: u64,
    /// Those of them whose video and manifest are there and, as far as they were read, as they were.
    pub present: u64,
    /// Those of the present ones that were to be read tonight, and for which the budget did not suffice.
    pub unverified: u64,
    /// Those that were read, to the last byte, and are as they were.
    pub read: u64,
    /// Bytes of video that were read.
    pub read_bytes: u64,
    /// How many things are wrong.
    pub problems: u64,
    /// The first of them.
    pub problems_named: Vec<Problem>,
}

/// A [`Reconciliation`] that was stopped, and how far it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unended {
    /// As in the whole one.
    pub day: NaiveDate,
    /// Likewise.
    pub began: DateTime<Utc>,
    /// The last recording that was looked at.
    pub after: StoredId,
    /// What was seen.
    pub looked: Looked,
}

/// What a look found out about recordings, where that is not what looks before had found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turned {
    /// They are not as they were.
    pub damaged: Vec<StoredId>,
    /// They were damaged, and are right.
    pub sound: Vec<StoredId>,
}

impl Turned {
    /// What the journal is to say of it, in lines that stay small.
    pub fn into_facts(self) -> impl Iterator<Item = CustodyFact> {
        let Self { damaged, sound } = self;
        let lines = |ids: Vec<StoredId>| ids.chunks(TURNED_IN_A_LINE).map(<[_]>::to_vec).collect::<Vec<_>>();
        let damaged = lines(damaged).into_iter().map(|recordings| CustodyFact::FoundDamaged { recordings });
        damaged.chain(lines(sound).into_iter().map(|recordings| CustodyFact::FoundSound { recordings }))
    }
}

impl Looked {
    /// What concerns everything is named, however much is wrong besides.
    pub(super) fn note_first(&mut self, problems: Vec<Problem>) {
        self.problems += problems.len() as u64;
        self.problems_named.splice(0..0, problems);
        self.problems_named.truncate(PROBLEMS_NAMED);
    }

    pub(super) fn note(&mut self, problems: impl IntoIterator<Item = Problem>) {
        for problem in problems {
            self.problems += 1;
            if self.problems_named.len() < PROBLEMS_NAMED {
                self.problems_named.push(problem);
            }
        }
    }
}

impl Reconciliation {
    /// The first paths of what is not ours.
    pub(super) fn name_foreign(foreign: &[String]) -> Vec<String> {
        let named = foreign.iter().take(FOREIGN_NAMED);
        named.map(|path| path.chars().take(FOREIGN_CHARS).collect()).collect()
    }

    /// The answer in a line: "1,204 expected, 1,204 present, 0 unverified" is what everybody wants to read.
    pub fn is_well(&self) -> bool {
        self.looked.problems == 0 && self.looked.present == self.looked.expected
    }
}

impl Problem {
    pub(super) fn new(kind: ProblemKind, path: &str, text: impl Into<String>) -> Self {
        Self { kind, path: path.to_owned(), text: text.into() }
    }

    pub(super) fn journal(error: &JournalError) -> Self {
        Self::new(ProblemKind::Journal, "journal", format!("{error}; what follows there was not checked"))
    }

    pub(super) fn index(index: &IndexIs) -> Option<Self> {
        let text = match index {
            IndexIs::Different { rows } => format!(
                "{rows} rows of the index are not what the journal says: stop Longshore and run `longshore catalogue \
                 rebuild`"
            ),
            IndexIs::OfAnotherJournal => {
                "the index knows of facts that the journal does not hold: find out whether the \
                 journal was cut or replaced by an older copy; the next start makes the index anew from what is there"
                    .to_owned()
            }
            _ => return None,
        };
        Some(Self::new(ProblemKind::Index, "index", text))
    }
}

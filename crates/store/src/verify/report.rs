use serde::Serialize;

use crate::journal::JournalError;

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
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// In a word, for programs.
    pub kind: ProblemKind,
    /// Below the storage folder, or below the data folder for the journal and the index.
    pub path: String,
    /// In a sentence, with what to do.
    pub text: String,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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

//! The record of truth for all that has no file of its own, and the audit log: JSON lines, each sealed by a hash over
//! itself and the one before.
//!
//! A line is `{"seq":…,"batch":…,"at":…,"prev":"…","kind":…,"body":…,"hash":"…"}`; its content is all before `,"hash"`, and
//! `hash` is the SHA-256 of the 64 digits of `prev`, which is the hash of the line before, and the 64 digits of the SHA-256 of
//! the content. `batch` is the `seq` of the first line that was written and synced in one go.

mod reading;

use std::io;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use reading::{Chain, Found, Line, damaged, find, later_batch, read_segment, seal, segments};
pub use reading::{Sealed, chain_hash, lines, read};

use crate::facts::{Entry, Fact};
use crate::fail_point::sync;
use crate::files::{self, File, Files};
use crate::index::IndexError;

const FOLDER: &str = "journal";
/// A segment is closed when it reaches this many bytes.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk refused.
    #[error("the journal cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// A line that was acknowledged is damaged or missing.
    #[error("the journal is damaged: {segment}, line {line}: {what}; restore the data folder from a backup")]
    Damaged {
        /// File below the data folder.
        segment: String,
        /// Line in it, from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A line whose seal is right and whose content this version does not know.
    #[error("the journal holds a fact that this version of Longshore does not know ({0}); start the newer version")]
    Newer(String),
    /// The disk refused a write, and nothing of it is left; the journal can be used on.
    #[error("the journal cannot be written: {0}")]
    NotWritten(io::Error),
    /// A fact that cannot be written as JSON.
    #[error("a fact cannot be written: {0}")]
    Unwritable(#[from] serde_json::Error),
    /// The place from which it was to be read is not in it: it is another journal, or an older copy.
    #[error("the journal does not hold the place from which it was to be read")]
    NoSuchPlace,
    /// It ends before what the index has known: facts were lost, or an older copy of it was put back.
    #[error(
        "the journal ends with fact {end}, and the index has known fact {known}: facts were lost, or an older copy was \
         restored. Restore the newest copy. To go on with what is there, run `longshore catalogue rebuild --from-manifests`"
    )]
    Shorter {
        /// Number of its last fact.
        end: u64,
        /// Number of the last fact in the index.
        known: u64,
    },
    /// The index, to which the facts were handed, could not take one.
    #[error(transparent)]
    Replay(#[from] IndexError),
}

/// The journal, open for appending.
pub struct Journal {
    files: Arc<dyn Files>,
    segment: Option<Segment>,
    chain: Chain,
}

struct Segment {
    file: Arc<dyn File>,
    len: u64,
}

/// A place in the journal, right behind a line: from there it can be read on, and the hash tells whether it is still
/// the same journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The line's number.
    pub seq: u64,
    /// The line's hash, which holds those of all lines before.
    pub hash: String,
    /// First number in the line's segment, which gives the file its name.
    pub segment: u64,
    /// Byte in it at which the batch of the line begins: a start writes the last batch again, so it has to read it.
    pub batch_at: u64,
}

/// What the start found besides facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// Bytes at the end of the journal that were never acknowledged.
    pub bytes: usize,
    /// Where they were put aside, below the data folder.
    pub aside: String,
}

impl Journal {
    /// Reads all segments, or what follows `from`, hands each entry to `replay` in order with the place behind it, and
    /// cuts off what a power cut left of a batch that was never acknowledged; it is put aside, not thrown away.
    /// What lies before `from` is not looked at; [`read`] checks all of it.
    ///
    /// # Errors
    /// [`JournalError::NoSuchPlace`] before anything is replayed or cut if `from` is not in the journal,
    /// [`JournalError::Damaged`] if anything else does not fit.
    pub fn open(
        files: Arc<dyn Files>,
        from: Option<&Mark>,
        mut replay: impl FnMut(Entry, Mark) -> Result<(), JournalError>,
    ) -> Result<(Self, Option<Torn>), JournalError> {
        files::create_folders(&*files, FOLDER)?;
        let (mut first_text, chain, names) = match from {
            None => (None, Chain::new(), segments(&*files)?),
            Some(mark) => {
                let Found { text, chain, names } = find(&*files, mark)?.ok_or(JournalError::NoSuchPlace)?;
                (Some((text, mark.batch_at)), chain, names)
            }
        };
        let mut not_reached = from;
        let mut replay = |entry: Entry, mark: Mark| match not_reached {
            Some(place) if entry.seq < place.seq => Ok(()),
            Some(place) if mark == *place => {
                not_reached = None;
                Ok(())
            }
            Some(_) => Err(JournalError::NoSuchPlace),
            None => replay(entry, mark),
        };
        let mut journal = Self { files, segment: None, chain };
        let mut torn = None;
        for (index, name) in names.iter().enumerate() {
            let last = index + 1 == names.len();
            let (text, at) = match first_text.take() {
                Some(first) => first,
                None => (read_segment(&*journal.files, name, 0)?, 0),
            };
            let good = journal.chain.read(&text, at, &mut replay)?;
            if index == 0 && from.is_some_and(|place| journal.chain.next_seq <= place.seq) {
                return Err(JournalError::NoSuchPlace);
            }
            if good == text.len() {
                journal.segment = Some(Segment { file: journal.files.open(name)?, len: at + good as u64 });
            } else if !last || later_batch(&text[good..], journal.chain.next_seq) {
                let whole = read_segment(&*journal.files, name, 0)?;
                return Err(damaged(name, &whole[..whole.len().min(usize_of(at) + good)]));
            } else {
                torn = Some(journal.cut(name, at + good as u64, &text[good..])?);
            }
            if last {
                let batch = usize_of(journal.chain.batch_at - at);
                journal.settle(&text[batch..good])?;
            }
        }
        Ok((journal, torn))
    }

    /// What was read may stand in the page cache alone: a kill can fall between a write and its sync, and after a
    /// failed sync the kernel calls pages clean that never reached the medium. So the last batch is written again.
    fn settle(&self, last_batch: &[u8]) -> Result<(), JournalError> {
        let Some(segment) = &self.segment else { return Ok(()) };
        segment.file.write_at(last_batch, self.chain.batch_at)?;
        segment.file.sync()?;
        Ok(self.files.sync_folder(FOLDER)?)
    }

    fn cut(&mut self, name: &str, good: u64, tail: &[u8]) -> Result<Torn, JournalError> {
        let aside = format!("{FOLDER}/torn-before-{:020}", self.chain.next_seq);
        files::replace(&*self.files, &aside, tail)?;
        let file = self.files.open(name)?;
        file.set_len(good)?;
        file.sync()?;
        self.segment = Some(Segment { file, len: good });
        Ok(Torn { bytes: tail.len(), aside })
    }

    /// The place behind the last fact; `None` while there is none.
    pub fn mark(&self) -> Option<Mark> {
        Some(self.chain.mark()).filter(|mark| mark.seq > 0)
    }

    /// Writes `facts` and syncs once; they are durable when this returns. After an error other than
    /// [`JournalError::NotWritten`] nothing more may be written: what a failed sync leaves on the medium is not known
    /// until the next start reads it.
    ///
    /// # Errors
    /// The disk's.
    pub fn append(&mut self, at: DateTime<Utc>, facts: Vec<Fact>) -> Result<Vec<Entry>, JournalError> {
        let batch = self.chain.next_seq;
        let mut prev = self.chain.prev.clone();
        let mut text = String::new();
        let mut entries = Vec::with_capacity(facts.len());
        for (seq, fact) in (batch..).zip(facts) {
            let line = Line { seq, batch, at, prev, fact };
            prev = seal(&line, &mut text)?;
            entries.push(Entry { seq, at, fact: line.fact });
        }
        let segment = match self.segment.take() {
            Some(segment) if segment.len < SEGMENT_BYTES => segment,
            full => match self.files.create(&segment_name(batch)) {
                Ok(file) => Segment { file, len: 0 },
                Err(error) => {
                    self.segment = full;
                    return Err(JournalError::NotWritten(error));
                }
            },
        };
        if let Err(error) = segment.file.write_at(text.as_bytes(), segment.len) {
            // A full disk, most often. If the half that was written can be cut off, nothing has happened; should the
            // power fail before the next sync, the start finds it torn.
            segment.file.set_len(segment.len)?;
            self.segment = Some(segment);
            return Err(JournalError::NotWritten(error));
        }
        sync!("sync-journal", segment.file.sync())?;
        if segment.len == 0 {
            self.files.sync_folder(FOLDER)?;
            self.chain.segment = batch;
        }
        (self.chain.next_seq, self.chain.prev) = (batch + entries.len() as u64, prev);
        self.chain.batch_at = segment.len;
        self.segment = Some(Segment { len: segment.len + text.len() as u64, ..segment });
        Ok(entries)
    }
}

fn segment_name(first: u64) -> String {
    format!("{FOLDER}/{first:020}.jsonl")
}

/// For places within a text that is in memory.
fn usize_of(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;

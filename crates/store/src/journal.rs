//! The record of truth for all that has no file of its own, and the audit log: JSON lines, each sealed by a hash over
//! itself and the one before.
//!
//! A line is `{"seq":…,"batch":…,"at":…,"prev":"…","kind":…,"body":…,"hash":"…"}`; `hash` is the SHA-256 of the line up
//! to (not including) `,"hash"`. `batch` is the `seq` of the first line that was written and synced in one go.

use std::io;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use longshore_model::Sha256;
use serde::{Deserialize, Serialize};

use crate::facts::{Entry, Fact};
use crate::files::{self, File, Files};

const FOLDER: &str = "journal";
/// A segment is closed when it reaches this many bytes.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// What stands between a line's content and its seal.
const SEAL: &str = ",\"hash\":\"";

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
}

/// The journal, open for appending.
pub struct Journal {
    files: Arc<dyn Files>,
    segment: Option<Segment>,
    next_seq: u64,
    prev: String,
}

struct Segment {
    file: Arc<dyn File>,
    len: u64,
}

/// What the start found besides facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// Bytes at the end of the journal that were never acknowledged.
    pub bytes: usize,
    /// Where they were put aside, below the data folder.
    pub aside: String,
}

#[derive(Serialize, Deserialize)]
struct Line {
    seq: u64,
    batch: u64,
    at: DateTime<Utc>,
    prev: String,
    #[serde(flatten)]
    fact: Fact,
}

/// What places a line, whatever fact it holds.
#[derive(Deserialize)]
struct Head {
    seq: u64,
    batch: u64,
    prev: String,
}

impl Journal {
    /// Reads all segments, hands each entry to `replay` in order, and cuts off what a power cut left of a batch that
    /// was never acknowledged; it is put aside, not thrown away.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] if anything else does not fit.
    pub fn open(
        files: Arc<dyn Files>,
        mut replay: impl FnMut(Entry) -> Result<(), JournalError>,
    ) -> Result<(Self, Option<Torn>), JournalError> {
        files::create_folders(&*files, FOLDER)?;
        let mut journal = Self { files, segment: None, next_seq: 1, prev: String::new() };
        let mut torn = None;
        let names: Vec<String> = journal
            .files
            .list(FOLDER)?
            .into_iter()
            .filter(|entry| entry.name.ends_with(".jsonl"))
            .map(|entry| format!("{FOLDER}/{}", entry.name))
            .collect();
        for (index, name) in names.iter().enumerate() {
            let text = files::read_all(&*journal.files, name, u64::MAX)?;
            let (good, last_batch) = journal.read_segment(name, &text, &mut replay)?;
            if good == text.len() {
                let file = journal.files.open(name)?;
                if index + 1 == names.len() {
                    journal.settle(&*file, &text[last_batch..good], last_batch as u64)?;
                }
                journal.segment = Some(Segment { file, len: good as u64 });
                continue;
            }
            if index + 1 < names.len() || later_batch(&text[good..], journal.next_seq) {
                let line = text[..good].iter().filter(|byte| **byte == b'\n').count() + 1;
                let what = "it does not follow from the line before, or its hash is wrong";
                return Err(JournalError::Damaged { segment: name.clone(), line, what });
            }
            torn = Some(journal.cut(name, good, &text[good..])?);
            if let Some(segment) = &journal.segment {
                journal.settle(&*segment.file, &text[last_batch..good], last_batch as u64)?;
            }
        }
        Ok((journal, torn))
    }

    /// What was read may stand in the page cache alone: a kill can fall between a write and its sync, and after a
    /// failed sync the kernel calls pages clean that never reached the medium. So the last batch is written again.
    fn settle(&self, file: &dyn File, last_batch: &[u8], at: u64) -> Result<(), JournalError> {
        file.write_at(last_batch, at)?;
        file.sync()?;
        Ok(self.files.sync_folder(FOLDER)?)
    }

    /// Returns how many bytes are whole lines that follow from each other, and where the last batch of them begins.
    fn read_segment(
        &mut self,
        name: &str,
        text: &[u8],
        replay: &mut impl FnMut(Entry) -> Result<(), JournalError>,
    ) -> Result<(usize, usize), JournalError> {
        let (mut good, mut last_batch) = (0, 0);
        while let Some(end) = text[good..].iter().position(|byte| *byte == b'\n') {
            let Some((content, hash)) = unseal(&text[good..good + end]) else {
                break;
            };
            let Ok(head) = serde_json::from_str::<Head>(&content) else {
                break;
            };
            if head.seq != self.next_seq || head.prev != self.prev {
                break;
            }
            let line = serde_json::from_str(&content).map_err(|error| JournalError::Newer(error.to_string()))?;
            let Line { seq, at, fact, .. } = line;
            replay(Entry { seq, at, fact })?;
            if head.batch == seq {
                last_batch = good;
            }
            self.next_seq += 1;
            self.prev = hash;
            good += end + 1;
        }
        tracing::debug!(segment = name, facts = self.next_seq - 1, "journal segment read");
        Ok((good, last_batch))
    }

    fn cut(&mut self, name: &str, good: usize, tail: &[u8]) -> Result<Torn, JournalError> {
        let aside = format!("{FOLDER}/torn-before-{:020}", self.next_seq);
        files::replace(&*self.files, &aside, tail)?;
        let file = self.files.open(name)?;
        file.set_len(good as u64)?;
        file.sync()?;
        self.segment = Some(Segment { file, len: good as u64 });
        Ok(Torn { bytes: tail.len(), aside })
    }

    /// Writes `facts` and syncs once; they are durable when this returns. After an error other than
    /// [`JournalError::NotWritten`] nothing more may be written: what a failed sync leaves on the medium is not known
    /// until the next start reads it.
    ///
    /// # Errors
    /// The disk's.
    pub fn append(&mut self, at: DateTime<Utc>, facts: Vec<Fact>) -> Result<Vec<Entry>, JournalError> {
        let (batch, before) = (self.next_seq, self.prev.clone());
        let mut text = String::new();
        let mut entries = Vec::with_capacity(facts.len());
        for fact in facts {
            let line = Line { seq: self.next_seq, batch, at, prev: std::mem::take(&mut self.prev), fact };
            self.prev = seal(&line, &mut text)?;
            self.next_seq += 1;
            entries.push(Entry { seq: line.seq, at, fact: line.fact });
        }
        let segment = match self.segment.take() {
            Some(segment) if segment.len < SEGMENT_BYTES => segment,
            full => match self.files.create(&format!("{FOLDER}/{batch:020}.jsonl")) {
                Ok(file) => Segment { file, len: 0 },
                Err(error) => return Err(self.take_back(batch, before, full, error)),
            },
        };
        if let Err(error) = segment.file.write_at(text.as_bytes(), segment.len) {
            // A full disk, most often. If the half that was written can be cut off, nothing has happened; should the
            // power fail before the next sync, the start finds it torn.
            segment.file.set_len(segment.len)?;
            return Err(self.take_back(batch, before, Some(segment), error));
        }
        segment.file.sync()?;
        if segment.len == 0 {
            self.files.sync_folder(FOLDER)?;
        }
        self.segment = Some(Segment { len: segment.len + text.len() as u64, ..segment });
        Ok(entries)
    }
}

impl Journal {
    fn take_back(&mut self, seq: u64, prev: String, segment: Option<Segment>, error: io::Error) -> JournalError {
        (self.next_seq, self.prev, self.segment) = (seq, prev, segment);
        JournalError::NotWritten(error)
    }
}

fn seal(line: &Line, text: &mut String) -> Result<String, JournalError> {
    let json = serde_json::to_string(line)?;
    let content = json.strip_suffix('}').unwrap_or(&json);
    let hash = Sha256::of(content.as_bytes()).to_string();
    for part in [content, SEAL, &hash, "\"}\n"] {
        text.push_str(part);
    }
    Ok(hash)
}

/// The JSON of a line without its seal, and the hash, if they belong together.
fn unseal(line: &[u8]) -> Option<(String, String)> {
    let (content, seal) = std::str::from_utf8(line).ok()?.rsplit_once(SEAL)?;
    let hash = seal.strip_suffix("\"}")?;
    (Sha256::of(content.as_bytes()).to_string() == hash).then(|| (format!("{content}}}"), hash.to_owned()))
}

/// Whether `tail`, which begins with a bad line that should have been number `seq`, holds a line of a batch that began
/// after it: then that bad line had been acknowledged before.
fn later_batch(tail: &[u8], seq: u64) -> bool {
    tail.split(|byte| *byte == b'\n')
        .filter_map(unseal)
        .filter_map(|(content, _)| serde_json::from_str::<Head>(&content).ok())
        .any(|head| head.batch > seq)
}

#[cfg(test)]
mod tests {
    use longshore_model::DeviceId;

    use super::*;
    use crate::files::SimulatedDisk;

    fn fact(n: u8) -> Fact {
        Fact::DeviceActivated { device: DeviceId::from_bytes([n; 16]) }
    }

    fn at() -> DateTime<Utc> {
        "2026-11-21T14:03:22Z".parse().unwrap()
    }

    fn read(disk: &SimulatedDisk) -> Result<(Vec<Fact>, Journal, Option<Torn>), JournalError> {
        let mut facts = Vec::new();
        let (journal, torn) = Journal::open(Arc::new(disk.clone()), |entry| {
            assert_eq!(entry.seq, facts.len() as u64 + 1);
            facts.push(entry.fact);
            Ok(())
        })?;
        Ok((facts, journal, torn))
    }

    fn segment(disk: &SimulatedDisk) -> Arc<dyn File> {
        disk.open("journal/00000000000000000001.jsonl").unwrap()
    }

    #[test]
    fn what_was_appended_is_read_again_and_goes_on() {
        let disk = SimulatedDisk::new();
        let (_, mut journal, _) = read(&disk).unwrap();
        journal.append(at(), vec![fact(1), fact(2)]).unwrap();
        let (facts, mut journal, torn) = read(&disk).unwrap();
        assert_eq!((facts, torn), (vec![fact(1), fact(2)], None));
        journal.append(at(), vec![fact(3)]).unwrap();
        assert_eq!(read(&disk).unwrap().0, [fact(1), fact(2), fact(3)]);
    }

    #[test]
    fn after_a_power_cut_every_acknowledged_fact_is_there_and_the_journal_goes_on() {
        for call in 0..12 {
            for seed in 0..40 {
                let disk = SimulatedDisk::new();
                disk.fail(call, files::Fault::PowerCut);
                let mut acknowledged = Vec::new();
                if let Ok((_, mut journal, _)) = read(&disk) {
                    for batch in [vec![fact(1)], vec![fact(2), fact(3), fact(4)], vec![fact(5)]] {
                        if journal.append(at(), batch.clone()).is_err() {
                            break;
                        }
                        acknowledged.extend(batch);
                    }
                }
                let found = disk.after_power_cut(seed);
                let (facts, mut journal, _) = read(&found).unwrap();
                assert!(facts.starts_with(&acknowledged), "call {call} seed {seed}: {facts:?}");
                journal.append(at(), vec![fact(9)]).unwrap();
                assert_eq!(read(&found).unwrap().0.last(), Some(&fact(9)));
            }
        }
    }

    #[test]
    fn what_a_start_has_read_survives_the_next_power_cut_though_it_was_never_synced() {
        for seed in 0..40 {
            let disk = SimulatedDisk::new();
            let (_, mut journal, _) = read(&disk).unwrap();
            journal.append(at(), vec![fact(1)]).unwrap();
            // The sync of the second batch fails; the server is restarted and reads it from the page cache.
            disk.fail(disk.calls() + 1, files::Fault::Error(io::ErrorKind::Other));
            assert!(journal.append(at(), vec![fact(2), fact(3)]).is_err());
            let (facts, ..) = read(&disk).unwrap();
            assert_eq!(facts, [fact(1), fact(2), fact(3)]);
            assert_eq!(read(&disk.after_power_cut(seed)).unwrap().0, facts, "seed {seed}");
        }
    }

    #[test]
    fn a_full_disk_refuses_facts_and_the_journal_goes_on_when_there_is_room() {
        for call in [0, 1] {
            let disk = SimulatedDisk::new();
            let (_, mut journal, _) = read(&disk).unwrap();
            // The first append makes the segment, then writes; the second only writes.
            disk.fail(disk.calls() + call, files::Fault::Error(io::ErrorKind::StorageFull));
            assert!(matches!(journal.append(at(), vec![fact(1)]), Err(JournalError::NotWritten(_))));
            journal.append(at(), vec![fact(2)]).unwrap();
            disk.fail(disk.calls(), files::Fault::Error(io::ErrorKind::StorageFull));
            assert!(matches!(journal.append(at(), vec![fact(3)]), Err(JournalError::NotWritten(_))));
            journal.append(at(), vec![fact(4)]).unwrap();
            let (facts, _, torn) = read(&disk).unwrap();
            assert_eq!((facts, torn), (vec![fact(2), fact(4)], None));
        }
    }

    #[test]
    fn a_torn_last_batch_is_put_aside() {
        let disk = SimulatedDisk::new();
        let (_, mut journal, _) = read(&disk).unwrap();
        journal.append(at(), vec![fact(1)]).unwrap();
        let whole = segment(&disk).size().unwrap();
        journal.append(at(), vec![fact(2), fact(3)]).unwrap();
        // The first line of the batch is lost, the second is whole: blocks reach a disk in any order.
        segment(&disk).write_at(&[0; 10], whole).unwrap();
        let (facts, _, torn) = read(&disk).unwrap();
        assert_eq!(facts, [fact(1)]);
        assert!(disk.exists(&torn.unwrap().aside).unwrap());
    }

    #[test]
    fn an_altered_line_before_the_last_batch_stops_the_start() {
        let disk = SimulatedDisk::new();
        let (_, mut journal, _) = read(&disk).unwrap();
        journal.append(at(), vec![fact(1)]).unwrap();
        journal.append(at(), vec![fact(2)]).unwrap();
        journal.append(at(), vec![fact(3)]).unwrap();
        segment(&disk).write_at(b"9", 8).unwrap();
        let Err(JournalError::Damaged { line, .. }) = read(&disk) else { panic!("read a damaged journal") };
        assert_eq!(line, 1);
    }
}

//! Lines of the journal: what seals them, and whether each follows from the one before.

use chrono::{DateTime, Utc};
use longshore_model::Sha256;
use serde::{Deserialize, Serialize};

use super::{FOLDER, JournalError, Mark, segment_name};
use crate::facts::{Entry, Fact};
use crate::files::{self, Files};

/// What stands between a line's content and its seal.
const SEAL: &str = ",\"hash\":\"";

#[derive(Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) seq: u64,
    pub(super) batch: u64,
    pub(super) at: DateTime<Utc>,
    pub(super) prev: String,
    #[serde(flatten)]
    pub(super) fact: Fact,
}

/// What places a line, whatever fact it holds.
#[derive(Deserialize)]
struct Head {
    seq: u64,
    batch: u64,
    prev: String,
}

/// Where reading stands: behind a line, with what the next one must follow from.
pub(super) struct Chain {
    pub(super) next_seq: u64,
    pub(super) prev: String,
    /// First `seq` of the segment of the last line.
    pub(super) segment: u64,
    /// Byte in that segment at which the batch of the last line begins.
    pub(super) batch_at: u64,
}

impl Chain {
    pub(super) fn new() -> Self {
        Self { next_seq: 1, prev: String::new(), segment: 1, batch_at: 0 }
    }

    /// The place behind the last line.
    pub(super) fn mark(&self) -> Mark {
        Mark { seq: self.next_seq - 1, hash: self.prev.clone(), segment: self.segment, batch_at: self.batch_at }
    }

    /// Reads `text`, which begins at byte `at` of a segment. Returns how many bytes are whole lines that follow from
    /// each other.
    pub(super) fn read(
        &mut self,
        text: &[u8],
        at: u64,
        replay: &mut impl FnMut(Entry, Mark) -> Result<(), JournalError>,
    ) -> Result<usize, JournalError> {
        let mut good = 0;
        if at == 0 {
            (self.segment, self.batch_at) = (self.next_seq, 0);
        }
        while let Some(end) = text[good..].iter().position(|byte| *byte == b'\n') {
            let Some((content, hash)) = unseal(&text[good..good + end]) else { break };
            let line: Line = match serde_json::from_str(&content) {
                Ok(line) => line,
                Err(error) => match serde_json::from_str::<Head>(&content) {
                    Ok(head) if head.seq == self.next_seq && head.prev == self.prev => {
                        return Err(JournalError::Newer(error.to_string()));
                    }
                    _ => break,
                },
            };
            if line.seq != self.next_seq || line.prev != self.prev {
                break;
            }
            if line.batch == line.seq {
                self.batch_at = at + good as u64;
            }
            self.next_seq += 1;
            self.prev = hash;
            good += end + 1;
            replay(Entry { seq: line.seq, at: line.at, fact: line.fact }, self.mark())?;
        }
        tracing::debug!(segment = self.segment, facts = self.next_seq - 1, "journal segment read");
        Ok(good)
    }

    /// Goes to the beginning of the batch of the line at `mark`, and believes what its first line says it follows from:
    /// whether it leads to `mark` is seen when that is reached.
    pub(super) fn before(mark: &Mark, text: &[u8]) -> Option<Self> {
        let end = text.iter().position(|byte| *byte == b'\n')?;
        let (content, _) = unseal(&text[..end])?;
        let head: Head = serde_json::from_str(&content).ok()?;
        let begins = head.batch == head.seq && head.seq <= mark.seq;
        begins.then_some(Self { next_seq: head.seq, prev: head.prev, segment: mark.segment, batch_at: mark.batch_at })
    }
}

/// Reads the whole journal and checks its chain, changing nothing; a server may be writing it meanwhile. What does not
/// follow at its end is passed over: a batch that is being written now, or that a power cut left.
///
/// # Errors
/// [`JournalError::Damaged`] if anything but the end of the last batch does not fit.
pub fn read(
    files: &dyn Files,
    mut replay: impl FnMut(Entry, Mark) -> Result<(), JournalError>,
) -> Result<(), JournalError> {
    let mut chain = Chain::new();
    let names = segments(files)?;
    for (index, name) in names.iter().enumerate() {
        let text = read_segment(files, name, 0)?;
        let good = chain.read(&text, 0, &mut replay)?;
        let rest = &text[good..];
        if !rest.is_empty() && (index + 1 < names.len() || later_batch(rest, chain.next_seq)) {
            return Err(damaged(name, &text[..good]));
        }
    }
    Ok(())
}

/// The segments, oldest first, as paths.
pub(super) fn segments(files: &dyn Files) -> Result<Vec<String>, JournalError> {
    let entries = match files.list(FOLDER) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        entries => entries?,
    };
    let names = entries.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(".jsonl"));
    Ok(names.map(|name| format!("{FOLDER}/{name}")).collect())
}

/// The bytes of a segment from `at` on.
pub(super) fn read_segment(files: &dyn Files, name: &str, at: u64) -> Result<Vec<u8>, JournalError> {
    if at == 0 {
        return Ok(files::read_all(files, name, u64::MAX)?);
    }
    let file = files.open(name)?;
    let len = file.size()?.saturating_sub(at);
    let mut text = vec![0; usize::try_from(len).map_err(|_| std::io::Error::from(std::io::ErrorKind::FileTooLarge))?];
    let read = file.read_at(&mut text, at)?;
    text.truncate(read);
    Ok(text)
}

/// A place in the journal from which it can be read.
pub(super) struct Found {
    /// What follows in its segment.
    pub(super) text: Vec<u8>,
    pub(super) chain: Chain,
    /// Its segment and those behind.
    pub(super) names: Vec<String>,
}

/// Where the batch of `mark` begins; `None` if the journal holds no such place.
pub(super) fn find(files: &dyn Files, mark: &Mark) -> Result<Option<Found>, JournalError> {
    let name = segment_name(mark.segment);
    let mut names = segments(files)?;
    let Some(at) = names.iter().position(|segment| *segment == name) else { return Ok(None) };
    let text = read_segment(files, &name, mark.batch_at)?;
    let Some(chain) = Chain::before(mark, &text) else { return Ok(None) };
    Ok(Some(Found { text, chain, names: names.split_off(at) }))
}

pub(super) fn damaged(segment: &str, before: &[u8]) -> JournalError {
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let what = "it does not follow from the line before, or its hash is wrong";
    JournalError::Damaged { segment: segment.to_owned(), line, what }
}

pub(super) fn seal(line: &Line, text: &mut String) -> Result<String, JournalError> {
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
pub(super) fn later_batch(tail: &[u8], seq: u64) -> bool {
    tail.split(|byte| *byte == b'\n')
        .filter_map(unseal)
        .filter_map(|(content, _)| serde_json::from_str::<Head>(&content).ok())
        .any(|head| head.batch > seq)
}

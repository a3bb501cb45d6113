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
            let Some(sealed) = Sealed::of(&text[good..good + end]).filter(|sealed| sealed.follows(&self.prev)) else {
                break;
            };
            let line: Line = match serde_json::from_str(&sealed.json()) {
                Ok(line) => line,
                Err(error) => match sealed.head() {
                    Some(head) if head.seq == self.next_seq && head.prev == self.prev => {
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
            sealed.hash.clone_into(&mut self.prev);
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
        let head = Sealed::of(&text[..end])?.head()?;
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

/// Hands the lines from number `from` to `to` to `take`, each with its number, the hash that it says it follows, and its bytes
/// without the line break. Whether they follow from each other is for whoever takes them to see.
///
/// # Errors
/// [`JournalError::Io`].
pub fn lines(
    files: &dyn Files,
    from: u64,
    to: u64,
    take: &mut dyn FnMut(u64, &str, &[u8]),
) -> Result<(), JournalError> {
    let names = segments(files)?;
    let first =
        |name: &String| name.strip_prefix(FOLDER)?.strip_prefix('/')?.strip_suffix(".jsonl")?.parse::<u64>().ok();
    let firsts: Vec<u64> = names.iter().filter_map(first).collect();
    let begin = firsts.partition_point(|first| *first <= from).saturating_sub(1);
    for (name, first) in names.iter().zip(&firsts).skip(begin).take_while(|(_, first)| **first <= to) {
        let text = read_segment(files, name, 0)?;
        for (seq, line) in (*first..=to).zip(text.split(|byte| *byte == b'\n')) {
            if seq >= from
                && let Some(head) = Sealed::of(line).and_then(|sealed| sealed.head())
            {
                take(seq, &head.prev, line);
            }
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
    let hash = chain_hash(&line.prev, Sha256::of(content.as_bytes()));
    for part in [content, SEAL, &hash, "\"}\n"] {
        text.push_str(part);
    }
    Ok(hash)
}

/// The hash of a line: over that of the line before, and over the checksum of its own content. So the chain can be followed
/// by whoever is shown of a line nothing but that checksum.
pub fn chain_hash(prev: &str, content: Sha256) -> String {
    Sha256::of(format!("{prev}{content}").as_bytes()).to_string()
}

/// A line, divided into what it says and its hash. Whether they belong together, [`Self::follows`] and [`Self::head`] say.
pub struct Sealed<'a> {
    content: &'a str,
    /// Its hash, as it says itself.
    pub hash: &'a str,
}

impl<'a> Sealed<'a> {
    /// Divides a line, without its line break; `None`: it is none.
    pub fn of(line: &'a [u8]) -> Option<Self> {
        let (content, seal) = std::str::from_utf8(line).ok()?.rsplit_once(SEAL)?;
        Some(Self { content, hash: seal.strip_suffix("\"}")? })
    }

    /// The checksum of what it says.
    pub fn checksum(&self) -> Sha256 {
        Sha256::of(self.content.as_bytes())
    }

    /// Whether its hash is that of this line behind one with the hash `prev`.
    pub fn follows(&self, prev: &str) -> bool {
        chain_hash(prev, self.checksum()) == self.hash
    }

    /// What places it, if its hash is right for that.
    fn head(&self) -> Option<Head> {
        serde_json::from_str::<Head>(&self.json()).ok().filter(|head| self.follows(&head.prev))
    }

    /// What it says, if its hash is right for that.
    pub fn entry(&self) -> Option<Entry> {
        let line = serde_json::from_str::<Line>(&self.json()).ok().filter(|line| self.follows(&line.prev))?;
        Some(Entry { seq: line.seq, at: line.at, fact: line.fact })
    }

    fn json(&self) -> String {
        format!("{}}}", self.content)
    }
}

/// Whether `tail`, which begins with a bad line that should have been number `seq`, holds a line of a batch that began
/// after it: then that bad line had been acknowledged before.
pub(super) fn later_batch(tail: &[u8], seq: u64) -> bool {
    tail.split(|byte| *byte == b'\n').filter_map(|line| Sealed::of(line)?.head()).any(|head| head.batch > seq)
}

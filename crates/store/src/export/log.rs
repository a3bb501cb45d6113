//! The custody log of an export: stretches of the journal, each up to a checkpoint. Lines about the recordings stand as in the
//! journal; of each other line there is but the checksum of its content, which is enough to follow the chain.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use longshore_model::{CheckpointClaims, ReceiptVerifier, Sha256};

use super::plan::LineSpan;
use crate::facts::{CustodyFact, Entry, Fact};
use crate::journal::{Sealed, chain_hash};

/// Names the form; another form gets another name.
const FORM: &str = "Longshore custody log 1";
/// Stands for the hash before the journal's first line.
const NOTHING: &str = "nothing";

/// A log in the making.
pub(super) struct LogWriter<'a> {
    whole: &'a BTreeSet<u64>,
    text: String,
}

impl<'a> LogWriter<'a> {
    pub(super) fn new(whole: &'a BTreeSet<u64>) -> Self {
        Self { whole, text: format!("{FORM}\n") }
    }

    /// Begins a stretch, behind a line with the hash `prev`.
    pub(super) fn begin(&mut self, span: LineSpan, prev: &str) {
        self.text.push_str(&head(span, prev));
        self.text.push('\n');
    }

    /// Adds the next line of it; `None`: it is no line of a journal.
    pub(super) fn line(&mut self, seq: u64, last: bool, line: &[u8]) -> Option<()> {
        if self.whole.contains(&seq) || last {
            self.text.push_str(str::from_utf8(line).ok()?);
        } else {
            let _infallible = write!(self.text, "{}", Sealed::of(line)?.checksum());
        }
        self.text.push('\n');
        Some(())
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

fn head(LineSpan { from, to }: LineSpan, prev: &str) -> String {
    let behind = if prev.is_empty() { NOTHING } else { prev };
    format!("lines {from} to {to} behind {behind}")
}

fn parse_head(text: &str) -> Option<(LineSpan, String)> {
    let (from, rest) = text.strip_prefix("lines ")?.split_once(" to ")?;
    let (to, behind) = rest.split_once(" behind ")?;
    let span = LineSpan { from: from.parse().ok()?, to: to.parse().ok()? };
    let prev = if behind == NOTHING { String::new() } else { behind.parse::<Sha256>().ok()?.to_string() };
    (head(span, &prev) == text && span.from >= 1 && span.from <= span.to).then_some((span, prev))
}

/// What a log that holds tells.
#[derive(Debug, Default)]
pub(super) struct CheckedLog {
    /// The lines that stand in it whole.
    pub(super) entries: Vec<Entry>,
    /// The checkpoints to which its stretches lead, each with its signed text.
    pub(super) checkpoints: Vec<(CheckpointClaims, String)>,
    /// Lines of which it has but the checksum.
    pub(super) hidden: u64,
}

/// Why a log does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub(super) struct LogError {
    /// Line of the log, from 1.
    pub(super) line: usize,
    /// What is wrong with it.
    pub(super) what: String,
}

/// Follows every stretch of a log from its first line to its checkpoint.
///
/// # Errors
/// [`LogError`].
pub(super) fn check(text: &str, verifier: &ReceiptVerifier) -> Result<CheckedLog, LogError> {
    let wrong = |line: usize, what: &str| LogError { line: line + 1, what: what.to_owned() };
    let Some(text) = text.strip_suffix('\n') else { return Err(wrong(0, "it has no end: something was cut off")) };
    let mut lines = text.split('\n').enumerate().peekable();
    if lines.next().is_none_or(|(_, form)| form != FORM) {
        return Err(wrong(0, "this is no custody log of a form that is known"));
    }
    let (mut log, mut reached) = (CheckedLog::default(), 0);
    while let Some((at, line)) = lines.next() {
        let Some((span, mut prev)) = parse_head(line).filter(|(span, _)| span.from > reached) else {
            return Err(wrong(at, "here the next stretch of the journal should begin"));
        };
        for seq in span.from..=span.to {
            let Some((at, line)) = lines.next() else {
                return Err(wrong(at, "the stretch has fewer lines than it says"));
            };
            if let Ok(content) = line.parse::<Sha256>() {
                if content.to_string() != line || seq == span.to {
                    return Err(wrong(at, "this is neither a line of the journal nor the checksum of one"));
                }
                prev = chain_hash(&prev, content);
                log.hidden += 1;
                continue;
            }
            let Some(sealed) = Sealed::of(line.as_bytes()).filter(|sealed| sealed.follows(&prev)) else {
                return Err(wrong(
                    at,
                    "it does not follow from the line before: one of them was changed, or one is missing",
                ));
            };
            let Some(entry) = sealed.entry().filter(|entry| entry.seq == seq) else {
                return Err(wrong(at, "its content is not what a journal holds at this place"));
            };
            if let Fact::Custody(CustodyFact::Checkpointed { claims, signed }) = &entry.fact {
                let said = verifier.statement::<CheckpointClaims>(signed);
                let said = said.map_err(|error| wrong(at, &format!("its checkpoint does not hold: {error}")))?;
                if said != *claims || said.position != seq - 1 || said.hash.to_string() != prev {
                    return Err(wrong(at, "its checkpoint was signed for other lines than those before it"));
                }
                log.checkpoints.push((said, signed.clone()));
            } else if seq == span.to {
                return Err(wrong(at, "the stretch ends without a checkpoint"));
            }
            sealed.hash.clone_into(&mut prev);
            log.entries.push(entry);
        }
        reached = span.to;
    }
    Ok(log)
}

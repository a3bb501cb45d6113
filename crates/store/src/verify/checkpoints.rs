//! Signed places of the journal against the journal: those that stand in it, and those that somebody kept elsewhere.

use std::collections::BTreeMap;

use longshore_model::{CheckpointClaims, ReceiptError, ReceiptVerifier};
use serde::{Deserialize, Serialize};

use super::report::{Problem, ProblemKind};
use crate::facts::{CustodyFact, Fact};
use crate::files::Files;
use crate::index::{Index, IndexError};
use crate::journal::{self, JournalError, Mark};

/// Characters of a signature in a compact JWS with ES256: 64 bytes in base64url (RFC 7518 §3.4).
const SIGNATURE_CHARS: usize = 86;
/// What every compact JWS begins with: the base64url of `{"`.
const BEGIN: &str = "eyJ";
/// Characters of each of the other two parts: ours have some hundreds, and a mail may be long.
const PART_CHARS: usize = 4096;

/// How far the journal goes, as the catalogue knows: what is read afterwards has to come by there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Known {
    /// The last line.
    pub seq: u64,
    /// Its chain hash.
    pub hash: String,
}

impl Known {
    /// By this index; `None` while it holds nothing.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn by(index: &Index) -> Result<Option<Self>, IndexError> {
        Ok(index.applied()?.map(|Mark { seq, hash, .. }| Self { seq, hash }))
    }
}

/// Follows the chain and compares each checkpoint in it with the lines before.
pub(super) struct Chained<'a> {
    verifier: &'a ReceiptVerifier,
    position: u64,
    hash: String,
    /// The place by which it has to come, and has not come yet.
    awaited: Option<Known>,
}

impl<'a> Chained<'a> {
    pub(super) fn new(verifier: &'a ReceiptVerifier, awaited: Option<Known>) -> Self {
        Self { verifier, position: 0, hash: String::new(), awaited }
    }

    /// One more line was read.
    pub(super) fn follow(&mut self, mark: &Mark) {
        self.position = mark.seq;
        mark.hash.clone_into(&mut self.hash);
        if self.awaited.as_ref().is_some_and(|known| known.seq == mark.seq && known.hash == mark.hash) {
            self.awaited = None;
        }
    }

    /// What is wrong with the end of the journal, after everything that follows from its first line was read.
    pub(super) fn end(&self) -> Option<Problem> {
        let Known { seq, .. } = self.awaited.as_ref()?;
        let what = if self.position < *seq {
            format!(
                "the journal ends with line {}, and the catalogue knows line {seq}: lines are gone or altered",
                self.position
            )
        } else {
            format!(
                "line {seq} of the journal is not the one that the catalogue knows: the journal was replaced or rewritten"
            )
        };
        let text = format!(
            "{what}. Find out what happened to the folder, and put the newest copy of it back before Longshore is started again"
        );
        Some(Problem::new(ProblemKind::Journal, "journal", text))
    }

    /// What is wrong with the checkpoint in the next line.
    pub(super) fn check(&self, seq: u64, claims: &CheckpointClaims, signed: &str) -> Option<Problem> {
        let wrong = match self.verifier.statement::<CheckpointClaims>(signed) {
            Err(error) => format!("the checkpoint in line {seq} is none of this server: {error}"),
            Ok(said) if said != *claims => {
                format!("the checkpoint in line {seq} was signed for something else than its line says")
            }
            Ok(said) if said.position == self.position && said.hash.to_string() == self.hash => return None,
            Ok(_) => format!(
                "the checkpoint in line {seq} was signed for other lines than those before it: the journal was rewritten, \
                 chain and all; compare it with the checkpoints in the mailboxes (`longshore verify checkpoint`)"
            ),
        };
        Some(Problem::new(ProblemKind::Journal, "journal", wrong))
    }
}

/// The texts in `text`, such as a mail, that look like checkpoints, as often as they are there. Line breaks in them, the
/// `>` of a quotation and the `=` with which a mail breaks long lines are passed over.
pub fn checkpoints_in(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find(BEGIN) {
        let begin = from + at;
        match token(&text[begin..]) {
            Some((token, len)) => {
                found.push(token);
                from = begin + len;
            }
            None => from = begin + BEGIN.len(),
        }
    }
    found
}

/// The token that `text` begins with, and how many bytes of it that is.
fn token(text: &str) -> Option<(String, usize)> {
    let mut token = String::new();
    let (mut dots, mut part) = (0, 0);
    for (at, c) in text.char_indices() {
        match c {
            c if c.is_ascii_alphanumeric() || c == '-' || c == '_' => {
                token.push(c);
                part += 1;
                if dots == 2 && part == SIGNATURE_CHARS {
                    return Some((token, at + 1));
                }
                if part > PART_CHARS {
                    return None;
                }
            }
            '.' if dots < 2 && part > 0 => {
                token.push(c);
                (dots, part) = (dots + 1, 0);
            }
            c if c.is_whitespace() || c == '>' || c == '=' => {}
            _ => return None,
        }
    }
    None
}

/// What became of a checkpoint that somebody kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// The journal is, up to its place, the one that it was signed for.
    Holds(CheckpointClaims),
    /// It is none, or none of this server.
    NotOurs(ReceiptError),
    /// The journal ends before its place.
    Shorter(CheckpointClaims),
    /// The line at its place is another one.
    Rewritten {
        /// What was signed.
        claims: CheckpointClaims,
        /// The chain hash that the line has now.
        found: String,
        /// The last place before it of which another kept checkpoint says that all is as it was; 0 if there is none.
        after: u64,
    },
    /// The journal is damaged before its place.
    NotReached(CheckpointClaims),
}

/// A journal compared with checkpoints.
#[derive(Debug)]
pub struct Compared {
    /// The last line that follows from those before it.
    pub end: u64,
    /// What is wrong with the journal in itself.
    pub problems: Vec<Problem>,
    /// One for each text that was given, in that order.
    pub given: Vec<Given>,
}

/// Compares the journal in `files` with the checkpoints in `texts`, and with those in itself. A server may be at work.
///
/// # Errors
/// [`JournalError`] if the journal cannot be read at all.
pub fn compare_checkpoints(
    files: &dyn Files,
    verifier: &ReceiptVerifier,
    texts: &[String],
    watch: &mut dyn FnMut(),
) -> Result<Compared, JournalError> {
    let said: Vec<Result<CheckpointClaims, ReceiptError>> = texts.iter().map(|text| verifier.statement(text)).collect();
    let mut hashes: BTreeMap<u64, Option<String>> =
        said.iter().flatten().map(|claims| (claims.position, None)).collect();
    let (mut chained, mut problems, mut end) = (Chained::new(verifier, None), Vec::new(), 0);
    let read = journal::read(files, |entry, mark| {
        watch();
        if let Fact::Custody(CustodyFact::Checkpointed { claims, signed }) = &entry.fact {
            problems.extend(chained.check(entry.seq, claims, signed));
        }
        chained.follow(&mark);
        if let Some(hash) = hashes.get_mut(&mark.seq) {
            *hash = Some(mark.hash);
        }
        end = entry.seq;
        Ok(())
    });
    let whole = match read {
        Ok(()) => true,
        Err(error @ JournalError::Damaged { .. }) => {
            problems.push(Problem::journal(&error));
            false
        }
        Err(error) => return Err(error),
    };
    let holds = |claims: &CheckpointClaims| {
        hashes.get(&claims.position).and_then(Option::as_ref).is_some_and(|hash| *hash == claims.hash.to_string())
    };
    let good: Vec<u64> = said.iter().flatten().filter(|claims| holds(claims)).map(|claims| claims.position).collect();
    let judge = |claims: CheckpointClaims| match hashes.get(&claims.position).and_then(Option::as_ref) {
        None if whole => Given::Shorter(claims),
        None => Given::NotReached(claims),
        Some(_) if holds(&claims) => Given::Holds(claims),
        Some(found) => {
            let after = good.iter().filter(|place| **place < claims.position).max().copied().unwrap_or(0);
            Given::Rewritten { found: found.clone(), after, claims }
        }
    };
    let given = said.iter().cloned().map(|said| said.map_or_else(Given::NotOurs, judge)).collect();
    Ok(Compared { end, problems, given })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token_of(letter: char) -> String {
        format!("{BEGIN}hbGciOiJFUzI1NiJ9.eyJwb3NpdGlvbiI6N30.{}", letter.to_string().repeat(SIGNATURE_CHARS))
    }

    #[test]
    fn checkpoints_are_found_in_a_mail_however_it_breaks_its_lines() {
        let (one, two) = (token_of('a'), token_of('b'));
        let plain = format!("Checkpoint of today: {one}\nand of yesterday: {two}.\nRegards");
        assert_eq!(checkpoints_in(&plain), [one.clone(), two.clone()]);
        let wrap = |token: &str, with: &str| {
            token.as_bytes().chunks(40).map(|part| str::from_utf8(part).unwrap()).collect::<Vec<_>>().join(with)
        };
        for with in ["\n", "\r\n", "=\r\n", "\n> ", "\n>> "] {
            let mail = format!("> {}\n{}Regards", wrap(&one, with), wrap(&two, with));
            assert_eq!(checkpoints_in(&mail), [one.clone(), two.clone()], "{with:?}");
        }
    }

    #[test]
    fn what_is_no_checkpoint_is_passed_over() {
        assert!(checkpoints_in("").is_empty());
        assert!(checkpoints_in("eyJ eyJ.eyJ.eyJ").is_empty());
        let whole = token_of('a');
        assert!(checkpoints_in(&whole[..whole.len() - 1]).is_empty());
        assert_eq!(checkpoints_in(&format!("eyJ(broken) {whole}")), [whole]);
        assert!(checkpoints_in(&format!("eyJ{}", "a".repeat(100_000))).is_empty());
    }
}

//! What can come in the way of a change that people, or devices, ask for.

use longshore_store::catalogue::{DecideError, RecordError};
use longshore_store::index::IndexError;

/// Why nothing was changed; `R` is what the rules of the matter say.
#[derive(Debug, thiserror::Error)]
pub enum DecisionError<R> {
    /// The rules say no.
    #[error("{0}")]
    Refused(R),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The journal.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The operating system has no randomness to give.
    #[error("no random numbers can be had from the operating system")]
    NoRandomness,
    /// Whoever decides does not answer.
    #[error("the part of the server that decides this does not answer")]
    Unavailable,
}

impl<R> From<DecideError<R>> for DecisionError<R> {
    fn from(error: DecideError<R>) -> Self {
        match error {
            DecideError::Refused(refused) => Self::Refused(refused),
            DecideError::Index(error) => Self::Index(error),
            DecideError::Record(error) => Self::Record(error),
        }
    }
}

//! Accounts and places. They need no actor: each decision is made by the catalogue's writer, one after the other, and
//! nobody holds anything of them.

mod accounts;
mod places;

use longshore_store::catalogue::{DecideError, RecordError};
use longshore_store::index::IndexError;

pub use accounts::{AccountChange, AccountRefused, NewAccount};
pub(crate) use accounts::{add, change, issue_token, remove, revoke_token, set_password};
pub use places::{DeviceChange, PlaceRefused};
pub(crate) use places::{remove_dock, remove_site, set_device, set_dock, set_site};

/// Why a change to accounts or places came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum OrganiseError<R> {
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
    /// The catalogue does not answer in time.
    #[error("the catalogue does not answer")]
    Unavailable,
}

impl<R> From<DecideError<R>> for OrganiseError<R> {
    fn from(error: DecideError<R>) -> Self {
        match error {
            DecideError::Refused(refused) => Self::Refused(refused),
            DecideError::Index(error) => Self::Index(error),
            DecideError::Record(error) => Self::Record(error),
        }
    }
}

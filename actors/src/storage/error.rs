use std::io;

use longshore_store::files::Standing;
use longshore_store::incoming::IncomingError;
use longshore_store::place::PlaceError;

use crate::kit::Unavailable;

/// Why the storage did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// No room is left.
    #[error("the storage is full")]
    Full,
    /// Less room is left than the upload needs, what is kept free and what is promised to others left aside.
    #[error("{needed} bytes are needed, {available} are available")]
    NoRoom {
        /// Bytes of the upload.
        needed: u64,
        /// Bytes that it could have.
        available: u64,
    },
    /// The storage is not there, or can only be read.
    #[error("{0}")]
    NotThere(String),
    /// The disk refused.
    #[error("the storage refused: {0}")]
    Io(String),
    /// There is no such upload.
    #[error("there is no such upload")]
    NotFound,
    /// Earlier writes of the upload are still on their way to the disk.
    #[error("earlier writes of this upload have not ended yet")]
    Busy,
    /// The upload is complete and on its way to its final name.
    #[error("the recording is on its way to its final name")]
    Placing,
    /// What was acknowledged is not there any more.
    #[error("{0}")]
    Damaged(String),
    /// The disk takes longer than a request should wait.
    #[error("the disk has not answered yet")]
    Slow,
    /// The writer is gone.
    #[error("the storage does not answer")]
    Unavailable,
}

impl StorageError {
    /// Whether a transfer that meets this again and again should rest. What is full, slow or not there is mended by
    /// waiting, and the same for all.
    pub(crate) fn blames_the_transfer(&self) -> bool {
        matches!(self, Self::Io(_) | Self::Damaged(_))
    }
}

impl From<Unavailable> for StorageError {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

impl From<io::Error> for StorageError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::ResourceBusy => Self::Busy,
            io::ErrorKind::NotConnected | io::ErrorKind::StaleNetworkFileHandle => Self::NotThere(error.to_string()),
            io::ErrorKind::ReadOnlyFilesystem => Self::NotThere(Standing::ReadOnly.to_string()),
            _ => Self::Io(error.to_string()),
        }
    }
}

impl From<IncomingError> for StorageError {
    fn from(error: IncomingError) -> Self {
        match error {
            IncomingError::Io(error) => error.into(),
            IncomingError::NotFound => Self::NotFound,
            IncomingError::Busy => Self::Busy,
            IncomingError::Placing => Self::Placing,
            IncomingError::Damaged(what) => Self::Damaged(what),
        }
    }
}

impl From<PlaceError> for StorageError {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::Io(error) => error.into(),
            other => Self::Io(other.to_string()),
        }
    }
}

//! The custody record: what became of a recording, from the device's word until now, each thing with the line of the journal
//! that vouches for it.

use chrono::{DateTime, FixedOffset, Utc};
use longshore_model::{ExportId, Sha256, UploadId};
use serde::{Deserialize, Serialize};

use crate::facts::{Fact, StorageFact};

/// One thing that became of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CustodyEvent {
    /// The line of the journal that says so.
    pub seq: u64,
    /// When it happened, by the server's clock.
    pub at: DateTime<Utc>,
    /// What.
    #[serde(flatten)]
    pub what: CustodyOf,
    /// Who did it: the device by its serial, `server`, or a person's account.
    pub by: String,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum CustodyOf {
    /// The device said that it holds it.
    Declared {
        /// Bytes, if it knew.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        /// Its checksum, if it had computed it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<Sha256>,
    },
    /// The device declared another content under the same id, after one was stored.
    Conflicted {
        /// Checksum of that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        declared: Option<Sha256>,
    },
    /// Other bytes arrived than were declared; they were not stored.
    Mismatched {
        /// The transfer that brought them.
        upload: UploadId,
        /// What was declared.
        declared: Sha256,
        /// What arrived.
        found: Sha256,
    },
    /// All its bytes arrived, and the storage gave back other ones; it was not stored.
    Altered {
        /// The transfer that brought them.
        upload: UploadId,
        /// What arrived.
        came: Sha256,
        /// What the storage gave back.
        medium: Sha256,
    },
    /// A transfer came no further and was given up; the device holds the recording still.
    Expired {
        /// Which transfer.
        upload: UploadId,
    },
    /// All its bytes were durable.
    Received {
        /// Which content.
        revision: u32,
        /// The transfer that brought them.
        upload: UploadId,
    },
    /// Its checksum was right, on the medium too.
    Verified {
        /// Which content.
        revision: u32,
        /// That checksum.
        sha256: Sha256,
    },
    /// It had its name and its signed receipt.
    Receipted {
        /// Which content.
        revision: u32,
    },
    /// The device deleted its copy on that receipt.
    DeletedOnDevice {
        /// Which content.
        revision: u32,
        /// When, by the device's clock.
        deleted_at: DateTime<FixedOffset>,
    },
    /// A copy was given out.
    Exported {
        /// Which content.
        revision: u32,
        /// In which export.
        export: ExportId,
    },
}

impl CustodyOf {
    /// Whether an export of this content has to hold the line that says so: all that is about it, and what became of transfers
    /// that brought none. A device's word, which may be about a thousand recordings at once, is in the manifest, if it counted.
    pub fn is_for(&self, revision: u32) -> bool {
        match self {
            Self::Declared { .. } => false,
            Self::Conflicted { .. } | Self::Mismatched { .. } | Self::Altered { .. } | Self::Expired { .. } => true,
            Self::Received { revision: of, .. }
            | Self::Verified { revision: of, .. }
            | Self::Receipted { revision: of }
            | Self::DeletedOnDevice { revision: of, .. }
            | Self::Exported { revision: of, .. } => *of == revision,
        }
    }
}

/// A place of the journal that the server signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Checkpoint {
    /// The line of the journal that holds it.
    pub seq: u64,
    /// The last line that it covers.
    pub position: u64,
    /// Chain hash of that line.
    pub hash: Sha256,
    /// When it was signed.
    pub at: DateTime<Utc>,
    /// The server that signed it.
    pub server: String,
    /// The signed text (compact JWS), by which it can be checked.
    pub signed: String,
}

/// What the index keeps of one fact about a recording; what its manifest tells is not kept twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    Declared { size: Option<u64>, sha256: Option<Sha256> },
    Conflicted { declared: Option<Sha256> },
    Mismatched { upload: UploadId, declared: Sha256, found: Sha256 },
    Altered { upload: UploadId, came: Sha256, medium: Sha256 },
    Expired { upload: UploadId },
    Stored { revision: u32 },
    Deleted { revision: u32, deleted_at: DateTime<FixedOffset> },
    Exported { revision: u32, export: ExportId, by: String },
}

impl Step {
    /// Of bytes that were not stored.
    pub(crate) fn refused(fact: &Fact) -> Option<Self> {
        match *fact {
            Fact::Mismatched { upload, declared, found, .. } => Some(Self::Mismatched { upload, declared, found }),
            Fact::Storage(StorageFact::Altered { upload, came, medium, .. }) => {
                Some(Self::Altered { upload, came, medium })
            }
            _ => None,
        }
    }
}

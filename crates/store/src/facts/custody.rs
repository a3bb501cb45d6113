use longshore_model::{CheckpointClaims, DeviceId, ExportId, Recording, RecordingId, Sha256};
use serde::{Deserialize, Serialize};

use crate::manifest::Manifest;
use crate::verify::{Reconciliation, Unended};

/// What the server did to be able to say what became of each recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum CustodyFact {
    /// It signed how far the journal goes: up to the line before this one.
    Checkpointed {
        /// What it signed.
        claims: CheckpointClaims,
        /// The same, signed (compact JWS).
        signed: String,
    },
    /// Somebody is about to be given recordings out of the store.
    Exported {
        /// In which export.
        export: ExportId,
        /// Which.
        recordings: Vec<StoredId>,
        /// To whom.
        by: String,
    },
    /// It signs the list of the files in an export, once.
    ExportSigned {
        /// Which export.
        export: ExportId,
        /// Checksum of that list.
        files: Sha256,
        /// For whom.
        by: String,
    },
    /// It compared what devices declared, what the journal has, and what is on the disk.
    Reconciled {
        /// What it found.
        reconciliation: Box<Reconciliation>,
    },
    /// Looking at the store it found recordings that are not as they were. They count as that until they were seen to be right.
    FoundDamaged {
        /// Which.
        recordings: Vec<StoredId>,
    },
    /// Of those it read some to the last byte, and they are right.
    FoundSound {
        /// Which.
        recordings: Vec<StoredId>,
    },
    /// It was stopped while it did so, and goes on from there.
    ReconciliationPaused {
        /// How far it came.
        unended: Box<Unended>,
    },
}

/// One content under the id of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StoredId {
    /// The device that made it.
    pub device: DeviceId,
    /// The device's name for it.
    pub rid: RecordingId,
    /// Which content, from 1.
    pub revision: u32,
}

impl StoredId {
    /// Of what a manifest tells of.
    pub fn of(manifest: &Manifest) -> Self {
        let Recording { device, rid, revision, .. } = manifest.recording;
        Self { device, rid, revision }
    }
}

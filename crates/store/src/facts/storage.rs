use longshore_model::{DeviceId, RecordingId, Sha256, UploadId};
use serde::{Deserialize, Serialize};

/// Something that the storage did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum StorageFact {
    /// All bytes of a recording arrived, and the medium gave back other ones, twice.
    Altered {
        /// Which device.
        device: DeviceId,
        /// Which recording.
        rid: RecordingId,
        /// The transfer, which is put aside; discarded, if the server had joined it of its parts.
        upload: UploadId,
        /// What arrived.
        came: Sha256,
        /// What the medium gave back.
        medium: Sha256,
    },
}

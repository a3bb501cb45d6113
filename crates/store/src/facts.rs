//! What the journal is told: each a thing that happened, and needs no other file to be believed.

mod custody;
mod digest;
mod health;
mod outbox;
mod people;
mod profile;
mod reports;
mod requests;
mod session;
mod storage;

use chrono::{DateTime, FixedOffset, Utc};
use longshore_model::{
    Declared, Device, DeviceId, EnrolToken, Enrolment, EnrolmentId, RecordingId, Sha256, TokenId, UploadId, UploadToken,
};
use serde::{Deserialize, Serialize};

pub use custody::{CustodyFact, StoredId};
pub use digest::{DigestFact, Window};
pub use health::{HealthFact, HealthReport};
pub use outbox::OutboxFact;
pub use people::PeopleFact;
pub use profile::ProfileFact;
pub use reports::ReportFact;
pub use requests::RequestFact;
pub use session::SessionFact;
pub use storage::StorageFact;

/// One thing that happened. `by` is the account, or `uid N` of whoever used the local socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "snake_case")]
pub enum Fact {
    /// An admin made an enrolment token.
    TokenIssued {
        /// The token, its secret hashed.
        token: EnrolToken,
        /// Who did it.
        by: String,
    },
    /// A device used a token and asks to be known.
    EnrolmentRequested {
        /// What it asks.
        enrolment: Enrolment,
    },
    /// An admin completed the set-up of a device.
    DeviceApproved {
        /// The enrolment that this decides.
        enrolment: EnrolmentId,
        /// The device as it is from now on.
        device: Device,
        /// Who did it.
        by: String,
    },
    /// A request to be known came to nothing, because another one of the same serial was approved.
    EnrolmentSuperseded {
        /// Which.
        enrolment: EnrolmentId,
    },
    /// A device called for the first time with the identity that it was given.
    DeviceActivated {
        /// Which.
        device: DeviceId,
    },
    /// An admin withdrew a device's right to receipts and settings: it may be lost or stolen.
    DeviceSuspended {
        /// Which.
        device: DeviceId,
        /// Who did it.
        by: String,
    },
    /// An admin put a suspended device back in service.
    DeviceReinstated {
        /// Which.
        device: DeviceId,
        /// Who did it.
        by: String,
    },
    /// An admin took a device out of service for good.
    DeviceRetired {
        /// Which.
        device: DeviceId,
        /// Who did it.
        by: String,
    },
    /// An admin confirmed that a known device has a new key; the old one counts for nothing from now on.
    DeviceReenrolled {
        /// The enrolment that this decides.
        enrolment: EnrolmentId,
        /// Which device.
        device: DeviceId,
        /// SHA-256 of its new public key.
        key: Sha256,
        /// Who did it.
        by: String,
    },
    /// An admin made a device known that has no key and uploads with tokens.
    DeviceAdded {
        /// The device.
        device: Device,
        /// Who did it.
        by: String,
    },
    /// An admin made a token for uploads.
    UploadTokenIssued {
        /// In whose name they come.
        device: DeviceId,
        /// The token, hashed.
        token: UploadToken,
        /// Who did it.
        by: String,
    },
    /// An admin made a token for uploads worthless.
    UploadTokenRevoked {
        /// Whose.
        device: DeviceId,
        /// Which.
        token: TokenId,
        /// Who did it.
        by: String,
    },
    /// People decided something about accounts, places, or who and what belongs where.
    People(PeopleFact),
    /// A device said what it holds; only what is new or changed.
    Declared {
        /// Which device.
        device: DeviceId,
        /// What it holds.
        items: Vec<Declared>,
    },
    /// A device declared another content under the id of a recording that is stored; it is taken beside that.
    Conflicted {
        /// Which device.
        device: DeviceId,
        /// Which recording.
        rid: RecordingId,
        /// Checksum of what is stored; of several, of the newest.
        stored: Sha256,
        /// Checksum of what it declared, if it had one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        declared: Option<Sha256>,
    },
    /// All bytes of a recording arrived, and they were not those that were declared.
    Mismatched {
        /// Which device.
        device: DeviceId,
        /// Which recording.
        rid: RecordingId,
        /// The transfer, which is put aside or discarded.
        upload: UploadId,
        /// What was declared.
        declared: Sha256,
        /// What arrived.
        found: Sha256,
    },
    /// An upload did not come further for so long that it is given up; its recording may come anew.
    Expired {
        /// Which device.
        device: DeviceId,
        /// The transfer, which is discarded.
        upload: UploadId,
        /// The recording that it was to bring; a part of one brings none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rid: Option<RecordingId>,
    },
    /// A recording is verified and under its final name.
    Stored {
        /// Its manifest, byte for byte.
        manifest: String,
    },
    /// A device deleted its copy on a receipt.
    Deleted {
        /// Which device.
        device: DeviceId,
        /// Which recording.
        rid: RecordingId,
        /// Which content of it.
        revision: u32,
        /// When, by the device's clock.
        deleted_at: DateTime<FixedOffset>,
    },
    /// Something happened to a request for footage.
    Request(RequestFact),
    /// A device said something of itself, or was told to do something.
    Report(ReportFact),
    /// Something about config profiles.
    Profile(ProfileFact),
    /// Something about the sessions of devices.
    Session(SessionFact),
    /// Something that the storage did.
    Storage(StorageFact),
    /// Something about messages to people.
    Outbox(OutboxFact),
    /// Something about the health of devices and of the server.
    Health(HealthFact),
    /// A daily mail was planned, or what was planned is done.
    Digest(DigestFact),
    /// Something about the custody of recordings.
    Custody(CustodyFact),
}

/// A fact with its place in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Counts from 1 without gaps.
    pub seq: u64,
    /// When it was written.
    pub at: DateTime<Utc>,
    /// What happened.
    pub fact: Fact,
}

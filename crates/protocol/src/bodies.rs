use chrono::{DateTime, FixedOffset, Utc};
use longshore_model::{DeviceId, EnrolmentId, Jwks, Kind, RecordingId, RequestId, Sha256};
use serde::{Deserialize, Serialize};

/// `GET /hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The server's id, as in receipts.
    pub server: String,
    /// SHA-256 of the server's TLS public key (SubjectPublicKeyInfo), base64url.
    pub fingerprint: String,
    /// The server's time.
    pub time: DateTime<Utc>,
    /// Versions of this protocol that it speaks.
    pub versions: Vec<u32>,
}

/// What the device's clock shows; in every POST and PUT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Wall clock, in the device's zone.
    pub wall: DateTime<FixedOffset>,
    /// Milliseconds since the device booted.
    pub uptime_ms: u64,
    /// Names this boot; differs at the next.
    pub boot: String,
    /// The wall clock was set by GPS, NTP or a server since boot.
    pub synced: bool,
}

/// The device, as it describes itself when it enrols. What it leaves out, the token says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentDevice {
    /// The maker's unique id, if there is one besides the serial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Name of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// As printed on the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Firmware version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// Its own network addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub macs: Vec<String>,
    /// Address of the dock's bay that it sits in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bay_mac: Option<String>,
}

/// What waits on the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsent {
    /// Recordings.
    pub count: u64,
    /// Bytes.
    pub bytes: u64,
}

/// `POST /enrolments`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentRequest {
    /// Who asks.
    pub device: EnrolmentDevice,
    /// Its clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
    /// What waits on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsent: Option<Unsent>,
}

/// Answer to `POST /enrolments` (202) and to `GET /enrolments/{id}` (200).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentAnswer {
    /// Names the enrolment.
    pub id: EnrolmentId,
    /// Short text that the admin sees too.
    pub code: String,
    /// Serial under which the server knows the device.
    pub serial: String,
    /// Model under which the server knows the device.
    pub model: String,
    /// Where it stands.
    #[serde(flatten)]
    pub status: EnrolmentStatus,
}

/// Where an enrolment stands, by its member `state`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum EnrolmentStatus {
    /// Ask again; the server holds the answer back until there is news.
    Pending,
    /// The device is known.
    Approved(Approval),
}

/// What an approved device keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The device's id.
    pub device: DeviceId,
    /// Client certificate for the device's own key, PEM.
    pub certificate: String,
    /// The server.
    pub server: ServerIdentity,
}

/// How to reach and to know the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerIdentity {
    /// The server's id: the `server` of every receipt.
    pub id: String,
    /// SHA-256 of public keys that the server may show, base64url.
    pub pins: Vec<String>,
    /// Where it answers, to be tried in order.
    pub urls: Vec<String>,
    /// Keys that sign receipts.
    pub receipt_keys: Jwks,
}

/// `POST /offers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offers {
    /// What the device holds, at most 1,000 at once.
    pub items: Vec<OfferItem>,
    /// The device's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
}

/// One recording on the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferItem {
    /// 128 bits in hexadecimal, made at the start of recording, never reused.
    pub rid: RecordingId,
    /// Which of the device's cameras.
    #[serde(default)]
    pub camera: String,
    /// Why it was recorded.
    pub kind: Kind,
    /// What triggered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// When it starts, in the device's zone.
    pub start: DateTime<FixedOffset>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<DateTime<FixedOffset>>,
    /// The boot in which it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// When the device will overwrite it, by its own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overwrite_at: Option<DateTime<FixedOffset>>,
    /// For which request it is offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// Bytes.
    pub size: u64,
    /// Checksum of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// Name of the file on the card; its ending becomes the ending of the stored file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
}

/// Answer to `POST /offers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffersAnswer {
    /// One for each item, in their order.
    pub items: Vec<ItemAnswer>,
}

/// The server's word on one recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemAnswer {
    /// Which recording.
    pub rid: RecordingId,
    /// What to do with it.
    #[serde(flatten)]
    pub answer: Answer,
}

/// What to do with a recording, by the member `answer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// Create an upload for it; lower numbers first.
    Upload {
        /// Place in the order, from 1.
        priority: u32,
    },
    /// Continue an upload.
    Resume {
        /// Path of the upload.
        url: String,
        /// Where it continues.
        offset: u64,
        /// Place in the order, from 1.
        priority: u32,
    },
    /// It is stored: check the receipt, then delete.
    Have {
        /// Compact JWS.
        receipt: String,
    },
    /// Not now.
    Later {
        /// Why.
        reason: Later,
        /// Offer it again at this time or after; without it, at the next occasion.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_before: Option<DateTime<Utc>>,
    },
    /// Compute its checksum and offer it again with it.
    Rehash,
    /// Another content is stored under this `rid`: create an upload all the same, it is kept beside that; lower numbers first.
    Conflict {
        /// Place in the order, from 1.
        priority: u32,
    },
}

/// Why a recording has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Later {
    /// Others go first; offer it again when they are done.
    Queued,
    /// Nobody asked for it, and it is no event.
    NotRequested,
    /// Its transfer failed its checksum too often.
    ChecksumMismatch,
    /// The device has more unfinished uploads than it may.
    TooManyUnfinished,
    /// It is no event, and the storage has room for events only.
    NoRoom,
    /// It is stored, and the device is suspended: the receipt is withheld.
    Held,
}

/// `POST /recordings/{rid}/blocks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocks {
    /// Bytes of a block: [`longshore_model::BLOCK_BYTES`].
    pub block_size: u64,
    /// Bytes of the recording.
    pub size: u64,
    /// Checksum of the recording.
    pub sha256: Sha256,
    /// Checksum of each block, the last of which may be shorter.
    pub blocks: Vec<Sha256>,
}

/// Answer to `POST /recordings/{rid}/blocks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlocksAnswer {
    /// Path of the upload that continues after the good blocks.
    pub url: String,
    /// Where it continues.
    pub offset: u64,
}

/// `POST /deletions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletions {
    /// What was deleted.
    pub items: Vec<Deletion>,
    /// The device's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
}

/// One recording that the device has deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// The receipt on which it was deleted.
    pub receipt: String,
    /// When, by the device's clock.
    pub deleted_at: DateTime<FixedOffset>,
}

/// Answer to `POST /deletions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionsAnswer {
    /// Recorded, now or before; the device may forget them.
    pub recorded: Vec<RecordingId>,
    /// Not recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<DeletionRefused>,
}

/// A deletion that the server does not record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionRefused {
    /// Position in `items`, from 0.
    pub index: usize,
    /// Why.
    pub reason: String,
}

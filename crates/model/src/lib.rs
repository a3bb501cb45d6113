//! Longshore's vocabulary: ids, devices, recordings, requests, receipts and the clocks that they are dated by.
//!
//! Nothing here does I/O or knows of actors, HTTP or the disk.

mod blocks;
mod checksum;
mod clock;
mod complaint;
mod coverage;
mod device;
mod device_clock;
mod device_model;
mod digest;
mod health;
mod health_types;
mod id;
mod mail;
mod organisation;
mod profile;
mod rate;
mod receipt;
mod recording;
mod report;
mod request;
#[cfg(feature = "openapi")]
mod schema;
mod session;
mod span;
mod statement;
mod timetable;

pub use blocks::{BLOCK_BYTES, BlockSums, RunningBlocks, WrongCount};
pub use checksum::{DamagedHashState, HashState, RunningHash, Sha256};
pub use clock::{Clock, SettableClock, SystemClock};
pub use complaint::Complaint;
pub use coverage::{CameraCoverage, Counted, Covering, DayCoverage, Holding, Place, coverage};
pub use device::{
    Assignment, Description, Device, DeviceState, EnrolToken, Enrolment, EnrolmentState, UNKNOWN_MODEL, UploadToken,
};
pub use device_clock::{ClockSample, DeviceClock};
pub use device_model::{
    Addressing, Band, Bounds, DeviceKind, DeviceModel, DeviceModels, Resolution, WifiRadio, WifiStandard,
};
pub use digest::{DigestKind, DigestOf, UnknownDigest};
pub use health::{HealthEvent, HealthSubject, Issue, IssueChange, IssueEnd, IssueKey, IssueWhat, Severity};
pub use health_types::{HealthType, HealthTypes, health_type, is_health_type};
pub use id::{
    CommandId, DeviceId, EnrolmentId, ExportId, HealthEventId, InvalidId, MailId, RecordingId, RequestId, StorageId,
    TokenId, UploadId,
};
pub use mail::{MailKind, Message};
pub use organisation::{Account, ApiToken, Dock, InvalidMac, Mac, Role, Site, UnknownRole, bay, present_site};
pub use profile::{
    Addresses, BuiltIn, DeviceProfile, Drift, Event, GroupProfiles, HasProfile, Led, Profile, ProfileName, Retention,
    Secret, Security, Settings, Sound, Suits, Trigger, Upload, Uploads, Video, WifiNetwork,
};
pub use rate::{BytesPerSecond, Rate};
pub use receipt::{Jwk, Jwks, ReceiptClaims, ReceiptError, ReceiptKey, ReceiptVerifier};
pub use recording::{Declared, Kind, Recording, UnknownKind};
pub use report::{CardSpace, Command, CommandOp, DeviceReport, Network, NetworkKind, ReportedProfile};
pub use request::{Holds, Outcome, VideoRequest};
pub use session::{Session, SessionEnd};
pub use span::Span;
pub use statement::{CheckpointClaims, ExportClaims, Statement};
pub use timetable::Timetable;

/// Encoding of binary values in URLs, enrolment texts and JWS: URL-safe base64 without padding (RFC 4648 §5).
pub use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

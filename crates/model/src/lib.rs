//! Longshore's vocabulary: ids, devices, recordings, requests, receipts and the clocks that they are dated by.
//!
//! Nothing here does I/O or knows of actors, HTTP or the disk.

mod blocks;
mod checksum;
mod clock;
mod device;
mod device_clock;
mod id;
mod receipt;
mod recording;
mod report;
mod request;
mod span;

pub use blocks::{BLOCK_BYTES, BlockSums, RunningBlocks, WrongCount};
pub use checksum::{DamagedHashState, HashState, RunningHash, Sha256};
pub use clock::{Clock, SettableClock, SystemClock};
pub use device::{Assignment, Description, Device, DeviceState, EnrolToken, Enrolment, EnrolmentState, UploadToken};
pub use device_clock::{ClockSample, DeviceClock};
pub use id::{CommandId, DeviceId, EnrolmentId, InvalidId, RecordingId, RequestId, StorageId, TokenId, UploadId};
pub use receipt::{Jwk, Jwks, ReceiptClaims, ReceiptError, ReceiptKey, ReceiptVerifier};
pub use recording::{Declared, Kind, Recording, UnknownKind};
pub use report::{CardSpace, Command, CommandOp, DeviceReport, Network, NetworkKind, ReportedProfile};
pub use request::{Holds, Outcome, VideoRequest};
pub use span::Span;

/// Encoding of binary values in URLs, enrolment texts and JWS: URL-safe base64 without padding (RFC 4648 §5).
pub use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

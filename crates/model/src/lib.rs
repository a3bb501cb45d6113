//! Longshore's vocabulary: ids, devices, recordings, receipts and the clock they are dated by.
//!
//! Nothing here does I/O or knows of actors, HTTP or the disk.

mod blocks;
mod checksum;
mod clock;
mod device;
mod id;
mod receipt;
mod recording;

pub use blocks::{BLOCK_BYTES, BlockSums, RunningBlocks, WrongCount};
pub use checksum::{DamagedHashState, HashState, RunningHash, Sha256};
pub use clock::{Clock, SettableClock, SystemClock};
pub use device::{Assignment, Description, Device, DeviceState, EnrolToken, Enrolment, EnrolmentState, UploadToken};
pub use id::{DeviceId, EnrolmentId, InvalidId, RecordingId, StorageId, TokenId, UploadId};
pub use receipt::{Jwk, Jwks, ReceiptClaims, ReceiptError, ReceiptKey, ReceiptVerifier};
pub use recording::{Declared, Kind, Recording, UnknownKind};

/// Encoding of binary values in URLs, enrolment texts and JWS: URL-safe base64 without padding (RFC 4648 §5).
pub use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

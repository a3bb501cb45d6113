//! What a session is asked and told, and how it can refuse.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use chrono::{DateTime, Utc};
use longshore_model::{BlockSums, Declared, DeviceId, RecordingId, Sha256, UploadId};
use longshore_store::catalogue::RecordError;
use longshore_store::index::IndexError;
use tokio::sync::{Semaphore, oneshot, watch};

use super::plan::Verdict;
use super::session::Desires;
use crate::kit::Ended;
use crate::storage::StorageError;
use crate::upload::{CompleteError, Receipted, UploadStream};

/// Bounds on one device, and on all together.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests with a body open on the uploads of all devices at once; each takes at most 2 MiB of memory.
    pub patches_in_all: usize,
    /// Requests with a body open on its uploads at once.
    pub open_patches: usize,
    /// Uploads begun and not finished.
    pub unfinished_uploads: usize,
    /// Items of one answer to an offer that may come at once; the others wait for the next, so that the order can
    /// change meanwhile.
    pub uploads_per_answer: u32,
    /// Bytes of the longest recording.
    pub upload_bytes: u64,
}

/// Why an offer got no answer.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The journal.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The session did not answer.
    #[error("the device's session does not answer")]
    Unavailable,
}

/// Why no upload was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The device did not offer this recording.
    #[error("the recording was not offered")]
    NotOffered,
    /// The length is not the size that was offered.
    #[error("{offered} bytes were offered")]
    SizeDiffers {
        /// Bytes that were offered.
        offered: u64,
    },
    /// It is in the store.
    #[error("the recording is stored already")]
    AlreadyStored,
    /// It is to be joined of something that is no part of this device's.
    #[error("{0} is no part; upload it again")]
    NoPart(UploadId),
    /// It is to be joined of a part that lacks bytes.
    #[error("the part {0} is not complete")]
    PartUnfinished(UploadId),
    /// Its parts together are too long.
    #[error("a recording has at most {0} bytes")]
    TooLong(u64),
    /// The answer to its offer is not to send it now.
    #[error("the recording should not come now; the answer to its offer says why")]
    NotNow,
    /// The device has begun more uploads than it may.
    #[error("the device has too many unfinished uploads")]
    TooManyUnfinished,
    /// The disk.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// An earlier upload of it is complete, and did not become a recording.
    #[error(transparent)]
    Complete(#[from] CompleteError),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The session did not answer.
    #[error("the device's session does not answer")]
    Unavailable,
}

/// Why a request does not get hold of a transfer.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// This device has no such upload.
    #[error("there is no such upload")]
    NotFound,
    /// It did not come further for so long that it was given up.
    #[error("the upload expired, and what it brought is discarded")]
    Expired,
    /// The device has declared another content since.
    #[error("another size or SHA-256 was offered since; create an upload for what the recording is now")]
    SourceChanged,
    /// A newer request came while this one waited.
    #[error("a newer request took this upload over")]
    Superseded,
    /// More requests with a body than the device may have open.
    #[error("the device has too many uploads open at once")]
    TooMany,
    /// More requests with a body than the server has room for.
    #[error("the server takes in as much as it has room for; come back in a moment")]
    Crowded,
    /// The transfer failed too often and rests.
    #[error("this transfer failed too often; it rests for {} s", .0.as_secs())]
    Parked(Duration),
    /// The server is stopping.
    #[error("the server is stopping")]
    Draining,
    /// The disk.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The session or the transfer did not answer.
    #[error("the transfer does not answer")]
    Unavailable,
}

impl AttachError {
    /// Whether the disk, or what waits for it, only takes its time: what is durable is known all the same.
    pub fn is_slowness(&self) -> bool {
        let slow = [StorageError::Slow, StorageError::Busy, StorageError::Placing];
        matches!(self, Self::Unavailable) || matches!(self, Self::Storage(error) if slow.contains(error))
    }
}

/// "I hold these recordings."
#[derive(Message)]
#[rtype(result = "Result<Vec<Verdict>, OfferError>")]
pub(crate) struct Offer {
    pub(crate) items: Vec<Declared>,
    /// What the device's clock showed.
    pub(crate) wall: Option<DateTime<Utc>>,
}

/// What an upload is to bring.
#[derive(Debug, Clone)]
pub enum Brings {
    /// A recording that was offered.
    Offered {
        /// Which.
        rid: RecordingId,
        /// Its bytes, as the request says; the offer said it before.
        length: Option<u64>,
    },
    /// One that nobody offered: what the client says of it now is all that is known. If it has parts, the server joins it of
    /// them.
    Declared(Box<Declared>),
    /// A part of one that is declared later.
    Part {
        /// Its bytes, if they are known yet.
        length: Option<u64>,
    },
}

/// Make an upload.
#[derive(Message)]
#[rtype(result = "Result<Created, CreateError>")]
pub(crate) struct CreateUpload(pub(crate) Brings);

/// Why an upload was not given up.
#[derive(Debug, thiserror::Error)]
pub enum TerminateError {
    /// This device has no such upload.
    #[error("there is no such upload")]
    NotFound,
    /// It was given up before, since it did not come further.
    #[error("the upload expired, and what it brought is discarded")]
    Expired,
    /// A recording is not given up by who sent it.
    #[error("it is complete, and a recording in the store; the device may delete its copy on the receipt")]
    AlreadyStored,
    /// It was whole, and could not be looked after; or the disk refused.
    #[error(transparent)]
    Complete(#[from] CompleteError),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The session did not answer.
    #[error("the device's session does not answer")]
    Unavailable,
}

/// Give an upload up, and what it brought.
#[derive(Message)]
#[rtype(result = "Result<(), TerminateError>")]
pub(crate) struct Terminate(pub(crate) UploadId);

/// Give up an upload that did not come further for too long.
#[derive(Message)]
#[rtype(result = "Result<(), TerminateError>")]
pub(crate) struct Expire(pub(crate) UploadId);

/// An upload that a device may send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Created {
    /// Its id.
    pub upload: UploadId,
    /// Bytes that are durable already, when the same recording was begun before.
    pub offset: u64,
    /// Bytes of the whole recording, if they are known.
    pub length: Option<u64>,
}

/// How long a device waits for the end of a comparison before it has to ask again; clients give up after a minute.
pub(crate) const REPAIR_WAIT: Duration = Duration::from_secs(40);

/// Compare what came of a recording, and was not what was declared, with its checksums block by block.
#[derive(Message)]
#[rtype(result = "Result<Created, RepairError>")]
pub(crate) struct Repair {
    pub(crate) rid: RecordingId,
    pub(crate) sums: BlockSums,
}

/// Why an upload was not repaired.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// Nothing of this recording lies aside.
    #[error("nothing is kept of this recording that could be repaired: offer it again")]
    NothingAside,
    /// It is in the store.
    #[error("the recording is stored already")]
    AlreadyStored,
    /// Its bytes were wrong too often.
    #[error("the recording should not come now; the answer to its offer says why")]
    NotNow,
    /// The list is not of the size that was offered.
    #[error("{offered} bytes were offered")]
    SizeDiffers {
        /// Bytes that were offered.
        offered: u64,
    },
    /// The list is not of the checksum that was offered.
    #[error("{offered} was offered as the SHA-256 of the whole: offer again with the right one, then ask again")]
    ChecksumDiffers {
        /// The checksum that was offered.
        offered: Sha256,
    },
    /// The blocks are right, so the checksum of the whole is wrong.
    #[error("every block is as it came, and together they have the SHA-256 {found}: the declared one is wrong")]
    Contradicts {
        /// The checksum of all blocks.
        found: Sha256,
    },
    /// The disk.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// It takes long, or the session does not answer.
    #[error("the recording is being compared, or the device's session does not answer: ask again")]
    Unavailable,
}

/// Find the transfer of an upload.
#[derive(Message)]
#[rtype(result = "Result<Holding, AttachError>")]
pub(crate) struct Hold {
    pub(crate) upload: UploadId,
    /// Whether the request brings a body and counts against the bound.
    pub(crate) with_body: bool,
}

/// Let an upload that has all its bytes become a recording, though no request asks for it. Answers who sees to that now.
#[derive(Message)]
#[rtype(result = "Result<Option<Addr<UploadStream>>, AttachError>")]
pub(crate) struct CompleteWhole(pub(crate) UploadId);

/// What an upload is now.
pub(crate) enum Holding {
    /// A transfer to attach to, and the places that a request with a body needs one of.
    Stream(Addr<UploadStream>, Option<Arc<Semaphore>>),
    /// A recording in the store.
    Stored(Receipted),
}

/// What the server wants of the device, and a way to hear when that changes.
#[derive(Message)]
#[rtype(result = "Result<watch::Receiver<Arc<Desires>>, IndexError>")]
pub(crate) struct Want;

/// A poll of the device waits for news; one that waited before has to end. The receiver ends when this one has to.
#[derive(Message)]
#[rtype(result = "oneshot::Receiver<()>")]
pub(crate) struct Park;

/// What the server wants of this device may have changed.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct LookAgain(pub(crate) DeviceId);

/// A transfer's actor ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct UploadEnded {
    pub(crate) upload: UploadId,
    pub(crate) ended: Ended,
    /// Nobody was there to take the receipt.
    pub(crate) offer_again: bool,
}

/// The device has no business here any more.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct End;

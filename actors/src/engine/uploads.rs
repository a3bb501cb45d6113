//! What devices bring: offers, uploads, deletions.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use chrono::{DateTime, FixedOffset, Utc};
use longshore_model::{BlockSums, Declared, DeviceId, ReceiptError, RecordingId, UploadId};
use longshore_store::incoming::Unfinished;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Engine, EngineError};
use crate::deletions;
use crate::kit::{ASK_DEADLINE, ask, blocking};
use crate::sessions::{
    AttachError, Brings, CreateError, CreateUpload, Created, DeviceSession, Find, Hold, Holding, Offer, OfferError,
    REPAIR_WAIT, Repair, RepairError, Terminate, TerminateError, Verdict,
};
use crate::upload::{Attach, Attachment, Wants};

/// How long a request waits to get hold of a transfer: the take-over gives up after one second, opening a file on a
/// slow share may take longer.
const ATTACH_DEADLINE: Duration = Duration::from_secs(10);

/// What a request holds after it attached.
pub enum Held {
    /// A transfer.
    Transfer(Box<Attachment>),
    /// Nothing more to do: the recording is in the store.
    Stored {
        /// The recording.
        rid: RecordingId,
        /// Bytes of the recording.
        length: u64,
        /// The signed receipt; withheld from a device that is suspended.
        receipt: Option<String>,
    },
}

impl Engine {
    /// Answers what a device offers, item by item; `wall` is what its clock showed.
    ///
    /// # Errors
    /// [`OfferError`].
    pub async fn offer(
        &self,
        device: DeviceId,
        items: Vec<Declared>,
        wall: Option<DateTime<Utc>>,
    ) -> Result<Vec<Verdict>, OfferError> {
        let session = self.session(device).await.ok_or(OfferError::Unavailable)?;
        ask(&session, Offer { items, wall }, ASK_DEADLINE).await.unwrap_or(Err(OfferError::Unavailable))
    }

    /// Makes an upload, or finds the one of the same recording that was made before.
    ///
    /// # Errors
    /// [`CreateError`].
    pub async fn create_upload(&self, device: DeviceId, brings: Brings) -> Result<Created, CreateError> {
        let session = self.session(device).await.ok_or(CreateError::Unavailable)?;
        ask(&session, CreateUpload(brings), ASK_DEADLINE).await.unwrap_or(Err(CreateError::Unavailable))
    }

    /// Gives an upload up, and what it brought; requests that hang on it have to let go.
    ///
    /// # Errors
    /// [`TerminateError`].
    pub async fn terminate(&self, device: DeviceId, upload: UploadId) -> Result<(), TerminateError> {
        let session = self.session(device).await.ok_or(TerminateError::Unavailable)?;
        ask(&session, Terminate(upload), ASK_DEADLINE).await.unwrap_or(Err(TerminateError::Unavailable))
    }

    /// Lets an upload go on whose bytes were not those that were declared: after those blocks of it that are. Asked again, it
    /// answers where that upload is now.
    ///
    /// # Errors
    /// [`RepairError`].
    pub async fn repair(&self, device: DeviceId, rid: RecordingId, sums: BlockSums) -> Result<Created, RepairError> {
        let session = self.session(device).await.ok_or(RepairError::Unavailable)?;
        ask(&session, Repair { rid, sums }, REPAIR_WAIT).await.unwrap_or(Err(RepairError::Unavailable))
    }

    /// Gets hold of a transfer; an older request on it has to let go, and what it brought is committed first.
    ///
    /// # Errors
    /// [`AttachError`].
    pub async fn attach(&self, device: DeviceId, upload: UploadId, wants: Wants) -> Result<Held, AttachError> {
        let session = self.session(device).await.ok_or(AttachError::Unavailable)?;
        // The transfer may end between the two questions, because it became a recording; then the answer is new.
        for _ in 0..2 {
            let hold = Hold { upload, with_body: wants != Wants::Offset };
            let holding = ask(&session, hold, ASK_DEADLINE).await.unwrap_or(Err(AttachError::Unavailable))?;
            let (stream, places) = match holding {
                Holding::Stored(stored) => {
                    return Ok(Held::Stored { rid: stored.rid, length: stored.length, receipt: stored.receipt });
                }
                Holding::Stream(stream, places) => (stream, places),
            };
            let (reply, answer) = oneshot::channel();
            if stream.try_send(Attach { places, whole: wants == Wants::AppendWhole, reply }).is_err() {
                continue;
            }
            match timeout(ATTACH_DEADLINE, answer).await {
                Ok(Ok(attached)) => return attached.map(|attachment| Held::Transfer(Box::new(attachment))),
                Ok(Err(_)) => {}
                Err(_) => return Err(AttachError::Unavailable),
            }
        }
        Err(AttachError::Unavailable)
    }

    /// What is durable of this upload, without touching the transfer.
    pub fn unfinished(&self, device: DeviceId, upload: UploadId) -> Option<Unfinished> {
        self.incoming.find(device, upload)
    }

    /// All uploads of this device that are not finished.
    pub fn unfinished_of(&self, device: DeviceId) -> Vec<Unfinished> {
        self.incoming.of_device(device)
    }

    /// Checks receipts that a device deleted on, and records those that are ours and its own. One result for each.
    ///
    /// # Errors
    /// [`EngineError`] if nothing could be recorded.
    pub async fn record_deletions(
        &self,
        device: DeviceId,
        deletions: Vec<(String, DateTime<FixedOffset>)>,
    ) -> Result<Vec<Result<RecordingId, ReceiptError>>, EngineError> {
        let (index, verifier) = (self.catalogue.index().clone(), Arc::clone(&self.verifier));
        // Off the network's threads, the signatures too: a thousand of them take a tenth of a second.
        let checked = blocking(move || deletions::check(&index, &verifier, device, deletions)).await?;
        if !checked.news.is_empty() {
            let recording = self.catalogue.record(checked.news);
            timeout(ASK_DEADLINE, recording).await.map_err(|_| EngineError::Unavailable)??;
        }
        Ok(checked.results)
    }

    pub(super) async fn session(&self, device: DeviceId) -> Option<Addr<DeviceSession>> {
        self.sessions.ask(Find(device), ASK_DEADLINE).await.ok().flatten()
    }
}

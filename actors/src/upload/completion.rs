//! From the last byte to the receipt.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use longshore_model::{
    Clock, Device, DeviceClock, DeviceId, ReceiptError, ReceiptKey, Recording, RecordingId, Sha256, UploadId,
    health_type,
};
use longshore_store::catalogue::{Catalogue, DecideError, RecordError};
use longshore_store::facts::{Fact, StorageFact};
use longshore_store::incoming::Transfer;
use longshore_store::index::{DeclaredRow, IndexError};
use longshore_store::manifest::Manifest;
use longshore_store::{Identity, Purpose};
use tokio::time::sleep;

use crate::health::{Notice, Notices};
use crate::kit::{Line, blocking};
use crate::requests::{RecordingStored, RequestQueue};
use crate::storage::{Clear, Discard, Place, PutAside, ReadBack, RollForward, StorageError, StorageWriter};

/// Why no recording came of a complete transfer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CompleteError {
    /// The bytes are not those that the device declared; the upload is put aside, or discarded.
    #[error("{declared} was declared, {found} arrived")]
    Mismatch {
        /// What the device declared.
        declared: Sha256,
        /// What arrived.
        found: Sha256,
    },
    /// The disk refused; the upload is whole and the next request on it tries again.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The journal refused; likewise.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The server's own fault.
    #[error("{0}")]
    Internal(String),
}

impl From<IndexError> for CompleteError {
    fn from(error: IndexError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<ReceiptError> for CompleteError {
    fn from(error: ReceiptError) -> Self {
        Self::Internal(error.to_string())
    }
}

/// A recording that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receipted {
    /// The recording.
    pub(crate) rid: RecordingId,
    /// Bytes of the recording.
    pub(crate) length: u64,
    /// The signed receipt; withheld from a device that is suspended.
    pub(crate) receipt: Option<String>,
}

/// Between two tries to remove what is left of an upload while the storage's writer is restarted …
const CLEAR_WAIT: Duration = Duration::from_millis(500);
/// … and how many: longer than its first restarts take. Else it counts as unfinished until the next start.
const CLEAR_TRIES: u32 = 6;

/// What the index says of an upload.
struct Known {
    device: Device,
    row: DeclaredRow,
    /// All contents under its id, by revision.
    stored: Vec<Manifest>,
    /// How the device's clock went.
    clock: DeviceClock,
}

/// What the index says of bytes that arrived.
enum Judged {
    /// They are stored already.
    Stored(Receipted),
    /// They are to be placed.
    New(Arc<Transfer>, Box<Known>),
}

/// What completing needs.
#[derive(Clone)]
pub(crate) struct Completer {
    pub(crate) writer: Line<StorageWriter>,
    /// Hears of what is stored.
    pub(crate) requests: Line<RequestQueue>,
    pub(crate) catalogue: Catalogue,
    pub(crate) key: Arc<ReceiptKey>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) notices: Notices,
}

impl Completer {
    /// Compares the checksum, signs, places, records; the receipt may be sent when this returns.
    pub(crate) async fn complete(&self, transfer: Arc<Transfer>, found: Sha256) -> Result<Receipted, CompleteError> {
        let (identity, length, received_at) = (transfer.identity(), transfer.committed().offset, self.clock.now());
        let Some(rid) = identity.rid() else {
            return Err(CompleteError::Internal("a part is to become a recording".to_owned()));
        };
        let transfer = match self.judge(transfer, rid, found).await? {
            Judged::Stored(receipted) => return Ok(receipted),
            Judged::New(transfer, _) => transfer,
        };
        let read_back = ReadBack { transfer: Arc::clone(&transfer), came: found };
        if let Some(medium) = self.writer.send(read_back).await.map_err(StorageError::from)?? {
            return Err(self.altered(transfer, rid, found, medium).await);
        }
        // That took its time; what people changed, and what the device declared meanwhile, counts.
        let (transfer, known) = match self.judge(transfer, rid, found).await? {
            Judged::Stored(receipted) => return Ok(receipted),
            Judged::New(transfer, known) => (transfer, known),
        };
        let Known { row, stored, device, clock } = *known;
        let revision = stored.last().map_or(1, |newest| newest.recording.revision + 1);
        let now = self.clock.now();
        let content = Content { length, sha256: found, revision, received_at };
        let recording = recording_of(&device, row, &clock, &identity, content, now);
        let manifest = Manifest::sign(recording, now, &self.key)?;
        let manifest = self.writer.send(Place(manifest, transfer)).await.map_err(StorageError::from)??;
        self.record(manifest).await
    }

    /// Compares what arrived with what the index says now.
    async fn judge(&self, transfer: Arc<Transfer>, rid: RecordingId, found: Sha256) -> Result<Judged, CompleteError> {
        let (identity, length) = (transfer.identity(), transfer.committed().offset);
        let known = self.known(identity.device, rid).await?;
        // A device that had no time to compute it before may have declared it since.
        let declared = identity.sha256.or(known.row.declared.sha256);
        if let Some(declared) = declared.filter(|declared| *declared != found) {
            return Err(self.mismatch(transfer, &known.device, rid, declared, found).await);
        }
        let Some(stored) = known.stored.iter().find(|stored| stored.recording.sha256 == found) else {
            return Ok(Judged::New(transfer, Box::new(known)));
        };
        // Its first copy was recorded while this one was on its way.
        let receipt = Some(stored.receipt.clone()).filter(|_| known.device.state.gets_receipts());
        drop(transfer);
        self.clear_up(identity.upload, Clear::GivenUp).await;
        Ok(Judged::Stored(Receipted { rid, length, receipt }))
    }

    async fn known(&self, device: DeviceId, rid: RecordingId) -> Result<Known, CompleteError> {
        let index = self.catalogue.index().clone();
        let known = blocking(move || {
            let (row, stored) = (index.declared(device, rid)?, index.stored(device, rid)?);
            Ok((index.device(device)?, row, stored, index.clock(device)?))
        });
        match known.await? {
            (Some(device), Some(row), stored, clock) => Ok(Known { device, row, stored, clock }),
            _ => Err(CompleteError::Internal("the upload's device or declaration is not in the index".to_owned())),
        }
    }

    /// Completes what an earlier try had begun to place.
    pub(crate) async fn roll_forward(&self, upload: UploadId) -> Result<Receipted, CompleteError> {
        let manifest = self.writer.send(RollForward(upload)).await.map_err(StorageError::from)??;
        self.record(manifest).await
    }

    async fn record(&self, manifest: Manifest) -> Result<Receipted, CompleteError> {
        self.catalogue.record_stored(&manifest).await.map_err(|error| match error {
            DecideError::Refused(error) => CompleteError::Internal(error.to_string()),
            DecideError::Index(error) => error.into(),
            DecideError::Record(error) => error.into(),
        })?;
        let Manifest { recording, receipt, .. } = manifest;
        tracing::info!(
            recording.path, recording.size, recording.sha256 = %recording.sha256, device.serial = recording.serial,
            "recording stored"
        );
        self.requests.tell(RecordingStored(recording.device));
        self.notices_are_over(recording.device);
        self.clear_up(recording.upload, Clear::Finished).await;
        // Looked at last: the device may have been suspended while all this took its time.
        let (index, device) = (self.catalogue.index().clone(), recording.device);
        let device = blocking(move || index.device(device)).await?;
        let receipt = Some(receipt).filter(|_| device.is_some_and(|device| device.state.gets_receipts()));
        Ok(Receipted { rid: recording.rid, length: recording.size, receipt })
    }

    /// A device whose recording was stored gets further again.
    fn notices_are_over(&self, device: DeviceId) {
        for kind in [health_type::UPLOAD_STALLED, health_type::UPLOAD_STORM] {
            self.notices.over(Notice::of_device(device, kind));
        }
    }

    async fn mismatch(
        &self,
        transfer: Arc<Transfer>,
        device: &Device,
        rid: RecordingId,
        declared: Sha256,
        found: Sha256,
    ) -> CompleteError {
        let Identity { upload, purpose, .. } = transfer.identity();
        // Clients with a token alone know nothing of repairs, nor does one whose parts the server joined.
        let may_repair = device.key.is_some() && matches!(purpose, Purpose::Recording(_));
        let device = device.id;
        let notice = Notice::of_device(device, health_type::UPLOAD_CHECKSUM_MISMATCH);
        self.notices.happened(notice.text(format!("the recording {rid}: {declared} was declared, {found} arrived")));
        tracing::warn!(%device, %rid, %declared, %found, "the bytes that arrived are not those that were declared");
        if let Err(error) = self.catalogue.record(vec![Fact::Mismatched { device, rid, upload, declared, found }]).await
        {
            return error.into();
        }
        if may_repair {
            let put_aside = self.writer.send(PutAside { transfer, altered: false }).await;
            let Err(error) = put_aside.unwrap_or(Err(StorageError::Unavailable)) else {
                return CompleteError::Mismatch { declared, found };
            };
            tracing::warn!(%upload, %error, "an upload whose bytes differ cannot be kept for repair");
        } else {
            drop(transfer);
        }
        self.clear_up(upload, Clear::GivenUp).await;
        CompleteError::Mismatch { declared, found }
    }

    /// The medium has other bytes than came, whoever reads them. What came is acknowledged, and a client that knows no receipts
    /// may have deleted its own: so nothing is discarded but what the server can join anew of its parts.
    async fn altered(&self, transfer: Arc<Transfer>, rid: RecordingId, came: Sha256, medium: Sha256) -> CompleteError {
        let Identity { device, upload, purpose, .. } = transfer.identity();
        let why = "the storage gives back other bytes than were written: check its disk, or its share's server";
        tracing::error!(%device, %rid, %upload, %came, %medium, "{why}");
        self.notices.happened(Notice::of_server(health_type::DISK_ALTERED).text(why));
        let fact = StorageFact::Altered { device, rid, upload, came, medium };
        if let Err(error) = self.catalogue.record(vec![Fact::Storage(fact)]).await {
            return error.into();
        }
        if matches!(purpose, Purpose::Joined(_)) {
            drop(transfer);
            self.clear_up(upload, Clear::GivenUp).await;
        } else if let Err(error) =
            self.writer.send(PutAside { transfer, altered: true }).await.unwrap_or(Err(StorageError::Unavailable))
        {
            // It stays whole, and is read again when its time comes.
            return error.into();
        }
        StorageError::Damaged(why.to_owned()).into()
    }

    /// What is left of an upload is removed at the next start at the latest.
    async fn clear_up(&self, upload: UploadId, why: Clear) {
        for _ in 0..CLEAR_TRIES {
            match self.writer.send(Discard(upload, why)).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => {
                    tracing::warn!(%upload, %error, "an upload's incoming folder could not be removed");
                    return;
                }
                Err(_) => sleep(CLEAR_WAIT).await,
            }
        }
        tracing::warn!(%upload, "an upload's incoming folder could not be removed: no writer");
    }
}

/// What arrived.
struct Content {
    length: u64,
    sha256: Sha256,
    revision: u32,
    received_at: DateTime<Utc>,
}

fn recording_of(
    device: &Device,
    row: DeclaredRow,
    clock: &DeviceClock,
    identity: &Identity,
    Content { length, sha256, revision, received_at }: Content,
    now: DateTime<Utc>,
) -> Recording {
    let declared = row.declared;
    let (true_start, true_end) = declared.true_times(clock);
    let said = if declared.clock_unset { now } else { declared.start.to_utc() };
    let start = true_start.unwrap_or(said);
    Recording {
        device: device.id,
        rid: declared.rid,
        revision,
        serial: device.serial.clone(),
        model: device.model.clone(),
        assignee: device.assignee_at(start).map(str::to_owned),
        camera: declared.camera,
        kind: declared.kind,
        event_type: declared.event_type,
        start: declared.start,
        end: declared.end,
        clock_unset: declared.clock_unset,
        true_start,
        true_end,
        size: length,
        sha256,
        attested: identity.sha256.or(declared.sha256).is_some(),
        held: !device.state.gets_receipts(),
        original_name: declared.filename,
        received_at: Some(received_at),
        verified_at: now,
        upload: identity.upload,
        path: String::new(),
    }
}

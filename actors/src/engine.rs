//! Composition: which actors there are, in the order in which they start, and the one face that they show.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use actix_rt::{Arbiter, ArbiterHandle};
use chrono::{DateTime, FixedOffset, Utc};
use longshore_model::{
    Clock, Declared, Device, DeviceId, DeviceState, Enrolment as EnrolmentRecord, EnrolmentId, ReceiptError,
    ReceiptKey, ReceiptVerifier, RecordingId, Sha256, UploadId,
};
use longshore_store::catalogue::{Catalogue, DecideError, RecordError};
use longshore_store::facts::Fact;
use longshore_store::files::{Files, Standing};
use longshore_store::incoming::{Incoming, Unfinished};
use longshore_store::index::IndexError;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::deletions;
use crate::enrolment::{
    self, Approval, ApprovalOf, Approve, ApproveRefused, Change, ChangeRefused, ChangeStanding, Claim, ClaimRefused,
    EnrolError, Enrolment, Issue, IssuedToken, Request, Watch,
};
use crate::kit::{self, ASK_DEADLINE, ActorStatus, Board, Line, Probe, Started, ask};
use crate::sessions::{
    AttachError, CreateError, CreateUpload, Created, DeviceSession, DeviceSessions, EndSession, Find, Hold, Holding,
    Limits, Offer, OfferAgain, OfferError, SessionParts, Terminate, TerminateError, Verdict,
};
use crate::storage::{Floor, OTHER_BLOCKING, POOL, StorageParts};
use crate::tree::Tree;
use crate::upload::{Attach, Attachment, Completer, SegmentPool, Wants, blocking};

/// How long a request waits to get hold of a transfer: the take-over gives up after one second, opening a file on a
/// slow share may take longer.
const ATTACH_DEADLINE: Duration = Duration::from_secs(10);

/// What the engine is made of.
pub struct Parts {
    /// The storage folder.
    pub files: Arc<dyn Files>,
    /// Uploads on their way in it.
    pub incoming: Incoming,
    /// Journal and index.
    pub catalogue: Catalogue,
    /// Signs receipts.
    pub receipt_key: Arc<ReceiptKey>,
    /// Dates what people read.
    pub clock: Arc<dyn Clock>,
    /// Room that is kept free on the storage.
    pub floor: Floor,
    /// Bounds on one device.
    pub limits: Limits,
}

/// A part of the engine failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The journal.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The engine's thread.
    #[error("the engine cannot be started: {0}")]
    Start(#[from] io::Error),
    /// Its own receipt key.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// The storage is not there, or can only be read.
    #[error("{0}")]
    Storage(Standing),
    /// An actor does not answer.
    #[error("a part of the server is not available now")]
    Unavailable,
}

impl From<DecideError<Infallible>> for EngineError {
    fn from(error: DecideError<Infallible>) -> Self {
        match error {
            DecideError::Refused(never) => match never {},
            DecideError::Index(error) => Self::Index(error),
            DecideError::Record(error) => Self::Record(error),
        }
    }
}

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

/// The engine's face: cheap to clone, usable from any thread that has a runtime.
#[derive(Clone)]
pub struct Engine {
    draining: Arc<watch::Sender<bool>>,
    storage: StorageParts,
    files: Arc<dyn Files>,
    sessions: Line<DeviceSessions>,
    enrolment: Line<Enrolment>,
    board: Board,
    /// The catalogue's writer is a thread and no actor; it has its place all the same.
    writer: Probe,
    catalogue: Catalogue,
    incoming: Incoming,
    verifier: Arc<ReceiptVerifier>,
    arbiter: ArbiterHandle,
}

impl Engine {
    /// Starts the actors on a thread of their own. Must be called inside an actix system.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn start(parts: Parts) -> Result<Self, EngineError> {
        let Parts { files, incoming, catalogue, receipt_key, clock, floor, limits } = parts;
        let verifier = Arc::new(ReceiptVerifier::new(&receipt_key.jwks())?);
        // Built here, where its failure can be told.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(POOL + OTHER_BLOCKING)
            .thread_name("storage")
            .build()?;
        let arbiter = Arbiter::with_tokio_rt(move || runtime);
        let board = Board::new(Arc::clone(&clock));
        let (draining, told) = watch::channel(false);
        let storage = StorageParts::new(Arc::clone(&files), incoming.clone(), floor);
        let engine = Self {
            storage: storage.clone(),
            draining: Arc::new(draining),
            files: Arc::clone(&files),
            sessions: Line::new(),
            enrolment: Line::new(),
            writer: board.probe(None, "catalogue".to_owned(), None),
            board: board.clone(),
            catalogue: catalogue.clone(),
            incoming: incoming.clone(),
            verifier,
            arbiter: arbiter.handle(),
        };
        let (writer, enrolment, sessions) = (Line::new(), engine.enrolment.clone(), engine.sessions.clone());
        let completer = Completer { writer: writer.clone(), catalogue, key: receipt_key, clock };
        let parts = SessionParts { completer, incoming, pool: SegmentPool::default(), limits, draining: told };
        let tree = Tree { writer, enrolment, sessions, storage, parts };
        let (sender, supervisor) = oneshot::channel();
        arbiter.spawn_fn(move || {
            let _starter_gone = sender.send(tree.supervisor(board).start());
        });
        let supervisor = supervisor.await.map_err(|_| EngineError::Unavailable)?;
        ask(&supervisor, Started, ASK_DEADLINE).await.map_err(|_| EngineError::Unavailable)?;
        Ok(engine)
    }

    /// How each actor is; readable while they hang.
    pub fn actors(&self) -> Vec<ActorStatus> {
        if let Err(error) = self.catalogue.check() {
            self.writer.broke(error);
        }
        self.board.read()
    }

    /// Asks every transfer to commit and let go; from now on none is begun.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Returns when nothing that was given to the disk is left undone.
    pub async fn settled(&self) {
        self.storage.settled().await;
    }

    /// Stops the actors. What they were doing goes on from the disk at the next start.
    pub fn stop(&self) {
        self.arbiter.stop();
    }

    /// Makes an enrolment token for one device.
    ///
    /// # Errors
    /// [`EnrolError`].
    pub async fn issue_token(
        &self,
        serial: String,
        model: String,
        valid_for: Duration,
        by: String,
    ) -> Result<IssuedToken, EnrolError<Infallible>> {
        let issue = Issue { serial, model, valid_for, by };
        self.enrolment.ask(issue, ASK_DEADLINE).await.unwrap_or(Err(EnrolError::Unavailable))
    }

    /// Takes a device's request to be known.
    ///
    /// # Errors
    /// [`EnrolError`].
    pub async fn request_enrolment(&self, claim: Claim) -> Result<EnrolmentRecord, EnrolError<ClaimRefused>> {
        self.enrolment.ask(Request(claim), ASK_DEADLINE).await.unwrap_or(Err(EnrolError::Unavailable))
    }

    /// Completes the set-up of a device that waits.
    ///
    /// # Errors
    /// [`EnrolError`].
    pub async fn approve(&self, approval: Approval) -> Result<Device, EnrolError<ApproveRefused>> {
        let of_known = matches!(approval.of, ApprovalOf::KnownDevice);
        let device =
            self.enrolment.ask(Approve(approval), ASK_DEADLINE).await.unwrap_or(Err(EnrolError::Unavailable))?;
        if of_known {
            // What the old key has open ends; the new one goes on from the last commit.
            self.sessions.tell(EndSession(device.id));
        }
        Ok(device)
    }

    /// Suspends, activates or retires the device with this serial; it counts at its next request, and what a retired
    /// device has open is ended.
    ///
    /// # Errors
    /// [`EnrolError`].
    pub async fn change(
        &self,
        serial: String,
        change: Change,
        by: String,
    ) -> Result<Device, EnrolError<ChangeRefused>> {
        let changing = ChangeStanding { serial, change, by };
        let device = self.enrolment.ask(changing, ASK_DEADLINE).await.unwrap_or(Err(EnrolError::Unavailable))?;
        if device.state == DeviceState::Retired {
            self.sessions.tell(EndSession(device.id));
        }
        Ok(device)
    }

    /// The enrolment with this id, if this key made it.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn enrolment(&self, enrolment: EnrolmentId, key: Sha256) -> Result<Option<EnrolmentRecord>, EngineError> {
        Ok(enrolment::find(&self.catalogue, enrolment, key).await?)
    }

    /// A receiver that changes when this enrolment is decided; `None` when too many wait. Take it before looking.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn watch_enrolment(&self, enrolment: EnrolmentId) -> Result<Option<watch::Receiver<()>>, EngineError> {
        self.enrolment.ask(Watch(enrolment), ASK_DEADLINE).await.map_err(|_| EngineError::Unavailable)
    }

    /// The device that holds this key. Its first call puts it in service.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn identify(&self, key: Sha256) -> Result<Option<Device>, EngineError> {
        let index = self.catalogue.index().clone();
        let device = blocking(move || index.device_by_key(key)).await?;
        if device.as_ref().is_none_or(|device| device.state != DeviceState::Approved) {
            return Ok(device);
        }
        // Decided, not just recorded: its first calls may come at once, and an admin may suspend it between them.
        let activating = self.catalogue.decide(move |index| {
            let mut device = index.device_by_key(key)?;
            let waits = device.as_mut().filter(|device| device.state == DeviceState::Approved);
            let facts = waits.map_or_else(Vec::new, |device| {
                device.state = DeviceState::Active;
                vec![Fact::DeviceActivated { device: device.id }]
            });
            Ok(Ok::<_, Infallible>((facts, device)))
        });
        Ok(timeout(ASK_DEADLINE, activating).await.map_err(|_| EngineError::Unavailable)??)
    }

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

    /// Makes an upload for an offered recording, or finds the one that was made before.
    ///
    /// # Errors
    /// [`CreateError`].
    pub async fn create_upload(&self, device: DeviceId, rid: RecordingId, length: u64) -> Result<Created, CreateError> {
        let session = self.session(device).await.ok_or(CreateError::Unavailable)?;
        ask(&session, CreateUpload { rid, length }, ASK_DEADLINE).await.unwrap_or(Err(CreateError::Unavailable))
    }

    /// Gives an upload up, and what it brought; requests that hang on it have to let go.
    ///
    /// # Errors
    /// [`TerminateError`].
    pub async fn terminate(&self, device: DeviceId, upload: UploadId) -> Result<(), TerminateError> {
        let session = self.session(device).await.ok_or(TerminateError::Unavailable)?;
        ask(&session, Terminate(upload), ASK_DEADLINE).await.unwrap_or(Err(TerminateError::Unavailable))
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

    /// Counts up whenever this device should offer again.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn offer_again(&self, device: DeviceId) -> Result<u64, EngineError> {
        let session = self.session(device).await.ok_or(EngineError::Unavailable)?;
        ask(&session, OfferAgain, ASK_DEADLINE).await.map_err(|_| EngineError::Unavailable)
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

    /// Whether the journal takes facts, the storage is there and the actors answer.
    ///
    /// # Errors
    /// [`EngineError`], if not.
    pub async fn check(&self) -> Result<(), EngineError> {
        self.catalogue.check()?;
        match self.files.standing() {
            Standing::Ready => {}
            standing => return Err(EngineError::Storage(standing)),
        }
        // Shows that the engine's thread lives; the board tells of the others on it.
        let probe = Watch(EnrolmentId::from_bytes([0; 16]));
        self.enrolment.ask(probe, Duration::from_secs(2)).await.map_err(|_| EngineError::Unavailable)?;
        let rests = |row: &ActorStatus| row.parent.is_none() && row.state != kit::ActorState::Running;
        if self.board.read().iter().any(rests) { Err(EngineError::Unavailable) } else { Ok(()) }
    }

    /// Journal and index, for reading.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    async fn session(&self, device: DeviceId) -> Option<Addr<DeviceSession>> {
        self.sessions.ask(Find(device), ASK_DEADLINE).await.ok().flatten()
    }
}

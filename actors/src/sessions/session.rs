//! DeviceSession: one connected device; what it offers, what it may send now, and the transfers that are running.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::fut::ready;
use actix::prelude::*;
use chrono::{DateTime, Datelike, TimeDelta, Utc};
use longshore_model::{Declared, DeviceId, RecordingId, UploadId};
use longshore_store::Identity;
use longshore_store::catalogue::RecordError;
use longshore_store::facts::Fact;
use longshore_store::incoming::{Incoming, Unfinished};
use longshore_store::index::{Index, IndexError};
use longshore_store::manifest::Manifest;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use super::plan::{self, Known, Verdict};
use super::{DeviceSessions, SessionEnded};
use crate::storage::{Clear, Discard, Reserve, StorageError};
use crate::upload::{Close, CompleteError, Completer, Drain, Receipted, SegmentPool, UploadStream, blocking};

/// How long a device that does not call keeps its session; longer than any keep-alive or long-poll.
const IDLE: Duration = Duration::from_secs(15 * 60);
/// How long a transfer may take to let go of a file that is to be discarded; then the device comes again.
const CLOSE: Duration = Duration::from_secs(2);
/// A device's clock that differs more than this from ours is not believed.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::days(1);

/// Cameras whose clock was never set count from 1970, 1980 or 2000; no recording is older than this.
const FIRST_YEAR: i32 = 2010;

/// What every session needs.
#[derive(Clone)]
pub(crate) struct SessionParts {
    pub(crate) completer: Completer,
    pub(crate) incoming: Incoming,
    pub(crate) pool: SegmentPool,
    pub(crate) limits: Limits,
}

/// Bounds on one device.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests with a body open on its uploads at once.
    pub open_patches: usize,
    /// Uploads begun and not finished.
    pub unfinished_uploads: usize,
    /// Items of one answer to an offer that may come at once; the others wait for the next, so that the order can
    /// change meanwhile.
    pub uploads_per_answer: u32,
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
    /// A newer request came while this one waited.
    #[error("a newer request took this upload over")]
    Superseded,
    /// More requests with a body than the device may have open.
    #[error("the device has too many uploads open at once")]
    TooMany,
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

/// Make an upload for an offered recording.
#[derive(Message)]
#[rtype(result = "Result<Created, CreateError>")]
pub(crate) struct CreateUpload {
    pub(crate) rid: RecordingId,
    pub(crate) length: u64,
}

/// An upload that a device may send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Created {
    /// Its id.
    pub upload: UploadId,
    /// Bytes that are durable already, when the same recording was begun before.
    pub offset: u64,
}

/// Find the transfer of an upload.
#[derive(Message)]
#[rtype(result = "Result<Holding, AttachError>")]
pub(crate) struct Hold {
    pub(crate) upload: UploadId,
    /// Whether the request brings a body and counts against the bound.
    pub(crate) with_body: bool,
}

/// What an upload is now.
pub(crate) enum Holding {
    /// A transfer to attach to.
    Stream(Addr<UploadStream>, Option<OwnedSemaphorePermit>),
    /// A recording in the store.
    Stored(Receipted),
}

/// How often the device was to offer again.
#[derive(Message)]
#[rtype(result = "u64")]
pub(crate) struct OfferAgain;

/// A transfer's actor ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct UploadEnded {
    pub(crate) upload: UploadId,
    /// Nobody was there to take the receipt.
    pub(crate) offer_again: bool,
}

/// The server is stopping.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct DrainSession;

/// The actor.
pub(crate) struct DeviceSession {
    device: DeviceId,
    router: Addr<DeviceSessions>,
    parts: SessionParts,
    streams: HashMap<UploadId, Addr<UploadStream>>,
    open_patches: Arc<Semaphore>,
    /// Held while an upload is made: a repeated request must find what the first one made.
    creating: Arc<Mutex<()>>,
    offer_again: u64,
    draining: bool,
    last_call: Instant,
    idle_timer: bool,
}

impl DeviceSession {
    pub(crate) fn new(device: DeviceId, router: Addr<DeviceSessions>, parts: SessionParts, draining: bool) -> Self {
        let open_patches = Arc::new(Semaphore::new(parts.limits.open_patches));
        Self {
            device,
            router,
            streams: HashMap::new(),
            open_patches,
            creating: Arc::default(),
            // From the clock: a session that begins after another must not count what that one counted again.
            offer_again: u64::try_from(parts.completer.clock.now().timestamp()).unwrap_or(0),
            draining,
            last_call: Instant::now(),
            idle_timer: false,
            parts,
        }
    }

    fn called(&mut self, ctx: &mut Context<Self>) {
        self.last_call = Instant::now();
        self.watch_idleness(IDLE, ctx);
    }

    /// One timer at a time, which winds itself up again: a device may call a thousand times a minute.
    fn watch_idleness(&mut self, after: Duration, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.idle_timer, true) {
            return;
        }
        ctx.run_later(after, |actor, ctx| {
            actor.idle_timer = false;
            let busy = actor.streams.values().any(Addr::connected);
            match IDLE.checked_sub(actor.last_call.elapsed()).filter(|left| !left.is_zero()) {
                Some(left) => actor.watch_idleness(left, ctx),
                None if busy => actor.watch_idleness(IDLE, ctx),
                None => ctx.stop(),
            }
        });
    }

    fn may_begin(&self) -> usize {
        self.parts.limits.unfinished_uploads.saturating_sub(self.parts.incoming.of_device(self.device).len())
    }

    fn stream(&mut self, upload: UploadId, ctx: &Context<Self>) -> Addr<UploadStream> {
        if let Some(stream) = self.streams.get(&upload).filter(|stream| stream.connected()) {
            return stream.clone();
        }
        let (completer, pool) = (self.parts.completer.clone(), self.parts.pool.clone());
        let stream = UploadStream::new(upload, ctx.address(), completer, pool, self.draining).start();
        self.streams.insert(upload, stream.clone());
        stream
    }
}

impl Actor for DeviceSession {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        self.router.do_send(SessionEnded(self.device));
    }
}

impl Handler<Offer> for DeviceSession {
    type Result = ResponseActFuture<Self, Result<Vec<Verdict>, OfferError>>;

    fn handle(&mut self, Offer { mut items, wall }: Offer, ctx: &mut Self::Context) -> Self::Result {
        self.called(ctx);
        let now = self.parts.completer.clock.now();
        let clock_wrong = wall.is_some_and(|wall| (wall - now).abs() > CLOCK_TOLERANCE);
        for item in &mut items {
            item.clock_unset =
                clock_wrong || item.start.to_utc() > now + CLOCK_TOLERANCE || item.start.year() < FIRST_YEAR;
        }
        let (device, may_begin, per_answer) = (self.device, self.may_begin(), self.parts.limits.uploads_per_answer);
        let unfinished: HashMap<RecordingId, Unfinished> =
            self.parts.incoming.of_device(device).into_iter().map(|upload| (upload.identity.rid, upload)).collect();
        let catalogue = self.parts.completer.catalogue.clone();
        let answering = async move {
            let index = catalogue.index().clone();
            let looked_up = blocking(move || look_up(&index, device, items, &unfinished)).await?;
            let news = news(&looked_up);
            let verdicts = plan::plan(&looked_up, may_begin, per_answer, now);
            if !news.is_empty() {
                catalogue.record(vec![Fact::Declared { device, items: news }]).await?;
            }
            Ok(verdicts)
        };
        Box::pin(answering.into_actor(self))
    }
}

fn look_up(
    index: &Index,
    device: DeviceId,
    items: Vec<Declared>,
    unfinished: &HashMap<RecordingId, Unfinished>,
) -> Result<Vec<(Declared, Known)>, IndexError> {
    let known = |item: &Declared| {
        Ok(Known {
            stored: index.stored(device, item.rid)?,
            unfinished: unfinished.get(&item.rid).cloned(),
            declared: index.declared(device, item.rid)?,
        })
    };
    items.into_iter().map(|item| known(&item).map(|known| (item, known))).collect()
}

/// What is new or changed, and so worth a line in the journal.
fn news(looked_up: &[(Declared, Known)]) -> Vec<Declared> {
    looked_up
        .iter()
        .filter(|(item, known)| known.declared.as_ref().is_none_or(|row| row.declared != *item))
        .map(|(item, _)| item.clone())
        .collect()
}

impl Handler<CreateUpload> for DeviceSession {
    type Result = ResponseActFuture<Self, Result<Created, CreateError>>;

    fn handle(&mut self, CreateUpload { rid, length }: CreateUpload, ctx: &mut Self::Context) -> Self::Result {
        self.called(ctx);
        let (device, limit) = (self.device, self.parts.limits.unfinished_uploads);
        let (completer, incoming) = (self.parts.completer.clone(), self.parts.incoming.clone());
        let creating = Arc::clone(&self.creating);
        let streams = self.streams.clone();
        let creating = async move {
            let _one_at_a_time = creating.lock().await;
            let index = completer.catalogue.index().clone();
            let looked_up = blocking(move || Ok((index.stored(device, rid)?, index.declared(device, rid)?)));
            let (stored, row) = looked_up.await?;
            if stored.is_some() {
                return Err(CreateError::AlreadyStored);
            }
            let declared = row.as_ref().ok_or(CreateError::NotOffered)?.declared.clone();
            let known = Known { declared: row, ..Known::default() };
            if plan::settled(&declared, &known, completer.clock.now()).is_some() {
                return Err(CreateError::NotNow);
            }
            if length != declared.size {
                return Err(CreateError::SizeDiffers { offered: declared.size });
            }
            if let Some(begun) = incoming.of_recording(device, rid) {
                if plan::same_source(&declared, &begun) {
                    return Ok(Created { upload: begun.identity.upload, offset: begun.offset });
                }
                // The file on the device changed; what came of the old one is never spliced with the new.
                let begun = begun.identity.upload;
                if let Some(stream) = streams.get(&begun) {
                    let (closed, closing) = oneshot::channel();
                    let _gone_already = stream.try_send(Close(closed));
                    if tokio::time::timeout(CLOSE, closing).await.is_err() {
                        return Err(StorageError::Slow.into());
                    }
                }
                let discard = completer.writer.send(Discard(begun, Clear::GivenUp)).await;
                match discard.map_err(|_| StorageError::Unavailable)? {
                    // It was complete after all; what became of it counts.
                    Err(StorageError::Placing) => {
                        completer.roll_forward(begun).await?;
                        return Err(CreateError::AlreadyStored);
                    }
                    Err(StorageError::NotFound) => {}
                    other => other?,
                }
            } else if incoming.of_device(device).len() >= limit {
                return Err(CreateError::TooManyUnfinished);
            }
            let upload = UploadId::random().map_err(|error| StorageError::Io(error.to_string()))?;
            let created_at = completer.clock.now();
            let identity = Identity { upload, device, rid, length, sha256: declared.sha256, created_at };
            completer.writer.send(Reserve(identity)).await.map_err(|_| StorageError::Unavailable)??;
            Ok(Created { upload, offset: 0 })
        };
        Box::pin(creating.into_actor(self))
    }
}

impl Handler<Hold> for DeviceSession {
    type Result = ResponseActFuture<Self, Result<Holding, AttachError>>;

    fn handle(&mut self, Hold { upload, with_body }: Hold, ctx: &mut Self::Context) -> Self::Result {
        self.called(ctx);
        if self.draining {
            return Box::pin(ready(Err(AttachError::Draining)));
        }
        if self.parts.incoming.find(self.device, upload).is_some() {
            let permit = if with_body { Arc::clone(&self.open_patches).try_acquire_owned().ok() } else { None };
            // A request that takes over from an older one on the same upload gets its place.
            let takes_over = self.streams.get(&upload).is_some_and(Addr::connected);
            if with_body && permit.is_none() && !takes_over {
                return Box::pin(ready(Err(AttachError::TooMany)));
            }
            let stream = self.stream(upload, ctx);
            return Box::pin(ready(Ok(Holding::Stream(stream, permit))));
        }
        let (index, device) = (self.parts.completer.catalogue.index().clone(), self.device);
        let looking = async move {
            let stored = blocking(move || index.stored_by_upload(upload)).await?;
            let stored = stored.filter(|stored| stored.recording.device == device).ok_or(AttachError::NotFound)?;
            let Manifest { recording, receipt, .. } = stored;
            Ok(Holding::Stored(Receipted { rid: recording.rid, length: recording.size, receipt }))
        };
        Box::pin(looking.into_actor(self))
    }
}

impl Handler<OfferAgain> for DeviceSession {
    type Result = u64;

    fn handle(&mut self, _: OfferAgain, ctx: &mut Self::Context) -> u64 {
        self.called(ctx);
        self.offer_again
    }
}

impl Handler<UploadEnded> for DeviceSession {
    type Result = ();

    fn handle(&mut self, UploadEnded { upload, offer_again }: UploadEnded, _: &mut Self::Context) {
        self.offer_again += u64::from(offer_again);
        if self.streams.get(&upload).is_some_and(|stream| !stream.connected()) {
            self.streams.remove(&upload);
        }
    }
}

impl Handler<DrainSession> for DeviceSession {
    type Result = ();

    fn handle(&mut self, _: DrainSession, _: &mut Self::Context) {
        self.draining = true;
        for stream in self.streams.values() {
            stream.do_send(Drain);
        }
    }
}

//! StorageWriter: the one actor through which bytes reach the storage, on a pool of threads of its own.

mod budget;
mod commits;
mod error;
mod look;
mod read_back;
mod repair;
mod suspicion;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use actix::prelude::*;
use longshore_model::{Kind, UploadId};
use longshore_store::files::{Files, Standing};
use longshore_store::incoming::{Incoming, Transfer};
use longshore_store::manifest::Manifest;
use longshore_store::place;
use longshore_store::{Committed, Identity};
use tokio::sync::Semaphore;

pub use budget::Floor;
use budget::NoRoom;
pub use commits::CommitEvery;
pub use error::StorageError;
pub(crate) use read_back::{ReadBack, Reader};
pub(crate) use repair::{PutAside, Repair, Repaired};
use suspicion::Suspicion;

use crate::health::Notices;
use crate::kit::{Lifeline, Probe, fail_point};
use crate::upload::Segment;

/// Threads that may wait for the disk at once. Four stalled writes must not hold up the others; a pool of four did.
pub(crate) const POOL: usize = 32;
/// Uploads that are compared with what their devices say at once: each reads all that came, which takes minutes, and takes a
/// thread of the pool from those who write.
const COMPARISONS: usize = 1;
/// Threads besides, for reads of the index.
pub(crate) const OTHER_BLOCKING: usize = 8;

/// What a writer works with, and leaves to the next one.
#[derive(Clone)]
pub(crate) struct StorageParts {
    files: Arc<dyn Files>,
    incoming: Incoming,
    floor: Floor,
    /// `None`: what was synced is taken for written.
    reader: Option<Reader>,
    /// Bytes that were found room for and are not on the disk, or among the unfinished uploads, yet.
    reserving: Arc<AtomicU64>,
    suspicion: Suspicion,
    /// The server stops: jobs that take long give up.
    stopping: Arc<AtomicBool>,
    /// Jobs of a writer that is gone still hold their permits: together there are never more than the threads.
    pool: Arc<Semaphore>,
    comparing: Arc<Semaphore>,
    /// One look at the room at a time.
    looking: Arc<Semaphore>,
}

/// The actor; it holds no state of its own but the way to the disk.
pub(crate) struct StorageWriter {
    parts: StorageParts,
    probe: Probe,
    _lifeline: Lifeline,
}

/// Make a new upload, durably, of a recording of this kind.
#[derive(Message)]
#[rtype(result = "Result<(), StorageError>")]
pub(crate) struct Reserve(pub(crate) Identity, pub(crate) Kind);

/// How many bytes there are for recordings of this kind. It is a guess: what is made room for, only `Reserve` says.
#[derive(Message)]
#[rtype(result = "Result<u64, StorageError>")]
pub(crate) struct Available(pub(crate) Kind);

/// Open an upload, cut back to its last commit.
#[derive(Message)]
#[rtype(result = "Result<(Arc<Transfer>, Committed), StorageError>")]
pub(crate) struct Open(pub(crate) UploadId);

/// Write a segment of a recording of this kind.
#[derive(Message)]
#[rtype(result = "Result<(), StorageError>")]
pub(crate) struct Write {
    pub(crate) transfer: Arc<Transfer>,
    pub(crate) segment: Segment,
    pub(crate) offset: u64,
    pub(crate) kind: Kind,
}

/// Say durably how long a recording of this kind is whose length nobody knew, if there is room for the rest.
#[derive(Message)]
#[rtype(result = "Result<(), StorageError>")]
pub(crate) struct SetLength {
    pub(crate) transfer: Arc<Transfer>,
    pub(crate) length: u64,
    pub(crate) kind: Kind,
}

/// Make what is written durable.
#[derive(Message)]
#[rtype(result = "Result<(), StorageError>")]
pub(crate) struct Commit {
    pub(crate) transfer: Arc<Transfer>,
    pub(crate) to: Committed,
}

/// Put a complete upload under its final name; answers the manifest with its path. The job holds the transfer, so that
/// nobody gives the upload up meanwhile, whatever becomes of the one who asked.
#[derive(Message)]
#[rtype(result = "Result<Manifest, StorageError>")]
pub(crate) struct Place(pub(crate) Manifest, pub(crate) Arc<Transfer>);

/// Complete a placing that was interrupted; answers the manifest.
#[derive(Message)]
#[rtype(result = "Result<Manifest, StorageError>")]
pub(crate) struct RollForward(pub(crate) UploadId);

/// Why an upload goes from the incoming folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clear {
    /// It is given up; refused once it began to become a recording.
    GivenUp,
    /// Its time is over; refused if it came further meanwhile.
    Expired,
    /// It is recorded as a recording.
    Finished,
}

/// Remove an upload from the incoming folder.
#[derive(Message)]
#[rtype(result = "Result<(), StorageError>")]
pub(crate) struct Discard(pub(crate) UploadId, pub(crate) Clear);

/// Bytes that there is room for, given back however that ends.
struct Reserving {
    bytes: u64,
    sum: Arc<AtomicU64>,
}

impl Drop for Reserving {
    fn drop(&mut self) {
        self.sum.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

impl StorageParts {
    pub(crate) fn new(
        files: Arc<dyn Files>,
        incoming: Incoming,
        floor: Floor,
        reader: Option<Reader>,
        notices: Notices,
    ) -> Self {
        Self {
            files,
            incoming,
            floor,
            reader,
            suspicion: Suspicion::new(notices),
            reserving: Arc::default(),
            stopping: Arc::default(),
            pool: Arc::new(Semaphore::new(POOL)),
            comparing: Arc::new(Semaphore::new(COMPARISONS)),
            looking: Arc::new(Semaphore::new(1)),
        }
    }

    /// Whether the disk has a job to do for somebody.
    pub(crate) fn is_busy(&self) -> bool {
        self.pool.available_permits() < POOL
    }

    /// Returns when no job is with the disk any more.
    pub(crate) async fn settled(&self) {
        let all = u32::try_from(POOL).unwrap_or(u32::MAX);
        // It is never closed.
        let _all_permits = self.pool.acquire_many(all).await;
    }

    /// Lets go of what is being read back or compared.
    pub(crate) fn drain(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(reader) = &self.reader {
            reader.give_up();
        }
    }

    /// Makes an upload if there is room for it.
    fn reserve(&self, identity: Identity, kind: Kind) -> Result<(), StorageError> {
        self.suspicion.clear(&*self.files)?;
        let _until_listed = self.promise(identity.length.unwrap_or(0), kind)?;
        Ok(self.incoming.create(identity)?)
    }

    /// Says how long a recording is, if there is room for what is lacking of it.
    fn set_length(&self, transfer: &Transfer, length: u64, kind: Kind) -> Result<(), StorageError> {
        let _until_listed = self.promise(length.saturating_sub(transfer.committed().offset), kind)?;
        Ok(transfer.set_length(length)?)
    }

    /// Writes, if there is room: nothing is kept free for an upload whose length nobody knows.
    fn write(&self, transfer: &Transfer, segment: &mut Segment, offset: u64, kind: Kind) -> Result<(), StorageError> {
        let len = segment.len();
        let unannounced = transfer.identity().length.is_none();
        let _until_written = unannounced.then(|| self.promise(len as u64, kind)).transpose()?;
        Ok(transfer.write(segment.blocks(), offset, len)?)
    }

    /// Whether there is room for `bytes` more of a recording of this kind. Until what is answered is dropped, nobody else is
    /// given it.
    fn promise(&self, bytes: u64, kind: Kind) -> Result<Reserving, StorageError> {
        self.is_there()?;
        // Added before it is read, and read before the list: two that are made at once may each count the other, and
        // one that just came to the list is counted twice, but none is overlooked.
        let reserving = self.reserving.fetch_add(bytes, Ordering::AcqRel);
        let promise = Reserving { bytes, sum: Arc::clone(&self.reserving) };
        let promised = self.incoming.promised().saturating_add(reserving);
        budget::admit(self.files.space()?, self.floor, promised, bytes, kind)
            .map_err(|NoRoom { needed, available }| StorageError::NoRoom { needed, available })?;
        Ok(promise)
    }

    /// Bytes that there are for recordings of this kind.
    fn available(&self, kind: Kind) -> Result<u64, StorageError> {
        self.is_there()?;
        let promised = self.incoming.promised().saturating_add(self.reserving.load(Ordering::Acquire));
        Ok(budget::available(self.files.space()?, self.floor, promised, kind))
    }

    /// Whether the storage is there; asks no disk.
    pub(crate) fn standing(&self) -> Standing {
        self.files.standing()
    }

    /// The storage failed before this server began.
    pub(crate) fn suspect(&self) {
        self.suspicion.suspect();
    }

    fn is_there(&self) -> Result<(), StorageError> {
        match self.standing() {
            Standing::Ready => Ok(()),
            standing => Err(StorageError::NotThere(standing.to_string())),
        }
    }
}

impl StorageWriter {
    pub(crate) fn new(parts: StorageParts, lifeline: Lifeline, probe: Probe) -> Self {
        Self { parts, probe, _lifeline: lifeline }
    }

    /// Runs `job` on the pool. The job owns all it needs: it ends even if nobody waits for it any more.
    fn run<T, E>(&self, job: impl FnOnce() -> Result<T, E> + Send + 'static) -> ResponseFuture<Result<T, StorageError>>
    where
        T: Send + 'static,
        E: Send + 'static,
        StorageError: From<E>,
    {
        let (pool, suspicion) = (Arc::clone(&self.parts.pool), self.parts.suspicion.clone());
        let (probe, in_flight) = (self.probe.clone(), self.probe.in_flight());
        boxed(async move {
            let Ok(permit) = pool.acquire_owned().await else {
                return Err(StorageError::Unavailable);
            };
            let job = move || {
                // They go with the job, which goes on when nobody waits for it any more.
                let _held = (permit, in_flight);
                job()
            };
            let result = match tokio::task::spawn_blocking(job).await {
                Ok(result) => result.map_err(StorageError::from),
                Err(_) => Err(StorageError::Unavailable),
            };
            if let Err(error @ (StorageError::Full | StorageError::Io(_) | StorageError::Damaged(_))) = &result {
                probe.error(error);
                suspicion.note(error);
            }
            result
        })
    }
}

fn boxed<T>(future: impl Future<Output = T> + 'static) -> ResponseFuture<T> {
    Box::pin(future)
}

impl Actor for StorageWriter {
    type Context = Context<Self>;
}

impl Handler<Reserve> for StorageWriter {
    type Result = ResponseFuture<Result<(), StorageError>>;

    fn handle(&mut self, Reserve(identity, kind): Reserve, _: &mut Self::Context) -> Self::Result {
        let parts = self.parts.clone();
        self.run(move || parts.reserve(identity, kind))
    }
}

impl Handler<Available> for StorageWriter {
    type Result = ResponseFuture<Result<u64, StorageError>>;

    fn handle(&mut self, Available(kind): Available, _: &mut Self::Context) -> Self::Result {
        let parts = self.parts.clone();
        self.run(move || parts.available(kind))
    }
}

impl Handler<Open> for StorageWriter {
    type Result = ResponseFuture<Result<(Arc<Transfer>, Committed), StorageError>>;

    fn handle(&mut self, Open(upload): Open, _: &mut Self::Context) -> Self::Result {
        let parts = self.parts.clone();
        self.run(move || {
            parts.is_there()?;
            parts.suspicion.clear(&*parts.files)?;
            parts.incoming.resume(upload).map_err(StorageError::from)
        })
    }
}

impl Handler<Write> for StorageWriter {
    type Result = ResponseFuture<Result<(), StorageError>>;

    fn handle(&mut self, write: Write, _: &mut Self::Context) -> Self::Result {
        fail_point!("storage-write");
        let (parts, Write { transfer, mut segment, offset, kind }) = (self.parts.clone(), write);
        self.run(move || parts.write(&transfer, &mut segment, offset, kind))
    }
}

impl Handler<SetLength> for StorageWriter {
    type Result = ResponseFuture<Result<(), StorageError>>;

    fn handle(&mut self, SetLength { transfer, length, kind }: SetLength, _: &mut Self::Context) -> Self::Result {
        let parts = self.parts.clone();
        self.run(move || parts.set_length(&transfer, length, kind))
    }
}

impl Handler<Commit> for StorageWriter {
    type Result = ResponseFuture<Result<(), StorageError>>;

    fn handle(&mut self, Commit { transfer, to }: Commit, _: &mut Self::Context) -> Self::Result {
        self.run(move || transfer.commit(to))
    }
}

impl Handler<Place> for StorageWriter {
    type Result = ResponseFuture<Result<Manifest, StorageError>>;

    fn handle(&mut self, Place(manifest, transfer): Place, _: &mut Self::Context) -> Self::Result {
        self.run(move || {
            let placed = place::place(transfer.files(), manifest);
            drop(transfer);
            placed
        })
    }
}

impl Handler<RollForward> for StorageWriter {
    type Result = ResponseFuture<Result<Manifest, StorageError>>;

    fn handle(&mut self, RollForward(upload): RollForward, _: &mut Self::Context) -> Self::Result {
        let StorageParts { files, incoming, .. } = self.parts.clone();
        self.run(move || {
            let _hold = incoming.hold(upload)?;
            place::roll_forward(&*files, upload).map_err(StorageError::from)
        })
    }
}

impl Handler<Discard> for StorageWriter {
    type Result = ResponseFuture<Result<(), StorageError>>;

    fn handle(&mut self, Discard(upload, why): Discard, _: &mut Self::Context) -> Self::Result {
        let incoming = self.parts.incoming.clone();
        self.run(move || match why {
            Clear::GivenUp => incoming.discard(upload),
            Clear::Expired => incoming.expire(upload),
            Clear::Finished => incoming.finish(upload),
        })
    }
}

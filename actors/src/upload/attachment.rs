//! A request's hold on a transfer, on the connection's own thread: it hashes the bytes while they are hot, fills
//! segments, and hands them to the transfer's actor.

use std::collections::VecDeque;
use std::time::Duration;

use actix::Addr;
use longshore_model::{HashState, RunningHash};
use longshore_store::Purpose;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::completion::CompleteError;
use super::ledger::{Epoch, IN_FLIGHT};
use super::messages::{Append, Detached, SetLength, Tail};
use super::segment::{Segment, SegmentPool};
use super::stream::UploadStream;
use crate::storage::StorageError;

/// How long a request waits for the disk. Devices and proxies give up about then, and a disk that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a request has to let go of its transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evicted {
    /// A newer request wants it.
    Superseded,
    /// The server is stopping.
    Draining,
    /// The disk refused what an earlier part of this request brought.
    Failed(StorageError),
}

/// Why bytes were not taken.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A newer request holds the transfer.
    #[error("a newer request took this upload over")]
    Superseded,
    /// They reach beyond the end of the recording.
    #[error("the body is longer than the upload")]
    TooLong,
    /// The recording has another length, or has more bytes already.
    #[error("the length differs from the one that was given before, or is less than what is here already")]
    OtherLength,
    /// The disk refused; the transfer is back at its last commit.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The transfer's actor is gone; what it committed is kept.
    #[error("the transfer was interrupted inside the server")]
    Unavailable,
}

/// How a request's hold on a transfer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Durable bytes.
    pub offset: u64,
    /// The receipt, if the recording is complete.
    pub receipt: Option<String>,
}

/// Why the end of a request is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// The last bytes were not taken.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// All bytes are there, and no recording came of them.
    #[error(transparent)]
    Complete(#[from] CompleteError),
}

/// What a request wants of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// To know how far it is.
    Offset,
    /// To append: whatever arrives of it counts.
    Append,
    /// To append what counts only if all of it arrives and is what it should be.
    AppendWhole,
}

/// A request's hold on a transfer. Dropping it, at whatever await the connection dies, sends on what arrived.
pub struct Attachment {
    stream: Addr<UploadStream>,
    epoch: Epoch,
    purpose: Purpose,
    length: Option<u64>,
    /// No byte comes after this many.
    bound: u64,
    /// Offset after the last segment that was handed over.
    handed: u64,
    hash: RunningHash,
    /// Taken with the first byte: a request that only asks needs none.
    filling: Option<Segment>,
    pool: SegmentPool,
    answers: VecDeque<oneshot::Receiver<Result<(), WriteError>>>,
    evicted: oneshot::Receiver<Evicted>,
    /// What arrived counts.
    keep: bool,
    ended: bool,
}

/// What an [`Attachment`] begins with.
pub(super) struct Grant {
    pub(super) stream: Addr<UploadStream>,
    pub(super) epoch: Epoch,
    pub(super) purpose: Purpose,
    pub(super) length: Option<u64>,
    pub(super) bound: u64,
    pub(super) offset: u64,
    pub(super) hash: RunningHash,
    pub(super) pool: SegmentPool,
    pub(super) whole: bool,
    pub(super) evicted: oneshot::Receiver<Evicted>,
}

impl Attachment {
    pub(super) fn new(grant: Grant) -> Self {
        let Grant { stream, epoch, purpose, length, bound, offset, hash, pool, whole, evicted } = grant;
        Self {
            stream,
            epoch,
            purpose,
            length,
            bound,
            handed: offset,
            hash,
            filling: None,
            pool,
            answers: VecDeque::with_capacity(IN_FLIGHT),
            evicted,
            keep: !whole,
            ended: false,
        }
    }

    /// Where the next byte belongs.
    pub fn offset(&self) -> u64 {
        self.handed + self.filling.as_ref().map_or(0, |segment| segment.len() as u64)
    }

    /// What the transfer's bytes are to become.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Bytes of the whole recording, once they are known.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Bytes that may still come.
    pub fn left(&self) -> u64 {
        self.bound - self.offset()
    }

    /// Says how long the recording is, before the first byte of this request. When this returns, that survives a power
    /// cut.
    ///
    /// # Errors
    /// [`WriteError::OtherLength`], [`WriteError::TooLong`], or the disk's.
    pub async fn set_length(&mut self, length: u64) -> Result<(), WriteError> {
        let (reply, answer) = oneshot::channel();
        if self.stream.try_send(SetLength { epoch: self.epoch, length, reply }).is_err() {
            return Err(self.why_it_ended());
        }
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer?,
            Ok(Err(_)) => return Err(self.why_it_ended()),
            Err(_) => return Err(WriteError::Unavailable),
        }
        (self.length, self.bound) = (Some(length), length);
        Ok(())
    }

    /// Waits until this request has to let go. Then call [`Self::end`].
    pub async fn evicted(&mut self) -> Evicted {
        (&mut self.evicted).await.unwrap_or(Evicted::Superseded)
    }

    /// Takes in the next bytes. While two segments are on their way to the disk this waits, and with it the connection.
    ///
    /// # Errors
    /// [`WriteError`]; what was taken before is kept as far as it was committed.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), WriteError> {
        if bytes.len() as u64 > self.left() {
            return Err(WriteError::TooLong);
        }
        while !bytes.is_empty() {
            let segment = self.filling.get_or_insert_with(|| self.pool.take(self.handed));
            let taken = segment.fill(bytes);
            self.hash.update(&bytes[..taken]);
            bytes = &bytes[taken..];
            // No await between here and the hand-over: the state of the checksum belongs to the segment's end.
            if let Some(full) = self.filling.take_if(|segment| segment.is_full()) {
                self.hand_over(full)?;
                while self.answers.len() >= IN_FLIGHT {
                    self.oldest_answer().await?;
                }
            }
        }
        Ok(())
    }

    fn hand_over(&mut self, segment: Segment) -> Result<(), WriteError> {
        let (reply, answer) = oneshot::channel();
        let tail = self.tail(segment);
        self.handed += tail.segment.len() as u64;
        let append = Append { epoch: self.epoch, tail, reply };
        // Not `send`: its message would be taken back when the connection dies while it waits.
        if self.stream.try_send(append).is_err() {
            return Err(self.why_it_ended());
        }
        self.answers.push_back(answer);
        Ok(())
    }

    fn tail(&self, segment: Segment) -> Tail {
        Tail { offset: self.handed, segment, hash_after: self.hash.state() }
    }

    async fn oldest_answer(&mut self) -> Result<(), WriteError> {
        let Some(answer) = self.answers.front_mut() else {
            return Ok(());
        };
        let answer = timeout(PATIENCE, answer).await;
        self.answers.pop_front();
        match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(self.why_it_ended()),
            Err(_) => Err(WriteError::Unavailable),
        }
    }

    /// The transfer is gone with this piece unanswered: another piece may have failed before, and said why.
    fn why_it_ended(&mut self) -> WriteError {
        match self.evicted.try_recv() {
            Ok(Evicted::Failed(error)) => error.into(),
            Ok(Evicted::Superseded) => WriteError::Superseded,
            Ok(Evicted::Draining) | Err(_) => WriteError::Unavailable,
        }
    }

    /// All of a request that counts as a whole has arrived, and is what it should be.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Lets go: what arrived is committed, and if that is everything, the recording is completed. Dropping the future
    /// only gives up the answer.
    ///
    /// # Errors
    /// [`EndError`].
    pub async fn end(mut self) -> Result<Ended, EndError> {
        while !self.answers.is_empty() {
            self.oldest_answer().await?;
        }
        let (reply, answer) = oneshot::channel();
        self.detach(Some(reply));
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(EndError::Write(self.why_it_ended())),
            Err(_) => Err(EndError::Write(WriteError::Unavailable)),
        }
    }

    fn detach(&mut self, reply: Option<oneshot::Sender<Result<Ended, EndError>>>) {
        self.ended = true;
        let tail = self.filling.take().map(|segment| self.tail(segment));
        let detached = Detached { epoch: self.epoch, tail, keep: self.keep, reply };
        // A full mailbox must not refuse it: nobody else would tell that the request is over. Of an actor that is gone, what
        // it committed is all there is, and the reply is dropped.
        self.stream.do_send(detached);
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if !self.ended {
            self.detach(None);
        }
    }
}

pub(super) fn resume_hash(state: &HashState) -> Result<RunningHash, StorageError> {
    RunningHash::resume(state).map_err(|error| StorageError::Damaged(error.to_string()))
}

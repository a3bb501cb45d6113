//! Reading a complete transfer back from the medium, before anybody is told that it is stored.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use actix::prelude::*;
use longshore_model::{RunningHash, Sha256};
use longshore_store::files::Blocks;
use longshore_store::incoming::Transfer;
use tokio::sync::oneshot;

use super::{StorageError, StorageWriter, boxed};

/// Bytes of one read.
const READ: usize = 1024 * 1024;
/// Bytes of one transfer before it is another's turn: a small recording waits for this much of a large one, not for all.
const TURN: u64 = 16 * 1024 * 1024;
/// What comes in from devices goes first; they wait for the receipt, but not for the next recording.
const NICENESS: i32 = 10;

/// Read what is committed back from the medium, unless that is not wanted. Answers what it has instead of what came, if it
/// gives back other bytes, and again other ones: one reading that went wrong does not make a good copy bad.
#[derive(Message)]
#[rtype(result = "Result<Option<Sha256>, StorageError>")]
pub(crate) struct ReadBack {
    pub(crate) transfer: Arc<Transfer>,
    /// Checksum of what came.
    pub(crate) came: Sha256,
}

/// Threads that read back. They end with [`Reader::give_up`].
#[derive(Clone)]
pub(crate) struct Reader(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    given_up: bool,
}

struct Job {
    transfer: Arc<Transfer>,
    read: u64,
    hash: RunningHash,
    reply: oneshot::Sender<io::Result<Sha256>>,
}

impl Reader {
    /// Starts the threads: one for every two processors, so that reading back is never all that a server does.
    ///
    /// # Errors
    /// The operating system's, if it gives no thread.
    pub(crate) fn start() -> io::Result<Self> {
        let threads = thread::available_parallelism().map_or(1, |processors| processors.get().div_ceil(2));
        let reader = Self(Arc::default());
        for _ in 0..threads {
            let shared = Arc::clone(&reader.0);
            thread::Builder::new().name("read-back".into()).spawn(move || shared.work())?;
        }
        Ok(reader)
    }

    /// The checksum of what the medium holds.
    ///
    /// # Errors
    /// The disk's; [`StorageError::Unavailable`] after [`Self::give_up`].
    pub(crate) async fn checksum(&self, transfer: Arc<Transfer>) -> Result<Sha256, StorageError> {
        let (reply, answer) = oneshot::channel();
        self.0.queue(Job { transfer, read: 0, hash: RunningHash::default(), reply });
        Ok(answer.await.map_err(|_| StorageError::Unavailable)??)
    }

    /// Lets go of all transfers: they are complete on the disk, and are read back after the next start.
    pub(crate) fn give_up(&self) {
        let jobs = {
            let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.given_up = true;
            std::mem::take(&mut queue.jobs)
        };
        drop(jobs);
        self.0.wake.notify_all();
    }
}

impl Shared {
    fn queue(&self, job: Job) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if !queue.given_up {
            queue.jobs.push_back(job);
            self.wake.notify_one();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if queue.given_up {
                return None;
            }
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self) {
        // Linux: of this thread alone (setpriority(2)). Where it is not granted, reading goes on as all else does.
        let _granted = rustix::process::setpriority_process(None, NICENESS);
        let mut blocks = Blocks::new(READ);
        while let Some(mut job) = self.next() {
            // Whoever asked may be gone, and the upload taken up again elsewhere.
            if job.reply.is_closed() {
                continue;
            }
            match job.turn(&mut blocks) {
                Ok(false) => self.queue(job),
                Ok(true) => {
                    let Job { transfer, hash, reply, .. } = job;
                    // Before the answer: whoever gets it may want to open the upload.
                    drop(transfer);
                    let _gone = reply.send(Ok(hash.finish()));
                }
                Err(error) => {
                    let Job { transfer, reply, .. } = job;
                    drop(transfer);
                    let _gone = reply.send(Err(error));
                }
            }
        }
    }
}

impl Job {
    /// Reads on for one turn; `true` at the end.
    fn turn(&mut self, blocks: &mut Blocks) -> io::Result<bool> {
        let length = self.transfer.committed().offset;
        let end = length.min(self.read + TURN);
        while self.read < end {
            let read = self.transfer.read(blocks, self.read)?;
            let left = usize::try_from(length - self.read).unwrap_or(usize::MAX);
            let read = read.min(left);
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.hash.update(&blocks[..read]);
            self.read += read as u64;
        }
        Ok(self.read == length)
    }
}

impl Handler<ReadBack> for StorageWriter {
    type Result = ResponseFuture<Result<Option<Sha256>, StorageError>>;

    fn handle(&mut self, ReadBack { transfer, came }: ReadBack, _: &mut Self::Context) -> Self::Result {
        let (reader, suspicion) = (self.parts.reader.clone(), self.parts.suspicion.clone());
        let (probe, in_flight) = (self.probe.clone(), self.probe.in_flight());
        boxed(async move {
            let Some(reader) = reader else { return Ok(None) };
            let reading = async {
                if reader.checksum(Arc::clone(&transfer)).await? == came {
                    return Ok::<_, StorageError>(None);
                }
                let upload = transfer.identity().upload;
                tracing::warn!(%upload, "the storage gave back other bytes than were written: they are read once more");
                probe.error("the storage gave back other bytes than were written");
                Ok(Some(reader.checksum(transfer).await?).filter(|medium| *medium != came))
            };
            let found = reading.await;
            drop(in_flight);
            match &found {
                Ok(Some(_)) => suspicion.note_altered(Instant::now()),
                Err(error @ StorageError::Io(_)) => {
                    probe.error(error);
                    suspicion.note(error);
                }
                _ => {}
            }
            found
        })
    }
}

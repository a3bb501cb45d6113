//! The journal and the index as one: a single thread writes both, everybody reads the index.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use longshore_model::Clock;
use tokio::sync::oneshot;

use crate::facts::{CustodyFact, Entry, Fact};
use crate::files::Files;
use crate::index::{Applying, Index, IndexError, IndexPlace};
use crate::journal::{self, Journal, JournalError, Mark, Torn};
use crate::manifest::Manifest;

/// Commands that may wait for the writer. Each session and person waits for its own answer, so this many are never
/// reached by honest load; a stalled disk must not gather more.
const QUEUE: usize = 1024;
/// Bytes, about, of facts that share one sync.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Room that the data folder's disk must have for a batch: the batch, its rows in the index, which sled writes in whole
/// segments, and as much again for whoever else writes there.
const ROOM: u64 = 4 * BATCH_BYTES as u64;
/// Bytes, about, of a fact or of one item of it.
const FACT_BYTES: usize = 1024;

/// Why something was not recorded.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RecordError {
    /// An earlier write failed; nothing is written until the server starts again and reads what is really there.
    #[error("the journal could not be written ({0}); see to its disk and restart Longshore")]
    Failed(String),
    /// The disk of the data folder is full; nothing was recorded, and later facts may be.
    #[error("the journal cannot be written: {0}")]
    Full(String),
    /// That disk refused; likewise.
    #[error("the journal cannot be written: {0}")]
    NotWritten(String),
    /// Too many wait.
    #[error("the journal is busy")]
    Busy,
}

/// Why a decision came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum DecideError<E> {
    /// The decision itself says no.
    #[error(transparent)]
    Refused(E),
    /// The index gave no answer.
    #[error(transparent)]
    Index(IndexError),
    /// What was decided could not be recorded.
    #[error(transparent)]
    Record(RecordError),
}

/// Why the catalogue cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The writer's thread.
    #[error("the writer's thread cannot be started: {0}")]
    Thread(#[from] io::Error),
}

const STOPPED: &str = "its writer has stopped";

type Answer = Box<dyn FnOnce(Result<(), RecordError>) + Send>;
/// Looks at the index, which holds everything decided before, and says what follows.
type Decision = Box<dyn FnOnce(&Index) -> (Vec<Fact>, Answer) + Send>;

enum Job {
    Record(Vec<Fact>, Answer),
    Decide(Decision),
    Stop,
}

/// A handle to the catalogue.
#[derive(Clone)]
pub struct Catalogue {
    index: Index,
    jobs: SyncSender<Job>,
    failed: Arc<OnceLock<String>>,
}

/// The writer's thread, to be stopped last.
pub struct Writer {
    jobs: SyncSender<Job>,
    thread: JoinHandle<()>,
}

/// What a start had to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Started {
    /// Facts that were read from the journal and brought into the index.
    pub replayed: u64,
    /// The index was made anew, from the whole journal.
    pub rebuilt: bool,
    /// What was put aside of the journal's end.
    pub torn: Option<Torn>,
}

/// Journal and index as a start finds them, one as far as the other.
struct Filled {
    journal: Journal,
    index: Index,
    started: Started,
}

impl Catalogue {
    /// Opens the journal in `files` and the index at `place`, brings the index up to the journal, and starts the
    /// writer. An index that cannot be trusted, or is not of this journal, is made anew.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        files: Arc<dyn Files>,
        place: &IndexPlace,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Writer, Started), OpenError> {
        let data = Arc::clone(&files);
        let Filled { journal, index, started } = match go_on(&files, place)? {
            Some(filled) => filled,
            None => fill(files, Index::create(place)?, None)?,
        };
        let (jobs, queue) = sync_channel(QUEUE);
        let failed = Arc::default();
        let worker = Worker { journal, index: index.clone(), clock, files: data, failed: Arc::clone(&failed) };
        let thread = thread::Builder::new().name("catalogue".into()).spawn(move || worker.run(&queue))?;
        Ok((Self { index, jobs: jobs.clone(), failed }, Writer { jobs, thread }, started))
    }

    /// The index, for reading. Its calls do disk work: keep them off the network's threads.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Whether facts can still be recorded.
    ///
    /// # Errors
    /// [`RecordError::Failed`], and why.
    pub fn check(&self) -> Result<(), RecordError> {
        check(&self.failed)
    }

    /// Records facts; they are durable and in the index when this returns.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn record(&self, facts: Vec<Fact>) -> Result<(), RecordError> {
        let (answer, answered) = oneshot::channel();
        self.send(Job::Record(facts, Box::new(|result| drop(answer.send(result)))))?;
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Records a recording that has its final name, unless an earlier try came as far as the journal.
    ///
    /// # Errors
    /// [`DecideError`].
    pub async fn record_stored(&self, manifest: &Manifest) -> Result<(), DecideError<serde_json::Error>> {
        let (upload, text) = (manifest.recording.upload, manifest.to_text().map_err(DecideError::Refused)?);
        let stored = move |index: &Index| {
            let known = index.stored_by_upload(upload)?.is_some();
            let facts = if known { Vec::new() } else { vec![Fact::Stored { manifest: text }] };
            Ok(Ok((facts, ())))
        };
        self.decide(stored).await
    }

    /// Lets `decision` look at the index and records what it says, with nothing decided in between.
    ///
    /// # Errors
    /// [`DecideError`].
    pub async fn decide<T, E>(
        &self,
        decision: impl FnOnce(&Index) -> Result<Result<(Vec<Fact>, T), E>, IndexError> + Send + 'static,
    ) -> Result<T, DecideError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let decision: Decision = Box::new(move |index| {
            let (facts, outcome) = match decision(index) {
                Ok(Ok((facts, value))) => (facts, Ok(value)),
                Ok(Err(refused)) => (Vec::new(), Err(DecideError::Refused(refused))),
                Err(error) => (Vec::new(), Err(DecideError::Index(error))),
            };
            let answer: Answer = Box::new(move |recorded| {
                let outcome = outcome.and_then(|value| recorded.map(|()| value).map_err(DecideError::Record));
                drop(answer.send(outcome));
            });
            (facts, answer)
        });
        self.send(Job::Decide(decision)).map_err(DecideError::Record)?;
        answered.await.unwrap_or_else(|_| Err(DecideError::Record(stopped())))
    }

    fn send(&self, job: Job) -> Result<(), RecordError> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => RecordError::Busy,
            TrySendError::Disconnected(_) => stopped(),
        })
    }
}

/// `None`: there is no index to go on with.
fn go_on(files: &Arc<dyn Files>, place: &IndexPlace) -> Result<Option<Filled>, OpenError> {
    let Some((index, mark)) = Index::open(place)? else { return Ok(None) };
    match fill(Arc::clone(files), index.clone(), Some(&mark)) {
        Err(JournalError::NoSuchPlace) => {
            let mut end = 0;
            journal::read(&**files, |entry, _| {
                end = entry.seq;
                Ok(())
            })?;
            if end < mark.seq {
                // It is the only witness, and stays one after the machine's next start.
                index.close()?;
                return Err(JournalError::Shorter { end, known: mark.seq }.into());
            }
            tracing::warn!("the index that is there is of another journal");
            Ok(None)
        }
        Err(error @ JournalError::Replay(_)) => {
            tracing::warn!(%error, "the index that is there is of no use");
            Ok(None)
        }
        filled => Ok(Some(filled?)),
    }
}

fn fill(files: Arc<dyn Files>, index: Index, from: Option<&Mark>) -> Result<Filled, JournalError> {
    let mut applying = Applying::to(&index);
    let (journal, torn) = Journal::open(files, from, |entry, mark| applying.take(entry, mark))?;
    let replayed = applying.finish()?;
    Ok(Filled { journal, index, started: Started { replayed, rebuilt: from.is_none(), torn } })
}

impl Writer {
    /// Lets the writer finish what waits, and joins it.
    pub fn stop(self) {
        let _already_gone = self.jobs.send(Job::Stop);
        let _panicked = self.thread.join();
    }
}

fn stopped() -> RecordError {
    RecordError::Failed(STOPPED.to_owned())
}

struct Worker {
    journal: Journal,
    index: Index,
    clock: Arc<dyn Clock>,
    /// The data folder.
    files: Arc<dyn Files>,
    /// Why nothing may be written any more.
    failed: Arc<OnceLock<String>>,
}

impl Worker {
    fn run(mut self, queue: &Receiver<Job>) {
        let (mut facts, mut answers) = (Vec::<Fact>::new(), Vec::new());
        while let Ok(first) = queue.recv() {
            let mut next = Some(first);
            let mut gathered = 0;
            while let Some(job) = next.take() {
                match job {
                    Job::Record(more, answer) => {
                        gathered += more.iter().map(weight).sum::<usize>();
                        facts.extend(more);
                        answers.push(answer);
                    }
                    Job::Decide(decision) => {
                        // A decision sees all that came before it.
                        self.write(&mut facts, &mut answers);
                        let (more, answer) = decision(&self.index);
                        facts.extend(more);
                        answers.push(answer);
                    }
                    Job::Stop => {
                        self.write(&mut facts, &mut answers);
                        self.close();
                        return;
                    }
                }
                if gathered < BATCH_BYTES {
                    next = queue.try_recv().ok();
                }
            }
            self.write(&mut facts, &mut answers);
        }
    }

    fn write(&mut self, facts: &mut Vec<Fact>, answers: &mut Vec<Answer>) {
        let result = self.try_write(std::mem::take(facts));
        for answer in answers.drain(..) {
            answer(result.clone());
        }
    }

    fn try_write(&mut self, facts: Vec<Fact>) -> Result<(), RecordError> {
        if facts.is_empty() {
            return Ok(());
        }
        if self.failed.get().is_none() {
            self.has_room()?;
            let now = self.clock.now();
            let written = match self.journal.append(now, facts) {
                Ok(entries) => self.apply(&entries).map_err(|error| error.to_string()),
                Err(JournalError::NotWritten(error)) => {
                    tracing::error!(%error, "facts were refused");
                    return Err(refused(&error));
                }
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = written {
                tracing::error!(%error, "the catalogue takes no more changes until the server is restarted");
                let _only_this_thread_sets_it = self.failed.set(error);
            }
        }
        check(&self.failed)
    }

    /// A fact that is in the journal and finds no room in the index would end all changes, so it is not begun.
    fn has_room(&self) -> Result<(), RecordError> {
        let free = self.files.space().map_err(|error| refused(&error))?.free;
        if free >= ROOM {
            return Ok(());
        }
        tracing::error!(free, needed = ROOM, "facts were refused: the disk of the data folder is full");
        Err(RecordError::Full(format!("the disk of the data folder has less than {} MiB left", ROOM >> 20)))
    }

    fn apply(&self, entries: &[Entry]) -> Result<(), IndexError> {
        let applied = self.journal.mark().map_or(Ok(()), |mark| self.index.apply(entries, &mark));
        if applied.is_err()
            && let Err(error) = self.index.distrust()
        {
            tracing::error!(%error, "the index is of no use, and its state cannot be removed");
        }
        applied
    }

    fn close(&self) {
        // After a failure the index may lack what the journal holds; the next start reads on from where it is.
        if self.failed.get().is_none()
            && let Err(error) = self.index.close()
        {
            tracing::warn!(%error, "the index could not be synced; it is made again after the machine's next start");
        }
    }
}

fn refused(error: &io::Error) -> RecordError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => RecordError::Full(error.to_string()),
        _ => RecordError::NotWritten(error.to_string()),
    }
}

fn weight(fact: &Fact) -> usize {
    match fact {
        Fact::Declared { items, .. } => {
            items.iter().map(|item| FACT_BYTES + item.metadata.as_ref().map_or(0, String::len)).sum()
        }
        Fact::Stored { manifest } => manifest.len(),
        Fact::Custody(
            CustodyFact::Exported { recordings, .. }
            | CustodyFact::FoundDamaged { recordings }
            | CustodyFact::FoundSound { recordings },
        ) => FACT_BYTES * recordings.len(),
        _ => FACT_BYTES,
    }
}

impl Drop for Worker {
    /// Also when its thread panics: nothing is written any more, and whoever asks is to know.
    fn drop(&mut self) {
        let _failed_before = self.failed.set(STOPPED.to_owned());
    }
}

fn check(failed: &OnceLock<String>) -> Result<(), RecordError> {
    failed.get().map_or(Ok(()), |error| Err(RecordError::Failed(error.clone())))
}

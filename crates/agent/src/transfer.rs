//! Sending one recording, through broken connections, until the server has every byte or says what else to do.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::body::{self, SourceError};
use crate::client::{CallError, Client, Position};
use crate::progress::{Job, Observer};
use crate::recording::Recording;
use crate::retry::{Retry, Stop};
use crate::verdict::Verdict;

/// Where a transfer begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With a new upload.
    New,
    /// With the upload at this URL.
    At(String),
}

/// How a transfer ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The server has every byte; the receipt, if it was ready.
    Complete(Option<String>),
    /// The upload is of no use any more, or another recording should go first: offer it again, after this time.
    OfferAgain(Option<Duration>),
    /// The server means another file than this one.
    Rehash(String),
    /// The bytes that the server has are not what the checksum says.
    Mismatch(String),
    /// The file cannot be read, or is not the one any more whose checksum was offered.
    Source(SourceError),
    /// A person has to look.
    Failed(String),
}

/// One recording on its way.
pub(crate) struct Transfer<'a> {
    /// The server.
    pub client: &'a Client,
    /// What is sent.
    pub recording: &'a Recording,
    /// Is told of the progress.
    pub observer: &'a Arc<dyn Observer>,
    /// How long neither a byte nor an answer may come.
    pub stalled: Duration,
}

enum Trouble {
    Source(SourceError),
    Call(CallError),
}

impl Transfer<'_> {
    /// Sends the recording; waits and continues by itself after broken connections.
    ///
    /// # Errors
    /// [`Stop`] if the whole agent is to stop.
    pub(crate) async fn run(&self, begin: Begin, retry: &mut Retry) -> Result<Ending, Stop> {
        let size = self.recording.state.size;
        let mut path = match begin {
            Begin::New => None,
            Begin::At(url) => match self.client.upload_path(&url) {
                Ok(path) => Some(path),
                Err(error) => return Ok(Ending::Failed(error.to_string())),
            },
        };
        let mut from = None;
        let mut furthest = None;
        loop {
            let appended = from.is_some();
            let step = match (&path, from.take()) {
                (None, _) => self.create(&mut path).await,
                (Some(path), None) => self.client.position(path).await.map_err(Trouble::Call),
                (Some(path), Some(offset)) => self.append(path, offset).await,
            };
            let error = match step {
                Ok(position) if position.offset > size => {
                    return Ok(Ending::Failed(format!(
                        "the server has {} bytes of it, more than the file's {size}",
                        position.offset
                    )));
                }
                Ok(position) if position.offset == size => {
                    retry.progressed();
                    return Ok(Ending::Complete(position.receipt));
                }
                Ok(position) => {
                    // The first position only says what was there before.
                    if furthest.is_some_and(|furthest| position.offset > furthest) {
                        retry.progressed();
                    } else if appended {
                        let reason = format!("{}: no byte became durable", self.recording.name);
                        retry.wait(None, &reason).await?;
                    }
                    furthest = furthest.max(Some(position.offset));
                    from = Some(position.offset);
                    continue;
                }
                Err(Trouble::Source(error)) => return Ok(Ending::Source(error)),
                Err(Trouble::Call(error)) => error,
            };
            if let Some(ending) = self.judge(error, path.is_some(), retry).await? {
                return Ok(ending);
            }
        }
    }

    /// What to do after `error`; `None`: the wait is over, ask for the position and continue.
    async fn judge(&self, error: CallError, created: bool, retry: &mut Retry) -> Result<Option<Ending>, Stop> {
        let verdict = match &error {
            CallError::Problem { problem, .. } => Verdict::on(problem),
            CallError::Protocol(_) => Verdict::Refused,
            CallError::Unreachable { .. } | CallError::WrongKey { .. } => Verdict::Reposition,
        };
        match verdict {
            Verdict::OfferAgain => Ok(Some(Ending::OfferAgain(None))),
            Verdict::WaitForThis => {
                self.observer.warn(&format!("{}: {error}", self.recording.name));
                Ok(Some(Ending::OfferAgain(error.retry_after())))
            }
            Verdict::Rehash => Ok(Some(Ending::Rehash(error.to_string()))),
            Verdict::Repair => Ok(Some(Ending::Mismatch(error.to_string()))),
            Verdict::Refused => Ok(Some(Ending::Failed(error.to_string()))),
            Verdict::Stop | Verdict::Reposition | Verdict::WaitForServer => {
                retry.after(error).await?;
                // The server may have created the upload before the connection broke; an offer brings its address.
                Ok((!created).then_some(Ending::OfferAgain(Some(Duration::ZERO))))
            }
        }
    }

    async fn create(&self, path: &mut Option<String>) -> Result<Position, Trouble> {
        let created = self.client.create(self.recording.rid, self.recording.state.size).await;
        let (at, position) = created.map_err(Trouble::Call)?;
        *path = Some(at);
        Ok(position)
    }

    async fn append(&self, path: &str, offset: u64) -> Result<Position, Trouble> {
        let (file, state) = (self.recording.path.clone(), self.recording.state);
        let observer = self.observer.clone();
        let open = move || body::open(&file, state, offset, move |bytes| observer.advance(bytes));
        let opened = tokio::task::spawn_blocking(open).await;
        let opened = opened.map_err(|error| Trouble::Source(SourceError::Io(error.into())))?;
        let (body, sending) = opened.map_err(Trouble::Source)?;
        let job = Job::Sending(&self.recording.name);
        self.observer.begin(job, offset, state.size);
        let answer = {
            let call = self.client.append(path, offset, state.size - offset, body);
            let mut call = std::pin::pin!(call);
            let mut moved = 0;
            loop {
                tokio::select! {
                    answer = &mut call => break answer,
                    () = sleep(self.stalled) => {}
                }
                if sending.handed_over() == moved {
                    break Err(CallError::Unreachable {
                        server: "the server".to_owned(),
                        reason: format!("nothing moved for {} s", self.stalled.as_secs()),
                    });
                }
                moved = sending.handed_over();
            }
        };
        self.observer.end();
        // The request broke off because the file did; the connection is not to blame.
        answer.map_err(|error| sending.source_error().map_or(Trouble::Call(error), Trouble::Source))
    }
}

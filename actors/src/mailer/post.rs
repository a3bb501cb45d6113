//! What the mailer, the webhooks and the engine share: the outbox, and what is known of the mail server.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use longshore_model::{Clock, MailId, Message, Sha256};
use longshore_store::catalogue::{Catalogue, DecideError, RecordError};
use longshore_store::facts::{Fact, OutboxFact};
use longshore_store::index::{Delivery, IndexError, OutboxRow};
use longshore_store::outbox::Contents;
use tokio::sync::watch;

use super::schedule::Rest;
use super::settings::MailSettings;
use super::unrecorded::Unrecorded;
use crate::decision::DecisionError;
use crate::health::Notices;
use crate::kit::blocking;

/// Messages that wait. Two digests to a hundred people for the days of the longest wait; more than that is a loop somewhere.
pub(super) const OPEN: usize = 2000;

/// Why a message is not queued, or not tried again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailRefused {
    /// There is no mail server.
    #[error("no mail server is set up: set mail.host and mail.from in the configuration")]
    NotSetUp,
    /// The outbox is full.
    #[error("{OPEN} messages wait in the outbox already; `longshore mail outbox` shows why")]
    TooMany,
    /// Its text cannot be kept.
    #[error("the text of the message cannot be kept: {0}")]
    Text(String),
    /// There is none with this id.
    #[error("there is no message {0}; `longshore mail outbox` shows which there are")]
    Unknown(MailId),
    /// It was delivered.
    #[error("the message {0} was delivered already")]
    Sent(MailId),
}

/// A message that was queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedMail {
    /// As it is kept.
    pub message: Message,
    /// It was not there before.
    pub is_new: bool,
}

/// The outbox, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbox {
    /// What waits, in the order in which it was queued, and then what ended, the newest first.
    pub messages: Vec<OutboxRow>,
    /// Why nothing is sent at all now, and until when.
    pub rests: Option<(String, DateTime<Utc>)>,
}

/// What the actor and the engine share; it outlives the actor.
#[derive(Clone)]
pub(crate) struct Post {
    pub(super) catalogue: Catalogue,
    pub(super) contents: Contents,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: Arc<watch::Sender<Option<MailSettings>>>,
    /// What tells this server from others in the ids of its messages.
    pub(super) name: String,
    rest: Arc<Mutex<Option<Rest>>>,
    /// What happened and could not be recorded: nothing is sent before it is.
    unrecorded: Arc<Unrecorded>,
    /// Is told of what is not delivered.
    pub(super) notices: Notices,
    /// Of [`Post::texts`].
    pub(super) texts: Arc<tokio::sync::Mutex<()>>,
}

impl Post {
    pub(crate) fn new(
        catalogue: Catalogue,
        contents: Contents,
        clock: Arc<dyn Clock>,
        name: String,
        settings: Option<MailSettings>,
        notices: Notices,
    ) -> Self {
        let settings = Arc::new(watch::Sender::new(settings));
        Self {
            catalogue,
            contents,
            clock,
            settings,
            name,
            rest: Arc::default(),
            unrecorded: Arc::default(),
            notices,
            texts: Arc::default(),
        }
    }

    /// The id of the message that is told apart by these.
    pub(crate) fn id(&self, what: &[&str]) -> MailId {
        let mut text = self.name.clone();
        for part in what {
            // No part can be taken for the end of one and the beginning of the next.
            text.push_str(&format!("\n{}:{part}", part.len()));
        }
        let mut id = [0; 16];
        id.copy_from_slice(&Sha256::of(text.as_bytes()).as_bytes()[..16]);
        MailId::from_bytes(id)
    }

    /// From now on this is the mail server; what the one before was like counts for nothing.
    pub(crate) fn set(&self, settings: Option<MailSettings>) {
        self.settings.send_replace(settings);
        *self.rest() = None;
    }

    pub(crate) fn is_set_up(&self) -> bool {
        self.settings.borrow().is_some()
    }

    /// Lets the mail server be asked again now, however often it failed.
    pub(crate) fn end_rest(&self) {
        *self.rest() = None;
    }

    /// Wants a message, or all that wait, to be tried now; how many that are.
    pub(crate) async fn retry(&self, which: Option<MailId>, by: String) -> Result<usize, DecisionError<MailRefused>> {
        let decided = self.catalogue.decide(move |index| {
            let ids: Vec<MailId> = match which {
                None => index.open_mails()?.into_iter().map(|row| row.message.id).collect(),
                Some(id) => match index.mail(id)?.map(|row| row.delivery) {
                    None => return Ok(Err(MailRefused::Unknown(id))),
                    Some(Delivery::Sent { .. }) => return Ok(Err(MailRefused::Sent(id))),
                    Some(Delivery::Waiting { .. } | Delivery::Failed { .. }) => vec![id],
                },
            };
            let (count, asked) = (ids.len(), Fact::Outbox(OutboxFact::RetryAsked { ids, by }));
            Ok(Ok((if count == 0 { Vec::new() } else { vec![asked] }, count)))
        });
        let count = decided.await?;
        self.end_rest();
        Ok(count)
    }

    /// What waits and what ended.
    pub(crate) async fn outbox(&self) -> Result<Outbox, IndexError> {
        let index = self.catalogue.index().clone();
        let messages = blocking(move || {
            let mut messages = index.open_mails()?;
            messages.extend(index.ended_mails()?.into_iter().rev());
            Ok(messages)
        });
        let messages = messages.await?;
        let now = self.clock.now();
        let rests = match &*self.rest() {
            _ if !self.is_set_up() => Some((MailRefused::NotSetUp.to_string(), now)),
            Some(rest) if rest.until > now => Some((rest.why.clone(), rest.until)),
            _ => None,
        };
        Ok(Outbox { messages, rests })
    }

    /// Records what happened, with what could not be recorded before.
    pub(super) async fn record(&self, happened: Vec<OutboxFact>) -> Result<(), RecordError> {
        let write = |facts: Vec<OutboxFact>| self.catalogue.record(facts.into_iter().map(Fact::Outbox).collect());
        self.unrecorded.record(happened, write).await
    }

    /// That the mail server is left alone, if it is.
    pub(super) fn rest(&self) -> MutexGuard<'_, Option<Rest>> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the outbox could not be worked on; it is tried again at the next look.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("a text cannot be kept: {0}")]
    Text(#[from] io::Error),
}

impl From<DecideError<Infallible>> for PostError {
    fn from(error: DecideError<Infallible>) -> Self {
        match error {
            DecideError::Refused(never) => match never {},
            DecideError::Index(error) => Self::Index(error),
            DecideError::Record(error) => Self::Record(error),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use longshore_model::SettableClock;
    use longshore_store::catalogue::Writer;
    use longshore_store::files::SimulatedDisk;
    use longshore_store::index::IndexPlace;
    use tempfile::TempDir;

    use super::*;

    /// What a post stands on.
    pub(crate) struct Kept {
        pub(crate) catalogue: Catalogue,
        _writer: Writer,
        _folder: TempDir,
    }

    impl Post {
        /// With a mail server that nobody calls.
        pub(crate) fn over(disk: &SimulatedDisk, clock: &SettableClock) -> (Self, Kept) {
            let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(clock.clone()));
            let files = Arc::new(disk.clone());
            let contents = Contents::open(files.clone()).unwrap();
            let (catalogue, writer, _) =
                Catalogue::open(files, &IndexPlace::below(folder.path()), clock.clone()).unwrap();
            let mail = MailSettings::nobodys();
            let post = Self::new(catalogue.clone(), contents, clock, "server".into(), Some(mail), Notices::default());
            (post, Kept { catalogue, _writer: writer, _folder: folder })
        }
    }
}

//! Mailer: the outbox, and its way to the mail server. What is tried when, the pure `schedule` decides; what is said to the
//! mail server, `smtp`; what it costs when something fails, `failure`. The actor holds nothing: the messages are in the
//! catalogue, their texts beside it.
//!
//! A message is durable before it is tried, and its end is recorded right after the server took it. A kill in between lets
//! it be sent once more, with the same Message-ID.

mod failure;
mod message;
mod schedule;
mod settings;
mod smtp;
mod webhook;

use std::collections::HashSet;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use chrono::{DateTime, Utc};
use longshore_model::{Clock, MailId, MailKind, Message, Sha256, health_type};
use longshore_store::catalogue::{Catalogue, DecideError, RecordError};
use longshore_store::facts::{Fact, OutboxFact};
use longshore_store::index::{Delivery, Index, IndexError, OutboxRow};
use longshore_store::outbox::{ContentError, Contents};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::decision::DecisionError;
use crate::health::{Notice, Notices};
use crate::kit::{Lifeline, Probe, blocking, fail_point, jitter};
pub(crate) use failure::Failure;
use failure::Whose;
use message::Letter;
pub(crate) use schedule::Rest;
use smtp::Conversation;

pub use message::OutgoingMail;
pub use settings::{BadAddress, MailAddress, MailSettings, MailTls, Sender};
pub(crate) use webhook::Delivered;

/// Between two looks at most: the clock may be put forward.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Between two looks for what may be forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(24 * 3600);
/// Messages that wait. Two digests to a hundred people for the days of the longest wait; more than that is a loop somewhere.
const OPEN: usize = 2000;

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
    catalogue: Catalogue,
    contents: Contents,
    clock: Arc<dyn Clock>,
    settings: Arc<watch::Sender<Option<MailSettings>>>,
    /// What tells this server from others in the ids of its messages.
    name: String,
    state: Arc<Mutex<State>>,
    /// Is told of what is not delivered.
    notices: Notices,
    /// Held while texts are put and told of, and while those are removed that nobody told of.
    texts: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct State {
    rest: Option<Rest>,
    /// What happened and could not be recorded: nothing is sent before it is.
    unrecorded: Vec<OutboxFact>,
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
        Self { catalogue, contents, clock, settings, name, notices, state: Arc::default(), texts: Arc::default() }
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
        self.state().rest = None;
    }

    pub(crate) fn is_set_up(&self) -> bool {
        self.settings.borrow().is_some()
    }

    /// Lets the mail server be asked again now, however often it failed.
    pub(crate) fn end_rest(&self) {
        self.state().rest = None;
    }

    /// Keeps a message, unless it is kept already.
    pub(crate) async fn queue(&self, mail: OutgoingMail) -> Result<QueuedMail, DecisionError<MailRefused>> {
        let Some(from) = self.settings.borrow().as_ref().map(|settings| settings.from.clone()) else {
            return Err(DecisionError::Refused(MailRefused::NotSetUp));
        };
        let OutgoingMail { id, kind, to, subject, text, html, answers, by } = mail;
        let letter = serde_json::to_vec(&Letter { text, html })
            .map_err(|error| DecisionError::Refused(MailRefused::Text(error.to_string())))?;
        let _texts = self.texts.lock().await;
        let contents = self.contents.clone();
        let kept =
            spawn_blocking(move || contents.put(&letter)).await.unwrap_or_else(|error| Err(io::Error::other(error)));
        let content = kept.map_err(|error| DecisionError::Refused(MailRefused::Text(in_words(&error))))?;
        let message = Message {
            id,
            kind,
            to: to.to_string(),
            subject: message::subject(&subject),
            message_id: message::message_id(id, &from),
            references: answers.into_iter().map(|id| message::message_id(id, &from)).collect(),
            content,
            by,
        };
        let decided = self.catalogue.decide(move |index| {
            if let Some(known) = index.mail(id)? {
                return Ok(Ok((Vec::new(), QueuedMail { message: known.message, is_new: false })));
            }
            if index.open_mails()?.len() >= OPEN {
                return Ok(Err(MailRefused::TooMany));
            }
            let fact = Fact::Outbox(OutboxFact::Queued { message: message.clone() });
            Ok(Ok((vec![fact], QueuedMail { message, is_new: true })))
        });
        Ok(decided.await?)
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
        let rests = match &self.state().rest {
            _ if !self.is_set_up() => Some((MailRefused::NotSetUp.to_string(), now)),
            Some(rest) if rest.until > now => Some((rest.why.clone(), rest.until)),
            _ => None,
        };
        Ok(Outbox { messages, rests })
    }

    /// Tries what is due; when something else is.
    async fn deliver(&self, probe: &Probe) -> Result<Option<DateTime<Utc>>, PostError> {
        loop {
            self.record(Vec::new()).await?;
            let Some(settings) = self.settings.borrow().clone() else { return Ok(None) };
            let index = self.catalogue.index().clone();
            let mut open = blocking(move || index.open_mails()).await?;
            open.retain(|row| row.message.kind != MailKind::Webhook);
            let rest = self.state().rest.clone();
            let plan = schedule::plan(&open, rest.as_ref(), self.clock.now());
            if plan.due.is_empty() {
                return Ok(plan.next);
            }
            let mut conversation = None;
            for row in plan.due {
                let tried = self.try_now(&settings, &mut conversation, row).await;
                let usable = self.take(row, tried, &open, probe).await?;
                if !usable {
                    break;
                }
            }
            if let Some(conversation) = conversation {
                conversation.close().await;
            }
        }
    }

    /// What is kept of a message besides its facts.
    pub(crate) async fn text(&self, row: &OutboxRow) -> Result<Vec<u8>, Failure> {
        let (contents, sha256) = (self.contents.clone(), row.message.content);
        let text = spawn_blocking(move || contents.get(sha256)).await;
        text.unwrap_or_else(|error| Err(io::Error::other(error).into())).map_err(|error| unreadable(&error))
    }

    /// Hands one message over.
    async fn try_now(
        &self,
        settings: &MailSettings,
        conversation: &mut Option<Conversation>,
        row: &OutboxRow,
    ) -> Result<String, Failure> {
        let letter = self.text(row).await?;
        let (to, bytes) = message::render(row, &letter, &settings.from)?;
        let mut talking = match conversation.take() {
            Some(talking) => talking,
            None => Conversation::open(settings.clone()).await?,
        };
        let delivered = talking.deliver(&to, &bytes).await;
        match &delivered {
            Err(Failure { whose: Whose::Server, .. }) => {}
            // What cannot be reset is not used for the next one.
            Err(_) => *conversation = talking.reset().await.is_ok().then_some(talking),
            Ok(_) => *conversation = Some(talking),
        }
        fail_point!("mail-taken");
        delivered
    }

    /// Records what came of a try; whether the mail server can be used for the next message.
    async fn take(
        &self,
        row: &OutboxRow,
        tried: Result<String, Failure>,
        open: &[OutboxRow],
        probe: &Probe,
    ) -> Result<bool, PostError> {
        let now = self.clock.now();
        let (id, kind, to) = (row.message.id, row.message.kind.as_str(), &row.message.to);
        let failure = match tried {
            Ok(answer) => {
                tracing::info!(mail = %id, kind, to, "a message was delivered");
                self.end_rest();
                self.record(vec![OutboxFact::Sent { id, answer }]).await?;
                self.notices.over(not_delivered(to));
                return Ok(true);
            }
            Err(failure) => failure,
        };
        tracing::warn!(mail = %id, kind, to, error = %failure, "a message was not delivered");
        let usable = failure.whose != Whose::Server;
        let rest = if usable {
            None
        } else {
            probe.error(&failure);
            let rest = schedule::rested(self.state().rest.as_ref(), &failure.text, now, jitter());
            self.state().rest = Some(rest.clone());
            Some(rest)
        };
        let mut facts = vec![schedule::failed(row, &failure, rest.as_ref(), now, jitter())];
        if !usable {
            // Those that were not tried do not wait for ever either.
            let others = open.iter().filter(|other| other.message.id != id);
            facts.extend(others.filter_map(|other| schedule::given_up(other, &failure.text, now)));
        }
        for fact in &facts {
            let OutboxFact::Failed { id, error } = fact else { continue };
            let failed = open.iter().find(|other| other.message.id == *id).unwrap_or(row);
            self.notices.happened(not_delivered(&failed.message.to).text(error.clone()));
        }
        self.record(facts).await?;
        Ok(usable)
    }

    /// Records what happened, with what could not be recorded before.
    async fn record(&self, happened: Vec<OutboxFact>) -> Result<(), RecordError> {
        let facts = {
            let mut state = self.state();
            state.unrecorded.extend(happened);
            state.unrecorded.clone()
        };
        if !facts.is_empty() {
            self.catalogue.record(facts.into_iter().map(Fact::Outbox).collect()).await?;
            self.state().unrecorded.clear();
        }
        Ok(())
    }

    /// Forgets what ended long ago, and removes texts that nobody needs.
    async fn sweep(&self) -> Result<(), PostError> {
        let now = self.clock.now();
        let forget = move |index: &Index| {
            let forgotten = schedule::forgotten(&index.ended_mails()?, now);
            Ok(Ok::<_, Infallible>((forgotten.into_iter().map(Fact::Outbox).collect(), ())))
        };
        self.catalogue.decide(forget).await?;
        let _texts = self.texts.lock().await;
        let index = self.catalogue.index().clone();
        let used: HashSet<_> = blocking(move || {
            let rows = index.open_mails()?.into_iter().chain(index.ended_mails()?);
            Ok(rows.map(|row| row.message.content).collect())
        })
        .await?;
        let contents = self.contents.clone();
        if let Ok(Err(error)) = spawn_blocking(move || contents.keep_only(&used)).await {
            tracing::warn!(%error, "texts of messages that nobody needs could not be removed")
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Nothing reaches this recipient.
fn not_delivered(to: &str) -> Notice {
    Notice::of_server(health_type::MAIL_FAILED).part(to)
}

fn unreadable(error: &ContentError) -> Failure {
    let whose = match error {
        ContentError::Damaged => Whose::Message,
        ContentError::Io(_) => Whose::MessageNow,
    };
    Failure { whose, text: format!("the message cannot be sent: {error}") }
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::FileTooLarge => "it is longer than 1 MiB".to_owned(),
        _ => format!("{error}; see to the disk of the data folder"),
    }
}

/// The actor.
pub(crate) struct Mailer {
    post: Post,
    /// A look is under way …
    looks: bool,
    /// … and something happened since it began.
    again: bool,
    next: Option<SpawnHandle>,
    probe: Probe,
    _lifeline: Lifeline,
}

/// Look what is due.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Look;

/// Forget what is old.
#[derive(Message)]
#[rtype(result = "()")]
struct Sweep;

impl Mailer {
    pub(crate) fn new(post: Post, lifeline: Lifeline, probe: Probe) -> Self {
        Self { post, looks: false, again: false, next: None, probe, _lifeline: lifeline }
    }

    fn looked(&mut self, next: Option<DateTime<Utc>>, ctx: &mut Context<Self>) {
        self.looks = false;
        let left = next.map(|next| (next - self.post.clock.now()).to_std().unwrap_or_default());
        let wait = if std::mem::take(&mut self.again) { Duration::ZERO } else { left.unwrap_or(LOOK_EVERY) };
        self.next = Some(ctx.notify_later(Look, wait.min(LOOK_EVERY)));
    }
}

impl Actor for Mailer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.notify(Look);
        ctx.notify(Sweep);
    }
}

impl Handler<Look> for Mailer {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Look, ctx: &mut Self::Context) -> Self::Result {
        if self.looks {
            self.again = true;
            return Box::pin(fut::ready(()));
        }
        self.looks = true;
        if let Some(next) = self.next.take() {
            ctx.cancel_future(next);
        }
        fail_point!("mailer-look");
        let (post, probe, in_flight) = (self.post.clone(), self.probe.clone(), self.probe.in_flight());
        let looking = async move {
            let _in_flight = in_flight;
            post.deliver(&probe).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "the outbox could not be worked on; it is tried again");
                probe.error(error);
                None
            })
        };
        Box::pin(looking.into_actor(self).map(|next, mailer, ctx| mailer.looked(next, ctx)))
    }
}

impl Handler<Sweep> for Mailer {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Sweep, _: &mut Self::Context) -> Self::Result {
        let (post, probe) = (self.post.clone(), self.probe.clone());
        let sweeping = async move {
            if let Err(error) = post.sweep().await {
                tracing::warn!(%error, "the outbox could not be swept; it is tried again tomorrow");
                probe.error(error);
            }
        };
        let again = |(), _: &mut Self, ctx: &mut Context<Self>| {
            ctx.notify_later(Sweep, SWEEP_EVERY);
        };
        Box::pin(sweeping.into_actor(self).map(again))
    }
}

//! Messages for webhooks: the same outbox, the same times between tries, another way.

use std::io;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{HealthTypes, MailKind, Message, health_type};
use longshore_store::facts::{Fact, OutboxFact};
use longshore_store::index::{Index, IndexError, OutboxRow};

use super::failure::{Failure, Whose, clean};
use super::schedule::{self, Rest};
use super::{Post, PostError};
use crate::health::Notice;
use crate::kit::{blocking, jitter};
use crate::webhooks;

/// A program that takes nothing for so long is an issue.
const FAILS_FOR: TimeDelta = TimeDelta::hours(1);

/// What came of a call.
pub(crate) enum Delivered {
    /// The message ended; the next one may go.
    Done,
    /// The webhook is left alone for a time.
    Rest(Rest),
}

/// What there is for a webhook.
enum Found {
    Nothing,
    /// It is new, and is told of what happens from now on.
    New(u64),
    News {
        upto: u64,
        body: Vec<u8>,
    },
}

impl Post {
    /// The message that this webhook has not taken yet.
    pub(crate) async fn waits_for(&self, hook: &str) -> Result<Option<OutboxRow>, PostError> {
        self.record(Vec::new()).await?;
        let (index, hook) = (self.catalogue.index().clone(), hook.to_owned());
        let open = blocking(move || index.open_mails()).await?;
        Ok(open.into_iter().find(|row| row.message.kind == MailKind::Webhook && row.message.to == hook))
    }

    /// Whether it may be tried now.
    pub(crate) fn is_due(&self, row: &OutboxRow, rest: Option<&Rest>) -> bool {
        !schedule::plan(std::slice::from_ref(row), rest, self.clock.now()).due.is_empty()
    }

    /// Makes a message of what this webhook does not know; `None`: it knows everything.
    pub(crate) async fn gather(&self, hook: String, types: Arc<HealthTypes>) -> Result<Option<OutboxRow>, PostError> {
        let post = self.clone();
        let gathering = tokio::spawn(async move { post.put_news(hook, types).await });
        gathering.await.unwrap_or_else(|error| Err(io::Error::other(error).into()))
    }

    async fn put_news(&self, hook: String, types: Arc<HealthTypes>) -> Result<Option<OutboxRow>, PostError> {
        let _texts = self.texts().await;
        // Whoever asked before may be gone, and what it made not.
        if let Some(waits) = self.waits_for(&hook).await? {
            return Ok(Some(waits));
        }
        let (index, name, server, now) =
            (self.catalogue.index().clone(), hook.clone(), self.name.clone(), self.clock.now());
        let (upto, body) = match blocking(move || found(&index, &types, &name, &server, now)).await? {
            Found::Nothing => return Ok(None),
            Found::New(upto) => {
                let gathered = OutboxFact::Gathered { hook, upto, message: None };
                self.catalogue.record(vec![Fact::Outbox(gathered)]).await?;
                return Ok(None);
            }
            Found::News { upto, body } => (upto, body),
        };
        let content = self.put(body).await?;
        let id = self.id(&["webhook", &hook, &upto.to_string()]);
        let message = Message {
            id,
            kind: MailKind::Webhook,
            to: hook.clone(),
            subject: format!("what happened up to {upto}"),
            message_id: id.to_string(),
            references: Vec::new(),
            content,
            by: None,
        };
        let gathered = OutboxFact::Gathered { hook, upto, message: Some(message) };
        self.catalogue.record(vec![Fact::Outbox(gathered)]).await?;
        let index = self.catalogue.index().clone();
        Ok(blocking(move || index.mail(id)).await?)
    }

    /// Records what came of a call.
    pub(crate) async fn called(
        &self,
        row: &OutboxRow,
        tried: Result<String, Failure>,
        rest: Option<&Rest>,
    ) -> Result<Delivered, PostError> {
        let (id, now, to) = (row.message.id, self.clock.now(), &row.message.to);
        let failure = match tried {
            Ok(answer) => {
                self.record(vec![OutboxFact::Sent { id, answer: clean(&answer) }]).await?;
                self.notices.over(untold(to));
                return Ok(Delivered::Done);
            }
            Err(Failure { whose, text }) => Failure { whose, text: clean(&text) },
        };
        tracing::warn!(mail = %id, to, error = %failure, "a webhook was not told");
        if failure.whose == Whose::Message {
            // Its text is lost: what is new comes after it.
            self.notices.happened(untold(to).text(failure.text.clone()));
            self.record(vec![OutboxFact::Failed { id, error: failure.text }]).await?;
            return Ok(Delivered::Done);
        }
        let rest = schedule::rested(rest, &failure.text, now, jitter());
        if now - row.queued_at >= FAILS_FOR {
            self.notices.stands(untold(to).text(failure.text.clone()));
        }
        // Never given up: it is one message, however long the program is away, and what is in it would be told by no other.
        self.record(vec![OutboxFact::Deferred { id, error: failure.text, until: rest.until }]).await?;
        Ok(Delivered::Rest(rest))
    }
}

/// This program is not told what happens.
fn untold(hook: &str) -> Notice {
    Notice::of_server(health_type::WEBHOOK_FAILED).part(hook)
}

fn found(
    index: &Index,
    types: &HealthTypes,
    hook: &str,
    server: &str,
    now: DateTime<Utc>,
) -> Result<Found, IndexError> {
    let count = index.news_count()?;
    let Some(read) = index.news_read(hook)? else { return Ok(Found::New(count)) };
    if read >= count {
        return Ok(Found::Nothing);
    }
    let news = index.news(read, webhooks::MOST)?;
    // None: they were overwritten while they were read, and newer ones are there at the next look.
    let (Some(first), Some(last)) = (news.first(), news.last()) else { return Ok(Found::Nothing) };
    let missed = first.number.saturating_sub(read);
    let (body, left) = webhooks::write(index, types, server, missed, &news, now)?;
    Ok(Found::News { upto: left.unwrap_or(last.number + 1), body })
}

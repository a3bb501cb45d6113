//! Messages on their way to the mail server: what is due is handed over, and what came of it is recorded.

use std::io;

use chrono::{DateTime, Utc};
use longshore_model::{MailKind, health_type};
use longshore_store::facts::OutboxFact;
use longshore_store::index::OutboxRow;
use longshore_store::outbox::ContentError;
use tokio::task::spawn_blocking;

use super::failure::{Failure, Whose};
use super::message;
use super::post::{Post, PostError};
use super::schedule;
use super::settings::MailSettings;
use super::smtp::Conversation;
use crate::health::Notice;
use crate::kit::{Probe, blocking, fail_point, jitter};

impl Post {
    /// Tries what is due; when something else is.
    pub(super) async fn deliver(&self, probe: &Probe) -> Result<Option<DateTime<Utc>>, PostError> {
        loop {
            self.record(Vec::new()).await?;
            let Some(settings) = self.settings.borrow().clone() else { return Ok(None) };
            let index = self.catalogue.index().clone();
            let mut open = blocking(move || index.open_mails()).await?;
            open.retain(|row| row.message.kind != MailKind::Webhook);
            let rest = self.rest().clone();
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
            let rest = schedule::rested(self.rest().as_ref(), &failure.text, now, jitter());
            *self.rest() = Some(rest.clone());
            Some(rest)
        };
        if failure.whose == Whose::Policy {
            // Whoever can mend it is to hear of it before it is given up.
            self.notices.stands(not_delivered(to).text(failure.text.clone()));
        }
        let mut facts = vec![schedule::failed(row, &failure, rest.as_ref(), now, jitter())];
        if !usable {
            // Those that were not tried do not wait for ever either.
            let others = open.iter().filter(|other| other.message.id != id);
            facts.extend(others.filter_map(|other| schedule::given_up(other, rest.as_ref(), &failure.text, now)));
        }
        for fact in &facts {
            let OutboxFact::Failed { id, error } = fact else { continue };
            let failed = open.iter().find(|other| other.message.id == *id).unwrap_or(row);
            self.notices.happened(not_delivered(&failed.message.to).text(error.clone()));
        }
        self.record(facts).await?;
        Ok(usable)
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

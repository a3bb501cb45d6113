//! What must not come between each other: a text is put and then told of, and texts that nobody told of are removed.

use std::collections::HashSet;
use std::convert::Infallible;
use std::io;

use longshore_model::Message;
use longshore_store::facts::{Fact, OutboxFact};
use longshore_store::index::Index;
use tokio::task::spawn_blocking;

use super::message::{self, Letter, OutgoingMail};
use super::post::{MailRefused, OPEN, Post, PostError, QueuedMail};
use super::schedule;
use crate::decision::DecisionError;
use crate::kit::blocking;

impl Post {
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

    /// Forgets what ended long ago, and removes texts that nobody needs.
    pub(super) async fn sweep(&self) -> Result<(), PostError> {
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
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::FileTooLarge => "it is longer than 1 MiB".to_owned(),
        _ => format!("{error}; see to the disk of the data folder"),
    }
}

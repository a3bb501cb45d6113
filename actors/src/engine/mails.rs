//! Messages to people.

use longshore_model::{MailId, MailKind};
use longshore_store::index::OutboxRow;

use super::{Engine, EngineError};
use crate::decision::DecisionError;
use crate::kit::blocking;
use crate::mailer::{Look, MailRefused, MailSettings, Outbox, OutgoingMail, QueuedMail};
use crate::webhooks::WebhookSettings;

impl Engine {
    /// The id of the message that is told apart by these: what it is about, and whom it goes to. Other servers give others.
    pub fn mail_id(&self, what: &[&str]) -> MailId {
        self.post.id(what)
    }

    /// Whether there is a mail server.
    pub fn has_mail(&self) -> bool {
        self.post.is_set_up()
    }

    /// Takes another mail server, or none, from now on.
    pub fn set_mail(&self, settings: Option<MailSettings>) {
        self.post.set(settings);
        self.mailer.tell(Look);
    }

    /// Tells other programs, or none, from now on.
    pub fn set_webhooks(&self, settings: Vec<WebhookSettings>) {
        self.hooks.set(settings);
    }

    /// Keeps a message and lets it be delivered. The same id again changes nothing. It is durable when this returns.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub async fn queue_mail(&self, mail: OutgoingMail) -> Result<QueuedMail, DecisionError<MailRefused>> {
        let is_test = mail.kind == MailKind::Test;
        let queued = self.post.queue(mail).await?;
        if is_test {
            // Whoever tests wants to know now.
            self.post.end_rest();
        }
        self.mailer.tell(Look);
        Ok(queued)
    }

    /// Has a message, also one that could not be delivered, or all that wait tried now; how many that are.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub async fn retry_mails(&self, which: Option<MailId>, by: String) -> Result<usize, DecisionError<MailRefused>> {
        let count = self.post.retry(which, by).await?;
        self.hooks.end_rests();
        self.mailer.tell(Look);
        Ok(count)
    }

    /// What waits to be delivered and what ended in the last month.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn outbox(&self) -> Result<Outbox, EngineError> {
        Ok(self.post.outbox().await?)
    }

    /// One message, with what became of it.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn mail(&self, id: MailId) -> Result<Option<OutboxRow>, EngineError> {
        let index = self.catalogue.index().clone();
        Ok(blocking(move || index.mail(id)).await?)
    }
}

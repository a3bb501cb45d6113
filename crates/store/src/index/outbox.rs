//! Messages to people: those that are to be delivered, and those that ended. Two tables, since the first is looked at
//! all the time and is nearly always empty.

use chrono::{DateTime, Utc};
use longshore_model::{MailId, Message};
use serde::{Deserialize, Serialize};

use super::apply::{Applied, Rows, change, get, put};
use super::tables::Table;
use super::{Index, IndexError, values};
use crate::facts::{Entry, OutboxFact};

/// A message with what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxRow {
    /// The message.
    pub message: Message,
    /// Place in the journal: messages to one recipient are delivered in this order.
    pub seq: u64,
    /// When it was queued; its header `Date`.
    pub queued_at: DateTime<Utc>,
    /// How often it was tried.
    pub attempts: u32,
    /// What came of the last try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<Tried>,
    /// How it stands.
    pub delivery: Delivery,
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tried {
    /// When.
    pub at: DateTime<Utc>,
    /// What the other server said to it, or why it could not be asked.
    pub said: String,
}

/// How a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Delivery {
    /// It is to be delivered.
    Waiting {
        /// When it is tried at the earliest.
        next: DateTime<Utc>,
    },
    /// It was delivered.
    Sent {
        /// When.
        at: DateTime<Utc>,
    },
    /// It cannot be delivered.
    Failed {
        /// Since when that is known.
        at: DateTime<Utc>,
    },
}

impl Index {
    /// The message with this id.
    ///
    /// # Errors
    /// [`IndexError`]; so for all that follow.
    pub fn mail(&self, id: MailId) -> Result<Option<OutboxRow>, IndexError> {
        match super::get(&self.tables[Table::OutboxOpen], id.as_bytes())? {
            Some(open) => Ok(Some(open)),
            None => super::get(&self.tables[Table::OutboxEnded], id.as_bytes()),
        }
    }

    /// The messages that are to be delivered, in the order in which they were queued.
    pub fn open_mails(&self) -> Result<Vec<OutboxRow>, IndexError> {
        let mut rows: Vec<OutboxRow> = values(self.tables[Table::OutboxOpen].iter())?;
        rows.sort_by_key(|row| row.seq);
        Ok(rows)
    }

    /// The messages that ended and were not forgotten yet, in the order in which they were queued.
    pub fn ended_mails(&self) -> Result<Vec<OutboxRow>, IndexError> {
        let mut rows: Vec<OutboxRow> = values(self.tables[Table::OutboxEnded].iter())?;
        rows.sort_by_key(|row| row.seq);
        Ok(rows)
    }
}

impl Rows {
    pub(super) fn apply_outbox(&self, entry: &Entry, fact: &OutboxFact) -> Applied<()> {
        match fact {
            OutboxFact::Queued { message } => self.queue_mail(entry, message),
            OutboxFact::Gathered { hook, upto, message } => {
                put(&self.tables[Table::NewsRead], hook.as_bytes(), upto)?;
                message.as_ref().map_or(Ok(()), |message| self.queue_mail(entry, message))
            }
            OutboxFact::Deferred { id, error, until } => {
                change(&self.tables[Table::OutboxOpen], id.as_bytes(), |row: &mut OutboxRow| {
                    row.tried(entry.at, error);
                    row.delivery = Delivery::Waiting { next: *until };
                })
            }
            OutboxFact::Sent { id, answer } => self.end_mail(entry, *id, answer, Delivery::Sent { at: entry.at }),
            OutboxFact::Failed { id, error } => self.end_mail(entry, *id, error, Delivery::Failed { at: entry.at }),
            OutboxFact::RetryAsked { ids, .. } => ids.iter().try_for_each(|id| self.retry_mail(entry, *id)),
            OutboxFact::Forgotten { ids } => ids.iter().try_for_each(|id| {
                self.tables[Table::OutboxEnded].remove(id.as_bytes().as_slice())?;
                Ok(())
            }),
        }
    }

    fn queue_mail(&self, entry: &Entry, message: &Message) -> Applied<()> {
        let row = OutboxRow {
            message: message.clone(),
            seq: entry.seq,
            queued_at: entry.at,
            attempts: 0,
            tried: None,
            delivery: Delivery::Waiting { next: entry.at },
        };
        put(&self.tables[Table::OutboxOpen], message.id.as_bytes(), &row)
    }

    fn end_mail(&self, entry: &Entry, id: MailId, said: &str, delivery: Delivery) -> Applied<()> {
        let open = &self.tables[Table::OutboxOpen];
        let Some(mut row) = get::<OutboxRow>(open, id.as_bytes())? else { return Ok(()) };
        open.remove(id.as_bytes().as_slice())?;
        row.tried(entry.at, said);
        row.delivery = delivery;
        put(&self.tables[Table::OutboxEnded], id.as_bytes(), &row)
    }

    /// One that was delivered stays so.
    fn retry_mail(&self, entry: &Entry, id: MailId) -> Applied<()> {
        let (open, ended) = (&self.tables[Table::OutboxOpen], &self.tables[Table::OutboxEnded]);
        let failed =
            get::<OutboxRow>(ended, id.as_bytes())?.filter(|row| matches!(row.delivery, Delivery::Failed { .. }));
        let row = match failed {
            Some(failed) => {
                ended.remove(id.as_bytes().as_slice())?;
                Some(failed)
            }
            None => get(open, id.as_bytes())?,
        };
        let Some(row) = row else { return Ok(()) };
        put(open, id.as_bytes(), &OutboxRow { delivery: Delivery::Waiting { next: entry.at }, ..row })
    }
}

impl OutboxRow {
    fn tried(&mut self, at: DateTime<Utc>, said: &str) {
        self.attempts = self.attempts.saturating_add(1);
        self.tried = Some(Tried { at, said: said.to_owned() });
    }
}

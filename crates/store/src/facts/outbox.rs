use chrono::{DateTime, Utc};
use longshore_model::{MailId, Message};
use serde::{Deserialize, Serialize};

/// Something about messages to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum OutboxFact {
    /// A message is to be delivered; its text is durable.
    Queued {
        /// The message.
        message: Message,
    },
    /// It could not be delivered now.
    Deferred {
        /// Which.
        id: MailId,
        /// Why, and what to do about it.
        error: String,
        /// When it is tried again at the earliest.
        until: DateTime<Utc>,
    },
    /// It was delivered: from now on the other server answers for it.
    Sent {
        /// Which.
        id: MailId,
        /// What that server said.
        answer: String,
    },
    /// It cannot be delivered, and is not tried again by itself.
    Failed {
        /// Which.
        id: MailId,
        /// Why, and what to do about it.
        error: String,
    },
    /// Somebody wants these to be tried now, those too that could not be delivered.
    RetryAsked {
        /// Which.
        ids: Vec<MailId>,
        /// Who did it.
        by: String,
    },
    /// A webhook was told of what happened up to here, by this message, if there was anything to tell.
    Gathered {
        /// Name of the webhook.
        hook: String,
        /// Number of the first news that it does not know.
        upto: u64,
        /// What is to be delivered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Message>,
    },
    /// They ended long ago and are shown no more.
    Forgotten {
        /// Which.
        ids: Vec<MailId>,
    },
}

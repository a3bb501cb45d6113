use serde::{Deserialize, Serialize};

use crate::{MailId, Sha256};

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MailKind {
    /// The daily transfer summary.
    TransferDigest,
    /// The daily health summary.
    HealthDigest,
    /// What became of a request for footage.
    Request,
    /// Somebody wants to know whether mail arrives.
    Test,
    /// What happened, for another program.
    Webhook,
}

impl MailKind {
    /// For people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TransferDigest => "transfer digest",
            Self::HealthDigest => "health digest",
            Self::Request => "request",
            Self::Test => "test",
            Self::Webhook => "webhook",
        }
    }
}

/// A message in the outbox, but for its text, which is kept beside the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The same message has the same id, whoever asks for it and how often.
    pub id: MailId,
    /// What it is about.
    pub kind: MailKind,
    /// Mail address of its one recipient; of a webhook, its name.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// The header `Message-ID`, without its brackets; of a webhook, `webhook-id`.
    pub message_id: String,
    /// The same of the messages that it belongs to; the last one is what it answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// Checksum of its text, under which that is kept.
    pub content: Sha256,
    /// Who asked for it, if a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

//! What a message says, and how it is written for the wire. Every header is typed: what comes from outside cannot begin a
//! line of its own.

use std::time::SystemTime;

use lettre::Address;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message as Mail, MultiPart, SinglePart};
use longshore_model::{MailId, MailKind};
use longshore_store::index::OutboxRow;
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::settings::{MailAddress, Sender};

/// Characters of a subject that are kept: more is cut by every program that shows it.
const SUBJECT_CHARS: usize = 250;

/// A message that is to be delivered to one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingMail {
    /// Of [`Engine::mail_id`](crate::Engine::mail_id): the same message again is not sent again.
    pub id: MailId,
    /// What it is about.
    pub kind: MailKind,
    /// To whom.
    pub to: MailAddress,
    /// The answer in one line.
    pub subject: String,
    /// For those who read text.
    pub text: String,
    /// The same as HTML.
    pub html: Option<String>,
    /// What it belongs to, the oldest first; the last one is what it answers.
    pub answers: Vec<MailId>,
    /// Who asked for it, if a person did.
    pub by: Option<String>,
}

/// What is kept of a message besides its facts.
#[derive(Serialize, Deserialize)]
pub(super) struct Letter {
    pub(super) text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) html: Option<String>,
}

/// One line.
pub(super) fn subject(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SUBJECT_CHARS).collect();
    line.trim().to_owned()
}

/// The header `Message-ID`, without its brackets.
pub(super) fn message_id(id: MailId, from: &Sender) -> String {
    format!("{id}@{}", from.email.domain())
}

/// Whom a message goes to, and its bytes.
pub(super) fn render(row: &OutboxRow, letter: &[u8], from: &Sender) -> Result<(Address, Vec<u8>), Failure> {
    let broken = |error: &dyn std::fmt::Display| Failure::of_message(format!("the message cannot be written: {error}"));
    let message = &row.message;
    let Letter { text, html } = serde_json::from_slice(letter).map_err(|error| broken(&error))?;
    let to: MailAddress = message.to.parse().map_err(|error| broken(&error))?;
    let to = Address::from(to);
    let mut builder = Mail::builder()
        .from(Mailbox::from(from.clone()))
        .to(Mailbox::new(None, to.clone()))
        .subject(&message.subject)
        .date(SystemTime::from(row.queued_at))
        .message_id(Some(format!("<{}>", message.message_id)))
        .header(AutoSubmitted);
    if let Some(last) = message.references.last() {
        let references: Vec<String> = message.references.iter().map(|id| format!("<{id}>")).collect();
        builder = builder.in_reply_to(format!("<{last}>")).references(references.join(" "));
    }
    let list = match message.kind {
        MailKind::TransferDigest => Some("transfers"),
        MailKind::HealthDigest => Some("health"),
        MailKind::Request | MailKind::Test | MailKind::Webhook => None,
    };
    if let Some(list) = list {
        let sender = &from.email;
        builder = builder
            .header(ListId(format!("<{list}.longshore.{}>", sender.domain())))
            .header(ListUnsubscribe(format!("<mailto:{sender}?subject=unsubscribe%20{list}>")));
    }
    let mail = match html {
        Some(html) => builder.multipart(MultiPart::alternative_plain_html(text, html)),
        None => builder.singlepart(SinglePart::plain(text)),
    };
    Ok((to, mail.map_err(|error| broken(&error))?.formatted()))
}

/// No vacation notice answers it (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

/// Which series it is of (RFC 2919).
#[derive(Clone)]
struct ListId(String);

/// How to be left out of the series (RFC 2369).
#[derive(Clone)]
struct ListUnsubscribe(String);

type Parsed<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Parsed<Self> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Header for ListId {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Id")
    }

    fn parse(text: &str) -> Parsed<Self> {
        Ok(Self(text.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.clone())
    }
}

impl Header for ListUnsubscribe {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe")
    }

    fn parse(text: &str) -> Parsed<Self> {
        Ok(Self(text.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use longshore_model::{Message, Sha256};
    use longshore_store::index::Delivery;

    use super::*;

    fn row(kind: MailKind, said: &str) -> OutboxRow {
        let message = Message {
            id: MailId::from_bytes([7; 16]),
            kind,
            to: "anna@example.org".into(),
            subject: subject(said),
            message_id: "7@example.org".into(),
            references: vec!["1@example.org".into(), "2@example.org".into()],
            content: Sha256::of(b""),
            by: None,
        };
        let queued_at = "2026-11-21T15:00:00Z".parse().unwrap();
        let delivery = Delivery::Waiting { next: queued_at };
        OutboxRow { message, seq: 1, queued_at, attempts: 0, tried: None, delivery }
    }

    fn written(row: &OutboxRow, text: &str) -> String {
        let letter = serde_json::to_vec(&Letter { text: text.into(), html: Some(format!("<p>{text}</p>")) }).unwrap();
        let from = Sender::try_from("Longshore <longshore@example.org>".to_owned()).unwrap();
        let (to, bytes) = render(row, &letter, &from).unwrap();
        assert_eq!(to.to_string(), row.message.to);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_message_says_what_it_is_and_what_it_belongs_to() {
        let mail = written(&row(MailKind::TransferDigest, "41 videos · Thu"), "41 videos");
        // Long lines are folded.
        let unfolded = mail.replace("\r\n ", " ").replace(":  ", ": ");
        for line in [
            "From: Longshore <longshore@example.org>\r\n",
            "To: anna@example.org\r\n",
            "Date: Sat, 21 Nov 2026 15:00:00 +0000\r\n",
            "Message-ID: <7@example.org>\r\n",
            "In-Reply-To: <2@example.org>\r\n",
            "References: <1@example.org> <2@example.org>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "List-Id: <transfers.longshore.example.org>\r\n",
            "List-Unsubscribe: <mailto:longshore@example.org?subject=unsubscribe%20transfers>\r\n",
        ] {
            assert!(unfolded.contains(line), "{line} in {mail}");
        }
        assert!(mail.is_ascii() && mail.contains("multipart/alternative"), "{mail}");
        assert!(!written(&row(MailKind::Request, "x"), "x").contains("List-"));
    }

    #[test]
    fn what_comes_from_outside_begins_no_line_of_its_own() {
        let evil = "x\r\nBcc: spy@example.org\r\n\r\n.\r\nQUIT\n\u{2028}\u{85}ü";
        let mail = written(&row(MailKind::Test, evil), evil);
        let (head, _) = mail.split_once("\r\n\r\n").unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
        assert!(!mail.replace("\r\n", "").contains(['\r', '\n']), "no line ends otherwise: {mail:?}");
        assert_eq!(subject(&"ä".repeat(1000)).chars().count(), SUBJECT_CHARS);
    }
}

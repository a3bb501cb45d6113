//! Messages to people: what waits, what became of them, and whether they arrive at all.

use actix_web::web::{Data, Json, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use longshore_actors::{MailAddress, MailRefused, OutgoingMail};
use longshore_model::{MailId, MailKind, Message};
use longshore_protocol::ProblemType;
use longshore_store::index::{Delivery, OutboxRow, Tried};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::Server;
use super::super::error::Failure;
use super::super::json;
use super::by;

/// Messages of one list: more than anybody reads.
const LISTED: usize = 1000;

/// The outbox.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct OutboxBody {
    /// Set while nothing is sent at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rests: Option<RestBody>,
    /// Those that wait, in their order, and then those that ended, the newest first.
    pub(crate) messages: Vec<MailRow>,
}

/// Why nothing is sent at all.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct RestBody {
    /// In plain words, with what to do.
    pub(crate) why: String,
    /// When the mail server is tried again.
    pub(crate) until: DateTime<Utc>,
}

/// A message, but for its text.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct MailRow {
    pub(crate) id: MailId,
    pub(crate) kind: MailKind,
    /// Its recipient.
    pub(crate) to: String,
    pub(crate) subject: String,
    /// The header `Message-ID`, without its brackets, by which the logs of mail servers know it.
    pub(crate) message_id: String,
    pub(crate) queued_at: DateTime<Utc>,
    /// How often it was tried.
    pub(crate) attempts: u32,
    /// What came of the last try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tried: Option<Tried>,
    #[serde(flatten)]
    pub(crate) delivery: Delivery,
}

/// A message that shows whether mail arrives.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestMailBody {
    /// To whom.
    #[schema(value_type = String)]
    pub(crate) to: MailAddress,
}

/// What is to be tried now.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryMailBody {
    /// Which message; without one, all that wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<MailId>,
}

/// How many messages are tried now.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct RetriedMails {
    pub(crate) count: usize,
}

impl From<OutboxRow> for MailRow {
    fn from(row: OutboxRow) -> Self {
        let OutboxRow { message, queued_at, attempts, tried, delivery, .. } = row;
        let Message { id, kind, to, subject, message_id, .. } = message;
        Self { id, kind, to, subject, message_id, queued_at, attempts, tried, delivery }
    }
}

/// The outbox: what waits, and what ended in the last month.
#[utoipa::path(get, path = "/api/v1/mails", responses((status = 200, body = OutboxBody)))]
pub(super) async fn list(server: Data<Server>) -> Result<Json<OutboxBody>, Failure> {
    let outbox = server.engine.outbox().await?;
    let rests = outbox.rests.map(|(why, until)| RestBody { why, until });
    Ok(Json(OutboxBody { rests, messages: outbox.messages.into_iter().take(LISTED).map(MailRow::from).collect() }))
}

/// One message.
#[utoipa::path(get, path = "/api/v1/mails/{id}", params(("id" = String, Path)),
    responses((status = 200, body = MailRow)))]
pub(super) async fn show(server: Data<Server>, id: Path<String>) -> Result<Json<MailRow>, Failure> {
    let no_id = |_| Failure::new(ProblemType::NotFound, "the id of a message is 32 hexadecimal digits");
    Ok(Json(row(&server, id.parse().map_err(no_id)?).await?))
}

/// Sends a message that says where it comes from.
#[utoipa::path(post, path = "/api/v1/mail-tests", request_body = TestMailBody,
    responses((status = 201, description = "it is in the outbox", body = MailRow)))]
pub(super) async fn test(server: Data<Server>, request: HttpRequest, body: Payload) -> Result<HttpResponse, Failure> {
    let TestMailBody { to } = json::read(&request, body).await?;
    let (by, url, now) = (by(&request), server.url(), server.now().format("%Y-%m-%d %H:%M:%S UTC"));
    let id = MailId::random().map_err(Failure::internal)?;
    let text = format!(
        "Longshore at {url} can send mail to {to}.\n\n{by} asked for this message at {now} to find that out. Nothing has to \
         be done.\n"
    );
    let subject = format!("Mail from Longshore at {url} arrives");
    let kind = MailKind::Test;
    let mail = OutgoingMail { id, kind, to, subject, text, html: None, answers: Vec::new(), by: Some(by) };
    server.engine.queue_mail(mail).await?;
    Ok(HttpResponse::Created().json(row(&server, id).await?))
}

/// Has a message, also one that could not be delivered, or all that wait tried now.
#[utoipa::path(post, path = "/api/v1/mail-retries", request_body = RetryMailBody,
    responses((status = 200, body = RetriedMails)))]
pub(super) async fn retry(
    server: Data<Server>,
    request: HttpRequest,
    body: Payload,
) -> Result<Json<RetriedMails>, Failure> {
    let RetryMailBody { id } = json::read(&request, body).await?;
    let count = server.engine.retry_mails(id, by(&request)).await?;
    Ok(Json(RetriedMails { count }))
}

async fn row(server: &Server, id: MailId) -> Result<MailRow, Failure> {
    let found = server.engine.mail(id).await?.map(MailRow::from);
    found.ok_or_else(|| MailRefused::Unknown(id).into())
}

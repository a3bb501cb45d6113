//! The daily mails: what they say, and sending one before its time.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Payload, Query};
use chrono::{DateTime, NaiveDate, Utc};
use longshore_model::{DigestKind, DigestOf};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::Server;
use super::super::error::Failure;
use super::super::json;
use super::by;
use super::devices::name;

/// Which one; in the query, since the name of a site may hold anything.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// `transfer` or `health`.
    kind: DigestKind,
    /// Only of the devices of this site.
    site: Option<String>,
    /// As it was on this date; without one, as it would be now.
    date: Option<NaiveDate>,
}

/// What a digest says.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct DigestText {
    /// Of which date it is.
    pub(crate) date: NaiveDate,
    /// From when on it tells.
    pub(crate) from: DateTime<Utc>,
    /// Until when.
    pub(crate) to: DateTime<Utc>,
    /// Whether there is anything new, so that a mail is sent of it.
    pub(crate) news: bool,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// Which digest is to be sent.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendDigestBody {
    /// `transfer` or `health`.
    pub(crate) kind: DigestKind,
    /// Only of the devices of this site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) site: Option<String>,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SentDigest {
    /// Of which date it is.
    pub(crate) date: NaiveDate,
    /// To whom it goes; nobody, if there is nothing new.
    pub(crate) to: Vec<String>,
}

fn of(kind: DigestKind, site: Option<String>) -> Result<DigestOf, Failure> {
    let site = site.map(|site| name("site", &site)).transpose()?;
    Ok(DigestOf { kind, site })
}

/// What a daily mail says now, or said on a date.
#[utoipa::path(get, path = "/api/v1/digest", params(Which),
    responses((status = 200, body = DigestText)))]
pub(super) async fn show(server: Data<Server>, which: Query<Which>) -> Result<Json<DigestText>, Failure> {
    let Which { kind, site, date } = which.into_inner();
    let shown = server.engine.preview_digest(of(kind, site)?, date).await?;
    let longshore_actors::Composed { subject, text, html } = shown.composed;
    let (date, from, to, news) = (shown.date, shown.from, shown.to, shown.is_news);
    Ok(Json(DigestText { date, from, to, news, subject, text, html }))
}

/// Sends the daily mail of today before its time, if there is anything new; none is sent at its time then.
#[utoipa::path(post, path = "/api/v1/digest", request_body = SendDigestBody,
    responses((status = 200, body = SentDigest)))]
pub(super) async fn send(
    server: Data<Server>,
    request: HttpRequest,
    body: Payload,
) -> Result<Json<SentDigest>, Failure> {
    let SendDigestBody { kind, site } = json::read(&request, body).await?;
    let sent = server.engine.send_digest(of(kind, site)?, by(&request)).await?;
    Ok(Json(SentDigest { date: sent.date, to: sent.to }))
}
